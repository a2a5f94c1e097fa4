"""`kairos robustness`: policies made in one world, tried in others; and what a conclusion depends on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from experiments.run_options import (
    asked,
    choose_threads,
    chosen_scenario,
    output_folder,
    plain_console,
    telling,
    writing,
)

if TYPE_CHECKING:
    from experiments.robustness.contestants import Contestant
    from experiments.robustness.matrix import Matrix
    from experiments.robustness.sensitivity import Parameter, Sensitivity
    from experiments.robustness.trial import Size
    from simulator.config import Scenario

BESIDE = "robustness"  # in a run's folder, where its report looks
PAGE, MATRIX, TURNS = "robustness.html", "matrix.parquet", "sensitivity.parquet"
MOST_COLUMNS = 4  # of policies that fit into 80 letters


@click.command(short_help="Try policies in worlds that they were not made in.")
@click.argument("sources", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True), metavar="SOURCE...")
@click.option(
    "--scenario", metavar="NAME", help="Home: a preset or a file. Default: that of the first SOURCE's folder."
)
@click.option("--worlds", metavar="NAME,...|FILE", help="Default: all of configs/worlds.yaml.")
@click.option("--against", default="silence", show_default=True, metavar="POLICY", help="Whom gains are over.")
@click.option("--users", default=2048, show_default=True, type=click.IntRange(2), help="Of each world.")
@click.option("--days", type=click.IntRange(1), help="Of a user's life; default: the scenario's.")
@click.option("--epoch-hours", type=click.Choice(["1", "2", "3", "4", "6", "8", "12", "24"]), help="Between decisions.")
@click.option("--sensitivity", "is_sensitive", is_flag=True, help="Also move each parameter of behaviour by itself.")
@click.option("--parameter", "patterns", multiple=True, metavar="PATTERN", help="Move only these, as response.*")
@click.option("--policy", "asked_policy", metavar="POLICY", help="Whose gain parameters move. Default: best at home.")
@click.option("--seed", default=50_000_000, show_default=True, type=click.IntRange(0), help="Of the users.")
@click.option("--threads", type=click.IntRange(1), help="Of the simulator; default: one a core.")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), help="Folder; default: results/robustness-NAME."
)
def robustness(
    sources: tuple[Path, ...],
    scenario: str | None,
    worlds: str | None,
    against: str,
    users: int,
    days: int | None,
    epoch_hours: str | None,
    is_sensitive: bool,
    patterns: tuple[str, ...],
    asked_policy: str | None,
    seed: int,
    threads: int | None,
    out: Path | None,
) -> None:
    """Try policies in worlds that they were not made in: twice as tiring, drifting, shocked, another app.

    SOURCE is a policy document, a training's folder or a run's folder (all of its policies). Writes robustness.html,
    matrix.parquet and, with --sensitivity, sensitivity.parquet. Interrupted or killed, the same command goes on where
    it stopped: what is done is kept in the folder `done`. Default of --out: the folder `robustness` in a run's folder,
    where the run's report finds it; else results/robustness-NAME.
    """
    from experiments.robustness.contestants import contestants
    from experiments.robustness.matrix import matrix
    from experiments.robustness.page import robustness_page
    from experiments.robustness.sensitivity import chosen, parameters
    from experiments.robustness.trial import KEPT, Size
    from experiments.robustness.worlds import chosen_worlds, differing
    from policies.codec import DocumentError

    if (patterns or asked_policy) and not is_sensitive:
        raise click.UsageError("--parameter and --policy say what --sensitivity moves; give that, too.")
    home = _home(sources, scenario, days)
    places, same = differing(chosen_worlds(worlds), home)
    movable, unmoved = parameters(home)
    moving = chosen(movable, patterns)
    try:
        who = contestants(sources, None if epoch_hours is None else int(epoch_hours))
    except DocumentError as error:
        raise click.ClickException(str(error)) from None
    _require_known("--against", against, [*(one.name for one in who), "silence"])
    if asked_policy is not None:
        _require_known("--policy", asked_policy, [one.name for one in who if one.name != against])
    choose_threads(threads)
    folder = output_folder(_place(out, sources), f"robustness-{home.name}")
    size, kept = Size(users, seed), folder / KEPT
    command = asked(click.get_current_context(), "--out", str(folder), without=("out", "threads"))
    with writing():
        found = matrix(places, who, against, size, kept, telling(f"{len(places)} worlds", "days"))
        turned = None
        if is_sensitive:
            left = () if patterns else unmoved
            turned = _turned(home, found, who, asked_policy, against, moving, left, size, kept)
        _write(folder, found, turned, robustness_page(found, turned, command, same, _versions()))
        _tell_the_run(folder)
    _print(found, turned, same, folder)


def _home(sources: tuple[Path, ...], scenario: str | None, days: int | None) -> Scenario:
    from experiments.robustness.contestants import home_source

    file = home_source(sources) if scenario is None else None
    if scenario is None and file is None:
        raise click.UsageError(
            "--scenario: expected the world that the policies were made in, since no SOURCE is a training's or a run's "
            "folder: a preset, such as ecommerce, or a file."
        )
    return chosen_scenario(str(file) if scenario is None else scenario, None, days, None, ())


def _place(out: Path | None, sources: tuple[Path, ...]) -> Path | None:
    """Return where to write; None: where no SOURCE has a place for it.

    By default it is where the report of a run looks, if the only source is a run's folder. What a run has found itself
    is part of it, and stays.
    """
    from experiments.robustness.contestants import is_run

    if out is None:
        is_alone = len(sources) == 1 and is_run(sources[0])
        return sources[0] / BESIDE if is_alone and not _is_its_own(sources[0] / BESIDE) else None
    if _is_its_own(out):
        raise click.UsageError(f"--out: {out} is part of a finished run, which stays as it is; name another folder.")
    return out


def _is_its_own(folder: Path) -> bool:
    """Return whether a run has been in other worlds itself, and keeps there what it found."""
    from experiments.run.manifest import MANIFEST

    try:
        told = json.loads((folder.parent / MANIFEST).read_text("utf-8"))
        return any(name.startswith(f"{folder.name}/") for name in told["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _tell_the_run(folder: Path) -> None:
    """Write the page of the run whose folder this lies in anew, so that it shows what was found."""
    from experiments.report.reading import ReportError
    from experiments.report.run_page import write_run_page
    from experiments.run.folder import REPORT
    from experiments.run.manifest import MANIFEST

    run = folder.parent
    if folder.name != BESIDE or not (run / MANIFEST).is_file():
        return
    try:
        write_run_page(run, run / REPORT)
    except ReportError as error:
        click.echo(f"The run's own page was left as it is: {error}", err=True)


def _require_known(option: str, name: str, known: Sequence[str]) -> None:
    from simulator.config import did_you_mean

    if name not in known:
        raise click.UsageError(
            f"{option}: expected one of {', '.join(known)}; got {name!r}.{did_you_mean(name, known)}"
        )


def _turned(
    home: Scenario,
    found: Matrix,
    who: Sequence[Contestant],
    asked: str | None,
    against: str,
    moving: Sequence[Parameter],
    unmoved: Sequence[str],
    size: Size,
    kept: Path,
) -> Sensitivity:
    from experiments.robustness.sensitivity import sensitivity

    others = {one.name: one for one in who if one.name != against}
    if not others:
        raise click.UsageError(f"--sensitivity: expected a policy besides {against!r}, whose gain over it is asked.")
    best = max(others, key=lambda name: found.gain("home", name).mean)
    policy = others[asked or best]
    reference = next((one for one in who if one.name == against), None)
    tell = telling(f"{policy.name} over {against}, parameters down and up", "moves")
    return sensitivity(home, policy, reference, moving, unmoved, size, kept, on_move=tell)


def _write(folder: Path, found: Matrix, turned: Sensitivity | None, page: str) -> None:
    import polars as pl

    from experiments.results import whole_file, write_text

    tables = {MATRIX: found.columns()} | ({} if turned is None else {TURNS: turned.columns()})
    for name, columns in tables.items():
        with whole_file(folder / name) as partial:
            pl.DataFrame(columns).write_parquet(partial)
    write_text(folder / PAGE, page)


def _print(found: Matrix, turned: Sensitivity | None, same: Sequence[str], folder: Path) -> None:
    from rich.text import Text

    from experiments.tables import print_rows

    console = plain_console()
    console.print(Text(found.answer(), style="bold"))
    if len(found.policies) <= MOST_COLUMNS:
        rows = [(w.name, *(_gain(found, w.name, name) for name in found.policies)) for w in found.worlds]
        print_rows(console, ("over silence, EUR a user", *found.policies), rows)
    if len(found.policies) > 1:
        for policy in found.policies:
            console.print(Text(found.in_words(policy)))
    if turned is not None:
        console.print(Text(f"\n{turned.in_words()}"))
    if same:
        console.print(Text(f"Left out, since they change nothing here: {', '.join(same)}."))
    names = [PAGE, MATRIX, *([] if turned is None else [TURNS])]
    console.print(f"\nWritten: {', '.join(str(folder / name) for name in names)}", soft_wrap=True)


def _gain(found: Matrix, world: str, policy: str) -> str:
    gain = found.cells[world, policy].over_silence
    return "" if gain is None else f"{gain.mean:+.3f} ±{gain.high - gain.mean:.3f}"


def _versions() -> str:
    import platform

    from experiments.versions import versions

    libraries = ", ".join(f"{name} {number}" for name, number in versions().items())
    return f"{libraries}; {platform.system()} {platform.machine()}."
