"""Models of a pilot: known effects are recovered, and the document scores as the model does."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import fields, replace

import numpy as np
import pytest

from agents.agent import Bools, Floats, Ints, Observations
from agents.baselines import expected_value, survival, uplift
from agents.baselines.document_agent import DocumentAgent
from agents.baselines.frequency import NEVER_POINTS
from agents.baselines.linear import logistic, ridge
from agents.baselines.pilot import Pilot, random_actions
from agents.baselines.scored import candidate_scores, threshold_at
from agents.designs import Candidates
from agents.problem import vocabulary_problem
from policies.document import Document, Network, Scorecard, Weighted
from policies.vocabulary import N_SLOT_FEATURES, N_USER_FEATURES, USER_FEATURES

N_SLOTS = 2
PROBLEM = vocabulary_problem(N_SLOTS)
TIER = [feature.name for feature in USER_FEATURES].index("tier")
RELEVANCE, MARGIN = 1, 4
WINDOW = 24
ROWS = [field.name for field in fields(Pilot) if field.name not in ("problem", "windows_hours")]
Taught = uplift.Uplift | expected_value.ExpectedValue | survival.Survival
TAUGHT: tuple[Taught, ...] = (
    uplift.Uplift(kind="uplift_t"),
    uplift.Uplift(kind="uplift_x"),
    expected_value.ExpectedValue(),
    survival.Survival(),
)
Effect = Callable[[Observations, Ints], Floats]


def made_up(n: int, seed: int, send_prob: float, effect: Effect, noise: float) -> Pilot:
    """A pilot in which silence brings 2 + 3 tier, and an action its effect on top."""
    rng = np.random.default_rng(seed)
    observations = rng.uniform(PROBLEM.low, PROBLEM.high, (n, PROBLEM.n_features)).astype(np.float32)
    masks = rng.random((n, PROBLEM.n_actions)) < 0.7
    masks[:, 0] = True
    masks = masks[masks[:, 1:].any(axis=1)]
    observations = observations[: len(masks)]
    actions, propensities = random_actions(masks, send_prob, rng)
    base = 2.0 + 3.0 * observations[:, TIER]
    rewards = base + effect(observations, actions) + rng.normal(0, noise, len(masks))
    clicks = (rng.random(len(masks)) < 1 / (1 + np.exp(1 - slot(observations, actions, RELEVANCE)))).astype(float)
    return Pilot(
        problem=PROBLEM, windows_hours=(WINDOW,), observations=observations, masks=masks, actions=actions,
        propensities=propensities, weights=np.ones(len(masks)), rewards=rewards[:, None],
        clicks=(clicks * (actions > 0))[:, None], hours_to_visit=np.full(len(masks), WINDOW + 1),
    )  # fmt: skip


def slot(observations: Observations, actions: Ints, feature: int) -> Floats:
    slots = observations[:, N_USER_FEATURES:].reshape(len(actions), N_SLOTS, N_SLOT_FEATURES)
    return np.asarray(slots[np.arange(len(actions)), np.maximum(actions - 1, 0) // 2, feature], np.float64)


def known_effect(observations: Observations, actions: Ints) -> Floats:
    """Push: .5 relevance - tier; e-mail: .2; silence: 0."""
    push = 0.5 * slot(observations, actions, RELEVANCE) - observations[:, TIER]
    return np.where(actions == 0, 0.0, np.where(actions % 2 == 1, push, 0.2))


def effects_of_all(observations: Observations) -> Floats:
    n = len(observations)
    return np.stack([known_effect(observations, np.full(n, a)) for a in range(PROBLEM.n_actions)], axis=1)


def parameters(document: Document) -> Floats:
    """The numbers that a model has learned, without the threshold, which lies half way between two rows' scores."""
    model = document.model
    if isinstance(model, Scorecard):
        learned = [term for term in model.terms if isinstance(term, Weighted)]
        return np.asarray([*model.base.values(), *(w for t in learned for w in t.weight.values())])
    assert isinstance(model, Network)
    return np.concatenate([np.ravel(model.layers[0].weights), model.layers[0].bias])


@pytest.mark.parametrize("learner", [uplift.t_learner, uplift.x_learner])
def test_learners_recover_a_known_linear_uplift(learner: Callable[..., Floats]) -> None:
    design = Candidates(PROBLEM)
    exact = learner(made_up(4000, 1, 0.5, known_effect, noise=0.0), design, WINDOW, 1e-9)
    fresh = made_up(500, 2, 0.5, known_effect, noise=0.0)
    np.testing.assert_allclose(
        candidate_scores(design, fresh.observations, exact), effects_of_all(fresh.observations), atol=1e-5
    )
    # With noise of 1: 37 weights from 4,000 sends a channel, variance 37 / 4000 on average over states; twice the
    # silent model's at most, so a mean square of .02 is beyond a one in a million chance.
    noisy = learner(made_up(16000, 3, 0.5, known_effect, noise=1.0), design, WINDOW, 1e-9)
    errors = candidate_scores(design, fresh.observations, noisy) - effects_of_all(fresh.observations)
    assert float(np.square(errors).mean()) < 0.02


def test_the_x_learner_is_better_where_sends_are_few() -> None:
    # Its reason to be: an effect far simpler than the outcome, few rows with it, and a ridge on the effect.
    def constant(observations: Observations, actions: Ints) -> Floats:
        return np.where(actions == 0, 0.0, 0.3)

    design = Candidates(PROBLEM)
    log = made_up(20000, 4, 0.02, constant, noise=1.0)
    fresh = made_up(500, 5, 0.5, constant, noise=0.0)
    squares = []
    for learner in (uplift.t_learner, uplift.x_learner):
        found = candidate_scores(design, fresh.observations, learner(log, design, WINDOW, 200.0))[:, 1:]
        squares.append(float(np.square(found - 0.3).mean()))
    assert squares[1] < squares[0] / 2


@pytest.mark.parametrize("kind", ["uplift_t", "uplift_x"])
def test_the_document_sends_where_the_model_says(kind: str) -> None:
    log = made_up(6000, 6, 0.5, known_effect, noise=0.5)
    settings = uplift.Uplift.model_validate({"kind": kind, "sent_share": 0.4, "gap_hours": 0.0})
    document = settings.document(log)
    agent = DocumentAgent(document, PROBLEM)
    actions = agent.act(log.observations, log.masks, np.random.default_rng(0)).actions
    design = Candidates(PROBLEM)
    heads = (uplift.t_learner if kind == "uplift_t" else uplift.x_learner)(log, design, WINDOW, settings.penalty)
    scores = candidate_scores(design, log.observations, heads)
    assert isinstance(document.model, Scorecard)
    scores[:, 0] = document.model.threshold
    expected = np.where(log.masks, scores, -np.inf).argmax(axis=1)
    np.testing.assert_array_equal(actions, expected)
    assert (actions > 0).mean() == pytest.approx(0.4, abs=1 / len(log) + 1e-12)


def test_expected_value_finds_the_propensity_and_adds_the_margin() -> None:
    design = Candidates(PROBLEM)
    log = made_up(40000, 7, 0.9, known_effect, noise=0.0)
    heads = expected_value.propensity_model(log, design, WINDOW, 1e-3)
    fresh = made_up(300, 8, 0.5, known_effect, noise=0.0)
    logits = candidate_scores(design, fresh.observations, heads)
    valued = candidate_scores(design, fresh.observations, expected_value.with_value(design, heads))
    for action in range(1, PROBLEM.n_actions):
        taken = np.full(len(fresh), action)
        expected = slot(fresh.observations, taken, RELEVANCE) - 1.0
        # 37 weights from 18,000 sends at p (1 - p) of .18 and less: an error of the logit of .15 on average at most.
        assert float(np.square(logits[:, action] - expected).mean()) < 0.15**2
        np.testing.assert_allclose(
            valued[:, action] - logits[:, action], slot(fresh.observations, taken, MARGIN), atol=1e-5
        )
    document = expected_value.ExpectedValue(sent_share=1.0, gap_hours=0.0).document(log)
    actions = DocumentAgent(document, PROBLEM).act(fresh.observations, fresh.masks, np.random.default_rng(0)).actions
    assert (actions > 0).mean() > 0.99
    silent = made_up(100, 9, 0.5, known_effect, noise=0.0)
    silent.clicks[:] = 0
    with pytest.raises(ValueError, match="expected_value: expected clicks within 24 hours after the pilot's"):
        expected_value.propensity_model(silent, design, WINDOW, 1.0)


def test_clicks_on_other_messages_are_not_taken_for_clicks_on_the_one_sent() -> None:
    # Another is clicked with logit -1.5 + 1.5 tier, as often as the message itself.
    design = Candidates(PROBLEM)
    log = made_up(120_000, 14, 0.5, known_effect, noise=0.0)
    rng = np.random.default_rng(15)
    others = rng.random(len(log)) < 1 / (1 + np.exp(1.5 - 1.5 * log.observations[:, TIER]))
    fresh = made_up(300, 16, 0.5, known_effect, noise=0.0)
    found = expected_value.propensity_model(replace(log, clicks=log.clicks + others[:, None]), design, WINDOW, 1e-3)
    logits = candidate_scores(design, fresh.observations, found)
    expected = [slot(fresh.observations, np.full(len(fresh), a), RELEVANCE) - 1.0 for a in range(1, PROBLEM.n_actions)]
    # 37 weights from 30,000 sends a channel, of which two thirds tell: those after which no other was clicked, at a
    # p (1 - p) of .1 and less at most places. That is 37 / 2000 = .02 on average over states; five times that is beyond
    # a one in a million chance (chi-square, 74). A model of any click, whichever message's, is off by 2.5.
    assert float(np.square(logits[:, 1:].T - expected).mean()) < 0.1
    # Sends after which fewer click than after silence say that a channel is of no use, not that its share is below 0.
    fewer = np.where(log.actions % 2 == 0, others & (log.actions == 0), others) + log.clicks[:, 0] * (log.actions % 2)
    found = expected_value.propensity_model(replace(log, clicks=fewer[:, None]), design, WINDOW, 1e-3)
    assert (candidate_scores(design, fresh.observations, found)[:, 2::2] < NEVER_POINTS / 2).all()
    fewer = others & ((log.actions == 0) | (rng.random(len(log)) < 0.5))
    document = expected_value.ExpectedValue().document(replace(log, clicks=fewer[:, None].astype(float)))
    agent = DocumentAgent(document, PROBLEM)
    assert not agent.act(fresh.observations, fresh.masks, np.random.default_rng(0)).actions.any()


@pytest.mark.parametrize("settings", TAUGHT, ids=lambda settings: settings.kind)
def test_a_row_of_weight_three_is_three_rows(settings: Taught) -> None:
    """As a pilot that keeps a third of the silent decisions has them; noise and ridge make every weight matter."""
    log = made_up(3000, 17, 0.4, known_effect, noise=1.0)
    hours = np.random.default_rng(18).integers(1, WINDOW + 2, len(log))
    others = np.random.default_rng(19).random((len(log), 1)) < 0.2
    log = replace(log, hours_to_visit=hours, clicks=log.clicks + others)
    few = replace(log, weights=np.where(log.is_send, 1.0, 3.0))
    copies = np.repeat(np.arange(len(log)), np.where(log.is_send, 1, 3))
    all_rows = replace(log, **{name: getattr(log, name)[copies] for name in ROWS})
    found, expected = (parameters(settings.document(some)) for some in (few, all_rows))
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)
    unweighted = parameters(settings.document(log))
    assert not np.allclose(unweighted, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("settings", TAUGHT, ids=lambda settings: settings.kind)
def test_a_model_is_taught_by_the_window_of_its_settings(settings: Taught) -> None:
    """One pilot serves all windows: each model is that of a pilot with its window alone."""
    short, long = (made_up(3000, seed, 0.4, known_effect, noise=1.0) for seed in (20, 20))
    hours = np.random.default_rng(21).integers(1, 74, len(short))
    long = replace(
        long, windows_hours=(72,), rewards=-long.rewards, clicks=long.clicks + (hours % 2)[:, None] * long.clicks[::-1]
    )
    both = replace(
        long,
        windows_hours=(WINDOW, 72),
        rewards=np.concatenate([short.rewards, long.rewards], axis=1),
        clicks=np.concatenate([short.clicks, long.clicks], axis=1),
        hours_to_visit=hours,
    )
    short = replace(short, hours_to_visit=np.minimum(hours, WINDOW + 1))
    long = replace(long, hours_to_visit=hours)
    within_24, within_72 = (settings.model_copy(update={"window_hours": hours}) for hours in (WINDOW, 72))
    assert within_24.document(both) == within_24.document(short)
    assert within_72.document(both) == within_72.document(long)
    assert within_24.document(both) != within_72.document(both)
    with pytest.raises(ValueError, match=r"pilot: window_hours: expected .*72.*, got 100"):
        settings.model_copy(update={"window_hours": 100}).document(both)


def test_a_channel_that_was_never_tried_is_never_chosen() -> None:
    log = made_up(4000, 10, 0.5, known_effect, noise=0.0)
    pushes = np.flatnonzero((log.actions == 0) | (log.actions % 2 == 1))
    only = replace(log, **{name: getattr(log, name)[pushes] for name in ROWS})
    for settings in (uplift.T_GRID[0], uplift.X_GRID[0], expected_value.GRID[0]):
        agent = DocumentAgent(settings.document(only), PROBLEM)
        actions = agent.act(log.observations, log.masks, np.random.default_rng(0)).actions
        assert not ((actions > 0) & (actions % 2 == 0)).any()


def test_ridge_and_logistic_solve_their_equations() -> None:
    rng = np.random.default_rng(11)
    rows = np.concatenate([np.ones((200, 1)), rng.normal(size=(200, 3))], axis=1)
    weights = rng.uniform(0.5, 2.0, 200)
    outcomes = (rng.random(200) < 0.3).astype(float)
    found = ridge(rows, outcomes, weights, 5.0)
    slope = rows.T @ (weights * (rows @ found - outcomes))
    np.testing.assert_allclose(slope, [0, *(-5.0 * found[1:])], atol=1e-9)
    found = logistic(rows, outcomes, weights, 5.0)
    slope = rows.T @ (weights * (1 / (1 + np.exp(-rows @ found)) - outcomes))
    np.testing.assert_allclose(slope, [0, *(-5.0 * found[1:])], atol=1e-4)
    with pytest.raises(ValueError, match="logistic: penalty: expected above 0, got 0"):
        logistic(rows, outcomes, weights, 0.0)


def test_thresholds_are_beaten_by_the_share_that_was_asked_for() -> None:
    scores, weights = np.asarray([1.0, 2.0, 3.0, 4.0]), np.asarray([1.0, 1.0, 1.0, 5.0])
    for share, threshold in ((5 / 8, 3.5), (6 / 8, 2.5), (0.1, 3.5), (1.0, 0.0)):
        assert threshold_at(scores, weights, share) == threshold
    assert math.isfinite(threshold_at(np.zeros(3), np.ones(3), 0.5))


def test_random_actions_have_the_propensities_that_they_say() -> None:
    n = 60000
    masks: Bools = np.tile(np.asarray([True, True, False, True, True]), (n, 1))
    actions, propensities = random_actions(masks, 0.6, np.random.default_rng(12))
    for action, share in ((0, 0.4), (1, 0.2), (2, 0.0), (3, 0.2), (4, 0.2)):
        assert abs((actions == action).mean() - share) <= 4.9 * math.sqrt(share * (1 - share) / n)
        np.testing.assert_allclose(propensities[actions == action], share)
    nothing: Bools = np.tile(np.asarray([True, False]), (3, 1))
    actions, propensities = random_actions(nothing, 0.6, np.random.default_rng(13))
    assert not actions.any()
    assert (propensities == 1.0).all()
