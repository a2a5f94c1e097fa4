"""`kairos export`: a policy in another form; exact where that can be, else distilled, with a certificate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from experiments.exports.forms import DISTILLED, FIRST_LEARNED, SUFFIXES, Student
from experiments.exports.source import policy_file
from experiments.run_options import chosen_scenario, telling, writing

if TYPE_CHECKING:
    from agents.distil.lessons import States
    from experiments.exports.certificate import Certificate
    from policies.document import Document
    from simulator.config import Scenario


@click.command(short_help="Write a policy in another form, or distil it.")
@click.argument("source", type=click.Path(path_type=Path, exists=True))
@click.option("--as", "form", required=True, type=click.Choice(tuple(SUFFIXES)), help="The form.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="File; default: beside SOURCE.")
@click.option(
    "--scenario", metavar="NAME", help="To distil and certify in; a preset or a file. Default: that of the training."
)
@click.option("--users", default=4096, show_default=True, type=click.IntRange(2), help="Of the certificate's trial.")
@click.option("--learn-users", default=512, show_default=True, type=click.IntRange(1), help="Whose states are learned.")
@click.option("--days", type=click.IntRange(1), help="Of a user's life; default: the scenario's.")
@click.option("--depth", default=6, show_default=True, type=click.IntRange(1, 20), help="Of a distilled tree.")
@click.option("--leaves", default=32, show_default=True, type=click.IntRange(2, 250), help="Of a distilled tree.")
@click.option("--features", default=8, show_default=True, type=click.IntRange(1, 35), help="Of a scorecard.")
@click.option("--bins", default=5, show_default=True, type=click.IntRange(2, 20), help="Of a scorecard's feature.")
@click.option("--points", default=20, show_default=True, type=click.IntRange(1, 1000), help="The most of a bin.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Of the users.")
def export(
    source: Path,
    form: str,
    out: Path | None,
    scenario: str | None,
    users: int,
    learn_users: int,
    days: int | None,
    depth: int,
    leaves: int,
    features: int,
    bins: int,
    points: int,
    seed: int,
) -> None:
    """Write SOURCE, a training's folder or a policy document, in another form.

    document, network, python, sql and onnx are exact. tree, rules and scorecard are distilled from any policy by trying
    it in a scenario, and come with a certificate beside the file: agreement, value lost with its interval, limits
    broken, the worst cases.
    """
    from experiments.exports.forms import write_certificate, write_form, written
    from policies.codec import DocumentError, read
    from policies.exports.refusal import ExportError

    file = policy_file(source)
    target = out or file.with_name(f"{file.stem}-{form}{SUFFIXES[form]}")
    if target.resolve() == file.resolve():
        raise click.UsageError(f"--out: {target} is the policy that is exported; name another file.")
    certificate = None
    try:
        document = read(file.read_text(encoding="utf-8"), str(file))
        if form in DISTILLED:
            world = _scenario(source, scenario, days)
            student = Student(depth, leaves, features, bins, points)
            document, certificate = _distilled(document, world, form, student, users, learn_users, seed)
        content = written(document, form)
    except (DocumentError, ExportError, ValueError, ModuleNotFoundError) as error:
        raise click.ClickException(str(error)) from None
    with writing():
        write_form(target, content)
        if certificate is not None:
            write_certificate(certificate, lambda suffix: _beside(target, suffix))
    if certificate is None:
        click.echo(f"Exact. Written: {target}")
    else:
        click.echo(certificate.in_words())
        click.echo(f"Distilled. Written: {target}, {_beside(target, '.md')}, {_beside(target, '.json')}")


def _beside(target: Path, suffix: str) -> Path:
    return target.with_name(f"{target.stem}-certificate{suffix}")


def _scenario(source: Path, name: str | None, days: int | None) -> Scenario:
    from experiments.results import SCENARIO

    if name is None and not (source / SCENARIO).is_file():
        raise click.UsageError(
            "--scenario: expected one to distil in, since SOURCE is no training's folder: a preset, such as ecommerce, "
            "or a file."
        )
    return chosen_scenario(str(source / SCENARIO) if name is None else name, None, days, None, ())


def _distilled(
    teacher: Document,
    world: Scenario,
    form: str,
    size: Student,
    users: int,
    learn_users: int,
    seed: int,
) -> tuple[Document, Certificate]:
    from experiments.exports.certificate import certify
    from experiments.exports.forms import distilled
    from experiments.exports.states import visited

    def visit(policy: Document, place: int) -> States:
        click.echo(f"Learning, round {place + 1}: {learn_users:,} users of {policy.name!r}", err=True)
        return visited(policy, world, learn_users, seed + FIRST_LEARNED + place * learn_users)

    student = distilled(teacher, form, visit, size)
    click.echo(f"Trying it on {users:,} fresh users", err=True)
    on_day = telling("The trial", "days")
    return student, certify(teacher, student, world, n_users=users, seed=seed, on_day=on_day)
