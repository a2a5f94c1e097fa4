"""What a run came to, as tables: `measures/*.parquet` and `users/*.parquet`, the same bytes for the same run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from experiments.compare import Estimate
from experiments.evaluation.outcomes import ARRAYS, Evaluation
from experiments.evaluation.watched_tables import (
    day_columns,
    harm_columns,
    hour_columns,
    mean_of,
    segment_columns,
    stacked,
    tired_level,
)
from experiments.results import whole_file
from experiments.run.folder import MEASURES, USERS
from experiments.run.stages.contenders import ORACLE, Ready
from experiments.run.stages.evaluating import Judged
from simulator.records import NANO

Floats = npt.NDArray[np.float64]

# Each outcome, per user over the whole run: its unit, and from an evaluation its numerator and its denominator.
OUTCOMES: Mapping[str, str] = {
    "value_eur": "EUR a user, orders at their expectation",
    "realised_eur": "EUR a user, orders as they happened",
    "sends": "a user",
    "opens": "a user",
    "clicks": "a user",
    "sessions": "a user",
    "opt_outs": "a user",
    "churns": "share of users who left",
    "retained": "share of users with a session in the last 28 days",
    "satisfaction": "mean answer, 0 to 1",
    "sends_per_user_week": "a week and user present",
}


def write_measures(folder: Path, reference: str, contenders: Sequence[Ready], runs: Mapping[str, Judged]) -> None:
    """Write all tables that come from the evaluation and from trainings' curves.

    Args:
        folder: of the run.
        reference: the contender that differences are from.
        contenders: in their order.
        runs: by name.
    """
    kinds = {contender.name: contender.kind for contender in contenders}
    level = tired_level(reference, runs[reference].watched)
    write_table(folder, "outcomes", outcome_columns(runs, kinds, reference))
    pairs = list(runs.items())
    write_table(folder, "days", stacked([day_columns(name, run.watched) for name, run in pairs]))
    write_table(folder, "hours", stacked([hour_columns(name, run.watched) for name, run in pairs]))
    base = runs[reference].evaluation
    segments = stacked(
        [segment_columns(name, run.watched, run.evaluation, None if name == reference else base) for name, run in pairs]
    )
    write_table(folder, "segments", segments)
    harm = stacked([harm_columns(name, run.watched, run.evaluation, level) for name, run in pairs])
    write_table(folder, "harm", harm, {"fatigued_sends": level.says})
    write_table(folder, "curves", curve_columns(contenders, runs, reference))
    for name, run in pairs:
        evaluation = run.evaluation
        columns: dict[str, Any] = {each: getattr(evaluation, each) for each in ARRAYS}
        about = {"scenario": evaluation.scenario, "seed": str(evaluation.seed), "n_days": str(evaluation.n_days)}
        write_parquet(folder / USERS / f"{name}.parquet", columns, about)


def outcome_columns(runs: Mapping[str, Judged], kinds: Mapping[str, str], reference: str) -> dict[str, list[Any]]:
    """Return one row a contender and outcome: mean, interval, and the paired difference to the reference."""
    rows: dict[str, list[Any]] = {
        name: []
        for name in (
            "policy", "kind", "outcome", "unit", "mean", "standard_error", "low", "high", "difference",
            "difference_low", "difference_high",
        )
    }  # fmt: skip
    for name, run in runs.items():
        for outcome, unit in OUTCOMES.items():
            ours, theirs = terms(run.evaluation, outcome), terms(runs[reference].evaluation, outcome)
            found = _ratio(*ours)
            apart = None if name == reference else difference_of(ours, theirs)
            row = (
                name, kinds[name], outcome, unit, found.mean, found.standard_error, found.low, found.high,
                *((None, None, None) if apart is None else (apart.mean, apart.low, apart.high)),
            )  # fmt: skip
            for column, value in zip(rows.values(), row, strict=True):
                column.append(None if value is None or value != value else value)
    return rows


def terms(evaluation: Evaluation, outcome: str) -> tuple[Floats, Floats]:
    """Return an outcome's numerator and denominator by user, each of shape (U,); the outcome is sum / sum."""
    one = np.ones(len(evaluation))
    match outcome:
        case "value_eur":
            return evaluation.expected_nano / NANO, one
        case "realised_eur":
            return evaluation.value_nano / NANO, one
        case "satisfaction":
            return evaluation.satisfaction_milli / 1000.0, evaluation.surveys.astype(np.float64)
        case "sends_per_user_week":
            return 7.0 * evaluation.sends.astype(np.float64), evaluation.present_days.astype(np.float64)
    return getattr(evaluation, outcome).astype(np.float64), one


def difference_of(ours: tuple[Floats, Floats], theirs: tuple[Floats, Floats]) -> Estimate:
    """Return the difference of two outcomes of the same users, its error by linearisation of both ratios.

    Source: Cochran, Sampling Techniques (1977), section 6.3, as `experiments.compare.mean_ratio`.
    """
    (share, ours_by_user), (other, theirs_by_user) = _linearised(*ours), _linearised(*theirs)
    return Estimate(share - other, mean_of(ours_by_user - theirs_by_user).standard_error)


def curve_columns(contenders: Sequence[Ready], runs: Mapping[str, Judged], reference: str) -> dict[str, list[Any]]:
    """Return one row an evaluation of a training: EUR a user over silence, on the training's own held-out users.

    Where silence takes part, last rows have what the reference brings over it, and the best of those who see the
    hidden state, `oracle`, on the experiment's users.
    """
    rows: dict[str, list[Any]] = {name: [] for name in ("contender", "step", "value_eur", "low", "high")}

    def add(*row: Any) -> None:
        for column, value in zip(rows.values(), row, strict=True):
            column.append(value)

    for contender in contenders:
        if contender.curve is not None:
            columns = ("n_steps", "over_silence_eur", "over_silence_low", "over_silence_high")
            for n_steps, value, low, high in zip(*map(contender.curve.column, columns), strict=True):
                add(contender.name, int(n_steps), float(value), float(low), float(high))
    silent = next((contender.name for contender in contenders if contender.kind == "silence"), None)
    if silent is None:
        return rows

    def over_silence(name: str) -> Estimate:
        return difference_of(terms(runs[name].evaluation, "value_eur"), terms(runs[silent].evaluation, "value_eur"))

    levels = {} if reference == silent else {"reference": over_silence(reference)}
    oracles = [over_silence(contender.name) for contender in contenders if contender.kind == ORACLE]
    levels |= {ORACLE: max(oracles, key=lambda gain: gain.mean)} if oracles else {}
    for level, gain in levels.items():
        add(level, None, gain.mean, gain.low, gain.high)
    return rows


def write_table(
    folder: Path, name: str, columns: Mapping[str, Sequence[Any]], about: Mapping[str, str] | None = None
) -> None:
    """Write a table of measures.

    Args:
        folder: of the run.
        name: of the table.
        columns: by name.
        about: kept in the file's metadata.
    """
    write_parquet(folder / MEASURES / f"{name}.parquet", columns, about)


def write_parquet(path: Path, columns: Mapping[str, Any], about: Mapping[str, str] | None = None) -> None:
    """Write columns as Parquet; NaN stays, None is null; a column of None alone is of floats."""
    arrays = {name: pa.array(values) for name, values in columns.items()}
    arrays = {
        name: array.cast(pa.string() if name in WORDS else pa.float64()) if pa.types.is_null(array.type) else array
        for name, array in arrays.items()
    }
    table = pa.table(arrays)
    if about:
        table = table.replace_schema_metadata(dict(about))
    with whole_file(path) as partial:
        pq.write_table(table, partial)


WORDS = ("policy", "contender", "segment", "outcome", "unit", "kind", "estimator", "refused")


def _ratio(numerators: Floats, denominators: Floats) -> Estimate:
    share, by_user = _linearised(numerators, denominators)
    return Estimate(share, mean_of(by_user).standard_error)


def _linearised(numerators: Floats, denominators: Floats) -> tuple[float, Floats]:
    """Return sum / sum, and each user's part in its error: (y - R x) / mean(x), shape (U,); NaN where all x are 0."""
    total = float(denominators.sum())
    if not total:
        return float("nan"), np.full(len(numerators), np.nan)
    share = float(numerators.sum()) / total
    return share, (numerators - share * denominators) / (total / len(numerators))
