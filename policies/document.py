"""The policy document: a policy as data, that people can read and production can run with the standard library alone.

    {"version": 2, "vocabulary": "1-...", "name": "evening push", "n_slots": 4,
     "model": {"kind": "rules", ...}, "exploration": {"kind": "none"}, "policy_hash": "sha256:..."}

The fields of these classes are those of the JSON; `policies.codec` reads and writes it, `policies.decide` runs it.
`docs/policy-document.md` shows an example of each kind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial, reduce
from importlib import import_module
from operator import or_
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from policies.exploration import Epsilon, Exploration, Greedy, Softmax, Thompson, read_exploration
from policies.limits import Constraints
from policies.migrations import VERSION
from policies.read_limits import read_constraints
from policies.strict_json import Node, repeated
from policies.vocabulary import FINGERPRINT, n_actions, n_features

if TYPE_CHECKING:
    from policies.kinds.arms import Arms, SlotTerm
    from policies.kinds.beta_arms import BetaArms
    from policies.kinds.mixture import Mixture, Part
    from policies.kinds.network import Layer, Network, NetworkInput
    from policies.kinds.posterior import Believed, Known, Posterior
    from policies.kinds.rules import NO_SEND, Condition, Rule, Rules, Send
    from policies.kinds.scorecard import Binned, Scorecard, Weighted
    from policies.kinds.tree import Leaf, Split, Tree

    Model: TypeAlias = Rules | Scorecard | Tree | Network | Posterior | Arms | BetaArms | Mixture

# A kind is a module of `policies.kinds`, and is loaded when a document is of it: all of them would take a third of the
# time in which a process starts. These are the names that each brings.
KINDS: dict[str, tuple[str, ...]] = {
    "rules": ("Rules", "Rule", "Condition", "Send", "NO_SEND"),
    "scorecard": ("Scorecard", "Binned", "Weighted"),
    "tree": ("Tree", "Split", "Leaf"),
    "network": ("Network", "NetworkInput", "Layer"),
    "posterior": ("Posterior", "Believed", "Known"),
    "arms": ("Arms", "SlotTerm"),
    "beta_arms": ("BetaArms",),
    "mixture": ("Mixture", "Part"),
}
KINDS_OF_PARTS = tuple(kind for kind in KINDS if kind != "mixture")
WITH_BELIEFS = ("posterior", "beta_arms")

__all__ = [
    "KINDS",
    "NO_SEND",
    "VERSION",
    "Arms",
    "Believed",
    "BetaArms",
    "Binned",
    "Condition",
    "Constraints",
    "Document",
    "Epsilon",
    "Exploration",
    "Greedy",
    "Known",
    "Layer",
    "Leaf",
    "Mixture",
    "Model",
    "Network",
    "NetworkInput",
    "ParityVector",
    "Part",
    "Posterior",
    "Rule",
    "Rules",
    "Scorecard",
    "Send",
    "SlotTerm",
    "Softmax",
    "Split",
    "Thompson",
    "Tree",
    "Weighted",
    "require_no_limits",
]

MAX_SLOTS = 100
MAX_CAMPAIGNS = 1_000
MAX_PARITY = 100  # each costs a decision at every load
MAX_PROVENANCE = 100


def __getattr__(name: str) -> Any:
    """Return what a kind brings, loaded now."""
    if name == "Model":
        return reduce(or_, (getattr(kind_of(kind), names[0]) for kind, names in KINDS.items()))
    for kind, names in KINDS.items():
        if name in names:
            return getattr(kind_of(kind), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def kind_of(kind: str) -> Any:
    """Return the module of a kind."""
    return import_module(f"policies.kinds.{kind}")


@dataclass(frozen=True)
class ParityVector:
    """One input and what the policy's author says comes of it; checked whenever a document is made ready.

    Attributes:
        features: an observation, shape (29 + 7 C,).
        eligible: shape (A,); no_send is.
        probabilities: of each action after exploration, shape (A,).
    """

    features: tuple[float, ...]
    eligible: tuple[bool, ...]
    probabilities: tuple[float, ...]


@dataclass(frozen=True)
class Document:
    """A policy.

    Attributes:
        name: what people call it.
        n_slots: C, how many candidates it looks at; it chooses among 1 + 2 C actions.
        model: how it prefers actions.
        exploration: how it chooses among them.
        constraints: limits that it brings with it, which hold beside the app's; its features are reckoned by them, as
            they were where it was trained. None: the app's alone.
        allowed_campaigns: what it may send; None: everything.
        fallback: what it does where the model has no answer, because its numbers overflow; None: whoever asks is told.
        made_by: who or what made it; free text.
        trained_on: what an auditor should know of its origin; free names and texts.
        parity: cases in which the author's own implementation and this one must agree.
    """

    name: str
    n_slots: int
    model: Model
    exploration: Exploration = field(default_factory=Greedy)
    made_by: str = ""
    trained_on: Mapping[str, str] = field(default_factory=dict)
    constraints: Constraints | None = None
    allowed_campaigns: tuple[str, ...] | None = None
    fallback: Rules | None = None
    parity: tuple[ParityVector, ...] = ()

    @property
    def brings_limits(self) -> bool:
        """Whether it may do less than whoever asks it allows; `policies.runtime` and the service hold such limits."""
        return self.constraints is not None or self.allowed_campaigns is not None


def require_no_limits(document: Document, where: str) -> None:
    """Refuse a document with limits of its own where nobody holds them.

    Args:
        where: it is to be tried, as people call it.

    Raises:
        ValueError: it has some.
    """
    if document.brings_limits:
        raise ValueError(
            f"policy {document.name!r}: constraints, allowed_campaigns: expected none in {where}, which holds the "
            "scenario's limits alone: state them there, and try the document without"
        )


class Chooser(Protocol):
    """A model made ready. Its `values` are the observation and, behind it, the local hour."""

    inputs: tuple[str, ...]

    def preferences(self, values: Sequence[float], eligible: Sequence[bool]) -> list[float]:
        """Return a preference for each action, -inf for those that are not eligible; shape (A,)."""
        ...

    def reasons(
        self, values: Sequence[float], eligible: Sequence[bool], preferences: Sequence[float]
    ) -> tuple[str, ...]:
        """Return why these are the preferences; something besides no_send is eligible."""
        ...


def chooser(model: Model, n_slots: int) -> Chooser:
    """Return a model made ready for n_slots."""
    module = kind_of(model.kind)
    if parts := parts_of(model):
        ready = [module.ReadyPart(part.weight, chooser(part.model, n_slots), part.exploration) for part in parts]
        return module.Chooser(ready, n_slots)  # type: ignore[no-any-return]
    return module.Chooser(model, n_slots)  # type: ignore[no-any-return]


def parts_of(model: Model) -> tuple[Part, ...]:
    """Return the parts of a mixture; a model of another kind has none."""
    return getattr(model, "parts", ())


def read_document(node: Node) -> tuple[Document, Node]:
    """Read a document from its tree; faults are noted in the node.

    Returns:
        The document, which means nothing if there were faults, and the place of its hash.
    """
    fields = node.fields(
        ("version", "vocabulary", "name", "n_slots", "model", "exploration"),
        ("made_by", "trained_on", "constraints", "allowed_campaigns", "fallback", "parity", "policy_hash"),
    )
    if fields["vocabulary"].value != FINGERPRINT:
        expected = f'"{FINGERPRINT}", the vocabulary of this Kairos: nothing else has a meaning here'
        fields["vocabulary"].refuse(expected)
    n_faults = len(node.faults)
    n_slots = fields["n_slots"].whole(1, MAX_SLOTS)
    if len(node.faults) > n_faults or fields["n_slots"].is_missing:
        return Document("", 1, _stand_in()), fields["policy_hash"]  # no feature has a place, no action a meaning
    model = _read_model(fields["model"], n_slots)
    vectors = [] if fields["parity"].is_missing else fields["parity"].items(0, MAX_PARITY, "parity vectors")
    document = Document(
        fields["name"].text(at_least=1),
        n_slots,
        model,
        _read_exploration(fields["exploration"], model),
        "" if fields["made_by"].is_missing else fields["made_by"].text(),
        {} if fields["trained_on"].is_missing else fields["trained_on"].mapping(MAX_PROVENANCE),
        None if fields["constraints"].is_missing else read_constraints(fields["constraints"]),
        _read_allowed(fields["allowed_campaigns"]),
        None if fields["fallback"].is_missing else _read_fallback(fields["fallback"], n_slots),
        tuple(_read_parity(vector, n_slots) for vector in vectors),
    )
    return document, fields["policy_hash"]


def _read_allowed(node: Node) -> tuple[str, ...] | None:
    if node.is_missing:
        return None
    names = tuple(entry.text(at_least=1) for entry in node.items(1, MAX_CAMPAIGNS, "campaigns"))
    if twice := repeated([name for name in names if name]):
        node.note(f"expected each campaign once, got {twice[0]!r} again")
    return names


def _read_fallback(node: Node, n_slots: int) -> Rules | None:
    return kind_of("rules").read(node, n_slots) if node.kind(("rules",)) else None


def _read_exploration(node: Node, model: Model) -> Exploration:
    kind = model.kind
    found = read_exploration(node, has_scores=kind != "rules", has_beliefs=kind in WITH_BELIEFS)
    if kind == "mixture" and not isinstance(found, Greedy):
        node.note("expected none with a mixture: each of its parts explores as it says itself")
    if isinstance(found, Thompson):
        if getattr(model, "optimism", 0.0) > 0.0:
            node.note("expected no optimism with thompson: each is a way of its own to try what is uncertain")
        if kind == "beta_arms" and found.scale != 1.0:
            node.note("expected scale 1 with beta_arms: they have counts and no standard deviations to scale")
    return found


def _read_model(node: Node, n_slots: int, kinds: Sequence[str] = tuple(KINDS)) -> Model:
    kind = node.kind(kinds)
    if not kind:
        return _stand_in()
    read = kind_of(kind).read
    return read(node, partial(_read_part, n_slots) if kind == "mixture" else n_slots)  # type: ignore[no-any-return]


def _stand_in() -> Model:
    """Return a model in the place of what could not be read."""
    return kind_of("scorecard").Scorecard(0.0, {}, ())  # type: ignore[no-any-return]


def _read_part(n_slots: int, node: Node, exploration: Node) -> tuple[Model, Exploration]:
    model = _read_model(node, n_slots, KINDS_OF_PARTS)
    return model, _read_exploration(exploration, model)


def _read_parity(node: Node, n_slots: int) -> ParityVector:
    fields = node.fields(("features", "eligible", "probabilities"))
    vector = ParityVector(
        fields["features"].numbers(n_features(n_slots)),
        fields["eligible"].flags(n_actions(n_slots)),
        fields["probabilities"].numbers(n_actions(n_slots)),
    )
    if isinstance(fields["eligible"].value, list) and fields["eligible"].value[:1] == [False]:
        fields["eligible"].note("expected true for action 0, no_send, which is always eligible; got false")
    return vector
