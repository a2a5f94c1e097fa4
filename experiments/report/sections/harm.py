"""The harm label, like the label on food: what a policy does to people, in the same units for every policy."""

from __future__ import annotations

from typing import Any

from experiments.report.page import Section, escape, missing, paragraph, table
from experiments.report.reading import Rows, RunFolder, known
from experiments.report.words import number, share

NIGHT = "night sends, 22 to 8 local"


def harm(run: RunFolder) -> Section:
    """Return a label for the best contender and the reference, a table of all, and where it falls by segment."""
    title, name = "Harm label", "harm"
    rows = run.measures["harm"]
    if not rows:
        return Section(title, missing("Harm was not measured in this run."), name)
    asked = [name for name in dict.fromkeys((run.best, run.reference)) if run.of("harm", name)]
    labels = "".join(_label(policy, run.of("harm", policy)) for policy in asked)
    everybody = [(policy, *_cells(_all(run.of("harm", policy)))) for policy in run.policies if run.of("harm", policy)]
    head = ("policy", "sends a user and week", "at night", "to the tired", "opt-outs of 100", "opt-outs of 1,000 sends")
    said = run.notes["harm"].get("fatigued_sends") or run.notes["harm"].get("tired") or ""
    words = f"Tired: {said}." if said else "Tired: as the measure's file says."
    note = f"Night: 22:00 to 8:00 of the user's own time. {words} Shares are of sends."
    body = f'<div class="labels">{labels}</div>{table(head, everybody, label="harm of all policies")}'
    return Section(title, body + paragraph(note, "faint"), name)


def _label(policy: str, rows: Rows) -> str:
    whole = _all(rows)
    lines = [
        _line("sends a user and week", number(known(whole, "exposure"))),
        _line(NIGHT, _of_sends(whole, "night_sends")),
        _line("sends to the tired", _of_sends(whole, "fatigued_sends")),
        _line("opt-outs of 100 users", number(_per_user(whole, "opt_outs", 100))),
    ]
    by_segment = [
        f'<tr><th scope="row">{escape(row["segment"])}</th><td>{number(known(row, "exposure"))}</td>'
        f"<td>{number(_per_user(row, 'opt_outs', 100))}</td></tr>"
        for row in rows
        if row["segment"]
    ]
    columns = "".join(f'<th scope="col">{what}</th>' for what in ("segment", "sends a week", "opt-outs of 100"))
    lower = (
        f"<table><thead><tr>{columns}</tr></thead><tbody>{''.join(by_segment)}</tbody></table>" if by_segment else ""
    )
    serving = f"Measured on {int(known(whole, 'users')):,} users" if "users" in whole else "Measured on all users"
    return (
        f'<div class="label"><h3>{escape(policy)}</h3><p>{serving}, {int(known(whole, "sends")):,} sends</p>'
        f'<table class="facts"><tbody>{"".join(lines)}</tbody></table>{lower}</div>'
    )


def _line(what: str, amount: str) -> str:
    return f'<tr><th scope="row">{escape(what)}</th><td>{escape(amount)}</td></tr>'


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    sends = known(row, "sends")
    return (
        number(known(row, "exposure")),
        _of_sends(row, "night_sends"),
        _of_sends(row, "fatigued_sends"),
        number(_per_user(row, "opt_outs", 100)),
        number(1000 * known(row, "opt_outs") / sends if sends else None),
    )


def _all(rows: Rows) -> dict[str, Any]:
    return next((row for row in rows if not row["segment"]), {})


def _of_sends(row: dict[str, Any], name: str) -> str:
    sends = known(row, "sends")
    return share(known(row, name) / sends) if sends else share(None)


def _per_user(row: dict[str, Any], name: str, of: float) -> float | None:
    users = known(row, "users")
    return of * known(row, name) / users if users else None
