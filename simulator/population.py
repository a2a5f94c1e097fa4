"""The population: who the users are. Every trait is a function of (seed, user id, trait), by inverse distributions.

A user can therefore be made alone, in any shard and any order, and is always the same. Correlated traits share a
Gaussian copula; Gamma traits come from tables of log-quantiles over normal scores.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from policies.history import DAYS_OF_USE
from simulator import luck
from simulator.behaviour.attention import earliest_scheduled
from simulator.behaviour.interest import quantile
from simulator.compiled import compiled, compiled_parallel, each, threads
from simulator.config import Scenario
from simulator.law import log_gamma_quantiles
from simulator.records import (
    EMAIL,
    HISTORY,
    HOURS_A_WEEK,
    LONG_AGO,
    N_BINS,
    N_CATEGORIES,
    N_PAYMENTS,
    NEVER,
    PUSH,
    TALLY,
    USER,
    Floats,
    Ints,
    Record,
    Records,
    World,
)
from simulator.visible import clear, record_session

LEAST_CV = 1e-3  # below, all users are alike

PEOPLE = np.dtype(
    [
        ("seed", "i8"),
        ("horizon_hours", "f8"),
        ("arrival_hours", "f8"),
        ("mature_share", "f8"),
        ("mature_age_hours", "f8"),
        ("segments", "f8", (8,)),  # cumulative shares, here and below
        ("tiers", "f8", (256,)),
        ("zones", "f8", (32,)),
        ("devices", "f8", (3,)),
        ("chronotype_sd", "f8"),
        ("session_scale", "f8"),  # per hour
        ("churn_scale_hours", "f8"),
        ("tourist_share", "f8"),
        ("tourist_life_hours", "f8"),
        ("push_attention_scale", "f8"),
        ("email_attention_scale", "f8"),
        ("sensitivity_scale", "f8"),
        ("open_bias_sd", "f8"),
        ("affinity_sd", "f8"),
        ("android_share", "f8"),
        ("android_logit", "f8"),
        ("are_devices_deduplicated", "u1"),
        ("consent_share", "f8"),
        ("muted_category_share", "f8"),
        ("opt_in", "f8", (3,)),
        ("sessions_churn", "f8"),
        ("sessions_openness", "f8"),
        ("openness_sensitivity", "f8"),
    ]
)


def population(scenario: Scenario, world: World, first_user: int = 0, n_users: int | None = None) -> Records:
    """Return users `first_user` to `first_user + n_users` of a scenario's population, before anything has happened.

    Args:
        n_users: None: all from `first_user` on.

    Returns:
        Records USER of shape (n_users,).
    """
    total = scenario.population.n_users
    n_users = total - first_user if n_users is None else n_users
    if not (first_user >= 0 and n_users >= 0 and first_user + n_users <= total):
        raise ValueError(f"users {first_user} to {first_user + n_users} are not within the population of {total}")
    try:
        users = np.zeros(n_users, USER)
    except MemoryError:
        size = n_users * (USER.itemsize + HISTORY.itemsize + TALLY.itemsize) / 2**30
        raise MemoryError(
            f"{n_users:,} users need {size:,.0f} GiB at once; run fewer, or in chunks (simulator.fleet.run_in_chunks)"
        ) from None
    bounds = np.linspace(0, n_users, threads() + 1).astype(np.int64)
    _people_blocks(users, first_user, world, people_record(scenario), trait_tables(scenario), bounds)
    return users


def trait_tables(scenario: Scenario) -> npt.NDArray[np.float64]:
    """Return log quantiles of session rate, churn, attention and sensitivity by normal score, shape (4, n)."""
    p = scenario.population
    return np.stack(
        [
            log_gamma_quantiles(p.sessions_shape),
            log_gamma_quantiles(p.churn_shape),
            log_gamma_quantiles(p.attention_shape),
            log_gamma_quantiles(1 / p.sensitivity_cv**2 if p.sensitivity_cv > LEAST_CV else math.inf),
        ]
    )


def first_history(users: Records, world: World) -> Records:
    """Return what the sender can see of new users' past, HISTORY of shape (U,): sessions, nothing sent."""
    history = np.empty(len(users), HISTORY)
    bounds = np.linspace(0, len(users), threads() + 1).astype(np.int64)
    _history_blocks(users, history, world, bounds)
    return history


def blank_tally(users: Records) -> Records:
    """Return empty tallies for users, TALLY of shape (U,)."""
    tally = np.zeros(len(users), TALLY)
    tally["user_id"] = users["user_id"]
    tally["last_day"] = tally["last_week"] = tally["last_age"] = -1
    return tally


def people_record(scenario: Scenario) -> Records:
    """Return what the traits are drawn by, PEOPLE[1]."""
    p, b = scenario.population, scenario.behaviour
    rows = np.zeros(1, PEOPLE)
    row = rows[0]
    row["seed"] = scenario.seed
    row["horizon_hours"] = scenario.calendar.horizon_days * 24
    row["arrival_hours"] = 24 * (scenario.calendar.horizon_days if p.arrival_days is None else p.arrival_days)
    row["mature_share"] = p.mature_share
    row["mature_age_hours"] = p.mature_age_days * 24
    for name, shares in (
        ("segments", [s.share for s in p.segments]),
        ("tiers", [t.share for t in p.tiers]),
        ("zones", [z.share for z in p.time_zones]),
        ("devices", list(p.device_shares)),
    ):
        row[name] = 2.0  # above every uniform number
        row[name][: len(shares) - 1] = np.cumsum(shares)[:-1]
    row["chronotype_sd"] = p.chronotype_sd_hours
    row["session_scale"] = p.sessions_per_day / p.sessions_shape / 24
    row["churn_scale_hours"] = p.churn_scale_days * 24
    row["tourist_share"] = p.tourist_share
    row["tourist_life_hours"] = p.tourist_life_hours
    row["push_attention_scale"] = b.attention.push_per_hour / p.attention_shape
    row["email_attention_scale"] = b.attention.email_per_hour / p.attention_shape
    row["sensitivity_scale"] = p.sensitivity_cv**2 if p.sensitivity_cv > LEAST_CV else 1.0
    row["open_bias_sd"] = p.open_bias_sd
    row["affinity_sd"] = p.channel_affinity_sd
    row["android_share"] = p.android_share
    row["android_logit"] = p.android_logit
    row["are_devices_deduplicated"] = p.are_devices_deduplicated
    row["consent_share"] = p.consent_share
    row["muted_category_share"] = p.muted_category_share
    row["opt_in"] = (p.opt_in.android, p.opt_in.ios, p.opt_in.email)
    row["sessions_churn"] = p.correlations.sessions_churn
    row["sessions_openness"] = p.correlations.sessions_openness
    row["openness_sensitivity"] = p.correlations.openness_sensitivity
    return rows


@compiled_parallel
def _people_blocks(
    users: Records, first_user: int, world: World, people: Records, tables: Floats, bounds: Ints
) -> None:
    for block in each(bounds.shape[0] - 1):
        for i in range(bounds[block], bounds[block + 1]):
            key = luck.user_key(people[0].seed, first_user + i)
            make_user(users[i], first_user + i, key, world, people[0], tables)


@compiled
def draw_share(cumulative: Record, unit: float) -> int:
    """Return the index of the share that a uniform number falls into."""
    k = 0
    while unit >= cumulative[k]:
        k += 1
    return k


@compiled
def make_user(user: Record, user_id: int, key: np.uint64, world: World, people: Record, tables: Floats) -> None:
    """Fill one record: traits, and the state before anything has happened.

    Source of the distributions: modelling choice A mature user's churn rate is the survivor's posterior,
    Gamma(shape, rate scale + age) (Fader & Hardie).
    """
    law = world.law[0]
    zero = np.uint64(0)
    user.user_id = user_id
    user.key = key
    user.segment = draw_share(people.segments, luck.uniform(key, luck.TRAIT_SEGMENT, zero))
    user.tier = draw_share(people.tiers, luck.uniform(key, luck.TRAIT_TIER, zero))
    user.zone = draw_share(people.zones, luck.uniform(key, luck.TRAIT_ZONE, zero))
    user.n_devices = 1 + draw_share(people.devices, luck.uniform(key, luck.TRAIT_DEVICES, zero))
    shift = people.chronotype_sd * luck.normal(key, luck.TRAIT_CHRONOTYPE, zero)
    half = N_BINS // 2
    user.table_row = user.segment * N_BINS + half + min(max(int(round(shift / 0.5)), -half), half)
    user.os = 0 if luck.uniform(key, luck.TRAIT_OS, zero) < people.android_share else 1
    user.has_consent = luck.uniform(key, luck.TRAIT_CONSENT, zero) < people.consent_share
    user.muted_categories = 0
    if people.muted_category_share > 0.0:
        for k in range(N_CATEGORIES):
            if luck.uniform(key, luck.TRAIT_MUTED, np.uint64(k)) < people.muted_category_share:
                user.muted_categories |= 1 << k

    # Correlated traits: sessions drive churn (negatively) and openness; openness tempers sensitivity.
    z_sessions = luck.normal(key, luck.TRAIT_SESSIONS, zero)
    z_churn = mixed(people.sessions_churn, z_sessions, luck.normal(key, luck.TRAIT_CHURN, zero))
    z_open = mixed(people.sessions_openness, z_sessions, luck.normal(key, luck.TRAIT_OPENNESS, zero))
    z_sensitive = mixed(people.openness_sensitivity, z_open, luck.normal(key, luck.TRAIT_SENSITIVITY, zero))
    rate = max(people.session_scale * math.exp(quantile(tables[0], z_sessions)), 1e-12)
    user.session_rate = rate
    user.open_bias = people.open_bias_sd * z_open + (people.android_logit if user.os == 0 else -people.android_logit)
    more = 0.0 if people.are_devices_deduplicated else float(user.n_devices - 1)
    user.sensitivity = people.sensitivity_scale * math.exp(quantile(tables[3], z_sensitive)) * (1.0 + 0.25 * more)
    attentive = 1.0 + 0.4 * (user.n_devices - 1)
    z_push = luck.normal(key, luck.TRAIT_PUSH_ATTENTION, zero)
    z_email = luck.normal(key, luck.TRAIT_EMAIL_ATTENTION, zero)
    user.push_attention = max(people.push_attention_scale * math.exp(quantile(tables[2], z_push)) * attentive, 1e-9)
    user.email_attention = max(people.email_attention_scale * math.exp(quantile(tables[2], z_email)) * attentive, 1e-9)
    user.affinity[PUSH] = people.affinity_sd * luck.normal(key, luck.TRAIT_PUSH_AFFINITY, zero)
    user.affinity[EMAIL] = people.affinity_sd * luck.normal(key, luck.TRAIT_EMAIL_AFFINITY, zero)
    for k in range(N_CATEGORIES):
        user.log_interest[k] = quantile(world.interest[k], luck.normal(key, luck.TRAIT_INTEREST, np.uint64(k)))

    # Lifecycle.
    churn_score = math.exp(quantile(tables[1], z_churn))
    if luck.uniform(key, luck.TRAIT_IS_MATURE, zero) < people.mature_share:
        age = people.mature_age_hours * luck.exponential(key, luck.TRAIT_AGE, zero)
        user.installed_hours = -age
        user.churn_rate = churn_score / (people.churn_scale_hours + age)
        gap = min(luck.exponential(key, luck.TRAIT_LAST_SESSION, zero) / rate, age)
        user.last_session_hours = -gap
        user.satiation = law.satiation * math.exp(-gap / law.satiation_hours)
        user.salience = math.exp(-gap / law.salience_hours)
        # Habit starts where a Hawkes process with the user's rate settles.
        bred = min(law.habit_gain * law.habit_hours * rate, 0.3)
        user.habit = bred / (1.0 - bred)
        user.honeymoon = law.honeymoon_gain * math.exp(-age / law.honeymoon_hours)
        user.now_hours = 0.0
        user.hour_begun = -1
    else:
        user.is_arrival = 1
        install = people.arrival_hours * luck.uniform(key, luck.TRAIT_INSTALL, zero)
        user.installed_hours = install
        is_tourist = luck.uniform(key, luck.TRAIT_TOURIST, zero) < people.tourist_share
        user.churn_rate = 1.0 / people.tourist_life_hours if is_tourist else churn_score / people.churn_scale_hours
        user.last_session_hours = install
        user.satiation = law.satiation
        user.salience = 1.0
        user.honeymoon = law.honeymoon_gain
        user.now_hours = install
        user.hour_begun = int(install)
    user.levels_hours = user.now_hours
    user.census_day = -1

    user.opted_in = 0
    if luck.uniform(key, luck.TRAIT_PUSH_OPT_IN, zero) < people.opt_in[user.os]:
        user.opted_in |= 1
    if luck.uniform(key, luck.TRAIT_EMAIL_OPT_IN, zero) < people.opt_in[2]:
        user.opted_in |= 2
    user.seen_opted_in = user.opted_in

    # Clocks.
    user.clock_session = luck.exponential(key, luck.CLOCK_SESSION, zero)
    user.clock_churn = luck.exponential(key, luck.CLOCK_CHURN, zero)
    user.clock_push = luck.exponential(key, luck.CLOCK_PUSH_OPT_OUT, zero) if user.opted_in & 1 else NEVER
    user.clock_email = luck.exponential(key, luck.CLOCK_EMAIL_OPT_OUT, zero) if user.opted_in & 2 else NEVER
    user.next_drift_hours = NEVER
    if law.drift_hours > 0.0:
        user.next_drift_hours = user.now_hours + law.drift_hours * luck.exponential(key, luck.CLOCK_DRIFT, zero)
    user.context_switch_hours = NEVER
    if law.has_location:
        user.context_switch_hours = user.now_hours + law.off_hours * luck.exponential(key, luck.CLOCK_CONTEXT, zero)
    for k in range(N_PAYMENTS):
        user.payment_hours[k] = NEVER
    user.browse_hour = LONG_AGO
    user.cart_hour = LONG_AGO
    user.order_hour = LONG_AGO
    user.next_scheduled_hours = earliest_scheduled(user, law)


@compiled_parallel
def _history_blocks(users: Records, history: Records, world: World, bounds: Ints) -> None:
    for w in each(bounds.shape[0] - 1):
        for i in range(bounds[w], bounds[w + 1]):
            begin_history(users[i], history[i], world.law[0], world.local_hours[users[i].zone, 0])


@compiled
def begin_history(user: Record, history: Record, law: Record, local: int) -> None:
    """Begin a user's visible history: a mature user's has the hours of the last 30 days with a session.

    They are drawn from the user's own rate and day, before the last session, which is a trait.

    Args:
        local: local hours at hour 0, as in the world's table.

    Source: modelling choice: a sender has seen its users before the simulation begins.
    """
    clear(history)
    last = int(math.floor(user.last_session_hours))
    if user.is_arrival == 0:
        stream = luck.stream_key(user.key, luck.PAST_SESSION)
        for hour in range(-DAYS_OF_USE * 24, last):
            week_hour = (local + hour) % HOURS_A_WEEK
            rate = user.session_rate * law.organic[user.table_row, week_hour]
            if hour >= user.installed_hours and luck.uniform_in(stream, np.uint64(-hour)) < rate:
                record_session(history, hour)
    record_session(history, last)


@compiled
def mixed(correlation: float, given: float, own: float) -> float:
    """Return a normal score with the given correlation to another: the Gaussian copula's recipe."""
    return correlation * given + math.sqrt(1.0 - correlation * correlation) * own
