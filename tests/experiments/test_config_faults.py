"""Every fault of a scenario is told at once, with file, line, path, what was expected and what was got."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.config import ConfigError, Fault, load_scenario

GOOD = """\
name: small
population:
  sessions_per_day: 1
  segments: [{name: office, share: 0.5}, {name: home, share: 0.5}]
  tiers: [{name: low, share: 1}]
"""


def messages(text: str, tmp_path: Path) -> list[str]:
    """Return the faults of a file `bad.yaml`, one line each; none when it is fine."""
    file = tmp_path / "bad.yaml"
    file.write_text(text, "utf-8")
    try:
        load_scenario(file)
    except ConfigError as error:
        return [str(fault).replace(str(file), "bad.yaml") for fault in error.faults]
    return []


def test_the_good_one_is_good(tmp_path: Path) -> None:
    assert messages(GOOD, tmp_path) == []


def campaign(fields: str, kind: str = "scheduled") -> str:
    return (
        GOOD
        + "campaigns:\n  - {kind: "
        + kind
        + ", category: 0, name: sale}\n  - {kind: "
        + kind
        + ", category: 1, name: x, "
        + fields
        + "}\n"
    )


# Each is appended to GOOD, whose last line is 5.
APPENDED = [
    (
        "behaviour:\n  fatigue:\n    fatigue_hour: 5\n",
        "8: behaviour.fatigue.fatigue_hour: unknown key. Did you mean 'fatigue_hours'?",
    ),
    ("zzz: 1\n", "6: zzz: unknown key."),
    ("seed: 1.5\n", "6: seed: expected a whole number, got 1.5"),
    ("seed: 500.0\n", "6: seed: expected a whole number, got 500.0"),
    ("seed: '5'\n", "6: seed: expected a whole number, got '5'"),
    ("seed: 010\n", "6: seed: expected a whole number, got '010'"),
    ("seed: 1:30\n", "6: seed: expected a whole number, got '1:30'"),
    ("seed: 1_000\n", "6: seed: expected a whole number, got '1_000'"),
    ("seed: true\n", "6: seed: expected a whole number, got true"),
    ("seed:\n", "6: seed: expected a whole number, got nothing"),
    ("seed: .nan\n", "6: seed: expected a finite number, got .nan"),
    ("seed: -.inf\n", "6: seed: expected a finite number, got -.inf"),
    ("seed: 1e999\n", "6: seed: expected a finite number, got 1e999"),
    ("title: 5\n", "6: title: expected text, got 5; put it in quotes"),
    ("title: [a]\n", "6: title: expected text, got a list"),
    ("behaviour: 5\n", "6: behaviour: expected a section (key: value lines), got 5"),
    ("behaviour:\n", "6: behaviour: expected a section (key: value lines), got nothing"),
    ("campaigns: {}\n", "6: campaigns: expected a list, got a section"),
    ("campaigns:\n  - sale\n", "7: campaigns.0: expected a section (key: value lines), got 'sale'"),
    ("calendar:\n  epoch_hours: 5\n", "7: calendar.epoch_hours: expected one of 1, 2, 3, 4, 6, 8, 12, 24, got 5"),
    ("calendar:\n  start: 2026-02-30\n", "7: calendar.start: expected a date such as 2026-01-05, got '2026-02-30'"),
    ("calendar:\n  start: 20260105\n", "7: calendar.start: expected a date such as 2026-01-05, got 20260105"),
    ("kind: scenari\n", "6: kind: expected 'scenario', got 'scenari'. Did you mean 'scenario'?"),
    (
        "calendar:\n  holidays:\n    - name: leap\n      month: 2\n      day: 30\n",
        "10: calendar.holidays.0.day: month 2 has no day 30",
    ),
    (
        "behaviour:\n  attention:\n    awake_hours: [9, 9]\n",
        "8: behaviour.attention.awake_hours: expected hours that rise, got 9 to 9",
    ),
    (
        "behaviour:\n  attention:\n    awake_hours: [9]\n",
        "8: behaviour.attention.awake_hours: expected 2 values, got 1",
    ),
    (
        "behaviour:\n  attention:\n    awake_hours: [9, 10, 11]\n",
        "8: behaviour.attention.awake_hours: expected 2 values, got 3",
    ),
    (
        "channels:\n  sms:\n    is_open: true\n",
        "8: channels.sms.is_open: channel sms cannot be opened yet; only push and email act",
    ),
    ("channels:\n  sms:\n    is_open: no\n", "8: channels.sms.is_open: expected true or false, got 'no'; write false"),
    ("channels:\n  push:\n    is_open: on\n", "8: channels.push.is_open: expected true or false, got 'on'; write true"),
    ("channels:\n  push:\n    is_open: perhaps\n", "8: channels.push.is_open: expected true or false, got 'perhaps'"),
    (
        "gateway:\n  outages:\n    - start_hour: 4368\n      hours: 1\n",
        "8: gateway.outages.0.start_hour: starts at hour 4368, after the horizon of 4368 hours",
    ),
    (
        "gateway:\n  outages:\n    - hours: 1\n",
        "8: gateway.outages.0.start_hour: this key is missing and has no default",
    ),
    ("seed: 5\nseed: 6\n", "7: seed: duplicate key; it is on line 6 already"),
    ("[a, b]: 5\n", "6: expected a word as key, got a list or a section"),
    ("<<: {seed: 5}\n", "6: <<: unknown key."),
    ("seed: &s 5\n", "6: anchors and aliases are not read; write the values out"),
    ("seed: *s\n", "6: anchors and aliases are not read; write the values out"),
    ("seed: !!int 5\n", "6: tags are not read; write the value without one"),
    ("seed:\t5\n", "6: not valid YAML: a tab where only spaces may stand"),
    ("calendar:\n\thorizon_days: 5\n", "7: not valid YAML: a tab where only spaces may stand"),
    ("calendar: [1\n", "7: not valid YAML: expected ',' or ']', but got '<stream end>'"),
    ("seed: 5: 6\n", "6: not valid YAML: mapping values are not allowed here"),
    ("---\nname: second\n", "6: not valid YAML: but found another document"),
    ("title: a\x07b\n", "6: the character #x0007 is not allowed in YAML"),
]

# Each is the second campaign of a list, on line 8.
CAMPAIGNS = [
    ("quality: 4", "quality: expected a number <= 3, got 4"),
    ("bucket: 8", "bucket: expected a whole number < 8, got 8"),
    ("urgent: 1", "urgent: unknown key. Did you mean 'urgency'?"),
    ("format: vidoe", "format: expected one of 'text', 'image', 'video', got 'vidoe'. Did you mean 'video'?"),
    ("start_day: 9, end_day: 9", "end_day: the window closes (end_day 9) before it opens (start_day 9)"),
    ("start_day: 182", "start_day: starts on day 182, after the horizon of 182 days"),
    ("channels: []", "channels: the list is empty; expected some of push, email, in_app, sms"),
    ("channels: [push, sms]", "channels.1: channel sms is not open"),
    ("channels: [push, push]", "channels.1: channel push is listed twice"),
    (
        "channels: [psh]",
        "channels.0: expected one of 'push', 'email', 'in_app', 'sms', got 'psh'. Did you mean 'push'?",
    ),
    (
        "audience: {segments: [ofice]}",
        "audience.segments.0: no 'ofice' in the population; known: office, home. Did you mean 'office'?",
    ),
    (
        "audience: {stages: []}",
        "audience.stages: the audience is empty: the list has no entry; leave the key out for everybody",
    ),
    (
        "audience: {stages: [new, dormnt]}",
        (
            "audience.stages.1: expected one of 'new', 'active', 'lapsing', 'dormant', got 'dormnt'. "
            "Did you mean 'dormant'?"
        ),
    ),
    ("audience: {segment: [office]}", "audience.segment: unknown key. Did you mean 'segments'?"),
    ("audience: {tiers: [Low]}", "audience.tiers.0: expected a name of lower-case letters, digits, - and _, got 'Low'"),
]


@pytest.mark.parametrize(("text", "message"), APPENDED)
def test_one_fault(text: str, message: str, tmp_path: Path) -> None:
    assert messages(GOOD + text, tmp_path) == [f"bad.yaml:{message}"]


@pytest.mark.parametrize(("fields", "message"), CAMPAIGNS)
def test_one_fault_of_a_campaign(fields: str, message: str, tmp_path: Path) -> None:
    assert messages(campaign(fields), tmp_path) == [f"bad.yaml:8: campaigns.1.{message}"]


@pytest.mark.parametrize("kind", ["triggered", "transactional"])
def test_a_triggered_campaign_opens_before_it_expires(kind: str, tmp_path: Path) -> None:
    fields = "trigger: order, delay_hours: 24, expiry_hours: 24"
    text = campaign(fields, kind).replace("name: sale", "name: sale, trigger: order")
    told = "expires (expiry_hours 24) before it opens (delay_hours 24)"
    assert messages(text, tmp_path) == [f"bad.yaml:8: campaigns.1.expiry_hours: {told}"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "name: small",
            "name: Small One",
            "1: name: expected a name of lower-case letters, digits, - and _, got 'Small One'",
        ),
        ("name: small", f"name: {'a' * 41}", "1: name: expected at most 40 characters, got 41"),
        ("name: small", "title: small", "1: name: this key is missing and has no default"),
        ("  sessions_per_day: 1\n", "", "2: population.sessions_per_day: this key is missing and has no default"),
        ("home, share: 0.5", "home, share: 0.4", "4: population.segments: the shares sum to 0.9; expected 1"),
        ("[{name: low, share: 1}]", "[]", "5: population.tiers: the list is empty; expected at least one entry"),
        (
            "name: home",
            "name: office",
            "4: population.segments.1.name: the name 'office' is used twice; names must differ",
        ),
        (
            "share: 0.5}]",
            "share: 0.5}]\n  android_share: 1.4",
            "5: population.android_share: expected a number <= 1, got 1.4",
        ),
    ],
)
def test_one_fault_in_what_every_scenario_has(old: str, new: str, message: str, tmp_path: Path) -> None:
    assert old in GOOD
    assert messages(GOOD.replace(old, new), tmp_path) == [f"bad.yaml:{message}"]


def test_too_many_entries(tmp_path: Path) -> None:
    segments = ", ".join(f"{{name: s{index}, share: 0.1}}" for index in range(10))
    many = GOOD.replace("{name: office, share: 0.5}, {name: home, share: 0.5}", segments)
    assert messages(many, tmp_path) == ["bad.yaml:4: population.segments: expected at most 8 entries, got 10"]
    campaigns = "".join(f"  - {{kind: scheduled, category: 0, name: c{index}}}\n" for index in range(65))
    assert messages(f"{GOOD}campaigns:\n{campaigns}", tmp_path) == [
        "bad.yaml:6: campaigns: expected at most 64 entries, got 65"
    ]


def test_kinds_of_campaign(tmp_path: Path) -> None:
    text = GOOD + "campaigns:\n  - {kind: schedule, name: a}\n  - {name: b}\n"
    text += "  - {kind: triggered, category: 0, name: c}\n"
    kinds = "'scheduled', 'triggered', 'transactional'"
    assert messages(text, tmp_path) == [
        f"bad.yaml:7: campaigns.0.kind: expected one of {kinds}, got 'schedule'. Did you mean 'scheduled'?",
        f"bad.yaml:8: campaigns.1.kind: expected one of {kinds}, got nothing",
        "bad.yaml:9: campaigns.2.trigger: this key is missing and has no default",
    ]


def test_an_audience_of_nobody(tmp_path: Path) -> None:
    text = campaign("audience: {segments: [home], os: [ios]}")
    text = text.replace("office, share: 0.5", "office, share: 1").replace("home, share: 0.5", "home, share: 0")
    text = text.replace("population:\n", "population:\n  android_share: 1\n")
    assert messages(text, tmp_path) == [
        "bad.yaml:9: campaigns.1.audience.segments: the audience is empty: nobody is home",
        "bad.yaml:9: campaigns.1.audience.os: the audience is empty: nobody is ios",
    ]


def test_names_of_campaigns_differ(tmp_path: Path) -> None:
    assert messages(campaign("").replace("name: x", "name: sale"), tmp_path) == [
        "bad.yaml:8: campaigns.1.name: the name 'sale' is used twice; names must differ"
    ]


def test_faults_of_all_sections_come_at_once_by_line(tmp_path: Path) -> None:
    text = """\
name: small
seed: 1
seed: 2
calendar:
  horizon_days: .nan
population:
  sessions_per_day: 1
  tourist_share: 1.4
  segments: [{name: office, share: 0.9}]
  tiers: []
behaviour:
  fatigue:
    fatigue_hour: 5
  attention: {awake_hours: [9, 8]}
gateway: {per_hour: -1}
"""
    assert messages(text, tmp_path) == [
        "bad.yaml:3: seed: duplicate key; it is on line 2 already",
        "bad.yaml:5: calendar.horizon_days: expected a finite number, got .nan",
        "bad.yaml:8: population.tourist_share: expected a number <= 1, got 1.4",
        "bad.yaml:13: behaviour.fatigue.fatigue_hour: unknown key. Did you mean 'fatigue_hours'?",
        "bad.yaml:14: behaviour.attention.awake_hours: expected hours that rise, got 9 to 8",
        "bad.yaml:15: gateway.per_hour: expected a number > 0, got -1",
    ]


def test_sums_of_one_section_come_together(tmp_path: Path) -> None:
    text = GOOD.replace("share: 1}", "share: 0.4}").replace("home, share: 0.5", "office, share: 0.6")
    assert messages(text, tmp_path) == [
        "bad.yaml:4: population.segments: the shares sum to 1.1; expected 1",
        "bad.yaml:4: population.segments.1.name: the name 'office' is used twice; names must differ",
        "bad.yaml:5: population.tiers: the shares sum to 0.4; expected 1",
    ]


def test_exponents_are_numbers_and_words_are_words(tmp_path: Path) -> None:
    file = tmp_path / "fine.yaml"
    text = GOOD.replace("sessions_per_day: 1", "n_users: 1e5\n  sessions_per_day: 5e-1")
    file.write_text(text + "title: no\n", "utf-8")
    scenario = load_scenario(file)
    assert (scenario.population.n_users, scenario.population.sessions_per_day) == (100_000, 0.5)
    assert scenario.title == "no"


# ---------------------------------------------------------------------------------------------------------- files


@pytest.mark.parametrize("text", ["", "\n\n", "# only a remark\n"])
def test_an_empty_file(text: str, tmp_path: Path) -> None:
    assert messages(text, tmp_path) == ["bad.yaml: the file is empty; expected a section (key: value lines)"]


def test_a_file_that_is_a_list(tmp_path: Path) -> None:
    assert messages("# list\n- a\n", tmp_path) == ["bad.yaml:2: expected a section (key: value lines), got a list"]


def test_a_file_nested_beyond_reason(tmp_path: Path) -> None:
    assert messages("a: " + "[" * 5000, tmp_path) == ["bad.yaml: nested too deeply to be a config"]


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_bytes(b"name: \xff\n")
    with pytest.raises(ConfigError) as caught:
        load_scenario(file)
    assert caught.value.faults == (Fault(str(file), None, "", "not valid YAML: byte 6 is not UTF-8"),)


def test_files_that_are_not_there(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(GOOD, "utf-8")
    for asked, message in [
        (tmp_path / "shp.yaml", f"no such file. Did you mean '{tmp_path / 'shop.yaml'}'?"),
        (tmp_path / "gone" / "newss.yaml", "no such file. Did you mean 'news'?"),
        (tmp_path / "zzzzzzzz.yaml", "no such file."),
    ]:
        with pytest.raises(ConfigError) as caught:
            load_scenario(asked)
        assert str(caught.value) == f"{asked}: {message}"
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load_scenario(tmp_path)


def test_presets_that_are_not_there() -> None:
    with pytest.raises(ConfigError) as caught:
        load_scenario("ecomerce")
    known = "ecommerce, games, learning, news"
    assert str(caught.value) == f"ecomerce: no such preset; known: {known}. Did you mean 'ecommerce'?"
