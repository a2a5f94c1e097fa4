"""States on disk: back as they were, and whatever else a file may hold is refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.saved_state import HEADER, load, save

STATE = {"weights": np.arange(6.0).reshape(2, 3), "n": np.asarray(7), "seen": np.asarray([True, False])}
ABOUT = {"kind": "test", "problem": {"features": ["a", "b"], "low": [0.0, 1.0]}}


def test_a_state_comes_back_and_nothing_partial_stays(tmp_path: Path) -> None:
    path = tmp_path / "state.npz"
    save(path, STATE, ABOUT)
    found = load(path, ABOUT)
    assert found.keys() == STATE.keys()
    for name, array in STATE.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)
    assert [each.name for each in tmp_path.iterdir()] == ["state.npz"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "other"}, r"state.npz: kind: expected 'other', got 'test'"),
        ({"problem": {"features": ["a", "c"], "low": [0.0, 1.0]}}, r"problem.features\[1\]: expected 'c', got 'b'"),
        ({"problem": {"features": ["a"], "low": [0.0]}}, r"problem.features: expected 1 entries, got 2"),
    ],
)
def test_a_state_of_something_else_is_told_by_the_first_difference(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    save(tmp_path / "state.npz", STATE, ABOUT)
    with pytest.raises(ValueError, match=message):
        load(tmp_path / "state.npz", ABOUT | changes)


def test_any_damage_is_a_message(tmp_path: Path) -> None:
    """A file cut anywhere, or with any byte changed, is read as it was or refused; no other error comes out."""
    path = tmp_path / "state.npz"
    save(path, STATE, ABOUT)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    n_refused = 0
    damaged = [whole[:n] for n in range(0, len(whole), 37)]
    places = rng.integers(len(whole), size=300).tolist()
    damaged += [whole[:at] + bytes([whole[at] ^ int(rng.integers(1, 256))]) + whole[at + 1 :] for at in places]
    for content in damaged:
        path.write_bytes(content)
        try:
            found = load(path, ABOUT)
        except ValueError as error:
            n_refused += str(path) in str(error)
        else:
            assert all((found[name] == array).all() for name, array in STATE.items())
    assert n_refused > 150


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.npz"
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(ValueError, match=r"one.npy: expected a state that Kairos saved, got something else"):
        load(tmp_path / "one.npy", ABOUT)
    np.savez(path, **{HEADER: np.frombuffer(json.dumps([1]).encode(), np.uint8)})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"got something else \(its header is no mapping\)"):
        load(path, ABOUT)
    for name in ("file", HEADER):
        with pytest.raises(ValueError, match=rf"save: '{name}': expected another name"):
            save(path, {name: np.zeros(1)}, ABOUT)
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nowhere.npz", ABOUT)
