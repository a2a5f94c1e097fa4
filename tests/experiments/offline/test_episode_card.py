"""The report card of a ledger's episodes: its twin in the simulator, whose truth is what candidates earn there."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from experiments.cli import main
from experiments.offline.episode_card import EpisodeTwin, episode_card, named_policy, twin_of_ledger
from experiments.offline.report_card import choice, mark
from experiments.offline.sequential_evaluation import evaluate_trajectories

N_USERS = 60


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("log") / "ledger"
    arguments = ["record", "games", "--policy", "random", "--users", str(N_USERS), "--days", "2", "--out", str(folder)]
    done = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return folder


@pytest.fixture(scope="module")
def twin(ledger: Path) -> EpisodeTwin:
    return twin_of_ledger(ledger, N_USERS, 0.9)


def test_the_twin_is_another_log_of_the_same_kind(twin: EpisodeTwin) -> None:
    one, again, other = twin.draw(0), twin.draw(0), twin.draw(1)
    assert one.n_episodes == N_USERS
    assert one.horizon <= 48
    assert one.discount_per_hour == pytest.approx(0.9 ** (1 / 24))
    np.testing.assert_array_equal(one.rewards, again.rewards)
    assert len(one) != len(other) or (one.actions != other.actions).any()
    silent = twin.draw(0, named_policy("always:no_send", twin))
    assert not silent.actions.any()


def test_the_policy_that_made_the_log_is_judged_without_error(twin: EpisodeTwin) -> None:
    """Its own estimate is what it earned on these very users, so nothing is biased; silence is refused by products."""
    candidates = {name: named_policy(name, twin) for name in ("uniform", "always:no_send")}
    told: list[tuple[int, int]] = []
    card = episode_card(
        twin, candidates, estimators=("per_decision_is", "fqe"), n_logs=3, on_log=lambda *given: told.append(given)
    )
    marks = {(each.estimator, each.policy): each for each in card.marks}
    same = marks["per_decision_is", "uniform"]
    earned = [float(twin.draw(k).returns.mean()) for k in range(3)]
    assert same.truth == pytest.approx(np.mean(earned))
    assert same.bias == pytest.approx(0.0, abs=1e-12)
    assert same.spread == pytest.approx(np.std(earned, ddof=1))
    silence = marks["per_decision_is", "always:no_send"]
    assert silence.answered == 0.0
    assert silence.cells() == ("refused", "", "")
    assert card.to_believe in (None, "fqe")
    assert (card.unit, card.rounds, card.n_logs) == ("episode", N_USERS, 3)
    assert told == [(1, 3), (2, 3), (3, 3)]
    json.dumps(card.to_dict())
    log = twin.draw(1)
    target = np.asarray(candidates["uniform"].probabilities(log.observations.astype(np.float32), log.eligibility))
    found = evaluate_trajectories(log, target, estimators=("per_decision_is",)).estimates["per_decision_is"]
    assert found.interval.value == pytest.approx(earned[1], rel=1e-9)


def test_logs_in_which_an_estimator_is_refused_count_for_the_policy_in_use() -> None:
    values = np.asarray([[1.0, 2.0], [math.nan, math.nan], [3.0, math.nan]])
    found = choice("ips", values, np.asarray([0.5, 2.0]), 1.0)
    assert found.worse_than_logging == pytest.approx(1 / 3)
    assert found.regret == pytest.approx(((2 - 2) + (2 - 1) + (2 - 0.5)) / 3)
    marked = mark("ips", "IPS", "new", 2.0, values[:, 0], values[:, 0] - 1.5, values[:, 0] + 0.5)
    assert marked.answered == pytest.approx(2 / 3)
    assert (marked.bias, marked.coverage) == (0.0, 0.5)
    assert marked.cells() == ("+0", "1", "50 % of 67 %")


def run(*arguments: str) -> Any:
    return CliRunner().invoke(main, ["evaluate", *arguments], catch_exceptions=False)


def test_the_command(ledger: Path, tmp_path: Path) -> None:
    done = run(
        str(ledger), "--policy", "uniform", "--sequential", "--report-card", "2", "--estimator", "trajectory_is",
        "--estimator", "weighted_per_decision_is", "--out", str(tmp_path / "found"),
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    words = " ".join(done.output.split())
    assert f"In 2 logs of a twin with {N_USERS} episodes and this logging policy, " in words
    assert "the ledger&#x27;s scenario" in (tmp_path / "found" / "evaluation.html").read_text(encoding="utf-8")
    told = json.loads((tmp_path / "found" / "evaluation.json").read_text(encoding="utf-8"))["report_card"]
    assert told["unit"] == "episode"
    assert len(told["marks"]) == 2


def test_messages(ledger: Path, twin: EpisodeTwin, tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"expected a scenario .* got no scenario and 0 policies: episodes have a twin"
    ):
        twin_of_ledger(tmp_path, 5)
    with pytest.raises(ValueError, match=r"action 'no_sent': expected one of no_send, .* Did you mean 'no_send'\?"):
        named_policy("always:no_sent", twin)
    with pytest.raises(ValueError, match=r"policy 'table.csv': expected uniform, logging, always:ACTION or a"):
        named_policy("table.csv", twin)
    with pytest.raises(ValueError, match="expected at least one candidate"):
        episode_card(twin, {})
    with pytest.raises(ValueError, match="n_logs: expected at least 2, got 1"):
        episode_card(twin, {"uniform": named_policy("uniform", twin)}, n_logs=1)
