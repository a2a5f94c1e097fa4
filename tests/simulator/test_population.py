"""Who the users are: every trait follows its distribution; shards and inertness. False alarms 1e-6 each."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special, stats

from experiments.config import load_scenario
from simulator.compiled import threads, use_threads
from simulator.fleet import Fleet
from simulator.law import build_world
from simulator.population import population
from simulator.records import LONG_AGO, N_BINS, N_CATEGORIES, NEVER, Event, Metric, Records
from simulator.senders import Sender
from simulator.settlement import NO_WISH
from tests.simulator.bare import FALSE_ALARM, SILENCE, bare, events, fits, follows, mean_agrees, share_agrees

USERS = 50_000
OF_DEVICES = ("push_attention", "email_attention", "sensitivity")  # traits that more devices raise
CATCHES = 0.018  # the distance from a distribution that USERS can show


def people(**changes: object) -> Records:
    scenario = load_scenario("ecommerce", {"population.n_users": USERS} | changes)
    return population(scenario, build_world(scenario))


@pytest.fixture(scope="module")
def mature() -> Records:
    return people(**{"population.mature_share": 1.0})


@pytest.fixture(scope="module")
def arriving() -> Records:
    return people(**{"population.mature_share": 0.0})


def gamma(shape: float, mean: float):
    return lambda x: stats.gamma.cdf(x, shape, scale=mean / shape)


def test_rates_are_gamma(mature):
    alone = mature["n_devices"] == 1
    follows(mature["session_rate"].astype(float) * 24, gamma(0.4, 0.22), CATCHES)
    follows(mature["push_attention"][alone].astype(float), gamma(1.2, 2.0), 0.022)
    follows(mature["email_attention"][alone].astype(float), gamma(1.2, 0.25), 0.022)
    follows(mature["sensitivity"][alone].astype(float), gamma(1 / 0.49, 1.0), 0.022)
    mean_agrees(mature["session_rate"].astype(float) * 24, 0.22, catches=0.06)
    assert (mature["session_rate"] > 0).all()


def test_more_devices_notice_sooner_and_irritate_more(mature):
    for devices in (1, 2, 3):
        those = mature["n_devices"] == devices
        attentive, more = 1 + 0.4 * (devices - 1), 1 + 0.25 * (devices - 1)
        follows(mature["push_attention"][those] / attentive, gamma(1.2, 2.0), 0.065)
        follows(mature["sensitivity"][those] / more, gamma(1 / 0.49, 1.0), 0.065)
    once = people(**{"population.are_devices_deduplicated": True})
    follows(once["sensitivity"].astype(float), gamma(1 / 0.49, 1.0), CATCHES)


def test_openness_and_affinities_are_normal(mature):
    shift = np.where(mature["os"] == 0, 0.35, -0.35)
    follows((mature["open_bias"] - shift) / 0.9, stats.norm.cdf, CATCHES)
    for channel in (0, 1):
        follows(mature["affinity"][:, channel] / 0.4, stats.norm.cdf, CATCHES)


def test_interests_are_dirichlet(mature):
    popularity = np.arange(1, N_CATEGORIES + 1) ** -0.9
    popularity *= 2.0 / popularity.sum()
    log_shares = mature["log_interest"].astype(float)
    log_shares -= special.logsumexp(log_shares, axis=1, keepdims=True)
    for k in range(N_CATEGORIES):
        theory = stats.beta(popularity[k], 2.0 - popularity[k])
        follows(np.exp(log_shares[:, k]), theory.cdf, CATCHES)
        mean_agrees(np.exp(log_shares[:, k]), popularity[k] / 2, catches=0.12)


def test_the_copula_has_its_correlations_and_no_others(mature):
    """Traits as normal scores; a correlation off by .03 is caught."""
    tables = {
        "sessions": stats.gamma(0.4, scale=0.22 / 0.4 / 24).cdf(mature["session_rate"].astype(float)),
        "churn": stats.gamma(0.8).cdf(mature["churn_rate"] * (50 * 24 - mature["installed_hours"])),
        "openness": stats.norm.cdf((mature["open_bias"] - np.where(mature["os"] == 0, 0.35, -0.35)) / 0.9),
        "sensitivity": stats.gamma(1 / 0.49, scale=0.49).cdf(
            mature["sensitivity"] / (1 + 0.25 * (mature["n_devices"].astype(float) - 1))
        ),
        "attention": stats.gamma(1.2, scale=2 / 1.2).cdf(
            mature["push_attention"] / (1 + 0.4 * (mature["n_devices"].astype(float) - 1))
        ),
        "affinity": stats.norm.cdf(mature["affinity"][:, 0] / 0.4),
    }
    names = list(tables)
    scores = special.ndtri(np.clip(np.array([tables[name] for name in names]), 1e-12, 1 - 1e-12))
    found = np.corrcoef(scores)
    expected = np.eye(len(names))
    for one, other, value in (
        ("sessions", "churn", -0.4),
        ("sessions", "openness", 0.3),
        ("openness", "sensitivity", -0.3),
        # These follow from the three: openness and churn meet in sessions, and so on along the chain.
        ("churn", "openness", -0.4 * 0.3),
        ("sessions", "sensitivity", 0.3 * -0.3),
        ("churn", "sensitivity", -0.4 * 0.3 * -0.3),
    ):
        pair = names.index(one), names.index(other)
        expected[pair] = expected[pair[::-1]] = value
    pairs = np.triu_indices(len(names), 1)
    # Fisher's z has a standard error of 1/sqrt(n - 3) at any correlation.
    miss = np.abs(np.arctanh(found[pairs]) - np.arctanh(expected[pairs])) * np.sqrt(USERS - 3)
    assert miss.max() < stats.norm.isf(FALSE_ALARM / 2 / len(miss)), miss


def test_shares_are_those_of_the_scenario(mature):
    for field, shares in (
        ("segment", [0.35, 0.20, 0.15, 0.10, 0.10, 0.10]),
        ("tier", [0.6, 0.3, 0.1]),
        ("zone", [0.30, 0.45, 0.15, 0.10]),
        ("os", [0.6, 0.4]),
    ):
        fits(np.bincount(mature[field], minlength=len(shares)), np.array(shares) * USERS)
    fits(np.bincount(mature["n_devices"])[1:], np.array([0.7, 0.22, 0.08]) * USERS)
    share_agrees(int(mature["has_consent"].sum()), USERS, 0.8, catches=0.02)
    for os, share in ((0, 0.67), (1, 0.56)):
        those = mature[mature["os"] == os]
        share_agrees(int((those["opted_in"] & 1).sum()), len(those), share, catches=0.06)
    share_agrees(int((mature["opted_in"] >> 1).sum()), USERS, 0.7, catches=0.03)
    assert (mature["opted_in"] == mature["seen_opted_in"]).all()


def test_chronotypes_are_a_normal_cut_into_half_hours(mature):
    bins = mature["table_row"] % N_BINS
    assert (mature["table_row"] // N_BINS == mature["segment"]).all()
    edges = np.concatenate([[-np.inf], (np.arange(N_BINS - 1) - (N_BINS - 2) / 2) * 0.5, [np.inf]])
    fits(np.bincount(bins, minlength=N_BINS), np.diff(stats.norm.cdf(edges / 1.5)) * USERS)


def test_clocks_are_fresh_exponential_thresholds(arriving):
    follows(arriving["clock_session"], lambda x: -np.expm1(-x), CATCHES)
    follows(arriving["clock_churn"], lambda x: -np.expm1(-x), CATCHES)
    for bit, name in ((1, "clock_push"), (2, "clock_email")):
        is_open = (arriving["opted_in"] & bit) > 0
        follows(arriving[name][is_open], lambda x: -np.expm1(-x), 0.024)
        assert (arriving[name][~is_open] == NEVER).all()
    follows(arriving["next_drift_hours"] - arriving["installed_hours"], lambda x: -np.expm1(-x / 1440), CATCHES)


def test_new_users_install_evenly_and_a_share_are_tourists(arriving):
    hours = arriving["installed_hours"]
    follows(hours / (182 * 24), lambda x: np.clip(x, 0, 1), CATCHES)
    assert (arriving["now_hours"] == hours).all()
    assert (arriving["last_session_hours"] == hours).all()
    is_tourist = np.isclose(arriving["churn_rate"], 1 / 12, rtol=1e-6)
    share_agrees(int(is_tourist.sum()), USERS, 0.25, catches=0.06)
    follows(arriving["churn_rate"][~is_tourist] * 24 * 50, lambda x: stats.gamma.cdf(x, 0.8), 0.022)
    week = people(**{"population.mature_share": 0.0, "population.arrival_days": 7.0})
    follows(week["installed_hours"] / 168, lambda x: np.clip(x, 0, 1), CATCHES)


def test_mature_and_new_users_have_their_shares():
    made = people(**{"population.mature_share": 0.8})
    share_agrees(int((made["is_arrival"] == 0).sum()), USERS, 0.8, catches=0.02)
    assert (made["installed_hours"][made["is_arrival"] == 0] < 0).all()
    assert (made["installed_hours"][made["is_arrival"] == 1] >= 0).all()
    for name in ("browse_hour", "cart_hour", "order_hour"):
        assert (made[name] == LONG_AGO).all()


def test_a_shard_is_a_slice_of_the_whole():
    scenario = load_scenario("games", {"population.n_users": 3_001})
    world = build_world(scenario)
    whole = population(scenario, world)
    parts = [population(scenario, world, first, count) for first, count in ((0, 1), (1, 999), (1000, 2001))]
    assert np.concatenate(parts).tobytes() == whole.tobytes()
    assert population(scenario, world, 2990).tobytes() == whole[2990:].tobytes()
    before = threads()
    try:
        use_threads(1)
        assert population(scenario, world).tobytes() == whole.tobytes()
    finally:
        use_threads(before)
    more = scenario.model_copy(update={"population": scenario.population.model_copy(update={"n_users": 5_000})})
    assert population(more, world)[:3_001].tobytes() == whole.tobytes()
    assert (whole["user_id"] == np.arange(3_001)).all()


def test_a_population_refuses_users_that_it_does_not_have():
    scenario = bare(10, 1)
    with pytest.raises(ValueError, match="users 5 to 11 are not within the population of 10"):
        population(scenario, build_world(scenario), 5, 6)


def test_one_trait_switched_off_changes_no_other():
    """Keyed luck: without drift, with other devices or other tiers, every other field keeps its bits."""
    base = people(**{"population.mature_share": 0.5})
    for change, touched in (
        ({"population.interest_drift_days": None}, {"next_drift_hours", "next_scheduled_hours"}),
        (
            {"population.device_shares": [1.0, 0.0, 0.0]},
            {"n_devices", "push_attention", "email_attention", "sensitivity"},
        ),
        ({"population.consent_share": 0.1}, {"has_consent"}),
        ({"population.churn_shape": 2.0}, {"churn_rate"}),
    ):
        other = people(**({"population.mature_share": 0.5} | change))
        differing = {name for name in base.dtype.fields or () if base[name].tobytes() != other[name].tobytes()}
        assert differing == touched, change


def test_nothing_happens_to_a_user_before_the_install():
    users, days = 600, 6
    settings = {"mature_share": 0.0, "sessions_per_day": 3.0, "churn_scale_days": 5.0, "interest_drift_days": 2.0}
    scenario = bare(users, days, population=settings)
    fleet = Fleet(scenario, journal_rows=users * 800)
    installed = fleet.users["installed_hours"].copy()
    start = fleet.users.copy()
    fleet.run(Sender(kind="hours", hours=tuple(range(24))), 3)
    is_inert = installed >= 72.0
    assert is_inert.sum() > users / 3
    assert fleet.users[is_inert].tobytes() == start[is_inert].tobytes()
    assert not fleet.tally["counts"][is_inert].any()
    fleet.run(Sender(kind="hours", hours=tuple(range(24))))
    journal = events(fleet, *Event)
    assert (journal["time_hours"] >= installed[journal["user_id"]]).all()
    assert {Event.SESSION, Event.SEND, Event.CHURN} <= set(journal["kind"])
    # The first send of a user comes at the first whole hour after the install.
    sends = journal[journal["kind"] == Event.SEND]
    who, first = np.unique(sends["user_id"], return_index=True)
    assert (sends["hour"][first] == np.ceil(installed[who])).all()
    assert fleet.tally["counts"][:, Metric.SENDS].sum() == len(sends)


def test_hour_by_hour_no_wish_is_made_for_who_has_not_installed():
    fleet = Fleet(bare(500, 2, population={"mature_share": 0.0}))
    always = Sender(kind="hours", hours=tuple(range(24))).record()
    wishes = fleet.wishes(always)
    for hour in range(48):
        is_there = (fleet.users["installed_hours"] <= hour) & (fleet.users["status"] == 0)
        assert ((wishes != NO_WISH) == is_there).all()
        wishes = fleet.step(wishes, np.zeros(500), always)
    assert SILENCE["kind"][0] == 0
