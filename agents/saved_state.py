"""States on disk: arrays in NumPy's format and a header in JSON; no pickle, and never half written.

save(path, agent.state(), {"kind": "linucb", "problem": problem.to_data(), ...})
state = load(path, {"kind": "linucb", "problem": problem.to_data(), ...})
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from agents.agent import State

HEADER = "header.json"
VERSION = 1


def save(path: Path, state: Mapping[str, npt.NDArray[np.generic]], header: Mapping[str, Any]) -> None:
    """Write a state; the file appears when it is whole.

    Args:
        path: of the file; its folder must be there.
        state: arrays of numbers, booleans or records of them.
        header: plain data; what a reader must expect, all of it.
    """
    partial = path.with_name(path.name + ".partial")
    text = json.dumps({"version": VERSION, "arrays": sorted(state), **header}, sort_keys=True)
    if reserved := {HEADER, "file"} & state.keys():
        raise ValueError(f"save: {sorted(reserved)[0]!r}: expected another name for an array; this one is taken")
    arrays = {HEADER: np.frombuffer(text.encode(), np.uint8), **state}
    with partial.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def load(path: Path, expected: Mapping[str, Any]) -> State:
    """Read a state back.

    Args:
        path: of the file.
        expected: the header as it must be; compared after a pass through JSON.

    Raises:
        ValueError: no such file format; another version; a header that differs: the message names the first field
            that does, what was expected and what is there.
        OSError: the file cannot be read.
    """
    state, header = read(path)
    wanted = json.loads(json.dumps({"version": VERSION, **expected}))
    for name in sorted(wanted.keys() | header.keys()):
        require_same(wanted.get(name), header.get(name), f"{path}: {name}")
    return state


def read(path: Path) -> tuple[State, dict[str, Any]]:
    """Return a state and its header, whatever it is of.

    Raises:
        ValueError: it is no file of `save`.
        OSError: the file cannot be read.
    """
    content = io.BytesIO(path.read_bytes())
    try:
        # Of a damaged file NumPy, zipfile and the header's parser raise errors of many kinds.
        file = np.load(content, allow_pickle=False)
        if not isinstance(file, np.lib.npyio.NpzFile):
            raise ValueError("a single array")
        with file:
            state = {name: file[name] for name in file.files}
        header = json.loads(state.pop(HEADER).tobytes())
        if not isinstance(header, dict):
            raise ValueError("its header is no mapping")
        if header.pop("arrays", None) != sorted(state):
            raise ValueError("its arrays are not those that its header names")
    except Exception as error:  # noqa: BLE001
        raise ValueError(f"{path}: expected a state that Kairos saved, got something else ({error})") from None
    return state, header


def require_same(wanted: Any, found: Any, where: str, whose: str = "problem or config") -> None:
    """Raise a ValueError at the first place where two pieces of plain data differ.

    Args:
        wanted, found: as JSON reads them.
        where: they are; the message begins with it.
        whose: what else it would have to be of.
    """
    if wanted == found:
        return
    if isinstance(wanted, dict) and isinstance(found, dict):
        for name in sorted(wanted.keys() | found.keys()):
            require_same(wanted.get(name), found.get(name), f"{where}.{name}", whose)
    if isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        for k, pair in enumerate(zip(wanted, found, strict=True)):
            require_same(*pair, f"{where}[{k}]", whose)
    if isinstance(wanted, list) and isinstance(found, list):
        raise ValueError(f"{where}: expected {len(wanted)} entries, got {len(found)}: it is of another problem")
    raise ValueError(f"{where}: expected {wanted!r}, got {found!r}: it is of another {whose}")
