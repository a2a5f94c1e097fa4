"""Logs from tables: Parquet, CSV or any data frame, by a column mapping; part by part where memory is short.

    rounds = read_log("log.parquet", load_mapping("log.yaml"))
    for rounds in read_parts("log.parquet", mapping): ...

Nothing is dropped: a row without an action, a text where a number belongs, a category that another part did not have,
each is a fault with its row and column.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from collections.abc import Mapping as Map
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from experiments.offline.logs.faults import LogError, rows_that_are
from experiments.offline.logs.logged import Bools, Floats, LoggedRounds
from experiments.offline.logs.mapping import EligibleList, Feature, LogMapping, Time
from experiments.offline.targets import uniform
from simulator.config import did_you_mean

try:
    import polars as pl
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        'reading logs needs Polars, which comes with the extra "offline": pip install "kairos-notify[offline]"'
    ) from error

ROWS_A_PART = 1_000_000
ROW = "number of the row"
SECOND = "_duplicated_0"
_ROW_TOLD = re.compile(r"(^row |, and row )(\d+)(?=: | has )")
HOURS = {"hours": 1.0, "days": 24.0, "seconds": 1.0 / 3600.0}
SUFFIXES = (".parquet", ".csv", ".csv.gz", ".tsv")


def read_log(source: str | os.PathLike[str] | Any, mapping: LogMapping) -> LoggedRounds:
    """Return a whole table as a log.

    Args:
        source: path of a Parquet or CSV file (`.csv.gz`, too), or a data frame of Polars, pandas or Arrow.
        mapping: which column is what.

    Raises:
        LogError: missing columns, values of other types, or whatever `LoggedRounds` finds; all at once of each sort.
        FileNotFoundError: there is no such file.
    """
    table = decisions_of(source, mapping)
    return rounds_of(table.collect(), mapping, *vocabulary(table, mapping))


def read_parts(
    source: str | os.PathLike[str] | Any, mapping: LogMapping, rows: int = ROWS_A_PART
) -> Iterator[LoggedRounds]:
    """Yield a table as logs of so many rows, in its order; actions and categories are those of the whole table.

    Time that runs backwards, and users, are seen within a part alone.

    Args:
        source, mapping: as of `read_log`.
        rows: in a part, at least 1.
    """
    table = decisions_of(source, mapping)
    names, categories = vocabulary(table, mapping)
    n = int(table.select(pl.len()).collect(engine="streaming").item())
    for start in range(0, n, rows):
        yield rounds_of(table.slice(start, rows).collect(), mapping, names, categories)


def vocabulary(table: Any, mapping: LogMapping) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]]]:
    """Return the names of the actions, and the values of each category, sorted."""
    action = mapping.action_column
    wanted = {feature.column for feature in mapping.feature_columns if feature.kind == "category"}
    values = {
        column: tuple(
            table.select(pl.col(column).cast(pl.String).unique().sort())
            .collect(engine="streaming")[column]
            .drop_nulls()
        )
        for column in sorted(wanted | (set() if action.names else {action.column}))
    }
    return action.names or values[action.column], {column: values[column] for column in sorted(wanted)}


def rounds_of(
    frame: pl.DataFrame,
    mapping: LogMapping,
    action_names: tuple[str, ...],
    categories: dict[str, tuple[str, ...]],
) -> LoggedRounds:
    """Return a frame's rows as a log; see `read_log`.

    Args:
        frame: with the mapping's columns, and each row's number in the whole table, for messages.
        mapping: which is what.
        action_names, categories: of the whole table.
    """
    if not len(frame):
        which = " that `where` leaves" if mapping.where else ""
        raise LogError([f"expected a table with at least one row{which}, got none"])
    numbers_of_rows = frame[ROW].to_numpy()
    faults: list[str] = []

    def numbers(column: str) -> Floats:
        return numbers_of(frame[column], column, faults)

    action = mapping.action_column
    actions = _codes(frame[action.column], action.column, action_names, faults)
    context, features = _context(frame, mapping.feature_columns, categories, faults)
    arrays: dict[str, Any] = {
        "rewards": numbers(mapping.reward),
        "propensities": None if mapping.propensity is None else numbers(mapping.propensity),
        "probabilities": _by_action(mapping.probability_of, action_names, len(frame), "probabilities", numbers, faults),
        "eligible": _eligible(frame, mapping, action_names, numbers, faults),
        "users": None if mapping.user is None else identities(frame[mapping.user], mapping.user, faults),
        "hours": None if mapping.time_column is None else _hours(frame, mapping.time_column, faults),
        "segments": {name: frame[name].cast(pl.String).fill_null("(none)").to_numpy() for name in mapping.segments},
    }
    if faults:
        raise LogError(in_table(faults, numbers_of_rows))
    try:
        rounds = LoggedRounds(actions, action_names=action_names, context=context, features=features, **arrays)
        return _uniformly_drawn(rounds) if mapping.probabilities == "uniform" else rounds
    except LogError as error:
        raise LogError(_by_column(in_table(error.faults, numbers_of_rows), mapping)) from None


def _by_column(faults: Sequence[str], mapping: LogMapping) -> list[str]:
    """Return messages in which the table's own names stand for what a log calls its columns."""
    time = mapping.time_column
    called = {
        "action": mapping.action_column.column,
        "reward": mapping.reward,
        "propensity": mapping.propensity,
        "hours": None if time is None else time.column,
    }
    found = list(faults)
    for name, column in called.items():
        if column is not None and column != name:
            found = [re.sub(rf"^(row \d+: ){name}: ", rf"\g<1>{column} ({name}): ", fault) for fault in found]
    return found


def _uniformly_drawn(rounds: LoggedRounds) -> LoggedRounds:
    """Return a log with the probabilities that it was drawn by; those that it tells must agree."""
    probabilities = uniform(rounds)
    replace(rounds, probabilities=probabilities)  # raises where the propensities are other ones
    exact = probabilities[np.arange(len(rounds)), rounds.actions]
    return replace(rounds, probabilities=probabilities, propensities=exact)


def _lazy(source: Any) -> Any:
    """Return a lazy frame of whatever was given."""
    if isinstance(source, pl.LazyFrame):
        return source
    if isinstance(source, pl.DataFrame):
        return source.lazy()
    if not isinstance(source, str | os.PathLike):
        if type(source).__module__.partition(".")[0] == "pandas":
            return pl.from_pandas(source).lazy()
        return pl.DataFrame(source).lazy()
    path = Path(source)
    if path.name.endswith(".parquet") or path.is_dir():
        pattern = path / "*.parquet" if path.is_dir() else path
        if not path.exists():
            raise FileNotFoundError(f"{path}: no such file")
        return pl.scan_parquet(pattern)
    if not path.name.endswith(SUFFIXES):
        raise LogError([f"{path}: expected a file that ends in {', '.join(SUFFIXES)}, or a folder of Parquet files"])
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file")
    # All rows decide what a column holds: a text in row one million would else be an error without a name.
    separator = "\t" if path.name.endswith(".tsv") else ","
    return pl.scan_csv(path, separator=separator, infer_schema_length=None)


def decisions_of(source: Any, mapping: LogMapping) -> Any:
    """Return the rows that are decisions, lazily: the mapping's columns, and each row's number as `ROW`."""
    table = _lazy(source)
    _require_columns(table, mapping)
    table = table.select(sorted(set(mapping.columns().values()))).with_row_index(ROW)
    return table.filter(_is_decision(table, mapping)) if mapping.where else table


def left_out(source: str | os.PathLike[str] | Any, mapping: LogMapping) -> tuple[str, ...]:
    """Return, in words, how many rows `where` leaves out; nothing where it is empty.

    Args:
        source, mapping: as of `read_log`.
    """
    if not mapping.where:
        return ()
    table = _lazy(source)
    _require_columns(table, mapping)
    is_kept = _is_decision(table, mapping)
    n, n_kept = table.select(pl.len(), is_kept.sum().alias("kept")).collect(engine="streaming").row(0)
    told = " and ".join(f"{column} is {_plain(value)}" for column, value in mapping.where.items())
    return (f"{n - n_kept:,} of {n:,} rows are left out: decisions are those where {told}.",)


def _is_decision(table: Any, mapping: LogMapping) -> Any:
    """Return the expression that is true where a row is a decision.

    Raises:
        LogError: a value that no row has.
    """
    types, tests, faults = table.collect_schema(), [], []
    for column, value in mapping.where.items():
        is_number = types[column].is_numeric() and not isinstance(value, str)
        texts = pl.col(column).cast(pl.String).str.to_lowercase()
        test = pl.col(column) == float(value) if is_number else texts == _plain(value).lower()
        tests.append(test.fill_null(value=False))
        if not table.select(tests[-1].any()).collect(engine="streaming").item():
            there = table.select(pl.col(column).cast(pl.String).unique().sort()).head(12).collect()[column].drop_nulls()
            faults.append(
                f"where.{column}: expected a value that occurs, got {_plain(value)}; there are {_some(there)}"
            )
    if faults:
        raise LogError(faults)
    return pl.all_horizontal(tests)


def _plain(value: str | bool | float) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else value


def _require_columns(table: Any, mapping: LogMapping) -> None:
    """Raise a LogError that names every column which the mapping has and the table has not."""
    there = table.collect_schema().names()
    faults = [
        f"{where}: no column {column!r} in the table.{did_you_mean(column, there) or f' It has: {_some(there)}.'}"
        for where, column in mapping.columns().items()
        if column not in there
    ]
    # Polars calls the second of two columns of one name so; which of them was meant, nobody can tell.
    faults += [
        f"{where}: column {column!r} is there more than once"
        for where, column in mapping.columns().items()
        if f"{column}{SECOND}" in there
    ]
    if faults:
        raise LogError(faults)


def numbers_of(values: pl.Series, column: str, faults: list[str]) -> Floats:
    """Return a column as numbers; text that is a number counts as one, anything else is a fault."""
    if values.dtype == pl.Boolean or values.dtype.is_numeric():
        found = values.cast(pl.Float64)
    elif values.dtype == pl.String:
        found = values.str.strip_chars().cast(pl.Float64, strict=False)
    else:
        faults.append(f"{column}: expected numbers, got {values.dtype}")
        return np.zeros(len(values))
    is_wrong = found.is_null().to_numpy()
    faults += rows_that_are(is_wrong, column, "a number", lambda row: _shown(values[row]))
    return found.fill_null(0.0).to_numpy().copy()


def _codes(values: pl.Series, column: str, names: Sequence[str], faults: list[str]) -> npt.NDArray[np.int64]:
    """Return the index of each value among some names."""
    texts = values.cast(pl.String)
    codes = texts.replace_strict(list(names), list(range(len(names))), default=None, return_dtype=pl.Int64)
    is_wrong = codes.is_null().to_numpy()
    hint = names if len(names) <= 12 else [*names[:12], "..."]
    faults += rows_that_are(is_wrong, column, f"one of {', '.join(hint)}", lambda row: _shown(texts[row]))
    return codes.fill_null(0).to_numpy().copy()


def _context(
    frame: pl.DataFrame, features: Sequence[Feature], categories: dict[str, tuple[str, ...]], faults: list[str]
) -> tuple[Floats | None, tuple[str, ...]]:
    columns: list[Floats] = []
    names: list[str] = []
    for feature in features:
        if feature.kind == "number":
            columns.append(numbers_of(frame[feature.column], feature.column, faults))
            names.append(feature.column)
            continue
        codes = _codes(frame[feature.column], feature.column, categories[feature.column], faults)
        columns += [(codes == k).astype(np.float64) for k in range(len(categories[feature.column]))]
        names += [f"{feature.column} = {value}" for value in categories[feature.column]]
    return (np.column_stack(columns), tuple(names)) if columns else (None, ())


def _by_action(
    columns: Map[str, str | float], action_names: Sequence[str], n_rows: int, what: str, numbers: Any, faults: list[str]
) -> Floats | None:
    if not columns:
        return None
    if missing := sorted(set(action_names) - columns.keys()):
        faults.append(f"{what}: expected a column for each action, got none for {', '.join(map(repr, missing))}")
    if unknown := sorted(columns.keys() - set(action_names)):
        hint = did_you_mean(unknown[0], action_names)
        faults.append(f"{what}: expected actions of the log, got {unknown[0]!r}.{hint}")
    if missing or unknown:
        return None
    of = [columns[name] for name in action_names]
    return np.column_stack([numbers(each) if isinstance(each, str) else np.full(n_rows, each) for each in of])


def _eligible(
    frame: pl.DataFrame, mapping: LogMapping, action_names: Sequence[str], numbers: Any, faults: list[str]
) -> Bools | None:
    if mapping.eligible is None:
        return None
    if not isinstance(mapping.eligible, EligibleList):
        found = _by_action(mapping.eligible, action_names, len(frame), "eligible", numbers, faults)
        return None if found is None else found != 0
    column, separator = mapping.eligible.column, mapping.eligible.separator
    listed = frame[column]
    if listed.dtype != pl.List:
        texts = listed.cast(pl.String).fill_null("")
        listed = texts.str.split(separator) if separator else texts.str.split("")
    columns = [listed.list.contains(name).fill_null(value=False).to_numpy() for name in action_names]
    n_known = np.sum(columns, axis=0)
    n_listed = listed.list.eval(pl.element().filter(pl.element() != "")).list.n_unique().fill_null(0).to_numpy()
    faults += rows_that_are(
        n_known != n_listed,
        column,
        f"actions of the log ({_some(action_names)})",
        lambda row: _shown(frame[column][row]),
    )
    return np.column_stack(columns)


def identities(values: pl.Series, column: str, faults: list[str], expected: str = "a user") -> npt.NDArray[np.int64]:
    """Return whole numbers that are the same for the same user, or episode, in every part of a table."""
    is_wrong = values.is_null().to_numpy()
    faults += rows_that_are(is_wrong, column, expected, lambda row: _shown(values[row]))
    if values.dtype.is_integer():
        return values.fill_null(0).cast(pl.Int64).to_numpy().copy()
    # 62 bits of a hash: two of ten million users share one with a probability of one in a hundred thousand.
    return (values.cast(pl.String).fill_null("").hash(0) // 4).cast(pl.Int64).to_numpy().copy()


def _hours(frame: pl.DataFrame, time: Time, faults: list[str]) -> Floats:
    values = frame[time.column]
    if time.unit != "timestamp":
        return numbers_of(values, time.column, faults) * HOURS[time.unit]
    texts = values
    if values.dtype == pl.String:
        values = values.str.to_datetime(strict=False, time_unit="us", time_zone="UTC")
    if not values.dtype.is_temporal():
        faults.append(f"{time.column}: expected dates and times, got {values.dtype}; see `unit` in the mapping")
        return np.zeros(len(values))
    is_wrong = values.is_null().to_numpy()
    expected = "a date and time such as 2026-11-26 08:30:00"
    faults += rows_that_are(is_wrong, time.column, expected, lambda row: _shown(texts[row]))
    return values.cast(pl.Datetime("us")).dt.epoch("us").fill_null(0).to_numpy() / 3.6e9


def in_table(faults: Sequence[str], numbers: npt.NDArray[Any]) -> list[str]:
    """Return messages with the rows' numbers in the whole table; `numbers` has them by place in the frame."""
    return [_ROW_TOLD.sub(lambda found: f"{found[1]}{numbers[int(found[2])]}", fault) for fault in faults]


def _shown(value: object) -> str:
    return "nothing" if value is None else repr(value)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
