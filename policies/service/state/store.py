"""What every store can do, and what can be wrong with one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeVar

from policies.service.state.unit import DecisionRow, OutcomeRow, Unit, Wanted

T = TypeVar("T")


class StoreError(Exception):
    """The store could not do what was asked of it, for now: nothing of it was written.

    Attributes:
        reason: `full`, `locked`, `slow`, `unavailable`, `clash` or `damaged`, for metrics and callers.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class StateMismatchError(Exception):
    """The store belongs to another set-up, say another key or a newer version: the service must not start on it."""


class Known(NamedTuple):
    """All that is kept of one user."""

    record: bytes
    decisions: list[DecisionRow]
    outcomes: list[OutcomeRow]


class Erased(NamedTuple):
    """What was removed of one user."""

    has_record: bool
    n_decisions: int
    n_outcomes: int


class Tallied(NamedTuple):
    """A count; see `Tally`."""

    minute: int
    policy_hash: str
    campaign: str
    what: str
    n: int


class Swept(NamedTuple):
    """How many rows retention removed."""

    decisions: int
    answers: int
    tallies: int


class Ages(NamedTuple):
    """What is older than this is removed.

    Attributes:
        decisions_ms: milliseconds since 1970; outcomes go with their decisions.
        answers_ms: the same for answers to idempotency keys.
        tallies_minute: minutes since 1970.
    """

    decisions_ms: int
    answers_ms: int
    tallies_minute: int


class Store(Protocol):
    """Where users, decisions and outcomes are kept. Threads may share one.

    Every method raises StoreError when the store cannot do it now, and has then changed nothing.
    """

    name: str

    def transact(self, wanted: Sequence[Wanted], work: Callable[[Unit], T], now_ms: int) -> T:
        """Read what is wanted, work, and write: one transaction in which nobody else touches these users.

        Args:
            now_ms: by which new answers to idempotency keys are dated.
        """
        ...

    def change_note(self, name: str, change: Callable[[str], str]) -> str:
        """Replace a note by what `change` makes of it, in one transaction; return what stands there then.

        A note is a small text by name, "" when it was never written: `control`, `counters`, `user key`.
        """
        ...

    def notes(self) -> Mapping[str, str]:
        """Return all notes."""
        ...

    def put_document(self, policy_hash: str, text: str) -> None:
        """Keep a policy's document."""
        ...

    def documents(self) -> Mapping[str, str]:
        """Return the documents by hash, oldest first."""
        ...

    def known_of(self, user_key: bytes) -> Known | None:
        """Return all that is kept of a user; None: nothing is."""
        ...

    def erase(self, user_key: bytes) -> Erased:
        """Remove all that is kept of a user."""
        ...

    def tallied(self, since_minute: int) -> list[Tallied]:
        """Return counts, added up over processes, from a minute since 1970 on."""
        ...

    def totals(self) -> Mapping[tuple[str, str], int]:
        """Return counts added up over all time and campaigns, by (policy hash, what)."""
        ...

    def sweep(self, ages: Ages) -> Swept:
        """Remove what is older."""
        ...

    def rows(self) -> Iterator[tuple[DecisionRow, list[OutcomeRow]]]:
        """Yield every decision with its outcomes, by user and time."""
        ...

    def ping(self) -> None:
        """Make sure that the store answers."""
        ...

    def close(self) -> None:
        """Let go of the store."""
        ...
