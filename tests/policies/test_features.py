"""Each feature by its closed form, and within its range whatever it is computed from."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from policies import features as law
from policies.constraints import CAMPAIGN_FIELDS, PERSON_FIELDS
from policies.features import write_slot_features, write_user_features
from policies.history import (
    EMAIL,
    LONG_AGO,
    NO_CATEGORY,
    PUSH,
    blank_history,
    record_conversion,
    record_interest,
    record_open,
    record_send,
    record_session,
)
from policies.limits import Cap, Constraints, QuietHours
from policies.moments import MOMENT_FIELDS, clock_face
from policies.structs import Struct, blank
from policies.vocabulary import (
    N_SLOT_FEATURES,
    N_USER_FEATURES,
    SLOT_FEATURES,
    USER_FEATURES,
    action_names,
    feature_names,
    features,
    n_actions,
    n_features,
)
from simulator.environments.vector import observation_space
from tests.policies.states import TABLES, plausible, structs, wild

NOW = 100_000
USER_NAMES = [feature.name for feature in USER_FEATURES]
SLOT_NAMES = [feature.name for feature in SLOT_FEATURES]
NONE = Constraints()


def changed(struct: Struct, changes: dict[str, Any]) -> Struct:
    for name, value in changes.items():
        assert hasattr(struct, name), name
        setattr(struct, name, value)
    return struct


def moment(**changes: Any) -> Struct:
    at = blank(MOMENT_FIELDS)
    at.hour, at.season = NOW, 1.0
    at.day_start = at.week_start = at.month_start = NOW - 5
    changed(at, changes)
    at.clock_sin, at.clock_cos = clock_face(at.local_minute)
    return at


def person(**changes: Any) -> Struct:
    who = blank(PERSON_FIELDS)
    who.browse_hour = LONG_AGO
    who.seen_opted_in, who.has_consent, who.installed_hours = 3, 1, float(NOW)
    return changed(who, changes)


def campaign(**changes: Any) -> Struct:
    return changed(blank(CAMPAIGN_FIELDS), changes)


def of_user(
    history: Struct | None = None,
    who: Struct | None = None,
    at: Struct | None = None,
    limits: Constraints = NONE,
    *,
    tier_share: float = 0.0,
    budget_left: float = 1.0,
    backlog_hours: float = 0.0,
) -> dict[str, float]:
    out = [math.nan] * N_USER_FEATURES
    past = blank_history() if history is None else history
    who, at = person() if who is None else who, moment() if at is None else at
    write_user_features(out, limits.rules(), past, who, at, tier_share, budget_left, backlog_hours)
    return dict(zip(USER_NAMES, out, strict=True))


def of_slot(
    history: Struct | None = None,
    who: Struct | None = None,
    offer: Struct | None = None,
    *,
    category: int = 2,
    relevance: float = 0.0,
    margin_eur: float = 0.0,
    click_rate: float = 0.1,
    expires_hour: int = NOW,
) -> dict[str, float]:
    out = [math.nan] * (3 + N_SLOT_FEATURES)
    past = blank_history() if history is None else history
    who, offer = person() if who is None else who, campaign() if offer is None else offer
    margin, rate = law.encoded_margin(margin_eur), law.encoded_click_rate(click_rate)
    write_slot_features(out, 3, past, who, offer, moment(), category, relevance, margin, rate, expires_hour)
    assert all(math.isnan(x) for x in out[:3]), "it wrote before its place"
    return dict(zip(SLOT_NAMES, out[3:], strict=True))


def sent(*sends: tuple[int, int], is_uncounted: int = 0, bucket: int = 0) -> Struct:
    """Return a history of sends, each (hours ago, channel)."""
    history = blank_history()
    for ago, channel in sends:
        record_send(history, NOW - ago, channel, 0, is_uncounted, bucket, 0)
    return history


# ------------------------------------------------------------------------------------------- closed forms


def test_of_a_user_of_whom_nothing_is_known():
    expected = dict.fromkeys(USER_NAMES, 0.0) | {
        "local_hour_cos": 1.0,
        "season_index": 1.0,
        "days_to_quiet": 1.0,
        "hours_since_session": 9.0,
        "own_hour_share": 1 / 24,
        "hours_since_send": 9.0,
        "push_open_rate": 0.05,
        "email_open_rate": 0.2,
        "push_opt_in": 1.0,
        "email_opt_in": 1.0,
        "hours_since_conversion": 9.0,
        "hours_since_browse": 9.0,
        "is_android": 1.0,
        "daily_cap_left": 1.0,
        "budget_left": 1.0,
    }
    assert of_user() == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize(("minute", "sine", "cosine"), [(0, 0, 1), (360, 1, 0), (720, 0, -1), (1080, -1, 0)])
def test_the_hour_is_a_place_on_a_circle(minute, sine, cosine):
    at = of_user(at=moment(local_minute=minute))
    assert (at["local_hour_sin"], at["local_hour_cos"]) == pytest.approx((sine, cosine), abs=1e-15)


def test_the_calendar():
    assert [of_user(at=moment(weekday=day))["is_weekend"] for day in range(7)] == [0] * 5 + [1] * 2
    assert [of_user(at=moment(season=x))["season_index"] for x in (0.1, 1.25, 9.0)] == [0.5, 1.25, 3.0]


def test_days_to_quiet_hours():
    night = Constraints(quiet=QuietHours(22 * 60, 8 * 60))
    project = Constraints(quiet=QuietHours(22 * 60, 8 * 60, zone="project"))
    for minute, days in ((22 * 60, 0.0), (7 * 60 + 59, 0.0), (8 * 60, 14 / 24), (21 * 60 + 59, 1 / 1440)):
        assert of_user(at=moment(local_minute=minute), limits=night)["days_to_quiet"] == pytest.approx(days, abs=1e-15)
        at = moment(project_local_minute=minute, local_minute=700)
        assert of_user(at=at, limits=project)["days_to_quiet"] == pytest.approx(days, abs=1e-15)


def test_sessions():
    history = blank_history()
    for ago in (721, 720, 169, 168, 48, 25, 24, 3):
        record_session(history, NOW - ago)
        record_session(history, NOW - ago)
    found = of_user(history)
    counts = [math.log1p(n) for n in (2, 5, 7)]
    assert [found[name] for name in ("sessions_1d", "sessions_7d", "sessions_30d")] == pytest.approx(counts)
    assert found["hours_since_session"] == pytest.approx(math.log(4))
    assert found["own_hour_share"] == pytest.approx((4 + 0.5) / (7 + 12))  # 720, 168, 48 and 24 hours ago


def test_tenure_tier_and_phone():
    assert of_user(who=person(installed_hours=NOW - 36.0))["tenure_days"] == pytest.approx(math.log(2.5))
    assert of_user(who=person(installed_hours=NOW + 5.0))["tenure_days"] == 0.0
    assert of_user(tier_share=0.5)["tier"] == 0.5
    assert [of_user(who=person(os=os))["is_android"] for os in (0, 1)] == [1.0, 0.0]


def test_sends():
    found = of_user(sent((168, PUSH), (167, PUSH), (24, PUSH), (23, EMAIL), (23, PUSH), (0, PUSH)))
    assert (found["pushes_1d"], found["pushes_7d"]) == (2, 4)
    load = math.fsum(math.exp(-ago / 96) for ago in (168, 167, 24, 23, 23, 0))
    assert found["send_load"] == pytest.approx(load, rel=1e-12)
    assert found["hours_since_send"] == 0.0
    assert of_user(sent((6, EMAIL)))["hours_since_send"] == pytest.approx(math.log(7))
    assert found["unopened"] == 6
    passing = of_user(sent((5, PUSH), is_uncounted=1))
    assert (passing["pushes_1d"], passing["pushes_7d"]) == (0, 0)
    assert (passing["unopened"], passing["unread"]) == (1, 1)
    assert passing["send_load"] == pytest.approx(math.exp(-5 / 96))
    many = of_user(sent(*[(40 - k, PUSH) for k in range(40)]))
    assert (many["pushes_1d"], many["pushes_7d"]) == (10, 32), "as many as are remembered"


def test_opens():
    history = sent((9, PUSH), (8, PUSH), (7, EMAIL))
    record_open(history, PUSH)
    found = of_user(history)
    assert found["push_open_rate"] == pytest.approx((1 + 10 * 0.05) / (2 + 10))
    assert found["email_open_rate"] == pytest.approx((0 + 10 * 0.2) / (1 + 10))
    assert found["unopened"] == 0


def test_unread_are_pushes_of_a_day_after_the_last_open_and_session():
    history = sent((24, PUSH), (23, PUSH), (20, PUSH), (9, EMAIL), (9, PUSH))
    assert of_user(history)["unread"] == 3
    record_session(history, NOW - 21)
    assert of_user(history)["unread"] == 2
    record_open(history, EMAIL)
    assert of_user(history)["unread"] == 0
    for ago, channel in ((5, EMAIL), (4, EMAIL), (3, PUSH)):
        record_send(history, NOW - ago, channel, 0, 0, 0, 0)
    assert of_user(history)["unread"] == 1, "the open came after the other pushes"
    record_session(history, NOW - 3)
    assert of_user(history)["unread"] == 0


def test_permissions():
    for bits, push, email in ((0, 0, 0), (1, 1, 0), (2, 0, 1), (15, 1, 1)):
        found = of_user(who=person(seen_opted_in=bits))
        assert (found["push_opt_in"], found["email_opt_in"]) == (push, email)


def test_orders_and_browsing():
    history = blank_history()
    for ago in (2161, 2160, 50):
        record_conversion(history, NOW - ago)
    found = of_user(history)
    assert found["conversions_90d"] == pytest.approx(math.log(3))
    assert found["hours_since_conversion"] == pytest.approx(math.log(51))
    browsed = person(browse_hour=NOW - 4)
    assert of_user(who=browsed)["hours_since_browse"] == pytest.approx(math.log(5))
    browsed.has_consent = 0
    assert of_user(who=browsed)["hours_since_browse"] == 0.0


def test_what_is_left_of_the_tightest_daily_cap():
    history = sent((6, PUSH), (4, PUSH), (3, EMAIL))
    at = moment(day_start=NOW - 5, project_day_start=NOW - 3)
    for caps, left in (
        ([], 1.0),
        ([Cap("day", 4, "day")], 0.5),
        ([Cap("day", 4, "day", zone="project")], 0.75),
        ([Cap("day", 4, "rolling", hours=24)], 0.25),
        ([Cap("day", 4, "rolling", hours=24), Cap("push", 4, "day", channels=("push",))], 0.25),
        ([Cap("push", 4, "day", channels=("push",))], 0.75),
        ([Cap("day", 1, "day")], 0.0),
        ([Cap("none", 0, "day")], 0.0),
        ([Cap("hour", 1, "rolling", hours=23), Cap("week", 1, "week"), Cap("tag", 1, "day", tags=("a",))], 1.0),
    ):
        found = of_user(history, at=at, limits=Constraints(caps=tuple(caps)))
        assert found["daily_cap_left"] == pytest.approx(left, abs=1e-15), caps


def test_what_users_share():
    found = of_user(budget_left=0.25, backlog_hours=2.5)
    assert (found["budget_left"], found["gateway_backlog_hours"]) == (0.25, 2.5)


def test_of_a_slot():
    history = sent((15 * 24, PUSH), bucket=3)
    record_interest(history, 2)
    offer = campaign(bucket=3, kind=1)
    found = of_slot(history, offer=offer, relevance=1.5, margin_eur=4.0, expires_hour=NOW + 9)
    assert found["matches_browse"] == 1.0
    assert found["relevance"] == 1.5
    assert found["bucket_recency"] == pytest.approx(0.5, rel=1e-12)
    assert found["hours_to_expiry"] == pytest.approx(math.log(10))
    assert found["margin_eur"] == pytest.approx(math.log(5))
    assert found["click_rate"] == pytest.approx(math.log(0.1 / 0.9))
    assert found["kind"] == 0.5
    other = of_slot(history, offer=campaign(bucket=4, kind=2), category=1, margin_eur=-3.0, expires_hour=NOW - 1)
    assert [other[name] for name in ("matches_browse", "bucket_recency", "hours_to_expiry", "margin_eur")] == [0] * 4
    assert other["kind"] == 1.0


def test_without_consent_nothing_personal_is_told():
    history = blank_history()
    record_interest(history, 2)
    found = of_slot(history, person(has_consent=0), relevance=2.0)
    assert (found["matches_browse"], found["relevance"]) == (0.0, 0.0)


def test_nothing_browsed_matches_nothing():
    reminder = campaign(kind=1, trigger=0, category=5)
    assert law.category_of(blank_history(), reminder) == NO_CATEGORY
    assert of_slot(category=NO_CATEGORY)["matches_browse"] == 0.0


@pytest.mark.parametrize(
    ("kind", "trigger", "about"), [(0, 0, 5), (1, 0, 2), (1, 1, 2), (1, 2, 5), (1, 3, 2), (1, 4, 5)]
)
def test_what_a_candidate_is_about(kind, trigger, about):
    history = blank_history()
    record_interest(history, 2)
    assert law.category_of(history, campaign(kind=kind, trigger=trigger, category=5)) == about


@pytest.mark.parametrize(("rate", "logit"), [(0.0, -6.0), (0.5, 0.0), (1.0, 0.0), (1 / (1 + math.e), -1.0)])
def test_rates_are_logits_within_their_range(rate, logit):
    assert of_slot(click_rate=rate)["click_rate"] == pytest.approx(logit, abs=1e-12)


# ------------------------------------------------------------------------------------------- ranges and names


def test_every_feature_lies_within_its_range_whatever_it_is_computed_from():
    draw = np.random.default_rng(11)
    tables = plausible(draw, 1000)
    for name, fields in TABLES.items():
        tables[name] = np.concatenate([tables[name], wild(draw, fields, (1000, 2) if name == "campaigns" else (1000,))])
    low = np.asarray([feature.low for feature in features(1)])
    high = np.asarray([feature.high for feature in features(1)])
    rows = [structs(tables[name]) for name in ("rules", "history", "person", "moment")]
    offers = structs(tables["campaigns"][:, 0])
    seen = np.full((2000, n_features(1)), np.nan)
    for i, (rules, history, who, at) in enumerate(zip(*rows, strict=True)):
        a, b, c = draw.uniform(-9, 9, 3)
        write_user_features(seen[i], rules, history, who, at, a, b, c)
        category = law.category_of(history, offers[i])
        write_slot_features(
            seen[i], N_USER_FEATURES, history, who, offers[i], at, category, a, b * 100, c, int(b * 1e4)
        )
    below, above = (seen < low).any(axis=0), (seen > high).any(axis=0)
    names = np.asarray(feature_names(1))
    assert np.isfinite(seen).all()
    assert not names[below | above].size, names[below | above]
    assert not names[(seen == seen[0]).all(axis=0)].size, "a feature that never changes was not tried"
    space = observation_space(1)
    assert all(row in space for row in seen.astype(np.float32))


def test_names_and_numbers_agree():
    for n_slots in (1, 4, 20):
        assert (
            len(feature_names(n_slots)) == len(set(feature_names(n_slots))) == n_features(n_slots) == 29 + 7 * n_slots
        )
        assert len(action_names(n_slots)) == len(set(action_names(n_slots))) == n_actions(n_slots) == 1 + 2 * n_slots
        assert [f.name for f in features(n_slots)] == [name.split(".")[-1] for name in feature_names(n_slots)]
