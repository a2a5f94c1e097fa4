"""Real logs whose truth is known: by randomisation, or because others published what they found."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from experiments.offline.diagnostics import diagnose
from experiments.offline.estimators.importance import ips, snips
from experiments.offline.estimators.model_based import dm, dr
from experiments.offline.excursion import excursion_effect
from experiments.offline.intervals import asymptotic
from experiments.offline.logs.logged import LoggedRounds
from experiments.offline.logs.mapping import load_mapping
from experiments.offline.logs.open_bandit import by_place
from experiments.offline.logs.tables import left_out, read_log
from experiments.offline.models.reward_models import cross_fitted
from experiments.offline.naive import naive
from experiments.offline.targets import always, chosen, uniform
from experiments.offline.weighed import weigh

LOGS = Path(__file__).parents[3] / "configs" / "logs"
NONE, MENS, WOMENS = range(3)
# The sample is laid out otherwise than what was published: lists are written in one word, and template I is not there.
DUOLINGO_SAMPLE: dict[str, Any] = {
    "action": {"column": "selected", "names": [*"ABCDEFGHJKL"]},
    "eligible": {"kind": "list", "column": "eligible", "separator": ""},
    "reward": "reward",
    "propensity": "propensity",
}
HEARTSTEPS_SAMPLE: dict[str, Any] = {
    "action": {"column": "send", "names": ["0", "1"]},
    "reward": "steps30_post",
    "user": "user",
    "time": "decision_time_utc",
    "features": ["steps30_pre", "study_day"],
    "where": {"avail": 1},
}


@pytest.fixture(scope="module")
def truth(real_logs: Path) -> Any:
    return json.loads((real_logs / "ground_truth_dev.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def biased(real_logs: Path) -> LoggedRounds:
    columns = {"Mens E-Mail": "p_mens", "Womens E-Mail": "p_womens", "No E-Mail": "p_none"}
    mapping = load_mapping(LOGS / "hillstrom.yaml", {"propensity": "propensity", "probabilities": columns})
    return read_log(real_logs / "hillstrom_biased_log.csv.gz", mapping)


def hillstrom_policies(rounds: LoggedRounds) -> dict[str, Any]:
    assert rounds.context is not None
    known = dict(zip(rounds.features, rounds.context.T, strict=True))
    recency, everyone = known["recency"], np.zeros(len(rounds), np.int64)
    return {
        "always_mens": everyone + MENS,
        "always_womens": everyone + WOMENS,
        "none": everyone + NONE,
        "recent6_mens_else_none": np.where(recency <= 6, MENS, NONE),
        "lapsed7plus_mens_else_none": np.where(recency >= 7, MENS, NONE),
        "recent6_mens_else_womens": np.where(recency <= 6, MENS, WOMENS),
        "past_category": np.where(known["mens"] == 1, MENS, WOMENS),
        "newbie_none_else_mens": np.where(known["newbie"] == 1, NONE, MENS),
    }


def test_hillstrom_estimates_cover_the_trial(biased: LoggedRounds, truth: Any) -> None:
    """At least seven of eight policies, by SNIPS and by DR; the naive means are told to be confounded."""
    rewards_of = cross_fitted(biased, "by_action")
    covered = {"snips": 0, "dr": 0}
    policies = hillstrom_policies(biased)
    assert policies.keys() == truth["hillstrom"]["dev"]["policies"].keys()
    for name, actions in policies.items():
        weighed = weigh(biased, chosen(biased, actions), rewards_of)
        value = truth["hillstrom"]["dev"]["policies"][name]["visit"]["snips"]["est"]
        for estimator in (snips, dr):
            interval = asymptotic(estimator(weighed))
            covered[estimator.__name__] += interval.low <= value <= interval.high
        told = truth["hillstrom"]["biased_log"][name]["visit"]
        assert math.isclose(snips(weighed).value, told["snips"]["est"], abs_tol=1e-6)
        assert math.isclose(ips(weighed).value, told["ips"]["mean"], abs_tol=1e-6)
        assert math.isclose(naive(weighed).value, told["naive_arm_mean"], abs_tol=1e-6)
        assert naive(weighed).is_confounded, name
        assert not diagnose(weighed).is_refused
    assert min(covered.values()) >= 7


def test_hillstroms_trial_is_not_confounded(real_logs: Path, truth: Any) -> None:
    """The same check finds nothing where the e-mail was drawn at random, and the naive mean is the trial's."""
    mapping = load_mapping(LOGS / "hillstrom.yaml")
    rounds = read_log(real_logs / "hillstrom.csv.gz", mapping)
    for name, actions in hillstrom_policies(rounds).items():
        found = naive(weigh(rounds, chosen(rounds, actions)))
        if name.startswith("always"):
            assert not found.is_confounded
            told = truth["hillstrom"]["dev"]["policies"][name]["visit"]["matched_mean"]
            assert math.isclose(found.value, told["mean"], abs_tol=1e-6)


def open_bandit(folder: Path, policy: str, campaign: str) -> tuple[LoggedRounds, Any]:
    items = [str(item) for item in range({"all": 80, "women": 46}[campaign])]
    mapping = load_mapping(LOGS / "open-bandit.yaml", {"action": {"column": "item_id", "names": items}})
    rounds = read_log(folder / f"obd_{policy}_{campaign}.csv.gz", mapping)
    return rounds, by_place(rounds, pl.read_csv(folder / f"obd_bts_action_dist_{campaign}.csv.gz"))


def test_open_bandit_random_to_thompson(real_logs: Path) -> None:
    """All items: the published IPW and SNIPS; DM and DR with a model of our own inside the published interval."""
    rounds, target = open_bandit(real_logs, "random", "all")
    weighed = weigh(rounds, target, cross_fitted(rounds, "additive"))
    assert abs(ips(weighed).value - 0.004553) < 2e-6
    assert abs(snips(weighed).value - 0.004776) < 2e-6
    found = {"DM": (dm(weighed).value, 0.003545), "DR": (dr(weighed).value, 0.004727)}
    for name, (ours, published) in found.items():
        assert 0.0017 <= ours <= 0.0094, f"{name}: {ours:.6f} with our reward model, {published:.6f} as published"
    diagnosis = diagnose(weighed)
    assert round(diagnosis.effective) == 1640
    assert not diagnosis.is_refused


def test_open_bandit_women(real_logs: Path) -> None:
    rounds, target = open_bandit(real_logs, "random", "women")
    assert abs(ips(weigh(rounds, target)).value - 0.006813) < 1e-6


def test_open_bandit_reverse_is_refused(real_logs: Path) -> None:
    """From Thompson's log, women's items, to uniform: one weight of 21,739, an effective sample size of 2."""
    rounds, _ = open_bandit(real_logs, "bts", "women")
    diagnosis = diagnose(weigh(rounds, uniform(rounds)))
    assert round(diagnosis.effective) == 2
    assert round(diagnosis.largest_weight) == 21_739
    assert diagnosis.is_refused
    assert "effective sample size is 2.1 of 10,000 rounds" in diagnosis.refusals[0]
    assert "largest weight is 21,739" in diagnosis.refusals[0]


def test_duolingo_eligibility_undoes_simpsons_trap(real_logs: Path, truth: Any) -> None:
    """By raw means template A is far above those that everyone is eligible for; where it could be sent it is not."""
    mapping = load_mapping(LOGS / "duolingo.yaml", DUOLINGO_SAMPLE)
    rounds = read_log(real_logs / "duolingo_notifications.csv.gz", mapping)
    assert ips(weigh(rounds, uniform(rounds))).value == pytest.approx(rounds.rewards.mean(), abs=1e-12)
    mostly = [name for k, name in enumerate(rounds.action_names) if rounds.eligibility[:, k].mean() > 0.5]
    raw = {
        name: rounds.rewards[rounds.actions == rounds.action_names.index(name)].mean() for name in rounds.action_names
    }
    for name, told in truth["duolingo"]["dev"]["raw"].items():
        assert math.isclose(raw[name], told["rate"], abs_tol=1e-6)
    assert raw["A"] > 1.5 * max(raw[name] for name in mostly if name != "A")
    value = {name: snips(weigh(rounds, always(rounds, name))).value for name in rounds.action_names}
    assert max(value, key=value.__getitem__) != "A"
    can = rounds.take(rounds.eligibility[:, rounds.action_names.index("A")])
    difference = snips(weigh(can, always(can, "A"))).value - ips(weigh(can, uniform(can))).value
    assert abs(difference) < 0.05


def test_heartsteps_effect_fades(real_logs: Path, truth: Any) -> None:
    """Log of steps in the half hour after a suggestion; on the published scale .42 at first, less .0185 a day."""
    source = real_logs / "heartsteps_v1_mrt.csv.gz"
    mapping = load_mapping(LOGS / "heartsteps.yaml", HEARTSTEPS_SAMPLE | {"probabilities": {"0": 0.4, "1": 0.6}})
    rounds = read_log(source, mapping)
    table = pl.read_csv(source)
    assert left_out(source, mapping)[0].startswith(f"{len(table) - len(rounds):,} of {len(table):,} rows are left out")
    assert rounds.probabilities is not None
    assert rounds.users is not None
    np.testing.assert_array_equal(rounds.probabilities[:, 1], table.filter(pl.col("avail") == 1)["p_send"])
    before, day = np.asarray(rounds.context).T
    log_after, log_before = np.log(rounds.rewards + 0.5), np.log(before + 0.5)
    found = excursion_effect(
        log_after, rounds.actions.astype(np.float64), rounds.probabilities[:, 1],
        {"logpre": log_before, "day": day}, {"day": day}, rounds.users,
    )  # fmt: skip
    told = truth["heartsteps"]["dev"]["lin"]
    assert math.isclose(found.effect["level"].mean, told["A"]["est"], abs_tol=1e-5)
    assert math.isclose(found.effect["day"].mean, told["A:day"]["est"], abs_tol=1e-5)
    assert math.isclose(found.effect["level"].standard_error, told["A"]["se"], rel_tol=1e-4)
    assert math.isclose(found.p_value("level"), told["A"]["p"], rel_tol=1e-3)
