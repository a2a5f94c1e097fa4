"""A run: what lies in its folder, that it is whole or absent, and that it goes on after a stop of any kind."""

from __future__ import annotations

import datetime as dt
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from agents.distil.lessons import States
from experiments.evaluation.outcomes import Evaluation
from experiments.exports.states import visited
from experiments.faults import ConfigError, Fault
from experiments.run.faults import Interrupted, RunError
from experiments.run.folder import BEGUN, LOCK, RunFolder, unfinished
from experiments.run.manifest import must_reproduce
from experiments.run.readers import read_run
from experiments.run.run import run_experiment
from experiments.run.source import Experiment, load_experiment
from experiments.run.stages import exports as exports_stage
from experiments.run.summary import answer, summary
from experiments.run.trial import run_trial
from policies.decide import load
from policies.document import Document
from simulator.config import Scenario
from tests.experiments.run.tiny import CHANGES, FILES, MEASURES, SETTINGS, contents, kairos, reproduced, small, tiny

# ------------------------------------------------------------------------------------------------------- what is there


def test_the_folder_holds_what_it_promises(finished: Path, experiment: Experiment) -> None:
    assert {path.name for path in finished.iterdir()} == FILES
    assert {path.stem for path in (finished / "measures").iterdir()} == MEASURES
    assert list(finished.parent.iterdir()) == [finished]  # nothing unfinished beside it
    assert finished.parts[-3:] == ("quick", experiment.hash, "1")
    names = {contender.name for contender in experiment.config.contenders}
    assert {path.stem for path in (finished / "users").iterdir()} == names
    for name in names - {"silence"}:
        assert load((finished / "policies" / f"{name}.json").read_text("utf-8"), name).document.name == name
    assert {path.name for path in (finished / "exports" / "linear-thompson").iterdir()} == {
        *("certificate.json", "certificate.md", "forms.json", "python.py", "sql.sql", "rules.json"),
    }
    again = load_experiment(finished / "config.yaml")
    assert again.to_data() == experiment.to_data()
    assert again.hash == experiment.hash


def test_the_manifest_knows_every_file_that_must_reproduce(finished: Path, experiment: Experiment) -> None:
    run = read_run(finished)
    assert (run.name, run.hash, run.seed) == ("quick", experiment.hash, 1)
    assert set(run.manifest["files"]) == {name for name in contents(finished) if must_reproduce(name)}
    assert "report.html" not in run.manifest["files"]
    assert "pictures/overview.png" in run.manifest["files"]
    assert "ledger/random/decisions/part-000000.parquet" in run.manifest["files"]
    assert not any("seconds" in name or name.startswith(".") for name in run.manifest["files"])
    assert run.manifest["versions"]["numpy"] == np.__version__
    assert run.manifest["machine"]["cores"] == os.cpu_count()
    assert run.damage() == []


def test_each_round_of_distillation_meets_other_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where more users are learned from than the certificate tries, too."""
    met: list[int] = []

    def watched(document: Document, scenario: Scenario, n_users: int, seed: int, **arguments: Any) -> States:
        met.extend(range(seed, seed + n_users))
        return visited(document, scenario, n_users, seed, **arguments)

    monkeypatch.setattr(exports_stage, "visited", watched)
    few = {"exports.forms": ["tree"], "exports.learn_users": 16, "exports.n_users": 4, "exports.contenders": ["cap"]}
    run_experiment(load_experiment("quick", CHANGES | {"offline": None, "robustness": None} | few), tmp_path / "1")
    assert len(met) == len(set(met)) == 3 * 16


def test_measures_are_of_the_same_users(finished: Path) -> None:
    run = read_run(finished)
    outcomes = run.measures("outcomes")
    users = {path.stem: pl.read_parquet(path) for path in (finished / "users").iterdir()}
    assert set(outcomes["outcome"]) >= {
        *("value_eur", "sends", "opens", "clicks", "sessions", "opt_outs", "churns", "retained", "satisfaction"),
    }
    for row in outcomes.to_dicts():
        own = users[row["policy"]]
        if row["outcome"] == "sends":
            assert row["mean"] == pytest.approx(own["sends"].mean())
        if row["outcome"] == "value_eur":
            values = {name: users[name]["expected_nano"].to_numpy() / 1e9 for name in (row["policy"], "cap")}
            gain = values[row["policy"]] - values["cap"]
            assert row["mean"] == pytest.approx(values[row["policy"]].mean())
            if row["policy"] == "cap":
                assert row["difference"] is None
            else:
                assert row["difference"] == pytest.approx(gain.mean())
                half = 1.959963984540054 * gain.std(ddof=1) / np.sqrt(len(gain))
                assert row["difference_high"] - row["difference"] == pytest.approx(half)
    for table in ("days", "hours", "harm"):
        rows = run.measures(table).filter(pl.col("segment") != "") if table == "harm" else run.measures(table)
        sends = dict(rows.group_by("policy").agg(pl.col("sends").sum()).iter_rows())
        assert sends == {name: own["sends"].sum() for name, own in users.items()}, table
    assert run.measures("outcomes").filter(pl.col("policy") == "silence", pl.col("outcome") == "sends")["mean"][0] == 0


def test_curves_and_estimates_stand_beside_what_they_are_held_against(finished: Path) -> None:
    run = read_run(finished)
    curves = run.measures("curves")
    assert curves.filter(pl.col("contender") == "linear-thompson")["step"].to_list() == [0, 608, 1200]
    [reference] = curves.filter(pl.col("contender") == "reference").to_dicts()
    outcomes = run.measures("outcomes").filter(pl.col("policy") == "silence", pl.col("outcome") == "value_eur")
    assert reference["step"] is None
    assert reference["value_eur"] == pytest.approx(-outcomes["difference"][0])
    offline = run.measures("offline")
    assert set(offline["policy"]) == {"silence", "cap", "linear-thompson"}
    assert ((offline["estimate"].is_null()) == (offline["refused"].is_not_null())).all()
    assert offline["truth"].is_not_null().all()
    told = offline.filter(pl.col("policy") == "silence", pl.col("estimate").is_not_null())
    assert len(told) > 0
    assert (told["low"] <= told["estimate"]).all()


def test_policies_are_tried_in_other_worlds(finished: Path) -> None:
    matrix = pl.read_parquet(finished / "robustness" / "matrix.parquet")
    cells = [(row["world"], row["policy"]) for row in matrix.to_dicts()]
    names = ("silence", "cap", "linear-thompson")
    assert cells == [(world, name) for world in ("home", "fatigue-twice") for name in names]
    assert (matrix["n_users"] == 16).all()
    assert matrix.filter(pl.col("policy") == "cap")["reference_difference"].null_count() == 2
    assert "fatigue-twice" in (finished / "report.html").read_text("utf-8")


def test_the_answer_is_told_by_users_that_it_was_not_chosen_by(finished: Path) -> None:
    run = read_run(finished)
    found = run.summary
    users = {path.stem: pl.read_parquet(path)["expected_nano"].to_numpy() for path in (finished / "users").iterdir()}
    gains = {name: (own - users["cap"]) / 1e9 for name, own in users.items() if name != "cap"}
    best = max(gains, key=lambda name: gains[name][0::2].mean())
    assert found["best"] == best
    assert found["difference"]["mean"] == pytest.approx(gains[best][1::2].mean())
    assert (found["n_users"], found["told_by_users"]) == (24, 12)
    assert f"{best}, by half of the users the best of 2," in found["answer"]
    assert "8 days" in found["answer"]
    assert f"95 %: {found['difference']['low_95']:+.3f}" in found["answer"]


def test_who_sees_the_hidden_state_is_held_beside_and_never_the_best(tmp_path: Path) -> None:
    agent = tiny().to_data()["contenders"][2]
    lenses = [*agent["environment"]["lenses"], {"kind": "oracle"}]
    oracle = agent | {"name": "knows", "environment": agent["environment"] | {"lenses": lenses}}
    contenders = [{"kind": "silence", "name": "silence"}, agent, oracle]
    experiment = small(contenders=contenders, reference="linear-thompson")
    run_experiment(experiment, tmp_path / "1")
    run = read_run(tmp_path / "1")
    kinds = dict(run.measures("outcomes").select("policy", "kind").iter_rows())
    assert kinds == {"silence": "silence", "linear-thompson": "bandit", "knows": "oracle"}
    assert run.summary["best"] == "silence"  # though the other may have brought more
    [level] = run.measures("curves").filter(contender="oracle").to_dicts()
    users = {name: pl.read_parquet(run.folder / "users" / f"{name}.parquet") for name in ("knows", "silence")}
    knows, silence = (users[name]["expected_nano"].to_numpy() / 1e9 for name in ("knows", "silence"))
    assert level["value_eur"] == pytest.approx((knows - silence).mean())
    assert not (run.folder / "policies" / "knows.json").exists()
    page = (run.folder / "report.html").read_text("utf-8")
    assert "Left out, since it sees the hidden state of users: knows." in page
    assert "Not known here: optimum." in page


def evaluation(name: str, values: list[float], opt_outs: list[int]) -> Evaluation:
    zero = np.zeros(len(values), np.int64)
    arrays = dict.fromkeys(
        ("value_nano", "sends", "opens", "clicks", "sessions", "churns", "retained", "satisfaction_milli", "surveys"),
        zero,
    )
    nano = (np.asarray(values) * 1e9).astype(np.int64)
    return Evaluation(
        name, "a", 1, 28, expected_nano=nano, opt_outs=np.asarray(opt_outs), present_days=zero + 28, **arrays
    )


def test_the_answer_in_words() -> None:
    config = load_experiment("quick").config
    flat = evaluation("cap", [1.0] * 4, [0] * 4)
    others = {"cap": flat, "up": evaluation("up", [1.5, 1.6, 1.4, 1.5], [1, 0, 0, 0])}
    found = summary(config, others, "shop")
    assert found["answer"] == "up brings 0.500 EUR a user more than cap over 28 days (95 %: +0.420 to +0.580)."
    down = summary(config, {"cap": flat, "down": evaluation("down", [0.5, 0.6, 0.4, 0.5], [1, 1, 1, 2])}, "shop")
    assert down["answer"] == (
        "cap is not beaten: down costs 0.500 EUR a user against it over 28 days (95 %: 0.420 to 0.580), "
        "with 125.0 more opt-outs per 100 users (76.0 to 174.0)."
    )
    unclear = summary(config, {"cap": flat, "same": evaluation("same", [0.5, 1.6, 1.4, 0.4], [0] * 4)}, "shop")
    assert unclear["answer"].startswith("same could not be told apart from cap: -0.025 EUR a user over 28 days (95 %:")
    alone = summary(config, {"cap": flat}, "shop")
    assert (alone["best"], alone["answer"]) == (
        None,
        "Nobody but the reference took part that could be let out, so there is nothing to compare.",
    )
    assert answer.__doc__


# --------------------------------------------------------------------------------------------------- stopped and killed


@pytest.mark.parametrize(
    "n_asked", [2, 9, *(pytest.param(n, marks=pytest.mark.proof) for n in (1, 3, 4, 6, 12, 14, 20))]
)
def test_an_interrupted_run_goes_on_to_the_same_bytes(n_asked: int, undisturbed: Path, tmp_path: Path) -> None:
    asked = 0

    def is_interrupted() -> bool:
        nonlocal asked
        asked += 1
        return asked >= n_asked

    folder = tmp_path / "1"
    with pytest.raises(Interrupted):
        run_experiment(small(), folder, is_interrupted=is_interrupted)
    assert not folder.exists()
    assert unfinished(folder).is_dir()
    run_trial(small().to_data(), 1, folder)
    assert reproduced(folder) == reproduced(undisturbed)
    assert not unfinished(folder).exists()


def test_a_killed_run_goes_on_to_the_same_bytes(undisturbed: Path, tmp_path: Path) -> None:
    """Kill -9 as soon as something is there to go on with; in a process of its own, as a user would run it."""
    command = [sys.executable, "-m", "experiments.cli", "run", "quick", *SETTINGS, "--out", str(tmp_path)]
    command += [part for name in ("offline", "exports", "robustness") for part in ("--set", f"{name}=")]
    experiment = small()
    final = tmp_path / experiment.place
    work = unfinished(final)
    running = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (work / "training" / "linear-thompson" / "checkpoints").exists() and time.monotonic() < deadline:
        assert running.poll() is None, "it was done before it could be killed"
        time.sleep(0.005)
    running.send_signal(signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    assert not final.exists()
    assert (work / BEGUN).is_file()
    shown = kairos("results", "show", str(work))
    assert shown.stderr == f"Error: {work}: this run is not finished; the command that began it goes on.\n"
    run_experiment(experiment, final)
    assert reproduced(final) == reproduced(undisturbed)


def test_ctrl_c_is_told_with_the_command_that_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from experiments.run import run as run_module

    def stop(*_: Any, **__: Any) -> None:
        raise Interrupted

    monkeypatch.setattr(run_module, "judged", stop)
    done = kairos("run", "quick", *SETTINGS, "--out", str(tmp_path / "a b"))
    assert done.exit_code == 130
    assert "[2/7] training linear-thompson" in done.stderr
    assert "Interrupted; what is done is kept. To go on: kairos run quick --set horizon_days=8" in done.stderr
    assert done.stderr.rstrip().endswith(f"--out '{tmp_path / 'a b'}'")
    assert done.stdout == ""
    more = ("--seed", "2", "--threads", "1", "--mlflow", "sqlite:///a b.db", "--json")
    done = kairos("run", "quick", *more, "--out", str(tmp_path))
    again = f"kairos run quick --seed 2 --out {tmp_path} --threads 1 --mlflow 'sqlite:///a b.db' --json"
    assert done.stderr.splitlines()[-1] == f"Interrupted; what is done is kept. To go on: {again}"


def test_ctrl_c_pressed_twice_is_told_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from experiments.run import run as run_module

    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(run_module, "ready", stop)
    done = kairos("run", "quick", "--json", "--out", str(tmp_path))
    assert done.exit_code == 130
    assert done.stderr == f"Interrupted; what is done is kept. To go on: kairos run quick --out {tmp_path} --json\n"


@pytest.mark.parametrize(
    ("refusal", "told"),
    [
        (ValueError("states: expected some, got none"), "Error: states: expected some, got none"),
        (ModuleNotFoundError("torch is not installed"), "Error: torch is not installed"),
        (ConfigError([Fault("my.yaml", 3, "agent.x", "unknown key")]), "my.yaml:3: agent.x: unknown key"),
    ],
)
def test_what_a_stage_refuses_is_told(
    refusal: Exception, told: str, tmp_path: Path, copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By `kairos run` and `kairos reproduce` alike, and without a traceback."""
    from experiments.run import run as run_module

    def refuse(*_: Any, **__: Any) -> None:
        raise refusal

    monkeypatch.setattr(run_module, "ready", refuse)
    for command in (("run", "quick", *SETTINGS, "--out", str(tmp_path / "new")), ("reproduce", str(copied))):
        done = kairos(*command)
        assert done.exit_code == 1
        assert done.stderr.splitlines()[-1] == told


def test_the_time_of_all_sittings_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("experiments.run.folder.time.monotonic", lambda: now)
    folder = RunFolder(tmp_path / "1", small())

    def sitting(seconds: float) -> None:
        nonlocal now
        with folder.held():
            now += seconds
            raise Interrupted

    with pytest.raises(Interrupted):
        sitting(60.0)
    with folder.held():
        now += 5.0
        started, seconds = folder.spent()
    assert seconds == 65.0
    assert dt.datetime.fromisoformat(started) <= dt.datetime.now(dt.UTC)
    (folder.path / BEGUN).write_text("{", "utf-8")
    with pytest.raises(RunError, match=r"begun.json: damaged; remove .* to begin again"), folder.held():
        pass


# ----------------------------------------------------------------------------------------- what must not be overwritten


def test_what_is_there_is_read_and_not_made_again(copied: Path, experiment: Experiment) -> None:
    root = copied.parents[2]
    before = contents(copied)
    done = kairos("run", "quick", *SETTINGS, "--out", str(root))
    assert done.exit_code == 0
    assert done.stderr == f"Already there, nothing was run again; kairos reproduce {copied} would.\n"
    assert read_run(copied).summary["answer"].split(",")[0] in done.stdout
    assert contents(copied) == before
    as_json = json.loads(kairos("run", "quick", *SETTINGS, "--out", str(root), "--json").stdout)
    assert as_json == read_run(copied).summary | {"folder": str(copied)}
    (copied / "summary.json").write_text("{}", "utf-8")
    spoilt = kairos("run", "quick", *SETTINGS, "--out", str(root))
    assert spoilt.exit_code == 1
    assert spoilt.stderr.startswith(
        f"Error: {copied}: this run is damaged; remove it to run it again:\n  summary.json:"
    )
    assert (copied / "summary.json").read_text("utf-8") == "{}"


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path, copied: Path) -> None:
    strange = tmp_path / "strange"
    strange.mkdir()
    (strange / "thesis.txt").write_text("mine", "utf-8")
    with pytest.raises(RunError, match=r"strange: expected a run's folder; there is no manifest.json in it"):
        run_trial(small().to_data(), 1, strange)
    with pytest.raises(RunError, match="strange: expected nothing there yet; remove it, or name another folder"):
        run_experiment(small(), strange)
    with pytest.raises(
        RunError, match=r"a run of another experiment is there: config \w+, seed 1; expected \w+, seed 2"
    ):
        run_trial(small().to_data(), 2, copied)
    assert contents(strange) == {"thesis.txt": b"mine"}


def test_a_second_run_waits_outside(tmp_path: Path) -> None:
    folder = tmp_path / "1"
    work = unfinished(folder)
    work.mkdir()
    import fcntl

    with (work / LOCK).open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(RunError, match=r"\.1\.unfinished: another run is writing there; wait for it"):
            run_experiment(small(), folder)
    assert set(contents(work)) == {LOCK}


def test_a_run_begun_otherwise_is_not_gone_on_with(tmp_path: Path) -> None:
    folder = tmp_path / "1"
    with pytest.raises(Interrupted):
        run_experiment(small(), folder, is_interrupted=lambda: True)
    with pytest.raises(RunError, match="a run is there that began with another config; remove it to begin again"):
        run_experiment(small(title="Other"), folder)
    begun = unfinished(folder) / BEGUN
    told = json.loads(begun.read_text("utf-8"))
    told["versions"]["numpy"] = "1.0"
    begun.write_text(json.dumps(told), "utf-8")
    with pytest.raises(RunError, match=r"began by other versions \(numpy 1.0\); remove it to begin again"):
        run_experiment(small(), folder)


def test_where_nothing_can_be_written_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    done = kairos("run", "quick", "--out", str(tmp_path / "file" / "x"))
    assert done.exit_code == 2
    assert f"{tmp_path / 'file'} is a file." in done.stderr
    with pytest.raises(RunError, match=r"cannot write .*: Not a directory"):
        run_experiment(small(), tmp_path / "file" / "1")


def test_no_permission_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    done = kairos("run", "quick", "--out", str(tmp_path / "new"))
    assert done.exit_code == 2
    assert f"no permission to write in {tmp_path}." in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_faults_of_options_are_told_by_their_names() -> None:
    done = kairos("run", "quick", "--seed", "5000")
    assert done.exit_code == 1
    assert done.stderr == "--seed: seed: expected a whole number <= 4095, got 5000\n"
    with pytest.raises(ConfigError, match=r"--set: evaluation.n_user: unknown key. Did you mean 'n_users'\?"):
        tiny(evaluation__n_user=3)
