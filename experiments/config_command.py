"""`kairos config`: check, show and list configs of every kind, and write their schemas.

The libraries that read a config are imported inside the commands, because help must come at once.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from experiments.faults import ConfigError


@click.group()
def config() -> None:
    """Check, show and list configs: scenarios, experiments, sweeps, trainings, mappings of logs and worlds."""


@config.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.pass_context
def check(ctx: click.Context, paths: tuple[str, ...]) -> None:
    """Tell every fault of config files (or presets), each with its line. Exit code 1 when there is any."""
    n_bad = 0
    for path in paths:
        try:
            _load(path, ())
        except ConfigError as error:
            n_bad += 1
            click.echo(str(error), err=True)
        else:
            click.echo(f"{path}: fine")
    if n_bad:
        ctx.exit(1)


@config.command()
@click.argument(
    "kind",
    type=click.Choice(["scenario", "experiment", "sweep", "training", "log-mapping", "worlds"]),
    default="scenario",
)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="File to write; default: standard output.")
def schema(kind: str, out: Path | None) -> None:
    """Write the JSON Schema by which an editor completes a config; default: that of scenarios."""
    if kind == "scenario":
        from experiments.config import scenario_schema as schema_of
    elif kind == "experiment":
        from experiments.run.source import experiment_schema as schema_of
    elif kind == "sweep":
        from experiments.sweep.source import sweep_schema as schema_of
    elif kind == "log-mapping":
        from experiments.offline.logs.mapping import mapping_schema as schema_of
    elif kind == "worlds":
        from experiments.robustness.worlds import worlds_schema as schema_of
    else:
        from experiments.training.source import training_schema as schema_of

    text = json.dumps(schema_of(), indent=2) + "\n"
    if out is None:
        click.echo(text, nl=False)
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"cannot write {out}: {error.strerror}") from None


@config.command()
@click.argument("source", metavar="NAME_OR_PATH")
@click.option("--json", "is_json", is_flag=True, help="JSON instead of YAML.")
@click.option("--set", "settings", multiple=True, metavar="PATH=VALUE", help="Write a value over the file; repeatable.")
def show(source: str, is_json: bool, settings: tuple[str, ...]) -> None:
    """Print a config with every value resolved, defaults included."""
    from experiments.yaml_source import write_yaml

    tree = _load(source, settings)
    if is_json:
        click.echo(json.dumps(tree, indent=2))
    else:
        click.echo(write_yaml(tree), nl=False)


@config.command("list")
def list_() -> None:
    """List what comes with the package, by name and title."""
    from experiments.config import load_scenario, preset_names
    from experiments.offline.logs.mapping import load_mapping, mapping_names
    from experiments.robustness.worlds import STANDARD, load_worlds
    from experiments.run.source import experiment_names, experiment_path
    from experiments.shipped import shipped_title
    from experiments.sweep.source import sweep_names, sweep_path
    from experiments.training.source import training_names, training_path

    names = (*preset_names(), *experiment_names(), *sweep_names(), *training_names(), *mapping_names())
    width = 2 + max(map(len, names))
    click.echo("Scenarios")
    for name in preset_names():
        click.echo(f"  {name:<{width}}{load_scenario(name).title}")
    click.echo("\nExperiments")
    for name in experiment_names():
        click.echo(f"  {name:<{width}}{shipped_title(experiment_path(name))}")
    click.echo("\nSweeps")
    for name in sweep_names():
        click.echo(f"  {name:<{width}}{shipped_title(sweep_path(name))}")
    click.echo("\nTrainings")
    for name in training_names():
        click.echo(f"  {name:<{width}}{shipped_title(training_path(name))}")
    click.echo("\nMappings of logs")
    for name in mapping_names():
        click.echo(f"  {name:<{width}}{load_mapping(name).name}")
    click.echo("\nWorlds, of kairos robustness")
    for world in load_worlds(STANDARD):
        click.echo(f"  {world.name:<{width}}{world.sentence}")


def _load(source: str, settings: tuple[str, ...]) -> dict[str, Any]:
    """Return a config as plain data, every value resolved.

    What it is, its `kind` says; no two that come with the package share a name. Only what reads that kind is imported.
    """
    from experiments.config import load_scenario, preset_names, read_setting, scenario_tree
    from experiments.shipped import kind_written, shipped_names

    overrides = dict(read_setting(setting) for setting in settings)
    folders = {"experiment": "experiments", "sweep": "sweeps", "training": "training", "log-mapping": "logs"}
    named = "scenario" if source in preset_names() else None
    named = named or ("worlds" if source == "worlds" else None)
    named = named or next((kind for kind, folder in folders.items() if source in shipped_names(folder)), None)
    match named or kind_written(source):
        case "experiment":
            from experiments.run.source import load_experiment

            return load_experiment(source, overrides).config.model_dump(mode="json")
        case "sweep":
            from experiments.sweep.source import load_sweep

            return load_sweep(source, overrides).config.model_dump(mode="json")
        case "training":
            from experiments.training.source import load_training

            return load_training(source, overrides).config.model_dump(mode="json")
        case "log-mapping":
            from experiments.offline.logs.mapping import load_mapping

            return load_mapping(source, overrides).model_dump(mode="json")
        case "worlds":
            from experiments.robustness.worlds import worlds_file

            return worlds_file(source, overrides).model_dump(mode="json")
    return scenario_tree(load_scenario(source, overrides))
