"""What goes over the wire between the service and whoever runs it: exports, policies, health, the operations page."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from policies.service.messages import Answer, Message, PolicyRole


class ErasedAnswer(Answer, frozen=True):
    """What was removed of a user.

    Attributes:
        ledger_rows: rows of the ledger's files.
    """

    had_record: bool
    decisions: int
    outcomes: int
    ledger_rows: int


class LoggedOutcome(Answer, frozen=True):
    """An outcome as it is kept."""

    kind: str
    at_ms: int
    amount_eur: float


class LoggedDecision(Answer, frozen=True):
    """A decision as it is kept."""

    decision_id: str
    at_ms: int
    policy_hash: str
    role: str
    action: int
    campaign: str
    channel: str | None
    propensity: float
    features: list[float]
    probabilities: list[float]
    eligible: list[bool]
    outcomes: list[LoggedOutcome]


class SentBefore(Answer, frozen=True):
    """A message that a history remembers, by the hour since 1970."""

    hour: int
    channel: str


class KnownUser(Answer, frozen=True):
    """A user's record in words: hours since 1970, null for never, and null for facts that nobody told."""

    time_zone: str
    last_seen_ms: int
    permitted: list[str]
    has_consent: bool
    muted_categories: list[int]
    segment: str | None
    tier: str | None
    stage: str | None
    os: str | None
    installed_hour: float
    browse_hour: int | None
    cart_hour: int | None
    order_hour: int | None
    session_hour: int | None
    sent_hour: int | None
    conversion_hour: int | None
    send_load: float
    n_sent: dict[str, int]
    n_opened: dict[str, int]
    unopened: int
    sends: list[SentBefore]


class ExportAnswer(Answer, frozen=True):
    """All that is kept of a user; `user` is null when only decisions are left."""

    user: KnownUser | None
    decisions: list[LoggedDecision]


class PolicyAnswer(Answer, frozen=True):
    """A policy on the shelf."""

    policy_hash: str
    name: str
    kind: str
    made_by: str
    roles: tuple[str, ...]
    share: float
    n_sends: int
    n_opt_outs: int


class PoliciesAnswer(Answer, frozen=True):
    """The policies on the shelf, and what was last refused."""

    policies: tuple[PolicyAnswer, ...]
    is_killed: bool
    refused: tuple[str, ...]
    guard_rail: str
    history: tuple[str, ...]


class ActivateRequest(Message, frozen=True):
    """How a policy is to be used.

    Attributes:
        role: `active` decides; `canary` decides for a share of the users; `shadow` decides and is never sent.
        share: of the users, for a canary.
    """

    role: PolicyRole = "active"
    share: Annotated[float, Meta(ge=0.0, le=1.0)] = 0.05


class Ready(Answer, frozen=True):
    """Whether requests should come here, and what is amiss."""

    is_ready: bool
    faults: tuple[str, ...]


class Count(Answer, frozen=True):
    """A count of the operations page."""

    minute: int
    policy_hash: str
    campaign: str
    what: str
    n: int


class OpsAnswer(Answer, frozen=True):
    """What the operations page shows."""

    now_ms: int
    counts: list[Count]
    policies: PoliciesAnswer
    ready: Ready
