"""What comes in at an agent's front door: what is wrong is told by name, and nothing is as good as something."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from agents.agent import Experience
from agents.bandits.linear_thompson import LinearThompson
from agents.bandits.linucb import LinUCB
from agents.bandits.settings import LinearThompsonSettings, LinUCBSettings
from agents.problem import Problem, vocabulary_problem

PROBLEM = vocabulary_problem(2)
N = 6


def fine() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {
        "observations": rng.uniform(PROBLEM.low, PROBLEM.high, (N, PROBLEM.n_features)).astype(np.float32),
        "masks": np.ones((N, PROBLEM.n_actions), np.bool_),
        "actions": np.zeros(N, np.int64),
        "rewards": rng.normal(size=N),
    }


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (
            "rewards",
            lambda a: a[:, None],
            r"numbers with 1 axes, got float64 of shape \(6, 1\)",
        ),
        ("rewards", lambda a: a.tolist(), r"rewards: expected an array of numbers with 1 axes, got list"),
        ("rewards", lambda a: a.astype(object), r"rewards: expected an array of numbers with 1 axes, got object"),
        ("rewards", lambda a: a[:-1], r"rewards: expected 6 rows, as of actions, got 5"),
        (
            "rewards",
            lambda a: np.where(np.arange(N) == 4, np.nan, a),
            r"rewards\[4\]: expected a finite",
        ),
        ("actions", lambda a: a * 1.0, r"actions: expected an array of integers with 1 axes, got float64"),
        ("actions", lambda a: a + 9, r"actions\[0\]: expected 0 to 4, got 9"),
        ("masks", lambda a: a[:, 0], r"masks: expected an array of booleans with 2 axes, got bool of shape \(6,\)"),
        (
            "masks",
            lambda a: a & (np.arange(5) > 0),
            r"expected one of the eligible \[1, 2, 3, 4\], got 0",
        ),
        ("observations", lambda a: a.tolist(), r"observations: expected an array of floats with 2 axes, got list"),
    ],
)
def test_an_experience_that_is_none_is_refused(name: str, change: Any, message: str) -> None:
    given = fine()
    given[name] = change(given[name])
    with pytest.raises(ValueError, match=message):
        Experience(**given)


@pytest.mark.parametrize(
    ("observations", "masks", "message"),
    [
        (lambda o: o.tolist(), lambda m: m, "observations: expected a NumPy array of numbers, got list"),
        (lambda o: o.astype(object), lambda m: m, "observations: expected a NumPy array of numbers, got dtype object"),
        (lambda o: o, lambda m: m.tolist(), "masks: expected a NumPy array of numbers, got list"),
        (lambda o: o[:, 1:], lambda m: m, r"observations: expected shape \(U, 43\), got \(6, 42\)"),
        (lambda o: o, lambda m: m[1:], r"masks: expected shape \(6, 5\), got \(5, 5\)"),
        (lambda o: o, lambda m: m & False, r"masks\[0\]: expected at least one eligible action of 5, got none"),
        (
            lambda o: o * np.float32(np.nan),
            lambda m: m,
            r"\[0\]: expected -1 <= local_hour_sin <= 1, got nan",
        ),
    ],
)
def test_a_question_that_is_none_is_refused(observations: Any, masks: Any, message: str) -> None:
    agent = LinUCB(LinUCBSettings(), PROBLEM)
    given = fine()
    with pytest.raises(ValueError, match=message):
        agent.act(observations(given["observations"]), masks(given["masks"]), np.random.default_rng(0))


@pytest.mark.parametrize(
    "agent",
    [LinUCB(LinUCBSettings(), PROBLEM), LinearThompson(LinearThompsonSettings(), PROBLEM)],
    ids=["linucb", "linear_thompson"],
)
def test_nobody_is_asked_about(agent: Any) -> None:
    given = fine()
    observations, masks, rng = given["observations"][:0], given["masks"][:0], np.random.default_rng(0)
    for is_exploring in (True, False):
        assert agent.act(observations, masks, rng, is_exploring=is_exploring).actions.shape == (0,)
        assert agent.probabilities(observations, masks, is_exploring=is_exploring).shape == (0, 5)


def test_a_linear_model_needs_ranges() -> None:
    low, high = np.asarray([0, -np.inf], np.float32), np.asarray([1, np.inf], np.float32)
    with pytest.raises(ValueError, match=r"speed: expected a finite range, .* got -inf"):
        LinUCB(LinUCBSettings(), Problem(("place", "speed"), low, high, ("stay", "go")))
