"""Decide: from a policy document, what is known, and a uniform number to an action and its exact probability.

    policy = load(text)                                      # once; refuses what it cannot run faithfully
    policy.decide(features, eligible, uniform)               # for each decision
    decide(document, features, eligible, uniform)            # the same in one call

The same document, features, eligible actions and uniform number give the same decision. Rules and scorecards without
softmax use only comparisons, sums and products, so theirs are the same on any machine; softmax, thompson, tanh and a
network's sums may differ in the last place between platforms, and a drawn action only if the uniform number lies that
close to the border between two.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from policies.codec import check, content_hash, read
from policies.document import Document, ParityVector, chooser, parts_of
from policies.exploration import Exploration, Greedy, Thompson, draw, greedy_action, shares
from policies.inputs import LOCAL_HOUR, local_hour
from policies.strict_json import Faults, shown
from policies.vocabulary import action_names, feature_names, n_actions, n_features

if TYPE_CHECKING:
    from policies.document import Model, Rules

EXACT_PARITY = 1e-12  # of a probability: rules and scorecards are evaluated term by term in float64
LOOSE_PARITY = 1e-6  # networks may come from float32, and thompson from another quadrature
MAX_PARITY_FAULTS = 10
N_POLICIES_KEPT = 16


class Decision(NamedTuple):
    """What a policy decided.

    Attributes:
        action: 0 is no_send, 1 + 2 * slot + channel a send.
        propensity: the probability of this action, in (0, 1].
        probabilities: of each action, exactly 0 where it is not eligible, shape (A,).
        reasons: why, for people; empty when none were asked for.
    """

    action: int
    propensity: float
    probabilities: tuple[float, ...]
    reasons: tuple[str, ...]


class Array(Protocol):
    """A NumPy array, which is not imported here."""

    def tolist(self) -> Any:
        """Return its entries as lists of Python's own numbers."""
        ...


class DecideError(ValueError):
    """A question that cannot be answered: what was expected of it and what was got."""


class ModelError(DecideError):
    """A sound question that the model has no answer to: its numbers overflow."""


class Policy:
    """A document made ready; it holds no state, so threads may share it.

    Attributes:
        document: what it was made of.
        policy_hash: what ledgers call it.
        inputs: the names of what it reads.

    Raises:
        DocumentError: when the document is not sound, or a parity vector does not come out as written.
    """

    def __init__(self, document: Document) -> None:
        self.document = document
        checked = check(document)
        self.policy_hash = content_hash(checked)
        self._chooser = chooser(checked.model, checked.n_slots)
        self.inputs = self._chooser.inputs
        self._exploration = checked.exploration
        self._is_mixture = bool(parts_of(checked.model))
        self._n_slots = checked.n_slots
        self._n_features = n_features(checked.n_slots)
        self._n_actions = n_actions(checked.n_slots)
        self._fallback = None if checked.fallback is None else Policy(_as_document(checked, checked.fallback))
        self._reads_hour = LOCAL_HOUR.name in self.inputs
        self._check_parity(checked)

    def decide(
        self,
        features: Sequence[float] | Array,
        eligible: Sequence[int] | Array,
        uniform: float,
        *,
        explain: bool = True,
    ) -> Decision:
        """Decide once.

        Args:
            features: the observation in the vocabulary's order, encoded, finite, shape (29 + 7 C,).
            eligible: true or false, 1 or 0, for each action, shape (A,); no_send always is.
            uniform: drawn by the caller, in [0, 1); the action is that whose share of [0, 1) holds it.
            explain: whether reasons are wanted.

        Raises:
            DecideError: when an argument is not so; a ModelError when the model has no answer and the document no
                fallback.
        """
        try:
            is_uniform = 0.0 <= uniform < 1.0
        except (TypeError, ValueError):
            is_uniform = False
        if not is_uniform:
            raise self._error("uniform", "a number in [0, 1)", uniform)
        values, allowed = self._checked(features, eligible)
        try:
            preferences = self._preferences(values, allowed)
            found = self._shares(values, allowed, preferences)
        except ModelError as fault:
            if self._fallback is None:
                raise
            decision = self._fallback.decide(features, eligible, uniform, explain=explain)
            words = (f"the fallback decides, the model could not: {fault}",) if explain else ()
            return decision._replace(reasons=(*words, *decision.reasons))
        action = draw(found, uniform)
        reasons = self._reasons(values, allowed, preferences, action, found[action]) if explain else ()
        return Decision(action, found[action], found, reasons)

    def probabilities(self, features: Sequence[float] | Array, eligible: Sequence[int] | Array) -> tuple[float, ...]:
        """Return the probability of each action, shape (A,); arguments and errors are those of `decide`."""
        values, allowed = self._checked(features, eligible)
        try:
            return self._shares(values, allowed, self._preferences(values, allowed))
        except ModelError:
            if self._fallback is None:
                raise
            return self._fallback.probabilities(features, eligible)

    def _checked(
        self, features: Sequence[float] | Array, eligible: Sequence[int] | Array
    ) -> tuple[list[float], list[bool]]:
        """Return the values that choosers read, and what is eligible."""
        values = self._checked_features(features)
        allowed = self._checked_eligible(eligible)
        values.append(local_hour(values) if self._reads_hour else 0.0)
        return values, allowed

    def _shares(self, values: list[float], allowed: list[bool], preferences: list[float]) -> tuple[float, ...]:
        if self._is_mixture:
            return tuple(max(0.0, share) for share in preferences)
        found = shares(self._chooser, self._exploration, values, allowed, preferences)
        if not math.isfinite(sum(found)):
            raise self._model_error("standard deviation of a score", math.inf)
        return found

    def _preferences(self, values: list[float], allowed: list[bool]) -> list[float]:
        preferences = self._chooser.preferences(values, allowed)
        if not -math.inf < sum(preferences) < math.inf:  # some are not eligible, or something is wrong
            for action, preference in enumerate(preferences):
                if allowed[action] and not math.isfinite(preference):  # extreme weights or features overflowed
                    raise self._model_error(f"preference of {action_names(self._n_slots)[action]}", preference)
        return preferences

    def _checked_features(self, features: Sequence[float] | Array) -> list[float]:
        """Return the features as a list of their own."""
        values = _listed(features)
        if values is None or len(values) != self._n_features:
            formula = f"{self._n_features} numbers (29 + 7 * {self._n_slots} slots)"
            raise self._error("features", formula, features if values is None else len(values))
        try:
            total = sum(values)
        except (TypeError, OverflowError):
            total = None
        # The usual case, in a seventh of the time: a sum that is finite and Python's own float has only such terms.
        if type(total) is float and math.isfinite(total):
            return values
        for index, value in enumerate(values):
            if not _is_finite(value):
                name = feature_names(self._n_slots)[index]
                raise self._error(f"features[{index}] ({name})", "a finite number", value)
        return list(map(float, values))  # NumPy's float32 scalars would make every sum float32

    def _checked_eligible(self, eligible: Sequence[int] | Array) -> list[bool]:
        flags = _listed(eligible)
        if flags is None or len(flags) != self._n_actions:
            formula = f"{self._n_actions} of true or false (1 + 2 * {self._n_slots} slots)"
            raise self._error("eligible", formula, eligible if flags is None else len(flags))
        if flags.count(True) + flags.count(False) != len(flags):  # equality: 1 and 0 count as well
            action = next(action for action, flag in enumerate(flags) if flag not in (True, False))
            name = action_names(self._n_slots)[action]
            raise self._error(f"eligible[{action}] ({name})", "true or false", flags[action])
        if not flags[0]:
            raise self._error("eligible[0] (no_send)", "true, silence is always eligible", flags[0])
        return flags

    def _reasons(
        self, values: list[float], allowed: list[bool], preferences: list[float], action: int, propensity: float
    ) -> tuple[str, ...]:
        if not any(allowed[1:]):
            return ("nothing but no_send is eligible",)
        reasons = self._chooser.reasons(values, allowed, preferences)
        if isinstance(self._exploration, Greedy) and not self._is_mixture:
            return reasons
        names = action_names(self._n_slots)
        preferred = greedy_action(preferences)
        drawn = f"{names[action]} was drawn with probability {propensity:.4g}"
        return (drawn if action == preferred else f"{drawn}; {names[preferred]} is preferred", *reasons)

    def _model_error(self, where: str, got: float) -> ModelError:
        return ModelError(str(self._error(where, "a finite number from these features", got)))

    def _error(self, where: str, expected: str, got: object) -> DecideError:
        return DecideError(f"policy {self.document.name!r}: {where}: expected {expected}, got {shown(got)}")

    def _check_parity(self, document: Document) -> None:
        tolerance = LOOSE_PARITY if _is_loose(document.model, document.exploration) else EXACT_PARITY
        faults = Faults(f"policy document {document.name!r}")
        for k, vector in enumerate(document.parity):
            fault = self._parity_fault(vector, tolerance)
            if fault and len(faults) < MAX_PARITY_FAULTS:
                faults.note(f"parity[{k}]", fault)
        faults.raise_if_any()

    def _parity_fault(self, vector: ParityVector, tolerance: float) -> str:
        try:
            found = self.probabilities(vector.features, vector.eligible)
        except DecideError as error:
            return str(error)
        gaps = [abs(got - expected) for got, expected in zip(found, vector.probabilities, strict=True)]
        widest = max(range(len(gaps)), key=gaps.__getitem__)
        if gaps[widest] <= tolerance:
            return ""
        name = action_names(self._n_slots)[widest]
        return (
            f"expected probability {vector.probabilities[widest]!r} of {name} to within {tolerance:g}, "
            f"got {found[widest]!r}"
        )


def load(text: str | bytes, source: str = "policy document") -> Policy:
    """Read a document and make it ready.

    Raises:
        DocumentError: with every fault.
    """
    return Policy(read(text, source))


def decide(
    document: Document,
    features: Sequence[float] | Array,
    eligible: Sequence[int] | Array,
    uniform: float,
    *,
    explain: bool = True,
) -> Decision:
    """Decide by a document, which is made ready at its first use; see `Policy.decide`."""
    policy = _POLICIES.get(id(document))
    if policy is None:
        policy = Policy(document)
        if len(_POLICIES) >= N_POLICIES_KEPT:
            _POLICIES.clear()
        # The policy keeps its document alive, so no other can come to have this id while it is kept.
        _POLICIES[id(document)] = policy
    return policy.decide(features, eligible, uniform, explain=explain)


def _as_document(document: Document, fallback: Rules) -> Document:
    return Document(f"the fallback of {document.name}", document.n_slots, fallback)


def _is_loose(model: Model, exploration: Exploration) -> bool:
    if parts := parts_of(model):
        return any(_is_loose(part.model, part.exploration) for part in parts)
    return model.kind in ("network", "posterior") or isinstance(exploration, Thompson)


_POLICIES: dict[int, Policy] = {}


def _listed(values: object) -> list[Any] | None:
    """Return values as a new list of Python's own numbers; None of what is no flat sequence."""
    if type(values) is list:  # the usual case in production, where the rest would take a twentieth of a decision
        return values.copy()
    if hasattr(values, "tolist"):
        found = values.tolist()
        return found if isinstance(found, list) else None
    if isinstance(values, Sequence) and not isinstance(values, str | bytes):
        return list(values)
    return None


def _is_finite(value: object) -> bool:
    try:
        return math.isfinite(value)  # type: ignore[arg-type]
    except (TypeError, OverflowError):
        return False
