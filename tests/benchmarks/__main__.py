"""Run the benchmarks and print one table: `python -m tests.benchmarks [--quick] [--only NAME] [--json]`."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import importlib
import json
import os
import platform
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks import Row

HERE = Path(__file__).parent
COLUMNS = ("benchmark", "figure", "unit", "reference", "its figure", "ratio", "target", "met", "note")
IS_NUMBER = (False, True, False, False, True, True, True, False, False)


def machine() -> dict[str, str | int | list[float]]:
    """What the figures depend on: processor, cores that this process may use, and who else is using them."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    load = [round(value, 2) for value in os.getloadavg()] if hasattr(os, "getloadavg") else []
    return {"cpu": cpu_model(), "cores": cores, "load_average": load, "python": platform.python_version()}


def cpu_model() -> str:
    table = Path("/proc/cpuinfo")
    if table.exists():
        for line in table.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def available(folder: Path) -> list[str]:
    return sorted(path.stem.removeprefix("bench_") for path in folder.glob("bench_*.py"))


def chosen(names: list[str], only: Sequence[str]) -> list[str]:
    """The benchmarks asked for, all of them when none is named.

    Raises:
        ValueError: a name is unknown; the message suggests the nearest.
    """
    for name in only:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(names) or 'none yet'}."
            raise ValueError(f"--only {name}: no such benchmark. {hint}")
    return [name for name in names if not only or name in only]


def cells(row: Row) -> tuple[str, ...]:
    met = {None: "", True: "yes", False: "NO"}[row.is_met]
    return (
        *(row.name, number(row.figure), row.unit, row.reference_name, number(row.reference_figure)),
        *(number(row.ratio), number(row.target), met, row.note),
    )


def number(value: float | None) -> str:
    """Three significant digits, thousands separated, never an exponent that has to be decoded at a glance."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def plain_table(rows: Sequence[Row]) -> str:
    lines = [COLUMNS, *(cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(COLUMNS))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if is_number else cell.ljust(width)
            for cell, width, is_number in zip(line, widths, IS_NUMBER, strict=True)
        ).rstrip()
        for line in lines
    )


def print_table(rows: Sequence[Row]) -> None:
    try:
        from rich.console import Console
        from rich.table import Table
    except ImportError:
        print(plain_table(rows))
        return
    if not sys.stdout.isatty():  # a file or a pipe has no width to fold cells into
        print(plain_table(rows))
        return
    table = Table(box=None, pad_edge=False)
    for column, is_number in zip(COLUMNS, IS_NUMBER, strict=True):
        table.add_column(column, justify="right" if is_number else "left")
    for row in rows:
        table.add_row(*cells(row), style="red" if row.is_met is False else "")
    Console().print(table)


def main(arguments: Sequence[str] | None = None, folder: Path = HERE, package: str = "tests.benchmarks") -> int:
    """Run, print, and return the exit status: 1 when a benchmark broke; a missed target is reported, not an error."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description="Run the benchmarks.")
    parser.add_argument("--quick", action="store_true", help="smaller sizes: is everything in order?")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="this one; may be repeated")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args(arguments)
    try:
        names = chosen(available(folder), options.only)
    except ValueError as fault:
        parser.error(str(fault))

    before = machine()
    rows: list[Row] = []
    broken: list[str] = []
    for i, name in enumerate(names, start=1):
        print(f"[{i}/{len(names)}] {name} ...", file=sys.stderr, flush=True)
        start = time.perf_counter()
        try:
            rows += importlib.import_module(f"{package}.bench_{name}").run(options.quick)
        except Exception:  # noqa: BLE001 - one broken benchmark must not hide the others' figures
            traceback.print_exc()
            broken.append(name)
        print(f"[{i}/{len(names)}] {name}: {time.perf_counter() - start:.1f} s", file=sys.stderr, flush=True)

    after = machine()
    if options.json:
        measured = [{**dataclasses.asdict(row), "is_met": row.is_met} for row in rows]
        report = {"machine": before, "load_average_after": after["load_average"], "quick": options.quick}
        print(json.dumps({**report, "rows": measured, "broken": broken}, indent=2, allow_nan=False))
    else:
        print(f"{before['cpu']}, {before['cores']} cores, Python {before['python']}")
        print(f"load average before {before['load_average']}, after {after['load_average']}")
        print_table(rows)
        n_promised = sum(row.is_met is not None for row in rows)
        print(f"{len(rows)} figures; {sum(row.is_met is True for row in rows)} of {n_promised} targets met")
    if broken:
        print(f"broken: {', '.join(broken)}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
