"""Remove one user from a ledger's files, as a right to erasure asks.

Parts are otherwise never changed; here those that hold rows of the user are written anew without them, each whole or
not at all. Outcomes and endings go first, decisions last: an erasure that was cut off is finished by asking again,
because what is left can still be found by the decisions. A part that loses all its rows stays, empty, so that no part
seems to be missing.

Rows that a running writer still holds in its buffers are not reached: erase again when they are written.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from policies.ledger import parts
from policies.ledger.faults import need_arrow
from policies.ledger.reader import read_header
from policies.ledger.schema import DECISIONS, ENDINGS, OUTCOMES, Header, Table


def erase_user(folder: Path | str, user_id: int, *, compression: str = "lz4") -> int:
    """Remove all rows of a user.

    Args:
        folder: of the ledger.
        user_id: as in the ledger's decisions.
        compression: of the parts that are written anew.

    Returns:
        How many rows were removed, of all tables.

    Raises:
        LedgerError: no ledger, or a part is damaged; parts before it have been written anew.
        MissingExtraError: pyarrow or numpy is not installed.
    """
    need_arrow()
    import numpy as np

    where = Path(folder)
    header = read_header(where)
    decisions, episodes = [], []
    for path in parts.part_paths(where / DECISIONS.name):
        rows = parts.read_part(path, DECISIONS, header, ["user_id", "decision_id", "episode_id"])
        own = rows["user_id"].to_numpy() == np.uint64(user_id)
        decisions.append(rows["decision_id"].to_numpy()[own])
        episodes.append(rows["episode_id"].to_numpy()[own])
    if not sum(map(len, decisions)):
        return 0
    keys = ((OUTCOMES, "decision_id", decisions), (ENDINGS, "episode_id", episodes))
    n = sum(_remove(where, table, header, name, np.concatenate(found), compression) for table, name, found in keys)
    return n + _remove(where, DECISIONS, header, "user_id", np.array([user_id], np.uint64), compression)


def _remove(folder: Path, table: Table, header: Header, name: str, values: Any, compression: str) -> int:
    """Write the parts that hold rows with one of these values anew without them; return how many rows went."""
    import numpy as np
    import pyarrow as pa

    n = 0
    for path in parts.part_paths(folder / table.name):
        found = parts.read_part(path, table, header, [name])[name].to_numpy()
        is_own = np.isin(found, values)
        if not is_own.any():
            continue
        whole = parts.read_part(path, table, header, None)
        temporary = parts.write_temporary(whole.filter(pa.array(~is_own)), path.parent, compression)
        temporary.replace(path)
        parts.sync_folder(path.parent)
        n += int(is_own.sum())
    return n
