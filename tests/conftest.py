"""What every test may ask for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def real_logs() -> Path:
    """The folder of real logs: `$KAIROS_DATA`, else `shared/data` beside the repository.

    The logs are not part of the repository, so a clone without them skips. A `KAIROS_DATA` that leads nowhere is a
    mistake and fails: a skip would hide it.
    """
    named = os.environ.get("KAIROS_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    if folder.is_dir():
        return folder
    if named:
        pytest.fail(f"KAIROS_DATA={named} is not a folder")
    pytest.skip("no real logs: set KAIROS_DATA to the folder that holds them")
