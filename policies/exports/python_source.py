"""One self-contained file of Python's standard library that decides as a document does.

    source = python_source(document)      # text of a module with decide(), probabilities(), ACTIONS, FEATURES

For whoever cannot install a package: the file imports nothing of Kairos. Its probabilities are those of
`policies.decide`, to the last bit on the same interpreter.
"""

from __future__ import annotations

from collections.abc import Iterator

from policies.codec import check, content_hash
from policies.document import Arms, Document, Epsilon, Greedy, Model, Network, Rules, Scorecard, Softmax, Tree, chooser
from policies.exploration import Exploration
from policies.exports.python_kinds import arms_code, network_code, rules_code, scorecard_code, tree_code
from policies.exports.refusal import no_form
from policies.inputs import LOCAL_HOUR
from policies.vocabulary import N_SLOT_FEATURES, action_names, feature_names

INSTEAD = "import policies instead, which asks for nothing but the standard library either"

HOUR = '''
def local_hour(x):
    """Return the whole local hour, 0 to 23, from its sine and cosine."""
    hours = math.atan2(x[0], x[1]) * (12.0 / math.pi)
    return float(math.floor(round(hours, 4) % 24.0))
'''

GREEDY = '''
def shares(wished):
    """Return probability 1 for the most wished action, the first of equals."""
    found = [0.0] * len(wished)
    found[max(range(len(wished)), key=wished.__getitem__)] = 1.0
    return found
'''

EPSILON = '''
def shares(wished):
    """Return probabilities: with EPSILON any eligible action, else the most wished."""
    n_eligible = len(wished) - wished.count(NEVER)
    share = EPSILON / n_eligible
    found = [0.0 if wish == NEVER else share for wish in wished]
    found[max(range(len(wished)), key=wished.__getitem__)] = 1.0 - (n_eligible - 1) * share
    return found
'''

SOFTMAX = '''
def shares(wished):
    """Return probabilities in proportion to exp(wish / TEMPERATURE)."""
    most = max(wished)
    weights = [math.exp((wish - most) / TEMPERATURE) for wish in wished]
    total = math.fsum(weights)
    return [weight / total for weight in weights]
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
    return shares(wished)


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
        ExportError: it believes or mixes, for which there is no short form.
    """
    checked = check(document)
    return "\n".join(_lines(checked)).rstrip() + "\n"


def _lines(document: Document) -> Iterator[str]:
    model = [*_model_code(document)]
    constant, exploring = _exploring(document)
    policy_hash = content_hash(document)
    reads_hour = LOCAL_HOUR.name in chooser(document.model, document.n_slots).inputs
    told = document.name.encode("ascii", "backslashreplace").decode()
    told = "".join(letter if letter.isprintable() and letter not in '"\\' else " " for letter in told)
    yield f'"""A notification policy, {told}, as one file of the standard library.'
    yield ""
    yield f"Written from the policy document {policy_hash}."
    yield "Do not edit: change the document, and write the file again."
    yield '"""'
    yield ""
    yield "import math"
    if isinstance(document.model, Scorecard):
        yield "from bisect import bisect_right"
    if isinstance(document.model, Network):
        yield "from operator import mul"
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
    yield constant
    if reads_hour:
        yield HOUR
    yield ""
    yield from model
    yield exploring
    yield ASK % {"hour": "    x.append(local_hour(x))\n" if reads_hour else ""}


def _model_code(document: Document) -> Iterator[str]:
    model: Model = document.model
    match model:
        case Rules():
            return rules_code(model, document.n_slots)
        case Scorecard():
            return scorecard_code(model, document.n_slots)
        case Tree():
            return tree_code(model, document.n_slots)
        case Network():
            return network_code(model, document.n_slots)
        case Arms():
            return arms_code(model, document.n_slots)
    raise no_form(document, "a Python file", f"a model of kind {model.kind}", INSTEAD)


def _exploring(document: Document) -> tuple[str, str]:
    """Return the constant and the function of how it explores."""
    exploration: Exploration = document.exploration
    match exploration:
        case Greedy():
            return "", GREEDY
        case Epsilon(epsilon):
            return f"EPSILON = {epsilon!r}", EPSILON
        case Softmax(temperature):
            return f"TEMPERATURE = {temperature!r}", SOFTMAX
    raise no_form(document, "a Python file", f"exploration {exploration.kind}", INSTEAD)
