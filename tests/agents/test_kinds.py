"""Every kind of agent is written in one place, and is what its row says."""

from __future__ import annotations

import math
import subprocess
import sys
from importlib import import_module

import pytest

from agents.kinds import (
    KINDS,
    Credit,
    build_trainer,
    discount_per_day,
    horizon_words,
    is_bandit,
    kind_of,
    settings_class,
)


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_names_settings_of_its_kind_and_what_trains_it(kind: str) -> None:
    settings = settings_class(kind)()
    assert kind_of(settings) == kind
    row = KINDS[kind]
    assert is_bandit(kind) == bool(row.bandit) == (not row.trainer)
    module, _, name = (row.trainer or row.bandit).partition(":")
    assert callable(getattr(import_module(module), name))


def test_settings_load_no_torch() -> None:
    code = (
        "import sys\nfrom agents.kinds import build_trainer, KINDS, settings_class\n"
        "for kind in KINDS: settings_class(kind)\n"
        "print([name for name in ('torch', 'stable_baselines3', 'numba', 'matplotlib') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "torch" not in run.stdout
    assert "stable_baselines3" not in run.stdout


def test_an_unknown_kind_is_told_with_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"agent: kind: expected one of .*, got 'linucp'\. Did you mean 'linucb'\?"):
        settings_class("linucp")


def test_the_horizon_is_where_the_weight_has_fallen_to_one_in_e() -> None:
    settings = settings_class("maskable_ppo")(discount_per_day=0.98)  # type: ignore[call-arg]
    days = -1 / math.log(0.98)
    assert math.isclose(0.98**days, 1 / math.e)
    assert horizon_words(settings) == f"Discount 0.98 a day: the learning horizon is {days:.3g} days."
    endless = settings_class("ppo")(discount_per_day=1.0)  # type: ignore[call-arg]
    assert horizon_words(endless) == "No discount: the learning horizon is the episode."


def test_a_bandit_sees_as_far_as_its_window() -> None:
    settings = settings_class("linucb")()
    told = "A bandit: the learning horizon is its window of 1 h after each decision, no discount within it."
    assert horizon_words(settings) == told
    credit = Credit(window_hours=24.0, discount_per_day=0.9)
    assert "window of 24 h after each decision, discount 0.9 a day within it" in horizon_words(settings, credit)
    assert discount_per_day(settings, credit) == 0.9


def test_one_user_alone_is_no_vector() -> None:
    with pytest.raises(TypeError, match="build_trainer: env: expected a Gymnasium VectorEnv, got object: one user"):
        build_trainer(settings_class("linucb")(), object(), 1)
