"""Logs as `kairos evaluate` is given them: a ledger's folder, or a table and its mapping; as rounds or as episodes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import click

from experiments.offline.logs.episodes import ledger_trajectories, read_trajectories
from experiments.offline.logs.ledgers import is_ledger, ledger_rounds
from experiments.offline.logs.logged import LoggedRounds
from experiments.offline.logs.mapping import LogMapping, load_mapping
from experiments.offline.logs.tables import left_out, read_log
from experiments.offline.logs.trajectories import LoggedTrajectories
from experiments.offline.models.propensities import with_propensities
from experiments.offline.quality.calibration import Calibration
from experiments.run_options import with_options


class Read(NamedTuple):
    """A log as it was asked for.

    Attributes:
        rounds: its decisions, with propensities.
        episodes: the same decisions as episodes; None where these were not asked for.
        name: of the log.
        warnings: what was left out, and what was estimated.
        calibration: how estimated propensities came true, by action; empty: they were logged.
        refusals: why nothing can be judged by it; empty: something can.
        is_in_order: whether decisions stand as they were written; a ledger's episodes do not.
    """

    rounds: LoggedRounds
    episodes: LoggedTrajectories | None
    name: str
    warnings: tuple[str, ...]
    calibration: dict[str, Calibration]
    refusals: tuple[str, ...] = ()
    is_in_order: bool = True


def read_as_asked(
    log: Path, mapping: str | None, settings: tuple[str, ...], discount_per_day: float | None = None
) -> Read:
    """Return a log.

    Args:
        log: a table's file or folder, or a ledger's folder.
        mapping: of a table, as `load_mapping` takes it.
        settings: written over the mapping.
        discount_per_day: for episodes, in (0, 1]; None: rounds.

    Raises:
        click.UsageError: a mapping for a ledger, or none for a table.
        ValueError, OSError: as the readers'.
    """
    if is_ledger(log):
        if mapping is not None:
            raise click.UsageError("--mapping: a ledger says itself what its columns are; leave the option out.")
        if discount_per_day is None:
            rounds, told = ledger_rounds(log)
            return Read(rounds, None, log.name, told, {})
        episodes, told = ledger_trajectories(log, discount_per_day)
        return Read(episodes.to_rounds(), episodes, log.name, told, {}, is_in_order=False)
    if mapping is None:
        raise click.UsageError(
            f"--mapping: expected one, since {log} is no ledger: a YAML file, or a name of configs/logs."
        )
    about: LogMapping = with_options(load_mapping, mapping, {}, settings)
    whole = None if discount_per_day is None else read_trajectories(log, about, discount_per_day)
    rounds = read_log(log, about) if whole is None else whole.to_rounds()
    told, name = left_out(log, about), about.name or log.name
    if rounds.propensities is not None:
        return Read(rounds, whole, name, told, {})
    estimated = with_propensities(rounds)
    rounds = estimated.rounds
    if whole is not None:
        whole = replace(whole, propensities=rounds.propensities, probabilities=rounds.probabilities)
    return Read(rounds, whole, name, told + estimated.warnings, estimated.calibration, estimated.refusals)
