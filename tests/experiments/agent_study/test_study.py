"""The study: what is done is not done again, everybody meets the same users, and the words say what the table says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from experiments.agent_study.carry_over import CARRIED, carry_over_settings
from experiments.agent_study.contenders import CONTENDERS, SILENCE, contenders
from experiments.agent_study.report import Found, found, in_words
from experiments.agent_study.study import Size, study
from experiments.cli import main
from experiments.config import dump_scenario, load_scenario
from experiments.evaluation.outcomes import ARRAYS, Evaluation
from experiments.evaluation.tuned_baselines import Effort
from experiments.training.source import load_training, training_names
from simulator.presets import preset_names

SHORT: dict[str, object] = {"calendar.horizon_days": 14}
TINY = Size(40, Effort(first_users=16, most_users=16), 0.02, 64)


def made_up(name: str, value_eur: Any, sessions: Any, sends: Any) -> Evaluation:
    n = len(value_eur)
    arrays = {each: np.zeros(n, np.int64) for each in ARRAYS}
    arrays["expected_nano"] = np.asarray(np.asarray(value_eur) * 1e9, np.int64)
    arrays["value_nano"] = arrays["expected_nano"]
    arrays["sessions"], arrays["sends"] = np.asarray(sessions, np.int64), np.asarray(sends, np.int64)
    arrays["present_days"] = np.full(n, 7)
    return Evaluation(name, "made up", 1, 7, **arrays)


def of_three(learner: float, lift: int = 0) -> tuple[Found, dict[str, Evaluation]]:
    rng = np.random.default_rng(0)
    base = rng.normal(4.0, 1.0, 400)
    noise = rng.normal(0.0, 0.02, 400)
    rows = {
        SILENCE: made_up(SILENCE, base, np.full(400, 100), np.zeros(400)),
        "frequency_cap": made_up("frequency_cap", base + 0.1, np.full(400, 100), np.ones(400)),
        "MaskablePPO": made_up("MaskablePPO", base + learner + noise, np.full(400, 100 + lift), np.ones(400)),
        "oracle": made_up("oracle", base + 0.3, np.full(400, 100), np.ones(400)),
    }
    who = contenders(("frequency_cap", "MaskablePPO", "oracle"))
    return found(rows, who, "made up"), rows


@pytest.mark.parametrize(
    ("learner", "lift", "words"),
    [
        (0.2, 0, r"MaskablePPO beats it by 0\.\d+ EUR .*, \+(9|10)\d? % of its gain over silence\.$"),
        (0.0, 0, r"MaskablePPO falls short of it by 0\.\d+ EUR"),
        (0.1, 0, r"MaskablePPO cannot be told from it"),
        (0.2, 6, r"Sessions under MaskablePPO are 6\.0 % above those under the best baseline\."),
    ],
)
def test_the_words_say_what_the_users_did(learner: float, lift: int, words: str) -> None:
    result, rows = of_three(learner, lift)
    told = in_words(result, rows)
    assert told.startswith("The best tuned baseline is frequency_cap, worth 0.100 EUR a user over silence.")

    assert re.search(words, told), told


def test_the_gap_is_from_the_best_baseline_to_the_oracle() -> None:
    result, _ = of_three(0.2)
    closed = {row.agent: row.gap_closed for row in result.standings.rows}
    assert closed["frequency_cap"] is not None
    assert closed["frequency_cap"].mean == 0.0
    assert closed["oracle"] is not None
    assert closed["oracle"].mean == pytest.approx(1.0)
    assert closed["MaskablePPO"] is not None
    assert closed["MaskablePPO"].mean == pytest.approx(0.5, abs=0.02)


def test_an_oracle_that_learned_nothing_bounds_nothing() -> None:
    _, rows = of_three(0.2)
    rows["oracle"] = made_up("oracle", rows[SILENCE].expected_nano / 1e9, np.full(400, 100), np.zeros(400))
    result = found(rows, contenders(("frequency_cap", "MaskablePPO", "oracle")), "made up")
    assert all(row.gap_closed is None for row in result.standings.rows)


def test_a_study_goes_on_where_it_stopped_and_all_meet_the_same_users(tmp_path: Path) -> None:
    """A baseline and a bandit; the second sitting makes nothing anew, and finds the same."""
    world = load_scenario("ecommerce", SHORT)
    who = contenders(("always", "epsilon-greedy"))
    told: list[str] = []
    first = study(world, tmp_path, who, TINY, told.append, n_threads=1)
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npz")}
    assert len(stamps) == 3 + 2, "three evaluations, two checkpoints"
    (tmp_path / "evaluations" / "epsilon-greedy.npz").unlink()
    again = study(world, tmp_path, who, TINY, told.append, n_threads=1)
    kept = {path: stamp for path, stamp in stamps.items() if path.name != "epsilon-greedy.npz"}
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in kept.items())
    for name in (SILENCE, "always", "epsilon-greedy"):
        for each in ARRAYS:
            assert (getattr(first[name], each) == getattr(again[name], each)).all(), (name, each)
    assert first["always"].sends.sum() > 100
    assert not first[SILENCE].sends.any()


def test_every_training_of_the_study_is_shipped_and_fits_every_preset() -> None:
    for contender in CONTENDERS:
        if contender.training:
            assert contender.training in training_names()
            for preset in preset_names():
                plan = load_training(contender.training, {"environment.scenario": preset})
                assert plan.scenario is not None
                assert plan.scenario.name == preset


def test_the_dial_multiplies_what_lasts() -> None:
    preset = load_scenario("games", {})
    assert carry_over_settings(preset, 1.0) == {}
    nothing = load_scenario("games", carry_over_settings(preset, 0.0))
    twice = load_scenario("games", carry_over_settings(preset, 2.0))
    assert nothing.behaviour.churn.irritation_prob == nothing.behaviour.response.habituation == 0.0
    assert twice.behaviour.withdrawal.push_prob == 2 * preset.behaviour.withdrawal.push_prob
    assert len(carry_over_settings(preset, 2.0)) == len(CARRIED)


def test_the_command_writes_a_page(tmp_path: Path) -> None:
    out = tmp_path / "study"
    arguments = ["study", "news", "--only", "always", "--quick", "--out", str(out), "--threads", "1"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    page = (out / "agents.md").read_text(encoding="utf-8")
    assert "## news" in page
    assert "| always |" in page
    assert (out / "agents.png").stat().st_size > 10_000
    kept = json.loads((out / "news" / "study.json").read_text(encoding="utf-8"))
    assert kept["standings"]["agents"][0]["agent"] == "always"


def test_trainings_live_in_the_scenario_that_is_asked_for(tmp_path: Path) -> None:
    """The dial and the quick horizon reach them; a file of the user's own, too, whatever it is called."""
    tree = load_scenario("games", {"calendar.start": "2026-03-02"})
    own = tmp_path / "own.yaml"
    own.write_text(dump_scenario(tree), encoding="utf-8")
    out = tmp_path / "study"
    arguments = ["study", str(own), "--only", "softmax", "--carry-over", "0", "--quick", "--threads", "1"]
    result = CliRunner().invoke(main, [*arguments, "--out", str(out)])
    assert result.exit_code == 0, result.output
    trained = load_scenario(out / "games-carry-over-0" / "users-softmax" / "scenario.yaml", {})
    dialled = load_scenario(own, carry_over_settings(tree, 0.0) | {"calendar.horizon_days": 28})
    assert trained == dialled
    assert trained.calendar.start.isoformat() == "2026-03-02"
    assert trained.behaviour.churn.irritation_prob == 0.0
    assert "--only 'softmax' --carry-over 0 --quick`" in (out / "agents.md").read_text(encoding="utf-8")
    again = CliRunner().invoke(main, [*arguments[:-3], "--threads", "1", "--out", str(out)])
    assert again.exit_code == 1
    assert "games-carry-over-0: a study of another size is there; name another folder with --out." in again.output


def test_the_oracle_begins_with_what_was_learned_without_its_sight(tmp_path: Path) -> None:
    """And that is trained, too, where it does not take part itself."""
    world = load_scenario("games", SHORT)
    found = study(world, tmp_path, contenders(("oracle",)), TINY, lambda line: None, n_threads=1)
    assert list(found) == [SILENCE, "oracle"]
    manifest = json.loads((tmp_path / "users-oracle" / "manifest.json").read_text("utf-8"))
    assert manifest["begins_with"]["name"] == "users-maskable-ppo"
    assert manifest["begins_with"]["folder"] == str(tmp_path / "users-maskable-ppo")


def test_who_is_unknown_is_told(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["study", "news", "--only", "LinUBC", "--out", str(tmp_path / "no")])
    assert result.exit_code == 2
    assert "contender 'LinUBC': expected one of always, random" in result.output
    assert not (tmp_path / "no").exists()


def test_some_may_stay_out() -> None:
    everyone = [contender.name for contender in contenders()]
    assert [contender.name for contender in contenders((), ("oracle", "DQN"))] == [
        name for name in everyone if name not in ("oracle", "DQN")
    ]
    with pytest.raises(ValueError, match="contender 'orakel': expected one of"):
        contenders((), ("orakel",))
