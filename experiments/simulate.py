"""`kairos simulate` and `kairos compare`: run policies on a scenario, print what they came to, keep it in a folder.

The libraries that simulate are imported inside the commands, because help must come at once.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from experiments.run_options import choose_threads, chosen_scenario, output_folder, plain_console, writing

if TYPE_CHECKING:
    from rich.console import Console

    from experiments.runs import EngineName
    from simulator.config import Scenario
    from simulator.measures import Measures, Run
    from simulator.senders import Sender

F = TypeVar("F", bound=Callable[..., Any])

INTERRUPTED = 130

OUTPUTS = ("measures.json", "users.parquet", "picture.png", "scenario.yaml")


def _run_options(command: F) -> F:
    """Add the options that say what is run; both commands have them."""
    for option in reversed(
        (
            click.argument("config", metavar="CONFIG"),
            click.option("--users", type=click.IntRange(min=1), help="Users; short for --set population.n_users=N."),
            click.option("--days", type=click.IntRange(min=1), help="Days; short for --set calendar.horizon_days=N."),
            click.option("--seed", type=click.IntRange(min=0), help="Seed of all luck; short for --set seed=N."),
            click.option("--set", "settings", multiple=True, metavar="PATH=VALUE", help="Write a value over the file."),
            click.option("--threads", type=click.IntRange(min=1), help="Threads; results do not depend on it."),
            click.option(
                "--engine",
                type=click.Choice(["fleet", "events"]),
                default="fleet",
                show_default=True,
                help="fleet is fast; events can be traced. Both give the same users.",
            ),
            click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Folder to write to."),
            click.option("--json", "is_json", is_flag=True, help="Print the measures as JSON, and nothing else."),
        )
    ):
        command = option(command)
    return command


@click.command()
@_run_options
@click.option("--policy", default="weekly-7", show_default=True, help="Who is sent what: never, weekly-N, evening, ...")
@click.option(
    "--trace",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File for every event, one line of JSON each; with --engine events.",
)
@click.option(
    "--shards", type=click.IntRange(min=1), help="Run the users in so many processes; the result is the same."
)
@click.option("--ray-address", help="Run the shards on this Ray cluster instead; `local` starts one.")
def simulate(
    config: str,
    users: int | None,
    days: int | None,
    seed: int | None,
    settings: tuple[str, ...],
    threads: int | None,
    engine: EngineName,
    out: Path | None,
    is_json: bool,
    policy: str,
    trace: Path | None,
    shards: int | None,
    ray_address: str | None,
) -> None:
    """Run one policy on CONFIG, a preset's name or a file, and measure what it came to.

    Writes measures.json, users.parquet, picture.png and scenario.yaml to --out (default: results/SCENARIO-POLICY).
    """
    if trace is not None and engine != "events":
        raise click.UsageError("--trace needs --engine events; the fleet engine keeps no list of events.")
    if shards is None and ray_address is not None:
        raise click.UsageError("--ray-address: expected --shards as well, which say how the users are split.")
    if shards is not None and engine != "fleet":
        raise click.UsageError(f"--shards: expected --engine fleet, got {engine}.")
    scenario = chosen_scenario(config, users, days, seed, settings)
    [sender] = _senders((policy,))
    folder = output_folder(out, f"{scenario.name}-{policy}")
    if trace is not None and (trace.resolve() == folder.resolve() or trace.resolve().parent == folder.resolve()):
        if trace.name in OUTPUTS or trace.resolve() == folder.resolve():
            raise click.UsageError(f"--trace {trace} is where --out writes; name another file.")
    choose_threads(threads)

    from experiments.plots import draw_run
    from experiments.results import PICTURE, SCENARIO, whole_file, write_run, write_scenario
    from experiments.runs import Watch, run_policy
    from experiments.tables import print_run
    from simulator.measures import measure

    run: Run
    with writing():
        if shards is not None:
            run = _in_shards(scenario, sender, shards, ray_address)
        else:
            with Watch(scenario.calendar.horizon_days, 1).watching() as watch, watch.one_run(policy) as on_day:
                run = run_policy(scenario, sender, engine, on_day, trace)
        measures = measure(run)
        written = write_run(folder, run, measures, policy)
        with whole_file(folder / PICTURE) as partial:
            draw_run(partial, measures, policy)
        write_scenario(folder, scenario)
    if is_json:
        click.echo(json.dumps({"policy": policy} | measures.to_dict(), indent=1, allow_nan=False))
        return
    console = plain_console()
    print_run(console, measures, policy)
    _say_where(console, folder, (*written, PICTURE, SCENARIO))


def _in_shards(scenario: Scenario, sender: Sender, n_shards: int, address: str | None) -> Run:
    from functools import partial

    from experiments.run_options import telling
    from experiments.sweep.shards import in_processes, on_ray, simulate_shards

    run = in_processes if address is None else partial(on_ray, address=address)
    tell = telling("Users", "shards")
    try:
        return simulate_shards(scenario, sender, n_shards, run, lambda done: tell(done, n_shards))
    except (ValueError, ModuleNotFoundError, ConnectionError) as error:
        raise click.ClickException(str(error)) from None


@click.command()
@_run_options
@click.option("--policies", required=True, metavar="NAME,NAME,...", help="For instance never,weekly-1,weekly-7.")
@click.option("--baseline", help="The policy that the others are held against; default: never, else the first.")
@click.pass_context
def compare(
    ctx: click.Context,
    config: str,
    users: int | None,
    days: int | None,
    seed: int | None,
    settings: tuple[str, ...],
    threads: int | None,
    engine: EngineName,
    out: Path | None,
    is_json: bool,
    policies: str,
    baseline: str | None,
) -> None:
    """Run several policies on the users of CONFIG under common luck, and say what each changes.

    Writes comparison.json, picture.png and scenario.yaml to --out (default: results/SCENARIO-compare), and what each
    run came to into a folder of its own. When interrupted, the policies that are finished are compared and written.
    """
    scenario = chosen_scenario(config, users, days, seed, settings)
    names = tuple(name.strip() for name in policies.split(","))
    senders = _senders(names)
    if len(names) < 2:
        raise click.UsageError("--policies: expected at least two to compare, got one; kairos simulate runs one.")
    folder = output_folder(out, f"{scenario.name}-compare")
    choose_threads(threads)

    from experiments.compare import choose_baseline
    from experiments.results import write_run, write_scenario
    from experiments.runs import Watch, run_policy
    from simulator.measures import measure

    try:
        choose_baseline(names, baseline)
    except ValueError as error:
        raise click.UsageError(str(error)) from None

    measured: dict[str, Measures] = {}
    is_interrupted = False
    with writing():
        try:
            with Watch(scenario.calendar.horizon_days, len(names)).watching() as watch:
                for name, sender in zip(names, senders, strict=True):
                    with watch.one_run(name) as on_day:
                        run = run_policy(scenario, sender, engine, on_day)
                    measures = measure(run)
                    write_run(folder / name, run, measures, name)
                    measured[name] = measures
        except KeyboardInterrupt:
            is_interrupted = True
        if measured:
            write_scenario(folder, scenario)
            _finish_comparison(folder, measured, baseline if baseline in measured else None, is_json)
    if is_interrupted:
        left = ", ".join(name for name in names if name not in measured)
        click.echo(f"Interrupted; without {left}.", err=True)
        ctx.exit(INTERRUPTED)


def _finish_comparison(folder: Path, measured: dict[str, Measures], baseline: str | None, is_json: bool) -> None:
    """Write and print the comparison of the policies that are finished."""
    from experiments.compare import compare as compare_policies
    from experiments.plots import draw_comparison
    from experiments.results import COMPARISON, PICTURE, SCENARIO, whole_file, write_json
    from experiments.tables import print_comparison

    comparison = compare_policies(measured, baseline)
    write_json(folder / COMPARISON, comparison.to_dict())
    with whole_file(folder / PICTURE) as partial:
        draw_comparison(partial, comparison, measured)
    if is_json:
        click.echo(json.dumps(comparison.to_dict(), indent=1, allow_nan=False))
        return
    console = plain_console()
    print_comparison(console, comparison, measured)
    _say_where(console, folder, (PICTURE, COMPARISON, SCENARIO, "a folder a policy"))


def _senders(names: tuple[str, ...]) -> list[Sender]:
    """Return the policies of some names."""
    from simulator.senders import sender

    for place, name in enumerate(names):
        if name in names[:place]:
            raise click.UsageError(f"policy {name!r} is given twice.")
    try:
        return [sender(name) for name in names]
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def _say_where(console: Console, folder: Path, files: tuple[str, ...]) -> None:
    console.print(f"Picture: {folder / 'picture.png'}", soft_wrap=True)
    console.print(f"Beside it: {', '.join(file for file in files if file != 'picture.png')}", soft_wrap=True)
