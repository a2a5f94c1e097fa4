"""What limits leave of a log's actions: judged, action by action, by the words of the limits alone."""

from __future__ import annotations

import datetime as dt
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from experiments.offline.logs.eligibility import Constrained, Send, constrained, within
from experiments.offline.logs.logged import LoggedRounds
from policies.limits import Cap, Constraints, QuietHours
from tests.policies.meaning import ZERO, Clocks, Sent, objections

ACTIONS: dict[str, Send | None] = {
    "none": None,
    "promo": Send("push", ("promo",)),
    "digest": Send("email", ("digest",)),
    "plain": Send("push"),
    "receipt": Send("email", (), is_transactional=True),
}
NAMES = tuple(ACTIONS)
ZONES = ("UTC", "Europe/Paris", "America/New_York", "Asia/Kolkata")
CHANNELS = st.none() | st.lists(st.sampled_from(("push", "email")), min_size=1, unique=True).map(tuple)


@st.composite
def caps(draw: st.DrawFn, k: int) -> Cap:
    window = draw(st.sampled_from(("rolling", "day", "week", "month")))
    tags = draw(st.none() | st.lists(st.sampled_from(("promo", "digest")), min_size=1, unique=True).map(tuple))
    hours = draw(st.sampled_from((3, 24, 72))) if window == "rolling" else None
    return Cap(
        f"cap-{k}", draw(st.integers(0, 5)), window, hours,
        draw(st.sampled_from(("user", "project"))), draw(CHANNELS), tags, bool(tags) and draw(st.booleans()),
    )  # fmt: skip


@st.composite
def limits(draw: st.DrawFn) -> Constraints:
    quiet = None
    if draw(st.booleans()):
        start = draw(st.integers(0, 23)) * 60
        end = (start + 60 * draw(st.integers(1, 12))) % 1440
        quiet = QuietHours(start, end, draw(st.sampled_from(("drop", "defer", "cancel"))), "user", draw(CHANNELS))
    return Constraints(
        caps=tuple(draw(caps(k)) for k in range(draw(st.integers(0, 3)))),
        gap_hours=draw(st.sampled_from((0, 2, 12))),
        channel_gap_hours={"email": draw(st.sampled_from((0, 30)))},
        quiet=quiet,
        passes_quiet=draw(st.sampled_from(((), ("transactional",)))),
    )


def log(seed: int, n: int = 120, n_users: int = 3) -> LoggedRounds:
    """Return decisions at whole hours over a turn of clocks; some users are in two places of the table."""
    rng = np.random.default_rng(seed)
    users = rng.integers(0, n_users, n)
    hours = np.sort(rng.choice(24 * 21, n, replace=False)).astype(np.float64)
    return LoggedRounds(
        rng.choice(len(NAMES), n, p=[0.3, 0.2, 0.2, 0.2, 0.1]), np.zeros(n), NAMES, users=users, hours=hours
    )


def zones_of(rounds: LoggedRounds) -> list[str]:
    assert rounds.users is not None
    return [ZONES[user % len(ZONES)] for user in rounds.users]


START = ZERO + dt.timedelta(days=70)  # mid March, so that clocks turn on the way


@given(limits(), st.integers(0, 2**20), st.sampled_from(ZONES))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_engine_and_the_words_agree(stated: Constraints, seed: int, project: str) -> None:
    """For every action of every decision: eligible where nothing is against it, and nowhere else."""
    rounds = log(seed)
    found = constrained(rounds, stated, ACTIONS, zone=zones_of(rounds), project_zone=project, hour_zero=START)
    assert rounds.users is not None
    assert rounds.hours is not None
    before: dict[int, list[Sent]] = {user: [] for user in range(3)}
    for row, (user, hour) in enumerate(zip(rounds.users.tolist(), rounds.hours.astype(int).tolist(), strict=True)):
        clocks = Clocks(ZoneInfo(ZONES[user % len(ZONES)]), ZoneInfo(project), START)
        for action, (name, sent) in enumerate(ACTIONS.items()):
            if sent is None:
                assert found.eligible[row, action]
                continue
            asked = said(sent, hour)
            against = objections(stated, clocks, before[user], asked)
            assert found.eligible[row, action] == (not against), (name, against, found.say(row, action))
        taken = ACTIONS[NAMES[rounds.actions[row]]]
        if taken is not None:
            before[user].append(said(taken, hour))


def said(sent: Send, hour: int) -> Sent:
    return Sent(hour, sent.channel, "transactional" if sent.is_transactional else "scheduled", frozenset(sent.tags))


def decided(actions: list[str], hours: list[float], users: list[int] | None = None, **limits: Any) -> Constrained:
    rounds = LoggedRounds(
        np.asarray([NAMES.index(action) for action in actions]), np.zeros(len(actions)), NAMES,
        users=np.zeros(len(actions), np.int64) if users is None else np.asarray(users), hours=np.asarray(hours),
    )  # fmt: skip
    return constrained(rounds, Constraints(**limits), ACTIONS)


def test_reasons_and_what_the_log_did_against_them() -> None:
    found = decided(
        ["promo", "promo", "none", "promo"], [9.0, 10.0, 33.0, 8.0], [1, 1, 1, 2],
        caps=(Cap("push-a-day", 1, "day", channels=("push",)),), quiet=QuietHours(60, 120),
    )  # fmt: skip
    assert found.say(0, NAMES.index("promo")) == "eligible"
    assert found.say(1, NAMES.index("promo")) == "cap push-a-day"
    assert found.eligible[1, NAMES.index("digest")]
    assert found.eligible[2, NAMES.index("promo")]  # the next day
    assert found.eligible[3, NAMES.index("promo")]  # another user
    assert found.taken_against.tolist() == [1]


def test_minutes_count() -> None:
    """Sent at 9:30, a gap of two hours ends at 12:00, not at 11:00; see `send_hour`."""
    found = decided(["promo", "none", "none", "none"], [9.5, 11.0, 11.9, 12.0], gap_hours=2)
    assert found.eligible[:, NAMES.index("promo")].tolist() == [True, False, False, True]


def test_rows_may_lie_in_any_order() -> None:
    """A table sorted by user and one sorted by time say the same."""
    rounds = log(4)
    limits_ = Constraints(caps=(Cap("two", 2, "rolling", 48),), gap_hours=5)
    assert rounds.users is not None
    order = np.argsort(rounds.users, kind="stable")
    one, other = constrained(rounds, limits_, ACTIONS), constrained(rounds.take(order), limits_, ACTIONS)
    assert (one.reasons[order] == other.reasons).all()
    assert 0.1 < one.eligible.mean() < 0.9


def test_a_policy_within_limits() -> None:
    target = np.asarray([[0.2, 0.8, 0.0], [0.0, 0.5, 0.5]])
    eligible = np.asarray([[True, False, True], [True, True, True]])
    np.testing.assert_allclose(within(target, eligible, 0), [[1.0, 0.0, 0.0], [0.0, 0.5, 0.5]])
    with pytest.raises(
        ValueError, match=r"within: otherwise: expected an action that is always eligible, got 1, row 0"
    ):
        within(target, eligible, 1)


def test_bad_input() -> None:
    rounds = log(1, 5)
    nobody = LoggedRounds(rounds.actions, rounds.rewards, NAMES, hours=rounds.hours)
    with pytest.raises(ValueError, match="expected a log with users and hours, got one without users"):
        constrained(nobody, Constraints(), ACTIONS)
    with pytest.raises(ValueError, match=r"sends: expected actions of the log, got 'promos'\. Did you mean 'promo'\?"):
        constrained(rounds, Constraints(), ACTIONS | {"promos": None})
    with pytest.raises(ValueError, match="sends: expected what each action sends, or None; got nothing for 'plain'"):
        constrained(rounds, Constraints(), {name: sent for name, sent in ACTIONS.items() if name != "plain"})
    with pytest.raises(ValueError, match=r"sends: promo: channel: .*, got 'pusch'\. Did you mean 'push'\?"):
        constrained(rounds, Constraints(), ACTIONS | {"promo": Send("pusch")})
    with pytest.raises(ValueError, match=r"time zone: .* got 'Europe/Parris'\. Did you mean 'Europe/Paris'\?"):
        constrained(rounds, Constraints(), ACTIONS, zone="Europe/Parris")
    with pytest.raises(ValueError, match="zone: expected one, or 5, one a round; got 2"):
        constrained(rounds, Constraints(), ACTIONS, zone=["UTC", "UTC"])
