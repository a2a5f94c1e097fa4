"""Worlds as data: each changes what it says, and what is wrong with one is told by its name and path."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from experiments.config import ConfigError, load_scenario, scenario_tree
from experiments.robustness.worlds import (
    HOME,
    STANDARD,
    World,
    chosen_worlds,
    differing,
    is_worlds,
    load_worlds,
    placed,
    value_at,
    worlds_schema,
)
from simulator.presets import preset_folders
from tests.experiments.robustness.policies import home

PRESETS = ("ecommerce", "news", "learning", "games")


def folder() -> Path:
    return Path(str(preset_folders()[0]))


def test_a_world_multiplies_adds_writes_over_and_appends() -> None:
    world = World(
        name="w",
        sentence="s",
        times={"behaviour.response.fatigue": 2.0},
        plus={"behaviour.response.push_logit": -0.5},
        settings={"behaviour.response.novelty": 0},
        more={"calendar.holidays": ({"name": "shock", "month": 1, "day": 9, "days": 7},)},
    )
    before, after = home(), placed(world, home()).scenario
    assert after.behaviour.response.fatigue == 2 * before.behaviour.response.fatigue
    assert after.behaviour.response.push_logit == before.behaviour.response.push_logit - 0.5
    assert after.behaviour.response.novelty == 0
    assert after.calendar.holidays[:-1] == before.calendar.holidays
    assert after.calendar.holidays[-1].name == "shock"
    changed = {"behaviour", "calendar"}
    assert {k: v for k, v in scenario_tree(after).items() if k not in changed} == {
        k: v for k, v in scenario_tree(before).items() if k not in changed
    }


def test_another_preset_comes_with_homes_days() -> None:
    there = placed(World(name="w", sentence="s", scenario="news"), home(9)).scenario
    assert (there.name, there.calendar.horizon_days) == ("news", 9)
    assert there.campaigns == load_scenario("news").campaigns


@pytest.mark.parametrize("preset", PRESETS)
def test_the_standard_worlds_fit_every_preset(preset: str) -> None:
    found, same = differing(chosen_worlds(None), load_scenario(preset))
    assert found[0].name == HOME
    assert set(same) <= {"as-news", "as-games"}
    assert (preset in ("news", "games")) == bool(same)
    assert len(found) + len(same) == len(load_worlds(STANDARD)) + 1


def test_a_world_that_changes_nothing_is_left_out() -> None:
    world = World(name="same", sentence="s", times={"behaviour.response.fatigue": 1.0})
    found, same = differing((world,), home())
    assert [each.name for each in found] == [HOME]
    assert same == ("same",)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"times": {"behaviour.fatigue.fatigue_hour": 2.0}},
            "world w: behaviour.fatigue.fatigue_hour: behaviour.fatigue has no 'fatigue_hour'. Did you mean 'fatigue_h",
        ),
        (
            {"plus": {"behavior.x": 2.0}},
            "world w: behavior.x: the scenario has no 'behavior'. Did you mean 'behaviour'?",
        ),
        (
            {"times": {"behaviour.churn": 2.0}},
            "world w: behaviour.churn: expected a number to change, got a section with habit_shield, ",
        ),
        (
            {"times": {"behaviour.sessions.peak_weights": 2.0}},
            "world w: behaviour.sessions.peak_weights: expected a number to change, got a list",
        ),
        ({"times": {"name": 2.0}}, "world w: name: expected a number to change, got 'ecommerce'"),
        ({"times": {"behaviour.churn.habit_shield": 3.0}}, "world w: behaviour.churn.habit_shield: "),
        (
            {"settings": {"behaviour.response.novelt": 1}},
            "world w: behaviour.response.novelt: unknown key. Did you mean 'novelty'?",
        ),
        ({"more": {"calendar.seed": (1,)}}, "world w: calendar.seed: expected a list to add to, got nothing"),
        ({"more": {"seed": (1,)}}, "world w: seed: expected a list to add to, got 1"),
    ],
)
def test_what_does_not_fit_is_told_by_world_and_path(changes: dict[str, object], message: str) -> None:
    world = World.model_validate({"name": "w", "sentence": "s"} | changes)
    with pytest.raises(ConfigError) as error:
        placed(world, home())
    assert str(error.value).startswith(message)


def test_the_faults_of_all_worlds_come_at_once() -> None:
    worlds = [World(name=name, sentence="s", times={"behaviour.nothing": 2.0}) for name in ("one", "two")]
    with pytest.raises(ConfigError) as error:
        differing(tuple(worlds), home())
    assert [fault.file for fault in error.value.faults] == ["world one", "world two"]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{name: home, sentence: s, times: {seed: 2}}", "worlds.0.name: 'home' is the world that all others are held"),
        ("{name: w, sentence: s}", "worlds.0: changes nothing; expected some of scenario, times, plus, settings, more"),
        ("{name: w, sentence: s, tims: {seed: 2}}", "worlds.0.tims: unknown key. Did you mean 'times'?"),
        ("{name: w, sentence: s, times: {seed: -2}}", "worlds.0.times.seed: expected a number >= 0, got -2"),
        ("{name: w, sentence: s, times: {seed: 2}, plus: {seed: 1}}", "worlds.0.plus.seed: is changed by times too"),
        ("{name: w, times: {seed: 2}}", "worlds.0.sentence: "),
    ],
)
def test_a_bad_file_is_told_with_its_line(tmp_path: Path, text: str, fault: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(f"kind: worlds\nworlds:\n  - {text}\n", encoding="utf-8")
    with pytest.raises(ConfigError) as error:
        chosen_worlds(str(file))
    assert str(error.value).startswith(f"{file}:3: {fault}")


def test_a_file_without_worlds_is_told(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("kind: worlds\nworlds: []\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"mine\.yaml:2: worlds: the list is empty; expected at least one world"):
        load_worlds(str(file))


def test_names_of_a_file_differ(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    world = "  - {name: w, sentence: s, times: {seed: 2}}\n"
    file.write_text(f"kind: worlds\nworlds:\n{world}{world}", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"mine\.yaml:4: worlds\.1\.name: the name 'w' is used twice"):
        load_worlds(str(file))


def test_worlds_are_chosen_by_name_once_each_in_the_order_asked() -> None:
    assert [world.name for world in chosen_worlds("shock, drift,shock")] == ["shock", "drift"]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("shok", "--worlds: no world 'shok'; known: fatigue-twice, .* Did you mean 'shock'?"),
        (" , ", "--worlds: expected some of fatigue-twice, .*, or a file; got nothing"),
        ("gone.yaml", "gone.yaml: no such file"),
    ],
)
def test_unknown_worlds_are_told(asked: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        chosen_worlds(asked)


def test_a_scenario_beside_the_file_is_found_from_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own.yaml").write_text((folder() / "games.yaml").read_text("utf-8"), encoding="utf-8")
    file = tmp_path / "mine.yaml"
    file.write_text("kind: worlds\nworlds:\n  - {name: w, sentence: s, scenario: own.yaml}\n", encoding="utf-8")
    monkeypatch.chdir("/")
    assert placed(load_worlds(str(file))[0], home()).scenario.name == "games"


def test_a_value_is_read_by_its_path() -> None:
    assert value_at(home(), "population.sessions_per_day") == home().population.sessions_per_day
    assert value_at(home(), "population.are_devices_deduplicated") == "expected a number to change, got False"


def test_the_schema_on_disk_is_fresh() -> None:
    on_disk = json.loads((folder() / "worlds.schema.json").read_text("utf-8"))
    assert on_disk == json.loads(json.dumps(worlds_schema())), (
        "stale: run kairos config schema worlds --out configs/worlds.schema.json"
    )


def test_a_file_says_of_itself_what_it_is(tmp_path: Path) -> None:
    assert is_worlds(str(folder() / "worlds.yaml"))
    assert not is_worlds(str(folder() / "news.yaml"))
    assert not is_worlds(str(tmp_path / "gone.yaml"))
