"""Volume and survival on made-up responses whose best is known, and their documents."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from agents.baselines import survival, volume
from agents.baselines.document_agent import DocumentAgent
from agents.baselines.pilot import Pilot
from agents.designs import Candidates
from agents.problem import vocabulary_problem
from policies.decide import Policy
from policies.document import Network
from tests.agents.baselines.test_document_baselines import column, first_eligible, local_hours, states
from tests.agents.baselines.test_models import PROBLEM, known_effect, made_up


def response_log(opt_out_prob: float = 0.0) -> volume.VolumeLog:
    """Returns that are best at 1, 3 and 5 messages a week for cohorts below 4, below 20 and beyond; noise of .5."""
    rng = np.random.default_rng(3)
    n = 30_000
    sessions = rng.choice([2.0, 4.0, 19.0, 20.0, 90.0], n)
    volumes = rng.choice([0, 1, 3, 5], n)
    best = np.where(sessions < 4, 1, np.where(sessions < 20, 3, 5))
    opt_outs = (rng.random(n) < opt_out_prob * volumes).astype(np.int64)
    # Behind by at least .2 a step of two: 2,000 users a cell, standard error .011.
    return volume.VolumeLog(sessions, volumes, -0.1 * abs(volumes - best) + rng.normal(0, 0.5, n), opt_outs)


def test_the_known_best_volume_of_each_cohort_is_found() -> None:
    found = volume.best_volumes(response_log(), opt_out_cost=0.0, edges=(4.0, 20.0))
    assert found.settings.volumes == (1, 3, 5)
    expected = -0.1 * abs(np.asarray([0, 1, 3, 5]) - np.asarray([[1], [3], [5]]))
    assert (abs(found.utilities - expected) < 4.9 * found.standard_errors).all()


def test_opt_outs_that_cost_enough_bring_silence() -> None:
    log = response_log(opt_out_prob=0.1)
    assert volume.best_volumes(log, opt_out_cost=0.0, edges=(4.0, 20.0)).settings.volumes == (1, 3, 5)
    # A message a week costs .1 * 10 = 1, and gains .1 at most.
    assert volume.best_volumes(log, opt_out_cost=10.0, edges=(4.0, 20.0)).settings.volumes == (0, 0, 0)


def test_cohorts_without_users_are_sent_nothing() -> None:
    found = volume.best_volumes(response_log(), opt_out_cost=0.0, edges=(4.0, 200.0))
    assert found.settings.volumes[2] == 0
    assert np.isnan(found.utilities[2]).all()


def test_the_document_gives_each_cohort_its_volume() -> None:
    observations, masks = states(20_000, seed=9)
    settings = volume.Volume(edges=(4.0, 20.0), volumes=(0, 2, 7), hours=(18, 19))
    agent = DocumentAgent(settings.document(3), vocabulary_problem(3))
    actions = agent.act(observations, masks, np.random.default_rng(0)).actions
    sessions = np.expm1(column(observations, "sessions_30d"))
    since, pushes = np.expm1(column(observations, "hours_since_send")), column(observations, "pushes_7d")
    may_send = ((sessions >= 4) & (sessions < 20) & (since >= 72) & (pushes < 2)) | (
        (sessions >= 20) & (since >= 20) & (pushes < 7)
    )
    may_send &= np.isin(local_hours(observations), (18, 19))
    np.testing.assert_array_equal(actions, np.where(may_send, first_eligible(masks), 0))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"volumes": (1, 2)}, "volumes: expected 5, one a cohort, got 2"),
        ({"edges": (4.0, 4.0), "volumes": (1, 2, 3)}, "edges: expected rising ones"),
    ],
)
def test_settings_of_volumes_that_make_no_sense_are_refused(fields: dict[str, tuple[float, ...]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        volume.Volume.model_validate(fields)


@cache
def survival_log() -> Pilot:
    """Visits within 24 steps with logit -1 under silence and -1 + the known effect after a send; times exponential."""
    log = made_up(20_000, 21, 0.5, known_effect, noise=0.0)
    rng = np.random.default_rng(22)
    has_come = rng.random(len(log)) < 1 / (1 + np.exp(1.0 - known_effect(log.observations, log.actions)))
    hours = np.where(has_come, rng.integers(1, 25, len(log)), 25)
    return replace(log, hours_to_visit=hours)


def test_visit_uplifts_are_recovered() -> None:
    design = Candidates(PROBLEM)
    log = survival_log()
    found = survival.visit_uplifts(design, log.observations[:500], survival.visit_model(log, design, 24, 1e-3))
    for action in range(1, PROBLEM.n_actions):
        effects = known_effect(log.observations[:500], np.full(500, action))
        expected = 1 / (1 + np.exp(1.0 - effects)) - 1 / (1 + math.e)
        # 37 weights each of two models of 5,000 rows and more: a mean square of 2 * 37 / 5e3 * p (1 - p) = .003.
        assert float(np.square(found[:, action] - expected).mean()) < 0.006
    with pytest.raises(ValueError, match="pilot: window_hours: expected 1 to 24, the longest window, got 25"):
        survival.visit_model(log, design, 25, 1.0)


def test_the_network_is_the_model_with_its_gap() -> None:
    log = survival_log()
    settings = survival.Survival(sent_share=0.3, gap_hours=30)
    document = settings.document(log)
    assert isinstance(document.model, Network)
    observations, masks = log.observations[:10_000].copy(), log.masks[:10_000]
    hours = np.random.default_rng(1).integers(0, 60, len(masks))
    hours[:4] = (0, 29, 30, 31)
    observations[:, survival.SINCE_SEND] = np.log1p(hours)
    design = Candidates(PROBLEM)
    uplifts = survival.visit_uplifts(design, observations, survival.visit_model(log, design, 24, settings.penalty))
    uplifts[:, 0] = document.model.layers[1].bias[0]
    uplifts[hours < 30, 1:] -= 20.0
    expected = np.where(masks, uplifts, -np.inf).argmax(axis=1)
    actions = DocumentAgent(document, PROBLEM).act(observations, masks, np.random.default_rng(0)).actions
    ordered = np.sort(np.where(masks, uplifts, -np.inf), axis=1)
    is_clear = ordered[:, -1] - ordered[:, -2] > 1e-9
    np.testing.assert_array_equal(actions[is_clear], expected[is_clear])
    assert is_clear.mean() > 0.999
    assert 0.1 < (actions[hours >= 30] > 0).mean() < 0.9
    assert not (actions[hours < 30] > 0).any()
    assert Policy(document).decide(observations[3], masks[3], 0.0).action == actions[3]


def test_a_channel_that_was_never_tried_is_never_chosen_by_survival() -> None:
    log = survival_log()
    pushes = np.flatnonzero((log.actions == 0) | (log.actions % 2 == 1))
    rows = {
        name: getattr(log, name)[pushes] for name in log.__annotations__ if name not in ("problem", "windows_hours")
    }
    document = survival.Survival(sent_share=1.0, gap_hours=0).document(replace(log, **rows))
    actions = DocumentAgent(document, PROBLEM).act(log.observations, log.masks, np.random.default_rng(0)).actions
    assert not ((actions > 0) & (actions % 2 == 0)).any()
    assert (actions > 0).any()
