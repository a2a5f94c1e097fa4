"""`kairos results`: list, show and compare runs that are finished."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from experiments.run_options import plain_console

FOLDER = click.Path(path_type=Path)


@click.group(short_help="List, show and compare finished runs.")
def results() -> None:
    """List, show and compare finished runs."""


@results.command("list")
@click.argument("folder", metavar="[DIR]", type=FOLDER, default=Path("results"))
@click.option("--json", "is_json", is_flag=True, help="Print manifests as JSON, and nothing else.")
@click.pass_context
def list_(ctx: click.Context, folder: Path, is_json: bool) -> None:
    """List the runs below DIR (default: results), with their answers. Exits with 1 if one cannot be read."""
    from experiments.run.faults import RunError
    from experiments.run.readers import read_run, runs_below

    if not folder.is_dir():
        raise click.ClickException(f"{folder}: no such folder.")
    runs, answers, faults = [], [], []
    for place in runs_below(folder):
        try:
            run = read_run(place)
            answers.append(str(run.summary["answer"]))
            runs.append(run)
        except (RunError, KeyError) as error:
            faults.append(str(error) if isinstance(error, RunError) else f"{place}: damaged: its summary has no answer")
    if is_json:
        shown = [
            {"folder": str(run.folder), "answer": answer, **{k: v for k, v in run.manifest.items() if k != "files"}}
            for run, answer in zip(runs, answers, strict=True)
        ]
        click.echo(json.dumps(shown, indent=1))
    elif runs:
        from experiments.run.tables import run_lines

        console = plain_console()
        for run, answer in zip(runs, answers, strict=True):
            head, words = run_lines(run, answer)
            console.print(head, soft_wrap=True)
            console.print(words)
    elif not faults:
        click.echo(f"No runs below {folder}; kairos run makes one.")
    for fault in faults:
        click.echo(fault, err=True)
    ctx.exit(1 if faults else 0)


@results.command()
@click.argument("folder", metavar="DIR", type=FOLDER)
@click.option("--json", "is_json", is_flag=True, help="Print the answer and the outcomes as JSON, and nothing else.")
def show(folder: Path, is_json: bool) -> None:
    """Print the answer of the run in DIR again, and whether its files are as they were written."""
    from experiments.run.readers import read_run
    from experiments.run.run_command import print_run

    with _told():
        run = read_run(folder)
        summary = run.summary
        if is_json:
            rows: list[dict[str, Any]] = run.measures("outcomes").to_dicts()
            click.echo(json.dumps(summary | {"outcomes": rows, "damage": run.damage()}, indent=1))
            return
        print_run(run, summary)
        damage = run.damage()
    if damage:
        listed = "\n  ".join(damage)
        raise click.ClickException(f"{folder}: damaged:\n  {listed}")
    click.echo(f"All {len(run.manifest['files'])} files are as they were written.")


@results.command()
@click.argument("folders", metavar="DIR DIR...", nargs=-1, required=True, type=FOLDER)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Page to write, such as comparison.html.")
@click.option("--json", "is_json", is_flag=True, help="Print as JSON, and nothing else.")
def compare(folders: tuple[Path, ...], out: Path | None, is_json: bool) -> None:
    """Set runs beside each other: what differs in their configs, and what each contender comes to.

    Where two runs met the same users with the same luck, a contender of both is compared user by user.
    """
    if len(folders) < 2:
        raise click.UsageError("expected at least two runs to compare, got one; kairos results show shows one.")
    from experiments.run.comparing import compare_runs

    with _told():
        found = compare_runs(folders)
        if out is not None:
            from experiments.report.comparison_page import write_comparison_page
            from experiments.run_options import writing

            with writing():
                write_comparison_page(list(folders), out)
    if is_json:
        click.echo(json.dumps(found.to_dict(), indent=1))
        return
    from experiments.run.tables import comparison_table

    console = plain_console()
    for name, folder in zip(found.names, folders, strict=True):
        click.echo(f"{name}: {folder}")
    if found.fields:
        click.echo("\nThey differ in")
        for path, values in found.fields.items():
            click.echo(f"  {path}: {', '.join(map(str, values))}")
    else:
        click.echo("\nTheir configs are the same but for the seed.")
    console.print()
    console.print(comparison_table(found.outcomes, found.names))
    for line in found.in_words():
        click.echo(line)
    if out is not None:
        click.echo(f"Written: {out}")


@contextmanager
def _told() -> Iterator[None]:
    """Tell what is wrong with a run as a message, not as a traceback."""
    from experiments.run.faults import RunError

    try:
        yield
    except RunError as error:
        raise click.ClickException(str(error)) from None
