"""Baselines as documents: what each decides, in plain words, on random states; and the agent around a document."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from agents.agent import Floats, Ints
from agents.baselines import best_hour, fixed_hour, frequency_cap, priority, simplest, triggered_first
from agents.baselines.document_agent import DocumentAgent
from agents.baselines.frequency import Frequency
from agents.problem import vocabulary_problem
from policies.codec import read, write
from policies.decide import Policy
from policies.document import Binned, Document, Scorecard
from policies.vocabulary import USER_FEATURES

N_SLOTS = 3
PROBLEM = vocabulary_problem(N_SLOTS)
GRIDS: tuple[Any, ...] = (
    simplest.Never(),
    simplest.Always(),
    *simplest.RANDOM_GRID,
    *fixed_hour.GRID,
    *best_hour.GRID,
    *frequency_cap.GRID,
    *priority.GRID,
    *triggered_first.GRID,
)
PLACES = {feature.name: k for k, feature in enumerate(USER_FEATURES)}
RELEVANCE, MARGIN, CLICK_RATE, KIND = 1, 4, 5, 6  # within a slot's features


def states(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Random observations and masks; local hours are whole."""
    rng = np.random.default_rng(seed)
    observations = rng.uniform(PROBLEM.low, PROBLEM.high, (n, PROBLEM.n_features)).astype(np.float32)
    hours = rng.integers(24, size=n)
    observations[:, PLACES["local_hour_sin"]] = np.sin(hours * math.pi / 12)
    observations[:, PLACES["local_hour_cos"]] = np.cos(hours * math.pi / 12)
    masks = rng.random((n, PROBLEM.n_actions)) < 0.5
    masks[:, 0] = True
    return observations, masks


def column(observations: np.ndarray, name: str) -> Floats:
    return np.asarray(observations[:, PLACES[name]], np.float64)


def local_hours(observations: np.ndarray) -> Ints:
    sine, cosine = column(observations, "local_hour_sin"), column(observations, "local_hour_cos")
    return np.asarray(np.rint(np.arctan2(sine, cosine) * 12 / math.pi), np.int64) % 24


def decided(settings: Any, observations: np.ndarray, masks: np.ndarray) -> np.ndarray:
    agent = DocumentAgent(settings.document(N_SLOTS), PROBLEM)
    return agent.act(observations, masks, np.random.default_rng(0), is_exploring=False).actions


def first_eligible(masks: np.ndarray) -> np.ndarray:
    found: np.ndarray = np.where(masks[:, 1:].any(axis=1), 1 + masks[:, 1:].argmax(axis=1), 0)
    return found


@pytest.mark.parametrize("settings", GRIDS, ids=str)
def test_every_candidate_is_a_sound_document_and_survives_being_written(settings: Any) -> None:
    document = settings.document(N_SLOTS)
    Policy(document)
    assert read(write(document)) == document
    assert type(settings).model_validate_json(settings.model_dump_json()) == settings


def test_agents_decide_as_their_documents_do_one_at_a_time() -> None:
    observations, masks = states(300, seed=1)
    for settings in (simplest.RandomChoice(draw_prob=0.4), best_hour.GRID[0], frequency_cap.GRID[1], priority.GRID[9]):
        agent = DocumentAgent(settings.document(N_SLOTS), PROBLEM)
        policy = Policy(agent.to_policy("exported"))
        choices = agent.act(observations, masks, np.random.default_rng(3), wants_propensities=True)
        assert choices.propensities is not None
        shares = agent.probabilities(observations, masks)
        for row, uniform in enumerate(np.random.default_rng(3).random(300)):
            decision = policy.decide(observations[row], masks[row], float(uniform))
            assert decision.probabilities == tuple(shares[row])
            assert (decision.action, decision.propensity) == (choices.actions[row], choices.propensities[row])


def test_never_always_fixed_hour_and_cap_do_as_they_say() -> None:
    observations, masks = states(100_000, seed=2)
    assert not decided(simplest.Never(), observations, masks).any()
    np.testing.assert_array_equal(decided(simplest.Always(), observations, masks), first_eligible(masks))
    since = np.expm1(column(observations, "hours_since_send"))
    pushes = column(observations, "pushes_7d")
    hours = local_hours(observations)
    for settings, may_send in (
        (fixed_hour.FixedHour(hour=9, sends_per_week=2), (hours == 9) & (since >= 71) & (pushes < 2)),
        (fixed_hour.FixedHour(hour=9, sends_per_week=7), (hours == 9) & (since >= 23) & (pushes < 7)),
        (
            frequency_cap.FrequencyCap(hours=(8, 20), gap_hours=44.0, pushes_per_week=9),
            np.isin(hours, (8, 20)) & (since >= 44) & (pushes < 9),
        ),
        (frequency_cap.FrequencyCap(hours=(), gap_hours=0.0), np.ones(len(masks), bool)),
    ):
        expected = np.where(may_send, first_eligible(masks), 0)
        np.testing.assert_array_equal(decided(settings, observations, masks), expected)


def test_best_hour_reads_the_histogram_where_there_is_one() -> None:
    observations, masks = states(100_000, seed=3)
    settings = best_hour.BestHour(least_share=0.1, least_sessions=20, fallback_hour=18, gap_hours=20.0)
    is_known = np.expm1(column(observations, "sessions_30d")) >= 20
    is_own = np.where(is_known, column(observations, "own_hour_share") >= 0.1, local_hours(observations) == 18)
    often = (np.expm1(column(observations, "hours_since_send")) >= 20) & (column(observations, "pushes_7d") < 7)
    expected = np.where(is_own & often, first_eligible(masks), 0)
    assert 0.005 < (expected > 0).mean() < 0.9
    np.testing.assert_array_equal(decided(settings, observations, masks), expected)


@pytest.mark.parametrize("order", ["interest", "expected_revenue"])
def test_priority_takes_the_candidate_that_matters_most(order: Any) -> None:
    observations, masks = states(100_000, seed=4)
    settings = priority.Priority(order=order, hours=(), gap_hours=0.0)
    slots = observations[:, len(USER_FEATURES) :].reshape(len(masks), N_SLOTS, -1).astype(np.float64)
    score = slots[:, :, RELEVANCE] if order == "interest" else slots[:, :, CLICK_RATE] + slots[:, :, MARGIN]
    is_open = masks[:, 1:].reshape(len(masks), N_SLOTS, 2)
    best = np.where(is_open.any(axis=2), score, -np.inf).argmax(axis=1)
    channel = np.where(is_open[np.arange(len(masks)), best, 0], 0, 1)
    expected = np.where(is_open.any(axis=(1, 2)), 1 + 2 * best + channel, 0)
    np.testing.assert_array_equal(decided(settings, observations, masks), expected)


def test_triggered_messages_go_first_and_broadcasts_keep_their_distance() -> None:
    observations, masks = states(100_000, seed=8)
    rng = np.random.default_rng(8)
    slots = observations[:, len(USER_FEATURES) :].reshape(len(masks), N_SLOTS, -1)
    slots[:, :, KIND] = rng.choice([0.0, 0.5, 1.0], (len(masks), N_SLOTS))
    kinds, relevance = slots[:, :, KIND], slots[:, :, RELEVANCE].astype(np.float64)
    settings = triggered_first.TriggeredFirst(triggered_gap_hours=6.0, scheduled_gap_hours=44.0, hours=(9, 10, 20))
    since = np.expm1(column(observations, "hours_since_send"))
    is_open = masks[:, 1:].reshape(len(masks), N_SLOTS, 2)
    expected = np.zeros(len(masks), np.int64)
    for kind, may_send, order in (
        (0.0, (since >= 44) & np.isin(local_hours(observations), (9, 10, 20)), relevance),
        (1.0, since >= 6, -np.arange(N_SLOTS) * np.ones_like(relevance)),
        (0.5, since >= 6, -np.arange(N_SLOTS) * np.ones_like(relevance)),
    ):
        is_fit = is_open.any(axis=2) & (kinds == kind) & may_send[:, None]
        best = np.where(is_fit, order, -np.inf).argmax(axis=1)
        channel = np.where(is_open[np.arange(len(masks)), best, 0], 0, 1)
        expected = np.where(is_fit.any(axis=1), 1 + 2 * best + channel, expected)
    found = decided(settings, observations, masks)
    assert min(np.bincount(found)) > 1000
    np.testing.assert_array_equal(found, expected)


def test_gates_of_scorecards_and_conditions_of_rules_say_the_same() -> None:
    observations, masks = states(100_000, seed=5)
    often = Frequency(hours=(7, 8, 21), gap_hours=30.0, pushes_per_week=5)
    cap = frequency_cap.FrequencyCap(hours=(7, 8, 21), gap_hours=30.0, pushes_per_week=5)
    base = {"push": 1.0, "email": 1.0}
    terms: tuple[Binned, ...] = often.terms()
    gated = DocumentAgent(Document("gated", N_SLOTS, Scorecard(0.0, base, terms)), PROBLEM)
    found = gated.act(observations, masks, np.random.default_rng(0)).actions
    np.testing.assert_array_equal(found, decided(cap, observations, masks))


def test_random_is_random_even_when_exploring_is_not_asked_for() -> None:
    observations, masks = states(4, seed=6)
    masks[:] = True
    document = simplest.RandomChoice(draw_prob=0.7).document(N_SLOTS)
    for agent, share in (
        (DocumentAgent(document, PROBLEM, is_chance_the_policy=True), 0.1),
        (DocumentAgent(document, PROBLEM), 0.0),
    ):
        shares = agent.probabilities(observations, masks, is_exploring=False)
        np.testing.assert_allclose(shares[:, 1:], share, rtol=1e-15)
        assert DocumentAgent(agent.to_policy("r", is_exploring=False), PROBLEM).probabilities(observations, masks)[
            0, 1
        ] == pytest.approx(share)


def test_an_agent_refuses_other_problems_and_states() -> None:
    document = simplest.Never().document(2)
    with pytest.raises(ValueError, match="document 'never': expected a problem of 2 slots, got 3"):
        DocumentAgent(document, PROBLEM)
    agent = DocumentAgent(simplest.Never().document(N_SLOTS), PROBLEM)
    agent.restore(agent.state())
    with pytest.raises(ValueError, match="unknown"):
        agent.restore({"weights": np.zeros(1)})
    observations, masks = states(2, seed=7)
    observations[1, PLACES["tier"]] = 7
    with pytest.raises(ValueError, match=r"observations\[1\]: expected 0 <= tier <= 1, got 7"):
        agent.act(observations, masks, np.random.default_rng(0))
