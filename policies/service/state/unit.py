"""What one transaction reads and writes: a unit of work, the same for every store.

A store reads what was wanted, hands the unit to a piece of work, and writes what the work put into it, all in one
transaction in which no other can touch the same users. So a cap that is checked in a unit still holds when the send is
written down.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

SILENT_USER = b""  # a row that was made to be locked and has nothing in it yet


class Answered(NamedTuple):
    """An answer that was given to an idempotency key.

    Attributes:
        user_key: whose answer it is; b"" when it is about nobody.
        body_hash: of the question.
        answer: what was answered, as it went over the wire.
    """

    user_key: bytes
    body_hash: bytes
    answer: bytes


class DecisionRow(NamedTuple):
    """A decision as it is kept.

    Attributes:
        decision_id: 63 random bits.
        user_key: keyed hash of the user's id.
        at_ms: milliseconds since 1970.
        policy_hash: of the policy whose action was taken.
        role: `active`, `canary` or `fallback`.
        action: taken, 0 is no_send.
        campaign: name; "" for no_send.
        channel: 0 push, 1 e-mail, -1 none.
        propensity: of the action.
        shadow_hash, shadow_action: what the shadow policy would have done; "" and -1 without one.
        details: `Details`, for the ledger.
    """

    decision_id: int
    user_key: bytes
    at_ms: int
    policy_hash: str
    role: str
    action: int
    campaign: str
    channel: int
    propensity: float
    shadow_hash: str
    shadow_action: int
    details: bytes


class OutcomeRow(NamedTuple):
    """An outcome as it is kept; `kind` is one of the ledger's words."""

    decision_id: int
    user_key: bytes
    kind: str
    at_ms: int
    amount_nano_eur: int


class Tally(NamedTuple):
    """What is counted: `what` is `send`, `no_send`, an outcome's kind, `suppressed: REASON` or `shadow: same`."""

    minute: int
    policy_hash: str
    campaign: str
    what: str


class Wanted(NamedTuple):
    """What a piece of work will look at.

    Attributes:
        user_key: whose record; None: nobody's.
        answer_key: hash of an idempotency key; None: without.
        decision_ids: decisions, whose users are locked as well.
    """

    user_key: bytes | None = None
    answer_key: bytes | None = None
    decision_ids: tuple[int, ...] = ()


@dataclass
class Unit:
    """What was read, and what is to be written.

    Attributes:
        control: what is active, as JSON; "" when nothing ever was.
        users: records by key; a key that is not there has none.
        answers: by hashed idempotency key.
        decisions: by id, those that were wanted and exist.
        outcomes: (decision id, kind, at_ms) of what is known already of those decisions.
    """

    control: str = ""
    users: dict[bytes, bytes] = field(default_factory=dict)
    answers: dict[bytes, Answered] = field(default_factory=dict)
    decisions: dict[int, DecisionRow] = field(default_factory=dict)
    outcomes: set[tuple[int, str, int]] = field(default_factory=set)
    changed_users: dict[bytes, tuple[bytes, int]] = field(default_factory=dict)
    new_answers: dict[bytes, Answered] = field(default_factory=dict)
    new_decisions: list[DecisionRow] = field(default_factory=list)
    new_outcomes: list[OutcomeRow] = field(default_factory=list)
    tallies: Counter[Tally] = field(default_factory=Counter)

    def put_user(self, key: bytes, record: bytes, at_ms: int) -> None:
        """Write a user's record."""
        self.users[key] = record
        self.changed_users[key] = (record, at_ms)

    def put_answer(self, key: bytes, answered: Answered) -> None:
        """Remember what was answered to an idempotency key."""
        self.answers[key] = answered
        self.new_answers[key] = answered

    def put_decision(self, row: DecisionRow) -> None:
        """Log a decision."""
        self.decisions[row.decision_id] = row
        self.new_decisions.append(row)

    def put_outcome(self, row: OutcomeRow) -> None:
        """Log an outcome."""
        self.outcomes.add((row.decision_id, row.kind, row.at_ms))
        self.new_outcomes.append(row)


def joined(wanted: Iterable[Wanted]) -> tuple[list[bytes], list[bytes], list[int]]:
    """Return the user keys, answer keys and decision ids of several pieces of work, each once, in order.

    The order is the same everywhere, so that two transactions that lock the same users never wait for each other.
    """
    users: set[bytes] = set()
    answers: set[bytes] = set()
    decisions: set[int] = set()
    for one in wanted:
        if one.user_key is not None:
            users.add(one.user_key)
        if one.answer_key is not None:
            answers.add(one.answer_key)
        decisions.update(one.decision_ids)
    return sorted(users), sorted(answers), sorted(decisions)
