"""The certificate of what was exported: how far the small copy does as the policy it was made from."""

from __future__ import annotations

from typing import Any

from experiments.report.page import Section, escape, missing, paragraph, table
from experiments.report.reading import RunFolder, read_json
from experiments.report.words import number, share, spread


def certificates(run: RunFolder) -> Section:
    """Return each certificate below `exports/`, the words first."""
    title, name = "Certificate of the export", "certificate"
    files = sorted((run.path / "exports").rglob("*certificate.json"))
    if not files:
        return Section(title, missing("Nothing was distilled in this run, so there is no certificate."), name)
    return Section(title, "".join(_certificate(read_json(file)) for file in files), name)


def _certificate(found: dict[str, Any]) -> str:
    lost = found.get("value_lost_eur") or {}
    rows = [
        ("the same action", f"{share(found.get('agreement'), 2)} of {found.get('states', 0):,} states"),
        ("the same action where the teacher sends", share(found.get("agreement_on_sends"), 2)),
        ("value lost, EUR a user", spread(lost.get("mean"), lost.get("low_95"), lost.get("high_95"))),
        ("sends a user", f"{number(found.get('sends_student'))}, the teacher's {number(found.get('sends_teacher'))}"),
        ("states in which limits are broken", f"{found.get('ineligible', 0):,}"),
        ("more fatigue raises the wish to send", f"in {found.get('risen', 0):,} of {found.get('tried', 0):,} states"),
    ]
    if found.get("users"):
        rows.append(("tried on", f"{found['users']:,} users of its own, {found.get('days', '?')} days"))
    if found.get("one_point_is"):
        rows.append(("one point is", str(found["one_point_is"])))
    heading = f"<h3>{escape(found.get('student', 'the copy'))} for {escape(found.get('teacher', 'its teacher'))}</h3>"
    return heading + paragraph(str(found.get("in_words", ""))) + table(("certified", ""), rows, label="certificate")
