"""The answer in words: one sentence or two, made from the figures of a run or a comparison."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from experiments.compare import Comparison, Effect
from simulator.measures import Measures
from simulator.records import NANO

_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
CLEAR_ERRORS = 2.0  # standard errors by which an early gain must stand out to be spoken of


def policy_words(policy: str) -> tuple[str, bool]:
    """Return what a policy does, in words that can begin a sentence, and whether they are plural."""
    base, *options = policy.split("+")
    extra = f" ({', '.join(options)})" if options else ""
    match = re.fullmatch(r"(weekly|random)-(\d+(?:\.\d+)?)", base)
    if base == "never":
        return "Silence", False
    if match is None:
        return f"The policy {base}{extra}", False
    a_week = float(match[2])
    rate, period = (a_week / 7, "day") if a_week % 7 == 0 else (a_week, "week")
    number = _NUMBERS[int(rate)] if rate in range(1, len(_NUMBERS)) else f"{rate:g}"
    random = " at random times" if match[1] == "random" else ""
    return f"{number.capitalize()} send{'' if rate == 1 else 's'} a {period}{random}{extra}", rate != 1


def daily_gain_eur(measures: Measures, base: Measures) -> npt.NDArray[np.float64]:
    """Return the value gained over a baseline up to the end of each day, EUR per user of the run, shape (D,)."""
    gained: npt.NDArray[np.float64] = np.cumsum(measures.by_day.value_nano - base.by_day.value_nano) / NANO
    return gained / measures.n_users


def run_headline(measures: Measures, policy: str) -> str:
    """Return what one run came to, in a sentence."""
    words, is_plural = policy_words(policy)
    value = f"earn{'' if is_plural else 's'} EUR {measures.value_per_user_eur:.2f} a user in {measures.n_days} days"
    ctr = measures.total.ctr[0]
    if math.isnan(ctr):
        return f"{words} {value}"
    n_out = int((measures.by_user.opt_outs > 0).sum())
    return f"{words} {value}; {ctr:.1%} of messages are clicked, {n_out / measures.n_ever[-1]:.0%} of users opt out"


def comparison_headline(comparison: Comparison, measured: Mapping[str, Measures]) -> str:
    """Return what a comparison came to: the clear losses and gains of value, an early gain that did not last first."""
    others = [effect for effect in comparison.effects if effect.policy != comparison.baseline]
    base = "silence" if comparison.baseline == comparison.silent else comparison.baseline
    clear = [effect for effect in others if effect.differences["value_eur"].estimate.is_clear]
    clear.sort(key=_gain)
    said = []
    if clear and _gain(clear[-1]) > 0:
        words, is_plural = policy_words(clear[-1].policy)
        verb = "earn" if is_plural else "earns"
        said.append(f"{words} {verb} EUR {_gain(clear[-1]):.2f} a user more than {base} in {comparison.n_days} days")
    if clear and _gain(clear[0]) < 0:
        words, is_plural = policy_words(clear[0].policy)
        earn, lose = ("earn", "lose") if is_plural else ("earns", "loses")
        lost = f"{lose} EUR {-_gain(clear[0]):.2f} a user by day {comparison.n_days}"
        than, against = ("", "") if said else (f" than {base}", f" against {base}")
        n_good = days_ahead(clear[0], measured[clear[0].policy], measured[comparison.baseline])
        said.append(
            f"{words} {earn} more{than} for {span_words(n_good)}, and {lost}" if n_good else f"{words} {lost}{against}"
        )
    if said:
        return "; ".join([said[0], *(part[0].lower() + part[1:] for part in said[1:])])
    if not others:
        return f"Nothing to compare with {comparison.baseline}"
    return f"No policy is clearly worth more or less than {base} after {comparison.n_days} days"


def days_ahead(effect: Effect, measures: Measures, base: Measures) -> int:
    """Return for how many days a policy that loses in the end was ahead of its baseline, or 0.

    An early gain counts when its peak stands out of the noise: by two standard errors, which grow with the root of
    time from 0 to that of the whole run.
    """
    gain = daily_gain_eur(measures, base)
    ahead = np.flatnonzero(gain > 0)
    if len(ahead) == 0 or gain[-1] > 0:
        return 0
    peak = int(np.argmax(gain))
    error = effect.differences["value_eur"].estimate.standard_error * math.sqrt((peak + 1) / len(gain))
    return int(ahead[-1]) + 1 if gain[peak] > CLEAR_ERRORS * error else 0


def span_words(days: int) -> str:
    """Return a number of days as a person says it."""
    if days < 14:
        return f"{days} day{'' if days == 1 else 's'}"
    weeks = round(days / 7)
    return f"{_NUMBERS[weeks] if weeks < len(_NUMBERS) else weeks} weeks"


def _gain(effect: Effect) -> float:
    return effect.differences["value_eur"].estimate.mean
