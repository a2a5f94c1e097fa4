"""Later money is worth less: equal to the evaluation's own without a discount, and to a log's returns with one."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.config import load_scenario
from experiments.evaluation.discounted import Discounted
from experiments.evaluation.evaluate import evaluate
from experiments.offline.episode_card import SEED_STRIDE, EpisodeTwin
from experiments.offline.episode_card import deciding as logging_policy
from experiments.run.stages.contenders import deciding
from policies.document import Condition, Document, Rule, Rules, Send

EVENING = Document("evening", 4, Rules((Rule("e", (Condition("local_hour", "==", 19.0),), Send(("push",), "first")),)))
SCENARIO = load_scenario("ecommerce", {"calendar.horizon_days": 6})


def test_without_a_discount_it_is_the_evaluations_own() -> None:
    earned = Discounted(1.0)
    run = evaluate(deciding(EVENING), SCENARIO, 70, 5, n_slots=4, chunk_users=32, on_step=earned)
    assert earned.by_user() == pytest.approx(run.expected_nano / 1e9, abs=1e-9)


def test_discounts_follow_the_days_since_the_first_decision() -> None:
    """Fewer than undiscounted, and between what bounds allow: all money on the first day, all on the last."""
    whole, half = Discounted(1.0), Discounted(0.5)
    evaluate(None, SCENARIO, 200, 5, n_slots=4, on_step=whole)
    evaluate(None, SCENARIO, 200, 5, n_slots=4, on_step=half)
    ratio = half.by_user().sum() / whole.by_user().sum()
    assert 0.5**6 < ratio < 1.0
    even = np.mean(0.5 ** (np.arange(6 * 24) / 24.0))  # money that comes evenly
    assert ratio == pytest.approx(even, rel=0.2)


def test_the_value_is_what_estimates_from_a_log_are_of() -> None:
    """The log's own returns on the same users with the same luck, but for the luck of orders."""
    twin = EpisodeTwin(SCENARIO, 600, logging_policy(EVENING), 0.5)
    returns = twin.draw(0).returns
    earned, whole = Discounted(0.5), Discounted(1.0)
    for each in (earned, whole):
        seed = SCENARIO.seed + SEED_STRIDE
        evaluate(deciding(EVENING), SCENARIO, 600, seed, n_slots=4, epoch_hours=1, on_step=each)
    gap = returns - earned.by_user()
    assert abs(gap.mean()) < 4 * gap.std() / np.sqrt(len(gap))
    assert earned.by_user().mean() < 0.6 * whole.by_user().mean()
