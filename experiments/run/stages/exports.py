"""Policies in other forms: exact ones, and students with a certificate of what they lose."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from agents.distil.lessons import States
from experiments.exports.certificate import certify
from experiments.exports.forms import DISTILLED, SUFFIXES, Student, distilled, write_certificate, write_form, written
from experiments.exports.states import visited
from experiments.results import write_text
from experiments.run.folder import EXPORTS
from experiments.run.luck import first_learned, first_user
from experiments.run.progress import Progress
from experiments.run.source import Experiment
from experiments.run.stages.contenders import Ready
from policies.document import Document
from policies.exports.refusal import ExportError

FORMS = "forms.json"  # written last: what was written, and why something was not
CERTIFICATE = "certificate"


def export(experiment: Experiment, contenders: list[Ready], best: str, folder: Path, progress: Progress) -> None:
    """Write the forms that the config asks for, of the contenders that it names, else of the best.

    Args:
        experiment: the experiment.
        contenders: all.
        best: who is exported where the config names nobody.
        folder: of the run.
        progress: is told.
    """
    about = experiment.config.exports
    assert about is not None, "an experiment without exports has none to write"
    names = (best,) if about.contenders is None else about.contenders
    progress.stage(f"exporting {', '.join(names)} as {', '.join(about.forms)}")
    for name in names:
        place = folder / EXPORTS / name
        if (place / FORMS).is_file():
            continue
        if place.exists():  # of a run that was killed in the middle
            shutil.rmtree(place)
        contender = next(each for each in contenders if each.name == name)
        if contender.document is None:
            told = {form: {"file": None, "refused": contender.no_document} for form in about.forms}
        else:
            told = {form: _written(experiment, contender, form, place, progress) for form in about.forms}
        write_text(place / FORMS, json.dumps(told, indent=1) + "\n")


def _written(
    experiment: Experiment, contender: Ready, form: str, place: Path, progress: Progress
) -> dict[str, str | None]:
    """Write one form; return its file, or why there is none."""
    assert contender.document is not None, "see the caller"
    file = place / f"{form}{SUFFIXES[form]}"
    try:
        document = contender.document
        if form in DISTILLED:
            document = _student(experiment, contender, form, place, progress)
        write_form(file, written(document, form))
    except (ExportError, ModuleNotFoundError) as error:
        progress.say(f"{contender.name} as {form}: {error}")
        return {"file": None, "refused": str(error)}
    return {"file": file.name, "refused": None}


def _student(experiment: Experiment, contender: Ready, form: str, place: Path, progress: Progress) -> Document:
    """Return a student, with its certificate written: the first as `certificate`, further ones with their form."""
    about, teacher, seed = experiment.config.exports, contender.document, experiment.config.seed
    assert about is not None, "see the caller"
    assert teacher is not None, "see the caller"
    # As often as the teacher itself was asked while it was judged.
    how: dict[str, Any] = {
        name: value for name, value in contender.how.items() if name not in ("lenses", "is_exploring")
    }

    def visit(policy: Document, round_: int) -> States:
        progress.stop_if_asked()
        first = first_learned(seed, round_, about.learn_users, about.n_users)
        return visited(policy, experiment.scenario, about.learn_users, first, **how)

    def on_day(done: int, of: int) -> None:
        progress.far(done, of, f"trying {contender.name} as {form}")

    student = distilled(teacher, form, visit, Student(depth=about.depth, leaves=about.leaves))
    certificate = certify(
        teacher, student, experiment.scenario, n_users=about.n_users, n_state_users=about.learn_users,
        seed=first_user(seed, "certificate"), on_day=on_day, **how,
    )  # fmt: skip
    is_first = not (place / f"{CERTIFICATE}.json").exists()
    stem = CERTIFICATE if is_first else f"{form}-{CERTIFICATE}"
    write_certificate(certificate, lambda suffix: place / f"{stem}{suffix}")
    return student
