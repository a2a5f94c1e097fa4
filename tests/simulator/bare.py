"""A scenario in which nothing acts, for a test to switch on what it is about; and how a test decides.

Every statistical decision here has a false-alarm rate of 1e-6, and states what it would catch: an effect of that
size is found in at least 99 of 100 draws of luck, or the test is too weak and fails whatever was measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from simulator.config import Scenario
from simulator.fleet import Fleet
from simulator.records import NEVER, Records
from simulator.senders import Sender
from simulator.settlement import NO_WISH

FALSE_ALARM = 1e-6
Z = float(stats.norm.isf(FALSE_ALARM / 2))  # 4.89
Z_POWER = float(stats.norm.isf(0.01))  # 2.33: 99 of 100
SILENCE = Sender().record()
Floats = npt.NDArray[np.float64]

CAMPAIGN = {"kind": "scheduled", "name": "plain", "category": 0}
NOTHING_ACTS: dict[str, Any] = {
    "name": "bare",
    "calendar": {"season_amplitude": 0.0, "weekend_factor": 1.0},
    "population": {
        "segments": ({"name": "all", "share": 1.0, "is_flat": True},),
        "tiers": ({"name": "one", "share": 1.0},),
        "sessions_per_day": 1e-9,
        "sessions_shape": 1.0,
        "churn_scale_days": 1e12,
        "tourist_share": 0.0,
        "chronotype_sd_hours": 0.0,
        "open_bias_sd": 0.0,
        "channel_affinity_sd": 0.0,
        "sensitivity_cv": 0.0,
        "interest_drift_days": None,
        "android_share": 1.0,
        "android_logit": 0.0,
        "device_shares": (1.0, 0.0, 0.0),
        "consent_share": 1.0,
        "opt_in": {"android": 1.0, "ios": 1.0, "email": 1.0},
        "correlations": {"sessions_churn": 0.0, "sessions_openness": 0.0, "openness_sensitivity": 0.0},
    },
    "behaviour": {
        "sessions": {
            "satiation": 0.0,
            "floor": 1.0,
            "habit_gain": 0.0,
            "honeymoon_gain": 0.0,
            "dissatisfaction_drag": 0.0,
            "browse_prob": 0.0,
            "survey_prob": 0.0,
        },
        "attention": {"asleep": 0.0, "awake": 0.0, "evening": 0.0},
        "response": {
            "push_logit": -50.0,
            "email_logit": -50.0,
            "relevance": 0.0,
            "intent": 0.0,
            "context": 0.0,
            "urgency": 0.0,
            "novelty": 0.0,
            "fatigue": 0.0,
            "habituation": 0.0,
            "competition": 0.0,
            "waiting": 0.0,
            "crowding": 0.0,
        },
        "withdrawal": {
            "push_prob": 0.0,
            "email_prob": 0.0,
            "fatigue_gain": 0.0,
            "relevance_relief": 0.0,
            "night_factor": 1.0,
            "opt_in_again_prob": 0.0,
            "complaint_prob": 0.0,
            "dissatisfaction_gain": 0.0,
        },
        "churn": {"habit_shield": 0.0, "irritation_prob": 0.0},
        "delivery": {
            "android_prob": 1.0,
            "ios_prob": 1.0,
            "email_prob": 1.0,
            "stale_hazard_per_day": 0.0,
            "offline_prob": 0.0,
        },
        "conversion": {"driven_logit": -50.0, "organic_prob": 0.0},
    },
    "campaigns": (CAMPAIGN,),
}


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return nested settings with some of them changed."""
    out = dict(base)
    for key, value in changes.items():
        out[key] = merged(out.get(key, {}), value) if isinstance(value, dict) else value
    return out


def bare(n_users: int, days: int, seed: int = 1, **changes: Any) -> Scenario:
    """Return the scenario in which nothing acts, but for the changes: nested settings, as in a scenario file."""
    size = {"seed": seed, "calendar": {"horizon_days": days}, "population": {"n_users": n_users}}
    return Scenario.model_validate(merged(merged(NOTHING_ACTS, size), changes))


def constant_use(scenario: Scenario, per_day: float | Floats, journal_rows: int = 0) -> Fleet:
    """Return a fleet whose users come at the given mean rate, the same at every hour of the day.

    All stand at hour 0, right after a session, with fresh thresholds.
    """
    fleet = Fleet(scenario, journal_rows=journal_rows)
    fleet.world.organic[:] = 1.0
    fleet.users["session_rate"] = per_day / 24
    fleet.users["satiation"] = scenario.behaviour.sessions.satiation
    fleet.users["salience"] = 1.0
    fleet.users["last_session_hours"] = 0.0
    return fleet


def send(
    fleet: Fleet, campaign: int = 0, channel: int = 0, queue_hours: float | Floats = 0.0, n_hours: int = 0
) -> None:
    """Send one campaign to every user now, and live through some hours (0: only the dispatch happens)."""
    fleet.wishes(SILENCE)
    wishes = np.full(len(fleet.users), campaign * 4 + channel, np.int32)
    fleet.step(wishes, np.zeros(len(wishes)) + queue_hours, SILENCE, n_hours)


def wait(fleet: Fleet, n_hours: int) -> None:
    """Live through some hours in silence."""
    fleet.wishes(SILENCE)
    fleet.step(np.full(len(fleet.users), NO_WISH, np.int32), np.zeros(len(fleet.users)), SILENCE, n_hours)


def events(fleet: Fleet, *kinds: int) -> Records:
    """Return the journal's events of some kinds, EVENT of shape (n,); of one user they are in order of time."""
    assert (fleet.books.journal_used < fleet.books.journal.shape[1]).all(), "the journal is full: give it more rows"
    journal = fleet.totals().journal
    return journal[np.isin(journal["kind"], kinds)]


def never_leaves(fleet: Fleet) -> None:
    """Switch the risk of churn off."""
    fleet.users["clock_churn"] = NEVER


def agrees(measured: float, expected: float, standard_error: float, catches: float) -> None:
    """Assert that a mean agrees with theory at the false-alarm rate, and that the test has its stated power.

    `catches` is the relative error of the law that would be found in 99 of 100 draws of luck.
    """
    assert (Z + Z_POWER) * standard_error <= catches * abs(expected), (
        f"too weak: standard error {standard_error:.3g} of {expected:.4g} cannot catch {catches:.1%}"
    )
    assert abs(measured - expected) <= Z * standard_error, (
        f"measured {measured:.6g}, expected {expected:.6g}: {(measured - expected) / standard_error:+.1f} SE"
    )


def mean_agrees(samples: npt.ArrayLike, expected: float, catches: float) -> None:
    """Assert that the mean of independent samples, one a user, agrees with theory."""
    values = np.asarray(samples, np.float64)
    agrees(float(values.mean()), expected, float(values.std(ddof=1)) / len(values) ** 0.5, catches)


def share_agrees(hits: int, of: int, expected: float, catches: float) -> None:
    """Assert that a share of independent trials agrees with theory."""
    agrees(hits / of, expected, (expected * (1 - expected) / of) ** 0.5, catches)


def ks_distance(times: npt.ArrayLike, of: int, cdf: Any, until: float) -> float:
    """Return the greatest distance, before `until`, of the empirical law of `of` times from a distribution function.

    Times that did not fall before `until` need not be given.
    """
    seen = np.sort(np.asarray(times, np.float64))
    seen = seen[seen < until]
    theory = np.append(cdf(seen), cdf(until))
    after = np.append(np.arange(1, len(seen) + 1), len(seen)) / of
    before = np.append(np.arange(len(seen)), len(seen)) / of
    return float(max(np.abs(theory - after).max(), np.abs(theory - before).max()))


def follows(times: npt.ArrayLike, cdf: Any, catches: float, of: int | None = None, until: float = np.inf) -> None:
    """Assert that times follow a distribution (Kolmogorov-Smirnov, false alarm 1e-6, also when cut at `until`).

    `catches` is the distance from the distribution that would be found in 99 of 100 draws of luck; `of` is the number
    of users, when some times lie beyond `until`.
    """
    n = len(np.asarray(times)) if of is None else of
    bound = float(stats.kstwo.isf(FALSE_ALARM, n))
    # Where the distance is greatest, the empirical law is normal with a standard deviation of at most .5/sqrt(n).
    assert bound + Z_POWER * 0.5 / n**0.5 <= catches, f"too weak: {n} times cannot catch a distance of {catches}"
    distance = ks_distance(times, n, cdf, until)
    assert distance <= bound, f"distance {distance:.5f} from the law, bound {bound:.5f} at {n} times"


def fits(counts: Sequence[int] | npt.NDArray[Any], expected: npt.ArrayLike) -> None:
    """Assert that counts fit expected counts of the same sum (chi-square, false alarm 1e-6)."""
    observed, theory = np.asarray(counts, np.float64), np.asarray(expected, np.float64)
    statistic = float(((observed - theory) ** 2 / theory).sum())
    bound = float(stats.chi2.isf(FALSE_ALARM, len(observed) - 1))
    assert statistic <= bound, f"chi-square {statistic:.1f}, bound {bound:.1f} at {len(observed)} cells"
