"""`kairos train`: train an agent by a config, with progress, checkpoints and early stopping; and go on after a stop."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from experiments.run_options import asked, choose_threads, interruptible, output_folder, plain_console, writing

if TYPE_CHECKING:
    from experiments.training.course import Course, Watcher
    from experiments.training.folder import TrainingFolder
    from experiments.training.source import Plan
    from experiments.training.train import Result

INTERRUPTED = 130


@click.command()
@click.argument("config", metavar="CONFIG")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Folder; default: results/NAME.")
@click.option("--resume", "is_resuming", is_flag=True, help="Go on with the unfinished training in the folder.")
@click.option(
    "--begin-with",
    "begun",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Begin with the best policy of the training there, on the same features or some of them.",
)
@click.option("--set", "settings", multiple=True, metavar="PATH=VALUE", help="Write a value over the file; repeatable.")
@click.option("--seed", type=click.IntRange(min=0), help="Short for --set seed=N.")
@click.option("--steps", type=click.IntRange(min=1), help="Decisions; short for --set training.n_steps=N.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads of the simulator; results do not depend on it.")
@click.option("--json", "is_json", is_flag=True, help="Print the result as JSON, and nothing else.")
@click.pass_context
def train(
    ctx: click.Context,
    config: str,
    out: Path | None,
    is_resuming: bool,
    begun: Path | None,
    settings: tuple[str, ...],
    seed: int | None,
    steps: int | None,
    threads: int | None,
    is_json: bool,
) -> None:
    """Train an agent by CONFIG, a training's name (see `kairos config list`) or a file.

    Writes checkpoints, the learning curve and the best policy to --out. Ctrl-C stops after the portion at hand and
    keeps it. A training that was stopped, or killed, goes on with --resume to the very result of an unbroken one.
    """
    # Small matrices on several threads gain nothing, and wait for each other where the machine has other work: the
    # simple rules of world A took 50 s so, and 0.8 s on one. It takes effect because NumPy is not loaded yet.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    choose_threads(threads)
    plan = _plan(config, settings, seed, steps, begun)
    from experiments.training.folder import FolderError, TrainingFolder

    folder = TrainingFolder(output_folder(out, plan.config.name), plan)
    try:
        folder.require_fit(is_resuming)
        result = _run(plan, folder, is_resuming, is_quiet=is_json)
    except FolderError as error:
        raise click.ClickException(str(error)) from None
    if result is None:
        again = asked(ctx, "--out", str(folder.path), "--resume", without=("out", "is_resuming"))
        click.echo(f"Interrupted. To go on: {again}", err=True)
        ctx.exit(INTERRUPTED)
    if is_json:
        click.echo(json.dumps(result.to_dict(plan), indent=1, allow_nan=False))
    else:
        _print(plan, folder, result)


def _plan(config: str, settings: tuple[str, ...], seed: int | None, steps: int | None, begun: Path | None) -> Plan:
    """Return the plan with the options written over it; faults are told by the option's own name."""
    from dataclasses import replace

    from experiments.run_options import with_options
    from experiments.training.beginning import beginning
    from experiments.training.source import load_training

    short = {"seed": ("--seed", seed), "training.n_steps": ("--steps", steps)}
    try:
        plan = with_options(load_training, config, short, settings)
    except ModuleNotFoundError as error:
        raise click.ClickException(str(error)) from None
    return plan if begun is None else replace(plan, begins_with=beginning(begun))


def _run(plan: Plan, folder: TrainingFolder, is_resuming: bool, *, is_quiet: bool) -> Result | None:
    """Train, with progress; None if interrupted."""
    from agents.kinds import horizon_words
    from experiments.faults import ConfigError
    from experiments.training.train import build, run

    if not is_quiet:
        click.echo(horizon_words(plan.config.agent, plan.config.credit))
    try:
        built = build(plan)
    except ModuleNotFoundError as error:
        raise click.ClickException(str(error)) from None

    @contextmanager
    def watched(course: Course) -> Iterator[Watcher]:
        from experiments.training.progress import ProgressWatcher
        from experiments.training.tensorboard import MISSING, EventWriter

        events = EventWriter(folder.path / "tensorboard", course.trainer.n_steps)
        if not events.is_there:
            click.echo(MISSING, err=True)
        if is_resuming:
            n, of = course.trainer.n_steps, course.schedule.n_steps
            click.echo(f"Going on at step {n:,} of {of:,}.", err=True)
        watcher = ProgressWatcher(course.schedule.n_steps, events)
        try:
            with watcher.watching():
                yield watcher
        finally:
            events.close()

    told = "Stopping after this portion; Ctrl-C again stops at once."
    with writing(), folder.held(), interruptible(told) as is_interrupted:
        folder.require_fit(is_resuming)  # again: another may have finished while this one was being built
        try:
            return run(built, folder, watched, is_interrupted, is_resuming=is_resuming)
        except ConfigError:
            raise
        except ValueError as error:
            raise click.ClickException(str(error)) from None


def _print(plan: Plan, folder: TrainingFolder, result: Result) -> None:
    from rich.text import Text

    from experiments.training.beginning import BEST
    from experiments.training.folder import CONFIG, CURVE, MANIFEST, PICTURE, POLICY, RESULT
    from experiments.training.headline import headline, subtitle

    console = plain_console()
    console.print(Text(f"\n{headline(plan, result.best)}.", style="bold"))
    console.print(f"{subtitle(plan, result.n_steps)}; {_ending(plan, result)}", style="dim", highlight=False)
    console.print(f"{result.horizon}\n", style="dim", highlight=False)
    for name, value in _rows(result):
        console.print(f"{name:<28}{value:>12}", highlight=False)
    if result.policy_hash is None:
        console.print(f"\nNo policy document: {result.no_policy}", soft_wrap=True)
    else:
        console.print(f"\nPolicy: {folder.path / POLICY}\nContent hash: {result.policy_hash}", soft_wrap=True)
    console.print(f"Picture: {folder.path / PICTURE}", soft_wrap=True)
    console.print(f"Beside it: {CONFIG}, {CURVE}, {RESULT}, {BEST}, {MANIFEST}", soft_wrap=True)


def _ending(plan: Plan, result: Result) -> str:
    if result.end == "patience":
        return f"stopped early: {plan.config.training.patience} evaluations without a clear gain"
    return f"{result.seconds:,.0f} s"


def _rows(result: Result) -> Iterator[tuple[str, str]]:
    """Yield what to print of the best evaluation."""
    names: dict[str, tuple[str, Any]] = {
        "n_steps": ("best evaluation at step", lambda value: f"{value:,.0f}"),
        "value_eur": ("value, EUR", lambda value: f"{value:.5f}"),
        "over_silence_eur": ("over silence, EUR", lambda value: f"{value:+.5f}"),
        "gap_closed": ("gap closed", lambda value: f"{100 * value:.1f}%"),
        "sends_per_user_week": ("sends per user and week", lambda value: f"{value:.2f}"),
        "opt_outs_per_100": ("opt-outs per 100 users", lambda value: f"{value:.1f}"),
        "left_share": ("users who left", lambda value: f"{100 * value:.1f}%"),
    }
    for column, (words, shown) in names.items():
        value = result.best.get(column, math.nan)
        if math.isfinite(value):
            yield words, shown(value)
    for name, value in result.references.items():
        if name != "silence":
            yield name, f"{value:.5f}"
