"""A policy judged by a log from end to end: the answer in words, the command, its page and its refusals."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import scipy.stats
from click.testing import CliRunner

from experiments.cli import main
from experiments.offline.estimators.catalogue import ESTIMATORS, estimated
from experiments.offline.estimators.importance import ips
from experiments.offline.estimators.model_based import dr
from experiments.offline.evaluation import evaluate_policy
from experiments.offline.logs.logged import LoggedRounds
from experiments.offline.models.folds import folds
from experiments.offline.models.propensities import WARNING, with_propensities
from experiments.offline.models.reward_models import MODELS, cross_fitted
from experiments.offline.targets import always, uniform
from experiments.offline.weighed import weigh
from experiments.recording.logging_policies import uniform_policy
from tests.experiments.offline.worlds import made_up
from tests.experiments.recordings import environment, recorded


def test_every_estimator_answers() -> None:
    rounds, target, _ = made_up(4_000, 1, n_users=700)
    found = evaluate_policy(rounds, target, name="new", log="made up")
    assert found.estimates.keys() == ESTIMATORS.keys()
    assert not found.is_refused
    assert found.told is found.estimates["dr"]
    for each in found.estimates.values():
        assert each.interval.low < each.interval.value < each.interval.high
        assert abs(each.interval.value - found.estimates["dr"].interval.value) < 0.1
        assert (each.dial is not None) == ESTIMATORS[each.name].has_dial
    assert json.loads(json.dumps(found.to_dict()))["estimates"]["ips"]["title"] == "IPS"


def test_the_gain_is_of_the_same_rounds() -> None:
    """The log's own policy gains nothing over itself, for certain."""
    rounds, target, _ = made_up(2_000, 2)
    assert rounds.probabilities is not None
    same = evaluate_policy(rounds, rounds.probabilities, estimators=("ips", "snips"))
    for each in same.estimates.values():
        assert abs(each.gain.value) < 1e-12
        assert each.gain.high - each.gain.low < 1e-12
    other = evaluate_policy(rounds, target, estimators=("ips",)).estimates["ips"]
    w = weigh(rounds, target).weights
    differences = (w - 1.0) * rounds.rewards
    assert other.gain.value == pytest.approx(differences.mean())
    wide = scipy.stats.t.ppf(0.975, 1_999) * differences.std(ddof=1) / math.sqrt(2_000)
    assert other.gain.high - other.gain.value == pytest.approx(wide)


def test_words_and_gain_have_the_confidence_that_was_asked_for() -> None:
    rounds, target, _ = made_up(2_000, 2)
    wide, narrow = (evaluate_policy(rounds, target, estimators=("dr",), confidence=c) for c in (0.95, 0.8))
    assert narrow.estimates["dr"].gain.confidence == 0.8
    assert wide.estimates["dr"].gain.low < narrow.estimates["dr"].gain.low
    assert "(80 %: " in narrow.in_words()
    assert "(95 %: " in wide.in_words()


def test_what_intervals_leave_out_is_told() -> None:
    rounds, target, _ = made_up(4_000, 1)
    found = evaluate_policy(rounds, target, estimators=("ips", "dm", "dr", "dr_os"))
    dial = found.estimates["dr_os"].dial
    assert dial is not None
    assert math.isfinite(dial)
    assert "the model of rewards may be wrong (DM); weights were made smaller (DR, optimistic shr" in found.note
    assert evaluate_policy(rounds, target, estimators=("ips", "dr")).note == ""


def test_methods_of_intervals() -> None:
    """A bound for every N and a sequence are wider than the asymptotic interval, and only for means."""
    rounds, target, _ = made_up(20_000, 4)
    found = {
        method: evaluate_policy(rounds, target, method=method, reward_range=(0.0, 1.0), replicates=200)
        for method in ("asymptotic", "bootstrap", "sequence", "bernstein")
    }
    assert list(found["bernstein"].estimates) == ["ips"]
    assert list(found["sequence"].estimates) == ["ips", "dm", "dr", "mrdr"]
    wide = [found[m].estimates["ips"].interval.high - found[m].estimates["ips"].interval.low for m in found]
    assert wide[0] == pytest.approx(wide[1], rel=0.25)
    assert wide[0] < wide[2] < wide[3]
    gains = [found[m].estimates["ips"].gain for m in found]
    assert gains[0].high - gains[0].low < gains[2].high - gains[2].low < gains[3].high - gains[3].low
    assert found["bernstein"].estimates["ips"].interval.low > 0.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "bernstien"}, r"method 'bernstien': expected one of .*\. Did you mean 'bernstein'\?"),
        ({"method": "bernstein"}, r"bernstein: expected a range of rewards, such as \(0, 1\), got none"),
        (
            {"method": "bernstein", "estimators": ("snips",)},
            "'snips': the method bernstein has intervals for ips only: it asks for a mean of bounded terms",
        ),
        ({"method": "sequence", "estimators": ("switch_dr",)}, "for ips, dm, dr, mrdr only: it asks for a mean"),
        ({"method": "bernstein", "reward_range": (0.0, 0.5)}, r"expected terms from 0 to 0\.5, got 1 in row"),
        ({"method": "sequence", "n_users": 70}, "expected one round a user, got 500 rounds of 69 users: use the boot"),
    ],
)
def test_a_method_that_a_log_or_an_estimator_is_not_for(options: dict[str, Any], message: str) -> None:
    rounds, target, _ = made_up(500, 5, n_users=options.pop("n_users", None))
    with pytest.raises(ValueError, match=message):
        evaluate_policy(rounds, target, **options)


def test_bernstein_needs_to_know_which_weights_could_have_been() -> None:
    rounds, target, _ = made_up(500, 5)
    few = dataclasses.replace(rounds, probabilities=None)
    with pytest.raises(ValueError, match=r"expected a log with the probability of every action"):
        evaluate_policy(few, target, method="bernstein", reward_range=(0.0, 1.0))


def test_words() -> None:
    n = 4_000
    rng = np.random.default_rng(0)
    actions = rng.integers(0, 2, n)
    rewards = (rng.random(n) < 0.2 + 0.2 * actions).astype(float)
    rounds = LoggedRounds(actions, rewards, ("none", "push"), propensities=np.full(n, 0.5))
    told = evaluate_policy(rounds, always(rounds, "push"), name="push", estimators=("snips",)).in_words()
    assert "better than the policy that made the log, by +0." in told
    told = evaluate_policy(rounds, always(rounds, "none"), name="none", estimators=("snips",)).in_words()
    assert "worse than the policy that made the log, by -0." in told
    told = evaluate_policy(rounds, uniform(rounds), name="coin", estimators=("snips",)).in_words()
    assert "the log cannot tell it from the policy that made it" in told


@pytest.mark.parametrize("model", MODELS)
def test_a_cross_fitted_model_has_not_seen_whom_it_predicts(model: str) -> None:
    """Rewards are the users' own noise: a model that had seen a user would know it, one that has not cannot."""
    rng = np.random.default_rng(3)
    users = np.repeat(np.arange(300), 4)
    own = np.repeat(rng.normal(size=300), 4)
    rounds = LoggedRounds(
        rng.integers(0, 2, 1_200), own, ("a", "b"), propensities=np.full(1_200, 0.5),
        context=np.repeat(rng.normal(size=(300, 5)), 4, axis=0), features=tuple("vwxyz"), users=users,
    )  # fmt: skip
    predicted = cross_fitted(rounds, model)[np.arange(1_200), rounds.actions]
    assert abs(np.corrcoef(predicted, own)[0, 1]) < 0.2


@pytest.mark.parametrize("model", MODELS)
def test_a_model_learns_what_there_is(model: str) -> None:
    rng = np.random.default_rng(4)
    x, actions = rng.normal(size=(4_000, 2)), rng.integers(0, 3, 4_000)
    truth = 0.5 * x[:, :1] + np.asarray([0.0, 1.0, -1.0])
    rewards = truth[np.arange(4_000), actions] + rng.normal(0.0, 0.1, 4_000)
    rounds = LoggedRounds(
        actions, rewards, ("a", "b", "c"), propensities=np.full(4_000, 1 / 3), context=x, features=("x", "y")
    )
    assert np.sqrt(np.mean((cross_fitted(rounds, model) - truth) ** 2)) < 0.12


def test_mrdr_has_the_smaller_error_where_the_model_must_be_wrong() -> None:
    """The model is a constant an action; MRDR fits it where the doubly robust estimate needs it."""
    errors: dict[str, list[float]] = {"plain": [], "mrdr": []}
    for seed in range(60):
        rng = np.random.default_rng(seed)
        x = rng.integers(0, 2, 600)
        p = np.where(x == 1, 0.1, 0.9)
        actions = (rng.random(600) < p).astype(np.int64)
        rewards = np.where(x == 1, 2.0, 0.0) + rng.normal(0.0, 0.1, 600)
        rounds = LoggedRounds(actions, rewards, ("none", "push"), propensities=np.where(actions == 1, p, 1 - p))
        target = always(rounds, "push")
        for fit, found in errors.items():
            rewards_of = cross_fitted(rounds, "additive", target=target, fit=fit)  # type: ignore[arg-type]
            found.append(dr(weigh(rounds, target, rewards_of)).value - 1.0)
    assert np.mean(np.square(errors["mrdr"])) < 0.8 * np.mean(np.square(errors["plain"]))


def test_a_dial_takes_the_smaller_error() -> None:
    """Where weights are tame nothing is clipped for long; its estimated error is never above the plain one's."""
    rounds, target, rewards_of = made_up(2_000, 5)
    weighed = weigh(rounds, target, rewards_of)
    for name, row in ESTIMATORS.items():
        if row.has_dial:
            terms, dial = estimated(name, weighed)
            plain = row.of(weighed, math.inf)
            assert dial is not None
            assert terms.standard_error() ** 2 + (terms.value - plain.value) ** 2 <= plain.standard_error() ** 2 + 1e-15


def test_folds_keep_users_together() -> None:
    users = np.asarray([0, 1, 2, 3, 4, 5] * 3)
    found = folds(18, users, 3, 1)
    assert all(len(set(found[users == user])) == 1 for user in range(6))
    assert np.bincount(found).tolist() == [6, 6, 6]
    with pytest.raises(ValueError, match="n_folds: expected at most as many as there are users, 6, got 7"):
        folds(18, users, 7, 1)
    with pytest.raises(ValueError, match="n_folds: expected at least 2, got 1"):
        folds(18, users, 1, 1)


def test_estimated_propensities() -> None:
    """Close to the true ones where the model can be right; told at the top; and the estimate is near the truth."""
    rng = np.random.default_rng(7)
    x = rng.normal(size=(20_000, 2))
    p = 1 / (1 + np.exp(-x[:, 0]))
    actions = (rng.random(20_000) < p).astype(np.int64)
    rewards = x[:, 0] + actions * 1.0 + rng.normal(size=20_000)
    rounds = LoggedRounds(actions, rewards, ("none", "push"), context=x, features=("x", "y"))
    found = with_propensities(rounds)
    assert found.warnings == (WARNING,)
    assert found.rounds.probabilities is not None
    assert np.abs(found.rounds.probabilities[:, 1] - p).max() < 0.05
    value = ips(weigh(found.rounds, always(rounds, "push")))
    assert abs(value.value - 1.0) < 4 * value.standard_error()
    assert naive_error(rounds) > 0.3
    with pytest.raises(ValueError, match="expected a log without propensities"):
        with_propensities(found.rounds)
    with pytest.raises(ValueError, match="expected features that the action may have depended on, got none"):
        with_propensities(LoggedRounds(actions, rewards, ("none", "push")))
    three = LoggedRounds(actions, rewards, ("none", "push", "mail"), context=x, features=("x", "y"))
    with pytest.raises(ValueError, match="expected every action to have been taken, but 'mail' never was"):
        with_propensities(three)


def naive_error(rounds: LoggedRounds) -> float:
    return abs(float(rounds.rewards[rounds.actions == 1].mean()) - 1.0)


MAPPING = """
kind: log-mapping
name: a shop
action: {column: action, names: [none, push]}
reward: reward
propensity: p
features: [x]
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    push = rng.random(3_000) < 0.3
    pl.DataFrame(
        {
            "action": np.where(push, "push", "none"),
            "reward": (rng.random(3_000) < np.where(push, 0.4, 0.2)).astype(float),
            "p": np.where(push, 0.3, 0.7),
            "x": rng.normal(size=3_000),
        }
    ).write_csv("shop.csv")
    Path("shop.yaml").write_text(MAPPING, encoding="utf-8")
    return tmp_path


def run(*arguments: str) -> Any:
    return CliRunner().invoke(main, ["evaluate", *arguments], catch_exceptions=False)


def test_the_command(shop: Path) -> None:
    done = run("shop.csv", "--mapping", "shop.yaml", "--policy", "always:push", "--policy", "uniform", "--out", "found")
    assert done.exit_code == 0, done.output
    assert "better than the policy that made the log" in " ".join(done.output.split())
    page = (shop / "found" / "evaluation.html").read_text(encoding="utf-8")
    assert page.count("<h2>") == 3
    assert "data:image/png;base64," in page
    assert "http" not in page  # all of it is inside
    assert "kairos evaluate shop.csv --policy always:push --policy uniform --mapping shop.yaml" in page
    told = json.loads((shop / "found" / "evaluation.json").read_text(encoding="utf-8"))["evaluations"]
    assert [each["policy"] for each in told] == ["always:push", "uniform"]
    table = pl.read_csv("shop.csv").filter(pl.col("action") == "push")
    assert told[0]["estimates"]["snips"]["value"] == pytest.approx(table["reward"].mean())


def test_the_command_refuses_with_its_own_exit_code(shop: Path) -> None:
    done = run(
        "shop.csv",
        "--mapping",
        "shop.yaml",
        "--policy",
        "always:push",
        "--set",
        "action.names=[none,push,sms]",
        "--json",
    )
    assert done.exit_code == 0
    done = run("shop.csv", "--mapping", "shop.yaml", "--policy", "always:sms", "--set", "action.names=[none,push,sms]")
    assert done.exit_code == 2
    assert "Support is missing: the policy puts 100.0 % of its probability" in " ".join(done.output.split())


def test_the_report_card_says_whom_to_believe(shop: Path) -> None:
    asked = (
        "shop.csv",
        "--mapping",
        "shop.yaml",
        "--policy",
        "always:push",
        "--policy",
        "always:none",
        "--out",
        "found",
    )
    done = run(*asked, "--report-card", "10", "--estimator", "dr", "--estimator", "snips")
    assert done.exit_code == 0, done.output
    told = json.loads((shop / "found" / "evaluation.json").read_text(encoding="utf-8"))["report_card"]
    assert told["n_logs"] == 10
    assert len(told["marks"]) == 4
    assert all(choice["worse_than_logging"] == 0.0 for choice in told["choices"])
    assert told["to_believe"] in ("dr", "snips")
    assert "is the one to believe" in " ".join(done.output.split())
    assert "<h2>Report card</h2>" in (shop / "found" / "evaluation.html").read_text(encoding="utf-8")


def test_rows_left_out_and_agents_that_learn_are_told(shop: Path) -> None:
    """And intervals for every number of rounds, from a constant probability in the mapping."""
    settings = ("where={x: 1}", "probabilities={none: 0.7, push: 0.3}", "features=[]")
    pl.read_csv("shop.csv").with_columns(x=(pl.col("x") > 0).cast(pl.Int64)).write_csv("shop.csv")
    n = int(pl.read_csv("shop.csv")["x"].sum())
    options = [part for setting in settings for part in ("--set", setting)]
    done = run(
        "shop.csv", "--mapping", "shop.yaml", "--policy", "always:push", "--out", "found", "--replay", "linucb",
        "--method", "bernstein", "--reward-range", "0", "1", *options,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    words = " ".join(done.output.split())
    assert f"Warning: {3_000 - n:,} of 3,000 rows are left out: decisions are those where x is 1." in words
    assert "linucb, learning as it goes: " in words
    told = json.loads((shop / "found" / "evaluation.json").read_text(encoding="utf-8"))
    assert told["replays"][0]["n_rounds"] == n
    assert list(told["evaluations"][0]["estimates"]) == ["ips"]
    assert told["evaluations"][0]["estimates"]["ips"]["method"] == "empirical Bernstein"
    assert "linucb, learning as it goes: " in (shop / "found" / "evaluation.html").read_text(encoding="utf-8")
    done = run("shop.csv", "--mapping", "shop.yaml", "--policy", "uniform", "--replay", "linucp")
    assert "got 'linucp'. Did you mean 'linucb'?" in done.output


def test_estimated_propensities_are_shown_as_they_came_true(shop: Path) -> None:
    done = run(
        "shop.csv", "--mapping", "shop.yaml", "--policy", "always:push", "--set", "propensity=", "--out", "found"
    )
    assert done.exit_code == 0, done.output
    words = " ".join(done.output.split())
    assert "Estimated propensities of 'push': No miscalibration beyond luck in 3,000 rows" in words
    assert WARNING in words
    told = json.loads((shop / "found" / "evaluation.json").read_text(encoding="utf-8"))
    assert told["propensities"]["push"]["mean_score"] == pytest.approx(0.3, abs=0.03)
    page = (shop / "found" / "evaluation.html").read_text(encoding="utf-8")
    assert "<h2>Estimated propensities</h2>" in page
    assert "push: estimated" in page


def test_a_ledger_needs_no_mapping_and_takes_policy_documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The document that made the log is worth what the log says, to the last digit, and gains nothing."""
    monkeypatch.chdir(tmp_path)
    log = recorded(tmp_path / "ledger", environment(120))
    Path("uniform.json").write_text(uniform_policy(log.env.n_slots).text, encoding="utf-8")
    done = run("ledger", "--policy", "uniform.json", "--estimator", "ips", "--estimator", "snips", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)["evaluations"][0]
    has_choice = log.decisions.eligible[:, 1:].any(axis=1) & np.isfinite(log.decisions.reward)
    assert told["logged"]["value"] == pytest.approx(log.decisions.reward[has_choice].mean(), rel=1e-12)
    for estimate in told["estimates"].values():
        assert estimate["value"] == pytest.approx(told["logged"]["value"], rel=1e-9)
        assert abs(estimate["gain"]["value"]) < 1e-9
    assert told["diagnosis"]["users"] == len(np.unique(log.decisions.user_id[has_choice]))
    done = run("ledger", "--mapping", "hillstrom", "--policy", "uniform")
    assert "--mapping: a ledger says itself what its columns are" in " ".join(done.output.split())


def test_a_table_of_probabilities_is_a_policy(shop: Path) -> None:
    pl.DataFrame({"none": np.full(3_000, 0.25), "push": np.full(3_000, 0.75)}).write_csv("new.csv")
    done = run("shop.csv", "--mapping", "shop.yaml", "--policy", "new.csv", "--estimator", "ips", "--json")
    told = json.loads(done.stdout)["evaluations"][0]
    assert told["diagnosis"]["largest_weight"] == pytest.approx(2.5)
    pl.DataFrame({"none": [1.0], "pusch": [0.0]}).write_csv("bad.csv")
    done = run("shop.csv", "--mapping", "shop.yaml", "--policy", "bad.csv")
    assert done.exit_code == 1
    assert "bad.csv: no column 'push', of the action's probability. Did you mean 'pusch'?" in done.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("shop.csv", "--policy", "uniform"), "--mapping: expected one, since shop.csv is no ledger"),
        (("shop.csv", "--mapping", "shop.yaml", "--policy", "unifrom"), "policy 'unifrom': expected uniform, logging"),
        (("shop.csv", "--mapping", "shop.yaml", "--policy", "always:pusch"), "Did you mean 'push'?"),
        (("nowhere.csv", "--mapping", "shop.yaml", "--policy", "uniform"), "nowhere.csv: no such file"),
        (
            ("shop.csv", "--mapping", "shop.yaml", "--policy", "uniform", "--estimator", "snibs"),
            "Did you mean 'snips'?",
        ),
        (
            ("shop.csv", "--mapping", "shop.yaml", "--policy", "uniform", "--model", "forest"),
            "expected one of additive,",
        ),
        (
            ("shop.csv", "--mapping", "shop.yaml", "--policy", "uniform", "--method", "exact"),
            "expected one of asymptotic, bootstrap, bernstein",
        ),
        (("shop.csv", "--mapping", "shop.yaml", "--policy", "uniform", "--set", "reward=spend"), "no column 'spend'"),
        (("shop.csv", "--mapping", "hilstrom", "--policy", "uniform"), "Did you mean 'hillstrom'?"),
    ],
)
def test_the_command_says_what_it_expected(shop: Path, arguments: tuple[str, ...], message: str) -> None:
    done = run(*arguments)
    assert done.exit_code in (1, 2)
    assert message in " ".join((done.output + done.stderr).split())
    assert sorted(path.name for path in shop.iterdir()) == ["shop.csv", "shop.yaml"]  # nothing is written
