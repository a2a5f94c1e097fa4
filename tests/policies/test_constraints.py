"""The constraint engine against what its words mean, case by case; and every reason and preset by an example."""

from __future__ import annotations

import dataclasses
import math
import random
from collections import Counter
from zoneinfo import ZoneInfo

import pytest

from policies.constraints import CAP, Suppression, last_quiet_hour, quiet_ends_hour, say, suppression
from policies.limits import PRESETS, Cap, Constraints, QuietHours, preset
from tests.policies.cases import Case, Person, Programme, random_case
from tests.policies.meaning import Clocks, Sent, is_quiet, objections, quiet_channels

PARIS, UTC = ZoneInfo("Europe/Paris"), ZoneInfo("UTC")
PROMO = Programme()
NIGHT = 22 + 24  # of the second day, UTC


def answer(case: Case) -> str:
    """Return the engine's reason, in words."""
    rules = case.limits.rules(case.open_channels)
    found = suppression(
        rules,
        case.history(),
        case.person.struct(),
        case.campaign.struct(case.limits),
        case.moment(),
        ("push", "email", "in_app", "sms").index(case.channel),
        case.is_there,
        case.is_paid_for,
    )
    return say(found, case.limits.cap_names)


def opened_at(case: Case) -> int | None:
    """Return since when the campaign is open to the user, None: nothing has opened it."""
    campaign, person = case.campaign, case.person
    if campaign.kind == "scheduled":
        return campaign.start_hour
    if campaign.trigger == "location":
        return case.hour if case.is_there else None
    if campaign.trigger == "dormancy":
        if person.last_session_hours is None:
            return None
        return math.floor(person.last_session_hours + campaign.dormancy_hours) + 1 + campaign.delay_hours
    event: int | None = getattr(person, f"{campaign.trigger}_hour")
    return None if event is None else event + 1 + campaign.delay_hours


def has_met_quiet_hours(case: Case, opened: int) -> bool:
    """Return whether a message of the user's own event lay in quiet hours with no channel to go by, by the minute."""
    quiet, campaign = case.limits.quiet, case.campaign
    if quiet is None or quiet.mode != "cancel" or campaign.kind in ("scheduled", *case.limits.passes_quiet):
        return False
    if campaign.channels & set(case.open_channels) - set(quiet_channels(case.limits)):
        return False
    minutes = range(max(opened * 60, (case.hour - 30) * 60), case.hour * 60 + case.minute)
    return any(is_quiet(quiet, case.clocks, at // 60, at % 60) for at in minutes)


def reasons(case: Case) -> set[str]:
    """Return every reason there is not to send, from the words alone."""
    campaign, person, limits = case.campaign, case.person, case.limits
    found = set()
    opened = opened_at(case)
    if opened is None or case.hour < opened:
        found.add("not open")
    else:
        lasts = campaign.expiry_hours - campaign.delay_hours
        ends = campaign.end_hour if campaign.kind == "scheduled" else opened + lasts
        if case.hour >= ends:
            found.add("expired")
        if has_met_quiet_hours(case, opened):
            found.add("cancelled")
    audience = [(campaign.segments, person.segment), (campaign.tiers, person.tier)]
    audience += [(campaign.stages, person.stage), (campaign.oses, person.os)]
    if any(chosen is not None and own not in chosen for chosen, own in audience):
        found.add("not in audience")
    if campaign.needs_consent and not person.has_consent:
        found.add("no consent")
    if campaign.category in person.muted and campaign.kind != "transactional":
        found.add("muted category")
    if campaign.per_user_cap is not None and case.own_sends >= campaign.per_user_cap:
        found.add("per user cap")
    if campaign.kind != "scheduled" and case.own_sends and opened is not None:
        last = case.before[-1].hour
        # A place opens another message once the last would have expired, an event of the user's only the next event.
        lasts_until = last + campaign.expiry_hours if campaign.trigger == "location" else None
        if case.hour < lasts_until if lasts_until is not None else last >= opened:
            found.add("already sent")
    if case.channel not in campaign.channels or case.channel not in case.open_channels:
        found.add("channel closed")
    if case.channel not in person.permitted:
        found.add("no permission")
    for what in objections(limits, case.clocks, case.before, case.asked(), case.minute):
        if what == "quiet":
            assert limits.quiet is not None
            is_over = campaign.kind != "scheduled" and not campaign.channels & set(case.open_channels) - set(
                quiet_channels(limits)
            )
            mode = limits.quiet.mode
            found.add("deferred" if mode == "defer" else "cancelled" if mode == "cancel" and is_over else "quiet hours")
        else:
            found.add({"gap": "minimum gap"}.get(what, f"cap {what}"))
    if not case.is_paid_for:
        found.add("no budget")
    return found


def test_the_engine_says_what_the_words_mean():
    draw = random.Random(7)
    seen: Counter[str] = Counter()
    for k in range(6000):
        case = random_case(draw)
        said, meant = answer(case), reasons(case)
        assert (said == "eligible") == (not meant), (k, said, meant, case)
        assert not meant or said in meant, (k, said, meant, case)
        seen[said.split("-")[0]] += 1
    expected = {say(reason) for reason in Suppression if reason not in (CAP, *OTHERS)} | {"cap cap"}
    assert set(seen) == expected, "some reason was never tried"
    assert min(seen.values()) >= 10, seen
    assert seen["eligible"] > 400, seen


# What environments and runtimes say, not the engine.
OTHERS = (Suppression.EMPTY_SLOT, Suppression.LEFT, Suppression.NOT_ALLOWED, Suppression.POLICY_LIMIT)


# ------------------------------------------------------------------------------------------- every reason by its name

DAILY = Constraints(caps=(Cap("push-a-day", 1, "day", channels=("push",)),))
QUIET = Constraints(quiet=QuietHours(22 * 60, 8 * 60))
ON_BROWSE = Programme(kind="triggered", trigger="browse")
IN_PLACE = Programme(kind="triggered", trigger="location", expiry_hours=3)
CART = Programme(kind="triggered", trigger="cart", delay_hours=1, expiry_hours=24)


def case(**changes: object) -> Case:
    return dataclasses.replace(Case(), **changes)  # type: ignore[arg-type]


BY_NAME = [
    ("eligible", case()),
    ("not open", case(campaign=Programme(start_hour=101))),
    ("eligible", case(campaign=Programme(start_hour=100))),
    ("not open", case(campaign=CART)),
    ("not open", case(campaign=CART, person=Person(cart_hour=99))),
    ("eligible", case(campaign=CART, person=Person(cart_hour=98))),
    ("eligible", case(campaign=CART, person=Person(cart_hour=76))),
    ("expired", case(campaign=CART, person=Person(cart_hour=75))),
    ("expired", case(campaign=Programme(end_hour=100))),
    ("eligible", case(campaign=Programme(end_hour=101))),
    ("not open", case(campaign=Programme(kind="triggered", trigger="location"))),
    ("eligible", case(campaign=Programme(kind="triggered", trigger="location"), is_there=True)),
    ("not open", case(campaign=Programme(kind="triggered", trigger="dormancy"), person=Person())),
    (
        "not open",
        case(campaign=Programme(kind="triggered", trigger="dormancy"), person=Person(last_session_hours=52.0)),
    ),
    (
        "eligible",
        case(campaign=Programme(kind="triggered", trigger="dormancy"), person=Person(last_session_hours=51.9)),
    ),
    ("not in audience", case(campaign=Programme(segments=frozenset({1})))),
    ("not in audience", case(campaign=Programme(tiers=frozenset({31})))),
    ("eligible", case(campaign=Programme(tiers=frozenset({31})), person=Person(tier=31))),
    ("not in audience", case(campaign=Programme(stages=frozenset({2})))),
    ("not in audience", case(campaign=Programme(oses=frozenset({1})))),
    ("no consent", case(campaign=Programme(needs_consent=True), person=Person(has_consent=False))),
    ("muted category", case(campaign=Programme(category=7), person=Person(muted=frozenset({7})))),
    (
        "eligible",
        case(
            campaign=Programme(kind="transactional", trigger="order", category=7),
            person=Person(muted=frozenset({7}), order_hour=99),
        ),
    ),
    ("per user cap", case(campaign=Programme(per_user_cap=2), before=[Sent(1), Sent(2)], own_sends=2)),
    ("eligible", case(campaign=Programme(per_user_cap=2), before=[Sent(1), Sent(2)], own_sends=1)),
    ("already sent", case(campaign=ON_BROWSE, person=Person(browse_hour=90), before=[Sent(95)], own_sends=1)),
    ("already sent", case(campaign=ON_BROWSE, person=Person(browse_hour=90), before=[Sent(91)], own_sends=1)),
    ("eligible", case(campaign=ON_BROWSE, person=Person(browse_hour=90), before=[Sent(90)], own_sends=1)),
    ("eligible", case(campaign=ON_BROWSE, person=Person(browse_hour=90), before=[Sent(95)])),
    ("already sent", case(campaign=IN_PLACE, is_there=True, before=[Sent(98)], own_sends=1)),
    ("eligible", case(campaign=IN_PLACE, is_there=True, before=[Sent(97)], own_sends=1)),
    ("channel closed", case(campaign=Programme(channels=frozenset({"email"})))),
    ("channel closed", case(channel="sms", open_channels=("push", "email"))),
    ("no permission", case(person=Person(permitted=frozenset({"email"})))),
    ("minimum gap", case(limits=Constraints(gap_hours=4), before=[Sent(97, "email", "transactional")])),
    ("eligible", case(limits=Constraints(gap_hours=4), before=[Sent(96)])),
    ("minimum gap", case(limits=Constraints(channel_gap_hours={"push": 4}), before=[Sent(97)])),
    ("minimum gap", case(limits=Constraints(channel_gap_hours={"push": 4}), before=[Sent(97, kind="transactional")])),
    ("eligible", case(limits=Constraints(channel_gap_hours={"push": 4}), before=[Sent(97, "email")])),
    ("eligible", case(limits=QUIET, hour=NIGHT - 1)),
    ("quiet hours", case(limits=QUIET, hour=NIGHT)),
    ("quiet hours", case(limits=QUIET, hour=NIGHT + 9, minute=59)),
    ("eligible", case(limits=QUIET, hour=NIGHT + 10)),
    ("quiet hours", case(limits=QUIET, hour=NIGHT - 1, clocks=Clocks(PARIS, UTC))),
    ("deferred", case(limits=Constraints(quiet=QuietHours(mode="defer")), hour=NIGHT)),
    ("no budget", case(is_paid_for=False)),
    ("cap push-a-day", case(limits=DAILY, before=[Sent(97)])),
    ("eligible", case(limits=DAILY, before=[Sent(95)])),  # before midnight
    ("eligible", case(limits=DAILY, before=[Sent(97, "email")])),
    ("eligible", case(limits=DAILY, before=[Sent(97, kind="transactional")])),
]


@pytest.mark.parametrize(("reason", "asked"), BY_NAME)
def test_each_reason_by_its_name(reason, asked):
    assert answer(asked) == reason
    assert reasons(asked) == ({reason} - {"eligible"})


def test_a_message_that_met_quiet_hours_is_over_unless_it_had_another_way():
    quiet = QuietHours(mode="cancel", channels=("push",))
    limits = Constraints(quiet=quiet)
    push = dataclasses.replace(CART, channels=frozenset({"push"}))
    both = dataclasses.replace(CART, channels=frozenset({"push", "email"}))
    mail = dataclasses.replace(CART, channels=frozenset({"email"}))
    person = Person(cart_hour=NIGHT + 1)
    for campaign, channel, at_night, after in (
        (push, "push", "cancelled", "cancelled"),
        (both, "push", "quiet hours", "eligible"),
        (both, "email", "eligible", "eligible"),
        (mail, "email", "eligible", "eligible"),
        (dataclasses.replace(push, kind="scheduled"), "push", "quiet hours", "eligible"),
    ):
        for hour, expected in ((NIGHT + 3, at_night), (NIGHT + 10, after)):
            asked = case(limits=limits, campaign=campaign, channel=channel, person=person, hour=hour)
            assert answer(asked) == expected, (campaign, hour)
    late = case(limits=limits, campaign=push, person=Person(cart_hour=NIGHT + 8), hour=NIGHT + 10)
    assert answer(late) == "eligible", "opened when quiet hours were over"
    early = case(limits=limits, campaign=push, person=Person(cart_hour=NIGHT + 7), hour=NIGHT + 10)
    assert answer(early) == "cancelled"
    passing = dataclasses.replace(limits, passes_quiet=("triggered",))
    assert answer(case(limits=passing, campaign=push, person=person, hour=NIGHT + 3)) == "eligible"


def test_transactional_messages_pass_caps_and_gaps_and_are_not_counted():
    limits = Constraints(caps=(Cap("none", 0, "day"),), gap_hours=5, channel_gap_hours={"push": 9})
    receipt = Programme(kind="transactional", trigger="order")
    asked = case(
        limits=limits, campaign=receipt, person=Person(order_hour=99), before=[Sent(100, kind="transactional")]
    )
    assert answer(asked) == "eligible"
    assert answer(dataclasses.replace(asked, campaign=PROMO)) == "cap none"
    strict = dataclasses.replace(limits, passes_caps=())
    assert answer(dataclasses.replace(asked, limits=strict)) == "cap none"
    strict = dataclasses.replace(limits, passes_gap=())
    assert answer(dataclasses.replace(asked, limits=strict)) == "minimum gap"


def test_a_cap_of_a_tag_counts_its_tag_and_takes_the_place_of_the_channels_cap():
    caps = (
        Cap("push", 1, "rolling", hours=24, channels=("push",)),
        Cap("digest", 3, "rolling", hours=24, tags=("digest",), overrides_channels=True),
        Cap("both", 2, "rolling", hours=24, tags=("sale", "digest")),
    )
    limits = Constraints(caps=caps)
    digest, sale = frozenset({"digest"}), frozenset({"sale"})
    plain = case(limits=limits, before=[Sent(99, "push", tags=digest)])
    assert answer(plain) == "cap push", "it counts against the channel all the same"
    tagged = dataclasses.replace(plain, campaign=Programme(tags=digest))
    assert answer(tagged) == "eligible"
    assert answer(dataclasses.replace(tagged, before=[Sent(98, tags=digest), Sent(99, tags=sale)])) == "cap both"
    assert answer(dataclasses.replace(plain, campaign=Programme(tags=sale))) == "cap push"
    assert answer(dataclasses.replace(plain, campaign=Programme(tags=sale), channel="email")) == "eligible"


def test_a_rolling_window_is_exact_to_the_hour():
    for hours in (1, 24, 168, 744):
        limits = Constraints(caps=(Cap("cap", 1, "rolling", hours=hours),))
        assert answer(case(limits=limits, hour=1000, before=[Sent(1001 - hours)])) == "cap cap"
        assert answer(case(limits=limits, hour=1000, before=[Sent(1000 - hours)])) == "eligible"


def test_a_cap_that_the_record_cannot_count_is_not_passed():
    limits = Constraints(caps=(Cap("month", 31, "month", tags=("rare",)),))
    before = [Sent(100 + k) for k in range(31)]
    rare = Programme(tags=frozenset({"rare"}))
    assert answer(case(limits=limits, campaign=rare, before=before, hour=300)) == "eligible"
    assert answer(case(limits=limits, campaign=rare, before=[Sent(99), *before], hour=300)) == "cap month"


# ------------------------------------------------------------------------------------------- quiet hours' ends


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata", "Asia/Kathmandu", "Europe/Paris"])
@pytest.mark.parametrize(("start", "end"), [(1320, 480), (0, 1), (1439, 1380), (600, 610), (1350, 1440), (1440, 430)])
def test_quiet_hours_end_and_were_last_at_the_hour_that_a_search_finds(zone, start, end):
    limits = Constraints(quiet=QuietHours(start, end))
    clocks = Clocks(ZoneInfo(zone), UTC)
    rules = limits.rules()
    for at in range(48 * 60, 72 * 60, 7):
        asked = case(limits=limits, clocks=clocks, hour=at // 60, minute=at % 60)
        moment = asked.moment()
        if quiet_at(limits, clocks, at):
            ends = next(h for h in range(-(-at // 60), 200) if not quiet_at(limits, clocks, h * 60))
            assert quiet_ends_hour(rules, moment) == ends
        else:
            last = next(minute for minute in range(at - 1, 0, -1) if quiet_at(limits, clocks, minute))
            assert quiet_ends_hour(rules, moment) == at // 60
            assert last_quiet_hour(rules, moment) == last // 60


def quiet_at(limits: Constraints, clocks: Clocks, minute: int) -> bool:
    return is_quiet(limits.quiet, clocks, minute // 60, minute % 60)


# ------------------------------------------------------------------------------------------- presets, by an example


def test_braze_counts_by_the_users_calendar_day_and_holds_in_quiet_hours():
    limits = preset("braze")
    new_york = Clocks(ZoneInfo("America/New_York"), UTC)
    # 23:00 in New York is 4:00 UTC of the next day: two pushes at 20:00 local count until local midnight.
    before = [Sent(24 * 3 + 23), Sent(24 * 4 + 1)]
    hour = 24 * 4 + 2  # 21:00 local
    assert answer(case(limits=limits, clocks=new_york, before=before, hour=hour)) == "cap push-a-day"
    assert answer(case(limits=limits, clocks=new_york, before=before, hour=hour + 3)) == "deferred"
    assert answer(case(limits=limits, clocks=new_york, before=before, hour=24 * 4 + 14)) == "eligible"
    assert answer(case(limits=limits, clocks=new_york, before=before, hour=hour - 1, channel="email")) == "eligible"


def test_onesignal_counts_pushes_of_the_whole_app_in_a_rolling_day():
    limits = preset("onesignal")
    before = [Sent(80, kind="transactional"), Sent(85), Sent(90), Sent(95)]
    assert answer(case(limits=limits, before=before, hour=103)) == "cap push"
    assert answer(case(limits=limits, before=before, hour=104)) == "eligible"
    assert answer(case(limits=limits, before=before, hour=103, channel="email")) == "eligible"


def test_iterable_counts_by_the_projects_day_and_a_message_type_takes_the_channels_place():
    limits = preset("iterable")
    tokyo = Clocks(ZoneInfo("Asia/Tokyo"), UTC)
    before = [Sent(96 + 1), Sent(96 + 2)]  # after midnight UTC, 10:00 in Tokyo
    hour = 96 + 12  # 21:00 in Tokyo
    digest = Programme(tags=frozenset({"digest"}))
    assert answer(case(limits=limits, clocks=tokyo, before=before, hour=hour)) == "cap push-a-day"
    assert answer(case(limits=limits, clocks=tokyo, before=before, hour=hour, campaign=digest)) == "eligible"
    once = [Sent(98, tags=frozenset({"digest"}))]
    assert answer(case(limits=limits, clocks=tokyo, before=once, hour=hour, campaign=digest)) == "cap digest-a-week"
    person = Person(cart_hour=96 + 14)  # 23:00 in Tokyo
    assert answer(case(limits=limits, clocks=tokyo, hour=96 + 24, campaign=CART, person=person)) == "cancelled"


def test_clevertap_keeps_a_gap_and_discards_when_not_to_be_disturbed():
    limits = preset("clevertap")
    assert answer(case(limits=limits, before=[Sent(105)], hour=108)) == "minimum gap"
    assert answer(case(limits=limits, before=[Sent(105)], hour=109)) == "eligible"
    assert answer(case(limits=limits, hour=NIGHT)) == "quiet hours"


def test_novu_throttles_a_workflow_and_lets_critical_messages_pass_all():
    limits = preset("novu")
    throttled = Programme(tags=frozenset({"throttled"}))
    before = [Sent(105, tags=frozenset({"throttled"}))]
    assert answer(case(limits=limits, before=before, hour=110, campaign=throttled)) == "cap workflow"
    assert answer(case(limits=limits, before=before, hour=111, campaign=throttled)) == "eligible"
    assert answer(case(limits=limits, before=before, hour=110)) == "eligible"
    critical = Programme(kind="transactional", trigger="order", tags=frozenset({"throttled"}))
    at_night = case(limits=limits, before=[Sent(NIGHT, tags=frozenset({"throttled"}))], hour=NIGHT + 1)
    assert answer(dataclasses.replace(at_night, campaign=critical, person=Person(order_hour=NIGHT))) == "eligible"


def test_uber_keeps_a_daily_cap_a_gap_a_window_and_an_expiry():
    limits = preset("uber")
    assert answer(case(limits=limits, before=[Sent(100)], hour=111)) == "cap push-a-day"
    assert answer(case(limits=limits, before=[Sent(100, "email")], hour=107)) == "minimum gap"
    assert answer(case(limits=limits, hour=NIGHT)) == "quiet hours"
    assert answer(case(limits=limits, hour=100, campaign=CART, person=Person(cart_hour=75))) == "expired"


def test_every_preset_is_sound_and_has_an_example_here():
    for name in PRESETS:
        assert preset(name).faults() == []
        assert any(test.startswith(f"test_{name}_") for test in globals()), name


# ------------------------------------------------------------------------------------------- in words


def test_reasons_are_said_in_words():
    names = ("push-a-day", "week")
    assert [say(CAP + k, names) for k in range(3)] == ["cap push-a-day", "cap week", "cap 2"]
    assert say(0) == "eligible"
    assert say(Suppression.QUIET_HOURS) == "quiet hours"
    assert len({say(reason) for reason in Suppression}) == len(Suppression)
    assert max(Suppression) + 8 <= 255, "reasons travel as bytes"
