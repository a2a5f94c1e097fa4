"""Scenarios from YAML: presets, round trips, overrides, hash and schema; faults are in test_config_faults."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from experiments.config import (
    ConfigError,
    config_hash,
    dump_scenario,
    load_scenario,
    preset_names,
    preset_path,
    read_setting,
    scenario_schema,
    scenario_tree,
)
from experiments.yaml_source import read_yaml, write_yaml
from simulator.config import N_CATEGORIES, TRIGGERS, Scenario

PRESETS = ("ecommerce", "games", "learning", "news")

# Section 2.6 of the user model, one row a field: news, ecommerce, learning, games.
TABLE = {
    "population.sessions_per_day": (0.50, 0.22, 0.28, 0.55),
    "population.sessions_shape": (0.35, 0.40, 0.40, 0.20),
    "behaviour.sessions.satiation": (0.8, 0.9, 1, 0.7),
    "behaviour.sessions.satiation_hours": (4, 12, 16, 3),
    "behaviour.sessions.floor": (0.8, 0.65, 0.55, 0.7),
    "behaviour.sessions.salience_days": (7, 10, 6, 5),
    "behaviour.sessions.habit_gain": (0.006, 0.010, 0.030, 0.012),
    "behaviour.sessions.habit_days": (14, 14, 21, 7),
    "behaviour.fatigue.fatigue_hours": (36, 96, 72, 72),
    "behaviour.response.fatigue": (0.07, 0.10, 0.10, 0.12),
    "behaviour.response.habituation": (0.20, 0.30, 0.30, 0.35),
    "behaviour.fatigue.habituation_half_life_days": (5, 15, 15, 15),
    "behaviour.withdrawal.push_prob": (0.0006, 0.0016, 0.0010, 0.0014),
    "behaviour.withdrawal.fatigue_gain": (0.10, 0.15, 0.15, 0.12),
    "behaviour.churn.irritation_prob": (0.0001, 0.0003, 0.0003, 0.00015),
    "behaviour.withdrawal.dissatisfaction_gain": (0.004, 0.010, 0.008, 0.003),
    "behaviour.response.push_logit": (-3.15, -3.55, -2.45, -2.80),
    "population.churn_shape": (0.8, 0.8, 0.7, 0.8),
    "population.churn_scale_days": (60, 50, 40, 30),
    "population.tourist_share": (0.22, 0.25, 0.28, 0.38),
    "behaviour.sessions.honeymoon_gain": (2.5, 3, 3, 4),
    "behaviour.value.session_eur": (0.02, 0.01, 0.02, 0.02),
    "behaviour.conversion.organic_prob": (0.0004, 0.020, 0.0008, 0.006),
    "behaviour.conversion.driven_logit": (-7.6, -3.7, -7.0, -5.2),
    "behaviour.conversion.margin_eur": (40, 9, 45, 4),
    "behaviour.conversion.need_days": (60, 14, 120, 7),
    "behaviour.sessions.peak_weights": ((1, 0.5, 0.6), (0.45, 0.45, 1), (0.45, 0.45, 1), (0.25, 0.35, 1)),
}

# The common defaults of the same section, which every preset keeps.
COMMON = {
    "behaviour.withdrawal.irritation_hours": 48,
    "behaviour.withdrawal.relevance_relief": 0.7,
    "behaviour.withdrawal.dissatisfaction_hours": 1440,
    "behaviour.withdrawal.night_factor": 3,
    "behaviour.withdrawal.night_hours": (22, 8),
    "behaviour.withdrawal.email_prob": 0.0035,
    "behaviour.sessions.dissatisfaction_drag": 1,
    "behaviour.churn.habit_shield": 0.5,
    "behaviour.fatigue.habituation_reset": 0.35,
    "behaviour.response.email_logit": -1.4,
    "behaviour.response.in_app_logit": -2.0,
    "behaviour.response.email_click_prob": 0.13,
    "behaviour.response.relevance": 0.8,
    "behaviour.response.intent": 1.35,
    "behaviour.response.waiting": 0.7,
    "behaviour.response.competition": 0.3,
    "behaviour.response.urgency": 0.3,
    "behaviour.response.novelty": 0.5,
    "behaviour.attention.push_per_hour": 2,
    "behaviour.attention.email_per_hour": 0.25,
    "behaviour.delivery.offline_prob": 0.12,
    "behaviour.delivery.offline_hours": 5,
    "behaviour.delivery.push_life_hours": 24,
    "behaviour.delivery.email_life_hours": 72,
    "channels.push.fatigue": 1,
    "channels.email.fatigue": 0.35,
    "channels.in_app.fatigue": 0.1,
    "channels.push.cost_eur": 0.00005,
    "channels.email.cost_eur": 0.0008,
    "population.attention_shape": 1.2,
    "population.open_bias_sd": 0.9,
    "population.sensitivity_cv": 0.7,
    "population.opt_in.android": 0.67,
    "population.opt_in.ios": 0.56,
    "population.opt_in.email": 0.70,
    "population.n_users": 10_000,
    "calendar.horizon_days": 182,
}


def value_at(scenario: Scenario, path: str) -> object:
    value: object = scenario
    for name in path.split("."):
        value = getattr(value, name)
    return value


def minimal(**more: object) -> dict[str, object]:
    population = {
        "sessions_per_day": 1,
        "segments": [{"name": "all", "share": 1}],
        "tiers": [{"name": "all", "share": 1}],
    }
    return {"name": "small", "population": population, **more}


# -------------------------------------------------------------------------------------------------------- presets


def test_the_presets_are_found_by_name() -> None:
    assert preset_names() == PRESETS
    for name in PRESETS:
        assert preset_path(name).name == f"{name}.yaml"
        assert load_scenario(name).name == name


@pytest.mark.parametrize("path", TABLE)
def test_presets_hold_the_table_of_the_user_model(path: str) -> None:
    found = tuple(value_at(load_cached(name), path) for name in ("news", "ecommerce", "learning", "games"))
    assert found == TABLE[path]


@pytest.mark.parametrize("name", PRESETS)
def test_presets_keep_the_common_defaults(name: str) -> None:
    assert {path: value_at(load_cached(name), path) for path in COMMON} == COMMON


@pytest.mark.parametrize("name", PRESETS)
def test_presets_share_population_structure(name: str) -> None:
    population = load_cached(name).population
    assert population.segments == load_cached("news").population.segments
    assert [(s.name, s.share, s.shift_hours, s.extra_peak_hour, s.is_flat) for s in population.segments] == [
        ("office", 0.35, 0, None, False),
        ("student", 0.20, 1.5, 17, False),
        ("home", 0.15, 0, None, False),
        ("night-owl", 0.10, 3, None, False),
        ("senior", 0.10, -1.5, None, False),
        ("shift", 0.10, 0, None, True),
    ]
    assert list(population.segments[2].peak_hours) == [10, 14, 21]
    assert [list(s.peak_hours) for s in population.segments if s.name != "home"] == [[8, 12.5, 20.5]] * 5
    assert [(t.name, t.share, t.value) for t in population.tiers] == [
        ("low", 0.6, 0.5),
        ("mid", 0.3, 1),
        ("high", 0.1, 4),
    ]
    assert population.time_zones == load_cached("news").population.time_zones


@pytest.mark.parametrize("name", PRESETS)
def test_scheduled_push_without_budget_covers_each_interest_once(name: str) -> None:
    campaigns = load_cached(name).campaigns
    eight = [c for c in campaigns if c.kind == "scheduled" and c.channels == ("push",) and c.budget_eur is None]
    assert [c.category for c in eight] == list(range(N_CATEGORIES))
    qualities = [c.quality for c in eight]
    mean = -0.3 if name == "ecommerce" else -0.4
    assert sum(qualities) / 8 == pytest.approx(mean, abs=1e-9)
    assert (sum((q - mean) ** 2 for q in qualities) / 8) ** 0.5 == pytest.approx(0.4, abs=0.05)
    assert all(c.repeat_days is not None for c in eight)
    assert [c.channels for c in campaigns if c.kind == "scheduled" and "email" in c.channels] == [("email",)]
    triggers = {c.trigger for c in campaigns if c.kind == "triggered"}
    assert triggers == set(TRIGGERS) - (set() if name == "ecommerce" else {"location"})
    assert [c.kind for c in campaigns].count("transactional") == (0 if name == "news" else 1)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_name_the_schema_for_the_editor(name: str) -> None:
    first = preset_path(name).read_text("utf-8").splitlines()[0]
    assert first == "# yaml-language-server: $schema=scenario.schema.json"


@pytest.mark.parametrize("name", PRESETS)
def test_presets_stand_a_short_horizon(name: str) -> None:
    assert load_scenario(name, {"calendar.horizon_days": 1}).calendar.horizon_days == 1


_cache: dict[str, Scenario] = {}


def load_cached(name: str) -> Scenario:
    """Frozen, so that tests may share it."""
    if name not in _cache:
        _cache[name] = load_scenario(name)
    return _cache[name]


# --------------------------------------------------------------------------------------------- writing, hash, schema


@pytest.mark.parametrize("name", PRESETS)
def test_dump_loads_back_to_the_same_scenario(name: str, tmp_path: Path) -> None:
    scenario = load_cached(name)
    file = tmp_path / "resolved.yaml"
    file.write_text(dump_scenario(scenario), "utf-8")
    again = load_scenario(file)
    assert again == scenario
    assert config_hash(again) == config_hash(scenario)
    assert dump_scenario(again) == dump_scenario(scenario)


plain = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False)
text = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Cn")), max_size=8)
words = st.sampled_from(
    ["no", "yes", "on", "1e5", "010", "1:30", "1_0", ".5", "1.", "+1", "-0", "2026-01-05", "~", "<<"]
)
trees = st.recursive(
    plain | text | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text | words, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(words | text, trees, min_size=1, max_size=3))
def test_what_is_written_reads_back_the_same(tree: dict[str, object]) -> None:
    source = read_yaml(write_yaml(tree), "t.yaml")
    assert source.faults == []
    assert source.tree == tree


def test_hash_tells_values_apart_and_nothing_else() -> None:
    news = load_cached("news")
    assert len(config_hash(news)) == 16
    assert int(config_hash(news), 16) >= 0
    assert config_hash(load_scenario("news", {"population.n_users": 10_000})) == config_hash(news)
    assert config_hash(load_scenario("news", {"population.n_users": 10_001})) != config_hash(news)
    assert len({config_hash(load_cached(name)) for name in PRESETS}) == 4


def test_hash_is_the_hash_of_canonical_json(tmp_path: Path) -> None:
    """A whole number written with or without a point is one value, so it has one hash."""
    one, other = tmp_path / "one.yaml", tmp_path / "other.yaml"
    one.write_text(yaml.safe_dump(minimal()), "utf-8")
    other.write_text(one.read_text("utf-8").replace("sessions_per_day: 1", "sessions_per_day: 1.0"), "utf-8")
    assert one.read_text("utf-8") != other.read_text("utf-8")
    assert config_hash(load_scenario(one)) == config_hash(load_scenario(other))


def test_the_schema_on_disk_is_fresh() -> None:
    on_disk = json.loads((preset_path("news").parent / "scenario.schema.json").read_text("utf-8"))
    assert on_disk == scenario_schema(), "stale: run kairos config schema --out configs/scenario.schema.json"


def test_tree_is_plain_data() -> None:
    tree = scenario_tree(load_cached("news"))
    assert json.loads(json.dumps(tree)) == tree
    assert tree["calendar"]["start"] == "2026-01-05"


# ------------------------------------------------------------------------------------------------------ overrides


def test_overrides_write_over_the_file() -> None:
    scenario = load_scenario(
        "ecommerce",
        {
            "population.n_users": 500,
            "calendar.start": dt.date(2027, 2, 1),
            "campaigns.flash-sale.quality": -1,
            "campaigns.0.channels": ("push", "email"),
            "population.device_shares": (1, 0, 0),
            "behaviour.attention.asleep": 0,
            "gateway": {"per_hour": 1000},
        },
    )
    assert scenario.population.n_users == 500
    assert scenario.calendar.start == dt.date(2027, 2, 1)
    assert next(c for c in scenario.campaigns if c.name == "flash-sale").quality == -1
    assert scenario.campaigns[0].channels == ("push", "email")
    assert scenario.behaviour.attention.asleep == 0
    assert scenario.gateway.per_hour == 1000


def test_a_partial_channel_keeps_the_rest_of_its_own_defaults() -> None:
    email = load_scenario("news", {"channels.email.cost_eur": 0.002}).channels.email
    assert (email.is_open, email.cost_eur, email.fatigue) == (True, 0.002, 0.35)


@pytest.mark.parametrize(
    ("written", "path", "value"),
    [
        ("population.n_users=1e3", "population.n_users", 1000),
        ("name=no", "name", "no"),
        ("a.b=true", "a.b", True),
        ("a.b=", "a.b", None),
        ("a.b=[1, 2.5]", "a.b", [1, 2.5]),
        ("a.b=x=y", "a.b", "x=y"),
    ],
)
def test_settings_are_read_as_yaml(written: str, path: str, value: object) -> None:
    assert read_setting(written) == (path, value)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("n_users", "--set: expected path=value, got 'n_users'"),
        ("a=[1", "--set: a: not valid YAML: expected ',' or ']', but got '<stream end>'"),
        ("a=.nan", "--set: a: expected a finite number, got .nan"),
        ("a={b: .inf}", "--set: a.b: expected a finite number, got .inf"),
    ],
)
def test_settings_that_cannot_be_read(written: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_setting(written)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("population.n_users", 0, "population.n_users: expected a whole number >= 1, got 0"),
        ("population.n_users", "500", "population.n_users: expected a whole number, got '500'"),
        ("population.n_user", 5, "population.n_user: unknown key. Did you mean 'n_users'?"),
        ("populaton.n_users", 5, "populaton: unknown key. Did you mean 'population'?"),
        ("name.x", 5, "name.x: name is not a section, so it has no 'x'"),
        ("campaigns.99.quality", 0, "campaigns.99.quality: the list has 14 entries, counted from 0"),
        (
            "campaigns.winback.quality",
            0,
            "campaigns.winback.quality: no entry of the list is named 'winback'. Did you mean 'win-back'?",
        ),
        ("seed", float("nan"), "seed: expected a finite number, got nan"),
        (
            "seed",
            object(),
            "seed: expected text, a number, true, false, null, a list or a section, got an object of type object",
        ),
        ("calendar.start", "5 May", "calendar.start: expected a date such as 2026-01-05, got '5 May'"),
    ],
)
def test_overrides_are_as_strict_as_files(path: str, value: object, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_scenario("news", {path: value})
    assert str(caught.value) == f"--set: {message}"
    with pytest.raises(ConfigError) as caught:
        load_scenario("news", {path: value}, option="option")
    assert str(caught.value) == f"option: {message}"


def test_faults_of_file_and_overrides_come_together(tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text("seed: -1\n" + yaml.safe_dump(minimal()), "utf-8")
    with pytest.raises(ConfigError) as caught:
        load_scenario(file, {"calendar.horizon_days": 0})
    assert [str(fault).replace(str(file), "bad.yaml") for fault in caught.value.faults] == [
        "bad.yaml:1: seed: expected a whole number >= 0, got -1",
        "--set: calendar.horizon_days: expected a whole number >= 1, got 0",
    ]
