"""Excursion effects against what they are by construction; and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.offline.excursion import excursion_effect


def test_users_in_any_order_give_the_same() -> None:
    rng = np.random.default_rng(0)
    n = 400
    users = np.repeat(np.arange(40), 10)
    day, p = np.tile(np.arange(10.0), 40), np.full(n, 0.6)
    sent = (rng.random(n) < p).astype(float)
    outcome = rng.normal(size=n) + 0.2 * day + sent * (1.0 - 0.1 * day)
    order = rng.permutation(n)
    one = excursion_effect(outcome, sent, p, {"day": day}, {"day": day}, users)
    other = excursion_effect(outcome[order], sent[order], p, {"day": day[order]}, {"day": day[order]}, users[order])
    np.testing.assert_allclose(one.covariance, other.covariance, rtol=1e-9)
    assert abs(one.effect["level"].mean - 1.0) < 4 * one.effect["level"].standard_error
    assert abs(one.effect["day"].mean + 0.1) < 4 * one.effect["day"].standard_error


def test_with_a_probability_that_varies_the_effect_is_weighted_by_its_variance() -> None:
    """Effects 1 and 3 where p is .5 and .1: (1 * .25 + 3 * .09) / .34, as the docstring says, and not 2."""
    rng = np.random.default_rng(1)
    n = 40_000
    is_second = np.arange(n) % 2 == 1
    p = np.where(is_second, 0.1, 0.5)
    sent = (rng.random(n) < p).astype(float)
    outcome = sent * np.where(is_second, 3.0, 1.0) + 0.1 * rng.normal(size=n)
    found = excursion_effect(outcome, sent, p, {"second": is_second.astype(float)}, {}, np.arange(n) // 20)
    assert found.effect["level"].mean == pytest.approx(
        (0.25 + 3 * 0.09) / 0.34, abs=5 * found.effect["level"].standard_error
    )


def test_what_is_refused() -> None:
    flat, users = np.full(20, 0.5), np.arange(20)
    sent = np.asarray([0.0, 1.0] * 10)
    odd = np.ones(20)
    odd[7] = np.nan
    with pytest.raises(ValueError, match="controls: day: expected a finite number, got nan in row 7"):
        excursion_effect(flat, sent, flat, {"day": odd}, {}, users)
    with pytest.raises(ValueError, match="moderators: day: expected a finite number, got nan in row 7"):
        excursion_effect(flat, sent, flat, {}, {"day": odd}, users)
    with pytest.raises(ValueError, match=r"send_prob: expected between 0 and 1, got 1\.0 in row 0"):
        excursion_effect(flat, sent, np.ones(20), {}, {}, users)
    with pytest.raises(ValueError, match="users: expected more than the 2 coefficients, got 2"):
        excursion_effect(flat, sent, flat, {}, {}, users % 2)
