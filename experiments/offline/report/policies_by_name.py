"""Target policies as people name them: `uniform`, `always:push`, a policy document, or a table of probabilities."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from experiments.offline.logs.faults import LogError
from experiments.offline.logs.logged import Floats, LoggedRounds
from experiments.offline.targets import always, logging, uniform
from simulator.config import did_you_mean

KNOWN = (
    "uniform",
    "logging",
    "always:ACTION",
    "a policy document (.json)",
    "a table of probabilities (.csv, .parquet)",
)


def named_target(name: str, rounds: LoggedRounds, *, is_in_order: bool = True) -> Floats:
    """Return a policy's probabilities in each round, shape (N, A).

    Args:
        name: `uniform` over what is eligible; `logging`, the log's own; `always:ACTION`; the path of a policy document,
            for a log whose features and actions are the vocabulary's; or of a table with a column for each action and
            a row for each round.
        rounds: the log.
        is_in_order: whether rounds stand as they were written; else the rows of a table would be taken for others'.

    Raises:
        ValueError, LogError: none of these, or it does not fit the log; the message says what was expected.
    """
    if name == "uniform":
        return uniform(rounds)
    if name == "logging":
        return logging(rounds)
    if name.startswith("always:"):
        return always(rounds, name.removeprefix("always:"))
    if name.endswith(".json"):
        return _of_document(Path(name), rounds)
    if name.endswith((".csv", ".parquet")):
        if not is_in_order:
            raise ValueError(
                f"policy {name!r}: expected a policy document, or a name: a ledger's episodes are in another order "
                f"than its decisions, so a table's rows would be taken for those of others"
            )
        return _of_table(Path(name), rounds)
    hint = did_you_mean(name, ("uniform", "logging", *(f"always:{action}" for action in rounds.action_names)))
    raise ValueError(f"policy {name!r}: expected {', '.join(KNOWN)}.{hint}")


def _of_document(path: Path, rounds: LoggedRounds) -> Floats:
    from policies.batch.policy import BatchPolicy
    from policies.codec import read
    from policies.document import require_no_limits
    from policies.vocabulary import action_names, feature_names

    document = read(path.read_text(encoding="utf-8"), str(path))
    require_no_limits(document, "a log")
    wanted = feature_names(document.n_slots)
    if rounds.features != wanted or rounds.action_names != action_names(document.n_slots):
        first = next((name for name in wanted if name not in rounds.features), None)
        told = f"the first that is missing is {first!r}" if first else f"it has {len(rounds.features)} features"
        raise ValueError(
            f"{path}: expected a log with the {len(wanted)} features and {len(action_names(document.n_slots))} actions "
            f"of the vocabulary with {document.n_slots} slots, as a ledger has them; {told}"
        )
    assert rounds.context is not None
    return np.asarray(BatchPolicy(document).probabilities(rounds.context, rounds.eligibility), np.float64)


def _of_table(path: Path, rounds: LoggedRounds) -> Floats:
    table = pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path)
    missing = [name for name in rounds.action_names if name not in table.columns]
    if missing:
        raise LogError(
            f"{path}: no column {name!r}, of the action's probability.{did_you_mean(name, table.columns)}"
            for name in missing
        )
    if len(table) != len(rounds):
        raise LogError([f"{path}: expected {len(rounds):,} rows, one a round of the log, got {len(table):,}"])
    return table.select(rounds.action_names).cast(pl.Float64).to_numpy().copy()
