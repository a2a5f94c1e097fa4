"""`kairos config`: check, show and list scenarios, and write their schema.

The libraries that read a config are imported inside the commands, because help must come at once.
"""

from __future__ import annotations

import json
from pathlib import Path

import click

from experiments.faults import ConfigError


@click.group()
def config() -> None:
    """Check, show and list scenarios."""


@config.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.pass_context
def check(ctx: click.Context, paths: tuple[str, ...]) -> None:
    """Tell every fault of scenario files (or presets), each with its line. Exit code 1 when there is any."""
    from experiments.config import load_scenario

    n_bad = 0
    for path in paths:
        try:
            load_scenario(path)
        except ConfigError as error:
            n_bad += 1
            click.echo(str(error), err=True)
        else:
            click.echo(f"{path}: fine")
    if n_bad:
        ctx.exit(1)


@config.command()
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="File to write; default: standard output.")
def schema(out: Path | None) -> None:
    """Write the JSON Schema by which an editor completes a scenario."""
    from experiments.config import scenario_schema

    text = json.dumps(scenario_schema(), indent=2) + "\n"
    if out is None:
        click.echo(text, nl=False)
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"cannot write {out}: {error.strerror}") from None


@config.command()
@click.argument("scenario", metavar="NAME_OR_PATH")
@click.option("--json", "is_json", is_flag=True, help="JSON instead of YAML.")
@click.option("--set", "settings", multiple=True, metavar="PATH=VALUE", help="Write a value over the file; repeatable.")
def show(scenario: str, is_json: bool, settings: tuple[str, ...]) -> None:
    """Print a scenario with every value resolved, defaults included."""
    from experiments.config import dump_scenario, load_scenario, read_setting, scenario_tree

    loaded = load_scenario(scenario, dict(read_setting(setting) for setting in settings))
    if is_json:
        click.echo(json.dumps(scenario_tree(loaded), indent=2))
    else:
        click.echo(dump_scenario(loaded), nl=False)


@config.command("list")
def list_() -> None:
    """List the presets: name and title."""
    from experiments.config import load_scenario, preset_names

    for name in preset_names():
        click.echo(f"{name:<12}{load_scenario(name).title}")
