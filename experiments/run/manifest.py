"""A run's manifest: what was run, by which versions, on what machine; the hash of each file that must reproduce."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from experiments.versions import versions

FORMAT = 1
MANIFEST = "manifest.json"
MORE_LIBRARIES = ("pyarrow", "polars", "scikit-learn", "matplotlib", "onnx")
# What tells of this sitting, not of the experiment: times, checkpoints that hold times, and pages made of them.
NOT_REPRODUCED = (
    MANIFEST,
    "report.html",
    "training/*/tensorboard/*",
    "training/*/checkpoints/*",
    "training/*/manifest.json",
    "training/*/result.json",
)


def library_versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that decide a result."""
    return versions(*MORE_LIBRARIES)


def machine() -> dict[str, Any]:
    """Return what kind of machine this is."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def commit() -> str | None:
    """Return the commit that the code was checked out from; None outside a checkout, or without git."""
    here = Path(__file__).resolve().parent
    try:
        done = subprocess.run(
            ["git", "-C", str(here), "rev-parse", "HEAD"], capture_output=True, text=True, check=True, timeout=10
        )
        changed = subprocess.run(
            ["git", "-C", str(here), "status", "--porcelain", "--untracked-files=no"],
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() + (" with changes" if changed.stdout.strip() else "")


def hashes(folder: Path) -> dict[str, str]:
    """Return SHA-256 of every file that must reproduce, by its path in the folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    names = {path: path.relative_to(folder).as_posix() for path in files}
    return {name: file_hash(path) for path, name in names.items() if must_reproduce(name)}


def must_reproduce(name: str) -> bool:
    """Return whether a file, by its path in a run's folder, must come out the same again; hidden ones need not."""
    is_hidden = any(part.startswith(".") for part in name.split("/"))
    return not is_hidden and not any(fnmatch(name, pattern) for pattern in NOT_REPRODUCED)


def file_hash(path: Path) -> str:
    """Return a file's SHA-256, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def differences_of_machines(there: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return in words what differs between two manifests' versions and machines: likely causes of other numbers."""
    pairs = [
        (name, there.get(part, {}).get(name), now.get(part, {}).get(name))
        for part, names in (
            ("versions", sorted({*there.get("versions", {}), *now.get("versions", {})})),
            ("machine", ["processor", "system"]),
        )
        for name in names
    ]
    return [f"{name}: {then or 'none'} then, {this or 'none'} now" for name, then, this in pairs if then != this]


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "not known"
