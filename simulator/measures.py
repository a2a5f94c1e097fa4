"""What a finished run came to: counts and rates by user, segment, campaign, channel, hour and week; retention; money.

    measures = measure(fleet)
    measures.total.ctr  # clicks per delivered message, shape (1,)
    measures.by_segment.value_eur

Counts are integers out of the books, so parts add up to wholes exactly. A rate whose denominator is zero is NaN: it
says "nobody to ask", which neither 0 nor an error would.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from simulator.config import CHANNELS, Scenario
from simulator.records import HOURS_A_WEEK, MONEY, N_METRICS, NANO, Books, Floats, Ints, Metric, Records

NONE = "none"  # the row of what belongs to no campaign, or to no channel
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")

# Of what belongs to no campaign, these belong to a channel all the same.
_OF_A_CHANNEL = (
    Metric.OPT_OUTS_PUSH,
    Metric.OPT_OUTS_EMAIL,
    Metric.OPT_INS,
    Metric.COMPLAINTS,
    Metric.COMPLAINT_COST,
)
# Counted by the nightly census: known by user, segment, day and week; fatigue not by user.
CENSUS = (Metric.PRESENT_DAYS, Metric.REACHABLE_DAYS, Metric.FATIGUE_MICRO)
# Counted only so that means can be formed; shown as those means.
_SUMS = (Metric.SATISFACTION_MILLI, Metric.FATIGUE_MICRO)

RATES = (
    "delivery_rate",
    "notice_rate",
    "open_rate",
    "ctr",
    "driven_conversion_rate",
    "organic_conversion_rate",
    "opt_out_rate",
    "satisfaction",
    "benefit_cost_ratio",
)


class Run(Protocol):
    """What is asked of an engine that has run: its users, their tallies, and the books."""

    scenario: Scenario
    users: Records
    tally: Records
    hour: int

    def totals(self) -> Books:
        """Return the books summed over workers."""
        ...


def ratio(numerator: npt.ArrayLike, denominator: npt.ArrayLike) -> Floats:
    """Return numerator / denominator, NaN where the denominator is 0; shapes as NumPy broadcasts them."""
    top, bottom = np.asarray(numerator, np.float64), np.asarray(denominator, np.float64)
    quotient: Floats = np.divide(top, bottom, out=np.full(np.broadcast(top, bottom).shape, math.nan), where=bottom != 0)
    return quotient


def gini(amounts: npt.ArrayLike) -> float:
    """Return the Gini coefficient: 0 when all have the same, (n - 1) / n when one has all; NaN of nothing.

    G = sum_i (2 i - n - 1) x_(i) / (n sum x), the amounts in rising order, i from 1.

    Args:
        amounts: each >= 0, any shape.

    Source: Gini (1912) in the form of Dixon et al. (1987), without the correction for small samples.
    """
    rising = np.sort(np.asarray(amounts, np.float64), axis=None)
    n, total = rising.size, rising.sum()
    if total == 0:
        return math.nan
    return float(((2 * np.arange(1, n + 1) - n - 1) * rising).sum() / (n * total))


@dataclass(frozen=True, eq=False)
class Counts:
    """What was counted in each of some rows: users, segments, campaigns, hours, weeks.

    Attributes:
        rows: the name of each row (for users, the user ids), shape (R,).
        counts: by `Metric`, shape (R, M); money in nano-euro, costs negative. Users lack the last metric, EXPIRIES.
        has_census: whether the census is known by these rows; if not, its metrics are 0.
    """

    rows: npt.NDArray[Any]
    counts: Ints
    has_census: bool = True

    def __len__(self) -> int:
        return len(self.rows)

    def of(self, *metrics: Metric) -> Ints:
        """Return the sum of some metrics in each row, shape (R,)."""
        summed: Ints = self.counts[:, list(metrics)].sum(axis=1)
        return summed

    @property
    def sessions(self) -> Ints:
        """Sessions, organic and driven."""
        return self.of(Metric.SESSIONS_ORGANIC, Metric.SESSIONS_DRIVEN)

    @property
    def conversions(self) -> Ints:
        """Orders, after organic and after driven sessions."""
        return self.of(Metric.CONVERSIONS_ORGANIC, Metric.CONVERSIONS_DRIVEN)

    @property
    def opt_outs(self) -> Ints:
        """Permissions withdrawn, push and e-mail."""
        return self.of(Metric.OPT_OUTS_PUSH, Metric.OPT_OUTS_EMAIL)

    @property
    def value_nano(self) -> Ints:
        """The reward in nano-euro: session value + margin + discount + send cost + complaint cost, costs negative."""
        return self.of(*MONEY)

    @property
    def value_eur(self) -> Floats:
        """The reward in euro."""
        return self.value_nano / NANO

    @property
    def delivery_rate(self) -> Floats:
        """Deliveries per send."""
        return ratio(self.of(Metric.DELIVERIES), self.of(Metric.SENDS))

    @property
    def notice_rate(self) -> Floats:
        """Notices per delivered message."""
        return ratio(self.of(Metric.NOTICES), self.of(Metric.DELIVERIES))

    @property
    def open_rate(self) -> Floats:
        """Opens per delivered message."""
        return ratio(self.of(Metric.OPENS), self.of(Metric.DELIVERIES))

    @property
    def ctr(self) -> Floats:
        """Click-through rate: clicks per delivered message. Each click leads to a driven session."""
        return ratio(self.of(Metric.CLICKS), self.of(Metric.DELIVERIES))

    @property
    def driven_conversion_rate(self) -> Floats:
        """Driven orders per driven session."""
        return ratio(self.of(Metric.CONVERSIONS_DRIVEN), self.of(Metric.SESSIONS_DRIVEN))

    @property
    def organic_conversion_rate(self) -> Floats:
        """Organic orders per organic session."""
        return ratio(self.of(Metric.CONVERSIONS_ORGANIC), self.of(Metric.SESSIONS_ORGANIC))

    @property
    def opt_out_rate(self) -> Floats:
        """Opt-outs per delivered message; NaN by campaign, because a withdrawal has no one campaign to blame."""
        return ratio(self.opt_outs, self.of(Metric.DELIVERIES))

    @property
    def satisfaction(self) -> Floats:
        """Mean answer of the surveys shown in sessions: 1 / (1 + dissatisfaction), in (0, 1]."""
        return ratio(self.of(Metric.SATISFACTION_MILLI), 1000 * self.of(Metric.SURVEYS))

    @property
    def benefit_cost_ratio(self) -> Floats:
        """(Margin + session value) / (discounts + send costs + complaint costs): of one run, not incremental."""
        benefit = self.of(Metric.MARGIN, Metric.SESSION_VALUE)
        return ratio(benefit, -self.of(Metric.DISCOUNT, Metric.SEND_COST, Metric.COMPLAINT_COST))

    def to_dict(self) -> list[dict[str, Any]]:
        """Return one mapping a row: counts, money in euro (`..._eur`), rates (None where NaN)."""
        rates = {name: getattr(self, name) for name in RATES}
        left_out = {*MONEY, *_SUMS, *(() if self.has_census else CENSUS)}
        return [
            {"name": name.item() if isinstance(name, np.generic) else name}
            | {m.name.lower(): int(self.counts[r, m]) for m in Metric if m not in left_out}
            | {f"{m.name.lower()}_eur": int(self.counts[r, m]) / NANO for m in MONEY}
            | {"value_eur": float(self.value_eur[r]), "value_nano": int(self.value_nano[r])}
            | {rate: plain(values[r]) for rate, values in rates.items()}
            for r, name in enumerate(self.rows)
        ]


@dataclass(frozen=True, eq=False)
class Retention:
    """How many users come back, by whole days (24 h) since they were first there.

    Day 0 begins with the install, or with hour 0 for users who were there before. A day counts only users who were
    observed through all of it, so the curve is not bent where the horizon cuts it.

    Attributes:
        active: users with at least one session on that day, shape (D,).
        observed: users whose day lies within the run, whether they have left or not, shape (D,).
    """

    active: Ints
    observed: Ints

    @property
    def share(self) -> Floats:
        """Active users per observed user, shape (D,); NaN where nobody was observed so long."""
        return ratio(self.active, self.observed)


@dataclass(frozen=True, eq=False)
class Measures:
    """All that is measured of one run, up to the end of a day.

    D is the number of days, W of weeks (the last may be short), M of metrics. Days and weeks are UTC, from hour 0.

    Attributes:
        scenario: its name.
        seed: of the scenario.
        n_days: D, days measured.
        total: one row.
        by_user: one row a user, named by user id.
        by_segment: one row a segment.
        by_campaign: one row a campaign, then "none": what belongs to no campaign, organic sessions for one.
        by_channel: push, email, in_app, sms, then "none".
        by_local_hour: 168 local hours from Monday midnight, by the time of the event (an open is not in the hour of its
            send).
        by_day: shape (D, M); `by_week`: shape (W, M).
        by_week: the same by week.
        new: retention of users who installed during the run; the day of the install counts as active for all.
        mature: retention of users who were there before hour 0; day 0 is measured as any other.
        n_ever: users who were there at some time before midnight of each day, shape (D + 1,); the last is the end.
    """

    scenario: str
    seed: int
    n_days: int
    total: Counts
    by_user: Counts
    by_segment: Counts
    by_campaign: Counts
    by_channel: Counts
    by_local_hour: Counts
    by_day: Counts
    by_week: Counts
    new: Retention
    mature: Retention
    n_ever: Ints

    @property
    def n_users(self) -> int:
        """Users in the run, with those who had not installed yet when it ended."""
        return len(self.by_user)

    @property
    def value_per_user_eur(self) -> float:
        """Realised lifetime value over the run: mean reward in euro per user who was ever there."""
        return float(ratio(self.total.value_eur, self.n_ever[-1])[0])

    @property
    def churn_rate(self) -> float:
        """Share who left, of the users who were ever there."""
        return float(ratio(self.total.of(Metric.CHURNS), self.n_ever[-1])[0])

    @property
    def sends_per_user_week(self) -> float:
        """Sends per week and user present (by the nightly census, opted in or not)."""
        return float(ratio(7 * self.total.of(Metric.SENDS), self.total.of(Metric.PRESENT_DAYS))[0])

    @property
    def dau(self) -> Ints:
        """Daily active users: with at least one session on that UTC day, shape (D,)."""
        return self.by_day.of(Metric.ACTIVE_DAYS)

    @property
    def wau(self) -> Ints:
        """Weekly active users: with at least one session in that week, shape (W,)."""
        return self.by_week.of(Metric.ACTIVE_WEEKS)

    @property
    def reachable_of_present(self) -> Floats:
        """Share open to push, of users present at midnight of each day, shape (D,)."""
        return ratio(self.by_day.of(Metric.REACHABLE_DAYS), self.by_day.of(Metric.PRESENT_DAYS))

    @property
    def reachable_of_ever(self) -> Floats:
        """Share present and open to push at midnight of each day, of all users who were ever there, shape (D,)."""
        return ratio(self.by_day.of(Metric.REACHABLE_DAYS), self.n_ever[:-1])

    @property
    def fatigue(self) -> Floats:
        """Mean fatigue of users present at midnight of each day, in push-equivalents, shape (D,)."""
        return ratio(self.by_day.of(Metric.FATIGUE_MICRO) / 1e6, self.by_day.of(Metric.PRESENT_DAYS))

    @property
    def opt_outs_by_channel(self) -> dict[str, Ints]:
        """Opt-outs up to the end of each day, by channel, each of shape (D,)."""
        return {
            "push": np.cumsum(self.by_day.of(Metric.OPT_OUTS_PUSH)),
            "email": np.cumsum(self.by_day.of(Metric.OPT_OUTS_EMAIL)),
        }

    @property
    def exposure_gini(self) -> float:
        """Gini coefficient of deliveries over campaigns: 0 when all are shown alike."""
        return gini(self.by_campaign.of(Metric.DELIVERIES)[:-1])

    @property
    def exposure_coverage(self) -> float:
        """Share of campaigns with any delivery; NaN without campaigns."""
        delivered = self.by_campaign.of(Metric.DELIVERIES)[:-1]
        return float(ratio((delivered > 0).sum(), len(delivered)))

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON; None stands for a rate without a denominator. Users are left out: see by_user."""
        return {
            "kind": "measures",
            "version": 1,
            "scenario": self.scenario,
            "seed": self.seed,
            "n_users": self.n_users,
            "n_users_ever_there": int(self.n_ever[-1]),
            "n_days": self.n_days,
            "value_per_user_eur": plain(self.value_per_user_eur),
            "churn_rate": plain(self.churn_rate),
            "sends_per_user_week": plain(self.sends_per_user_week),
            "exposure_gini": plain(self.exposure_gini),
            "exposure_coverage": plain(self.exposure_coverage),
            "total": self.total.to_dict()[0],
            "by_segment": self.by_segment.to_dict(),
            "by_campaign": self.by_campaign.to_dict(),
            "by_channel": self.by_channel.to_dict(),
            "by_local_hour": self.by_local_hour.to_dict(),
            "by_week": self.by_week.to_dict(),
            "daily": {
                "dau": self.dau.tolist(),
                "value_eur": self.by_day.value_eur.tolist(),
                "fatigue": [plain(x) for x in self.fatigue],
                "reachable_of_present": [plain(x) for x in self.reachable_of_present],
                "reachable_of_ever": [plain(x) for x in self.reachable_of_ever],
                "opt_outs_push": self.opt_outs_by_channel["push"].tolist(),
                "opt_outs_email": self.opt_outs_by_channel["email"].tolist(),
            },
            "weekly": {"wau": self.wau.tolist()},
            "retention": {
                cohort: {
                    "active": curve.active.tolist(),
                    "observed": curve.observed.tolist(),
                    "share": [plain(x) for x in curve.share],
                }
                for cohort, curve in (("new", self.new), ("mature", self.mature))
            },
        }


def plain(number: float) -> float | None:
    """Return a number as JSON can hold it: None for NaN and infinities."""
    return float(number) if math.isfinite(number) else None


def measure(run: Run) -> Measures:
    """Return the measures of a run, up to where its users have been brought.

    Raises:
        ValueError: that is not the end of a day.
    """
    scenario, users, tally, books = run.scenario, run.users, run.tally, run.totals()
    n_days = run.hour // 24
    if n_days < 1 or run.hour % 24:
        raise ValueError(f"a run is measured in whole days, at least one; it stands at hour {run.hour}")

    by_day = books.by_day[:n_days].sum(axis=1)
    weeks = np.arange(n_days) // 7
    by_week = np.zeros((weeks[-1] + 1, N_METRICS), np.int64)
    np.add.at(by_week, weeks, by_day)
    segments = [segment.name for segment in scenario.population.segments]
    campaigns = [campaign.name for campaign in scenario.campaigns]
    hours = [f"{WEEKDAYS[hour // 24]} {hour % 24:02d}" for hour in range(HOURS_A_WEEK)]
    money = tally["money"].astype(np.int64)
    arrived = np.where(users["is_arrival"] == 0, -1.0, users["installed_hours"])
    return Measures(
        scenario=scenario.name,
        seed=scenario.seed,
        n_days=n_days,
        total=Counts(np.asarray(["all"]), by_day.sum(axis=0, keepdims=True)),
        by_user=Counts(tally["user_id"].copy(), np.hstack([tally["counts"].astype(np.int64), money])),
        by_segment=Counts(np.asarray(segments), books.by_day.sum(axis=0)),
        by_campaign=Counts(np.asarray([*campaigns, NONE]), books.by_campaign.sum(axis=1), has_census=False),
        by_channel=Counts(np.asarray([*CHANNELS, NONE]), _channel_counts(books.by_campaign), has_census=False),
        by_local_hour=Counts(np.asarray(hours), books.by_hour, has_census=False),
        by_day=Counts(np.arange(n_days), by_day),
        by_week=Counts(np.arange(len(by_week)), by_week),
        new=_retention(books, users, tally, n_days, is_arrival=True),
        mature=_retention(books, users, tally, n_days, is_arrival=False),
        n_ever=np.searchsorted(np.sort(arrived), 24.0 * np.arange(n_days + 1), side="left").astype(np.int64),
    )


def _channel_counts(by_campaign: Ints) -> Ints:
    """Return counts by channel and "none", shape (channels + 1, M).

    What belongs to no campaign is booked under some channel or other; most of it belongs to none.
    """
    unattributed = by_campaign[-1].copy()
    counts = np.zeros((len(CHANNELS) + 1, N_METRICS), np.int64)
    counts[:-1] = by_campaign[:-1].sum(axis=0)
    belongs = list(_OF_A_CHANNEL)
    counts[:-1, belongs] += unattributed[:, belongs]
    unattributed[:, belongs] = 0
    counts[-1] = unattributed.sum(axis=0)
    return counts


def _retention(books: Books, users: Records, tally: Records, n_days: int, *, is_arrival: bool) -> Retention:
    """Return the retention of one cohort over the days that its users lived through within the run."""
    rows = (users["is_arrival"] == is_arrival) & (users["installed_hours"] < 24 * n_days)
    start = np.maximum(users["installed_hours"][rows], 0.0)
    whole_days = ((24.0 * n_days - start) // 24.0).astype(np.int64)
    observed = len(start) - np.cumsum(np.bincount(whole_days, minlength=n_days + 1))[:n_days]
    # The books also count the day that the end of the run cuts, which is the last of its user.
    is_cut_active = tally["last_age"][rows] == whole_days
    cut = np.bincount(whole_days[is_cut_active], minlength=n_days + 1)[:n_days]
    active = books.by_age[int(is_arrival), :n_days] - cut
    if is_arrival:
        active[0] = observed[0]
    return Retention(active, observed)
