"""`kairos robustness` on a finished run: its page shows what was found, and what it found itself stays."""

from __future__ import annotations

from pathlib import Path

from experiments.run.readers import read_run
from experiments.run.run import run_experiment
from tests.experiments.run.tiny import contents, kairos, tiny

ASKED = ("--worlds", "shock", "--users", "6", "--days", "4")


def test_the_page_of_a_run_shows_other_worlds_that_were_tried_later(tmp_path: Path) -> None:
    folder = tmp_path / "1"
    run_experiment(tiny(offline=None, exports=None, robustness=None), folder)
    page = (folder / "report.html").read_text("utf-8")
    assert "Not tried in other worlds" in page
    done = kairos("robustness", str(folder), *ASKED)
    assert done.exit_code == 0, done.stderr
    page = (folder / "report.html").read_text("utf-8")
    assert "Not tried in other worlds" not in page
    assert "does worst in" in page
    assert read_run(folder).damage() == []


def test_what_a_run_found_itself_stays(copied: Path, tmp_path: Path) -> None:
    before = contents(copied)
    refused = kairos("robustness", str(copied), *ASKED, "--out", str(copied / "robustness"))
    assert refused.exit_code == 2
    assert "is part of a finished run, which stays as it is; name another folder." in refused.stderr
    done = kairos("robustness", str(copied), *ASKED, "--out", str(tmp_path / "worlds"))
    assert done.exit_code == 0, done.stderr
    assert contents(copied) == before
