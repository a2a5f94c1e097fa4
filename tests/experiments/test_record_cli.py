"""`kairos record`: what it writes and prints, and what it leaves when it is stopped or refused."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from experiments.cli import main
from experiments.config import load_scenario
from experiments.recording import record_command
from policies.codec import write
from policies.ledger import read_decisions, read_endings, read_header, read_outcomes
from policies.ledger.trajectories import trajectories
from simulator.environments.vector import NotifyVectorEnv
from tests.policies.documents import SCORECARD

SMALL = ("--users", "40", "--days", "3")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to run in, so that a file at an unexpected place is seen."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def kairos(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, catch_exceptions=False)


def test_a_log_is_written_and_summed_up(folder: Path) -> None:
    result = kairos("record", "ecommerce", *SMALL, "--policy", "random")
    assert result.exit_code == 0
    assert result.stderr == ""
    out = "results/ecommerce-log-random"
    decisions = read_decisions(out).decisions()
    assert result.stdout.startswith("ecommerce, random: seed 1\n")
    assert f"decisions {len(decisions):>12,}" in result.stdout
    assert f"Ledger: {out}\nBeside it: scenario.yaml\n" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert len(trajectories(decisions, read_endings(out).endings())) == 40
    header = read_header(out)
    assert header.run == "ecommerce, random, seed 1"
    assert header.reasons[7] == "muted category"
    assert header.reasons[32:] == tuple(
        f"cap {cap.name}" for cap in load_scenario("ecommerce").constraints.limits().caps
    )
    assert header.campaigns == tuple(campaign.name for campaign in load_scenario("ecommerce").campaigns)
    assert load_scenario(f"{out}/scenario.yaml").population.n_users == 40
    assert {path.name for path in Path(out).iterdir()} == {
        *("decisions", "outcomes", "endings", "policies"),
        *("ledger.json", "scenario.yaml"),
    }


def test_json_is_json_alone_and_the_kept_document_writes_the_same_log(folder: Path) -> None:
    told = json.loads(kairos("record", "ecommerce", *SMALL, "--policy", "random", "--json", "--out", "one").stdout)
    [document] = Path("one/policies").iterdir()
    again = json.loads(
        kairos("record", "ecommerce", *SMALL, "--policy", str(document), "--json", "--out", "two").stdout
    )
    assert told == again
    assert told["n_decisions"] == len(read_decisions("one"))
    assert sum(told["n_outcomes"].values()) == len(read_outcomes("one")) > 0
    assert read_decisions("one").arrow.equals(read_decisions("two").arrow)
    assert read_outcomes("one").arrow.equals(read_outcomes("two").arrow)


def test_users_are_the_same_however_many_are_side_by_side(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kairos("record", "ecommerce", *SMALL, "--policy", "random", "--out", "one")
    monkeypatch.setattr(record_command, "USERS_AT_ONCE", 16)
    result = kairos("record", "ecommerce", *SMALL, "--policy", "random", "--out", "three")
    assert result.exit_code == 0
    one, three = read_decisions("one").decisions(), read_decisions("three").decisions()
    one_at, three_at = np.lexsort((one.step, one.user_id)), np.lexsort((three.step, three.user_id))
    for name in ("user_id", "episode_id", "luck_key", "time_hours", "features", "action", "reward", "truncated"):
        assert np.array_equal(getattr(one, name)[one_at], getattr(three, name)[three_at]), name
    assert len(trajectories(three, read_endings("three").endings())) == 40
    assert np.isin(read_outcomes("three").outcomes().decision_id, three.decision_id).all()


def test_ctrl_c_leaves_whole_episodes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step, n_steps = NotifyVectorEnv.step, 0

    def interrupted(self: NotifyVectorEnv, actions: Any) -> Any:
        nonlocal n_steps
        n_steps += 1
        if n_steps == 5:
            os.kill(os.getpid(), signal.SIGINT)
        return step(self, actions)

    monkeypatch.setattr(NotifyVectorEnv, "step", interrupted)
    before = signal.getsignal(signal.SIGINT)
    result = kairos("record", "ecommerce", *SMALL, "--policy", "random", "--out", "out")
    assert result.exit_code == 130
    assert (
        "Stopping after this step; Ctrl-C again stops at once.\nInterrupted; what is logged is whole.\n"
        in result.stderr
    )
    assert signal.getsignal(signal.SIGINT) is before
    decisions = read_decisions("out").decisions()
    assert n_steps == 5
    assert decisions.step.max() == 4
    assert len(trajectories(decisions, read_endings("out").endings())) == 40


def test_a_document_brings_its_own_number_of_candidates(folder: Path) -> None:
    Path("points.json").write_text(write(SCORECARD), "utf-8")
    result = kairos("record", "ecommerce", *SMALL, "--policy", "points.json", "--json")
    assert result.exit_code == 0
    assert read_header("results/ecommerce-log-points").n_slots == SCORECARD.n_slots
    result = kairos("record", "ecommerce", *SMALL, "--policy", "points.json", "--slots", "2", "--out", "two")
    assert (result.exit_code, result.stderr.splitlines()[-1]) == (
        2,
        "Error: --slots 2: the document looks at 4 candidates.",
    )
    result = kairos("record", "ecommerce", *SMALL, "--policy", "random", "--slots", "2", "--out", "two")
    assert result.exit_code == 0
    assert read_header("two").actions == ("no_send", "slot0.push", "slot0.email", "slot1.push", "slot1.email")


def test_bad_input_is_told_and_leaves_nothing(folder: Path) -> None:
    Path("bad.json").write_text('{"version": 1, "name": "x"}', "utf-8")
    cases = [
        (
            ("--policy", "randm"),
            2,
            "--policy randm: expected 'random' or a policy document's file: No such file or dir",
        ),
        (("--policy", "randm"), 2, "Did you mean 'random'?"),
        (("--policy", "bad.json"), 1, "bad.json"),
        (("--policy", "bad.json"), 1, "n_slots: missing"),
        ((), 2, "Missing option '--policy'"),
    ]
    for arguments, code, message in cases:
        result = kairos("record", "ecommerce", *SMALL, *arguments)
        assert result.exit_code == code
        assert message in result.stderr
    assert [path.name for path in folder.iterdir()] == ["bad.json"]


def test_a_ledger_that_is_there_is_not_gone_on_with(folder: Path) -> None:
    arguments = ("record", "ecommerce", *SMALL, "--policy", "random", "--out", "out")
    assert kairos(*arguments).exit_code == 0
    n = len(read_decisions("out"))
    result = kairos(*arguments)
    assert result.exit_code == 2
    assert "--out out: a ledger is there already; name another folder, or remove it." in result.stderr
    assert len(read_decisions("out")) == n
