"""`kairos run`: an experiment from its file to its answer; the same command goes on after a stop."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from experiments.run_options import asked, choose_threads, interruptible, output_folder, plain_console, with_options

if TYPE_CHECKING:
    from experiments.run.readers import KeptRun
    from experiments.run.source import Experiment

INTERRUPTED = 130
# What a person may look for in a run's folder.
BESIDE = {
    "measures": "tables",
    "policies": "policies",
    "ledger": "the log",
    "exports": "exports",
    "robustness": "other worlds",
}


@click.command(short_help="Run an experiment: train, judge, export, report.")
@click.argument("config", metavar="CONFIG")
@click.option("--set", "settings", multiple=True, metavar="PATH=VALUE", help="Write a value over the file; repeatable.")
@click.option("--seed", type=click.IntRange(min=0), help="Short for --set seed=N; each meets users of its own.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of results; the run lies below it, as NAME/CONFIG-HASH/SEED. Default: results.",
)
@click.option("--threads", type=click.IntRange(min=1), help="Threads of the simulator; results do not depend on it.")
@click.option("--mlflow", "mlflow_uri", metavar="URI", help="Also log the finished run to MLflow's store there.")
@click.option("--json", "is_json", is_flag=True, help="Print the answer as JSON, and nothing else.")
@click.pass_context
def run(
    ctx: click.Context,
    config: str,
    settings: tuple[str, ...],
    seed: int | None,
    out: Path | None,
    threads: int | None,
    mlflow_uri: str | None,
    is_json: bool,
) -> None:
    """Run the experiment CONFIG, a name (see `kairos config list`) or a file, and print its answer.

    Tunes and trains its contenders, judges all of them on the same users with the same luck, records a log and judges
    by it beside the truth, exports and certifies, and leaves tables, pictures and a report. Stopped or killed, the same
    command goes on where it was; where the run is there already, it is read, not made again.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy is loaded; see `experiments.run.run`
    experiment = _experiment(config, settings, seed)
    root = output_folder(out, "") if out is not None else Path("results")
    folder = root / experiment.place
    output_folder(folder, "")
    if mlflow_uri is not None:
        _require_mlflow()
    choose_threads(threads)

    from experiments.run.faults import Interrupted, RunError
    from experiments.run.readers import require_same

    try:
        is_there = folder.exists()
        if not is_there:
            _run(experiment, folder, is_quiet=is_json)
        kept = require_same(folder, experiment)
        if damage := kept.damage():
            listed = "\n  ".join(damage)
            raise RunError(f"{folder}: this run is damaged; remove it to run it again:\n  {listed}")
        summary = kept.summary
        if mlflow_uri is not None:
            from experiments.run.mlflow_writer import log_run

            click.echo(f"MLflow run: {log_run(kept, mlflow_uri)}", err=True)
    except (Interrupted, KeyboardInterrupt):  # asked once, or twice
        click.echo(f"Interrupted; what is done is kept. To go on: {asked(ctx)}", err=True)
        ctx.exit(INTERRUPTED)
    except (RunError, ModuleNotFoundError) as error:
        raise click.ClickException(str(error)) from None
    if is_json:
        click.echo(json.dumps(summary | {"folder": str(folder)}, indent=1, allow_nan=False))
    else:
        print_run(kept, summary, is_there=is_there)


def _experiment(config: str, settings: tuple[str, ...], seed: int | None) -> Experiment:
    """Return the experiment with the options written over it; faults are told by the option's own name."""
    from experiments.run.source import load_experiment

    try:
        return with_options(load_experiment, config, {"seed": ("--seed", seed)}, settings)
    except ModuleNotFoundError as error:
        raise click.ClickException(str(error)) from None


def _require_mlflow() -> None:
    """Tell that MLflow is not installed before hours of work, not after."""
    from importlib.util import find_spec

    if find_spec("mlflow") is None:
        raise click.ClickException('--mlflow: MLflow is not installed: pip install "kairos-notify[track]"')


def _run(experiment: Experiment, folder: Path, *, is_quiet: bool) -> None:
    from experiments.run.run import run_experiment

    with interruptible("Stopping after what is at hand; Ctrl-C again stops at once.") as is_interrupted:
        run_experiment(experiment, folder, is_interrupted=is_interrupted, is_quiet=is_quiet)


def print_run(kept: KeptRun, summary: dict[str, Any], *, is_there: bool = False) -> None:
    """Print a run's answer, its contenders, and where the rest is."""
    from rich.text import Text

    from experiments.run.folder import REPORT
    from experiments.run.tables import outcome_table

    console = plain_console()
    if is_there:
        click.echo(f"Already there, nothing was run again; kairos reproduce {kept.folder} would.", err=True)
    if summary["question"]:
        console.print(Text(f"\n{summary['question']}", style="dim"))
    console.print(Text(summary["answer"], style="bold"))
    about = f"{summary['scenario']}, {summary['n_users']:,} users, {summary['n_days']} days, seed {kept.seed}"
    console.print(Text(f"{about}; the same users with the same luck for all.\n", style="dim"))
    console.print(outcome_table(kept.measures("outcomes"), summary["reference"]))
    report = kept.folder / REPORT
    where = f"Report: {report}" if report.is_file() else f"Pictures: {kept.folder / 'pictures'}"
    console.print(Text(where), soft_wrap=True)
    there = [words for name, words in BESIDE.items() if (kept.folder / name).is_dir()]
    console.print(Text(f"Beside it: {', '.join(there)}: {kept.folder}"), soft_wrap=True)
