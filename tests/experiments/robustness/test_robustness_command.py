"""`kairos robustness`: what it writes and says, where it looks for home, and how it refuses."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result

from experiments.cli import main
from experiments.config import dump_scenario
from experiments.evaluation.evaluate import evaluate
from experiments.robustness import trial
from tests.experiments.robustness.policies import eager, home, modest, written

SMALL = ("--scenario", "ecommerce", "--days", "4", "--users", "12")


def kairos(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, list(map(str, arguments)), catch_exceptions=False)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("policies")
    return written(folder / "eager.json", eager()), written(folder / "modest.json", modest())


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory, files: tuple[Path, Path]) -> Path:
    folder = tmp_path_factory.mktemp("out") / "here"
    result = kairos(
        "robustness", *files, *SMALL, "--worlds", "shock,opens-half", "--against", "modest", "--sensitivity",
        "--parameter", "response.push_logit", "--parameter", "churn.habit_shield", "--out", folder,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    (folder / "told").write_text(result.stdout, encoding="utf-8")
    return folder


def test_it_writes_tables_and_a_page(out: Path) -> None:
    matrix = pl.read_parquet(out / "matrix.parquet")
    assert matrix["world"].unique(maintain_order=True).to_list() == ["home", "shock", "opens-half"]
    assert matrix["policy"].to_list() == ["silence", "eager", "modest"] * 3
    assert matrix["value_eur"].dtype == pl.Float64
    assert matrix["difference"].null_count() == 3
    assert matrix["reference_difference"].null_count() == 3
    turns = pl.read_parquet(out / "sensitivity.parquet")
    assert turns["way"].to_list() == ["home", "down", "up", "down", "up"]
    assert set(turns["parameter"]) == {"", "behaviour.response.push_logit", "behaviour.churn.habit_shield"}
    page = (out / "robustness.html").read_text("utf-8")
    for heading in ("Every policy in every world", "What the conclusion depends on", "The worlds", "What was run"):
        assert f"<h2>{heading}</h2>" in page
    assert "eager over modest" in page
    assert not list(out.glob(".*.partial"))


def test_it_tells_the_answer_and_where_it_wrote(out: Path) -> None:
    told = (out / "told").read_text("utf-8")
    assert "is worth most at home" in told
    assert re.search(r"shock +[+-]\d+\.\d{3} ±\d+\.\d{3}", told)
    assert f"Written: {out / 'robustness.html'}, {out / 'matrix.parquet'}, {out / 'sensitivity.parquet'}" in told


def test_the_command_on_the_page_does_it_again(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (out / "robustness.html").read_text("utf-8")
    found = re.search(r"<pre>(kairos robustness .*?)</pre>", page, re.DOTALL)
    assert found is not None
    before = {name: (out / name).read_bytes() for name in ("matrix.parquet", "sensitivity.parquet", "robustness.html")}
    monkeypatch.setattr(trial, "evaluate", lambda *_, **__: pytest.fail("done already"))
    assert kairos(*shlex.split(found[1])[1:]).exit_code == 0
    assert {name: (out / name).read_bytes() for name in before} == before


def test_a_killed_study_goes_on(tmp_path: Path, files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ("robustness", files[0], *SMALL, "--worlds", "shock", "--out", tmp_path / "out")
    ran: list[str] = []

    def evaluated(*arguments: object, **options: object) -> object:
        ran.append(str(options["name"]))
        if len(ran) == 3:  # the second world's silence
            raise KeyboardInterrupt
        return evaluate(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(trial, "evaluate", evaluated)
    stopped = CliRunner().invoke(main, list(map(str, asked)))
    assert stopped.exit_code == 130
    assert "Interrupted." in stopped.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["done"]
    assert kairos(*asked).exit_code == 0
    assert ran == ["silence", "eager", "silence", "silence", "eager"]


def test_a_run_is_home_and_keeps_what_is_found(tmp_path: Path) -> None:
    run = tmp_path / "run"
    written(run / "policies" / "cap.json", modest())
    (run / "scenario.yaml").write_text(dump_scenario(home(3)), encoding="utf-8")
    result = kairos("robustness", run, "--users", "5", "--worlds", "shock")
    assert result.exit_code == 0, result.output
    matrix = pl.read_parquet(run / "robustness" / "matrix.parquet")
    assert matrix["n_days"].to_list() == [3] * 4
    assert set(matrix["policy"]) == {"silence", "cap"}


def test_worlds_that_change_nothing_are_told(tmp_path: Path, files: tuple[Path, Path]) -> None:
    worlds = tmp_path / "mine.yaml"
    worlds.write_text(
        "kind: worlds\nworlds:\n  - {name: same, sentence: Nothing., times: {behaviour.response.fatigue: 1}}\n",
        encoding="utf-8",
    )
    result = kairos("robustness", files[0], *SMALL, "--worlds", worlds, "--out", tmp_path / "out")
    assert "Left out, since they change nothing here: same." in result.stdout
    assert pl.read_parquet(tmp_path / "out" / "matrix.parquet")["world"].unique().to_list() == ["home"]


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        ((), 2, "--scenario: expected the world that the policies were made in, since no SOURCE is a training's or a"),
        (("--scenario", "ecomerce"), 1, "no such preset; known: ecommerce, games, learning, news. Did you mean"),
        ((*SMALL, "--worlds", "shok"), 1, "--worlds: no world 'shok'; known: "),
        ((*SMALL, "--against", "modst"), 2, "--against: expected one of eager, modest, silence; got 'modst'. Did you"),
        ((*SMALL, "--policy", "eager"), 2, "--parameter and --policy say what --sensitivity moves; give that, too."),
        (
            (*SMALL, "--sensitivity", "--policy", "modest", "--against", "modest"), 2,
            "--policy: expected one of eager; got 'modest'.",
        ),
        ((*SMALL, "--sensitivity", "--parameter", "churn.x"), 1, "--parameter: churn.x: no parameter of behaviour"),
        ((*SMALL, "--epoch-hours", "5"), 2, "Invalid value for '--epoch-hours'"),
    ],
)  # fmt: skip
def test_bad_input_is_told_and_leaves_nothing(
    tmp_path: Path, files: tuple[Path, Path], options: tuple[str, ...], code: int, message: str
) -> None:
    result = kairos("robustness", *files, *options, "--out", tmp_path / "out")
    assert result.exit_code == code
    assert message in " ".join(result.stderr.split())
    assert not (tmp_path / "out").exists()


def test_a_bad_document_is_told(tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text("{", encoding="utf-8")
    result = kairos("robustness", tmp_path / "bad.json", *SMALL)
    assert (result.exit_code, "bad.json" in result.stderr) == (1, True)


def test_the_only_policy_is_not_held_against_itself(tmp_path: Path, files: tuple[Path, Path]) -> None:
    result = kairos(
        "robustness", files[0], *SMALL, "--worlds", "shock", "--sensitivity", "--against", "eager", "--out", tmp_path
    )
    assert result.exit_code == 2
    assert "--sensitivity: expected a policy besides 'eager', whose gain over it is asked." in result.stderr


def test_a_place_that_cannot_be_written_to_is_told(tmp_path: Path, files: tuple[Path, Path]) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    result = kairos("robustness", files[0], *SMALL, "--out", tmp_path / "file" / "out")
    assert result.exit_code == 2
    assert f"cannot write to {tmp_path / 'file' / 'out'}: {tmp_path / 'file'} is a file." in result.stderr
