"""The part of an SQL export that depends on the kind of model: what each action is wished, as expressions.

A kind yields common table expressions, each `(name, columns)` over the one before it; the last has a column
`wish.ACTION` for each action, -infinity for what is not eligible. Sums run in the order of `policies.kinds`.

Columns that a statement makes are called `kairos.` and their name in it, so that no column of the table, a `total` or
an `action` of whoever asks, is taken for one of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from policies.document import (
    NO_SEND,
    Arms,
    BetaArms,
    Condition,
    Known,
    Network,
    Posterior,
    Rule,
    Rules,
    Scorecard,
    Send,
    Tree,
    Weighted,
)
from policies.inputs import LOCAL_HOUR, N_CHANNELS, Input, edges, inputs, interval
from policies.kinds.network import Layer
from policies.kinds.scorecard import Binned, edges_of
from policies.kinds.tree import Leaf, Split
from policies.vocabulary import CHANNELS_OF_A_SLOT, action_names

Columns = list[tuple[str, str]]  # names without OWN, and the expressions that they stand for
Steps = Iterator[tuple[str, Columns]]


class Step(NamedTuple):
    """A common table expression over the one before it.

    Attributes:
        name: unique.
        columns: that it adds.
        dropped: columns of earlier steps that end here.
    """

    name: str
    columns: Columns
    dropped: tuple[str, ...] = ()


OWN = "kairos."  # before the name of each column that a statement makes
LONGEST_SUM = 500  # terms
ACTIVATIONS = {"tanh": "tanh({})", "relu": "CASE WHEN {0} < 0e0 THEN 0e0 ELSE {0} END", "identity": "{}"}


def quoted(name: str) -> str:
    """Return a name as SQL writes it."""
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


def number(value: float) -> str:
    """Return a literal of type DOUBLE: without an exponent it would be a decimal."""
    text = repr(float(value))
    text = text if "e" in text else f"{text}e0"
    return f"({text})" if text.startswith("-") else text


def own(name: str) -> str:
    """Return a column that the statement makes."""
    return quoted(OWN + name)


def eligible(action: str) -> str:
    """Return the condition that an action is eligible; silence always is."""
    return "TRUE" if action == NO_SEND else quoted(f"eligible.{action}")


def wish(action: str) -> str:
    """Return the column of an action's wish."""
    return own(f"wish.{action}")


def feature(entry: Input, slot: int) -> str:
    """Return the column of a feature, of a candidate's slot where it is the candidate's."""
    if entry.feature is LOCAL_HOUR:
        return own(entry.name)
    return quoted(entry.name.replace("slot.", f"slot{slot}.", 1) if entry.is_per_slot else entry.name)


def _wishes(n_slots: int, of: Iterable[str]) -> Columns:
    names = action_names(n_slots)
    return [
        (f"wish.{name}", f"CASE WHEN {eligible(name)} THEN {score} ELSE '-infinity'::DOUBLE END")
        for name, score in zip(names, of, strict=True)
    ]


def total(terms: Iterable[str]) -> str:
    """Return a sum from left to right; a long one as the sum of shorter ones, since DuckDB bears 1,000 levels."""
    listed = list(terms)
    if len(listed) <= LONGEST_SUM:
        return " + ".join(listed)
    parts = (" + ".join(listed[k : k + LONGEST_SUM]) for k in range(0, len(listed), LONGEST_SUM))
    return " + ".join(f"({part})" for part in parts)


def scorecard_steps(model: Scorecard, n_slots: int) -> Steps:
    """Yield the steps of a scorecard."""
    known = inputs(n_slots)
    ordered = sorted(model.terms, key=lambda term: known[term.feature].is_per_slot)  # stable: the user's first
    scores = [number(model.threshold)]
    for slot in range(n_slots):
        for channel in CHANNELS_OF_A_SLOT:
            terms = [_points(t, feature(known[t.feature], slot), channel, n_slots) for t in ordered]
            scores.append(total([number(model.base[channel]), *terms]))
    yield "wished", _wishes(n_slots, scores)


def _points(term: Weighted | Binned, value: str, channel: str, n_slots: int) -> str:
    if isinstance(term, Weighted):
        return f"{number(term.weight[channel])} * {value}"
    points = [number(each) for each in term.points[channel]]
    whens = [
        f"WHEN {value} < {number(edge)} THEN {point}"
        for edge, point in zip(edges_of(term, n_slots), points[:-1], strict=True)
    ]
    return f"CASE {' '.join(whens)} ELSE {points[-1]} END"


def tree_steps(model: Tree, n_slots: int) -> Steps:
    """Yield the steps of a tree."""
    known = inputs(n_slots)

    def walk(node: Split | Leaf, slot: int, channel: str) -> str:
        if isinstance(node, Leaf):
            return number(node.values[channel])
        entry = known[node.feature]
        edge = number(edges(entry, (node.threshold,))[0])
        below, otherwise = (walk(each, slot, channel) for each in (node.below, node.otherwise))
        return f"CASE WHEN {feature(entry, slot)} < {edge} THEN {below} ELSE {otherwise} END"

    worth = [walk(model.root, slot, channel) for slot in range(n_slots) for channel in CHANNELS_OF_A_SLOT]
    yield "wished", _wishes(n_slots, [number(0.0), *worth])


def arms_steps(model: Arms, n_slots: int) -> Steps:
    """Yield the steps of arms."""
    known = inputs(n_slots)
    scores = [number(model.values[0])]
    for action in range(1, len(model.values)):
        slot = (action - 1) // N_CHANNELS
        values = [feature(known[term.feature], slot) for term in model.terms]
        terms = _products([term.weight for term in model.terms], values)
        scores.append(total([number(model.values[action]), *terms]))
    yield "wished", _wishes(n_slots, scores)


def beta_arms_steps(model: BetaArms, n_slots: int) -> Steps:
    """Yield the steps of Beta arms: the mean rate of each."""
    means = [number(a / (a + b)) for a, b in zip(model.successes, model.failures, strict=True)]
    yield "wished", _wishes(n_slots, means)


def network_steps(model: Network, n_slots: int) -> Steps:
    """Yield the steps of a network: its inputs, and each layer."""
    known = inputs(n_slots)
    yield (
        "h0",
        [
            (f"h0.{k}", _standardised(quoted(known[entry.feature].name), entry.mean, entry.scale, entry.clip))
            for k, entry in enumerate(model.inputs)
        ],
    )
    for place, layer in enumerate(model.layers):
        outputs = _layer(layer, f"h{place}")
        if place + 1 < len(model.layers):
            yield f"h{place + 1}", [(f"h{place + 1}.{k}", value) for k, value in enumerate(outputs)]
        else:
            yield "wished", _wishes(n_slots, outputs)


def _standardised(value: str, mean: float, scale: float, clip: float | None) -> str:
    found = f"({value} - {number(mean)}) / {number(scale)}"
    return found if clip is None else f"greatest({number(-clip)}, least({number(clip)}, {found}))"


def _layer(layer: Layer, before: str) -> list[str]:
    found = []
    for row, start in zip(layer.weights, layer.bias, strict=True):
        terms = _products(row, [own(f"{before}.{k}") for k in range(len(row))])
        found.append(ACTIVATIONS[layer.activation].format(f"({total([number(start), *terms])})"))
    return found


def posterior_steps(model: Posterior, n_slots: int) -> Steps:
    """Yield the steps of a posterior: for silence and each candidate its inputs, each layer, and the scores."""
    known = inputs(n_slots)
    looked_at: list[int | None] = [None, *range(n_slots)]
    columns: Columns = []
    for slot in looked_at:
        for k, entry in enumerate(model.inputs):
            found = known[entry.feature]
            is_missing = found.is_per_slot and slot is None
            value = _standardised(feature(found, slot or 0), entry.mean, entry.scale, entry.clip)
            columns.append((f"h0.{_of(slot)}.{k}", number(0.0) if is_missing else value))
    yield "h0", columns
    for place, layer in enumerate(model.layers):
        yield (
            f"h{place + 1}",
            [
                (f"h{place + 1}.{_of(slot)}.{k}", value)
                for slot in looked_at
                for k, value in enumerate(_layer(layer, f"h{place}.{_of(slot)}"))
            ],
        )
    width = len(model.layers[-1].bias) if model.layers else len(model.inputs)

    def score(head: str, slot: int | None) -> str:
        return _score(model, head, [own(f"h{len(model.layers)}.{_of(slot)}.{k}") for k in range(width)])

    scores = [score("no_send", None)]
    scores += [score(channel, slot) for slot in range(n_slots) for channel in CHANNELS_OF_A_SLOT]
    yield "wished", _wishes(n_slots, scores)


def _of(slot: int | None) -> str:
    return "silence" if slot is None else f"slot{slot}"


def _score(model: Posterior, name: str, hidden: Sequence[str]) -> str:
    """Return a head's mean, and its optimism's standard deviations."""
    head = model.heads[name]
    if isinstance(head, Known):
        return number(head.value)
    x = [number(1.0), *hidden]
    mean = total([number(0.0), *_products(head.mean, x)])
    if not model.optimism:
        return mean
    columns = [[row[k] for row in head.factor[k:]] for k in range(len(head.factor))]
    squares = [f"pow({total([number(0.0), *_products(column, x[k:])])}, 2)" for k, column in enumerate(columns)]
    return f"{mean} + {number(model.optimism)} * sqrt({total(squares)})"


def _products(weights: Sequence[float], values: Sequence[str]) -> list[str]:
    return [f"{number(weight)} * {value}" for weight, value in zip(weights, values, strict=True)]


def rules_steps(model: Rules, n_slots: int) -> Steps:
    """Yield the steps of rules: which action each would take, the first that takes one, and the wishes."""
    known = inputs(n_slots)
    rules = (*model.rules, Rule("the default", (), model.default))
    yield "ruled", [(f"rule.{k}", _taken_by(rule, known, n_slots)) for k, rule in enumerate(rules)]
    # A rule that takes nothing has no action; silence is what is left.
    yield "chosen", [("chosen", f"coalesce({', '.join(own(f'rule.{k}') for k in range(len(rules)))}, 0)")]
    names = action_names(n_slots)
    yield (
        "wished",
        _wishes(n_slots, [f"CASE WHEN {own('chosen')} = {k} THEN 1e0 ELSE 0e0 END" for k in range(len(names))]),
    )


def _taken_by(rule: Rule, known: dict[str, Input], n_slots: int) -> str:
    """Return the number of the action that a rule takes, NULL for none."""
    on_user = [_holds(c, known[c.feature], 0) for c in rule.when if not known[c.feature].is_per_slot]
    on_slot = [c for c in rule.when if known[c.feature].is_per_slot]
    channels: Sequence[str] = rule.then.channels if isinstance(rule.then, Send) else CHANNELS_OF_A_SLOT
    fits, actions = [], []
    for slot in range(n_slots):
        ways = [(eligible(f"slot{slot}.{c}"), 1 + N_CHANNELS * slot + CHANNELS_OF_A_SLOT.index(c)) for c in channels]
        some = f"({' OR '.join(way for way, _ in ways)})"
        fits.append(" AND ".join([some, *(_holds(c, known[c.feature], slot) for c in on_slot)]))
        actions.append(f"CASE {' '.join(f'WHEN {way} THEN {action}' for way, action in ways)} END")
    if rule.then == NO_SEND:
        found = f"CASE WHEN {' OR '.join(f'({fit})' for fit in fits)} THEN 0 END" if on_slot else "0"
    else:
        assert isinstance(rule.then, Send)
        found = _first(fits, actions) if rule.then.by is None else _most(rule.then, known, fits, actions)
    return f"CASE WHEN {' AND '.join(on_user)} THEN {found} END" if on_user else found


def _first(fits: Sequence[str], actions: Sequence[str]) -> str:
    whens = (f"WHEN {fit} THEN {action}" for fit, action in zip(fits, actions, strict=True))
    return f"CASE {' '.join(whens)} END"


def _most(send: Send, known: dict[str, Input], fits: Sequence[str], actions: Sequence[str]) -> str:
    """Return the action of the fitting candidate with the most, or the least, of a feature; the first of equals."""
    assert send.by is not None
    values = [feature(known[send.by], slot) for slot in range(len(fits))]
    of_fitting = [f"CASE WHEN {fit} THEN {value} END" for fit, value in zip(fits, values, strict=True)]
    best = f"{'least' if send.slot == 'lowest' else 'greatest'}({', '.join(of_fitting)})"  # NULLs do not count
    best = of_fitting[0] if len(of_fitting) == 1 else best
    return _first([f"{fit} AND {value} = {best}" for fit, value in zip(fits, values, strict=True)], actions)


def _holds(condition: Condition, entry: Input, slot: int) -> str:
    value, parts = feature(entry, slot), []
    for low, high in interval(entry, condition.operator, condition.value):
        bounds = [f"{value} >= {number(low)}"] if low > -math.inf else []
        bounds += [f"{value} <= {number(high)}"] if high < math.inf else []
        parts.append(" AND ".join(bounds))
    joined = f"({' OR '.join(f'({part})' for part in parts)})"
    return f"NOT {joined}" if condition.operator == "!=" else joined
