"""`kairos plan-test`: how many users and days a test needs, and whether a short one would ship the loser."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from experiments.run_options import choose_threads, chosen_scenario, plain_console

if TYPE_CHECKING:
    from experiments.planning.metrics import Metric
    from experiments.planning.short_test import ShortTest

SHARE = click.FloatRange(0, 1, min_open=True, max_open=True)
DESIGN = (
    click.option("--treated-share", default=0.5, show_default=True, type=SHARE, help="A holdout of a tenth is .9."),
    click.option("--level", default=0.05, show_default=True, type=SHARE, help="Chance of a false alarm, two-sided."),
    click.option("--power", "power_", default=0.8, show_default=True, type=SHARE, help="Chance to see the effect."),
    click.option("--per-day", default=0.0, type=click.FloatRange(0), help="New users a day."),
    click.option("--at-start", default=0, type=click.IntRange(0), help="Users who are there on the first day."),
    click.option("--observed-days", default=0, type=click.IntRange(0), help="Days until a user's outcome is known."),
    click.option("--watched", is_flag=True, help="The test is looked at all the time: a test that may be."),
    click.option("--json", "is_json", is_flag=True, help="Print the plan as JSON, and nothing else."),
)


def _design_options(command: Any) -> Any:
    for option in reversed(DESIGN):
        command = option(command)
    return command


@click.group("plan-test", short_help="Plan a test on people.")
def plan_test() -> None:
    """Plan a test on people: users, days, and what a short test would ship."""


@plan_test.command()
@click.option("--control", required=True, type=SHARE, metavar="P", help="Share of the control arm, such as .04.")
@click.option("--effect", required=True, type=float, metavar="D", help="Change to be seen, such as .005 or -.005.")
@click.option("--name", default="rate", show_default=True, help="For words: opt-outs, retention.")
@_design_options
def rate(control: float, effect: float, name: str, **design: Any) -> None:
    """Plan a test of a share of users: opt-outs, retention."""
    from experiments.planning.metrics import Rate

    _plan(lambda: Rate(name, control), effect, **design)


@plan_test.command()
@click.option(
    "--sd", required=True, type=click.FloatRange(0, min_open=True), help="Between users, in the metric's unit."
)
@click.option("--effect", required=True, type=float, metavar="D", help="Change a user to be seen.")
@click.option("--name", default="value", show_default=True, help="For words.")
@click.option("--unit", default="", help="For words, such as EUR.")
@_design_options
def amount(sd: float, effect: float, name: str, unit: str, **design: Any) -> None:
    """Plan a test of a mean per user: value, sessions."""
    from experiments.planning.metrics import Amount

    _plan(lambda: Amount(name, sd, unit=unit), effect, **design)


def _plan(
    metric_of: Any,
    effect: float,
    *,
    treated_share: float,
    level: float,
    power_: float,
    per_day: float,
    at_start: int,
    observed_days: int,
    watched: bool,
    is_json: bool,
) -> None:
    from experiments.planning.design import Arrivals, Design
    from experiments.planning.power import plan_test as planned
    from experiments.planning.power import users_needed

    try:
        metric: Metric = metric_of()
        design = Design(treated_share, level, power_)
        if not per_day and not at_start:
            size = users_needed(metric, effect, design, is_watched=watched)
            words, data = size.in_words(), size.to_dict()
        else:
            arrivals = Arrivals(per_day, at_start, observed_days)
            plan = planned(metric, effect, design, arrivals, is_watched=watched)
            words, data = plan.in_words(), plan.to_dict()
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    click.echo(json.dumps(data, indent=2) if is_json else words)


@plan_test.command("short-test")
@click.argument("config", metavar="CONFIG")
@click.option("--policies", required=True, metavar="OLD,NEW", help="For instance weekly-3,weekly-21.")
@click.option("--metric", default="value_eur", show_default=True, help="value_eur or sessions, a user.")
@click.option("--days", default=14, show_default=True, type=click.IntRange(1), help="Of the test.")
@click.option("--truth-days", default=364, show_default=True, type=click.IntRange(2), help="Of the truth.")
@click.option("--users", type=click.IntRange(min=2), help="Users to simulate; short for --set population.n_users=N.")
@click.option("--seed", type=click.IntRange(min=0), help="Seed of all luck; short for --set seed=N.")
@click.option("--set", "settings", multiple=True, metavar="PATH=VALUE", help="Write a value over the file.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads; results do not depend on it.")
@click.option("--json", "is_json", is_flag=True, help="Print the result as JSON, and nothing else.")
def short_test_command(
    config: str,
    policies: str,
    metric: str,
    days: int,
    truth_days: int,
    users: int | None,
    seed: int | None,
    settings: tuple[str, ...],
    threads: int | None,
    is_json: bool,
) -> None:
    """Hold a short test of two policies against the long run, on the simulated users of CONFIG.

    Prints the chance that the test ships the policy that loses in the long run.
    """
    names = tuple(name.strip() for name in policies.split(","))
    if len(names) != 2 or names[0] == names[1]:
        raise click.UsageError(f"--policies: expected two different ones, today's first, got {policies!r}.")
    scenario = chosen_scenario(config, users, None, seed, settings)
    choose_threads(threads)
    from experiments.planning.short_test import short_test
    from simulator.senders import sender

    def on_run(name: str, n_days: int) -> None:
        click.echo(f"{scenario.name}: {name} for {n_days} days", err=True)

    try:
        senders = (sender(names[0]), sender(names[1]))
        found = short_test(
            scenario, senders, (names[0], names[1]), metric=metric, short_days=days, long_days=truth_days, on_run=on_run
        )
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    if is_json:
        click.echo(json.dumps(found.to_dict(), indent=2))
    else:
        _print(found)


def _print(found: ShortTest) -> None:
    from rich import box
    from rich.table import Table

    console = plain_console()
    console.print(f"{found.in_words()}", style="bold", highlight=False)
    for days, difference in ((found.short_days, found.short), (found.long_days, found.long)):
        console.print(
            f"{found.policies[1]} less {found.policies[0]}, {days} days: {difference.in_words()}", highlight=False
        )
    if found.winner is None:
        return
    table = Table("users an arm", "ships the winner", "ships the loser", "undecided", "loser, by the higher mean",
                  box=box.SIMPLE_HEAD, pad_edge=False)  # fmt: skip
    for each in found.decisions:
        chances = (each.for_winner, each.for_loser, each.undecided, each.by_sign)
        table.add_row(f"{each.users_an_arm:,}", *(f"{100 * chance:.1f} %" for chance in chances))
    console.print(table)
