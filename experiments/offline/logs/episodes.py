"""Whole episodes from a table by its mapping, or from our own ledger: what sequential estimators read.

log = read_trajectories("log.parquet", load_mapping("log.yaml"), discount_per_day=0.99)
log, told = ledger_trajectories(Path("results/log"))
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from experiments.offline.logs.faults import LogError, rows_that_are
from experiments.offline.logs.logged import Bools, Floats, Ints
from experiments.offline.logs.mapping import LogMapping
from experiments.offline.logs.tables import ROW, decisions_of, identities, in_table, numbers_of, rounds_of, vocabulary
from experiments.offline.logs.trajectories import LoggedTrajectories
from policies.ledger import read_decisions, read_endings

HOURS_A_DAY = 24.0
COLUMNS = (
    "episode_id", "user_id", "step", "elapsed_hours", "eligible", "probabilities", "action", "propensity", "features",
    "reward", "terminated",
)  # fmt: skip


def read_trajectories(
    source: str | os.PathLike[str] | Any, mapping: LogMapping, discount_per_day: float = 1.0
) -> LoggedTrajectories:
    """Return a table's episodes.

    The hours from a decision to the next come from the column of time. After an episode's last decision nobody knows
    them: they are taken to be the median of the log; without a column of time every step counts one hour.

    Args:
        source: as of `tables.read_log`; rows of an episode lie together, in the order of time.
        mapping: which column is what, with an `episode`.
        discount_per_day: what a reward is worth that comes a day later, in (0, 1].

    Raises:
        LogError: as `tables.read_log`; the mapping has no episode; an episode comes back, or runs backwards in time; an
            episode goes on after the user left.
        FileNotFoundError: there is no such file.
    """
    about = mapping.episode_column
    if about is None:
        raise LogError(["episode: expected the column that says whose episode a row is, got none in the mapping"])
    table = decisions_of(source, mapping)
    frame = table.collect()
    rounds = rounds_of(frame, mapping, *vocabulary(table, mapping))
    faults: list[str] = []
    episodes = identities(frame[about.column], about.column, faults, "an episode")
    is_last = np.append(episodes[1:] != episodes[:-1], True)
    faults += _coming_back(episodes, is_last, about.column, frame)
    if rounds.users is not None and mapping.user is not None:
        users, first = frame[mapping.user], np.arange(len(rounds)) - _steps(is_last)
        faults += rows_that_are(
            rounds.users != rounds.users[first], mapping.user, "the same user through an episode",
            lambda row: f"{users[row]!r}, and it began with {users[int(first[row])]!r}",
        )  # fmt: skip
    ends = np.zeros(len(rounds), np.bool_)
    if about.terminated is not None:
        ends = numbers_of(frame[about.terminated], about.terminated, faults) != 0.0
        faults += rows_that_are(
            ends & ~is_last, about.terminated, "false before an episode's last row",
            lambda row: f"true, and the episode goes on in row {frame[ROW][row + 1]}",
        )  # fmt: skip
    elapsed = None
    if rounds.hours is not None and mapping.time_column is not None:
        elapsed = _until_next(rounds.hours, is_last, mapping.time_column.column, faults)
    if faults:
        raise LogError(in_table(faults, frame[ROW].to_numpy()))
    try:
        return LoggedTrajectories(
            rounds.actions, rounds.rewards, rounds.action_names, _context(rounds.context, len(rounds)), rounds.features,
            episodes, _steps(is_last), is_terminated=ends, is_truncated=is_last & ~ends,
            propensities=rounds.propensities, probabilities=rounds.probabilities, eligible=rounds.eligible,
            elapsed_hours=elapsed, users=rounds.users, discount_per_hour=discount_per_day ** (1.0 / HOURS_A_DAY),
        )  # fmt: skip
    except LogError as error:
        raise LogError(in_table(error.faults, frame[ROW].to_numpy())) from None


def ledger_trajectories(folder: Path, discount_per_day: float = 1.0) -> tuple[LoggedTrajectories, tuple[str, ...]]:
    """Return a ledger's episodes, with all decisions, and what was left out, in words.

    A decision in which only silence was eligible is one without a choice, of ratio 1 under every policy. An episode
    whose first decisions, or some between, are not in the ledger has no known beginning or product: it is left out.

    Args:
        folder: of the ledger.
        discount_per_day: what a reward is worth that comes a day later, in (0, 1].

    Raises:
        LedgerError: it is damaged, or no ledger.
        LogError: no decision is left, with what was left out; a reward is missing before an episode's last decision.
    """
    rows = read_decisions(folder, COLUMNS)
    arrays = rows.arrays()
    order = np.lexsort((arrays["step"], arrays["episode_id"]))
    read = {name: values[order] for name, values in arrays.items()}
    told = []
    is_whole = _whole(read["episode_id"], read["step"])
    if not is_whole.all():
        n, of = (len(np.unique(ids)) for ids in (read["episode_id"][~is_whole], read["episode_id"]))
        told.append(
            f"{n:,} of {of:,} episodes are left out: their first decisions, or some between, are not in the ledger."
        )
        read = {name: values[is_whole] for name, values in read.items()}
    if not is_whole.any():
        raise LogError([*told, "decisions: expected at least one of an episode that is whole, got none"])
    episodes = read["episode_id"].view(np.int64)
    is_last = np.append(episodes[1:] != episodes[:-1], True)
    # A decision's own column has the hours since the one before it.
    elapsed = np.append(read["elapsed_hours"][1:], np.nan)
    elapsed[is_last] = _after_last(folder, read["episode_id"][is_last])
    is_known = np.isfinite(read["reward"])
    faults = rows_that_are(
        ~is_known & ~is_last, "reward", "a number before an episode's last decision",
        lambda row: f"nothing at step {read['step'][row]} of episode {read['episode_id'][row]}",
    )  # fmt: skip
    if faults:
        raise LogError(faults)
    read = {name: values[is_known] for name, values in read.items()}
    episodes, elapsed = episodes[is_known], elapsed[is_known]
    if not len(episodes):
        raise LogError(["reward: expected decisions whose reward is known, got none"])
    is_last = np.append(episodes[1:] != episodes[:-1], True)
    unknown = ~np.isfinite(elapsed)
    elapsed[unknown] = _median(elapsed[~unknown])
    ends = read["terminated"].astype(np.bool_)
    log = LoggedTrajectories(
        read["action"], read["reward"], rows.header.actions, read["features"].astype(np.float64), rows.header.features,
        episodes, _steps(is_last), is_terminated=ends, is_truncated=is_last & ~ends, propensities=read["propensity"],
        probabilities=read["probabilities"], eligible=read["eligible"], elapsed_hours=elapsed,
        users=read["user_id"].view(np.int64), discount_per_hour=discount_per_day ** (1.0 / HOURS_A_DAY),
    )  # fmt: skip
    if n := int((~is_known).sum()):
        told.append(f"{n:,} of {len(is_known):,} decisions are left out: their reward was not known yet.")
    return log, tuple(told)


def _whole(episodes: Any, steps: Any) -> Bools:
    """Return whether the episode of each row has the steps 0, 1, 2, ...; rows in the order of episode and step."""
    if not len(episodes):
        return np.zeros(0, np.bool_)
    is_last = np.append(episodes[1:] != episodes[:-1], True)
    episode_of = np.cumsum(is_last) - is_last
    return np.asarray(np.bincount(episode_of, steps != _steps(is_last))[episode_of] == 0.0, np.bool_)


def _after_last(folder: Path, episodes: Any) -> Floats:
    """Return the hours from each episode's last decision to its end; NaN where its end was not seen."""
    read = read_endings(folder, ("episode_id", "elapsed_hours")).arrays()
    order = np.argsort(read["episode_id"])
    known, hours = read["episode_id"][order], read["elapsed_hours"][order]
    found = np.full(len(episodes), np.nan)
    if len(known):
        at = np.minimum(np.searchsorted(known, episodes), len(known) - 1)
        found = np.where(known[at] == episodes, hours[at], np.nan)
    return found


def _until_next(hours: Floats, is_last: Bools, column: str, faults: list[str]) -> Floats:
    """Return the hours from each row to its episode's next; of the last rows the median of the others."""
    following = np.append(hours[1:], 0.0)
    found = np.where(is_last, 0.0, following - hours)
    faults += rows_that_are(
        np.append(False, found[:-1] < 0.0), column, "not before the episode's row above",
        lambda row: f"{-found[row - 1]:g} hours before it",
    )  # fmt: skip
    found[is_last] = _median(found[~is_last])
    return np.maximum(found, 0.0)


def _coming_back(episodes: Ints, is_last: Bools, column: str, frame: pl.DataFrame) -> list[str]:
    """Return where an episode begins again that had ended."""
    begins = np.insert(is_last[:-1], 0, True)
    _, first, code = np.unique(episodes, return_index=True, return_inverse=True)
    return rows_that_are(
        begins & (first[code] != np.arange(len(episodes))), column, "all rows of an episode together",
        lambda row: f"{frame[column][row]!r} again, which began in row {frame[ROW][int(first[code[row]])]}",
    )  # fmt: skip


def _median(hours: Floats) -> float:
    return float(np.median(hours)) if len(hours) else 1.0


def _steps(is_last: Bools) -> Ints:
    """Return 0, 1, 2, ... within each episode."""
    n = len(is_last)
    starts = np.append(0, np.flatnonzero(is_last)[:-1] + 1)
    lengths = np.diff(np.append(starts, n))
    return np.asarray(np.arange(n) - np.repeat(starts, lengths), np.int64)


def _context(context: Floats | None, n: int) -> Floats:
    return np.zeros((n, 0)) if context is None else context
