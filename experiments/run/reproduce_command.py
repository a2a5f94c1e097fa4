"""`kairos reproduce`: run a finished run again, and say which of its files came out the same to the last bit."""

from __future__ import annotations

import json
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

from experiments.run_options import choose_threads, interruptible

if TYPE_CHECKING:
    from experiments.run.reproduce import Reproduction

INTERRUPTED = 130


@click.command(short_help="Run a finished run again; compare bit for bit.")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--threads", type=click.IntRange(min=1), help="Threads of the simulator; results do not depend on it.")
@click.option("--json", "is_json", is_flag=True, help="Print the comparison as JSON, and nothing else.")
@click.pass_context
def reproduce(ctx: click.Context, folder: Path, threads: int | None, is_json: bool) -> None:
    """Run the run in DIR again, by its own config, in a temporary folder, and compare the files that must reproduce.

    Exits with 0 if all are equal to the last bit, with 1 if any differs.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    choose_threads(threads)
    from experiments.run.faults import Interrupted, RunError
    from experiments.run.readers import read_run

    try:
        read_run(folder)  # before the libraries that run it
        from experiments.run.reproduce import reproduce as run_again

        told = "Stopping; nothing is kept of a reproduction."
        with TemporaryDirectory(prefix="kairos-") as work, interruptible(told) as is_interrupted:
            found = run_again(folder, Path(work), is_interrupted=is_interrupted, is_quiet=is_json)
    except Interrupted:
        ctx.exit(INTERRUPTED)
    except (RunError, ModuleNotFoundError) as error:
        raise click.ClickException(str(error)) from None
    if is_json:
        click.echo(json.dumps({"is_equal": found.is_equal, **vars(found)}, indent=1))
    else:
        _print(folder, found)
    ctx.exit(0 if found.is_equal else 1)


def _print(folder: Path, found: Reproduction) -> None:
    n = len(found.equal) + len(found.different) + len(found.missing)
    if found.is_equal:
        click.echo(f"Equal: all {n} files of {folder} came out the same to the last bit.")
        return
    click.echo(f"Different: {len(found.equal)} of {n} files of {folder} came out the same.")
    for name, words in found.different.items():
        click.echo(f"  {name}: {words}")
    for name in found.missing:
        click.echo(f"  {name}: did not come out again")
    for name in found.added:
        click.echo(f"  {name}: was not there")
    if found.causes:
        click.echo(f"Likely because of other versions or another machine: {'; '.join(found.causes)}.")
    else:
        click.echo("Versions and machine are the same, so this is a fault of Kairos; please report it.")
