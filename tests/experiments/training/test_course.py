"""The course of a training: the same to the last bit wherever it is cut, in order, and no longer than it should be."""

from __future__ import annotations

import csv
import io
import math
from functools import partial
from pathlib import Path

import pytest

from agents.agent import State
from agents.saved_state import load, save
from experiments.training.course import Course, Watcher, follow
from experiments.training.figures import Figures
from experiments.training.source import load_training
from experiments.training.stopping import Verdict
from experiments.training.train import build
from experiments.training.trial import Trial


def nothing() -> None:
    return


def begun(folder: Path, **settings: object) -> Course:
    return build(load_training(folder / "b.yaml", {f"training.{k}": v for k, v in settings.items()})).course


def is_cut(course: Course, n_portions: int) -> bool:
    return len(course.portions) >= n_portions


def same(one: State, two: State) -> bool:
    return timeless(one) == timeless(two)


def timeless(state: State) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    return {name: (str(a.dtype), a.shape, a.tobytes()) for name, a in state.items() if name != "seconds"}


@pytest.mark.parametrize("file", ["b.yaml", "users.yaml"])
def test_a_resumed_training_equals_an_unbroken_one(folder: Path, file: str) -> None:
    """Cut after every portion in turn, its state passed through a file."""
    plan = load_training(file)
    whole = build(plan).course
    assert follow(whole, Watcher(), nothing) == "steps"
    n_portions = len(whole.portions)
    assert n_portions >= 10
    cuts = range(0, n_portions, 3) if file == "b.yaml" else (1, n_portions // 2)
    for cut in cuts:
        first, second = build(plan).course, build(plan).course
        assert follow(first, Watcher(), nothing, partial(is_cut, first, cut)) == "interrupted"
        assert len(first.portions) == cut
        save(folder / "state.npz", first.state(), {"kind": "test"})
        second.restore(load(folder / "state.npz", {"kind": "test"}))
        assert follow(second, Watcher(), nothing) == "steps"
        assert same(second.state(), whole.state()), f"cut after portion {cut}"
        assert second.curve.to_csv() == whole.curve.to_csv()
        assert second.portions.to_csv() == whole.portions.to_csv()


def test_two_seeds_differ(folder: Path) -> None:
    """Else the equality above could not fail."""
    one, two = build(load_training("b.yaml")).course, build(load_training("b.yaml", {"seed": 4})).course
    follow(one, Watcher(), nothing)
    follow(two, Watcher(), nothing)
    assert not same(one.state(), two.state())


def test_portions_evaluations_and_checkpoints_come_when_they_are_due(folder: Path) -> None:
    course = begun(folder, n_steps=1000, evaluate_every=400, report_every=150, checkpoint_every=500)
    saves: list[int] = []
    follow(course, Watcher(), lambda: saves.append(course.trainer.n_steps))
    # Portions end at multiples of 150, and at 1000; 50 users a step fit into each.
    assert course.portions.columns["n_steps"] == [150, 300, 450, 600, 750, 900, 1000]
    assert course.curve.columns["n_steps"] == [0, 450, 900, 1000]
    assert saves == [0, 450, 600, 900, 1000]


def test_checkpoints_change_nothing(folder: Path) -> None:
    often, seldom = begun(folder, checkpoint_every=1), begun(folder)
    follow(often, Watcher(), nothing)
    follow(seldom, Watcher(), nothing)
    assert same(often.state(), seldom.state())


def test_the_best_is_kept_as_it_was(folder: Path) -> None:
    course = begun(folder)
    kept: dict[int, State] = {}

    class Keeping(Watcher):
        def on_trial(self, course: Course, trial: Trial, verdict: Verdict) -> None:
            kept[len(course.curve) - 1] = {k: v.copy() for k, v in course.trainer.agent.state().items()}

    follow(course, Keeping(), nothing)
    values = course.curve.column("value_eur")
    assert course.best_row == int(values.argmax())
    assert course.best_row < len(values) - 1, "the last must not be the best, else this shows nothing"
    assert same(course.best, kept[course.best_row])
    course.trainer.agent.restore(course.best)
    assert course.judge.try_out(course.trainer.agent).values[0] == values[course.best_row]


def test_patience_ends_a_course_early_and_it_stays_ended(folder: Path) -> None:
    course = begun(folder, n_steps=20_000, patience=2, least_gain_eur=1.0)
    assert follow(course, Watcher(), nothing) == "patience"
    assert course.curve.columns["n_steps"] == [0, 500, 1000]
    again = begun(folder, n_steps=20_000, patience=2, least_gain_eur=1.0)
    again.restore(course.state())
    assert follow(again, Watcher(), nothing) == "patience"
    assert again.trainer.n_steps == 1000


def test_a_state_of_another_agent_is_refused(folder: Path) -> None:
    state = begun(folder).state()
    other = build(load_training("users.yaml")).course
    with pytest.raises(ValueError, match=r"state: squares: expected shape .*, got"):
        other.restore(state)


def test_figures_read_back_from_csv_to_the_last_bit() -> None:
    figures = Figures()
    figures.add({"n_steps": 10, "value": 1 / 3})
    figures.add({"n_steps": 20, "loss": 1e-300})
    figures.add({"n_steps": 30, "value": -0.1, "loss": 2.0})
    rows = list(csv.DictReader(io.StringIO(figures.to_csv())))
    assert [row["n_steps"] for row in rows] == ["10", "20", "30"]
    assert [row["value"] and float(row["value"]) for row in rows] == [1 / 3, "", -0.1]
    assert [row["loss"] and float(row["loss"]) for row in rows] == ["", 1e-300, 2.0]
    assert math.isnan(figures.row(0)["loss"])
    again = Figures()
    again.restore(figures.state())
    assert again.to_csv() == figures.to_csv()
