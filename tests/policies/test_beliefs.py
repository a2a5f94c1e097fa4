"""Models that know how sure they are: what they prefer, and how they say it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from policies.batch import BatchPolicy
from policies.best_of_betas import best_of_betas
from policies.decide import DecideError, decide
from policies.document import Believed, Greedy, Posterior, Softmax
from policies.kinds.posterior import Chooser
from policies.vocabulary import N_SLOT_FEATURES, N_USER_FEATURES
from tests.policies.documents import ALL, ARMS, BETA_ARMS, POSTERIOR, C, observation
from tests.policies.random_documents import hard_observations


def believed() -> Posterior:
    assert isinstance(POSTERIOR.model, Posterior)
    return POSTERIOR.model


def test_reasons_of_a_posterior_say_how_sure_it_is() -> None:
    values = observation(send_load=4.0)
    model = replace(believed(), layers=(), optimism=0.5)
    decision = decide(replace(POSTERIOR, model=model, exploration=Greedy()), values, [1, 1, 0, 1, 0, 0, 0, 0, 0], 0.0)
    # x = [1, 0, 0]: push scores -0.125 with a first column of (0.25, 0, -0.0625), of which only 0.25 counts
    assert decision.action == 0
    assert decision.reasons == (
        "no_send is expected to score 0, give or take 0, and 0.5 of that is added for what may be learned",
        "next, slot0.push is expected to score -0.125, give or take 0.25",
    )
    assert decide(POSTERIOR, values, ALL, 0.999).reasons[0].startswith("slot3.email was drawn with probability 0.")


def test_optimism_is_weighed_against_the_mean() -> None:
    """LinUCB by hand: -0.125 + optimism * 0.25 beats 0 from optimism 0.5 on."""
    for optimism, action in ((0.49, 0), (0.51, 1)):
        model = replace(believed(), layers=(), optimism=optimism)
        flat = replace(POSTERIOR, model=model, exploration=Greedy())
        assert decide(flat, observation(send_load=4.0), [1, 1] + [0] * 7, 0.0).action == action


def test_reasons_of_arms() -> None:
    values = observation(slot0_kind=1.0, slot0_bucket_recency=1.0)
    told = decide(replace(ARMS, exploration=Greedy()), values, ALL, 0.0).reasons
    assert told == ("slot0.push scores 0.8 (0.3 before the candidate's terms), slot1.email 0.4",)
    told = decide(replace(BETA_ARMS, exploration=Greedy()), values, [1, 1] + [0] * 7, 0.0).reasons
    assert told == ("slot0.push succeeds at 0.08 of 100 counted trials; next, no_send succeeds at 0.05 of 1000",)


def test_standard_deviations_that_overflow_are_told() -> None:
    heads = {**believed().heads, "push": Believed((0.0,) * 3, ((0.0,), (1e308, 0.0), (1e308, 0.0, 0.0)))}
    wild = replace(POSTERIOR, model=replace(believed(), heads=heads, layers=()))
    values = observation(send_load=40.0, slot0_relevance=3.0)
    for ask in (
        lambda: decide(wild, values, ALL, 0.5),
        lambda: BatchPolicy(wild).probabilities(np.array([values]), np.array([ALL])),
    ):
        with pytest.raises(DecideError, match=r"standard deviation of a score: expected a finite number .*, got inf"):
            ask()


def test_a_belief_is_what_numpy_computes() -> None:
    """Mean and covariance as the textbook has them; for silence the candidate's input is 0."""
    observations, _ = hard_observations(POSTERIOR, np.random.default_rng(4), 30)
    model = replace(believed(), optimism=1.5)
    chooser = Chooser(model, C)
    layer = model.layers[0]
    for row in observations:
        expected = [0.0]  # silence is known
        for slot, channel in ((slot, channel) for slot in range(C) for channel in ("push", "email")):
            relevance = row[N_USER_FEATURES + N_SLOT_FEATURES * slot + 1]
            standardised = np.array([np.clip((row[13] - 4.0) / 3.0, -5.0, 5.0), relevance])
            x = np.append(1.0, np.tanh(np.array(layer.weights) @ standardised + np.array(layer.bias)))
            head = model.heads[channel]
            assert isinstance(head, Believed)
            factor = np.zeros((3, 3))
            factor[np.tril_indices(3)] = [number for numbers in head.factor for number in numbers]
            expected.append(float(np.array(head.mean) @ x + 1.5 * math.sqrt(x @ (factor @ factor.T) @ x)))
        assert chooser.preferences(row.tolist(), ALL) == pytest.approx(expected, abs=1e-12)


def test_a_head_for_silence_sees_an_average_candidate() -> None:
    model = replace(believed(), layers=(), heads={**believed().heads, "no_send": Believed((1.0, 2.0, 4.0), ROWS)})
    values = observation(send_load=7.0, slot0_relevance=2.0)
    assert Chooser(model, C).preferences(values, ALL)[0] == 3.0  # 1 + 2 * (7 - 4) / 3 + 4 * 0


ROWS = ((0.0,), (0.0, 0.0), (0.0, 0.0, 0.0))


def test_arms_are_values_and_the_candidates_terms() -> None:
    values = observation(slot0_kind=1.0, slot2_bucket_recency=0.5)
    expected = (0.0, 1.3, 0.8, 0.1, 0.4, -0.25, -0.25, -0.5, 0.25)
    found = decide(replace(ARMS, exploration=Softmax(1.0)), values, ALL, 0.0).probabilities
    weights = np.exp(expected)
    np.testing.assert_allclose(found, weights / weights.sum(), rtol=1e-14)


def test_the_chances_of_counts_are_those_of_the_eligible() -> None:
    found = decide(BETA_ARMS, observation(), [1, 0, 1, 0, 0, 1, 0, 0, 0], 0.0).probabilities
    assert found == pytest.approx(
        np.insert(best_of_betas((50.0, 3.0, 12.0), (950.0, 77.0, 300.0)), (1, 2, 2, 3, 3, 3), 0)
    )
