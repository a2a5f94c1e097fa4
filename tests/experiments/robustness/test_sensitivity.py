"""Sensitivity: every parameter moves as it says, alone; verdicts follow from intervals."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from experiments.compare import Estimate
from experiments.config import ConfigError, scenario_tree
from experiments.evaluation.evaluate import evaluate
from experiments.evaluation.outcomes import paired
from experiments.robustness.sensitivity import (
    Parameter,
    Sensitivity,
    Turn,
    chosen,
    parameters,
    sensitivity,
)
from experiments.robustness.trial import Size
from experiments.robustness.worlds import changed
from tests.experiments.robustness.policies import both, home


def by_name() -> dict[str, Parameter]:
    return {parameter.path.removeprefix("behaviour."): parameter for parameter in parameters(home())[0]}


def test_every_number_of_behaviour_moves_or_is_told_to_stay() -> None:
    movable, unmoved = parameters(home())
    tree = scenario_tree(home())["behaviour"]
    paths = {f"behaviour.{section}.{name}" for section, fields in tree.items() for name in fields}
    assert {parameter.path for parameter in movable} | set(unmoved) == paths
    assert set(unmoved) == {
        "behaviour.sessions.peak_weights",
        "behaviour.attention.awake_hours",
        "behaviour.withdrawal.in_app_prob",  # 0
        "behaviour.withdrawal.night_hours",
    }


def test_parameters_move_by_a_share_and_intercepts_by_odds() -> None:
    found = by_name()
    fatigue = found["response.fatigue"]
    assert (fatigue.less, fatigue.more) == (0.5 * fatigue.value, 1.5 * fatigue.value)
    logit = found["response.push_logit"]
    assert math.exp(logit.less) == pytest.approx(0.5 * math.exp(logit.value))
    assert math.exp(logit.more) == pytest.approx(1.5 * math.exp(logit.value))
    assert not fatigue.is_cut


def test_a_range_cuts_a_move() -> None:
    relief = by_name()["withdrawal.relevance_relief"]
    assert (relief.value, relief.less, relief.more, relief.is_cut) == (0.7, 0.35, 1.0, True)


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_every_move_is_a_sound_scenario_that_differs_there_alone(share: float) -> None:
    before = scenario_tree(home())
    for parameter in parameters(home(), share)[0]:
        _, section, name = parameter.path.split(".")
        for value in (parameter.less, parameter.more):
            after = scenario_tree(changed(home(), {parameter.path: value}, parameter.path))
            assert after["behaviour"][section][name] == value
            after["behaviour"][section][name] = before["behaviour"][section][name]
            assert after == before


def test_parameters_are_chosen_by_patterns() -> None:
    movable, _ = parameters(home())
    assert chosen(movable, ()) == movable
    names = [parameter.path for parameter in chosen(movable, ("churn.*", "behaviour.response.fatigue"))]
    assert names[0] == "behaviour.response.fatigue"
    assert all(name.startswith("behaviour.churn.") for name in names[1:])
    assert len(names) > 3
    with pytest.raises(ConfigError) as error:
        chosen(movable, ("response.fatige", "nothing.*"))
    told = "no parameter of behaviour that could move has this name"
    assert str(error.value).splitlines() == [
        f"--parameter: response.fatige: {told}. Did you mean 'response.fatigue'?",
        f"--parameter: nothing.*: {told}.",
    ]


def test_turns_are_evaluations_of_the_moved_world(tmp_path: Path) -> None:
    eager, modest = both()
    moving = chosen(parameters(home())[0], ("response.push_logit", "attention.push_per_hour", "sessions.survey_prob"))
    told: list[tuple[int, int]] = []
    found = sensitivity(
        home(), eager, modest, moving, (), Size(40, 3), tmp_path, on_move=lambda done, of: told.append((done, of))
    )
    assert told == [(k, 6) for k in range(1, 7)]
    logit = next(turn for turn in found.turns if turn.parameter.path.endswith("push_logit"))
    world = changed(home(), {logit.parameter.path: logit.parameter.more}, "here")
    ours, theirs = (evaluate(each.agent(), world, 40, 3, n_slots=4) for each in (eager, modest))
    assert logit.more == paired(ours, theirs, "expected_nano").estimate
    assert [turn.swing for turn in found.turns] == sorted((turn.swing for turn in found.turns), reverse=True)
    # With the luck of the same users, what nobody's money depends on changes nothing, to the last bit.
    survey = next(turn for turn in found.turns if turn.parameter.path.endswith("survey_prob"))
    assert survey.less == survey.more == found.home
    assert logit.swing > 0
    again = sensitivity(home(), eager, None, moving[:1], (), Size(40, 3), tmp_path)
    assert (again.policy, again.reference) == ("eager", "silence")


def made_up(home_gain: float, *turns: tuple[float, float]) -> Sensitivity:
    found = [
        Turn(Parameter(f"behaviour.response.p{k}", 1.0, 0.5, 1.5, False), Estimate(less, 0.05), Estimate(more, 0.05))
        for k, (less, more) in enumerate(turns)
    ]
    return Sensitivity("A", "B", Estimate(home_gain, 0.05), 0.5, tuple(found), ())


def test_verdicts_follow_from_intervals() -> None:
    found = made_up(0.5, (0.9, -0.4), (0.6, 0.05), (0.5, 0.5))
    verdicts = [(found.verdict(turn.less), found.verdict(turn.more)) for turn in found.turns]
    assert verdicts == [("holds", "turns round"), ("holds", "cannot be told"), ("holds", "holds")]
    assert found.turning("turns round") == ["response.p0 up"]
    assert found.in_words() == (
        "As the scenario stands, A brings +0.500 (0.402 to 0.598) EUR a user over B. 3 parameters moved by 50 % each "
        "way, one at a time: the sign turns round with response.p0 up, and can no longer be told with response.p1 up. "
        "What matters most is response.p0: from +0.900 with less of it to \N{MINUS SIGN}0.400 with "
        "more."
    )


def test_what_is_not_clear_cannot_turn_round() -> None:
    found = made_up(0.01, (0.9, -0.4))
    assert [found.verdict(each) for each in (found.turns[0].less, found.turns[0].more)] == ["becomes clear"] * 2
    assert found.verdict(Estimate(0.01, 0.02)) == "holds"
    assert "which is no difference that could turn round" in found.in_words()
    assert "a difference becomes clear with" in found.in_words()
    assert "the sign turns round with none" in found.in_words()


def test_columns_begin_with_the_scenario_as_it_stands() -> None:
    columns = made_up(0.5, (0.9, -0.4)).columns()
    assert columns["way"] == ["home", "down", "up"]
    assert columns["difference_eur"] == [0.5, 0.9, -0.4]
    assert columns["verdict"] == ["holds", "holds", "turns round"]
    assert columns["value"][1:] == [0.5, 1.5]
