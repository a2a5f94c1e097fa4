"""What goes over the wire: the structs that requests are read into and answers written from; OpenAPI comes from them.

Names and words are those of the ledger and the policy document. Ids of decisions are text, because JavaScript cannot
hold 64 bits in a number.
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal

from msgspec import Meta, Struct

from policies.runtime.app import ChannelName, OsName, StageName

UserId = Annotated[str, Meta(min_length=1, max_length=200, description="the user's id; only its keyed hash is kept")]
DecisionId = Annotated[str, Meta(pattern="^[0-7][0-9a-f]{15}$", description="of a decision, 16 hexadecimal digits")]
Category = Annotated[int, Meta(ge=0, le=7)]
CampaignName = Annotated[str, Meta(min_length=1, max_length=100)]
Features = Annotated[
    list[Annotated[float, Meta(ge=-1e9, le=1e9)]],
    Meta(max_length=729, description="the observation in the vocabulary's order, 29 + 7 C numbers"),
]
Flags = Annotated[list[bool], Meta(max_length=201, description="for each of the 1 + 2 C actions")]
Uniform = Annotated[float, Meta(ge=0.0, lt=1.0, description="decides among equals; left out: drawn by the service")]
Relevance = Annotated[float, Meta(ge=-3.0, le=3.0, description="estimated interest, standard deviations")]

OutcomeKind = Literal[
    "delivered", "failed", "expired", "opened", "clicked", "session", "conversion", "payment", "opt_out", "opt_in",
    "churn", "complaint", "survey",
]  # fmt: skip
EventKind = Literal["session", "browse", "cart", "order", "payment", "opt_in", "opt_out"]
PolicyRole = Literal["active", "canary", "shadow"]


class Message(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What all messages share: unknown names are refused."""


class Answer(Struct, frozen=True, kw_only=True):
    """What all answers share."""


class Candidate(Message, frozen=True):
    """A campaign that may be sent.

    Attributes:
        campaign: its name in the service's settings.
        relevance: the user's estimated interest in it, standard deviations; used only with the user's consent.
        is_in_context: the user is where a location campaign is about.
    """

    campaign: CampaignName
    relevance: Relevance = 0.0
    is_in_context: bool = False


class DecideRequest(Message, frozen=True):
    """A question, in one of two forms.

    Stateless: `features` and `eligible` as the caller computed them; nothing is kept. Stateful: `user_id`, and perhaps
    candidates; the service knows the user's history, holds the caps, and logs what it decided.

    Attributes:
        user_id: whose decision it is.
        now: the time of the decision; left out: the service's clock.
        candidates: what may be sent; left out: every campaign of the settings.
        features, eligible, uniform: as in `policies.decide`.
        explain: whether reasons are wanted.
    """

    user_id: UserId | None = None
    now: dt.datetime | None = None
    candidates: Annotated[list[Candidate], Meta(max_length=200)] | None = None
    features: Features | None = None
    eligible: Flags | None = None
    uniform: Uniform | None = None
    explain: bool = True


class Suppressed(Answer, frozen=True):
    """Why something was not eligible: a campaign as a whole, or on one channel."""

    campaign: str
    channel: str
    reason: str


class DecideAnswer(Answer, frozen=True):
    """A decision.

    Attributes:
        decision_id: by which outcomes are told; "" for one that was not logged.
        send: the campaign to send; null: nothing.
        channel: on which; null: nothing.
        action, propensity, probabilities, reasons: as in `policies.decide`.
        candidates: the campaigns in the policy's slots.
        suppressed: why others could not be sent.
        policy_hash: of the policy that decided.
        role: `active`, `canary`, or `fallback`: the kill switch is on, or the state could not be reached.
    """

    decision_id: str
    send: str | None
    channel: str | None
    action: int
    action_name: str
    propensity: float
    probabilities: tuple[float, ...]
    reasons: tuple[str, ...]
    candidates: tuple[str, ...]
    suppressed: tuple[Suppressed, ...]
    policy_hash: str
    role: Literal["active", "canary", "fallback"]


class BatchRequest(Message, frozen=True):
    """Many questions; each is answered by itself."""

    requests: Annotated[list[DecideRequest], Meta(max_length=10_000)]


class Problem(Answer, frozen=True):
    """What went wrong: `problem` is for programs, `message` for people."""

    problem: str
    message: str


class BatchItem(Answer, frozen=True, omit_defaults=True):
    """One of both."""

    answer: DecideAnswer | None = None
    problem: Problem | None = None


class BatchAnswer(Answer, frozen=True):
    """The answers in the order of the questions."""

    answers: tuple[BatchItem, ...]


class Outcome(Message, frozen=True):
    """What followed a decision.

    Attributes:
        decision_id: of the answer.
        kind: in the ledger's words. `opt_out` and `complaint` withdraw the decision's channel at once, `churn` all.
        at: when; left out: now.
        amount_eur: money that changed hands.
        is_paid: of a conversion: the order is paid already, and no `payment` will follow.
    """

    decision_id: DecisionId
    kind: OutcomeKind
    at: dt.datetime | None = None
    amount_eur: Annotated[float, Meta(ge=0.0, le=1e9)] = 0.0
    is_paid: bool = True


class OutcomesRequest(Message, frozen=True):
    """Outcomes, of any decisions."""

    outcomes: Annotated[list[Outcome], Meta(max_length=10_000)]


class OutcomesAnswer(Answer, frozen=True):
    """How many were taken, were known already, and belong to no decision that is kept."""

    accepted: int
    known: int
    unknown: tuple[str, ...]


class Event(Message, frozen=True):
    """Something that a user did, sent for or not.

    Attributes:
        category: of what was browsed, put into a cart or ordered.
        channel: that was permitted or withdrawn.
    """

    user_id: UserId
    kind: EventKind
    at: dt.datetime | None = None
    category: Category | None = None
    channel: ChannelName | None = None


class EventsRequest(Message, frozen=True):
    """Events, of any users."""

    events: Annotated[list[Event], Meta(max_length=10_000)]


class EventsAnswer(Answer, frozen=True):
    """How many were taken."""

    accepted: int


class Facts(Message, frozen=True):
    """What is known of a user by other means; what is left out stays as it is.

    Attributes:
        permitted: the channels that the user permits, all of them.
        has_consent: to personal data being used.
    """

    time_zone: str | None = None
    installed_at: dt.datetime | None = None
    permitted: list[ChannelName] | None = None
    has_consent: bool | None = None
    muted_categories: list[Category] | None = None
    segment: str | None = None
    tier: str | None = None
    stage: StageName | None = None
    os: OsName | None = None


class Done(Answer, frozen=True):
    """It is done."""

    done: bool = True
