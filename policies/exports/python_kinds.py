"""The part of a Python export that depends on the kind of model: a function `wishes`, and the tables that it reads.

Everything is written in the order in which `policies.kinds` reckons, so that results are equal to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from policies.document import (
    NO_SEND,
    Arms,
    Believed,
    BetaArms,
    Condition,
    Known,
    Layer,
    Network,
    Posterior,
    Rule,
    Rules,
    Scorecard,
    Send,
    Tree,
)
from policies.inputs import N_CHANNELS, Input, edges, inputs, interval
from policies.kinds.scorecard import edges_of
from policies.kinds.tree import Leaf, Split
from policies.vocabulary import CHANNELS_OF_A_SLOT

PICK = '''
def pick(x, eligible, channels, fits=None, by=None, sign=1.0):
    """Return the action of the first fitting candidate, or of the one with the most of x[by]; -1: there is none."""
    best, most = -1, NEVER
    for slot in range(N_SLOTS):
        actions = [1 + 2 * slot + channel for channel in channels if eligible[1 + 2 * slot + channel]]
        if not actions or (fits is not None and not fits(x, WIDTH * slot)):
            continue
        if by is None:
            return actions[0]
        score = sign * x[by + WIDTH * slot]
        if score > most:
            best, most = actions[0], score
    return best
'''


def rules_code(model: Rules, n_slots: int) -> Iterator[str]:
    """Yield the lines of rules."""
    yield PICK
    yield ""
    yield "def choose(x, eligible):"
    yield '    """Return the action of the first rule that applies and finds something to send."""'
    known = inputs(n_slots)
    for rule in (*model.rules, Rule("the default", (), model.default)):
        yield from (f"    {line}" for line in _rule_code(rule, known))
    yield "    return 0"
    yield ""
    yield ""
    yield "def wishes(x, eligible):"
    yield "    found = [0.0 if is_eligible else NEVER for is_eligible in eligible]"
    yield "    found[choose(x, eligible)] = 1.0"
    yield "    return found"


def _rule_code(rule: Rule, known: dict[str, Input]) -> Iterator[str]:
    words = " and ".join(_words(condition) for condition in rule.when) or "always"
    yield f"# {_one_line(rule.name)}: {words}"
    on_user = [_holds(c, known[c.feature], "") for c in rule.when if not known[c.feature].is_per_slot]
    on_slot = [_holds(c, known[c.feature], " + s") for c in rule.when if known[c.feature].is_per_slot]
    fits = f"lambda x, s: {' and '.join(on_slot)}" if on_slot else "None"
    yield f"if {' and '.join(on_user) or 'True'}:"
    if rule.then == NO_SEND:
        yield f"    if pick(x, eligible, (0, 1), {fits}) >= 0:" if on_slot else "    return 0"
        if on_slot:
            yield "        return 0"
        return
    assert isinstance(rule.then, Send)
    channels = tuple(CHANNELS_OF_A_SLOT.index(channel) for channel in rule.then.channels)
    by = "" if rule.then.by is None else f", {known[rule.then.by].index}, {-1.0 if rule.then.slot == 'lowest' else 1.0}"
    yield f"    action = pick(x, eligible, {channels!r}, {fits}{by})"
    yield "    if action >= 0:"
    yield "        return action"


def _holds(condition: Condition, entry: Input, offset: str) -> str:
    parts = []
    for low, high in interval(entry, condition.operator, condition.value):
        value = f"x[{entry.index}{offset}]"
        left = "" if low == -math.inf else f"{low!r} <= "
        right = "" if high == math.inf else f" <= {high!r}"
        parts.append(f"{left}{value}{right}")
    joined = f"({' or '.join(parts)})"
    return f"not {joined}" if condition.operator == "!=" else joined


def _words(condition: Condition) -> str:
    value = condition.value
    shown = ", ".join(f"{each:g}" for each in value) if isinstance(value, tuple) else f"{value:g}"
    return f"{condition.feature} {condition.operator} {shown}"


def _one_line(text: str) -> str:
    """Return a text as a comment can hold it: what ends a line would end the comment."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def scorecard_code(model: Scorecard, n_slots: int) -> Iterator[str]:
    """Yield the lines of a scorecard."""
    known = inputs(n_slots)
    yield "# (feature's place, edges, points of push and e-mail by bin), or no edges and weights of the encoded value."
    for name, is_per_slot in (("OF_USER", False), ("OF_CANDIDATE", True)):
        yield f"{name} = ("
        for term in model.terms:
            entry = known[term.feature]
            if entry.is_per_slot != is_per_slot:
                continue
            found = edges_of(term, n_slots)
            columns = [
                term.points[channel] if hasattr(term, "points") else (term.weight[channel],)
                for channel in CHANNELS_OF_A_SLOT
            ]
            yield f"    # {term.feature}"
            yield f"    ({entry.index}, {found!r}, {tuple(zip(*columns, strict=True))!r}),"
        yield ")"
    base = tuple(model.base[channel] for channel in CHANNELS_OF_A_SLOT)
    yield f"""

def points(term, value):
    index, edges, table = term
    if edges:
        return table[bisect_right(edges, value)]
    return tuple(weight * value for weight in table[0])


def wishes(x, eligible):
    found = [NEVER] * len(eligible)
    found[0] = {model.threshold!r}
    common = list({base!r})
    for term in OF_USER:
        for channel, added in enumerate(points(term, x[term[0]])):
            common[channel] += added
    for slot in range(N_SLOTS):
        scores = list(common)
        for term in OF_CANDIDATE:
            for channel, added in enumerate(points(term, x[term[0] + WIDTH * slot])):
                scores[channel] += added
        for channel, score in enumerate(scores):
            if eligible[1 + 2 * slot + channel]:
                found[1 + 2 * slot + channel] = score
    return found"""


def tree_code(model: Tree, n_slots: int) -> Iterator[str]:
    """Yield the lines of a tree."""
    yield "def worth(x, s):"
    yield '    """Return what push and e-mail are worth over silence; s is where the candidate\'s features begin."""'
    yield from _node_code(model.root, inputs(n_slots), "    ")
    yield """

def wishes(x, eligible):
    found = [NEVER] * len(eligible)
    found[0] = 0.0
    for slot in range(N_SLOTS):
        for channel, value in enumerate(worth(x, WIDTH * slot)):
            if eligible[1 + 2 * slot + channel]:
                found[1 + 2 * slot + channel] = value
    return found"""


def _node_code(node: Split | Leaf, known: dict[str, Input], indent: str) -> Iterator[str]:
    if isinstance(node, Leaf):
        yield f"{indent}return {tuple(node.values[channel] for channel in CHANNELS_OF_A_SLOT)!r}"
        return
    entry = known[node.feature]
    place = f"{entry.index} + s" if entry.is_per_slot else f"{entry.index}"
    edge = edges(entry, (node.threshold,))[0]
    yield f"{indent}if x[{place}] < {edge!r}:  # {node.feature} < {node.threshold:g}"
    yield from _node_code(node.below, known, indent + "    ")
    yield from _node_code(node.otherwise, known, indent)


def network_code(model: Network, n_slots: int) -> Iterator[str]:
    """Yield the lines of a network."""
    known = inputs(n_slots)
    yield "# (feature's place, mean, scale, clip) of each input"
    yield "INPUTS = ("
    for entry in model.inputs:
        clip = "NEVER" if entry.clip is None else repr(-entry.clip)
        yield f"    ({known[entry.feature].index}, {entry.mean!r}, {entry.scale!r}, {clip}),  # {entry.feature}"
    yield ")"
    yield from _layers_code(model.layers)
    yield """

def wishes(x, eligible):
    h = [max(low, min(-low, (x[index] - mean) / scale)) for index, mean, scale, low in INPUTS]
    for weights, bias, name in LAYERS:
        h = activated(name, [sum(map(mul, row, h), start) for row, start in zip(weights, bias)])
    return [value if is_eligible else NEVER for value, is_eligible in zip(h, eligible)]"""


def _layers_code(layers: Sequence[Layer]) -> Iterator[str]:
    """Yield LAYERS, and the function `activated`."""
    yield "# (weights, a row an output; bias; activation) of each layer"
    yield "LAYERS = ("
    for layer in layers:
        yield "    ("
        yield "        ("
        yield from (f"            {row!r}," for row in layer.weights)
        yield "        ),"
        yield f"        {layer.bias!r},"
        yield f"        {layer.activation!r},"
        yield "    ),"
    yield ")"
    yield """

def activated(name, values):
    if name == "tanh":
        return list(map(math.tanh, values))
    return [0.0 if value < 0.0 else value for value in values] if name == "relu" else values"""


def posterior_code(model: Posterior, n_slots: int) -> Iterator[str]:
    """Yield the lines of a posterior."""
    known = inputs(n_slots)
    yield "# (feature's place, whether it is the candidate's, mean, scale, clip) of each input"
    yield "INPUTS = ("
    for entry in model.inputs:
        found = known[entry.feature]
        clip = "math.inf" if entry.clip is None else repr(entry.clip)
        yield f"    ({found.index}, {found.is_per_slot}, {entry.mean!r}, {entry.scale!r}, {clip}),  # {entry.feature}"
    yield ")"
    yield from _layers_code(model.layers)
    yield ""
    yield f"OPTIMISM = {model.optimism!r}"
    yield "# (known value, mean weights, columns of the covariance's lower factor) of no_send, push and e-mail"
    yield "HEADS = ("
    for name in ("no_send", *CHANNELS_OF_A_SLOT):
        value, mean, columns = _head(model.heads[name])
        yield "    ("
        yield f"        {value!r},"
        yield f"        {mean!r},"
        yield "        ("
        yield from (f"            {column!r}," for column in columns)
        yield "        ),"
        yield "    ),"
    yield ")"
    yield f'''

def hidden(x, slot):
    """Return 1 and the last layer of a slot's candidate, or of silence."""
    h = []
    for index, is_per_slot, mean, scale, clip in INPUTS:
        if is_per_slot and slot is None:
            h.append(0.0)
            continue
        value = x[index + WIDTH * slot] if is_per_slot else x[index]
        h.append(max(-clip, min(clip, (value - mean) / scale)))
    for weights, bias, name in LAYERS:
        h = activated(name, [sum(map(mul, row, h), start) for row, start in zip(weights, bias)])
    return [1.0, *h]


def candidates(x, eligible):
    """Return the number of each eligible action, its head, and its inputs."""
    found = [(0, HEADS[0], hidden(x, None))]
    for slot in range(len(eligible) // {N_CHANNELS}):
        first = 1 + {N_CHANNELS} * slot
        if any(eligible[first : first + {N_CHANNELS}]):
            h = hidden(x, slot)
            for channel in range({N_CHANNELS}):
                if eligible[first + channel]:
                    found.append((first + channel, HEADS[1 + channel], h))
    return found


def mean_of(head, h):
    return sum(map(mul, head[1], h), head[0])


def sd_of(head, h):
    return math.hypot(*(sum(map(mul, column, h[k:])) for k, column in enumerate(head[2])))


def wishes(x, eligible):
    found = [NEVER] * len(eligible)
    for action, head, h in candidates(x, eligible):
        found[action] = mean_of(head, h)
        if OPTIMISM:
            found[action] += OPTIMISM * sd_of(head, h)
    return found


def chances(x, eligible, scale):
    asked = candidates(x, eligible)
    best = best_of_normals([mean_of(head, h) for _, head, h in asked], [scale * sd_of(head, h) for _, head, h in asked])
    found = [0.0] * len(eligible)
    for (action, _, _), chance in zip(asked, best):
        found[action] = chance
    return found'''


def _head(head: Believed | Known) -> tuple[float, tuple[float, ...], list[tuple[float, ...]]]:
    if isinstance(head, Known):
        return head.value, (), []
    return 0.0, head.mean, [tuple(row[k] for row in head.factor[k:]) for k in range(len(head.factor))]


def beta_arms_code(model: BetaArms) -> Iterator[str]:
    """Yield the lines of Beta arms."""
    yield "# (successes, failures) of each action"
    yield f"COUNTS = {tuple(zip(model.successes, model.failures, strict=True))!r}"
    yield """

def wishes(x, eligible):
    return [a / (a + b) if is_eligible else NEVER for (a, b), is_eligible in zip(COUNTS, eligible)]


def chances(x, eligible, scale):
    actions = [action for action, is_eligible in enumerate(eligible) if is_eligible]
    best = best_of_betas(*zip(*(COUNTS[action] for action in actions)))
    found = [0.0] * len(eligible)
    for action, chance in zip(actions, best):
        found[action] = chance
    return found"""


def arms_code(model: Arms, n_slots: int) -> Iterator[str]:
    """Yield the lines of arms."""
    known = inputs(n_slots)
    terms: Sequence[tuple[int, float]] = tuple((known[term.feature].index, term.weight) for term in model.terms)
    yield f"VALUES = {model.values!r}"
    yield f"TERMS = {terms!r}  # (feature's place, weight): {', '.join(t.feature for t in model.terms) or 'none'}"
    yield f"""

def wishes(x, eligible):
    found = [value if is_eligible else NEVER for value, is_eligible in zip(VALUES, eligible)]
    for index, weight in TERMS:
        for action in range(1, len(found)):
            if eligible[action]:
                found[action] += weight * x[index + (action - 1) // {N_CHANNELS} * WIDTH]
    return found"""
