"""The same history gives the same answer everywhere: interpreted and compiled, to the last bit.

Offline evaluation and production run what is interpreted here; the engines run what is compiled.
"""

from __future__ import annotations

import multiprocessing
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from policies import constraints as rule
from policies import features
from policies import history as record
from policies.history import N_BUCKETS, N_COUNTERS
from policies.vocabulary import N_SLOT_FEATURES, N_USER_FEATURES, n_features
from simulator import visible
from simulator.compiled import compiled
from simulator.records import HISTORY
from tests.policies.states import N_CAMPAIGNS, TABLES, Rows, plausible, structs, wild

N_STATES = 100_000
BATCH = 5_000
suppression = visible.COMPILED.suppression
quiet_ends_hour = visible.COMPILED.quiet_ends_hour
last_quiet_hour = visible.COMPILED.last_quiet_hour
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
N_ANSWERS = 3 + N_CAMPAIGNS * 7  # of whole numbers
N_FEATURES = n_features(N_CAMPAIGNS)
N_NUMBERS = 8


def states(seed: int) -> tuple[dict[str, Rows], Floats]:
    """Return a batch of states, half of them plausible, half wild, and the numbers that callers hand in."""
    draw = np.random.default_rng(seed)
    half = BATCH // 2
    tables = plausible(draw, half)
    for name, fields in TABLES.items():
        shape = (BATCH - half, N_CAMPAIGNS) if name == "campaigns" else (BATCH - half,)
        tables[name] = np.concatenate([tables[name], wild(draw, fields, shape)])
    numbers = draw.uniform(-1.0, 2.0, (BATCH, N_NUMBERS))
    numbers[::7] *= 1e3
    return tables, numbers


@compiled
def answer_all(
    rules: Rows, history: Rows, person: Rows, campaigns: Rows, moment: Rows, numbers: Floats, answers: Ints, out: Floats
) -> None:
    for i in range(rules.shape[0]):
        now, past, user, law = moment[i], history[i], person[i], rules[i]
        is_there, is_paid_for = numbers[i, 0] > 0.5, numbers[i, 1] > 0.0
        bits = visible.standing(law, past, now)
        answers[i, 0] = bits
        answers[i, 1] = quiet_ends_hour(law, now)
        answers[i, 2] = last_quiet_hour(law, now)
        visible.write_user_features(out[i], law, past, user, now, numbers[i, 2], numbers[i, 3], numbers[i, 4])
        for c in range(N_CAMPAIGNS):
            campaign = campaigns[i, c]
            first = 3 + 7 * c
            answers[i, first] = visible.campaign_suppression(law, past, user, campaign, now, is_there)
            for channel in range(4):
                answers[i, first + 1 + channel] = visible.channel_suppression(law, bits, user, campaign, channel)
            answers[i, first + 5] = suppression(law, past, user, campaign, now, (i + c) % 4, is_there, is_paid_for)
            category = visible.category_of(past, campaign)
            expires = visible.expires_hour(user, campaign, now)
            answers[i, first + 6] = expires
            start = N_USER_FEATURES + N_SLOT_FEATURES * c
            visible.write_slot_features(
                out[i],
                start,
                past,
                user,
                campaign,
                now,
                category,
                numbers[i, 5],
                numbers[i, 6],
                numbers[i, 7],
                expires,
            )


def answer_interpreted(tables: dict[str, Rows], numbers: Floats) -> tuple[Ints, Floats]:
    """Do as `answer_all`, line for line, with the functions of `policies` as they stand."""
    answers = np.zeros((len(numbers), N_ANSWERS), np.int64)
    out = np.zeros((len(numbers), N_FEATURES))
    objects = [structs(tables[name]) for name in ("rules", "history", "person", "moment")]
    offers = [structs(tables["campaigns"][:, c]) for c in range(N_CAMPAIGNS)]
    given = numbers.tolist()
    for i, (law, past, user, now) in enumerate(zip(*objects, strict=True)):
        values = given[i]
        is_there, is_paid_for = values[0] > 0.5, values[1] > 0.0
        row = [0.0] * N_FEATURES
        bits = rule.standing(law, past, now)
        said = [bits, rule.quiet_ends_hour(law, now), rule.last_quiet_hour(law, now)]
        features.write_user_features(row, law, past, user, now, values[2], values[3], values[4])
        for c in range(N_CAMPAIGNS):
            campaign = offers[c][i]
            said.append(rule.campaign_suppression(law, past, user, campaign, now, is_there))
            said += [rule.channel_suppression(law, bits, user, campaign, channel) for channel in range(4)]
            said.append(rule.suppression(law, past, user, campaign, now, (i + c) % 4, is_there, is_paid_for))
            category = features.category_of(past, campaign)
            expires = rule.expires_hour(user, campaign, now)
            said.append(expires)
            start = N_USER_FEATURES + N_SLOT_FEATURES * c
            features.write_slot_features(
                row, start, past, user, campaign, now, category, values[5], values[6], values[7], expires
            )
        answers[i], out[i] = said, row
    return answers, out


def differences(seed: int) -> tuple[int, dict[int, int], str]:
    """Compare one batch; return its size, how often each reason was given, and the first difference in words."""
    tables, numbers = states(seed)
    said, row = answer_interpreted(tables, numbers)
    answers, out = np.zeros_like(said), np.zeros_like(row)
    rules, history, person, campaigns, moment = (tables[name] for name in TABLES)
    answer_all(rules, history, person, campaigns, moment, numbers, answers, out)
    what = ""
    if not np.array_equal(answers, said):
        i, k = np.argwhere(answers != said)[0]
        what = f"batch {seed}, state {i}, answer {k}: compiled {answers[i, k]}, interpreted {said[i, k]}"
    elif out.tobytes() != row.tobytes():
        i, k = np.argwhere(out.view(np.int64) != row.view(np.int64))[0]
        what = f"batch {seed}, state {i}, feature {k}: compiled {out[i, k]!r}, interpreted {row[i, k]!r}"
    reasons, counts = np.unique(np.delete(said, [0, 1, 2, 9, 16], axis=1), return_counts=True)
    return len(numbers), dict(zip(reasons.tolist(), counts.tolist(), strict=True)), what


def test_100_thousand_states_give_equal_answers_to_the_last_bit():
    differences(0)  # compiles once, before the work is split
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        found = pool.map(differences, range(1, N_STATES // BATCH + 1))
    assert not [what for _, _, what in found if what]
    assert sum(n for n, _, _ in found) == N_STATES
    tried: dict[int, int] = {}
    for _, reasons, _ in found:
        for reason, n in reasons.items():
            tried[reason] = tried.get(reason, 0) + n
    others = {rule.Suppression.EMPTY_SLOT, rule.Suppression.LEFT, rule.Suppression.ALREADY_SENT, rule.Suppression.CAP}
    others |= {rule.Suppression.NOT_ALLOWED, rule.Suppression.POLICY_LIMIT}  # said of a policy, not by the engine
    expected = set(rule.Suppression) - others | {rule.CAP + k for k in range(3)}
    assert not [reason for reason in expected if tried.get(int(reason), 0) < 100], tried


# ------------------------------------------------------------------------------------------- writing

EVENTS = np.dtype(
    [("what", "i8"), ("hour", "i8"), ("channel", "i8"), ("tags", "i8"), ("bucket", "i8"), ("place", "i8")]
)


@compiled
def write_all(history: Rows, events: Rows) -> None:
    for i in range(events.shape[0]):
        visible.clear(history[i])
        for k in range(events.shape[1]):
            e = events[i, k]
            if e.what == 0:
                visible.record_send(history[i], e.hour, e.channel, e.tags, e.place % 2, e.bucket, e.place)
            elif e.what == 1:
                visible.record_open(history[i], e.channel)
            elif e.what == 2:
                visible.record_session(history[i], e.hour)
            elif e.what == 3:
                visible.record_interest(history[i], e.bucket)
            else:
                visible.record_conversion(history[i], e.hour)


def write_interpreted(history: Any, events: Rows) -> None:
    for what, hour, channel, tags, bucket, place in events.tolist():
        if what == 0:
            record.record_send(history, hour, channel, tags, place % 2, bucket, place)
        elif what == 1:
            record.record_open(history, channel)
        elif what == 2:
            record.record_session(history, hour)
        elif what == 3:
            record.record_interest(history, bucket)
        else:
            record.record_conversion(history, hour)


@pytest.mark.parametrize("steps", [(0, 0, 1, 2, 10), (0, 1, 24, 500, 767, 3000, 65_536)])
def test_200_writes_leave_equal_records(steps):
    draw = np.random.default_rng(5)
    events = np.zeros((100, 200), EVENTS)
    events["what"] = draw.integers(0, 5, events.shape)
    events["hour"] = np.cumsum(draw.choice(steps, events.shape), axis=1) - draw.integers(0, 1000, (100, 1))
    events["channel"], events["tags"] = draw.integers(0, 4, events.shape), draw.integers(0, 32, events.shape)
    events["bucket"] = draw.integers(0, N_BUCKETS, events.shape)
    events["place"] = draw.integers(0, N_COUNTERS + 1, events.shape)
    written = np.zeros(100, HISTORY)
    write_all(written, events)
    expected = np.zeros(100, HISTORY)
    for row, own in zip(expected, events, strict=True):
        history = record.blank_history()
        write_interpreted(history, own)
        for name in HISTORY.names or ():
            row[name] = getattr(history, name)
    assert written.tobytes() == expected.tobytes()


def test_looking_only_at_channels_that_may_be_used_changes_no_answer():
    tables, _ = states(7)
    objects = [structs(tables[name][:2000]) for name in ("rules", "history", "person", "moment")]
    offers = [structs(tables["campaigns"][:2000, c]) for c in range(N_CAMPAIGNS)]
    n_shortened = 0
    for i, (law, past, user, now) in enumerate(zip(*objects, strict=True)):
        whole = rule.standing(law, past, now)
        part = rule.standing_on(law, past, now, law.open_channels & user.seen_opted_in)
        n_shortened += whole != part
        for campaign in (offers[c][i] for c in range(N_CAMPAIGNS)):
            for channel in range(4):
                expected = rule.channel_suppression(law, whole, user, campaign, channel)
                assert rule.channel_suppression(law, part, user, campaign, channel) == expected
    assert n_shortened > 100
