"""`kairos train --begin-with`: the policy that another training had learned is where this one begins."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from click.testing import CliRunner, Result

from experiments.cli import main

SMALL = {"kind": "maskable_ppo", "n_steps": 8, "batch_size": 16, "hidden_sizes": [8], "initial_send_prob": 0.02}
SIGHT = [{"kind": "expected_conversion"}, {"kind": "oracle"}]


def train(out: str, steps: int, *arguments: str, **changes: Any) -> Result:
    settings = {"agent": SMALL, "training.n_steps": steps, "training.evaluate_every": steps} | changes
    sets = [f"--set={path}={json.dumps(value)}" for path, value in settings.items()]
    return CliRunner().invoke(main, ["train", "users.yaml", "--out", out, "--json", *sets, *arguments])


def best(folder: str) -> dict[str, Any]:
    with np.load(Path(folder, "checkpoints", "best.npz")) as file:
        return {name: file[name] for name in file.files}


def test_a_training_goes_on_from_another_ones_policy(folder: Path) -> None:
    assert train("first", 960).exit_code == 0
    still = dict(SMALL, learning_rate=1e-12)
    sees_more = {"agent": still, "environment.lenses": SIGHT}
    assert train("second", 160, "--begin-with", "first", **sees_more).exit_code == 0
    begun, learned = best("second"), best("first")
    for name, weights in learned.items():
        if name != "header.json" and not name.endswith(".0.weight"):
            np.testing.assert_allclose(begun[name], weights, atol=1e-6)
    manifest = json.loads(Path("second/manifest.json").read_text("utf-8"))
    assert manifest["begins_with"]["folder"] == "first"
    assert manifest["begins_with"]["name"] == "users-ridge"
    assert len(manifest["begins_with"]["weights_sha256"]) == 64
    assert "begins_with" not in json.loads(Path("first/manifest.json").read_text("utf-8"))


def test_it_is_resumed_with_the_same_beginning_or_not_at_all(folder: Path) -> None:
    assert train("first", 160).exit_code == 0
    assert train("other", 160, "--seed", "9").exit_code == 0
    assert train("whole", 480, "--begin-with", "first").exit_code == 0
    Path("whole/result.json").unlink()  # as one that was killed at the very end
    wrong = train("whole", 480, "--begin-with", "other", "--resume")
    assert wrong.exit_code == 1
    assert "latest.npz: config.begins_with.weights_sha256: expected" in wrong.output
    without = train("whole", 480, "--resume")
    assert without.exit_code == 1
    assert "config.begins_with: expected None, got {" in without.output
    assert train("whole", 480, "--begin-with", "first", "--resume").exit_code == 0


def test_what_it_cannot_begin_with_is_told(folder: Path) -> None:
    assert train("first", 160).exit_code == 0
    Path("empty").mkdir()
    nothing = train("out", 160, "--begin-with", "empty")
    assert nothing.exit_code == 1
    assert "--begin-with: empty: expected the folder of a training; there is no checkpoints/best.npz" in nothing.output
    wide = train("out", 160, "--begin-with", "first", agent=dict(SMALL, hidden_sizes=[16]))
    assert wide.exit_code == 1
    assert "--begin-with: first: " in wide.output
    assert "other hidden layers" in wide.output
    bandit = train("out", 160, "--begin-with", "first", agent={"kind": "softmax"})
    assert bandit.exit_code == 1
    assert "expected an agent that learns by reinforcement; a bandit begins with a log" in bandit.output
    Path("first/checkpoints/best.npz").write_bytes(b"PK half")
    broken = train("out", 160, "--begin-with", "first")
    assert broken.exit_code == 1
    assert "expected the checkpoint of a training: " in broken.output
    assert not Path("out").exists(), "nothing is left behind"
