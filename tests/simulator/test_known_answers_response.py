"""Delivery, notice, opening and paying against their closed forms (K13 to K15, K17 to K19, K23)."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest

from experiments.config import load_scenario, preset_names
from simulator.fleet import Fleet
from simulator.records import EMAIL, N_CATEGORIES, PUSH, Event, Metric, Reason
from simulator.senders import Sender
from tests.simulator.bare import (
    CAMPAIGN,
    Floats,
    Z,
    agrees,
    bare,
    constant_use,
    events,
    follows,
    never_leaves,
    send,
    share_agrees,
    wait,
)

ANY_CHANNEL = CAMPAIGN | {"channels": ("push", "email")}
ALWAYS_AWAKE = {"asleep": 1.0, "awake": 0.0, "evening": 0.0}
DAY_AND_NIGHT = {"asleep": 0.06, "awake": 0.85, "evening": 0.45}


def logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def counted(fleet: Fleet, metric: Metric) -> int:
    return int(fleet.tally["counts"][:, metric].sum())


# ------------------------------------------------------------------------------------------- K13, K14: notice


@pytest.mark.parametrize(("channel", "rate", "median"), [(PUSH, 2.0, 0.4691), (EMAIL, 0.25, 3.7526)])
def test_k13_the_notice_delay_is_lomax_in_the_time_of_attention(channel, rate, median):
    users, hour, shape = 30_000, 20, 1.2
    behaviour = {"attention": DAY_AND_NIGHT, "delivery": {"push_life_hours": 300.0, "email_life_hours": 300.0}}
    fleet = Fleet(bare(users, 14, behaviour=behaviour, campaigns=(ANY_CHANNEL,)), journal_rows=users * 4)
    wait(fleet, hour)
    send(fleet, channel=channel)
    thresholds = fleet.users["mail_clock"][:, 0].astype(float)
    rates = fleet.users["email_attention" if channel == EMAIL else "push_attention"].astype(float)
    wait(fleet, 299)
    noticed = events(fleet, Event.NOTICE)
    table = fleet.world.attention[fleet.users["table_row"][0]].astype(float)
    spent = np.append(0.0, table[fleet.world.local_hours[0, hour : hour + 299] % 168].cumsum())
    waited = np.interp(noticed["time_hours"], np.arange(hour, hour + 300), spent)
    beta = shape / rate
    assert beta * (2 ** (1 / shape) - 1) == pytest.approx(median, abs=1e-4)
    follows(waited, lambda t: 1 - (1 + t / beta) ** -shape, catches=0.023, of=users, until=spent[-1])
    # User by user, not a statistic. The thresholds are float32.
    who = noticed["user_id"]
    np.testing.assert_allclose(rates[who] * waited, thresholds[who], rtol=1e-4, atol=1e-6)


LOCAL = tuple({"name": f"h{h}", "share": 1 / 24, "offset_hours": h if h <= 12 else h - 24} for h in range(24))


class AllHours:
    """One population met at each local hour of the day with the same luck: the same UTC hour in 24 time zones."""

    def __init__(self, life_hours: float, prob: float, users: int = 20_000):
        behaviour = {
            "attention": DAY_AND_NIGHT,
            "delivery": {"push_life_hours": life_hours},
            "response": {"push_logit": math.log(prob / (1 - prob))},
        }
        self.fleet = Fleet(bare(users, 2, population={"time_zones": LOCAL}, behaviour=behaviour))
        self.start = self.fleet.users.copy()
        self.life_hours = life_hours

    def opens(self, local_hour: int, chronotype_hours: int = 0) -> int:
        self.fleet.users[:] = self.start
        self.fleet.users["zone"] = local_hour
        self.fleet.users["table_row"] = 6 + 2 * chronotype_hours
        self.fleet.tally["counts"] = 0
        self.fleet.hour = 0
        send(self.fleet, n_hours=math.ceil(self.life_hours))
        return counted(self.fleet, Metric.OPENS)


@pytest.mark.parametrize("chronotype_hours", [-3, -2, -1, 0, 1, 2, 3])
def test_k14_a_message_of_one_hour_is_best_sent_at_the_chronotype_s_peak(chronotype_hours):
    """Exact: the same users with the same thresholds, so that more attention opens more, never less."""
    hours = AllHours(life_hours=1.0, prob=0.6)
    opens = [hours.opens(hour, chronotype_hours) for hour in range(24)]
    assert np.argmax(opens) == 20 + chronotype_hours
    assert sorted(opens)[-1] > sorted(opens)[-2]


def bump(hours: Floats) -> Floats:
    height: Floats = np.exp(3 * (np.cos(2 * np.pi * (hours - 20.5) / 24) - 1))
    return height


@pytest.mark.parametrize(("life_hours", "catches"), [(1, 0.35), (6, 0.1)])
def test_k14_opens_within_a_message_s_life_at_every_hour(life_hours, catches):
    prob, beta, shape = 0.6, 0.6, 1.2
    hours = AllHours(float(life_hours), prob)
    minutes = (np.arange(24 * 600) + 0.5) / 600
    attention = 0.06 + ((minutes >= 7) & (minutes < 23.5)) * (0.85 + 0.45 * bump(minutes))
    hourly = attention.reshape(24, 600).mean(axis=1)
    for hour in range(24):
        virtual = sum(hourly[(hour + k) % 24] for k in range(life_hours))
        expected = prob * (1 - (1 + virtual / beta) ** -shape)
        share_agrees(hours.opens(hour), len(hours.start), expected, catches if hour in range(7) else 0.1)


# ------------------------------------------------------------------------------------------- K15: payment


@pytest.mark.parametrize("is_driven", [False, True])
def test_k15_payment_follows_the_order_after_a_mixture_of_exponentials(is_driven):
    users, days = 20_000, 30
    behaviour = {
        "conversion": {"organic_prob": 1.0, "driven_logit": 50.0, "need_used": 1.0, "need_days": 1e9},
        "attention": ALWAYS_AWAKE,
        "response": {"push_logit": 50.0},
    }
    fleet = constant_use(bare(users, days, behaviour=behaviour), 0.0 if is_driven else 24.0, journal_rows=users * 40)
    never_leaves(fleet)
    fleet.users["push_attention"] = 100.0
    if is_driven:
        send(fleet)
    wait(fleet, 12)
    fleet.users["session_rate"] = 0.0  # everybody has ordered: the need is used up, nobody orders twice
    wait(fleet, days * 24 - 12)
    assert counted(fleet, Metric.CONVERSIONS_DRIVEN if is_driven else Metric.CONVERSIONS_ORGANIC) > 0.999 * users
    ordered, paid = events(fleet, Event.CONVERSION), events(fleet, Event.PAYMENT)
    when = np.full(users, np.nan)
    when[ordered["user_id"]] = ordered["time_hours"]
    delays = paid["time_hours"] - when[paid["user_id"]]

    def cdf(t: npt.ArrayLike) -> Floats:
        hours = np.asarray(t, np.float64)
        paid: Floats = 0.4 * -np.expm1(-2 * hours) + 0.6 * -np.expm1(-hours / 130)
        return paid

    assert cdf([1.0, 24.0, 720.0]) == pytest.approx((0.350, 0.501, 0.998), abs=1e-3)
    follows(delays, cdf, catches=0.028, of=len(ordered), until=(days - 1) * 24.0)


# ------------------------------------------------------------------------------------------- K17, K18: opens


@pytest.mark.parametrize("preset", preset_names())
def test_k17_more_sends_are_clicked_less_often_each(preset):
    """Strictly less, beyond noise: each step down is larger than its error at the false-alarm rate."""
    # News tires for a day and a half only, so that its first step down is small.
    size = {"population.n_users": 24_000 if preset == "news" else 8_000, "population.mature_share": 1.0}
    scenario = load_scenario(preset, size)
    campaigns = tuple(c.model_copy(update={"budget_eur": None}) for c in scenario.campaigns)
    scenario = scenario.model_copy(update={"campaigns": campaigns, "gateway": type(scenario.gateway)()})
    rates, residuals = [], []
    for per_week in (1.0, 7.0, 28.0):
        fleet = Fleet(scenario)
        fleet.run(Sender(kind="evenly", per_week=per_week), 28)
        clicks = fleet.tally["counts"][:, Metric.CLICKS].astype(float)
        arrived = fleet.tally["counts"][:, Metric.DELIVERIES].astype(float)
        rates.append(clicks.sum() / arrived.sum())
        residuals.append((clicks - rates[-1] * arrived) / arrived.sum())  # one a user: the ratio's linear part
    for k in (0, 1):
        error = float(np.sqrt(((residuals[k] - residuals[k + 1]) ** 2).sum()))
        assert rates[k] - rates[k + 1] > Z * error, (rates, error)


def test_k18_sending_each_favourite_against_the_most_popular():
    """One favourite a user: its score is the limit of 2.5, the others' -1/sqrt(7)."""
    users, logit, beta = 24_000, -2.5, 0.8
    popularity = np.arange(1, N_CATEGORIES + 1) ** -0.9
    popularity /= popularity.sum()
    favourite = np.searchsorted(popularity.cumsum(), (np.arange(users) + 0.5) / users)
    campaigns = tuple(CAMPAIGN | {"name": f"c{k}", "category": k} for k in range(N_CATEGORIES))
    response = {"push_logit": logit, "relevance": beta}
    scenario = bare(users, 1, behaviour={"response": response, "attention": ALWAYS_AWAKE}, campaigns=campaigns)
    sends, opens = {}, {}
    for pick in ("interest", "fixed"):
        fleet = Fleet(scenario)
        fleet.users["push_attention"] = 1e4
        fleet.users["log_interest"] = np.eye(N_CATEGORIES)[favourite]
        fleet.run(Sender(kind="hours", hours=tuple(range(1, 23)), pick=pick, campaign=0))
        opens[pick], sends[pick] = counted(fleet, Metric.OPENS), counted(fleet, Metric.SENDS)
    assert sends["interest"] == sends["fixed"] == 22 * users
    liked, other = logistic(logit + beta * 2.5), logistic(logit - beta / math.sqrt(7))
    mixed = popularity[0] * liked + (1 - popularity[0]) * other
    error = math.sqrt((1 - liked) / liked + (1 - mixed) / mixed) / math.sqrt(22 * users)
    agrees(opens["interest"] / opens["fixed"], liked / mixed, liked / mixed * error, catches=0.03)
    share_agrees(opens["interest"], sends["interest"], liked, catches=0.015)


# ------------------------------------------------------------------------------------------- K19: delivery


@pytest.mark.parametrize(
    ("channel", "is_ios", "accepted", "offline"), [(PUSH, 0, 0.95, 0.12), (PUSH, 1, 0.98, 0.12), (EMAIL, 0, 0.99, 0.0)]
)
def test_k19_what_the_gateway_delivers_within_a_message_s_life(channel, is_ios, accepted, offline):
    users, life, back = 80_000, 6.0, 5.0
    delivery = {
        "android_prob": 0.95,
        "ios_prob": 0.98,
        "email_prob": 0.99,
        "offline_prob": 0.12,
        "offline_hours": back,
        "push_life_hours": life,
    }
    fleet = Fleet(bare(users, 1, behaviour={"delivery": delivery}, campaigns=(ANY_CHANNEL,)), journal_rows=users * 4)
    fleet.users["os"] = is_ios
    send(fleet, channel=channel, n_hours=8)
    expected = accepted * (1 - offline * math.exp(-life / back))
    if channel == PUSH and not is_ios:
        assert expected == pytest.approx(0.9157, abs=1e-4)
    share_agrees(counted(fleet, Metric.DELIVERIES), users, expected, catches=0.01)
    reasons = events(fleet, Event.FAILURE)["reason"]
    assert counted(fleet, Metric.DELIVERIES) + len(reasons) == users
    share_agrees(int((reasons == Reason.REJECTED).sum()), users, 1 - accepted, catches=0.3)
    late = int((reasons == Reason.TOO_LATE).sum())
    if offline:
        share_agrees(late, users, accepted * offline * math.exp(-life / back), catches=0.15)
        times = events(fleet, Event.DELIVERY)["time_hours"]
        follows(
            times[times > 0],
            lambda t: np.expm1(-t / back) / math.expm1(-life / back),
            catches=0.06,
            until=life,
        )
    else:
        assert late == 0


# ------------------------------------------------------------------------------------------- K23: holidays


def test_k23_competition_on_a_holiday_lowers_the_odds_of_an_open():
    users, beta, volume, logit = 40_000, 0.3, 1.5, -0.4
    holiday = {"name": "sale", "month": 1, "day": 7, "demand": 0.0, "competition": volume}
    behaviour = {"response": {"push_logit": logit, "competition": beta}, "attention": ALWAYS_AWAKE}
    fleet = Fleet(bare(users, 4, calendar={"holidays": (holiday,)}, behaviour=behaviour))
    fleet.users["push_attention"] = 1e4
    before = 0
    for day in range(4):
        send(fleet)
        expected = logit - (beta * volume if day == 2 else 0.0)  # 7 January is day 2
        np.testing.assert_allclose(fleet.users["mail_logit"][:, 0], expected, rtol=1e-6)
        wait(fleet, 24)
        opens = counted(fleet, Metric.OPENS)
        share_agrees(opens - before, users, logistic(expected), catches=0.06)
        before = opens
