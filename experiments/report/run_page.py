"""The report of one run: a page that reads only the run's folder."""

from __future__ import annotations

from pathlib import Path

from experiments.report.page import page
from experiments.report.reading import RunFolder, read_run
from experiments.report.sections.answer import opening
from experiments.report.sections.certificate import certificates
from experiments.report.sections.contenders import everybody, value_against_opt_outs
from experiments.report.sections.harm import harm
from experiments.report.sections.hours import by_hour
from experiments.report.sections.learning import learning
from experiments.report.sections.offline import offline
from experiments.report.sections.over_time import fatigue, staying
from experiments.report.sections.provenance import provenance
from experiments.report.sections.robustness import robustness
from experiments.report.sections.segments import by_segment
from experiments.results import write_text

SECTIONS = (
    value_against_opt_outs,
    everybody,
    staying,
    by_hour,
    fatigue,
    by_segment,
    learning,
    offline,
    certificates,
    harm,
    robustness,
    provenance,
)


def write_run_page(folder: Path, out: Path) -> None:
    """Write the page of a run, whole or not at all.

    Args:
        folder: of a finished run.
        out: the file.

    Raises:
        ReportError: the folder is not of a finished run, or a file in it cannot be read.
    """
    write_text(out, run_page(read_run(folder)))


def run_page(run: RunFolder) -> str:
    """Return the page as HTML."""
    where = run.summary.get("scenario")
    over = ", ".join(str(part) for part in ("Kairos experiment", where, f"seed {run.manifest.get('seed')}") if part)
    return page(run.title, opening(run), [section(run) for section in SECTIONS], over)
