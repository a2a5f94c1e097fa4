"""The matrix: its cells are evaluations of the same users; what it says is what its cells say; done is done."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from experiments.compare import Estimate
from experiments.evaluation.evaluate import evaluate
from experiments.evaluation.outcomes import paired
from experiments.robustness import trial
from experiments.robustness.contestants import SILENCE
from experiments.robustness.matrix import Matrix, matrix
from experiments.robustness.trial import Cell, Size, tried, worst_tenth
from experiments.robustness.worlds import HOME, Placed, chosen_worlds, differing
from simulator.records import NANO
from tests.experiments.robustness.policies import both, home

SIZE = Size(40, 7)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Matrix:
    worlds, _ = differing(chosen_worlds("opens-half,as-news"), home())
    return matrix(worlds, both(), "modest", SIZE, tmp_path_factory.mktemp("done"))


def test_cells_are_evaluations_of_the_same_users(found: Matrix) -> None:
    agents = {SILENCE: None} | {one.name: one.agent() for one in both()}
    for world in found.worlds:
        runs = {
            name: evaluate(agent, world.scenario, SIZE.n_users, SIZE.seed, name=name, n_slots=4)
            for name, agent in agents.items()
        }
        for name, run in runs.items():
            cell = found.cells[world.name, name]
            assert cell.value.mean == pytest.approx(run.expected_nano.mean() / NANO)
            assert cell.opt_outs == run.opt_outs.mean()
            assert cell.sends_per_user_week == run.sends_per_user_week
            if name != SILENCE:
                assert cell.over_silence == paired(run, runs[SILENCE], "expected_nano").estimate
            if name != "modest":
                assert cell.over_reference == paired(run, runs["modest"], "expected_nano").estimate
        assert found.cells[world.name, SILENCE].over_silence is None
        assert found.cells[world.name, "modest"].over_reference is None
        assert found.gain(world.name, "modest") == Estimate(0.0, 0.0)
    assert len({found.cells[world.name, "eager"].value.mean for world in found.worlds}) == 3


def test_columns_have_a_row_a_world_and_policy(found: Matrix) -> None:
    columns = found.columns()
    assert columns["world"] == [w for w in ("home", "opens-half", "as-news") for _ in range(3)]
    assert columns["policy"] == [SILENCE, "eager", "modest"] * 3
    assert columns["difference"][0] is None
    gain = found.cells[HOME, "eager"].over_silence
    assert gain is not None
    assert [columns[name][1] for name in ("difference", "difference_low", "difference_high")] == [
        gain.mean, gain.low, gain.high,
    ]  # fmt: skip
    assert columns["reference_difference"][2] is None
    assert {len(column) for column in columns.values()} == {9}
    tenth = found.cells[HOME, "eager"].worst_tenth
    assert tenth is not None
    assert columns["worst_decile_eur"][1] == tenth.mean


def test_what_is_done_is_not_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = Placed(HOME, "", home(3))
    first = tried(world, both(), SILENCE, Size(5, 1), tmp_path)
    files = list(tmp_path.iterdir())
    with monkeypatch.context() as patched:
        patched.setattr(trial, "evaluate", lambda *_, **__: pytest.fail("done already"))
        assert repr(tried(world, both(), SILENCE, Size(5, 1), tmp_path)) == repr(first)  # NaN is unlike itself
    tried(world, both(), SILENCE, Size(6, 1), tmp_path)
    tried(world, both(), "eager", Size(5, 1), tmp_path)
    tried(world, both()[:1], SILENCE, Size(5, 1), tmp_path)
    tried(Placed(HOME, "", home(4)), both(), SILENCE, Size(5, 1), tmp_path)
    assert len(list(tmp_path.iterdir())) == 5
    files[0].write_text('{"kind": "robust', encoding="utf-8")  # as a full disk would leave it
    assert repr(tried(world, both(), SILENCE, Size(5, 1), tmp_path)) == repr(first)
    assert json.loads(files[0].read_text("utf-8"))["world"] == HOME


def test_progress_is_told_over_all_worlds(tmp_path: Path) -> None:
    worlds, _ = differing(chosen_worlds("opens-half"), home(2))
    told: list[tuple[int, int]] = []
    matrix(worlds, both(), SILENCE, Size(3, 1), tmp_path, lambda done, of: told.append((done, of)))
    n_days = 2 * 3 * 2  # worlds, silence and two policies, days
    assert told[-1] == (n_days, n_days)
    assert [done for done, _ in told] == sorted({done for done, _ in told})


def test_the_worst_tenth_is_the_mean_of_the_least() -> None:
    gains = np.random.default_rng(1).normal(size=1000)
    assert worst_tenth(gains).mean == pytest.approx(np.sort(gains)[:100].mean())
    assert worst_tenth(np.zeros(1000)) == Estimate(0.0, 0.0)
    assert worst_tenth(np.array([1.5])).mean == 1.5
    assert math.isnan(worst_tenth(gains[:999]).standard_error)  # too few in the tenth for an interval
    assert math.isfinite(worst_tenth(gains).standard_error)


def test_the_worst_tenths_interval_covers() -> None:
    """Mean of the least tenth of a normal: -phi(z) / .1 at its tenth percentile; 1,000 samples of 2,000 users.

    A 95 % interval covers 950 of 1,000 within 4.9 standard deviations (34), a two-sided false alarm of 1e-6; an
    error told at four fifths of its size would cover 883.
    """
    truth = -math.exp(-(1.2815515655446004**2) / 2) / math.sqrt(2 * math.pi) / 0.1
    rng = np.random.default_rng(2)
    covered = 0
    for _ in range(1000):
        found = worst_tenth(rng.normal(size=2000))
        covered += found.low <= truth <= found.high
    assert abs(covered - 950) <= 34


def cell(policy: str, value: float, gain: float | None) -> Cell:
    over = None if gain is None else Estimate(gain, 0.01)
    return Cell(policy, Estimate(value, 0.1), over, over, over, 1.0, 0.0, 0.0, 1.0)


def made_up(gains: dict[str, tuple[float, ...]]) -> Matrix:
    """A matrix of gains over silence, which is worth 1 everywhere."""
    worlds = [Placed(name, "", home()) for name in (HOME, "harsh", "odd")]
    cells = {(world.name, SILENCE): cell(SILENCE, 1.0, None) for world in worlds}
    for policy, each in gains.items():
        for world, gain in zip(worlds, each, strict=True):
            cells[world.name, policy] = cell(policy, 1.0 + gain, gain)
    return Matrix(tuple(worlds), tuple(gains), SILENCE, 10, 5, 1, cells)


def test_words_say_where_a_policy_is_better_worse_and_untold() -> None:
    found = made_up({"bold": (0.5, -0.3, 0.01)})
    assert found.worst_world("bold") == "harsh"
    assert found.in_words("bold") == (
        "bold is worth more than silence in 1 of 3 worlds, less in 1 (harsh); in 1 it cannot be told. Its worst is "
        "harsh: \N{MINUS SIGN}0.300 (\N{MINUS SIGN}0.320 to \N{MINUS SIGN}0.280) EUR a user over silence, and "
        "\N{MINUS SIGN}0.300 (\N{MINUS SIGN}0.320 to \N{MINUS SIGN}0.280) for the tenth of users who lose most by it."
    )
    assert found.answer() == found.in_words("bold")
    assert found.winner("harsh") == SILENCE


def test_the_answer_tells_the_best_at_home_from_the_safest() -> None:
    found = made_up({"bold": (0.5, -0.3, 0.4), "shy": (0.2, 0.1, 0.3)})
    assert (found.best_at_home, found.best_at_worst) == ("bold", "shy")
    assert found.answer() == (
        "By their means, bold is worth most at home, and in 2 of 3 worlds; whoever fears the worst takes shy, whose "
        "worst world (harsh) is clearly better than bold's (harsh)."
    )
    alike = made_up({"bold": (0.5, 0.1, 0.4), "shy": (0.2, 0.11, 0.3)})
    assert alike.answer() == (
        "By their means, bold is worth most at home, and in 2 of 3 worlds; shy does better in its worst world (harsh) "
        "than bold in its own (harsh), but not clearly."
    )
    both_ways = made_up({"bold": (0.5, 0.3, 0.4), "shy": (0.2, 0.1, 0.3)})
    assert both_ways.answer() == (
        "By their means, bold is worth most at home, and in 3 of 3 worlds; it also has the best worst world (harsh). "
        "Whether it is clear of the others, their paired differences say (--against 'bold')."
    )
