"""State in memory: for trying the service out and for tests; all of it is gone when the process ends."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from policies.service.state.store import Ages, Erased, Known, StoreError, Swept, Tallied
from policies.service.state.unit import Answered, DecisionRow, OutcomeRow, Tally, Unit, Wanted, joined

T = TypeVar("T")


class MemoryStore:
    """Tables as dictionaries; one lock makes every method a transaction."""

    name = "memory"

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users: dict[bytes, bytes] = {}
        self._answers: dict[bytes, tuple[Answered, int]] = {}
        self._decisions: dict[int, DecisionRow] = {}
        self._outcomes: dict[tuple[int, str, int], OutcomeRow] = {}
        self._tallies: Counter[Tally] = Counter()
        self._totals: Counter[tuple[str, str]] = Counter()
        self._notes: dict[str, str] = {}
        self._documents: dict[str, str] = {}

    def transact(self, wanted: Sequence[Wanted], work: Callable[[Unit], T], now_ms: int) -> T:
        """Do as `Store.transact`."""
        users, answers, ids = joined(wanted)
        with self._lock:
            unit = Unit(control=self._notes.get("control", ""))
            unit.decisions = {key: self._decisions[key] for key in ids if key in self._decisions}
            owners = {row.user_key for row in unit.decisions.values()}
            unit.users = {key: self._users[key] for key in {*users, *owners} if key in self._users}
            unit.answers = {key: self._answers[key][0] for key in answers if key in self._answers}
            chosen = set(unit.decisions)
            unit.outcomes = {key for key in self._outcomes if key[0] in chosen} if chosen else set()
            result = work(unit)
            if any(row.decision_id in self._decisions for row in unit.new_decisions):
                raise StoreError("clash", "memory: the id of a new decision is taken")
            self._users.update((key, record) for key, (record, _) in unit.changed_users.items())
            self._answers.update((key, (answered, now_ms)) for key, answered in unit.new_answers.items())
            self._decisions.update((row.decision_id, row) for row in unit.new_decisions)
            self._outcomes.update(((row.decision_id, row.kind, row.at_ms), row) for row in unit.new_outcomes)
            self._tallies.update(unit.tallies)
            for tally, n in unit.tallies.items():
                self._totals[tally.policy_hash, tally.what] += n
            return result

    def change_note(self, name: str, change: Callable[[str], str]) -> str:
        """Do as `Store.change_note`."""
        with self._lock:
            self._notes[name] = change(self._notes.get(name, ""))
            return self._notes[name]

    def notes(self) -> Mapping[str, str]:
        """Do as `Store.notes`."""
        with self._lock:
            return dict(self._notes)

    def put_document(self, policy_hash: str, text: str) -> None:
        """Do as `Store.put_document`."""
        with self._lock:
            self._documents.setdefault(policy_hash, text)

    def documents(self) -> Mapping[str, str]:
        """Do as `Store.documents`."""
        with self._lock:
            return dict(self._documents)

    def known_of(self, user_key: bytes) -> Known | None:
        """Do as `Store.known_of`."""
        with self._lock:
            decisions = [row for row in self._decisions.values() if row.user_key == user_key]
            outcomes = [row for row in self._outcomes.values() if row.user_key == user_key]
            if user_key not in self._users and not decisions:
                return None
            decisions.sort(key=lambda row: row.at_ms)
            outcomes.sort(key=lambda row: row.at_ms)
            return Known(self._users.get(user_key, b""), decisions, outcomes)

    def erase(self, user_key: bytes) -> Erased:
        """Do as `Store.erase`."""
        with self._lock:
            n_decisions, n_outcomes = len(self._decisions), len(self._outcomes)
            has_record = self._users.pop(user_key, None) is not None
            self._decisions = {key: row for key, row in self._decisions.items() if row.user_key != user_key}
            self._outcomes = {key: row for key, row in self._outcomes.items() if row.user_key != user_key}
            self._answers = {key: kept for key, kept in self._answers.items() if kept[0].user_key != user_key}
            return Erased(has_record, n_decisions - len(self._decisions), n_outcomes - len(self._outcomes))

    def tallied(self, since_minute: int) -> list[Tallied]:
        """Do as `Store.tallied`."""
        with self._lock:
            return [Tallied(*tally, n) for tally, n in sorted(self._tallies.items()) if tally.minute >= since_minute]

    def totals(self) -> Mapping[tuple[str, str], int]:
        """Do as `Store.totals`."""
        with self._lock:
            return dict(self._totals)

    def sweep(self, ages: Ages) -> Swept:
        """Do as `Store.sweep`."""
        with self._lock:
            sizes = len(self._decisions), len(self._answers), len(self._tallies)
            self._decisions = {key: row for key, row in self._decisions.items() if row.at_ms >= ages.decisions_ms}
            self._outcomes = {key: row for key, row in self._outcomes.items() if key[0] in self._decisions}
            self._answers = {key: kept for key, kept in self._answers.items() if kept[1] >= ages.answers_ms}
            kept = {tally: n for tally, n in self._tallies.items() if tally.minute >= ages.tallies_minute}
            self._tallies = Counter(kept)
            return Swept(sizes[0] - len(self._decisions), sizes[1] - len(self._answers), sizes[2] - len(self._tallies))

    def rows(self) -> Iterator[tuple[DecisionRow, list[OutcomeRow]]]:
        """Do as `Store.rows`."""
        with self._lock:
            outcomes: dict[int, list[OutcomeRow]] = {}
            for row in self._outcomes.values():
                outcomes.setdefault(row.decision_id, []).append(row)
            decisions = sorted(self._decisions.values(), key=lambda row: (row.user_key, row.at_ms, row.decision_id))
        for decision in decisions:
            yield decision, sorted(outcomes.get(decision.decision_id, []), key=lambda row: row.at_ms)

    def ping(self) -> None:
        """Do as `Store.ping`."""

    def close(self) -> None:
        """Do as `Store.close`."""
