"""The runner of the benchmarks must not flatter: a missed target shows, and a broken benchmark fails the run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.benchmarks import Row
from tests.benchmarks.__main__ import chosen, main, plain_table

SOUND = """
from tests.benchmarks import Row
def run(quick):
    return [Row("fleet", "steps/s", 50.0, "kernel", 100.0, 0.5, 0.8, "quick" if quick else "full")]
"""


@pytest.fixture
def benches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / f"benches_of_{tmp_path.name}"  # a name of its own: imports are remembered
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "bench_fleet.py").write_text(SOUND, encoding="utf-8")
    (folder / "bench_broken.py").write_text("def run(quick):\n    raise RuntimeError('no')\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    return folder


@pytest.mark.parametrize(
    ("ratio", "target", "is_met"),
    [(1.0, 1.0, True), (0.99, 1.0, False), (None, 1.0, False), (5.0, None, None)],
)
def test_a_target_is_met_only_by_a_ratio(ratio: float | None, target: float | None, is_met: bool | None) -> None:
    assert Row("a", "ms", 1.0, ratio=ratio, target=target).is_met is is_met


def test_json_reports_ratio_and_missed_target(benches: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--quick", "--only", "fleet", "--json"], benches, benches.name) == 0
    report = json.loads(capsys.readouterr().out)
    assert {"cpu", "cores", "load_average"} <= report["machine"].keys()
    [row] = report["rows"]
    assert (row["ratio"], row["is_met"], row["note"]) == (0.5, False, "quick")


def test_a_broken_benchmark_fails_the_run_and_hides_no_figure(
    benches: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([], benches, benches.name) == 1
    printed = capsys.readouterr()
    assert "broken: broken" in printed.err
    assert "0 of 1 targets met" in printed.out


def test_columns_are_aligned() -> None:
    lines = plain_table([Row("a", "ms", 1.0), Row("a longer name", "user-hours/s", 81_234_567.0)]).splitlines()
    assert [line.index(unit) for line, unit in zip(lines, ("unit", "ms", "user-hours/s"), strict=True)] == [27] * 3


def test_an_unknown_name_is_met_with_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"--only flet: no such benchmark\. Did you mean 'fleet'\?"):
        chosen(["event", "fleet"], ["flet"])
