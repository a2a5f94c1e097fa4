"""What was run, on what, and how to run it again."""

from __future__ import annotations

import shlex
from typing import Any

from experiments.report.page import Section, escape, table
from experiments.report.reading import RunFolder
from experiments.report.words import duration

UNFINISHED = ".unfinished"


def provenance(run: RunFolder) -> Section:
    """Return command, config, seed, versions, machine, time."""
    told = run.manifest
    rows = [
        ("config", f"{told.get('name', '')}, hash {told.get('config_hash', 'unknown')}"),
        ("seed", str(told.get("seed", "unknown"))),
        ("commit", str(told.get("commit") or "not run from a checkout")),
        ("versions", _listed(told.get("versions"))),
        ("machine", _listed(told.get("machine"))),
        ("started", str(told.get("started", "unknown"))),
    ]
    seconds = told.get("duration_s")
    rows.append(("took", duration(float(seconds)) if seconds is not None else "unknown"))
    folder = command_path(run)
    commands = f"kairos run {shlex.quote(f'{folder}/config.yaml')}\nkairos reproduce {shlex.quote(folder)}"
    again = f"<p>Again, and compared bit for bit:</p><pre><code>{escape(commands)}</code></pre>"
    return Section("What was run", again + table(("what", ""), rows, label="what was run", words=True), "run")


def command_path(run: RunFolder) -> str:
    """Return where the run's folder lies, as it was typed; while the page is written, it is still an unfinished one."""
    name = run.path.name
    is_being_made = name.startswith(".") and name.endswith(UNFINISHED)
    return (run.path.with_name(name[1 : -len(UNFINISHED)]) if is_being_made else run.path).as_posix()


def _listed(found: Any) -> str:
    if isinstance(found, dict):
        return ", ".join(f"{key} {value}" for key, value in found.items()) or "unknown"
    return str(found or "unknown")
