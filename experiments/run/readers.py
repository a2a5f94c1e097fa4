"""Runs read back: one, all below a folder, and a whole sweep as one table."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.run.faults import RunError
from experiments.run.manifest import FORMAT, MANIFEST, file_hash

if TYPE_CHECKING:
    import polars as pl

    from experiments.run.source import Experiment

CONFIG, SUMMARY, MEASURES = "config.yaml", "summary.json", "measures"
DEEPEST = 6  # folders below one that is searched for runs


@dataclass(frozen=True)
class KeptRun:
    """A complete run.

    Attributes:
        folder: where it is.
        manifest: as plain data.
    """

    folder: Path
    manifest: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Of the experiment."""
        return str(self.manifest["name"])

    @property
    def hash(self) -> str:
        """Of the config, 12 hex digits."""
        return str(self.manifest["config_hash"])

    @property
    def seed(self) -> int:
        """Of the run."""
        return int(self.manifest["seed"])

    @property
    def summary(self) -> dict[str, Any]:
        """The answer.

        Raises:
            RunError: it is damaged.
        """
        return _json(self.folder / SUMMARY)

    def measures(self, name: str) -> pl.DataFrame:
        """Return a table, such as `outcomes`.

        Raises:
            RunError: it is not there, or damaged.
        """
        import polars as pl

        path = self.folder / MEASURES / f"{name}.parquet"
        try:
            return pl.read_parquet(path)
        except FileNotFoundError:
            raise RunError(f"{path}: no such table in this run.") from None
        except (OSError, pl.exceptions.PolarsError) as error:
            raise RunError(f"{path}: damaged: {str(error).splitlines()[0]}") from None

    def damage(self) -> list[str]:
        """Return in words which files are not as they were written."""
        found = []
        for name, written in self.manifest["files"].items():
            try:
                if file_hash(self.folder / name) != written:
                    found.append(f"{name}: not as it was written")
            except OSError as error:
                found.append(f"{name}: cannot be read: {error.strerror}")
        return found


def read_run(folder: Path) -> KeptRun:
    """Return a run.

    Raises:
        RunError: there is none, it is not finished, of another format, or its manifest is damaged.
    """
    path = folder / MANIFEST
    if not path.is_file():
        if folder.name.startswith(".") and folder.name.endswith(".unfinished"):
            raise RunError(f"{folder}: this run is not finished; the command that began it goes on.")
        if not folder.exists():
            raise RunError(f"{folder}: no such folder.")
        if folder.is_file():
            raise RunError(f"{folder}: expected a run's folder, got a file.")
        waiting = folder.with_name(f".{folder.name}.unfinished")
        more = f"; an unfinished run lies beside it, {waiting.name}" if waiting.exists() else ""
        below = next(runs_below(folder), None)
        hint = f"; the first run below it is {below}" if below else ""
        raise RunError(f"{folder}: expected a run's folder; there is no {MANIFEST} in it{more}{hint}.")
    manifest = _json(path)
    if manifest.get("format") != FORMAT:
        raise RunError(
            f"{path}: format {manifest.get('format')!r}; this Kairos reads format {FORMAT}. Nothing was changed."
        )
    missing = [key for key in ("kind", "name", "config_hash", "seed", "files") if key not in manifest]
    if missing or not isinstance(manifest["files"], dict):
        raise RunError(f"{path}: damaged: expected {', '.join(missing) or 'files as a section'}.")
    return KeptRun(folder, manifest)


def require_same(folder: Path, experiment: Experiment) -> KeptRun:
    """Return the run in a folder, if it is one of an experiment.

    Raises:
        RunError: it is another's, or none.
    """
    kept = read_run(folder)
    if (kept.hash, kept.seed) != (experiment.hash, experiment.config.seed):
        raise RunError(
            f"{folder}: a run of another experiment is there: config {kept.hash}, seed {kept.seed}; expected "
            f"{experiment.hash}, seed {experiment.config.seed}."
        )
    return kept


def runs_below(folder: Path) -> Iterator[Path]:
    """Yield folders of runs in the order of their paths, damaged ones too; unfinished ones are left out."""

    def search(here: Path, depth: int) -> Iterator[Path]:
        if _is_run(here):
            yield here
            return
        if depth == DEEPEST:
            return
        try:
            entries = sorted(here.iterdir(), key=lambda entry: (not entry.name.isdecimal(), _numbered(entry.name)))
        except OSError:
            return
        for entry in entries:
            if entry.is_dir() and not entry.name.startswith("."):
                yield from search(entry, depth + 1)

    return search(folder, 0)


def data_frame(path: Path | str) -> pl.DataFrame:
    """Return one row a (run, policy, outcome) of all runs below a folder: a sweep's, or all results there are.

    Columns: name, config_hash, seed; one for each field of the config in which the runs differ, by its dotted path;
    then those of `measures/outcomes`. Rows in the order of the folders.

    Args:
        path: of a sweep, an experiment, or one run.

    Raises:
        RunError: there is no run below, or one of them cannot be read.
    """
    import polars as pl

    runs = [read_run(folder) for folder in runs_below(Path(path))]
    if not runs:
        raise RunError(f"{path}: expected runs below it, found none.")
    fields = [flat_config(run.folder) for run in runs]
    names = list(dict.fromkeys(name for each in fields for name in each))
    differing = [name for name in names if any(each.get(name) != fields[0].get(name) for each in fields)]
    parts = []
    for run, each in zip(runs, fields, strict=True):
        about = {"name": run.name, "config_hash": run.hash, "seed": run.seed}
        about |= {name: each.get(name) for name in differing if name not in about}
        table = run.measures("outcomes")
        parts.append(table.select(*(pl.lit(value).alias(name) for name, value in about.items()), pl.all()))
    return pl.concat(parts, how="vertical_relaxed")


def flat_config(folder: Path) -> dict[str, Any]:
    """Return a run's resolved config by dotted path; contenders by their names, its scenario below `settings`."""
    from experiments.yaml_source import read_yaml

    found: dict[str, Any] = {}
    for file, prefix in ((CONFIG, ""), ("scenario.yaml", "settings.")):
        try:
            tree = read_yaml((folder / file).read_text("utf-8"), str(folder / file)).tree
        except OSError as error:
            raise RunError(f"{folder / file}: cannot be read: {error.strerror}") from None
        _flatten(tree, prefix, found)
    return found


def _flatten(node: Any, path: str, found: dict[str, Any]) -> None:
    if isinstance(node, dict):
        for key, value in node.items():
            _flatten(value, f"{path}{key}.", found)
    elif isinstance(node, list) and node and all(isinstance(entry, dict) for entry in node):
        for place, entry in enumerate(node):
            _flatten(entry, f"{path}{entry.get('name', place)}.", found)
    else:
        found[path.removesuffix(".")] = json.dumps(node) if isinstance(node, list) else node


def _is_run(folder: Path) -> bool:
    """Return whether a folder has a run's manifest, or one that nobody can read; a training's has no format."""
    try:
        told = json.loads((folder / MANIFEST).read_text("utf-8"))
    except FileNotFoundError:
        return False
    except (OSError, ValueError):
        return True
    return not isinstance(told, dict) or "format" in told


def _numbered(name: str) -> tuple[int, str]:
    return (int(name), name) if name.isdecimal() else (0, name)


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise RunError(f"{path}: damaged: not JSON: {error}") from None
    if not isinstance(found, dict):
        raise RunError(f"{path}: damaged: expected a JSON object.")
    return found
