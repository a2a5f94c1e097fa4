"""The guard rail: bounds that hold at all times, and a policy that is taken back by itself."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import betaln

from policies.service.deciding.guard_rail import Arm, log_martingale, rate_bounds, watch
from policies.service.state.unit import Tally, Unit
from tests.policies.service.serving import Served, coin, hash_of, sender, served


@pytest.mark.parametrize(("s", "n", "p"), [(0, 5, 0.3), (2, 7, 0.2), (20, 400, 0.05), (7, 7, 0.9)])
def test_the_martingale_is_the_mixture_of_likelihood_ratios(s: int, n: int, p: float) -> None:
    """By quadrature over the prior Beta(1/2, 1/2), with q = sin^2(angle), under which it is uniform in the angle."""

    def ratio(angle: float) -> float:
        q = math.sin(angle) ** 2
        return (q / p) ** s * ((1 - q) / (1 - p)) ** (n - s) * 2 / math.pi

    mixture, _ = quad(ratio, 0.0, math.pi / 2, epsabs=0.0, epsrel=1e-10, limit=200)
    assert math.isclose(math.exp(log_martingale(p, s, n)), mixture, rel_tol=1e-8)
    expected = betaln(0.5 + s, 0.5 + n - s) - betaln(0.5, 0.5) - s * math.log(p) - (n - s) * math.log1p(-p)
    assert math.isclose(log_martingale(p, s, n), expected, rel_tol=1e-10)


@pytest.mark.parametrize("p", [0.004, 0.05, 0.5])
@pytest.mark.parametrize("level", [0.05, 0.2])
def test_the_truth_is_left_out_at_any_time_with_at_most_the_level(p: float, level: float) -> None:
    """Exactly: the distribution of the count among paths that never left the truth out, over 400 looks."""
    alive = np.array([1.0])
    for n in range(1, 401):
        alive = np.append(alive, 0.0) * (1 - p) + np.append(0.0, alive) * p
        for s in range(n + 1):
            if alive[s] > 0.0:
                low, high = rate_bounds(s, n, level)
                if not low <= p <= high:
                    alive[s] = 0.0
        alive = np.trim_zeros(alive, "b")
        alive = np.append(alive, np.zeros(n + 1 - len(alive)))
        if alive.sum() < 1 - level:
            break
    assert 1 - alive.sum() <= level


@pytest.mark.parametrize(("s", "n"), [(0, 10), (3, 10), (10, 10), (12, 5_000), (0, 1)])
def test_bounds_are_where_the_martingale_crosses(s: int, n: int) -> None:
    low, high = rate_bounds(s, n, 0.05)
    assert low <= s / n <= high
    for edge in (low, high):
        if 0.0 < edge < 1.0:
            assert math.isclose(log_martingale(edge, s, n), math.log(20.0), abs_tol=1e-6)
    assert (low == 0.0) == (s == 0)
    assert (high == 1.0) == (s == n)


def test_bounds_close_in_and_nothing_is_known_of_nothing() -> None:
    assert rate_bounds(0, 0, 0.05) == (0.0, 1.0)
    widths = [high - low for low, high in (rate_bounds(n // 50, n, 0.05) for n in (100, 1_000, 10_000, 100_000))]
    assert widths == sorted(widths, reverse=True)
    # About 3.5 standard errors wide to each side where 1.96 would do once: half as much again, and no miracle.
    assert 2.5 < widths[-1] / 2 / math.sqrt(0.02 * 0.98 / 100_000) < 5.0


@pytest.mark.parametrize(
    ("new", "before", "is_tripped"),
    [
        (Arm(5_000, 120), Arm(20_000, 100), True),
        (Arm(5_000, 30), Arm(20_000, 100), False),
        (Arm(50, 4), Arm(20_000, 100), False),  # eight in a hundred, but of fifty sends
        (Arm(5_000, 120), Arm(0, 0), False),  # nothing to compare with
        (Arm(0, 0), Arm(20_000, 100), False),
    ],
)
def test_only_clear_harm_trips(new: Arm, before: Arm, is_tripped: bool) -> None:
    verdict = watch(new, before, margin=0.002, level=0.01)
    assert verdict.is_tripped == is_tripped
    assert ("not clearly more" in verdict.words) != is_tripped


def count(it: Served, policy_hash: str, n_sends: int, n_opt_outs: int) -> None:
    def work(unit: Unit) -> None:
        unit.tallies[Tally(0, policy_hash, "digest", "send")] += n_sends
        unit.tallies[Tally(0, policy_hash, "digest", "opt_out")] += n_opt_outs

    it.store.transact([], work, 0)


def test_a_harmful_policy_is_taken_back() -> None:
    with served(sender()) as it:
        harmful = it.add(coin(), "active")
        count(it, hash_of(sender()), 20_000, 100)
        count(it, harmful, 1_000, 5)
        it.caretaker.look_at_guard_rail()
        assert it.decide("ann")["policy_hash"] == harmful
        assert "not clearly more" in it.ask("GET", "/v1/policies").json()["guard_rail"]
        count(it, harmful, 4_000, 115)
        it.caretaker.look_at_guard_rail()
        assert it.decide("bob")["policy_hash"] == hash_of(sender())
        listed = it.ask("GET", "/v1/policies").json()
        assert listed["history"][-1][17:].startswith(
            f"guard rail: back to {hash_of(sender())[7:15]}: opt-outs a send 120 of"
        )
        it.caretaker.look_at_guard_rail()
        assert it.shelf.serving.control.active == hash_of(sender()), "it goes back once, not on and on"


def test_a_harmful_canary_is_ended() -> None:
    with served(sender()) as it:
        canary = it.add(coin(), "canary", 1.0)
        assert it.decide("ann")["policy_hash"] == canary
        count(it, hash_of(sender()), 20_000, 100)
        count(it, canary, 5_000, 120)
        it.caretaker.look_at_guard_rail()
        assert it.decide("bob")["policy_hash"] == hash_of(sender())
        assert it.shelf.serving.control.canary == ""


def test_opt_outs_are_counted_for_the_policy_that_sent() -> None:
    with served(sender()) as it:
        sent = it.decide("ann")
        it.add(coin(), "active")
        it.tell(sent["decision_id"], "opt_out")
        assert it.store.totals()[hash_of(sender()), "opt_out"] == 1


def test_a_guard_rail_that_is_off_says_so() -> None:
    with served(settings={"guard_rail": {"is_on": False}}) as it:
        it.add(coin(), "active")
        it.caretaker.look_at_guard_rail()
        assert it.service.guard_rail == "off"
