"""A bandit's document decides with the bandit's probabilities, exploring or not, trained or new."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from agents.bandits.recovering_softmax import RecoveringSoftmax
from agents.bandits.settings import RecoveringSoftmaxSettings
from agents.kinds import bandit
from policies.batch.policy import BatchPolicy
from policies.codec import read, write
from policies.decide import Policy
from tests.agents.bandits.worlds import PROBLEMS, SETTINGS, experience, plain_problem, situations

N = 2_000
ERROR = 1e-6  # of propensities by quadrature; everything else is closer by far


def trained(kind: str, n_updates: int) -> Any:
    agent = bandit(SETTINGS[kind], PROBLEMS["vocabulary"])
    for seed in range(n_updates):
        agent.update(experience(agent.problem, 80, seed))
    return agent


def open_to_silence(n: int, seed: int) -> Any:
    observations, masks = situations(PROBLEMS["vocabulary"], n, seed)
    masks[:, 0] = True
    return observations, masks


@pytest.mark.parametrize("kind", SETTINGS)
@pytest.mark.parametrize("is_exploring", [True, False])
@pytest.mark.parametrize("n_updates", [0, 4])
def test_a_document_has_the_bandits_probabilities(kind: str, is_exploring: bool, n_updates: int) -> None:
    agent = trained(kind, n_updates)
    document = read(write(agent.to_policy("a bandit", is_exploring=is_exploring)))
    observations, masks = open_to_silence(N, 5)
    expected = agent.probabilities(observations, masks, is_exploring=is_exploring)
    found = BatchPolicy(document).probabilities(observations, masks)
    np.testing.assert_allclose(found, expected, atol=ERROR)
    single = Policy(document)
    for k in range(5):
        one = single.probabilities(observations[k].tolist(), masks[k].tolist())
        np.testing.assert_allclose(one, expected[k], atol=ERROR)


@pytest.mark.proof
@pytest.mark.parametrize("kind", SETTINGS)
def test_a_document_decides_as_its_bandit_on_a_hundred_thousand_states(kind: str) -> None:
    agent = trained(kind, 4)
    observations, masks = open_to_silence(100_000, 6)
    for is_exploring in (True, False):
        policy = BatchPolicy(agent.to_policy("a bandit", is_exploring=is_exploring))
        expected = agent.probabilities(observations, masks, is_exploring=is_exploring)
        np.testing.assert_allclose(policy.probabilities(observations, masks), expected, atol=ERROR)


@pytest.mark.parametrize("kind", SETTINGS)
def test_another_problem_has_no_document(kind: str) -> None:
    agent = bandit(SETTINGS[kind], plain_problem())
    with pytest.raises(ValueError, match=r"to_policy: mine: expected the problem of the feature vocabulary, .* got 5"):
        agent.to_policy("mine")


def test_a_penalty_with_another_half_life_has_no_document() -> None:
    agent = RecoveringSoftmax(RecoveringSoftmaxSettings(half_life_days=3.0), PROBLEMS["vocabulary"])
    with pytest.raises(ValueError, match=r"half_life_days: expected 15, that of bucket_recency, .* got 3"):
        agent.to_policy("mine")
