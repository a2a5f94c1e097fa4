"""Limits that do not fit are refused, all at once, each at its place, with what was expected and the nearest name."""

from __future__ import annotations

import dataclasses
import re
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from policies.constraints import RULES_FIELDS
from policies.history import N_SENDS
from policies.limits import CHANNELS, KINDS, PRESETS, Cap, Constraints, QuietHours, preset
from simulator import config_constraints
from simulator.config_campaigns import ChannelName

CAP = Cap("cap", 2, "rolling", hours=24)


def with_cap(**changes: Any) -> dict[str, Any]:
    return {"caps": (dataclasses.replace(CAP, **changes),)}


def with_quiet(**changes: Any) -> dict[str, Any]:
    return {"quiet": QuietHours(**changes)}


VIOLATIONS: list[tuple[dict[str, Any], str]] = [
    (with_cap(limit=32), "caps.0.limit: expected whole sends, 0 to 31, got 32"),
    (with_cap(limit=-1), "caps.0.limit: expected whole sends, 0 to 31, got -1"),
    (with_cap(limit=2.5), "caps.0.limit: expected whole sends, 0 to 31, got 2.5"),
    (with_cap(limit=True), "caps.0.limit: expected whole sends, 0 to 31, got True"),
    (with_cap(hours=0), "caps.0.hours: expected whole hours of a rolling window, 1 to 744, got 0"),
    (with_cap(hours=745), "caps.0.hours: expected whole hours of a rolling window, 1 to 744, got 745"),
    (with_cap(hours=None), "caps.0.hours: expected whole hours of a rolling window, 1 to 744, got None"),
    (with_cap(window="day"), "caps.0.hours: a window of one day has no hours; got 24"),
    (
        with_cap(window="wek", hours=None),
        "caps.0.window: no 'wek'; expected rolling, day, week, month. Did you mean 'week'?",
    ),
    (with_cap(window=None, hours=None), "caps.0.window: no None; expected rolling, day, week, month."),
    (with_cap(zone="users"), "caps.0.zone: no 'users'; expected user, project. Did you mean 'user'?"),
    (
        with_cap(channels=("push", "emial")),
        "caps.0.channels: no 'emial'; expected push, email, in_app, sms. Did you mean 'email'?",
    ),
    (with_cap(channels="push"), "caps.0.channels: expected a list of names, got 'push' alone"),
    (with_cap(channels=()), "caps.0.channels: the list is empty; leave it out for all"),
    (with_cap(tags=()), "caps.0.tags: the list is empty; leave it out for all"),
    (with_cap(tags="sale"), "caps.0.tags: expected a list of names, got 'sale' alone"),
    (
        with_cap(overrides_channels=True),
        "caps.0.overrides_channels: only a cap with tags can take the place of those without",
    ),
    ({"caps": (CAP, CAP)}, "caps.1.name: the name 'cap' is used twice; names must differ"),
    ({"caps": tuple(dataclasses.replace(CAP, name=f"{k}") for k in range(9))}, "caps: expected at most 8, got 9"),
    (with_cap(tags=tuple("abcdef")), "caps: expected at most 5 different tags, got a, b, c, d, e, f"),
    ({"gap_hours": 745}, "gap_hours: expected whole hours, 0 to 744, got 745"),
    ({"gap_hours": 0.5}, "gap_hours: expected whole hours, 0 to 744, got 0.5"),
    ({"channel_gap_hours": {"push": -1}}, "channel_gap_hours.push: expected whole hours, 0 to 744, got -1"),
    (
        {"channel_gap_hours": {"pusch": 1}},
        "channel_gap_hours: no 'pusch'; expected push, email, in_app, sms. Did you mean 'push'?",
    ),
    (with_quiet(start_minute=-1), "quiet.start_minute: expected whole minutes of the day, 0 to 1440, got -1"),
    (with_quiet(end_minute=8.5), "quiet.end_minute: expected whole minutes of the day, 0 to 1440, got 8.5"),
    (
        with_quiet(start_minute=480),
        "quiet.end_minute: quiet hours that end when they begin are none, or the whole day; leave them out",
    ),
    (
        with_quiet(start_minute=0, end_minute=1440),
        "quiet.end_minute: quiet hours that end when they begin are none, or the whole day; leave them out",
    ),
    (with_quiet(mode="hold"), "quiet.mode: no 'hold'; expected drop, defer, cancel."),
    (with_quiet(mode="cancle"), "quiet.mode: no 'cancle'; expected drop, defer, cancel. Did you mean 'cancel'?"),
    (with_quiet(mode="any_time"), "quiet.mode: no 'any_time'; expected drop, defer, cancel."),
    (with_quiet(zone="utc"), "quiet.zone: no 'utc'; expected user, project."),
    (with_quiet(channels=("telex",)), "quiet.channels: no 'telex'; expected push, email, in_app, sms."),
    (with_quiet(channels=()), "quiet.channels: the list is empty; leave it out for all"),
    *(
        (
            {name: ("transactionel",)},
            f"{name}: no 'transactionel'; expected {', '.join(KINDS)}. Did you mean 'transactional'?",
        )
        for name in ("passes_caps", "passes_gap", "passes_quiet")
    ),
    ({"passes_caps": "transactional"}, "passes_caps: expected a list of names, got 'transactional' alone"),
]


@pytest.mark.parametrize(("given", "message"), VIOLATIONS)
def test_each_fault_is_told_at_its_place(given, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Constraints(**given)


def test_all_faults_are_told_at_once():
    caps = (dataclasses.replace(CAP, limit=99, zone="moon"), dataclasses.replace(CAP, window="day"))
    with pytest.raises(ValueError, match=r"^caps\.0\.limit: .*; caps\.0\.zone: .*; caps\.1\.hours: .*; gap_hours: "):
        Constraints(caps=caps, gap_hours=-1)


def test_an_unknown_preset_names_the_nearest():
    known = "braze, onesignal, iterable, clevertap, novu, uber"
    with pytest.raises(ValueError, match=f"no preset 'onesignl'; known: {known}. Did you mean 'onesignal'?"):
        preset("onesignl")


def test_the_bounds_themselves_are_fine():
    for limit in (0, N_SENDS - 1):
        for hours in (1, 744):
            assert Constraints(**with_cap(limit=limit, hours=hours), gap_hours=744).rules().cap_limit[0] == limit
    assert Constraints(**with_quiet(start_minute=0, end_minute=1439)).rules().quiet_end == 1439


def test_rules_hold_what_was_stated():
    limits = Constraints(
        caps=(
            Cap(
                "a",
                3,
                "week",
                zone="project",
                channels=("email", "sms"),
                tags=("sale", "news"),
                overrides_channels=True,
            ),
            Cap("b", 1, "rolling", hours=5, tags=("news",)),
        ),
        gap_hours=2,
        channel_gap_hours={"email": 7},
        quiet=QuietHours(1300, 400, "cancel", "project", ("push",)),
        passes_caps=("triggered",),
        passes_quiet=("scheduled", "transactional"),
    )
    rules = limits.rules(("push", "email"))
    assert (rules.n_caps, rules.cap_limit[:2], rules.cap_hours[:2]) == (2, [3, 1], [0, 5])
    assert (rules.cap_calendar[:2], rules.cap_zone[:2]) == ([2, 0], [1, 0])
    assert (rules.cap_channels[:2], rules.cap_tags[:2], rules.cap_overrides[:2]) == ([10, 15], [3, 2], [1, 0])
    assert (rules.gap_hours, rules.channel_gap_hours) == (2, [0, 7, 0, 0])
    assert (rules.quiet_start, rules.quiet_end, rules.quiet_mode, rules.quiet_zone) == (1300, 400, 3, 1)
    assert (rules.quiet_channels, rules.open_channels) == (1, 3)
    assert (rules.passes_caps, rules.passes_gap, rules.passes_quiet) == (2, 4, 5)
    assert set(vars(rules)) == {name for name, _, _ in RULES_FIELDS}
    assert limits.tags == ("sale", "news")
    assert limits.tag_bits(("news", "weather")) == 2
    assert limits.cap_names == ("a", "b")


# ------------------------------------------------------------------------------------------- as a scenario states them


def test_a_scenarios_names_are_those_of_the_engine():
    assert get_args(config_constraints.PresetName) == tuple(PRESETS)
    assert get_args(config_constraints.KindName) == KINDS
    assert get_args(ChannelName) == CHANNELS


def test_a_scenario_states_the_same_limits():
    stated = config_constraints.Constraints.model_validate(
        {
            "caps": ({"name": "a", "limit": 3, "window": "day", "channels": ("push",)},),
            "gap_hours": 2,
            "push_gap_hours": 3,
            "quiet": {"start": 22.5, "end": 7.25, "mode": "defer", "channels": ("email",)},
        }
    )
    assert stated.limits() == Constraints(
        caps=(Cap("a", 3, "day", channels=("push",)),),
        gap_hours=2,
        channel_gap_hours={"push": 3, "email": 0},
        quiet=QuietHours(1350, 435, "defer", "user", ("email",)),
    )
    assert config_constraints.Constraints(preset="novu").limits() is PRESETS["novu"]
    assert config_constraints.Constraints().limits().rules().n_caps == 0


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ({"quiet": {"start": 0.0, "end": 24.0}}, "quiet.end: quiet hours that end when they begin are none"),
        ({"caps": ({"name": "a", "limit": 1},)}, "caps.0.hours: expected whole hours of a rolling window, 1 to 744"),
        ({"caps": ({"name": "a", "limit": 1, "window": "day", "tags": ()},)}, "caps.0.tags: the list is empty"),
        ({"preset": "uber", "gap_hours": 3}, "gap_hours: preset 'uber' says this already; leave one of them out"),
    ],
)
def test_a_scenario_is_told_what_does_not_fit_together(stated, message):
    with pytest.raises(ValidationError, match=re.escape(message)):
        config_constraints.Constraints.model_validate(stated)
