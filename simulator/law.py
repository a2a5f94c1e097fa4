"""From a scenario to the world that the engines read: the law's constants, the tables, the campaigns."""

from __future__ import annotations

import functools
import math

import numpy as np

from policies.constraints import RULES_FIELDS
from simulator.behaviour.interest import QUANTILE_LIMIT, QUANTILE_STEP
from simulator.calendar import attention_table, day_table, local_hours, moment_table, organic_table
from simulator.catalogue import campaign_records
from simulator.config import CHANNELS, Scenario, Triggered
from simulator.records import LAW, N_CATEGORIES, NANO, Records, World


def build_world(scenario: Scenario) -> World:
    """Return all that the law reads: constants, tables by local hour and day, campaigns."""
    return World(
        law=law_record(scenario),
        campaigns=campaign_records(scenario),
        local_hours=local_hours(scenario.calendar, scenario.population),
        moments=moment_table(scenario.calendar, scenario.population, scenario.constraints.project_zone),
        interest=interest_table(scenario),
    )


@functools.cache
def log_gamma_quantiles(shape: float) -> np.ndarray:
    """Return log quantiles of Gamma(shape, 1) at normal scores -6.5 to 6.5, shape (n,); all 0 for shape infinity."""
    from scipy.special import gammaincinv, gammaln, log_ndtr, ndtr

    scores = np.arange(-QUANTILE_LIMIT, QUANTILE_LIMIT + QUANTILE_STEP / 2, QUANTILE_STEP)
    if math.isinf(shape):
        return np.zeros_like(scores)
    quantiles = gammaincinv(shape, ndtr(scores))
    # Far below, P(x) = x^shape / Gamma(shape + 1), which does not underflow in logs.
    tail = (log_ndtr(scores) + gammaln(shape + 1)) / shape
    with np.errstate(divide="ignore"):
        table: np.ndarray = np.where(quantiles > 1e-6, np.log(quantiles), tail)
    return table


def interest_table(scenario: Scenario) -> np.ndarray:
    """Return log quantiles of the unnormalised interest in each category, shape (8, n).

    Interest shares are Dirichlet(concentration * popularity), popularity k ** -zipf: normalised Gamma variates.
    """
    popularity = np.arange(1, N_CATEGORIES + 1) ** -scenario.population.interest_zipf
    popularity /= popularity.sum()
    shapes = scenario.population.interest_concentration * popularity
    return np.stack([log_gamma_quantiles(float(shape)) for shape in shapes])


def law_record(scenario: Scenario) -> Records:
    """Return the constants of the law, LAW[1]; times in hours, money in euro or nano-euro."""
    rows = np.zeros(1, LAW)
    law = rows[0]
    b = scenario.behaviour
    law["seed"] = scenario.seed
    law["n_campaigns"] = len(scenario.campaigns)
    law["epoch_hours"] = scenario.calendar.epoch_hours

    tau_r, tau_m = b.sessions.satiation_hours, b.sessions.salience_days * 24
    law["satiation"] = b.sessions.satiation
    law["satiation_hours"] = tau_r
    law["floor"] = b.sessions.floor
    law["salience_hours"] = tau_m
    law["both_hours"] = 1 / (1 / tau_r + 1 / tau_m)
    law["habit_gain"] = b.sessions.habit_gain
    law["habit_hours"] = b.sessions.habit_days * 24
    law["honeymoon_gain"] = b.sessions.honeymoon_gain
    law["honeymoon_hours"] = b.sessions.honeymoon_hours
    law["drag"] = b.sessions.dissatisfaction_drag
    law["browse_prob"] = b.sessions.browse_prob
    law["intent_hours"] = b.sessions.intent_hours
    law["cart_prob"] = b.sessions.cart_prob
    law["survey_prob"] = b.sessions.survey_prob

    law["keep_habit"] = math.exp(-1 / law["habit_hours"])
    law["keep_satiation"] = math.exp(-1 / tau_r)
    law["keep_salience"] = math.exp(-1 / tau_m)
    law["keep_dissatisfaction"] = math.exp(-1 / b.withdrawal.dissatisfaction_hours)
    law["keep_honeymoon"] = math.exp(-1 / b.sessions.honeymoon_hours)
    law["keep_irritation"] = math.exp(-1 / b.withdrawal.irritation_hours)
    law["area_satiation"] = -tau_r * math.expm1(-1 / tau_r)
    law["area_salience"] = -tau_m * math.expm1(-1 / tau_m)
    law["area_both"] = -law["both_hours"] * math.expm1(-1 / law["both_hours"])

    law["logit"] = (b.response.push_logit, b.response.email_logit, b.response.in_app_logit, b.response.push_logit)
    law["beta_relevance"] = b.response.relevance
    law["beta_intent"] = b.response.intent
    law["beta_context"] = b.response.context
    law["beta_urgency"] = b.response.urgency
    law["beta_novelty"] = b.response.novelty
    law["beta_fatigue"] = b.response.fatigue
    law["beta_habituation"] = b.response.habituation
    law["beta_competition"] = b.response.competition
    law["beta_waiting"] = b.response.waiting
    law["waiting_hours"] = b.response.waiting_hours
    law["crowding"] = b.response.crowding
    law["email_click_prob"] = b.response.email_click_prob

    channels = [getattr(scenario.channels, name) for name in CHANNELS]
    law["channel_fatigue"] = [c.fatigue for c in channels]
    law["is_open"] = [c.is_open for c in channels]
    law["cost_nano"] = [round(c.cost_eur * NANO) for c in channels]
    law["fatigue_hours"] = b.fatigue.fatigue_hours
    law["habituation_hours"] = b.fatigue.habituation_half_life_days * 24 / math.log(2)
    law["habituation_reset"] = b.fatigue.habituation_reset

    w = b.withdrawal
    law["irritation_hours"] = w.irritation_hours
    law["opt_out_prob"] = (w.push_prob, w.email_prob, w.in_app_prob, 0.0)
    law["fatigue_gain"] = w.fatigue_gain
    law["relevance_relief"] = w.relevance_relief
    law["night_factor"] = w.night_factor
    law["night_start"], law["night_end"] = w.night_hours
    law["opt_in_again_prob"] = w.opt_in_again_prob
    law["complaint_prob"] = w.complaint_prob
    law["dissatisfaction_gain"] = w.dissatisfaction_gain
    law["dissatisfaction_email"] = w.dissatisfaction_email
    law["dissatisfaction_hours"] = w.dissatisfaction_hours

    law["habit_shield"] = b.churn.habit_shield
    law["churn_prob"] = b.churn.irritation_prob
    law["churn_email_weight"] = b.churn.email_weight
    law["churn_in_app_weight"] = b.churn.in_app_weight
    law["uninstall_seen_hours"] = b.churn.uninstall_seen_days * 24

    d = b.delivery
    law["accept_prob"] = (d.android_prob, d.ios_prob, d.email_prob)
    law["stale_hazard"] = d.stale_hazard_per_day / 24
    law["offline_prob"] = d.offline_prob
    law["offline_hours"] = d.offline_hours
    law["life_hours"] = (d.push_life_hours, d.email_life_hours, d.push_life_hours, d.push_life_hours)
    law["latency_hours"] = scenario.gateway.latency_seconds / 3600

    c = b.conversion
    law["driven_logit"] = c.driven_logit
    law["organic_order_prob"] = c.organic_prob
    law["order_relevance"] = c.relevance
    law["order_intent"] = c.intent
    law["margin_eur"] = c.margin_eur
    law["need_used"] = c.need_used
    law["need_hours"] = c.need_days * 24
    law["fast_share"] = c.fast_share
    law["fast_hours"] = c.fast_hours
    law["slow_hours"] = c.slow_hours
    law["session_eur"] = b.value.session_eur
    law["complaint_eur"] = b.value.complaint_eur
    law["tier_value"][: len(scenario.population.tiers)] = [t.value for t in scenario.population.tiers]

    drift_days = scenario.population.interest_drift_days
    law["drift_hours"] = -1.0 if drift_days is None else drift_days * 24
    law["has_location"] = any(isinstance(x, Triggered) and x.trigger == "location" for x in scenario.campaigns)
    law["on_hours"] = b.context.on_hours
    law["off_hours"] = b.context.off_hours

    open_channels = [name for name, c in zip(CHANNELS, channels, strict=True) if c.is_open]
    rules = scenario.constraints.limits().rules(open_channels)
    for name, _, _ in RULES_FIELDS:
        law[name] = getattr(rules, name)

    for name, table in (
        ("organic", organic_table(scenario)),
        ("attention", attention_table(scenario)),
        ("days", day_table(scenario.calendar)),
    ):
        law[name][: len(table)] = table
    return rows
