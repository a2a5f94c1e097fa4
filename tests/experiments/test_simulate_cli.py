"""`kairos simulate` and `kairos compare`: what they print, what they write, and what they leave when they fail."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from experiments import results, runs
from experiments.cli import main
from experiments.config import load_scenario
from simulator.events import EventEngine
from simulator.measures import Run
from simulator.records import MONEY

SMALL = ("--users", "80", "--days", "9")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to run in, so that a file at an unexpected place is seen."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def kairos(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, catch_exceptions=False)


def files_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


# ---------------------------------------------------------------------------------------------------- simulate


def test_simulate_writes_a_folder_and_says_where(folder: Path) -> None:
    result = kairos("simulate", "ecommerce", *SMALL, "--policy", "weekly-7")
    assert result.exit_code == 0
    out = "results/ecommerce-weekly-7"
    assert files_in(folder) == [
        f"{out}/{n}" for n in ("measures.json", "picture.png", "scenario.yaml", "users.parquet")
    ]
    assert f"Picture: {out}/picture.png" in result.stdout
    assert result.stdout.startswith("One send a day earns EUR ")
    assert "ecommerce, weekly-7: 80 users, 9 days, seed 1" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "\x1b" not in result.stdout
    assert result.stderr == ""


def test_simulate_json_is_json_alone_and_is_what_is_written(folder: Path) -> None:
    result = kairos("simulate", "ecommerce", *SMALL, "--json", "--out", "here")
    told = json.loads(result.stdout)
    assert told == json.loads(Path("here/measures.json").read_text("utf-8"))
    assert (told["policy"], told["n_users"], told["n_days"]) == ("weekly-7", 80, 9)
    assert result.stderr == ""


def test_users_are_written_one_a_row_and_sum_to_the_measures(folder: Path) -> None:
    told = json.loads(kairos("simulate", "ecommerce", *SMALL, "--json", "--out", "here").stdout)
    users = pq.read_table("here/users.parquet").to_pydict()
    assert users["user_id"] == list(range(80))
    assert sum(users["value_nano"]) == told["total"]["value_nano"]
    for name in ("sends", "deliveries", "clicks", "sessions_organic", "opt_outs_push", "churns"):
        assert sum(users[name]) == told["total"][name]
    parts = [users[f"{m.name.lower()}_nano"] for m in MONEY]
    assert [sum(user) for user in zip(*parts, strict=True)] == users["value_nano"]
    assert sum(users["has_left"]) == told["total"]["churns"]
    assert set(users["tier"]) <= {"low", "mid", "high"}


def test_the_written_scenario_gives_the_same_run_again(folder: Path) -> None:
    first = kairos("simulate", "news", *SMALL, "--seed", "5", "--set", "population.mature_share=0.5", "--json")
    again = kairos("simulate", "results/news-weekly-7/scenario.yaml", "--json", "--out", "again")
    assert json.loads(again.stdout) == json.loads(first.stdout)
    assert load_scenario("again/scenario.yaml").seed == 5


def test_threads_do_not_change_the_result(folder: Path) -> None:
    one = kairos("simulate", "ecommerce", *SMALL, "--threads", "1", "--json")
    assert one.stdout == kairos("simulate", "ecommerce", *SMALL, "--json").stdout


def test_both_engines_give_the_same_measures(folder: Path) -> None:
    fleet = kairos("simulate", "ecommerce", *SMALL, "--json")
    assert kairos("simulate", "ecommerce", *SMALL, "--json", "--engine", "events").stdout == fleet.stdout


def test_a_trace_has_every_event_on_a_line(folder: Path) -> None:
    arguments = ("simulate", "ecommerce", *SMALL, "--engine", "events", "--trace", "below/events.jsonl", "--json")
    told = json.loads(kairos(*arguments).stdout)
    events = [json.loads(line) for line in Path("below/events.jsonl").read_text("utf-8").splitlines()]
    times = [event["time_hours"] for event in events]
    assert times == sorted(times)
    of_users = [event for event in events if event["user"] is not None]
    assert {"time_hours", "user", "event", "campaign", "channel", "reason"} <= set(of_users[0])
    sends = [event for event in of_users if event["event"] == "send"]
    assert len(sends) == told["total"]["sends"]
    assert {event["campaign"] for event in sends} <= {row["name"] for row in told["by_campaign"]}
    assert {event["channel"] for event in sends} == {"push"}


def test_an_interrupted_trace_leaves_no_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(self: EventEngine, *arguments: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(EventEngine, "run", interrupted)
    result = kairos("simulate", "ecommerce", *SMALL, "--engine", "events", "--trace", "events.jsonl")
    assert result.exit_code == 130
    assert list(folder.iterdir()) == []


# ----------------------------------------------------------------------------------------------------- compare


def test_compare_prints_a_table_and_writes_every_policy(folder: Path) -> None:
    result = kairos("compare", "ecommerce", "--policies", "never,weekly-1,weekly-28", *SMALL, "--out", "out")
    assert result.exit_code == 0
    policies = ("never", "weekly-1", "weekly-28")
    each = [f"{policy}/{file}" for policy in policies for file in ("measures.json", "users.parquet")]
    assert files_in(folder / "out") == sorted(["comparison.json", "picture.png", "scenario.yaml", *each])
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert [line.split()[0] for line in lines if line.startswith(policies)] == list(policies)
    assert "over never" in result.stdout
    assert "Picture: out/picture.png" in result.stdout
    assert result.stderr == ""


def test_compare_json_is_json_alone_and_is_what_is_written(folder: Path) -> None:
    result = kairos("compare", "ecommerce", "--policies", "weekly-7,evening", "--baseline", "evening", *SMALL, "--json")
    told = json.loads(result.stdout)
    assert told == json.loads(Path("results/ecommerce-compare/comparison.json").read_text("utf-8"))
    assert (told["baseline"], told["silent"], told["n_users"]) == ("evening", None, 80)
    assert [effect["policy"] for effect in told["effects"]] == ["weekly-7", "evening"]
    assert told["effects"][1]["differences"]["value_eur"]["mean"] == 0


def test_long_names_fit_in_eighty_columns(folder: Path) -> None:
    names = "evening-cap-5+triggered+email,weekly-28+interest+triggered"
    result = kairos("compare", "ecommerce", "--policies", names, *SMALL)
    assert "evening-cap-5" in result.stdout
    assert max(map(len, result.stdout.splitlines()[:-2])) <= 80


# ---------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (("simulate", "ecom"), 1, "ecom: no such preset; known: ecommerce, games, learning, news. Did you mean"),
        (("simulate", "ecommerce", "--days", "9999"), 1, "--days: calendar.horizon_days: expected a whole number <= "),
        (("simulate", "ecommerce", "--set", "sed=3"), 1, "--set: sed: unknown key. Did you mean 'seed'?"),
        (("simulate", "ecommerce", "--users", "0"), 2, "Invalid value for '--users': 0 is not in the range x>=1."),
        (("simulate", "ecommerce", "--seed", "1", "--set", "seed=2"), 2, "--seed and --set seed say the same thing"),
        (("simulate", "ecommerce", "--policy", "wekly-7"), 2, "unknown policy 'wekly-7'; expected one of never, "),
        (("simulate", "ecommerce", "--policy", "weekly-7+emial"), 2, "did you mean '+email'?"),
        (("simulate", "ecommerce", "--trace", "events.jsonl"), 2, "--trace needs --engine events; the fleet engine"),
        (("simulate", "ecommerce", "--engine", "flet"), 2, "'flet' is not one of 'fleet', 'events'."),
        (("simulate", "ecommerce", "--threads", "4000"), 2, "threads: expected 1 to "),
        (("compare", "ecommerce"), 2, "Missing option '--policies'."),
        (("compare", "ecommerce", "--policies", ""), 2, "unknown policy ''"),
        (("compare", "ecommerce", "--policies", "never,always,never"), 2, "policy 'never' is given twice."),
        (
            ("compare", "ecommerce", "--policies", "never,always", "--baseline", "evening"),
            2,
            "baseline 'evening' is not among the policies: never, always",
        ),
    ],
)
def test_bad_input_is_told_and_leaves_nothing(
    folder: Path, arguments: tuple[str, ...], exit_code: int, message: str
) -> None:
    result = kairos(*arguments)
    assert result.exit_code == exit_code
    assert message in result.stderr
    assert result.stdout == ""
    assert list(folder.iterdir()) == []


def test_a_folder_that_is_a_file_is_refused_before_the_run(folder: Path) -> None:
    Path("taken").write_text("mine", "utf-8")
    result = kairos("simulate", "ecommerce", *SMALL, "--out", "taken/below")
    assert result.exit_code == 2
    assert "cannot write to taken/below: taken is a file." in result.stderr
    assert files_in(folder) == ["taken"]


def test_a_folder_that_cannot_be_written_to_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, text: str) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(results, "write_text", full)
    result = kairos("simulate", "ecommerce", *SMALL, "--out", "out")
    assert (result.exit_code, result.stderr) == (1, "Error: cannot write out/measures.json: No space left on device\n")


# ------------------------------------------------------------------------------------------------- interruption


def interrupted_at(nth: int) -> Callable[..., Run]:
    """A runner that is interrupted in its nth run, as by Ctrl-C."""
    whole, count = runs.run_policy, 0

    def run_policy(*arguments: Any) -> Run:
        nonlocal count
        count += 1
        if count == nth:
            raise KeyboardInterrupt
        return whole(*arguments)

    return run_policy


def test_an_interrupted_comparison_leaves_what_is_finished(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "run_policy", interrupted_at(3))
    policies = "never,weekly-7,weekly-28,always"
    result = kairos("compare", "ecommerce", "--policies", policies, *SMALL, "--out", "out", "--baseline", "always")
    assert result.exit_code == 130
    assert result.stderr == "Interrupted; without weekly-28, always.\n"
    told = json.loads(Path("out/comparison.json").read_text("utf-8"))
    assert [effect["policy"] for effect in told["effects"]] == ["never", "weekly-7"]
    assert {path.name for path in (folder / "out").iterdir() if path.is_dir()} == {"never", "weekly-7"}
    assert "weekly-7" in result.stdout
    assert "weekly-28" not in result.stdout


@pytest.mark.parametrize("command", [("simulate", "ecommerce"), ("compare", "ecommerce", "--policies", "never,always")])
def test_an_interruption_before_anything_is_finished_leaves_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setattr(runs, "run_policy", interrupted_at(1))
    result = kairos(*command, *SMALL)
    assert result.exit_code == 130
    assert result.stderr.startswith("Interrupted")
    assert list(folder.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
def test_a_real_signal_is_an_interruption(folder: Path) -> None:
    # A shell's background jobs ignore the signal, and so would their children: the child listens again.
    listen = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    start = f"{listen}; from experiments.cli import main; main()"
    command = [sys.executable, "-c", start, "compare", "ecommerce", "--policies", "never,weekly-28"]
    process = subprocess.Popen(
        [*command, "--users", "8000", "--out", "out"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while not (folder / "out/never/users.parquet").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stderr) == (130, "Interrupted; without weekly-28.\n")
    assert "Nothing to compare with never" in stdout
    assert files_in(folder / "out") == sorted(
        ["comparison.json", "picture.png", "scenario.yaml", "never/measures.json", "never/users.parquet"]
    )


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "sub" / "file.txt"
    results.write_text(path, "first")

    def break_off() -> None:
        with results.whole_file(path) as partial:
            partial.write_text("half", "utf-8")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        break_off()
    assert path.read_text("utf-8") == "first"
    assert files_in(tmp_path) == ["sub/file.txt"]
