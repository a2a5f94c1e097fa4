"""Rounds from our own ledger: no mapping is needed, since it says what its columns are.

A round is a decision in which something besides silence was eligible, with the reward booked until the next one. What
a send does later is in no round's reward: for that there are trajectories.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from experiments.offline.logs.faults import LogError
from experiments.offline.logs.logged import LoggedRounds
from policies.ledger import read_decisions

COLUMNS = (
    "decision_id",
    "user_id",
    "time_hours",
    "eligible",
    "probabilities",
    "action",
    "propensity",
    "features",
    "reward",
)


def ledger_rounds(folder: Path) -> tuple[LoggedRounds, tuple[str, ...]]:
    """Return a ledger's decisions as a log, and what was left out, in words.

    Left out are decisions without a choice, which weigh 1 under any policy, and those whose reward was not known yet.

    Raises:
        LedgerError: it is damaged, or no ledger.
        LogError: no round is left.
    """
    rows = read_decisions(folder, COLUMNS)
    read, header = rows.arrays(), rows.header
    has_choice = read["eligible"][:, 1:].any(axis=1)
    is_known = np.isfinite(read["reward"])
    # Parts that several processes wrote lie one after the other.
    in_time = np.argsort(read["time_hours"], kind="stable")
    keep = in_time[(has_choice & is_known)[in_time]]
    if not len(keep):
        choices = int(has_choice.sum())
        fault = f"{folder}: expected a decision in which something besides {header.actions[0]} was eligible and whose "
        fault += f"reward is known, got none in {len(is_known):,} decisions ({choices:,} had a choice)"
        raise LogError([fault])
    rounds = LoggedRounds(
        read["action"][keep],
        read["reward"][keep],
        header.actions,
        propensities=read["propensity"][keep],
        probabilities=read["probabilities"][keep],
        eligible=read["eligible"][keep],
        context=read["features"][keep],
        features=header.features,
        users=read["user_id"][keep].view(np.int64),  # other numbers for great ids, but one for each
        hours=read["time_hours"][keep],
    )
    told = []
    if n := int((has_choice & ~is_known).sum()):
        told.append(f"{n:,} of {len(is_known):,} decisions are left out: their reward was not known yet.")
    return rounds, tuple(told)


def is_ledger(path: Path) -> bool:
    """Return whether a path is a ledger's folder."""
    return (path / "ledger.json").is_file()
