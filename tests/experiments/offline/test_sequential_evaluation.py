"""Whole episodes judged from end to end: exact values, refusals one by one, and the command."""

from __future__ import annotations

import json
import math
import re
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

from experiments.cli import main
from experiments.offline.estimators.sequential_catalogue import SEQUENTIAL
from experiments.offline.logs.trajectories import LoggedTrajectories
from experiments.offline.sequential_evaluation import evaluate_trajectories
from experiments.recording.logging_policies import uniform_policy
from tests.experiments.offline.episodes import TinyMdp, states_of
from tests.experiments.recordings import environment, recorded

WORLD = TinyMdp()


def test_every_estimator_finds_the_value_of_a_world_that_is_known_whole() -> None:
    """A log that holds every episode as often as it is likely: what is unbiased or consistent is exact.

    Q is fitted to the other half of the log, so it is near the truth, and no correction needs it to be.
    """
    log = replace(WORLD.all_episodes(), final_observations=None)
    found = evaluate_trajectories(log, WORLD.target_in(states_of(log)), states=("state",), name="new")
    assert found.estimates.keys() == SEQUENTIAL.keys()
    assert not found.refused
    for name, each in found.estimates.items():
        is_exact = name not in ("fqe", "sequential_dr", "weighted_dr")
        assert each.interval.value == pytest.approx(WORLD.value, abs=1e-9 if is_exact else 0.05), name
    assert "fitted Q evaluation" in found.note
    assert found.to_dict()["unit"] == "episode"
    assert "an episode (" in found.in_words()


def test_the_policy_that_made_the_log_is_worth_its_mean_return() -> None:
    log = WORLD.drawn(400, 3)
    assert log.probabilities is not None
    found = evaluate_trajectories(log, log.probabilities)
    for name, each in found.estimates.items():
        # States leave out how long the steps before took, by which rewards are discounted.
        if name not in ("fqe", "sequential_dr", "weighted_dr", "marginalised_is"):
            assert each.interval.value == pytest.approx(float(log.returns.mean()), abs=1e-12), name
            assert abs(each.gain.value) < 1e-12
            assert each.gain.high - each.gain.low < 1e-9


def walks(n_episodes: int, horizon: int, seed: int, share: float = 0.5) -> LoggedTrajectories:
    """Return episodes of coins: each head earns one, whatever the state, which is the step alone."""
    rng = np.random.default_rng(seed)
    n = n_episodes * horizon
    steps = np.tile(np.arange(horizon), n_episodes)
    actions = (rng.random(n) < share).astype(np.int64)
    is_last = steps == horizon - 1
    return LoggedTrajectories(
        actions, actions.astype(np.float64), ("tail", "head"), np.zeros((n, 1)), ("nothing",),
        np.repeat(np.arange(n_episodes), horizon), steps, is_terminated=np.zeros(n, np.bool_), is_truncated=is_last,
        propensities=np.where(actions == 1, share, 1 - share),
        probabilities=np.tile([1 - share, share], (n, 1)),
    )  # fmt: skip


def test_long_products_are_refused_while_others_answer() -> None:
    """Two hundred coins: a policy with .6 of heads is worth 120; products of 200 ratios say nothing of it."""
    log = walks(500, 200, 1)
    found = evaluate_trajectories(log, np.tile([0.4, 0.6], (len(log), 1)))
    assert set(found.estimates) == {"marginalised_is", "fqe"}
    reason = found.refused["per-decision IS"]
    told = (
        r"products of ratios over \d+ decisions leave an effective sample size of [\d.]+ of 500 episodes \(at least 30"
    )
    assert re.match(told, reason)
    alone = evaluate_trajectories(log, np.tile([0.4, 0.6], (len(log), 1)), estimators=("fqe",))
    assert "by fitted Q evaluation alone: a model's word, which no propensities correct" in alone.in_words()
    assert abs(found.estimates["marginalised_is"].interval.value - 120.0) < 1.0
    assert abs(found.estimates["fqe"].interval.value - 120.0) < 6.0  # a penalty of 1 is felt over 200 steps
    interval = found.estimates["marginalised_is"].interval
    assert interval.low <= 120.0 <= interval.high
    assert any("500 of 500 episodes go on after the log" in warning for warning in found.warnings)


def test_episodes_without_a_choice_do_not_speak_for_the_others() -> None:
    """A fifth of the users cannot be sent anything. Silence always: no other episode of 30 coins has any weight left.

    Those without a choice weigh 1 each, which looks like an effective size of a hundred.
    """
    log = walks(500, 30, 4)
    closed = (log.episodes % 5 == 0)[:, None] & np.asarray([False, True])
    log = replace(
        log,
        actions=np.where(closed[:, 1], 0, log.actions),
        eligible=~closed,
        probabilities=np.where(closed[:, 1:], [1.0, 0.0], np.asarray(log.probabilities)),
        propensities=np.where(closed[:, 1], 1.0, np.asarray(log.propensities)),
    )
    silence = np.tile([1.0, 0.0], (len(log), 1))
    found = evaluate_trajectories(log, silence)
    assert not {"trajectory_is", "weighted_trajectory_is", "per_decision_is", "weighted_dr"} & found.estimates.keys()
    # Over eight coins some are left, with all the weight; over thirty none is.
    assert "effective sample size" in found.refused["trajectory-wise IS"]
    few = evaluate_trajectories(walks(40, 30, 4), np.tile([0.0, 1.0], (1_200, 1)))
    assert "weighted trajectory IS" in few.refused


def test_products_that_are_not_one_on_average_are_refused() -> None:
    """Propensities that are not those that the log was made with: every estimator by products says so."""
    log = walks(2_000, 3, 5, share=0.5)
    wrong = replace(log, propensities=np.full(len(log), 0.6), probabilities=None)
    found = evaluate_trajectories(wrong, np.tile([0.5, 0.5], (len(log), 1)))
    assert "on average, where 1 is expected" in found.refused["weighted per-decision IS"]
    assert "on average, where 1 is expected" in found.refused["trajectory-wise IS"]


def test_products_beyond_what_can_be_squared_are_refused() -> None:
    """Six hundred heads of one user, each of a ratio of 1.94: a product of 1e172, whose square is no number."""
    log = walks(60, 600, 1)
    actions = np.where(log.episodes == 0, 1, log.actions)
    found = evaluate_trajectories(replace(log, actions=actions), np.tile([0.03, 0.97], (len(log), 1)))
    told = "products of ratios: expected at most 1e+100, got"
    assert {title for title, why in found.refused.items() if why.startswith(told)} == {
        row.title for row in SEQUENTIAL.values() if row.weights in ("episode", "step")
    }
    assert "marginalised_is" in found.estimates


def test_less_than_one_episode_in_a_hundred_is_refused() -> None:
    """Ten coins, .94 of heads in place of .5: a ratio's mean square is 2 (.94 ** 2 + .06 ** 2) = 1.77.

    To the tenth that is 309, so some 65 of 20,000 episodes are left: more than thirty, and .3 %.
    """
    log = walks(20_000, 10, 6)
    heads = log.rewards.reshape(-1, 10).sum(axis=1)
    products = 1.88**heads * 0.12 ** (10 - heads)
    effective = products.sum() ** 2 / (products @ products)
    assert 30.0 < effective < 200.0
    target = np.tile([0.06, 0.94], (len(log), 1))
    found = evaluate_trajectories(log, target, estimators=("weighted_trajectory_is", "marginalised_is"))
    share = f"{effective:,.1f} of 20,000 episodes, {100 * effective / 20_000:.2g} % (at least 1 % are needed)"
    assert found.refused["weighted trajectory IS"].endswith(share)
    assert found.estimates.keys() == {"marginalised_is"}


def test_ten_episodes_with_more_than_half_of_all_weight_are_refused() -> None:
    """Ten products of 100 and 990 of .98: 1,000 of 1,970.2, that is 51 %, of an effective size of 38."""
    log = walks(1_000, 2, 7)
    is_first, is_few = log.steps == 0, log.episodes < 10
    heads = np.where(is_first, np.where(is_few, 0.01, 0.5), 0.5)
    target = np.where(is_first, np.where(is_few, 1.0, 0.49), 0.5)
    log = replace(
        log,
        actions=np.ones(len(log), np.int64),
        propensities=heads,
        probabilities=np.column_stack([1.0 - heads, heads]),
    )
    found = evaluate_trajectories(
        log, np.column_stack([1.0 - target, target]), estimators=("trajectory_is", "marginalised_is")
    )
    assert not found.diagnosis.refusals
    expected = "products of ratios over 1 decision leave 10 of 1,000 episodes with 51 % of all weight"
    assert found.refused == {"trajectory-wise IS": expected}


def test_a_user_with_every_episode_twice_is_no_more_certain() -> None:
    """Errors of value and gain are by user: what one user repeats adds nothing."""
    once = replace(WORLD.drawn(200, 2), final_observations=None, final_eligible=None)
    rows = np.concatenate([np.arange(len(once)), np.arange(len(once))])
    again = replace(
        once,
        **{name: getattr(once, name)[rows] for name in (
            "actions", "rewards", "observations", "steps", "is_terminated", "is_truncated", "propensities",
            "probabilities", "eligible", "elapsed_hours",
        )},
        episodes=np.concatenate([once.episodes, once.episodes + 1_000]),
        users=np.concatenate([once.episodes, once.episodes]),
    )  # fmt: skip
    names = [name for name, row in SEQUENTIAL.items() if not row.needs_q]
    one, two = (
        evaluate_trajectories(log, WORLD.target_in(states_of(log)), estimators=names, states=("state",))
        for log in (once, again)
    )
    for name, each in one.estimates.items():
        for a, b in ((each.interval, two.estimates[name].interval), (each.gain, two.estimates[name].gain)):
            assert (b.value, b.low, b.high) == pytest.approx((a.value, a.low, a.high), rel=1e-9), name


def test_what_no_propensity_corrects_is_said() -> None:
    log = walks(200, 5, 8)
    target = np.tile([0.4, 0.6], (len(log), 1))
    told = "fitted Q evaluation has no propensities to correct it"
    assert any(each.startswith(told) for each in evaluate_trajectories(log, target).warnings)
    without = evaluate_trajectories(log, target, estimators=("weighted_dr",))
    assert not any(told in each for each in without.warnings)


def test_one_long_episode_among_many_short_ones_needs_no_table_of_actions() -> None:
    """A thousand episodes, one of them of a thousand steps, twenty actions: a table of all would hold 160 MB."""
    rng = np.random.default_rng(9)
    lengths = np.append(1_000, np.ones(999, np.int64))
    n = int(lengths.sum())
    episodes = np.repeat(np.arange(1_000), lengths)
    steps = np.append(np.arange(1_000), np.zeros(999, np.int64))
    log = LoggedTrajectories(
        rng.integers(20, size=n), rng.random(n), tuple(f"a{k}" for k in range(20)), np.zeros((n, 1)), ("nothing",),
        episodes, steps, is_terminated=np.zeros(n, np.bool_), is_truncated=np.append(np.diff(episodes) != 0, True),
        propensities=np.full(n, 0.05), probabilities=np.full((n, 20), 0.05),
    )  # fmt: skip
    tracemalloc.start()
    try:
        found = evaluate_trajectories(log, np.full((n, 20), 0.05))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.estimates["per_decision_is"].interval.value == pytest.approx(float(log.returns.mean()))
    assert peak < 100e6


def test_states_that_hardly_anyone_meets_in_are_refused() -> None:
    log = walks(200, 10, 2)
    noisy = replace(log, observations=np.random.default_rng(0).normal(size=(len(log), 1)))
    found = evaluate_trajectories(noisy, np.tile([0.45, 0.55], (len(log), 1)))
    assert found.refused["state-marginalised IS"].startswith("only 1.0 episodes meet in a state at a step")
    assert "per_decision_is" in found.estimates
    again = evaluate_trajectories(noisy, np.tile([0.45, 0.55], (len(log), 1)), states=())
    assert "marginalised_is" in again.estimates


def test_a_whole_evaluation_is_refused_where_decisions_lack_support() -> None:
    log = walks(100, 5, 3, share=1.0)
    found = evaluate_trajectories(log, np.tile([1.0, 0.0], (len(log), 1)), name="tails")
    assert found.is_refused
    assert "No estimate of 'tails' is given. The log is deterministic" in found.in_words()


def test_intervals_hold_the_truth() -> None:
    """Weighted per-decision IS over 300 logs of the tiny world: between 90 and 99 % of 95 % intervals."""
    held = 0
    for seed in range(300):
        log = WORLD.drawn(300, seed)
        found = evaluate_trajectories(
            log, WORLD.target_in(states_of(log)), estimators=("weighted_per_decision_is",), states=("state",)
        )
        interval = found.estimates["weighted_per_decision_is"].interval
        held += interval.low <= WORLD.value <= interval.high
    assert 0.90 < held / 300 < 0.99


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"estimators": ("per_decision",)}, "'per_decision': expected one of .* Did you mean 'per_decision_is'"),
        ({"method": "bernstein"}, "method 'bernstein': expected asymptotic or bootstrap for episodes"),
        ({"states": ("stat",)}, r"states: expected features of the log, got 'stat'\. Did you mean 'state'\?"),
        ({"confidence": 95.0}, "confidence: expected a number between 0 and 1, got 95"),
    ],
)
def test_messages(options: dict[str, Any], message: str) -> None:
    log = WORLD.drawn(20, 0)
    with pytest.raises(ValueError, match=message):
        evaluate_trajectories(log, WORLD.target_in(states_of(log)), **options)


def run(*arguments: str) -> Any:
    return CliRunner().invoke(main, ["evaluate", *arguments], catch_exceptions=False)


@pytest.fixture
def visits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A table of 2,000 visits of four decisions; a push earns one, and tires: the next is worth nothing."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    n = 8_000
    push = rng.random(n) < 0.4
    tired = np.where(np.arange(n) % 4 == 0, False, np.append(False, push[:-1]))
    pl.DataFrame(
        {
            "visit": np.arange(n) // 4, "arm": np.where(push, "push", "none"),
            "earned": np.where(push & ~tired, 1.0, 0.0) + rng.normal(0.0, 0.1, n), "tired": tired,
        }
    ).write_csv("visits.csv")  # fmt: skip
    Path("visits.yaml").write_text(
        "kind: log-mapping\nname: visits\naction: arm\nreward: earned\nprobabilities: {none: 0.6, push: 0.4}\n"
        "features: [tired]\nepisode: visit\n",
        encoding="utf-8",
    )
    return tmp_path


def test_the_command(visits: Path) -> None:
    """Push always: one of two is worth something, at steps 0 alone, since the next is always tired: 1 an episode."""
    options = ("--mapping", "visits.yaml", "--policy", "always:push", "--sequential", "--out", "found")
    done = run("visits.csv", *options)
    assert done.exit_code == 0, done.output
    words = " ".join(done.output.split())
    assert "an episode" in words
    told = json.loads((visits / "found" / "evaluation.json").read_text(encoding="utf-8"))["evaluations"][0]
    found = told["estimates"]["marginalised_is"]
    assert found["low"] < 1.0 < found["high"]
    assert found["high"] - found["low"] < 1.0
    assert told["estimates"]["weighted_dr"]["value"] == pytest.approx(1.0, abs=0.3)
    page = (visits / "found" / "evaluation.html").read_text(encoding="utf-8")
    assert "kairos evaluate visits.csv --policy always:push --mapping visits.yaml --sequential<" in page
    assert "values are of an episode" in page
    # Decision by decision, in the states that the log's policy led to, the same policy looks worth much more.
    single = run("visits.csv", "--mapping", "visits.yaml", "--policy", "always:push", "--estimator", "snips", "--json")
    one = json.loads(single.stdout)["evaluations"][0]["estimates"]["snips"]
    assert 4 * one["low"] > 2.0


def test_a_ledgers_episodes_by_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The document that made the log is worth the mean return, to the last digits."""
    monkeypatch.chdir(tmp_path)
    log = recorded(tmp_path / "ledger", environment(60))
    Path("uniform.json").write_text(uniform_policy(log.env.n_slots).text, encoding="utf-8")
    done = run(
        "ledger", "--policy", "uniform.json", "--policy", "always:no_send", "--sequential", "--estimator",
        "weighted_per_decision_is", "--estimator", "trajectory_is", "--discount-per-day", "0.9", "--json",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    same, silent = json.loads(done.stdout)["evaluations"]
    for each in same["estimates"].values():
        assert each["value"] == pytest.approx(same["logged"]["value"], rel=1e-9)
    assert silent["is_refused"]
    assert math.isnan(silent["logged"]["value"]) is False
    pl.DataFrame({"slot0.push": [0.5]}).write_csv("table.csv")
    refused = run("ledger", "--policy", "table.csv", "--sequential")
    assert refused.exit_code == 1
    assert "a ledger's episodes are in another order than its decisions" in " ".join(refused.stderr.split())


def test_the_command_where_every_estimator_is_refused(visits: Path) -> None:
    """Ten visits: fewer than thirty by any weights; reasons are told, written and drawn, and the exit code is 2."""
    pl.read_csv("visits.csv").head(40).write_csv("few.csv")
    done = run(
        "few.csv", "--mapping", "visits.yaml", "--policy", "logging", "--sequential", "--estimator", "trajectory_is",
        "--estimator", "weighted_dr", "--out", "found",
    )  # fmt: skip
    assert done.exit_code == 2
    expected = "trajectory-wise IS: products of ratios over 1 decision leave an effective sample size of 10.0 of 10"
    assert expected in " ".join(done.output.split())
    told = json.loads((visits / "found" / "evaluation.json").read_text(encoding="utf-8"))["evaluations"][0]
    assert told["is_refused"]
    assert told["refused"].keys() == {"trajectory-wise IS", "weighted DR"}
    assert expected in (visits / "found" / "evaluation.html").read_text(encoding="utf-8")
    assert (visits / "found" / "evaluation.png").stat().st_size > 0


def test_propensities_of_episodes_that_nothing_is_known_of(visits: Path) -> None:
    Path("bare.yaml").write_text("kind: log-mapping\naction: arm\nreward: earned\nepisode: visit\n", encoding="utf-8")
    done = run("visits.csv", "--mapping", "bare.yaml", "--policy", "uniform", "--sequential")
    assert done.exit_code == 1
    assert "expected features that the action may have depended on, got none" in " ".join(done.stderr.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--sequential", "--replay", "linucb"), "--replay: is of single decisions; leave it or --sequential out"),
        (
            ("--sequential", "--report-card", "5"),
            "--report-card: with --sequential it needs a ledger",
        ),
        (("--discount-per-day", "0.9"), "--discount-per-day: is of whole episodes; add --sequential"),
        (("--state", "tired"), "--state: is of whole episodes; add --sequential"),
        (("--sequential", "--set", "episode="), "episode: expected the column that says whose episode a row is"),
        (("--sequential", "--state", "tierd"), "Did you mean 'tired'?"),
        (("--sequential", "--estimator", "snips"), "expected one of trajectory_is"),
    ],
)
def test_the_command_says_what_it_expected(visits: Path, arguments: tuple[str, ...], message: str) -> None:
    done = run("visits.csv", "--mapping", "visits.yaml", "--policy", "uniform", *arguments)
    assert done.exit_code in (1, 2)
    assert message in " ".join((done.output + done.stderr).split())
    assert sorted(path.name for path in visits.iterdir()) == ["visits.csv", "visits.yaml"]


def test_states_in_which_nobody_did_it_refuse_the_ratios_of_states() -> None:
    """In the last step nobody turned up heads, which the policy always would: all of its last step is lost."""
    log = walks(400, 3, 5)
    is_last = log.steps == 2
    log = replace(log, actions=np.where(is_last, 0, log.actions), rewards=log.rewards)
    target = np.where(is_last[:, None], [0.0, 1.0], [0.5, 0.5])
    found = evaluate_trajectories(log, target, estimators=("marginalised_is",))
    assert found.is_refused
    assert (
        "100 % of the policy's episodes come into states in which nobody did what it would do (at most 1 % may)"
        in (found.refused["state-marginalised IS"])
    )


def test_users_count_and_not_their_episodes() -> None:
    """Of forty users with fifty episodes each two took heads: their hundred episodes are two users' worth."""
    log = walks(2_000, 2, 6)
    users = log.episodes % 40
    log = replace(log, users=users, actions=np.where(users < 2, 1, 0))
    found = evaluate_trajectories(log, np.tile([0.0, 1.0], (len(log), 1)), estimators=("weighted_trajectory_is",))
    assert found.is_refused
    assert "effective sample size of 2.0 of 40 users (at least 30 are needed)" in " ".join(found.refusals)


def test_products_that_are_one_but_for_rounding_are_one() -> None:
    """A policy that is the log's own, reckoned another way: ratios are off in their last place, 200 times over."""
    log = walks(300, 200, 7)
    assert log.probabilities is not None
    target = np.repeat([[0.5 * (1.0 + 2e-16), 0.5 * (1.0 - 2e-16)]], len(log), axis=0)
    nearly = replace(log, propensities=np.full(len(log), np.nextafter(0.5, 0.0)), probabilities=None)
    found = evaluate_trajectories(nearly, target, estimators=("weighted_per_decision_is",))
    assert not found.is_refused
    assert found.estimates["weighted_per_decision_is"].gain.value == pytest.approx(0.0, abs=1e-9)
    assert not [warning for warning in found.warnings if "The mean weight" in warning]
