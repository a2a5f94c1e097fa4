"""`kairos record`: log every decision of a policy on the users of a scenario, and print what was written."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from experiments.run_options import (
    choose_threads,
    chosen_scenario,
    interruptible,
    output_folder,
    plain_console,
    writing,
)

if TYPE_CHECKING:
    from experiments.recording.logging_policies import LoggingPolicy
    from experiments.recording.record import Recorded
    from simulator.config import Scenario

INTERRUPTED = 130
USERS_AT_ONCE = 4096  # side by side; memory is that of so many, however many there are in all
RANDOM = "random"
SLOTS = 4


@click.command()
@click.argument("config", metavar="CONFIG")
@click.option("--policy", required=True, metavar="random|DOCUMENT.json", help="Who decides.")
@click.option("--users", type=click.IntRange(min=1), help="Users; short for --set population.n_users=N.")
@click.option("--days", type=click.IntRange(min=1), help="Days; short for --set calendar.horizon_days=N.")
@click.option("--seed", type=click.IntRange(min=0), help="Seed of all luck; short for --set seed=N.")
@click.option("--set", "settings", multiple=True, metavar="PATH=VALUE", help="Write a value over the file.")
@click.option("--slots", type=click.IntRange(1, 64), help=f"Candidates shown; default: the document's, or {SLOTS}.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads; the log does not depend on it.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Folder to write to.")
@click.option("--json", "is_json", is_flag=True, help="Print what was logged as JSON, and nothing else.")
@click.pass_context
def record(
    ctx: click.Context,
    config: str,
    policy: str,
    users: int | None,
    days: int | None,
    seed: int | None,
    settings: tuple[str, ...],
    slots: int | None,
    threads: int | None,
    out: Path | None,
    is_json: bool,
) -> None:
    """Log every decision of a policy on the users of CONFIG, a preset's name or a file, and what followed.

    Writes a ledger (decisions, outcomes, endings, the policy) and scenario.yaml to --out (default:
    results/SCENARIO-log-POLICY). Each user is alone: campaigns with a budget that users share are not offered. Ctrl-C
    stops after the next step; every episode that is logged is whole.
    """
    scenario = chosen_scenario(config, users, days, seed, settings)
    folder = output_folder(out, f"{scenario.name}-log-{Path(policy).stem}")
    if (folder / "ledger.json").exists():
        raise click.UsageError(f"--out {folder}: a ledger is there already; name another folder, or remove it.")
    logged = _policy(policy, slots)
    choose_threads(threads)

    from experiments.results import SCENARIO, write_scenario
    from experiments.tables import print_recorded
    from policies.ledger import LedgerError, MissingExtraError

    with writing(), interruptible("Stopping after this step; Ctrl-C again stops at once.") as is_interrupted:
        try:
            recorded = _record_all(scenario, logged, folder, is_interrupted)
        except (LedgerError, MissingExtraError) as error:
            raise click.ClickException(str(error)) from None
        write_scenario(folder, scenario)
        if is_interrupted():
            click.echo("Interrupted; what is logged is whole.", err=True)
    if is_json:
        told = asdict(recorded) | {"n_outcomes": recorded.outcomes_by_kind()}
        click.echo(json.dumps({"policy": logged.name, "policy_hash": logged.policy_hash} | told, indent=1))
    else:
        console = plain_console()
        print_recorded(console, recorded, f"{scenario.name}, {logged.name}: seed {scenario.seed}")
        console.print(f"Ledger: {folder}", soft_wrap=True)
        console.print(f"Beside it: {SCENARIO}", soft_wrap=True)
    if is_interrupted():
        ctx.exit(INTERRUPTED)


def _policy(name: str, slots: int | None) -> LoggingPolicy:
    """Return the policy of a name or a document's file."""
    from experiments.recording.logging_policies import of_document, uniform_policy
    from policies.codec import DocumentError
    from policies.decide import load
    from simulator.config import did_you_mean

    if name == RANDOM:
        return uniform_policy(SLOTS if slots is None else slots)
    try:
        policy = load(Path(name).read_bytes(), name)
    except DocumentError as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        expected = f"expected {RANDOM!r} or a policy document's file"
        raise click.UsageError(
            f"--policy {name}: {expected}: {error.strerror}.{did_you_mean(name, [RANDOM])}"
        ) from None
    if slots not in (None, policy.document.n_slots):
        raise click.UsageError(f"--slots {slots}: the document looks at {policy.document.n_slots} candidates.")
    return of_document(policy)


def _record_all(
    scenario: Scenario, policy: LoggingPolicy, folder: Path, is_interrupted: Callable[[], bool]
) -> Recorded:
    """Record one episode of every user, some thousands side by side at a time."""
    from experiments.recording.record import NOTHING, Shard, journal_rows, ledger_header
    from experiments.recording.record import record as record_shard
    from experiments.runs import Watch
    from policies.ledger import LedgerWriter
    from simulator.environments.vector import NotifyVectorEnv

    n_users, n_days = scenario.population.n_users, scenario.calendar.horizon_days
    epoch_hours = scenario.calendar.epoch_hours

    def environment(n: int) -> NotifyVectorEnv:
        n_slots = (policy.n_actions - 1) // 2
        rows = journal_rows(n)
        return NotifyVectorEnv(
            n, scenario, n_slots=n_slots, epoch_hours=epoch_hours, autoresets=False, journal_rows=rows
        )

    header = ledger_header(environment(1), f"{scenario.name}, {policy.name}, seed {scenario.seed}")
    firsts = range(0, n_users, USERS_AT_ONCE)
    total = NOTHING
    with LedgerWriter(folder, header) as writer, Watch(n_days, len(firsts)).watching() as watch:
        for first in firsts:
            if is_interrupted():
                break
            with watch.one_run(policy.name) as on_day:
                total += record_shard(
                    environment(min(USERS_AT_ONCE, n_users - first)),
                    policy,
                    writer,
                    seed=scenario.seed + first,
                    shard=Shard(first, n_users),
                    should_stop=is_interrupted,
                    on_step=lambda n_steps, on_day=on_day: on_day(n_steps * epoch_hours // 24),  # type: ignore[misc]
                )
    return total
