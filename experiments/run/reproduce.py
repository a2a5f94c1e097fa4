"""A run made again from its own config, and compared with the first to the last bit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from experiments.run.faults import RunError
from experiments.run.manifest import differences_of_machines, library_versions, machine
from experiments.run.readers import CONFIG, KeptRun, read_run
from experiments.run.run import run_experiment
from experiments.run.source import load_experiment

SHOWN = 60  # letters of a line that differs


@dataclass(frozen=True)
class Reproduction:
    """What came of running a run again.

    Attributes:
        equal: files with the same bytes.
        different: files with others, and the first difference in words.
        missing: files that did not come out again.
        added: files that were not there.
        causes: what differs between then and now in versions and machine, in words.
    """

    equal: tuple[str, ...]
    different: dict[str, str]
    missing: tuple[str, ...]
    added: tuple[str, ...]
    causes: tuple[str, ...]

    @property
    def is_equal(self) -> bool:
        """Whether every file that must reproduce did."""
        return not (self.different or self.missing or self.added)


def reproduce(
    folder: Path, work: Path, *, is_interrupted: Callable[[], bool] = lambda: False, is_quiet: bool = True
) -> Reproduction:
    """Run a run again.

    Args:
        folder: of the run.
        work: an empty folder to run it in.
        is_interrupted: asked now and then.
        is_quiet: whether nothing is told on standard error.

    Raises:
        RunError: the run is damaged, or its config no longer means what it did.
        ConfigError: this version does not read its config.
        Interrupted: somebody asked.
    """
    kept = read_run(folder)
    if damage := kept.damage():
        listed = "\n  ".join(damage)
        raise RunError(f"{folder}: this run is damaged, so there is nothing to compare with:\n  {listed}")
    experiment = load_experiment(folder / CONFIG)
    if (experiment.hash, experiment.config.seed) != (kept.hash, kept.seed):
        raise RunError(
            f"{folder / CONFIG}: expected the config {kept.hash}, seed {kept.seed}, of the manifest; this version of "
            f"Kairos reads it as {experiment.hash}, seed {experiment.config.seed}."
        )
    again = work / str(kept.seed)
    run_experiment(experiment, again, is_interrupted=is_interrupted, is_quiet=is_quiet)
    return compared(kept, read_run(again))


def compared(kept: KeptRun, again: KeptRun) -> Reproduction:
    """Return two runs beside each other, by the files that must reproduce."""
    then, now = kept.manifest["files"], again.manifest["files"]
    common = [name for name in then if name in now]
    different = {
        name: first_difference(kept.folder / name, again.folder / name) for name in common if then[name] != now[name]
    }
    return Reproduction(
        equal=tuple(name for name in common if then[name] == now[name]),
        different=different,
        missing=tuple(name for name in then if name not in now),
        added=tuple(name for name in now if name not in then),
        causes=tuple(differences_of_machines(kept.manifest, {"versions": library_versions(), "machine": machine()})),
    )


def first_difference(ours: Path, theirs: Path) -> str:
    """Return in words where two files first differ: by cell of a table, by line of a text, else by byte."""
    if ours.suffix == ".parquet":
        if words := _first_cell(ours, theirs):
            return words
    a, b = ours.read_bytes(), theirs.read_bytes()
    try:
        lines = a.decode().splitlines(), b.decode().splitlines()
    except UnicodeDecodeError:
        place = next((k for k, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
        return f"byte {place:,} of {len(a):,} and {len(b):,}"
    for number, (x, y) in enumerate(zip(*lines, strict=False), 1):
        if x != y:
            return f"line {number}: {_cut(x)!r}, now {_cut(y)!r}"
    return f"{len(lines[0]):,} lines, now {len(lines[1]):,}"


def _first_cell(ours: Path, theirs: Path) -> str:
    import polars as pl

    a, b = pl.read_parquet(ours), pl.read_parquet(theirs)
    if a.columns != b.columns or a.dtypes != b.dtypes:
        return f"columns {', '.join(a.columns)}; now {', '.join(b.columns)}"
    if len(a) != len(b):
        return f"{len(a):,} rows, now {len(b):,}"
    for name in a.columns:
        is_other = ~a[name].eq_missing(b[name])
        if is_other.any():
            row = int(is_other.arg_true()[0])
            return f"row {row}, {name}: {a[name][row]!r}, now {b[name][row]!r}"
    return ""


def _cut(line: str) -> str:
    return line if len(line) <= SHOWN else f"{line[: SHOWN - 3]}..."
