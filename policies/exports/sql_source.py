"""One SQL statement that decides for every row of a table as a document does; for DuckDB.

    sql = sql_source(document)       # SELECT over a table `observations`

The table has a column for each feature of the vocabulary (`"slot0.relevance"`), encoded; `"eligible.slot0.push"` for
each send; and `uniform`, a number in [0, 1) that whoever asks has drawn. The answer has `action` by number,
`action_name`, `propensity`, its probability, `"probability.ACTION"` for each action, and then the table's columns.

Rows that `policies.decide` would refuse are answered by NULL throughout: where a feature that the policy reads is NULL
or no finite number, where `uniform` is not in [0, 1), where a preference overflows. What is NULL in `eligible` is not
eligible.

Arithmetic is that of `policies.decide` in the same order; only exp and tanh may be another library's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from policies.codec import check, content_hash
from policies.document import (
    Arms,
    BetaArms,
    Document,
    Epsilon,
    Exploration,
    Greedy,
    Mixture,
    Model,
    Network,
    Posterior,
    Rules,
    Scorecard,
    Softmax,
    Thompson,
    Tree,
    chooser,
    parts_of,
)
from policies.exports.refusal import no_form
from policies.exports.sql_kinds import (
    Columns,
    Step,
    Steps,
    arms_steps,
    beta_arms_steps,
    eligible,
    feature,
    network_steps,
    number,
    own,
    posterior_steps,
    quoted,
    rules_steps,
    scorecard_steps,
    total,
    tree_steps,
    wish,
)
from policies.inputs import LOCAL_HOUR, inputs
from policies.vocabulary import CHANNELS_OF_A_SLOT, action_names

INSTEAD = "distil it (kairos export --as tree), or decide in Python, where thompson is integrated"
CLOCK = ("local_hour_sin", "local_hour_cos")
HOURS = 'round(atan2("local_hour_sin", "local_hour_cos") * (12e0 / pi()), 4)'


def sql_source(document: Document, table: str = "observations") -> str:
    """Return the statement.

    Args:
        document: without thompson, which needs a quadrature, and without a fallback.
        table: with the observations.

    Raises:
        DocumentError: the document is not sound.
        ExportError: it explores by thompson, or has a fallback.
    """
    checked = check(document)
    if any(isinstance(way, Thompson) for way in _explorations(checked)):
        raise no_form(checked, "SQL", "exploration thompson", INSTEAD)
    if checked.fallback is not None:
        raise no_form(checked, "SQL", "a fallback", "decide in Python, or write the document without")
    steps = [*_steps(checked)]
    names = action_names(checked.n_slots)
    told = ["action", "action_name", "propensity", *(f"probability.{name}" for name in names)]
    name = "".join(letter if letter.isprintable() else " " for letter in checked.name)
    lines = [f"-- {name}", f"-- Written from the policy document {content_hash(checked)}."]
    if checked.brings_limits:
        lines.append("-- The document's own limits are not in it: hold them, and say by eligible what is left.")
    lines.append("WITH")
    before = quoted(table)
    for place, step in enumerate(steps):
        dropped = _without(step.dropped)
        lines.append(f"{step.name} AS (")
        lines.append(f"  SELECT *{dropped},")
        lines += [f"    {expression} AS {own(column)}," for column, expression in step.columns]
        lines[-1] = lines[-1].removesuffix(",")
        lines.append(f"  FROM {before}")
        lines.append(")" if place + 1 == len(steps) else "),")
        before = step.name
    # The answer first: where the table has a column of that name, a reader takes the first.
    lines.append("SELECT")
    lines += [f"  {own(name)} AS {quoted(name)}," for name in told]
    lines.append(f"  *{_without(_left_over(steps))}")
    lines.append(f"FROM {before}")
    return "\n".join(lines) + "\n"


def _explorations(document: Document) -> tuple[Exploration, ...]:
    return (document.exploration, *(part.exploration for part in parts_of(document.model)))


def _without(columns: Sequence[str]) -> str:
    return f" EXCLUDE ({', '.join(map(own, columns))})" if columns else ""


def _left_over(steps: list[Step]) -> list[str]:
    """Return the columns that were made on the way and not dropped, in their order."""
    made: dict[str, None] = {}
    for step in steps:
        for name in step.dropped:
            made.pop(name, None)
        made |= dict.fromkeys(name for name, _ in step.columns)
    return list(made)


def _steps(document: Document) -> Iterator[Step]:
    """Yield common table expressions, each over the one before."""
    names = action_names(document.n_slots)
    yield Step("asked", [("is_asked", _is_asked(document))])
    if _reads_hour(document):
        hours = f"CASE WHEN {HOURS} < 0e0 THEN {HOURS} + 24e0 ELSE {HOURS} END"
        yield Step("clocked", [(LOCAL_HOUR.name, f"floor({hours})")])
    parts = parts_of(document.model)
    if parts:
        for k, part in enumerate(parts):
            yield from _part_steps(k, [*_deciding(part.model, part.exploration, document.n_slots)], names)
        yield Step("mixed", [(f"probability.{name}", _mixed(name, [part.weight for part in parts])) for name in names])
    else:
        yield from (Step(*step) for step in _deciding(document.model, document.exploration, document.n_slots))
    shares = [own(f"probability.{name}") for name in names]
    reached = [" + ".join(shares[: k + 1]) for k in range(len(shares))]
    drawn = " ".join(
        f"WHEN {p} > 0e0 AND uniform < {r} THEN {k}" for k, (p, r) in enumerate(zip(shares, reached, strict=True))
    )
    last = " ".join(f"WHEN {p} > 0e0 THEN {k}" for k, p in reversed([*enumerate(shares)]))
    yield Step("drawn", [("action", f"CASE {drawn} ELSE CASE {last} END END")])
    called = " ".join(f"WHEN {k} THEN '{name}'" for k, name in enumerate(names))
    taken = " ".join(f"WHEN {k} THEN {share}" for k, share in enumerate(shares))
    action = own("action")
    yield Step("told", [("action_name", f"CASE {action} {called} END"), ("propensity", f"CASE {action} {taken} END")])


def _reads_hour(document: Document) -> bool:
    return LOCAL_HOUR.name in chooser(document.model, document.n_slots).inputs


def _is_asked(document: Document) -> str:
    """Return the condition that a row holds what the policy reads; of candidates, of those that could be sent."""
    known = inputs(document.n_slots)
    read = [known[name] for name in chooser(document.model, document.n_slots).inputs if name != LOCAL_HOUR.name]
    clock = [quoted(name) for name in CLOCK] if _reads_hour(document) else []
    parts = _finite([*clock, *(feature(entry, 0) for entry in read if not entry.is_per_slot)])
    of_candidates = [entry for entry in read if entry.is_per_slot]
    for slot in range(document.n_slots if of_candidates else 0):
        is_open = " OR ".join(eligible(f"slot{slot}.{channel}") for channel in CHANNELS_OF_A_SLOT)
        finite = " AND ".join(_finite([feature(entry, slot) for entry in of_candidates]))
        parts.append(f"CASE WHEN {is_open} THEN {finite} ELSE TRUE END")
    return f"coalesce({' AND '.join([*parts, 'uniform >= 0e0', 'uniform < 1e0'])}, FALSE)"


def _finite(columns: Sequence[str]) -> list[str]:
    return [f"isfinite({column}::DOUBLE)" for column in columns]


def _part_steps(k: int, steps: list[tuple[str, Columns]], names: tuple[str, ...]) -> Iterator[Step]:
    """Yield the steps of a part under names of its own, and one that keeps nothing of them but its shares."""
    for name, columns in steps:
        yield Step(f"{name}_{k}", columns)
    made = tuple(column for _, columns in steps for column, _ in columns)
    kept: Columns = [(f"part{k}.{name}", own(f"probability.{name}")) for name in names]
    yield Step(f"part_{k}", kept, made)


def _mixed(name: str, weights: list[float]) -> str:
    terms = [f"{number(weight)} * {own(f'part{k}.{name}')}" for k, weight in enumerate(weights)]
    return total([number(0.0), *terms])  # 0 for what is not eligible, as it is of each part


def _deciding(model: Model, exploration: Exploration, n_slots: int) -> Steps:
    """Yield the steps from features to probabilities."""
    yield from _model_steps(model, n_slots)
    yield from _exploring(exploration, action_names(n_slots))


def _model_steps(model: Model, n_slots: int) -> Steps:
    match model:
        case Rules():
            return rules_steps(model, n_slots)
        case Scorecard():
            return scorecard_steps(model, n_slots)
        case Tree():
            return tree_steps(model, n_slots)
        case Network():
            return network_steps(model, n_slots)
        case Posterior():
            return posterior_steps(model, n_slots)
        case Arms():
            return arms_steps(model, n_slots)
        case BetaArms():
            return beta_arms_steps(model, n_slots)
        case Mixture():
            raise AssertionError("a mixture is written part by part")


def _exploring(exploration: Exploration, names: tuple[str, ...]) -> Steps:
    """Yield the most that is wished, and probabilities."""
    wishes, most, preferred = [wish(name) for name in names], own("most"), own("preferred")
    sound = [
        f"CASE WHEN {eligible(name)} THEN isfinite({w}) ELSE TRUE END" for name, w in zip(names, wishes, strict=True)
    ]
    yield (
        "best",
        [
            ("most", f"greatest({', '.join(wishes)})"),
            ("is_sound", f"{own('is_asked')} AND coalesce({' AND '.join(sound)}, FALSE)"),
        ],
    )
    first = " ".join(f"WHEN {each} = {most} THEN {k}" for k, each in enumerate(wishes))
    yield "preferred", [("preferred", f"CASE {first} END")]
    match exploration:
        case Greedy():
            found = [f"CASE WHEN {preferred} = {k} THEN 1e0 ELSE 0e0 END" for k in range(len(names))]
        case Epsilon(epsilon):
            each = [f"CASE WHEN {eligible(name)} THEN 1 ELSE 0 END" for name in names]
            n_eligible, share = own("n_eligible"), own("share")
            yield "counted", [("n_eligible", total(each))]
            yield "parted", [("share", f"{number(epsilon)} / {n_eligible}")]
            found = [
                f"CASE WHEN {preferred} = {k} THEN 1e0 - ({n_eligible} - 1) * {share} "
                f"WHEN {eligible(name)} THEN {share} ELSE 0e0 END"
                for k, name in enumerate(names)
            ]
        case Softmax(temperature):
            columns = [
                (f"odds.{name}", f"exp(({w} - {most}) / {number(temperature)})")
                for name, w in zip(names, wishes, strict=True)
            ]
            yield "odds", columns
            yield "total", [("total", total(own(column) for column, _ in columns))]
            found = [f"{own(column)} / {own('total')}" for column, _ in columns]
        case Thompson():
            raise AssertionError("refused before")
    # NULL where decide would refuse; in a mixture it stays one.
    yield (
        "shares",
        [
            (f"probability.{name}", f"CASE WHEN {own('is_sound')} THEN {share} END")
            for name, share in zip(names, found, strict=True)
        ],
    )
