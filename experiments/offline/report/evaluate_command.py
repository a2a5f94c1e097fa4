"""`kairos evaluate`: what a policy would be worth, from a log of another."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from experiments.run_options import asked, output_folder, plain_console, telling, writing

if TYPE_CHECKING:
    from experiments.offline.evaluation import OfflineEvaluation
    from experiments.offline.logs.logged import Floats, LoggedRounds
    from experiments.offline.logs.trajectories import LoggedTrajectories
    from experiments.offline.replay import Replay
    from experiments.offline.report.reading import Read
    from experiments.offline.report_card import ReportCard

CARD_WORDS = ("Report card", "twin logs")
PAGE, PICTURE, RESULT = "evaluation.html", "evaluation.png", "evaluation.json"


@click.command(short_help="Judge policies by a log, before they meet a person.")
@click.argument("log", type=click.Path(path_type=Path))
@click.option(
    "--policy",
    "policies",
    multiple=True,
    required=True,
    metavar="P",
    help="uniform, always:ACTION, logging, a policy document, or a table of probabilities; may be repeated.",
)
@click.option(
    "--mapping", metavar="YAML", help="Which column is what; a name of `configs/logs` or a file. A ledger needs none."
)
@click.option(
    "--set", "settings", multiple=True, metavar="PATH=VALUE", help="Write a value over the mapping; repeatable."
)
@click.option("--estimator", "estimators", multiple=True, metavar="NAME", help="Only these; may be repeated.")
@click.option("--model", default="additive", show_default=True, help="Of rewards: additive, by_action or boosted.")
@click.option(
    "--method",
    default="asymptotic",
    show_default=True,
    help="Of intervals: asymptotic, bootstrap, bernstein, sequence.",
)
@click.option(
    "--reward-range",
    type=float,
    nargs=2,
    metavar="LOW HIGH",
    help="What a reward can be at least and at most; bernstein asks for it.",
)
@click.option(
    "--confidence", default=0.95, show_default=True, type=click.FloatRange(0, 1, min_open=True, max_open=True)
)
@click.option(
    "--report-card",
    "n_twins",
    type=click.IntRange(2, 100_000),
    metavar="N",
    help="Try each estimator on N logs of a simulated twin, where the truth is known, and say which to believe.",
)
@click.option(
    "--replay",
    "learners",
    multiple=True,
    metavar="KIND",
    help="Also what a bandit of this kind, learning as it goes, would have earned, such as linucb; may be repeated.",
)
@click.option("--sequential", "is_sequential", is_flag=True, help="Whole episodes, whose decisions follow each other.")
@click.option(
    "--discount-per-day",
    type=click.FloatRange(0, 1, min_open=True),
    metavar="G",
    help="With --sequential: what a reward is worth that comes a day later. Default: 1.",
)
@click.option(
    "--state",
    "states",
    multiple=True,
    metavar="FEATURE",
    help="With --sequential: a feature that makes a state, for state-marginalised IS; may be repeated. Default: all.",
)
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Of folds and bootstrap.")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), help="Folder; default: results/NAME of the log."
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON, and nothing else.")
def evaluate(
    log: Path,
    policies: tuple[str, ...],
    mapping: str | None,
    settings: tuple[str, ...],
    estimators: tuple[str, ...],
    model: str,
    method: str,
    reward_range: tuple[float, float] | None,
    confidence: float,
    n_twins: int | None,
    learners: tuple[str, ...],
    is_sequential: bool,
    discount_per_day: float | None,
    states: tuple[str, ...],
    seed: int,
    out: Path | None,
    as_json: bool,
) -> None:
    """Judge policies by LOG: a Parquet or CSV file with a mapping, or a ledger's folder.

    Writes a page, a picture and the figures to --out. Exits with 2 if the log cannot answer for any of the policies:
    no number is given then, but the reason.
    """
    import json

    from experiments.offline.report.page import page
    from experiments.offline.report.plots import draw_evaluation
    from experiments.offline.report.policies_by_name import named_target
    from experiments.offline.report.reading import read_as_asked
    from experiments.results import write_json, write_text

    _require_fitting(is_sequential, discount_per_day, states, learners, reward_range)
    options: dict[str, Any] = {
        "estimators": estimators or None,
        "model": model,
        "method": method,
        "reward_range": reward_range,
        "confidence": confidence,
        "seed": seed,
    }
    try:
        discount = (1.0 if discount_per_day is None else discount_per_day) if is_sequential else None
        read = read_as_asked(log, mapping, settings, discount)
        rounds, calibration = read.rounds, read.calibration
        targets = {policy: named_target(policy, rounds, is_in_order=read.is_in_order) for policy in policies}
        found = _evaluated(read, targets, states, options)
        answerable = {each.policy: targets[each.policy] for each in found if not each.is_refused}
        card: ReportCard | None
        if n_twins and read.episodes is not None:
            card = _episode_card(log, read.episodes, policies, estimators, states, n_twins, seed, discount or 1.0)
        else:
            card = _card(rounds, answerable, estimators, model, n_twins, seed) if n_twins and answerable else None
        replays = [_replayed(rounds, kind, confidence, seed) for kind in learners]
    except (ValueError, OSError) as error:
        from experiments.faults import ConfigError

        if isinstance(error, ConfigError):
            raise
        raise click.ClickException(str(error)) from None
    result: dict[str, Any] = {
        "kind": "offline-evaluations",
        "version": 1,
        "evaluations": [each.to_dict() for each in found],
    }
    if card is not None:
        result["report_card"] = card.to_dict()
    if calibration:
        result["propensities"] = {action: each.to_dict() for action, each in calibration.items()}
    if replays:
        result["replays"] = [each.to_dict() for each in replays]
    folder = output_folder(out, f"evaluate-{log.name.partition('.')[0]}")
    with writing():
        write_json(folder / RESULT, result)
        draw_evaluation(folder / PICTURE, found)
        command = asked(click.get_current_context(), without=("out", "as_json"))
        write_text(folder / PAGE, page(found, folder / PICTURE, command, card, replays, calibration))
    if as_json:
        click.echo(json.dumps(result, indent=2))
    else:
        for action, each in calibration.items():
            click.echo(f"Estimated propensities of {action!r}: {each.verdict}")
        _print(found, card, replays, folder)
    if all(each.is_refused for each in found):
        raise click.exceptions.Exit(2)


def _evaluated(
    read: Read, targets: dict[str, Floats], states: tuple[str, ...], options: dict[str, Any]
) -> list[OfflineEvaluation]:
    """Return the evaluation of each policy."""
    told: dict[str, Any] = {"warnings": read.warnings, "refusals": read.refusals}
    if read.episodes is None:
        from experiments.offline.evaluation import evaluate_policy

        return [
            evaluate_policy(read.rounds, target, name=name, log=read.name, **told, **options)
            for name, target in targets.items()
        ]
    from experiments.offline.sequential_evaluation import evaluate_trajectories

    options = {name: options[name] for name in ("estimators", "method", "confidence", "seed")}
    options |= {"states": states or None, "log_name": read.name, **told}
    return [evaluate_trajectories(read.episodes, target, name=name, **options) for name, target in targets.items()]


def _card(
    rounds: LoggedRounds,
    targets: dict[str, Floats],
    estimators: tuple[str, ...],
    model: str,
    n_logs: int,
    seed: int,
) -> ReportCard:
    """Return the report card."""
    from experiments.offline.estimators.catalogue import ESTIMATORS
    from experiments.offline.report_card import report_card
    from experiments.offline.twin import twin_of

    twin = twin_of(rounds, "by_action" if model != "by_action" else "boosted", seed=seed)
    names = estimators or tuple(ESTIMATORS)
    return report_card(
        twin,
        targets,
        estimators=names,
        model=model,
        n_logs=n_logs,
        seed=seed,
        on_log=telling(*CARD_WORDS),
    )


def _episode_card(
    log: Path,
    episodes: LoggedTrajectories,
    policies: tuple[str, ...],
    estimators: tuple[str, ...],
    states: tuple[str, ...],
    n_logs: int,
    seed: int,
    discount_per_day: float,
) -> ReportCard:
    """Return the report card of a ledger's episodes."""
    from experiments.offline.episode_card import episode_card, named_policy, twin_of_ledger
    from experiments.offline.logs.ledgers import is_ledger

    if not is_ledger(log):
        raise click.UsageError("--report-card: with --sequential it needs a ledger, whose twin can be simulated.")
    twin = twin_of_ledger(log, episodes.n_episodes, discount_per_day)
    candidates = {name: named_policy(name, twin) for name in policies}
    chosen = {"estimators": estimators or None, "states": states or None}
    return episode_card(twin, candidates, n_logs=n_logs, seed=seed, on_log=telling(*CARD_WORDS), **chosen)


def _replayed(rounds: LoggedRounds, kind: str, confidence: float, seed: int) -> Replay:
    """Return what a bandit with its default config would have earned."""
    from agents.kinds import settings_class
    from experiments.offline.replay import replay

    return replay(rounds, settings_class(kind)(), confidence=confidence, seed=seed)


def _print_card(card: ReportCard) -> None:
    from rich import box
    from rich.table import Table

    console = plain_console()
    console.print(card.in_words(), style="bold", highlight=False)
    table = Table(
        "estimator", "policy", "truth", "bias", "error (RMSE)", "coverage", box=box.SIMPLE_HEAD, pad_edge=False
    )
    for mark in card.marks:
        cells = (f"{mark.truth:.4g}", *mark.cells())
        table.add_row(mark.title, mark.policy, *cells)
    console.print(table)


def _require_fitting(
    is_sequential: bool,
    discount_per_day: float | None,
    states: tuple[str, ...],
    learners: tuple[str, ...],
    reward_range: tuple[float, float] | None,
) -> None:
    """Raise a UsageError where options do not go together."""
    if is_sequential:
        for option, given in (("--replay", learners), ("--reward-range", reward_range)):
            if given:
                raise click.UsageError(f"{option}: is of single decisions; leave it or --sequential out.")
    elif discount_per_day is not None or states:
        option = "--state" if discount_per_day is None else "--discount-per-day"
        raise click.UsageError(f"{option}: is of whole episodes; add --sequential.")


def _print(found: list[OfflineEvaluation], card: ReportCard | None, replays: list[Replay], folder: Path) -> None:
    from rich import box
    from rich.table import Table

    console = plain_console()
    for each in found:
        console.print(each.in_words(), style="bold", highlight=False)
        for warning in each.warnings:
            console.print(f"Warning: {warning}", style="yellow", highlight=False)
        if each.estimates:
            table = Table(
                "estimator", "value", "interval", "over the log's policy", box=box.SIMPLE_HEAD, pad_edge=False
            )
            for row in each.estimates.values():
                low, high = f"{row.interval.low:.5g}", f"{row.interval.high:.5g}"
                gain = f"{row.gain.value:+.3g} ({row.gain.low:+.3g} to {row.gain.high:+.3g})"
                table.add_row(row.title, f"{row.interval.value:.5g}", f"{low} to {high}", gain)
            console.print(table)
        if each.note:
            console.print(each.note, style="dim", highlight=False)
        if each.distribution is not None and (words := each.distribution.in_words()):
            console.print(words, highlight=False)
        for title, why in ({} if each.is_refused else each.refused).items():
            console.print(f"Refused: {title}, since {why}.", style="yellow", highlight=False)
        told, naive = each.diagnosis, "" if each.naive is None else each.naive.in_words() + " "
        console.print(
            f"{naive}Effective sample size {told.effective:,.0f} of {told.rounds:,} rounds; largest weight "
            f"{told.largest_weight:,.1f}.\n",
            style="dim",
            highlight=False,
        )
    if card is not None:
        _print_card(card)
    for replayed in replays:
        console.print(replayed.in_words(), highlight=False)
    console.print(f"Written: {folder / PAGE}, {folder / PICTURE}, {folder / RESULT}")
