"""One SQL statement that decides for every row of a table as a document does; for DuckDB.

    sql = sql_source(document)       # SELECT over a table `observations`

The table has a column for each feature of the vocabulary (`"slot0.relevance"`), encoded; `"eligible.slot0.push"` for
each send; and `uniform`, a number in [0, 1) that whoever asks has drawn. The answer has the table's columns and
`"probability.ACTION"` for each action, `action` by number, `action_name`, and `propensity`, its probability.

Arithmetic is that of `policies.decide` in the same order; only exp and tanh may be another library's.
"""

from __future__ import annotations

from collections.abc import Iterator

from policies.codec import check, content_hash
from policies.document import Arms, Document, Epsilon, Greedy, Network, Rules, Scorecard, Softmax, Tree, chooser
from policies.exports.refusal import no_form
from policies.exports.sql_kinds import (
    Columns,
    Steps,
    arms_steps,
    eligible,
    network_steps,
    number,
    quoted,
    rules_steps,
    scorecard_steps,
    tree_steps,
    wish,
)
from policies.inputs import LOCAL_HOUR
from policies.vocabulary import action_names

INSTEAD = "write one of rules, scorecard, tree, network or arms, or decide in Python"
HOURS = 'round(atan2("local_hour_sin", "local_hour_cos") * (12e0 / pi()), 4)'


def sql_source(document: Document, table: str = "observations") -> str:
    """Return the statement.

    Args:
        document: of a kind that needs no quadrature.
        table: with the observations.

    Raises:
        DocumentError: the document is not sound.
        ExportError: it believes or mixes.
    """
    checked = check(document)
    steps = [*_steps(checked)]
    made = [name for _, columns in steps for name, _ in columns if not name.startswith(KEPT)]
    name = "".join(letter if letter.isprintable() else " " for letter in checked.name)
    lines = [f"-- {name}", f"-- Written from the policy document {content_hash(checked)}.", "WITH"]
    before = quoted(table)
    for place, (step, columns) in enumerate(steps):
        lines.append(f"{step} AS (")
        lines.append("  SELECT *,")
        lines += [f"    {expression} AS {quoted(column)}," for column, expression in columns]
        lines[-1] = lines[-1].removesuffix(",")
        lines.append(f"  FROM {before}")
        lines.append(")" if place + 1 == len(steps) else "),")
        before = step
    lines.append(f"SELECT * EXCLUDE ({', '.join(map(quoted, made))}) FROM {before}")
    return "\n".join(lines) + "\n"


KEPT = ("probability.", "action", "propensity")


def _steps(document: Document) -> Steps:
    """Yield common table expressions, each over the one before."""
    names = action_names(document.n_slots)
    if LOCAL_HOUR.name in chooser(document.model, document.n_slots).inputs:
        hours = f"CASE WHEN {HOURS} < 0e0 THEN {HOURS} + 24e0 ELSE {HOURS} END"
        yield "clocked", [(LOCAL_HOUR.name, f"floor({hours})")]
    yield from _model_steps(document)
    yield from _exploring(document, names)
    shares = [quoted(f"probability.{name}") for name in names]
    reached = [" + ".join(shares[: k + 1]) for k in range(len(shares))]
    drawn = " ".join(
        f"WHEN {p} > 0e0 AND uniform < {r} THEN {k}" for k, (p, r) in enumerate(zip(shares, reached, strict=True))
    )
    last = " ".join(f"WHEN {p} > 0e0 THEN {k}" for k, p in reversed([*enumerate(shares)]))
    yield "drawn", [("action", f"CASE {drawn} ELSE CASE {last} END END")]
    called = " ".join(f"WHEN {k} THEN '{name}'" for k, name in enumerate(names))
    taken = " ".join(f"WHEN {k} THEN {share}" for k, share in enumerate(shares))
    yield "told", [("action_name", f"CASE action {called} END"), ("propensity", f"CASE action {taken} END")]


def _model_steps(document: Document) -> Iterator[tuple[str, Columns]]:
    match document.model:
        case Rules():
            return rules_steps(document.model, document.n_slots)
        case Scorecard():
            return scorecard_steps(document.model, document.n_slots)
        case Tree():
            return tree_steps(document.model, document.n_slots)
        case Network():
            return network_steps(document.model, document.n_slots)
        case Arms():
            return arms_steps(document.model, document.n_slots)
    raise no_form(document, "SQL", f"a model of kind {document.model.kind}", INSTEAD)


def _exploring(document: Document, names: tuple[str, ...]) -> Steps:
    """Yield the most that is wished, and probabilities."""
    wishes = [wish(name) for name in names]
    yield "best", [("most", f"greatest({', '.join(wishes)})")]
    first = " ".join(f"WHEN {each} = most THEN {k}" for k, each in enumerate(wishes))
    yield "preferred", [("preferred", f"CASE {first} END")]
    match document.exploration:
        case Greedy():
            found = [f"CASE WHEN preferred = {k} THEN 1e0 ELSE 0e0 END" for k in range(len(names))]
        case Epsilon(epsilon):
            n_eligible = " + ".join(f"CASE WHEN {eligible(name)} THEN 1 ELSE 0 END" for name in names)
            yield "counted", [("n_eligible", n_eligible)]
            yield "parted", [("share", f"{number(epsilon)} / n_eligible")]
            found = [
                f"CASE WHEN preferred = {k} THEN 1e0 - (n_eligible - 1) * share "
                f"WHEN {eligible(name)} THEN share ELSE 0e0 END"
                for k, name in enumerate(names)
            ]
        case Softmax(temperature):
            columns = [
                (f"odds.{n}", f"exp(({w} - most) / {number(temperature)})") for n, w in zip(names, wishes, strict=True)
            ]
            yield "odds", columns
            yield "total", [("total", " + ".join(quoted(column) for column, _ in columns))]
            found = [f"{quoted(column)} / total" for column, _ in columns]
        case _:
            raise no_form(document, "SQL", f"exploration {document.exploration.kind}", INSTEAD)
    yield "shares", [(f"probability.{name}", share) for name, share in zip(names, found, strict=True)]
