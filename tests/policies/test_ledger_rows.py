"""The front door: sound batches pass; a broken rule is named with the row, what was expected and what was got."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from policies.ledger import DECISIONS, ENDINGS, OUTCOMES, Decisions, LedgerError, decision_ids, fold_ineligible
from policies.ledger.batches import checked
from tests.policies import ledgers

HEADER = ledgers.header()
SOUND = ledgers.decisions(200, seed=3)
SEND = int(np.flatnonzero(SOUND.action > 0)[0])  # a row that sends, and one that does not
SILENT = int(np.flatnonzero(SOUND.action == 0)[0])
BARRED, ACTION_BARRED = (int(i[0]) for i in np.nonzero(~SOUND.eligible))
EMPTY, SLOT_EMPTY = (int(i[0]) for i in np.nonzero(SOUND.candidates < 0))


def changed(row: int, **values: Any) -> Decisions:
    """Return the sound batch with some values of one row changed; `name__entry` is one entry of a group."""
    arrays = {column.name: getattr(SOUND, column.name).copy() for column in DECISIONS.columns}
    for name, value in values.items():
        column, _, entry = name.partition("__")
        arrays[column][(row, int(entry)) if entry else row] = value
    return Decisions(**arrays, policy_hashes=SOUND.policy_hashes)


@pytest.mark.parametrize("n_slots", [1, 4, 8, 20])
def test_sound_decisions_pass(n_slots: int) -> None:
    batch = ledgers.decisions(300, n_slots)
    arrays = checked(batch, DECISIONS, ledgers.header(n_slots))
    assert {name: values.dtype.name for name, values in arrays.items()} == {c.name: c.dtype for c in DECISIONS.columns}


def test_sound_outcomes_and_endings_pass() -> None:
    checked(ledgers.outcomes(SOUND), OUTCOMES, HEADER)
    checked(ledgers.endings(SOUND), ENDINGS, HEADER)


VIOLATIONS: list[tuple[Callable[[], Decisions], str]] = [
    (
        lambda: changed(9, decision_id=SOUND.decision_id[2]),
        rf"decisions.decision_id, row 9 \(decision_id {SOUND.decision_id[2]}\): expected an id that no other row has",
    ),
    (lambda: changed(4, time_hours=np.inf), r"time_hours, row 4 .*: expected a finite number of hours, got inf"),
    (lambda: changed(4, elapsed_hours=-0.5), r"elapsed_hours, row 4 .*: expected hours >= 0, got -0.5"),
    (lambda: changed(7, features__3=np.nan), r"features, row 7 .*, entry 3: expected a finite number, got nan"),
    (lambda: changed(7, features__3=-np.inf), r"features, row 7 .*, entry 3: expected a finite number, got -inf"),
    (lambda: changed(5, policy=2), r"policy, row 5 .*: expected an index below 2, got 2"),
    (lambda: changed(5, eligible__0=False), r"eligible, row 5 .*: expected no_send \(entry 0\) to be eligible always"),
    (lambda: changed(5, reasons__1=5), r"reasons, row 5 .*, entry 1: expected a code below 5, got 5"),
    (
        lambda: changed(BARRED, **{f"reasons__{ACTION_BARRED}": 0}),
        rf"reasons, row {BARRED} .*, entry {ACTION_BARRED}: expected 0 for eligible actions and another code",
    ),
    (lambda: changed(5, reasons__0=1), r"reasons, row 5 .*, entry 0: expected 0 for eligible actions .*, got 1"),
    (lambda: changed(5, candidates__2=-2), r"candidates, row 5 .*, entry 2: expected a campaign, or -1 for an empty"),
    (
        lambda: changed(EMPTY, **{f"eligible__{1 + 2 * SLOT_EMPTY}": True, f"reasons__{1 + 2 * SLOT_EMPTY}": 0}),
        rf"eligible, row {EMPTY} .*: expected an action on an empty slot to be ineligible",
    ),
    (
        lambda: changed(SILENT, probabilities__0=SOUND.probabilities[SILENT, 0] + 2e-5, propensity=SOUND.propensity[0]),
        rf"probabilities, row {SILENT} .*: expected a sum of 1 over the eligible actions, got 1.0000",
    ),
    (
        lambda: changed(5, probabilities__0=-0.1),
        r"probabilities, row 5 .*, entry 0: expected a probability in \[0, 1\]",
    ),
    (lambda: changed(5, probabilities__0=np.nan), r"probabilities, row 5 .*: expected a probability in .*, got nan"),
    (
        lambda: changed(BARRED, **{f"probabilities__{ACTION_BARRED}": 1e-9}),
        rf"probabilities, row {BARRED} .*, entry {ACTION_BARRED}: expected 0 for an action that is not eligible",
    ),
    (lambda: changed(5, action=9), r"action, row 5 .*: expected 0 to 8, got 9"),
    (lambda: changed(5, action=-1), r"action, row 5 .*: expected 0 to 8, got -1"),
    (
        lambda: changed(BARRED, action=ACTION_BARRED),
        rf"action, row {BARRED} .*: expected an eligible action \(see fold_ineligible for a logged no-send\)",
    ),
    (lambda: changed(5, propensity=0.0), r"propensity, row 5 .*: expected a probability in \(0, 1\], got 0.0"),
    (lambda: changed(5, propensity=1.5), r"propensity, row 5 .*: expected a probability in \(0, 1\], got 1.5"),
    (
        lambda: changed(5, propensity=np.nextafter(SOUND.propensity[5], 1)),
        r"propensity, row 5 .*: expected the probability of the action taken",
    ),
    (
        lambda: changed(SEND, assigned_channel=3),
        rf"assigned_campaign, row {SEND} .*: expected the campaign and channel of the action taken",
    ),
    (
        lambda: changed(SILENT, sent_campaign=3, sent_channel=0),
        rf"sent_campaign, row {SILENT} .*: expected -1 \(nothing\) under no_send, got 3",
    ),
    (
        lambda: changed(SEND, sent_campaign=3, sent_channel=-1),
        rf"sent_channel, row {SEND} .*: expected -1 exactly where the campaign is -1, got -1",
    ),
    (lambda: changed(SEND, sent_campaign=3, sent_channel=4), rf"sent_channel, row {SEND} .*: expected -1 to 3, got 4"),
    (lambda: changed(SILENT, assigned_campaign=-7), r"assigned_campaign, .*: expected -1 or more, as its channel, got"),
    (lambda: changed(5, reward=np.inf), r"reward, row 5 .*: expected a finite number, or NaN while it is not known"),
    (lambda: changed(5, reward=np.nan), r"reward_nano_eur, row 5 .*: expected 0 where the reward is NaN, got"),
    (lambda: changed(5, terminated=True, truncated=True), r"truncated, row 5 .*: expected either terminated or trunc"),
]


@pytest.mark.parametrize(
    ("make", "message"), VIOLATIONS, ids=[m.split(",")[0] + str(i) for i, (_, m) in enumerate(VIOLATIONS)]
)
def test_a_broken_row_is_named(make: Callable[[], Decisions], message: str) -> None:
    with pytest.raises(LedgerError, match=message):
        checked(make(), DECISIONS, HEADER)


def test_all_kinds_of_faults_are_told_at_once_and_like_rows_are_counted() -> None:
    batch = changed(5, reward=np.inf)
    batch.time_hours[[6, 8, 9]] = np.nan
    with pytest.raises(LedgerError) as caught:
        checked(batch, DECISIONS, HEADER)
    assert len(caught.value.faults) == 2
    assert re.search(r"time_hours, row 6 .* got nan \(2 more rows like it\)$", caught.value.faults[0])


@pytest.mark.parametrize(
    ("field", "values", "message"),
    [
        ("step", np.zeros(200), "decisions.step: expected uint32, or what it can hold without loss, got float64"),
        ("user_id", np.full(200, -1), "decisions.user_id: expected uint64, .*, got int64 from -1 to -1"),
        ("action", np.full(200, 2**15), "decisions.action: expected int16, .*, got int64 from 32768 to 32768"),
        ("features", np.zeros((200, 57)), "decisions.features: expected float32, .*, got float64"),
        ("eligible", np.ones((200, 9), np.int8), "decisions.eligible: expected bool, .*, got int8"),
        ("propensity", ["half"] * 200, "decisions.propensity: expected float64, .*, got <U4"),
        ("eligible", np.ones((200, 8), bool), r"decisions.eligible: expected shape \(200, 9\), got \(200, 8\)"),
        (
            "features",
            np.zeros((199, 57), np.float32),
            r"decisions.features: expected shape \(200, 57\), got \(199, 57\)",
        ),
    ],
)
def test_a_wrong_shape_or_type_says_what_was_expected(field: str, values: Any, message: str) -> None:
    with pytest.raises(LedgerError, match=message):
        checked(dataclasses.replace(SOUND, **{field: values}), DECISIONS, HEADER)


def test_types_that_lose_nothing_are_taken() -> None:
    batch = dataclasses.replace(SOUND, user_id=SOUND.user_id.astype(np.int32), action=SOUND.action.astype(np.int64))
    arrays = checked(batch, DECISIONS, HEADER)
    assert arrays["user_id"].dtype == np.uint64
    assert (arrays["user_id"] == SOUND.user_id).all()


def test_huge_but_finite_features_pass() -> None:
    """Their sum is not finite, so the quick look does not decide."""
    batch = changed(0, features__0=3e38, features__1=3e38)
    checked(batch, DECISIONS, HEADER)


def test_outcomes_of_an_unknown_kind_are_refused() -> None:
    batch = ledgers.outcomes(SOUND)
    batch.kind[3] = 13
    with pytest.raises(
        LedgerError, match=r"outcomes.kind, row 3 \(decision_id \d+\): expected a code below 13, got 13"
    ):
        checked(batch, OUTCOMES, HEADER)


def test_endings_are_checked() -> None:
    batch = ledgers.endings(SOUND)
    batch.features[1, 2] = np.nan
    with pytest.raises(LedgerError, match=r"endings.features, row 1 \(episode_id \d+\), entry 2: expected a finite"):
        checked(batch, ENDINGS, HEADER)


def test_other_actions_are_understood_by_their_names() -> None:
    """A daily planner chooses the hour as well: `slot0.push.h09` is still slot 0 on push."""
    actions = ("no_send", "slot0.push.h09", "slot1.email.h18")
    header = ledgers.header(2, actions=actions)
    assert header.slots_and_channels() == [(-1, -1), (0, 0), (1, 1)]
    assert header.flat_names(DECISIONS.columns[11])[1] == "probability_slot0_push_h09"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_slots": 0}, "header.n_slots: expected 1 to 127, got 0"),
        ({"reasons": ("quiet_hours",)}, "header.reasons: expected 'eligible' first"),
        ({"reasons": ("eligible", "cap", "cap")}, "header.reasons: expected different names, got cap more than once"),
        ({"actions": ("slot0.push",)}, "header.actions: expected 'no_send' first"),
        ({"actions": ("no_send", "slot4.push")}, r"header.actions: expected slot0 to slot3, .* got 'slot4.push'"),
        ({"actions": ("no_send", "slot0.fax")}, "one of push, email, in_app, sms, got 'slot0.fax'"),
    ],
)
def test_a_header_that_means_nothing_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(LedgerError, match=message):
        ledgers.header(**changes)


def test_ids_are_unique_in_a_run_and_the_same_in_any_order() -> None:
    user, number = (grid.ravel() for grid in np.meshgrid(np.arange(1000), np.arange(100)))
    ids = decision_ids(42, user, number)
    assert len(np.unique(ids)) == len(ids)
    assert (decision_ids(42, user[::-1], number[::-1])[::-1] == ids).all()


def test_ids_of_neighbouring_runs_do_not_meet() -> None:
    """Were the key not mixed, run 1's decision (0, 1) would be run 0's decision (0, 0)."""
    user, number = (grid.ravel() for grid in np.meshgrid(np.arange(1000), np.arange(10)))
    ids = np.concatenate([decision_ids(run, user, number) for run in range(10)])
    assert len(np.unique(ids)) == len(ids)


@pytest.mark.parametrize(("user", "number"), [(-1, 0), (0, 2**32), (0.5, 0)])
def test_ids_of_what_does_not_fit_are_refused(user: float, number: int) -> None:
    with pytest.raises(LedgerError, match=r"expected whole numbers from 0 to 2 \*\* 32 - 1, got "):
        decision_ids(1, np.array([user]), np.array([number]))


def test_folding_gives_what_the_policy_really_does() -> None:
    probabilities = np.array([[0.1, 0.6, 0.3], [0.1, 0.6, 0.3]])
    eligible = np.array([[True, False, True], [True, False, True]])
    folded, action, propensity = fold_ineligible(probabilities, eligible, np.array([1, 2]))
    np.testing.assert_allclose(folded, [[0.7, 0.0, 0.3]] * 2)
    assert action.tolist() == [0, 2]
    np.testing.assert_allclose(propensity, [0.7, 0.3])


def test_a_repr_shows_shapes_and_no_values() -> None:
    assert re.match(r"Decisions\(200 rows: decision_id \(200,\), .*candidates \(200, 4\)", repr(SOUND))
