"""What was watched, as the rows that a run's folder keeps: `days`, `hours`, `segments`, `harm`.

Each function returns columns, one entry a row: counts int64, everything else float64, rows in a fixed order, so that
the same run gives the same table. Tables of several policies are joined by `stacked`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from experiments.compare import Estimate
from experiments.evaluation.outcomes import Evaluation, require_same_users
from experiments.evaluation.watching import Watched
from simulator.measures import ratio
from simulator.records import MONEY, NANO, Metric

Columns = dict[str, list[str] | list[int] | list[float]]
OPT_OUTS = (Metric.OPT_OUTS_PUSH, Metric.OPT_OUTS_EMAIL)
COUNTED = {"sends": (Metric.SENDS,), "opens": (Metric.OPENS,), "opt_outs": OPT_OUTS}
SEGMENT_OUTCOMES = ("sends", "opens", "opt_outs", "churns", "retained")
TIRED_SHARE = 0.1  # of the reference's sends count as sent to the tired
TIRED_FATIGUE = 1.0  # where the reference sends nothing: one push ago, not forgotten at all
EVERYBODY = ""  # the segment that stands for all


@dataclass(frozen=True)
class TiredLevel:
    """From which hidden fatigue on a receiver counts as tired.

    Attributes:
        fatigue: in push-equivalents; a send to more than this is one to a tired user.
        says: how it was found, for readers.
    """

    fatigue: float
    says: str


def tired_level(reference: str, watched: Watched | None) -> TiredLevel:
    """Return the level above which a tenth of a reference policy's sends went; 1 push-equivalent where it has none.

    Args:
        reference: its name.
        watched: its run; None: it is silent, or was not watched.
    """
    if watched is None or not len(watched.send_fatigue):
        says = f"hidden fatigue above {TIRED_FATIGUE:g} push-equivalent ({reference} sends nothing to measure by)"
        return TiredLevel(TIRED_FATIGUE, says)
    level = float(np.quantile(watched.send_fatigue.astype(np.float64), 1 - TIRED_SHARE))
    return TiredLevel(level, f"hidden fatigue above {level:.3g} push-equivalents: the most tired tenth of {reference}")


def day_columns(policy: str, watched: Watched) -> Columns:
    """Return `days`: one row a UTC day and segment, by day, then segment.

    Columns: policy, day, segment, users (of the segment, whenever they begin), present (at the day's midnight), sends,
    opens, opt_outs, value_eur (sums of that day, orders as they happened: the books know no other), fatigue (mean over
    the present, NaN where nobody is).
    """
    n_days, n_segments = watched.by_day.shape[:2]
    present = watched.by_day_of(Metric.PRESENT_DAYS)
    users = np.bincount(watched.segment, minlength=n_segments)
    fatigue = ratio(watched.by_day_of(Metric.FATIGUE_MICRO) / 1e6, present)
    return {
        "policy": [policy] * (n_days * n_segments),
        "day": np.repeat(np.arange(n_days), n_segments).tolist(),
        "segment": list(watched.segments) * n_days,
        "users": np.tile(users, n_days).tolist(),
        "present": present.ravel().tolist(),
        **{name: watched.by_day_of(*metrics).ravel().tolist() for name, metrics in COUNTED.items()},
        "value_eur": (watched.by_day_of(*MONEY) / NANO).ravel().tolist(),
        "fatigue": fatigue.ravel().tolist(),
    }


def hour_columns(policy: str, watched: Watched) -> Columns:
    """Return `hours`: one row a local hour of the day; columns policy, local_hour, sends, opens, opt_outs."""
    return {
        "policy": [policy] * 24,
        "local_hour": list(range(24)),
        **{name: watched.by_hour_of(*metrics).tolist() for name, metrics in COUNTED.items()},
    }


def segment_columns(
    policy: str, watched: Watched, evaluation: Evaluation, reference: Evaluation | None = None
) -> Columns:
    """Return `segments`: one row a segment; per user the mean of each outcome, and `<name>_se`, its standard error.

    Columns: policy, segment, users, then sends, opens, opt_outs, churns, retained, value_eur, each with its `_se`; then
    gain_eur, gain_low, gain_high: value over the reference, of the same users with the same luck; values with orders at
    their expectation. NaN where the segment has nobody, where an error would be of one user, and for gains without a
    reference.

    Args:
        reference: the run that gains are over.

    Raises:
        ValueError: evaluation and watched are not of the same run, or the reference is of other users.
    """
    _require_same_run(watched, evaluation)
    if reference is not None:
        require_same_users(evaluation, reference)
    groups = [watched.segment == k for k in range(len(watched.segments))]
    columns: Columns = {
        "policy": [policy] * len(groups),
        "segment": list(watched.segments),
        "users": [int(rows.sum()) for rows in groups],
    }
    amounts = {name: getattr(evaluation, name).astype(np.float64) for name in SEGMENT_OUTCOMES}
    amounts["value_eur"] = evaluation.expected_nano / NANO
    for name, each in amounts.items():
        means = [mean_of(each[rows]) for rows in groups]
        columns[name] = [mean.mean for mean in means]
        columns[f"{name}_se"] = [mean.standard_error for mean in means]
    gained = np.full(len(evaluation), np.nan)
    if reference is not None:
        gained = (evaluation.expected_nano - reference.expected_nano) / NANO
    gains = [mean_of(gained[rows]) for rows in groups]
    return columns | {
        "gain_eur": [gain.mean for gain in gains],
        "gain_low": [gain.low for gain in gains],
        "gain_high": [gain.high for gain in gains],
    }


def harm_columns(policy: str, watched: Watched, evaluation: Evaluation, level: TiredLevel) -> Columns:
    """Return `harm`: one row for everybody (segment ""), then one a segment.

    Columns: policy, segment, users, sends, night_sends (22:00 to 8:00 local), fatigued_sends (to receivers more tired
    than `level`), opt_outs: counts; exposure: sends per week and user present, NaN where nobody was.

    Raises:
        ValueError: evaluation and watched are not of the same run.
    """
    _require_same_run(watched, evaluation)
    n = len(watched.segments)
    present_days = np.bincount(watched.segment, evaluation.present_days, minlength=n)
    counts = {
        "users": np.bincount(watched.segment, minlength=n),
        "sends": np.bincount(watched.send_segment, minlength=n),
        "night_sends": np.bincount(watched.send_segment[watched.is_night_send], minlength=n),
        "fatigued_sends": np.bincount(watched.send_segment[watched.send_fatigue > level.fatigue], minlength=n),
        "opt_outs": watched.by_day_of(*OPT_OUTS).sum(axis=0),
    }
    with_all = {name: np.concatenate([[each.sum()], each]).astype(np.int64) for name, each in counts.items()}
    exposure = ratio(7 * with_all["sends"], np.concatenate([[present_days.sum()], present_days]))
    return {
        "policy": [policy] * (n + 1),
        "segment": [EVERYBODY, *watched.segments],
        **{name: each.tolist() for name, each in with_all.items()},
        "exposure": exposure.tolist(),
    }


def stacked(tables: Sequence[Mapping[str, Sequence[object]]]) -> dict[str, list[object]]:
    """Return tables of the same columns as one, in the order given.

    Raises:
        ValueError: their columns differ.
    """
    names = list(tables[0]) if tables else []
    for table in tables:
        if list(table) != names:
            raise ValueError(f"stacked: expected columns {', '.join(names)}; got {', '.join(table)}")
    return {name: [entry for table in tables for entry in table[name]] for name in names}


def mean_of(amounts: npt.NDArray[np.float64]) -> Estimate:
    """Return the mean of amounts, one a user, with its standard error; NaN where there are too few."""
    n = len(amounts)
    if n == 0:
        return Estimate(float("nan"), float("nan"))
    error = float(amounts.std(ddof=1)) / float(np.sqrt(n)) if n > 1 else float("nan")
    return Estimate(float(amounts.mean()), error)


def _require_same_run(watched: Watched, evaluation: Evaluation) -> None:
    users, sends = len(watched.segment), len(watched.send_segment)
    if users != len(evaluation) or sends != evaluation.sends.sum():
        raise ValueError(
            f"{evaluation.agent!r}: expected what was watched of its own {len(evaluation)} users and "
            f"{evaluation.sends.sum()} sends, got {users} users and {sends} sends"
        )
