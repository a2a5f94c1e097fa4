"""`kairos explain`: what a policy would do for a user, why, and what would have to change."""

from __future__ import annotations

from pathlib import Path

import click

from experiments.exports.source import policy_file
from experiments.run_options import writing


@click.command(short_help="What a policy would do for a user, hour by hour, and why.")
@click.argument("source", type=click.Path(path_type=Path, exists=True))
@click.option(
    "--user",
    metavar="FEATURE=VALUE,...",
    default="",
    help="In people's units, over those of a typical user: hours_since_send=30,slot.relevance=1.",
)
@click.option(
    "--eligible", metavar="ACTION,...", default="", help="Sends that are: slot0.push,slot0.email. Default: all."
)
@click.option("--at", default=18, show_default=True, type=click.IntRange(0, 23), help="The hour to look at closely.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Also a picture, PNG.")
def explain(source: Path, user: str, eligible: str, at: int, out: Path | None) -> None:
    """Say what SOURCE, a policy document or a training's folder, would do for a user."""
    from experiments.exports.explain import explain as explained
    from policies.codec import DocumentError
    from policies.decide import load

    file = policy_file(source)
    try:
        policy = load(file.read_text(encoding="utf-8"), str(file))
        names = tuple(name.strip() for name in eligible.split(",") if name.strip())
        found = explained(policy, _values(user), eligible=names, at=at)
    except (DocumentError, ValueError) as error:
        raise click.ClickException(str(error)) from None
    click.echo(found.in_words())
    if out is not None:
        from experiments.exports.plots import draw_explanation

        with writing():
            draw_explanation(out, found)
        click.echo(f"\nWritten: {out}")


def _values(text: str) -> dict[str, float]:
    """Return features and their values.

    Raises:
        ValueError: an entry is no FEATURE=VALUE, or is there twice.
    """
    found: dict[str, float] = {}
    for entry in (each.strip() for each in text.split(",") if each.strip()):
        name, equals, value = entry.partition("=")
        try:
            number = float(value)
        except ValueError:
            number = float("nan")
        if not equals or number != number:
            raise ValueError(f"--user: expected FEATURE=VALUE with a number, got {entry!r}")
        if name in found:
            raise ValueError(f"--user: expected each feature once, got {name!r} again")
        found[name] = number
    return found
