"""The real agents through a whole training: cut in the middle, they go on to the same weights."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from agents.saved_state import load, save
from experiments.cli import main
from experiments.training.course import Watcher, follow
from experiments.training.source import load_training, training_names, training_path
from experiments.training.train import build
from tests.experiments.training.test_course import is_cut, nothing, same

SMALL_PPO = {"n_steps": 8, "batch_size": 80, "hidden_sizes": [8]}
TRAININGS: dict[str, tuple[str, dict[str, Any]]] = {
    "linucb": ("b.yaml", {"agent": {"kind": "linucb"}}),
    "linear_thompson with a window": (
        "users.yaml",
        {
            "agent": {"kind": "linear_thompson"},
            "credit": {"window_hours": 24, "discount_per_day": 0.9},
            "environment.lenses": [{"kind": "expected_conversion"}],
        },
    ),
    "ppo": ("b.yaml", {"agent": {"kind": "ppo", **SMALL_PPO}}),
    "dqn": (
        "b.yaml",
        {"agent": {"kind": "dqn", "learning_starts": 100, "batch_size": 32, "buffer_size": 1000, "hidden_sizes": [8]}},
    ),
    "ppo, which takes what is not eligible": ("users.yaml", {"agent": {"kind": "ppo", **SMALL_PPO}}),
    "maskable_ppo with lenses": (
        "users.yaml",
        {
            "agent": {"kind": "maskable_ppo", **SMALL_PPO},
            "environment.lenses": [
                {"kind": "expected_conversion"},
                {"kind": "against_silence"},
                {"kind": "shaping", "channel_eur_per_day": {"push": 0.01}},
                {"kind": "oracle"},
                {"kind": "history", "n": 2},
                {"kind": "normalisation"},
            ],
        },
    ),
}


@pytest.mark.parametrize("name", TRAININGS)
def test_a_resumed_training_equals_an_unbroken_one(folder: Path, name: str) -> None:
    file, settings = TRAININGS[name]
    plan = load_training(file, settings)
    whole, first, second = (build(plan).course for _ in range(3))
    assert follow(whole, Watcher(), nothing) == "steps"
    cut = len(whole.portions) // 2 + 1
    assert follow(first, Watcher(), nothing, partial(is_cut, first, cut)) == "interrupted"
    save(folder / "state.npz", first.state(), {"kind": "test"})
    second.restore(load(folder / "state.npz", {"kind": "test"}))
    assert follow(second, Watcher(), nothing) == "steps"
    assert same(second.state(), whole.state())
    assert second.curve.to_csv() == whole.curve.to_csv()
    # Learning changed something between the cut and the end, else the equality would be cheap.
    assert not same(first.trainer.agent.state(), whole.trainer.agent.state())


def test_the_learned_policy_is_written_as_a_document(folder: Path) -> None:
    plan = load_training("users.yaml", {"agent": {"kind": "maskable_ppo", **SMALL_PPO}})
    agent = build(plan).course.trainer.agent
    document = agent.to_policy("tried", is_exploring=False)
    assert (document.name, document.n_slots) == ("tried", 4)


USERS = [name for name in training_names() if name.startswith("users-")]
BANDITS = [name for name in USERS if "\ncredit:" in training_path(name).read_text("utf-8")]


@pytest.mark.parametrize("name", BANDITS)
def test_a_shipped_bandit_learns_past_its_window(name: str) -> None:
    """80 hours of 64 users: rewards of whole windows in its own scenario, which may lie beyond a bandit's range."""
    plan = load_training(name, {"environment.n_users": 64})
    assert plan.config.credit is not None
    assert plan.config.credit.window_hours < 80.0
    figures = build(plan).course.trainer.advance(64 * 80)
    assert figures["learned"] > 0.0
    assert figures.get("clipped", 0.0) < 0.5


def test_a_policy_that_is_drawn_is_judged_and_exported_so(folder: Path) -> None:
    """Of a policy that sends with a small probability the best action is silence; drawn, it sends."""
    agent = {"kind": "maskable_ppo", **SMALL_PPO, "initial_send_prob": 0.05, "learning_rate": 1e-9}
    sends, exploration = {}, {}
    for acts in ("best", "drawn"):
        settings = {"agent": agent, "training.evaluation.acts": acts, "training.n_steps": 160}
        arguments = [f"--set={path}={json.dumps(value)}" for path, value in settings.items()]
        done = CliRunner().invoke(main, ["train", "users.yaml", "--out", acts, "--json", *arguments])
        assert done.exit_code == 0, done.output
        sends[acts] = json.loads(done.stdout)["last"]["sends_per_user_week"]
        exploration[acts] = json.loads((folder / acts / "policy.json").read_text("utf-8"))["exploration"]
    assert sends["best"] == 0.0
    assert 1.0 < sends["drawn"] < 10.0  # about a tenth of the hours let something be sent
    assert exploration["best"] == {"kind": "none"}
    assert exploration["drawn"] == {"kind": "softmax", "temperature": 1.0}
