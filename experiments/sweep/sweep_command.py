"""`kairos sweep`: an experiment under many settings and seeds, on processes of this machine or on a Ray cluster."""

from __future__ import annotations

import os
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from experiments.run_options import output_folder, plain_console, writing

if TYPE_CHECKING:
    from experiments.sweep.local import Ended
    from experiments.sweep.sweep import Engine, Result

INTERRUPTED, PAGE = 130, "report.html"
FIRST_LINES = 3  # of a fault
LINE_SECONDS = 10.0


@click.command(short_help="Run an experiment under many settings and seeds.")
@click.argument("config", metavar="CONFIG")
@click.option("--workers", type=click.IntRange(1, 4096), help="Processes, one thread each; default: a core each.")
@click.option("--engine", type=click.Choice(["local", "ray"]), default="local", show_default=True)
@click.option("--ray-address", default="local", show_default=True, help="Of a Ray cluster; `local` starts one.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Folder; default: results/NAME.")
@click.option("--set", "settings", multiple=True, metavar="PATH=VALUE", help="Write a value over the file; repeatable.")
@click.pass_context
def sweep(
    ctx: click.Context,
    config: str,
    workers: int | None,
    engine: str,
    ray_address: str,
    out: Path | None,
    settings: tuple[str, ...],
) -> None:
    """Run CONFIG, a sweep's name (see `kairos config list`) or a file.

    The same command goes on after any stop, and ends with the same table: results depend neither on the engine nor on
    the number of workers nor on the order. Exit code 1 when trials failed; the others are kept.
    """
    from experiments.run_options import with_options
    from experiments.sweep.folder import SweepError, SweepFolder
    from experiments.sweep.source import experiment_hash, load_sweep
    from experiments.sweep.sweep import run_sweep

    plan = with_options(load_sweep, config, {}, settings)
    folder = SweepFolder(output_folder(out, plan.config.name), plan.config, plan.base, plan.base_hash)
    try:
        with _engine(engine, workers or os.cpu_count() or 1, ray_address) as run:
            result = run_sweep(folder, run, _Told(), lambda: experiment_hash(plan.base))
    except (SweepError, ModuleNotFoundError, ConnectionError) as error:
        raise click.ClickException(str(error)) from None
    except KeyboardInterrupt:
        click.echo("Interrupted; what is done is kept. The same command goes on.", err=True)
        ctx.exit(INTERRUPTED)
    _print(result, folder.path)
    if result.n_done:
        _write_page(folder.path)
    if result.faults:
        ctx.exit(1)


def _engine(name: str, n_workers: int, address: str) -> AbstractContextManager[Engine]:
    from experiments.sweep.trial import TRIAL

    if name == "local":
        from experiments.sweep.local import local_workers

        return local_workers(TRIAL, n_workers)
    from experiments.sweep.ray_engine import ray_workers

    return ray_workers(TRIAL, n_workers, address)


class _Told:
    """Says on standard error how far a sweep is, and at once what failed."""

    def __init__(self) -> None:
        self._began = self._told = time.monotonic()
        self._n_new = 0

    def __call__(self, done: int, of: int, last: Ended | None) -> None:
        if last is not None and last.fault:
            where = "/".join(Path(last.task.folder).parts[-2:])
            first = "\n  ".join(last.fault.splitlines()[:FIRST_LINES])
            click.echo(f"{where} failed: {first}", err=True)
        self._n_new += last is not None
        now = time.monotonic()
        if last is None and done and not self._n_new:
            click.echo(f"{done:,} of {of:,} trials are done already.", err=True)
        elif self._n_new and (now - self._told >= LINE_SECONDS or done == of):
            self._told = now
            left = (now - self._began) / self._n_new * (of - done)
            click.echo(f"{done:,} of {of:,} trials, about {left:,.0f} s left", err=True)


def _write_page(folder: Path) -> None:
    from experiments.report.sweep_page import write_sweep_page

    with writing():
        write_sweep_page(folder, folder / PAGE)
    click.echo(f"Page: {folder / PAGE}")


def _print(result: Result, folder: Path) -> None:
    console = plain_console()
    told = f"{result.n_done:,} trials of {len(result.settings):,} settings, {result.n_new:,} of them run now"
    told += f"; {result.given_up:,} settings given up early" if result.given_up else ""
    told += f"; {len(result.faults):,} failed, see {folder / 'failed.json'}" if result.faults else ""
    console.print(f"{told}.")
    console.print(f"Table: {folder / 'table.parquet'}, {result.table.height:,} rows", soft_wrap=True)
