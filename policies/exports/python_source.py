"""One self-contained file of Python's standard library that decides as a document does.

    source = python_source(document)      # text of a module with decide(), probabilities(), ACTIONS, FEATURES

For whoever cannot install a package: the file imports nothing of Kairos. Its probabilities are those of
`policies.decide`, to the last bit on the same interpreter.
"""

from __future__ import annotations

from collections.abc import Iterator

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
from policies.exports.python_kinds import (
    arms_code,
    beta_arms_code,
    network_code,
    posterior_code,
    rules_code,
    scorecard_code,
    tree_code,
)
from policies.exports.quadratures import quadrature_code
from policies.exports.refusal import no_form
from policies.inputs import LOCAL_HOUR
from policies.vocabulary import N_SLOT_FEATURES, action_names, feature_names

INSTEAD = "import policies instead, which asks for nothing but the standard library either"
IMPORTS = {"bisect_right": "from bisect import bisect_right", "mul": "from operator import mul"}

HOUR = '''
def local_hour(x):
    """Return the whole local hour, 0 to 23, from its sine and cosine."""
    hours = math.atan2(x[0], x[1]) * (12.0 / math.pi)
    return float(math.floor(round(hours, 4) % 24.0))
'''

GREEDY = '''
def shares(x, eligible, wished):
    """Return probability 1 for the most wished action, the first of equals."""
    found = [0.0] * len(wished)
    found[max(range(len(wished)), key=wished.__getitem__)] = 1.0
    return found
'''

EPSILON = '''
def shares(x, eligible, wished):
    """Return probabilities: with EPSILON any eligible action, else the most wished."""
    n_eligible = len(wished) - wished.count(NEVER)
    share = EPSILON / n_eligible
    found = [0.0 if wish == NEVER else share for wish in wished]
    found[max(range(len(wished)), key=wished.__getitem__)] = 1.0 - (n_eligible - 1) * share
    return found
'''

SOFTMAX = '''
def shares(x, eligible, wished):
    """Return probabilities in proportion to exp(wish / TEMPERATURE)."""
    most = max(wished)
    weights = [math.exp((wish - most) / TEMPERATURE) for wish in wished]
    total = math.fsum(weights)
    return [weight / total for weight in weights]
'''

THOMPSON = '''
def shares(x, eligible, wished):
    """Return the probability that a draw of each is the highest."""
    return chances(x, eligible, SCALE)
'''

MIXED = '''
def wishes(x, eligible):
    """Return the weighted mean of the parts' probabilities."""
    found = [0.0 if is_eligible else NEVER for is_eligible in eligible]
    for weight, (wishes_of_part, shares_of_part) in PARTS:
        wished = wishes_of_part(x, eligible)
        if any(is_eligible and not math.isfinite(wish) for wish, is_eligible in zip(wished, eligible)):
            return [math.nan if is_eligible else NEVER for is_eligible in eligible]
        of_part = shares_of_part(x, eligible, wished)
        for action, is_eligible in enumerate(eligible):
            if is_eligible:
                found[action] += weight * of_part[action]
    return found


def shares(x, eligible, wished):
    return [max(0.0, share) for share in wished]
'''

ASK = '''
def probabilities(features, eligible):
    """Return the probability of each of ACTIONS, 0 for those that are not eligible.

    Args:
        features: numbers, encoded, in the order of FEATURES.
        eligible: true or false for each of ACTIONS; no_send, the first, always is.
    """
    x, eligible = [float(value) for value in features], [bool(flag) for flag in eligible]
    if len(x) != len(FEATURES):
        raise ValueError(f"features: expected {len(FEATURES)} numbers, got {len(x)}")
    if len(eligible) != len(ACTIONS):
        raise ValueError(f"eligible: expected {len(ACTIONS)} of true or false, got {len(eligible)}")
    if not eligible[0]:
        raise ValueError("eligible[0] (no_send): expected true, silence is always eligible, got False")
    for name, value in zip(FEATURES, x):
        if not math.isfinite(value):
            raise ValueError(f"features: {name}: expected a finite number, got {value}")
%(hour)s    wished = wishes(x, eligible)
    for name, wish, is_eligible in zip(ACTIONS, wished, eligible):
        if is_eligible and not math.isfinite(wish):
            raise ValueError(f"preference of {name}: expected a finite number from these features, got {wish}")
    found = shares(x, eligible, wished)
    if not math.isfinite(sum(found)):
        raise ValueError("standard deviation of a score: expected a finite number from these features")
    return found


def decide(features, eligible, uniform):
    """Return the number of the action, its name and its probability.

    Args:
        features, eligible: as of probabilities.
        uniform: drawn by the caller, in [0, 1); the action is the one whose share of [0, 1) holds it.
    """
    if not 0.0 <= uniform < 1.0:
        raise ValueError(f"uniform: expected a number in [0, 1), got {uniform}")
    reached, action = 0.0, 0
    found = probabilities(features, eligible)
    for k, share in enumerate(found):
        if share > 0.0:
            reached += share
            action = k
            if uniform < reached:
                break
    return action, ACTIONS[action], found[action]
'''


def python_source(document: Document) -> str:
    """Return the text of the module.

    Raises:
        DocumentError: the document is not sound.
        ExportError: it has a fallback, of which the file would know nothing.
    """
    checked = check(document)
    if checked.fallback is not None:
        raise no_form(checked, "a Python file", "a fallback", INSTEAD)
    return "\n".join(_lines(checked)).rstrip() + "\n"


def _lines(document: Document) -> Iterator[str]:
    deciding = [
        *quadrature_code(document.model, document.exploration),
        *_deciding(document.model, document.exploration, document.n_slots),
    ]
    policy_hash = content_hash(document)
    reads_hour = LOCAL_HOUR.name in chooser(document.model, document.n_slots).inputs
    told = document.name.encode("ascii", "backslashreplace").decode()
    told = "".join(letter if letter.isprintable() and letter not in '"\\' else " " for letter in told)
    yield f'"""A notification policy, {told}, as one file of the standard library.'
    yield ""
    yield f"Written from the policy document {policy_hash}."
    if document.brings_limits:
        yield "The document's own limits are not in it: hold them, and say by `eligible` what they leave."
    yield "Do not edit: change the document, and write the file again."
    yield '"""'
    yield ""
    yield "from __future__ import annotations"
    yield ""
    yield "import math"
    text = "\n".join(deciding)
    yield from (line for name, line in IMPORTS.items() if f"{name}(" in text or f"({name}," in text)
    yield ""
    yield f"POLICY_HASH = {policy_hash!r}"
    yield f"N_SLOTS = {document.n_slots}"
    yield f"WIDTH = {N_SLOT_FEATURES}  # features of a candidate"
    yield "NEVER = -math.inf"
    for name, values in (
        ("ACTIONS", action_names(document.n_slots)),
        ("FEATURES", feature_names(document.n_slots)),
    ):
        yield f"{name} = ("
        yield from (f"    {value!r}," for value in values)
        yield ")"
    if reads_hour:
        yield HOUR
    yield from deciding
    yield ASK % {"hour": "    x.append(local_hour(x))\n" if reads_hour else ""}


def _deciding(model: Model, exploration: Exploration, n_slots: int) -> Iterator[str]:
    """Yield what defines `wishes` and `shares`."""
    if not (parts := parts_of(model)):
        constant, exploring = _exploring(exploration)
        yield constant
        yield ""
        yield from _model_code(model, n_slots)
        yield exploring
        return
    for k, part in enumerate(parts):
        yield ""
        yield ""
        yield f"def part_{k}():"
        yield f'    """Return what part {k}, of weight {part.weight!r}, wishes, and its shares."""'
        inner = "\n".join(_deciding(part.model, part.exploration, n_slots))
        yield from (f"    {line}" if line else line for line in inner.splitlines())
        yield "    return wishes, shares"
    yield ""
    yield ""
    yield f"PARTS = ({' '.join(f'({part.weight!r}, part_{k}()),' for k, part in enumerate(parts))})"
    yield ""
    yield MIXED


def _model_code(model: Model, n_slots: int) -> Iterator[str]:
    match model:
        case Rules():
            return rules_code(model, n_slots)
        case Scorecard():
            return scorecard_code(model, n_slots)
        case Tree():
            return tree_code(model, n_slots)
        case Network():
            return network_code(model, n_slots)
        case Posterior():
            return posterior_code(model, n_slots)
        case Arms():
            return arms_code(model, n_slots)
        case BetaArms():
            return beta_arms_code(model)
        case Mixture():
            raise AssertionError("a mixture is written part by part")


def _exploring(exploration: Exploration) -> tuple[str, str]:
    """Return the constant and the function of how it explores."""
    match exploration:
        case Greedy():
            return "", GREEDY
        case Epsilon(epsilon):
            return f"EPSILON = {epsilon!r}", EPSILON
        case Softmax(temperature):
            return f"TEMPERATURE = {temperature!r}", SOFTMAX
        case Thompson(scale):
            return f"SCALE = {scale!r}", THOMPSON
