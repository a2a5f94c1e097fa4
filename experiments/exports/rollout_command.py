"""`kairos rollout`: what a new policy would change, and a ramp to let it out by."""

from __future__ import annotations

import json
from pathlib import Path

import click

from experiments.run_options import writing

FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command(short_help="What a new policy would change, and a ramp for it.")
@click.argument("old", type=FILE)
@click.argument("new", type=FILE)
@click.option("--ledger", required=True, type=click.Path(path_type=Path, exists=True, file_okay=False), help="Folder.")
@click.option("--population", required=True, type=click.IntRange(100), help="Users whom the ramp lets in by and by.")
@click.option(
    "--margin",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Rise of the share of users who opt out within a fortnight that is just not borne. Default: a tenth of it.",
)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Also a page, Markdown.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON, and nothing else.")
def rollout(
    old: Path, new: Path, ledger: Path, population: int, margin: float | None, out: Path | None, as_json: bool
) -> None:
    """Compare two policy documents in the states of a ledger, and plan how to let NEW out."""
    from experiments.exports.rollout import rollout as rolled_out
    from experiments.results import write_text
    from policies.codec import read

    try:
        before, after = (read(file.read_bytes(), str(file)) for file in (old, new))
        found = rolled_out(before, after, ledger, population=population, margin=margin)
    except (ValueError, OSError) as error:
        raise click.ClickException(str(error)) from None
    if out is not None:
        with writing():
            write_text(out, found.to_markdown())
    if as_json:
        click.echo(json.dumps(found.to_dict(), indent=2))
        return
    click.echo(found.to_markdown() if out is None else f"{found.in_words()}\nWritten: {out}")
