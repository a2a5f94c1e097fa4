"""Whether a short test would ship the policy that loses in the long run.

Two policies meet the same simulated users, once for the length of the test and once for a year or so. The short run
gives what an A/B test of n users an arm would see, mean and spread; the long run gives who is truly better. The chance
that the test decides for the loser then follows from the normal law of the difference of its two means, averaged over
what the simulation leaves open of that difference itself (assurance: O'Hagan, Stevens and Campbell, "Assurance in
clinical trial design", Pharmaceutical Statistics 4, 2005).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import norm

from experiments.planning.interval import Interval, interval
from experiments.planning.trial import Floats

if TYPE_CHECKING:
    from simulator.config import Scenario
    from simulator.senders import Sender


@dataclass(frozen=True)
class Decision:
    """What a test of so many users an arm decides.

    Attributes:
        users_an_arm: n.
        for_winner, for_loser, undecided: chances; they sum to 1.
        by_sign: chance that the loser's mean is the higher one, which is shipped by those who look at no interval.
    """

    users_an_arm: int
    for_winner: float
    for_loser: float
    undecided: float
    by_sign: float


@dataclass(frozen=True)
class ShortTest:
    """A short test held against the long run.

    Attributes:
        policies: the two.
        metric: what is compared, one number a user.
        short_days, long_days: of the test, and of the truth.
        users: simulated.
        means, spreads: of the metric by policy in the short run, and standard deviations between users.
        short: the second policy less the first in the short run, over the same users.
        long: the same in the long run.
        decisions: by users an arm.
    """

    policies: tuple[str, str]
    metric: str
    short_days: int
    long_days: int
    users: int
    means: tuple[float, float]
    spreads: tuple[float, float]
    short: Interval
    long: Interval
    decisions: tuple[Decision, ...]

    @property
    def winner(self) -> str | None:
        """The policy that is better in the long run; None where the simulation cannot tell."""
        if self.long.low <= 0.0 <= self.long.high:
            return None
        return self.policies[1] if self.long.mean > 0.0 else self.policies[0]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "kind": "short-test",
            "policies": list(self.policies),
            "metric": self.metric,
            "short_days": self.short_days,
            "long_days": self.long_days,
            "users": self.users,
            "short": self.short.to_dict(),
            "long": self.long.to_dict(),
            "winner": self.winner,
            "decisions": [vars(each) for each in self.decisions],
        }

    def in_words(self) -> str:
        """Return the answer in a sentence or two."""
        if self.winner is None:
            return (
                f"Over {self.long_days} days the simulation cannot tell {self.policies[0]} from {self.policies[1]}: "
                f"there is no loser to ship."
            )
        loser = next(policy for policy in self.policies if policy != self.winner)
        worst = max(self.decisions, key=lambda each: each.for_loser)
        told = (
            f"{self.winner} is better over {self.long_days} days. A test of {self.short_days} days ships {loser} with "
            f"a chance of up to {100 * worst.for_loser:.0f} % (at {worst.users_an_arm:,} users an arm)"
        )
        is_trap = (self.short.mean > 0.0) != (self.long.mean > 0.0)
        unclear = "" if self.short.is_clear else ", though more simulated users would have to show that"
        if is_trap:
            surer = f"{told}: in the short run {loser} looks better{unclear}"
            return f"{surer}." if unclear else f"{surer}, and more users only make the mistake surer."
        return f"{told}; in the short run, too, {self.winner} looks better{unclear}."


def short_test(
    scenario: Scenario,
    senders: tuple[Sender, Sender],
    names: tuple[str, str],
    *,
    metric: str = "value_eur",
    short_days: int = 14,
    long_days: int = 364,
    users_an_arm: Sequence[int] = (1_000, 3_000, 10_000, 30_000, 100_000),
    level: float = 0.05,
    on_run: Callable[[str, int], None] | None = None,
) -> ShortTest:
    """Return the chance that a short test decides for the policy that loses in the long run.

    Args:
        scenario: whose users are simulated, all of them, under both policies.
        senders, names: the policies, today's first.
        metric: `value_eur` or `sessions`, a user.
        short_days, long_days: of the test, and of the truth.
        users_an_arm: for each, the chances.
        level: of the test, two-sided.
        on_run: called before each run with the policy's name and the days.

    Raises:
        ValueError: an unknown metric; the long run is not the longer one.
    """
    if metric not in ("value_eur", "sessions"):
        raise ValueError(f"metric {metric!r}: expected value_eur or sessions")
    if not 1 <= short_days < long_days:
        raise ValueError(f"long_days: expected more than the {short_days} days of the test, got {long_days}")
    values = {}
    for days in (short_days, long_days):
        for sender, name in zip(senders, names, strict=True):
            if on_run is not None:
                on_run(name, days)
            values[name, days] = _by_user(scenario, sender, days, metric)
    short = [values[name, short_days] for name in names]
    means = (float(short[0].mean()), float(short[1].mean()))
    spreads = (float(short[0].std(ddof=1)), float(short[1].std(ddof=1)))
    long = _difference(values[names[1], long_days], values[names[0], long_days])
    difference = _difference(short[1], short[0])
    known_to = difference.standard_error
    decisions = tuple(decide(means, spreads, long.mean > 0.0, n, level, known_to) for n in users_an_arm)
    return ShortTest(names, metric, short_days, long_days, len(short[0]), means, spreads, difference, long, decisions)


def decide(
    means: tuple[float, float],
    spreads: tuple[float, float],
    is_second_better: bool,
    users_an_arm: int,
    level: float,
    known_to: float = 0.0,
) -> Decision:
    """Return what a two-sided z-test of two arms decides, and how often.

    Args:
        means, spreads: of the two policies in the short run.
        is_second_better: in the long run.
        users_an_arm: at least 2.
        level: two-sided.
        known_to: standard error of the difference of the means; the chances are averages over it.

    Raises:
        ValueError: fewer than two users an arm.
    """
    if users_an_arm < 2:
        raise ValueError(f"users_an_arm: expected at least 2, got {users_an_arm}")
    error = math.hypot(*spreads) / math.sqrt(users_an_arm)
    gain = (means[1] - means[0]) * (1.0 if is_second_better else -1.0)
    seen = math.hypot(error, known_to)  # of the difference that the test will show
    if not seen:
        chances = (float(gain > 0.0), float(gain < 0.0))
        return Decision(users_an_arm, *chances, 1.0 - sum(chances), float(gain < 0.0))
    edge = float(norm.ppf(1.0 - level / 2.0)) * error  # beyond which the test decides
    for_winner, for_loser = float(norm.cdf((gain - edge) / seen)), float(norm.cdf((-gain - edge) / seen))
    return Decision(users_an_arm, for_winner, for_loser, 1.0 - for_winner - for_loser, float(norm.cdf(-gain / seen)))


def _by_user(scenario: Scenario, sender: Sender, days: int, metric: str) -> Floats:
    from experiments.runs import run_policy
    from simulator.measures import measure
    from simulator.records import NANO

    calendar = scenario.calendar.model_copy(update={"horizon_days": days})
    users = measure(run_policy(scenario.model_copy(update={"calendar": calendar}), sender)).by_user
    order = np.argsort(users.rows, kind="stable")
    amounts = users.value_nano / NANO if metric == "value_eur" else users.sessions.astype(np.float64)
    return np.asarray(amounts[order], np.float64)


def _difference(values: Floats, others: Floats) -> Interval:
    differences = values - others
    return interval(float(differences.mean()), float(differences.std(ddof=1)) / math.sqrt(len(differences)))
