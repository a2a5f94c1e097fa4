"""Erasure reaches everything that is kept of a user, and nothing of anybody else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from policies.ledger import LedgerError, read_decisions, read_outcomes
from policies.ledger.erasure import erase_user
from policies.service.identity import Identity, user_number
from policies.service.ledger_export import write_ledger
from policies.service.settings import SettingsError
from policies.service.state.sqlite_store import SqliteStore
from policies.service.state.store import StateMismatchError, Store
from tests.policies.service.serving import HOUR_MS, SECRET, Served, coin, served


def live(it: Served, users: list[str], n_hours: int = 6) -> None:
    """Decide each hour for each user, and open every message."""
    for _ in range(n_hours):
        it.clock.now_ms += HOUR_MS
        for user in users:
            found = it.decide(user)
            if found["send"]:
                it.tell(found["decision_id"], "opened")


def test_nothing_of_an_erased_user_is_left(store: Store) -> None:
    with served(store=store) as it:
        live(it, ["ann", "bob"])
        erased = it.ask("DELETE", "/v1/users/ann").json()
        assert erased == {"had_record": True, "decisions": 6, "outcomes": 2, "ledger_rows": 0}
        gone = it.ask("GET", "/v1/users/ann/export")
        assert (gone.status_code, gone.json()["problem"]) == (404, "unknown-user")
        bob = it.ask("GET", "/v1/users/bob/export").json()
        assert (len(bob["decisions"]), bob["user"]["n_opened"]["push"]) == (6, 2)
        assert it.decide("ann")["send"] == "sale", "somebody new"


def test_no_id_of_a_user_is_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with served(store=SqliteStore(path)) as it:
        live(it, ["ann-of-the-hill@example.com"])
    for file in tmp_path.iterdir():
        assert b"ann-of-the-hill" not in file.read_bytes()


def test_the_ledger_holds_what_was_decided_and_what_followed(tmp_path: Path, store: Store) -> None:
    with served(coin(), store=store) as it:
        live(it, ["ann", "bob", "cid"], 8)
        n = write_ledger(store, tmp_path / "log", it.settings, it.shelf.n_slots)
        decisions = read_decisions(tmp_path / "log").decisions()
        assert n == len(decisions) == 24
        assert decisions.policy_hashes == (it.shelf.serving.control.active,)
        ann = decisions.take(decisions.user_id == user_number(it.service.identity.user_key("ann")))
        assert ann.step.tolist() == list(range(8))
        assert ann.elapsed_hours.tolist() == [0.0, *[1.0] * 7]
        known = it.ask("GET", "/v1/users/ann/export").json()["decisions"]
        assert [format(number, "016x") for number in ann.decision_id.tolist()] == [row["decision_id"] for row in known]
        assert ann.propensity.tolist() == [row["propensity"] for row in known]
        assert ann.features.tolist() == [row["features"] for row in known]
        opened = read_outcomes(tmp_path / "log").outcomes()
        assert len(opened) == int((decisions.action > 0).sum())


def test_erasure_reaches_the_ledgers_files(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    with served(coin(), settings={"ledger": str(folder)}) as it:
        live(it, ["ann", "bob", "cid"], 8)
        write_ledger(it.store, folder, it.settings, it.shelf.n_slots, part_rows=5)
        number = user_number(it.service.identity.user_key("ann"))
        before, outcomes = read_decisions(folder).decisions(), read_outcomes(folder).outcomes()
        own = before.decision_id[before.user_id == number]
        n_opened = sum(row in own for row in outcomes.decision_id)
        assert n_opened > 0
        assert it.ask("DELETE", "/v1/users/ann").json()["ledger_rows"] == 8 + n_opened
        after = read_decisions(folder)
        assert after.faults == ()
        assert number not in after.decisions().user_id
        kept = before.take(before.user_id != number)
        assert after.decisions().decision_id.tolist() == kept.decision_id.tolist()
        assert after.decisions().probabilities.tolist() == kept.probabilities.tolist()
        assert not set(read_outcomes(folder).outcomes().decision_id.tolist()) & set(own.tolist())
        assert erase_user(folder, number) == 0


def test_a_ledger_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="expected the folder of a ledger"):
        erase_user(tmp_path / "nothing", 1)
    with served(settings={"ledger": str(tmp_path / "nothing")}) as it:
        it.decide("ann")
        answer = it.ask("DELETE", "/v1/users/ann")
        assert (answer.status_code, answer.json()["problem"]) == (503, "ledger")
        assert it.ask("GET", "/v1/users/ann/export").status_code == 404, "the state is erased all the same"


def test_a_state_opens_under_its_own_key_only(open_again: Callable[[], Store]) -> None:
    store = open_again()
    Identity(SECRET).settle(store)
    Identity(SECRET).settle(open_again())
    with pytest.raises(StateMismatchError, match="written under another key, so every user would start anew"):
        Identity(b"another key that is long enough").settle(store)


def test_a_short_key_is_refused() -> None:
    with pytest.raises(SettingsError, match="expected at least 16 bytes, got 5"):
        Identity(b"short")


def test_keyed_hashes_differ_by_key_and_user_and_repeat() -> None:
    one, other = Identity(SECRET), Identity(SECRET[::-1])
    assert one.user_key("ann") == one.user_key("ann")
    assert len({one.user_key("ann"), one.user_key("bob"), other.user_key("ann"), one.user_key("")}) == 4
