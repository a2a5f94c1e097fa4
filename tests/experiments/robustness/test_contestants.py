"""Where policies come from: a document, a training's folder, a run's folder; and what they are called."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from experiments.evaluation.evaluate import evaluate
from experiments.robustness import trial
from experiments.robustness.contestants import contestants, home_source, is_run
from experiments.robustness.trial import Size
from experiments.robustness.worlds import Placed
from policies.codec import DocumentError
from tests.experiments.robustness.policies import eager, home, modest, written


def training(folder: Path, epoch_hours: str) -> Path:
    written(folder / "policy.json", modest("users-dqn"))
    text = f"kind: training\nenvironment:\n  id: kairos/Notify-v0\n  epoch_hours: {epoch_hours}\n"
    (folder / "config.yaml").write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize(("told", "hours"), [("2", 2), ("null", None)])
def test_a_training_decides_as_often_as_it_learned(tmp_path: Path, told: str, hours: int | None) -> None:
    [found] = contestants([training(tmp_path / "dqn", told)])
    assert (found.name, found.epoch_hours) == ("users-dqn", hours)
    [found] = contestants([tmp_path / "dqn" / "policy.json"])
    assert found.epoch_hours == hours
    [found] = contestants([tmp_path / "dqn"], epoch_hours=4)
    assert found.epoch_hours == 4


def test_a_run_brings_all_its_policies_by_the_names_of_their_files(tmp_path: Path) -> None:
    written(tmp_path / "policies" / "ppo.json", eager("users-ppo"))
    written(tmp_path / "policies" / "cap.json", modest("frequency_cap"))
    training(tmp_path / "training" / "ppo", "2")
    assert is_run(tmp_path)
    assert [(each.name, each.epoch_hours) for each in contestants([tmp_path])] == [("cap", None), ("ppo", 2)]


def test_names_differ(tmp_path: Path) -> None:
    files = [written(tmp_path / f"{name}.json", modest("cap")) for name in ("first", "second")]
    again = written(tmp_path / "other" / "second.json", modest("cap"))
    silent = written(tmp_path / "quiet.json", modest("silence"))
    found = contestants([*files, again, silent])
    assert [each.name for each in found] == ["cap", "second", "cap 2", "quiet"]


def test_what_is_no_source_is_told(tmp_path: Path) -> None:
    with pytest.raises(click.ClickException, match="expected a policy document, or a training's folder"):
        contestants([tmp_path])
    (tmp_path / "bad.json").write_text("{}", encoding="utf-8")
    with pytest.raises(DocumentError, match=r"bad\.json"):
        contestants([tmp_path / "bad.json"])


def test_home_is_where_the_first_was_made(tmp_path: Path) -> None:
    file = written(tmp_path / "one.json", modest())
    assert home_source([file, tmp_path]) is None
    (tmp_path / "scenario.yaml").write_text("", encoding="utf-8")
    assert home_source([file, tmp_path]) == tmp_path / "scenario.yaml"


def test_a_document_acts_as_it_is_written() -> None:
    from experiments.robustness.contestants import Contestant

    one = Contestant("eager", eager())
    assert one.agent().is_chance_the_policy
    assert one.policy_hash == Contestant("another name", eager()).policy_hash


def test_an_agent_that_decides_at_events_does_so_elsewhere(tmp_path: Path) -> None:
    folder = training(tmp_path / "dqn", "2\n  trigger: event\n  most_wait_hours: 48")
    [found] = contestants([folder])
    assert found.asked == {"epoch_hours": 2, "trigger": "event", "most_wait_hours": 48}
    [by_the_clock] = contestants([folder], epoch_hours=4)
    assert by_the_clock.asked == {"epoch_hours": 4, "trigger": "clock", "most_wait_hours": 24}
    scenario = home(6)
    asked = evaluate(found.agent(), scenario, 30, 7, n_slots=found.document.n_slots, **found.asked)
    here = trial._run(found, Placed("home", "", scenario), Size(30, 7), None)
    assert (here.sends == asked.sends).all()
    assert (here.sends != trial._run(by_the_clock, Placed("home", "", scenario), Size(30, 7), None).sends).any()
