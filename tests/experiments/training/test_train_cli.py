"""`kairos train`: what it writes and prints, and how it goes on after a stop of any kind."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from click.testing import CliRunner, Result

from experiments.cli import main
from experiments.training.course import Course
from policies.codec import content_hash, read
from tests.architecture.imports import ROOT
from tests.experiments.training.ridge import RidgeTrainer

FILES = {
    *("config.yaml", "manifest.json", "curve.csv", "portions.csv", "checkpoints", "learning-curve.png", "result.json"),
    *(".lock", "tensorboard"),
}
OUT = "results/b-ridge"


def kairos(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, catch_exceptions=False)


def written(folder: str) -> dict[str, bytes]:
    """What must not depend on how often a training was stopped."""
    files = {name: Path(folder, name).read_bytes() for name in ("curve.csv", "portions.csv", "config.yaml")}
    for name in ("latest", "best"):
        with np.load(Path(folder, "checkpoints", f"{name}.npz")) as state:
            files |= {f"{name}/{key}": state[key].tobytes() for key in state.files if key != "seconds"}
    result = json.loads(Path(folder, "result.json").read_text("utf-8"))
    del result["seconds"]
    return files | {"result": json.dumps(result).encode()}


def evaluations() -> list[dict[str, str]]:
    return list(csv.DictReader(Path(OUT, "curve.csv").read_text("utf-8").splitlines()))


def test_a_training_in_an_exact_world(folder: Path) -> None:
    result = kairos("train", "b.yaml")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("Discount 0.9 a day: the learning horizon is 9.49 days.\n")
    assert result.stdout.count("the learning horizon is 9.49 days.") == 2, "at the start, and beside the result"
    assert "No policy document: expected the features of the vocabulary, got others\n" in result.stdout
    assert f"Picture: {OUT}/learning-curve.png\n" in result.stdout
    assert max(map(len, result.stdout.partition("\nNo policy")[0].splitlines())) <= 80
    assert {path.name for path in Path(OUT).iterdir()} == FILES
    rows = evaluations()
    assert [row["n_steps"] for row in rows] == ["0", "500", "1000", "1500", "2000"]
    told = json.loads(Path(OUT, "result.json").read_text("utf-8"))
    best = max(float(row["value_eur"]) for row in rows)
    assert told["best"]["value_eur"] == best
    assert told["best"]["gap_closed"] == pytest.approx((best - 0.045520) / (0.051624 - 0.045520), abs=2e-4)
    assert told["references_eur"]["optimum"] == pytest.approx(0.051624, abs=1e-6)
    assert json.loads(Path(OUT, "manifest.json").read_text("utf-8"))["versions"]["numpy"] == np.__version__


def test_a_training_on_users(folder: Path) -> None:
    result = kairos("train", "users.yaml", "--json", "--out", "out")
    assert (result.exit_code, result.stderr) == (0, "")
    told = json.loads(result.stdout)
    assert told == json.loads(Path("out/result.json").read_text("utf-8"))
    document = read(Path("out/policy.json").read_text("utf-8"))
    assert content_hash(document) == told["policy_hash"]
    best = told["best"]
    assert best["over_silence_low"] < best["over_silence_eur"] < best["over_silence_high"]
    assert {path.name for path in Path("out").iterdir()} == FILES | {"policy.json", "scenario.yaml"}
    # The folder holds all that it takes to train again.
    assert kairos("train", "out/config.yaml", "--out", "again").exit_code == 0
    assert written("again") == written("out")


def test_world_a_knows_no_users_at_all(folder: Path) -> None:
    tree = yaml.safe_load(Path("b.yaml").read_text("utf-8"))
    tree["environment"] = {"id": "kairos/ExactA-v0", "n_users": 20, "max_steps": 30}
    Path("a.yaml").write_text(yaml.safe_dump(tree), "utf-8")
    told = json.loads(kairos("train", "a.yaml", "--steps", "1000", "--seed", "9", "--json").stdout)
    assert (told["n_steps"], told["seed"]) == (1000, 9)
    assert told["references_eur"] == {
        "optimum": pytest.approx(1.24769, abs=1e-5),
        "best slots and threshold": pytest.approx(1.20897, abs=1e-5),
    }


def test_ctrl_c_keeps_what_was_learned_and_says_how_to_go_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kairos("train", "b.yaml", "--out", "whole")
    advance = RidgeTrainer.advance

    def interrupted(self: RidgeTrainer, n_steps: int) -> Any:
        if self.n_steps == 700:
            os.kill(os.getpid(), signal.SIGINT)
        return advance(self, n_steps)

    monkeypatch.setattr(RidgeTrainer, "advance", interrupted)
    before = signal.getsignal(signal.SIGINT)
    result = kairos("train", "b.yaml")
    assert result.exit_code == 130
    assert "Stopping after this portion; Ctrl-C again stops at once.\n" in result.stderr
    assert f"Interrupted. To go on: kairos train b.yaml --out {OUT} --resume\n" in result.stderr
    assert signal.getsignal(signal.SIGINT) is before
    monkeypatch.setattr(RidgeTrainer, "advance", advance)

    again = kairos("train", "b.yaml")
    assert again.exit_code == 1
    assert again.stderr == (
        f"Error: {OUT}: an unfinished training is there; go on with --resume, or name another folder with --out.\n"
    )
    resumed = kairos("train", "b.yaml", "--resume")
    assert (resumed.exit_code, resumed.stderr) == (0, "Going on at step 750 of 2,000.\n")
    assert written(OUT) == written("whole")


def test_killed_anywhere_it_goes_on_to_the_same_result(folder: Path) -> None:
    """SIGKILL leaves no time for anything; three times, whenever it falls, the last before the end."""
    long = ("--steps", "20000")
    code = (
        "from agents.kinds import KINDS\n"
        "from tests.experiments.training.conftest import RIDGE\n"
        "KINDS['ridge'] = RIDGE\n"
        f"from experiments.cli import main\nmain(['train', 'b.yaml', *{long}, '--out', 'killed', *FLAGS])\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    delays = np.random.default_rng().uniform(0.0, 0.4, 2)  # any moment must do, so it need not be the same twice
    latest = Path("killed/checkpoints/latest.npz")
    for k, delay in enumerate(delays):
        flags = ["--resume"] if k else []
        stamp = latest.stat().st_mtime_ns if k else 0
        with subprocess.Popen(
            [sys.executable, "-c", f"FLAGS = {flags}\n{code}"], cwd=folder, env=environment, stderr=subprocess.PIPE
        ) as process:
            while not latest.exists() or latest.stat().st_mtime_ns == stamp:
                assert process.poll() is None, process.stderr and process.stderr.read()
                time.sleep(0.01)
            time.sleep(delay)
            process.kill()
        assert not Path("killed/result.json").exists(), "killed too late to show anything"
    assert kairos("train", "b.yaml", *long, "--out", "killed", "--resume").exit_code == 0
    assert kairos("train", "b.yaml", *long, "--out", "whole").exit_code == 0
    assert written("killed") == written("whole")
    assert not list(Path("killed").rglob("*.partial"))


def test_killed_before_the_first_checkpoint_it_begins_anew(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def dies(self: Course) -> Any:
        raise KeyboardInterrupt

    state = Course.state
    monkeypatch.setattr(Course, "state", dies)
    result = kairos("train", "b.yaml")
    assert (result.exit_code, result.stderr) == (130, "Interrupted.\n")
    monkeypatch.setattr(Course, "state", state)
    assert kairos("train", "b.yaml", "--resume").stderr == "Going on at step 0 of 2,000.\n"
    assert kairos("train", "b.yaml", "--out", "whole").exit_code == 0
    assert written(OUT) == written("whole")


def test_what_cannot_be_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert kairos("train", "b.yaml").exit_code == 0
    finished = f"Error: {OUT}: a finished training is there; name another folder with --out.\n"
    kept = written(OUT)
    for more in ((), ("--resume",), ("--set", "agent.epsilon=0.1")):
        result = kairos("train", "b.yaml", *more)
        assert (result.exit_code, result.stderr) == (1, finished)
    result = kairos("train", "b.yaml", "--out", "new", "--resume")
    assert result.stderr == "Error: new: nothing to resume: expected an unfinished training there.\n"
    assert not Path("new").exists()
    Path(OUT, "result.json").rename("result.json")
    for setting, message in {
        "agent.epsilon=0.1": "config.agent.epsilon: expected 0.1, got 0.3: it is of another problem or config",
        "environment.n_users=49": "config.environment.n_users: expected 49, got 50: it is of another problem or config",
        "environment.id=kairos/ExactD-v0": "config.environment.id: expected 'kairos/ExactD-v0', got 'kairos/ExactB-v0'",
    }.items():
        result = kairos("train", "b.yaml", "--resume", "--set", setting)
        assert result.exit_code == 1
        assert f"Error: {OUT}/checkpoints/latest.npz: {message}" in result.stderr
    Path("result.json").rename(Path(OUT, "result.json"))
    assert written(OUT) == kept


def test_a_folder_in_use_is_left_alone(folder: Path) -> None:
    import fcntl

    Path(OUT).mkdir(parents=True)
    with Path(OUT, ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        result = kairos("train", "b.yaml")
    told = f"Error: {OUT}: another training is writing there; wait for it, or name another folder.\n"
    assert (result.exit_code, result.stderr) == (1, told)
    assert [path.name for path in Path(OUT).iterdir()] == [".lock"]


def test_a_missing_library_is_named_with_the_extra(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "stable_baselines3", None)
    for module in [name for name in sys.modules if name.startswith(("agents.reinforcement", "agents.vec_env"))]:
        monkeypatch.delitem(sys.modules, module)
    result = kairos("train", "b.yaml", "--set", "agent={kind: ppo}")
    assert result.exit_code == 1
    assert (
        'Training needs stable_baselines3, which is not installed: pip install "kairos-notify[train]"' in result.stderr
    )
    assert not Path(OUT).exists()


def test_without_tensorboard_a_training_says_so_and_goes_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard.summary.writer.event_file_writer", None)
    result = kairos("train", "b.yaml", "--steps", "500")
    assert result.exit_code == 0
    assert result.stderr == (
        'TensorBoard is not installed, so nothing is written for it: pip install "kairos-notify[train]"\n'
    )
    assert not Path(OUT, "tensorboard").exists()


def test_tensorboard_reads_what_was_written(folder: Path) -> None:
    assert kairos("train", "b.yaml").exit_code == 0
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

    [file] = Path(OUT, "tensorboard").iterdir()
    found: dict[str, list[tuple[int, float]]] = {}
    for event in LegacyEventFileLoader(str(file)).Load():
        for value in event.summary.value:
            found.setdefault(value.tag, []).append((event.step, value.simple_value))
    rows = evaluations()
    steps, values = zip(*found["evaluation/value_eur"], strict=True)
    assert list(steps) == [int(row["n_steps"]) for row in rows]
    assert values == pytest.approx([float(row["value_eur"]) for row in rows], rel=1e-6)
    assert len(found["learning/reward"]) == 40


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--seed", "1", "--set", "seed=2"), 2, "--seed and --set seed say the same thing; give one of them."),
        (("--steps", "9", "--set", "training.n_steps=2"), 2, "--steps and --set training.n_steps say the same thing"),
        (("--set", "agent.kind=rigde"), 1, "--set: agent.kind: expected one of 'epsilon_greedy', "),
        (("--set", "agent.kind=rigde"), 1, "got 'rigde'. Did you mean 'ridge'?\n"),
        (("--set", "agent.epsilon=2"), 1, "--set: agent.epsilon: expected a number <= 1, got 2\n"),
        (("--threads", "5000"), 2, "5000"),
    ],
)
def test_bad_options_are_told_and_leave_nothing(
    folder: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    result = kairos("train", "b.yaml", *arguments)
    assert result.exit_code == code
    assert message in result.stderr
    assert {path.name for path in folder.iterdir()} == {"b.yaml", "users.yaml"}


def test_help_is_light() -> None:
    code = (
        "import sys\nfrom experiments.cli import main\n"
        "try: main(['train', '--help'])\nexcept SystemExit: pass\n"
        "print([n for n in ('numpy', 'pydantic', 'yaml', 'torch', 'rich', 'tensorboard') if n in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert run.stdout.splitlines()[-1] == "[]"
