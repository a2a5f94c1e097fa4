"""`kairos reproduce`: equal to the last bit, or where it differs first and why that is likely."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from experiments.run.manifest import differences_of_machines, file_hash, must_reproduce
from experiments.run.readers import read_run
from experiments.run.reproduce import compared, first_difference
from tests.experiments.run.tiny import kairos


def test_a_run_comes_out_the_same(finished: Path) -> None:
    done = kairos("reproduce", str(finished))
    n_files = len(read_run(finished).manifest["files"])
    assert done.stdout == f"Equal: all {n_files} files of {finished} came out the same to the last bit.\n"
    assert done.exit_code == 0
    assert "[7/7]" in done.stderr


def forge(run: Path, name: str, text: str) -> None:
    """Change a file and the manifest with it, as if the run had come out so."""
    (run / name).write_text(text, "utf-8")
    path = run / "manifest.json"
    manifest = json.loads(path.read_text("utf-8"))
    manifest["files"][name] = file_hash(run / name)
    path.write_text(json.dumps(manifest), "utf-8")


def test_differences_are_told_with_the_first_place(finished: Path, copied: Path) -> None:
    text = (copied / "tuning" / "cap.md").read_text("utf-8")
    forge(copied, "tuning/cap.md", text.replace("| mean return |", "| mean |"))
    forge(copied, "extra.txt", "x")
    path = copied / "manifest.json"
    manifest = json.loads(path.read_text("utf-8"))
    del manifest["files"]["summary.json"]
    path.write_text(json.dumps(manifest), "utf-8")
    found = compared(read_run(copied), read_run(finished))
    assert not found.is_equal
    assert list(found.different) == ["tuning/cap.md"]
    assert found.different["tuning/cap.md"].startswith("line 1: '| candidate | users | mean | behind the best |', now ")
    assert found.missing == ("extra.txt",)
    assert found.added == ("summary.json",)
    assert found.causes == ()


def test_a_different_run_exits_with_1(copied: Path, finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from experiments.run import reproduce as module

    forge(copied, "tuning/cap.md", "otherwise\n")
    manifest = json.loads((copied / "manifest.json").read_text("utf-8"))
    manifest["versions"]["numpy"] = "1.26.0"
    manifest["machine"]["processor"] = "Abacus"
    (copied / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    # The run itself comes out as the one that is there: no second is needed to see what is told.
    monkeypatch.setattr(module, "run_experiment", lambda experiment, folder, **_: folder.symlink_to(finished))
    done = kairos("reproduce", str(copied))
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    assert (
        lines[0]
        == f"Different: {len(manifest['files']) - 1} of {len(manifest['files'])} files of {copied} came out the same."
    )
    assert lines[1].startswith("  tuning/cap.md: line 1: 'otherwise', now '| candidate")
    assert lines[-1].startswith("Likely because of other versions or another machine: numpy: 1.26.0 then, ")
    assert "processor: Abacus then, " in lines[-1]
    told = json.loads(kairos("reproduce", str(copied), "--json").stdout)
    assert (told["is_equal"], list(told["different"])) == (False, ["tuning/cap.md"])


def test_the_same_versions_leave_no_excuse(copied: Path, finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from experiments.run import reproduce as module

    forge(copied, "tuning/cap.md", "otherwise\n")
    monkeypatch.setattr(module, "run_experiment", lambda experiment, folder, **_: folder.symlink_to(finished))
    done = kairos("reproduce", str(copied))
    assert done.stdout.endswith("Versions and machine are the same, so this is a fault of Kairos; please report it.\n")


def test_what_cannot_be_reproduced_is_told(copied: Path, tmp_path: Path) -> None:
    missing = kairos("reproduce", str(tmp_path / "no"))
    assert (missing.exit_code, missing.stderr) == (1, f"Error: {tmp_path / 'no'}: no such folder.\n")
    (copied / "policies" / "cap.json").write_text("{}", "utf-8")
    spoilt = kairos("reproduce", str(copied))
    assert spoilt.exit_code == 1
    assert "this run is damaged, so there is nothing to compare with:\n  policies/cap.json: not as it" in spoilt.stderr


def test_a_config_that_means_something_else_is_told(copied: Path) -> None:
    text = (copied / "config.yaml").read_text("utf-8")
    forge(copied, "config.yaml", text.replace("n_users: 24", "n_users: 25"))
    done = kairos("reproduce", str(copied))
    assert done.exit_code == 1
    assert "of the manifest; this version of Kairos reads it as" in done.stderr


def test_the_first_difference_of_files(tmp_path: Path) -> None:
    def two(suffix: str, a: bytes, b: bytes) -> str:
        paths = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
        for path, content in zip(paths, (a, b), strict=True):
            path.write_bytes(content)
        return first_difference(*paths)

    assert two(".csv", b"x,y\n1,2\n", b"x,y\n1,3\n") == "line 2: '1,2', now '1,3'"
    assert two(".csv", b"x\n", b"x\ny\n") == "1 lines, now 2"
    assert two(".png", b"\x89\xffabc", b"\x89\xffabd") == "byte 4 of 5 and 5"
    frames = pl.DataFrame({"k": [1, 2], "v": [1.0, None]}), pl.DataFrame({"k": [1, 2], "v": [1.0, 0.1]})
    for name, frame in zip("ab", frames, strict=True):
        frame.write_parquet(tmp_path / f"{name}.parquet")
    assert first_difference(tmp_path / "a.parquet", tmp_path / "b.parquet") == "row 1, v: None, now 0.1"
    frames[0].head(1).write_parquet(tmp_path / "b.parquet")
    assert first_difference(tmp_path / "a.parquet", tmp_path / "b.parquet") == "2 rows, now 1"
    frames[0].select("k").write_parquet(tmp_path / "b.parquet")
    assert first_difference(tmp_path / "a.parquet", tmp_path / "b.parquet") == "columns k, v; now k"


def test_times_need_not_reproduce() -> None:
    for name in (
        "manifest.json", "report.html", "training/a/result.json", "training/a/checkpoints/latest.npz", ".lock",
        "training/a/tensorboard/events.1",
    ):  # fmt: skip
        assert not must_reproduce(name), name
    for name in ("summary.json", "training/a/curve.csv", "exports/a/certificate.json", "pictures/overview.png"):
        assert must_reproduce(name), name


def test_machines_differ_by_kind_not_by_cores() -> None:
    then = {
        "versions": {"numpy": "2.0", "old": "1"},
        "machine": {"processor": "a", "system": "Linux x86_64", "cores": 2},
    }
    now = {"versions": {"numpy": "2.1"}, "machine": {"processor": "a", "system": "Linux x86_64", "cores": 64}}
    assert differences_of_machines(then, now) == ["numpy: 2.0 then, 2.1 now", "old: 1 then, none now"]
    assert differences_of_machines(now, now) == []
