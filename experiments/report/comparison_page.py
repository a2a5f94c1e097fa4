"""The page of several runs side by side: what differs between them, and whether they agree."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from experiments.report.charts import Row, Spot, front_chart, interval_chart, marks_of
from experiments.report.page import Mark, Section, escape, figures, missing, page, paragraph, table
from experiments.report.reading import (
    OPT_OUTS,
    VALUE,
    ReportError,
    RunFolder,
    difference,
    interval,
    known,
    read_run,
    read_yaml_file,
)
from experiments.report.replications import over_seeds
from experiments.report.sections.answer import answer_in_words, verdict
from experiments.report.sections.provenance import command_path
from experiments.report.words import digits_for, duration, is_clear, number, spread
from experiments.results import write_text

MOST_DIFFERENCES = 40


def write_comparison_page(folders: Sequence[Path], out: Path) -> None:
    """Write a page that holds finished runs side by side, whole or not at all.

    Args:
        folders: of at least two runs.
        out: the file.

    Raises:
        ReportError: fewer than two, one twice, or a folder that is no finished run.
    """
    if len(folders) < 2:
        raise ReportError(f"comparison: expected at least two runs, got {len(folders)}")
    places = [folder.resolve() for folder in folders]
    if twice := [str(place) for place in dict.fromkeys(places) if places.count(place) > 1]:
        raise ReportError(f"comparison: expected each run once, got {twice[0]} twice")
    write_text(out, comparison_page([read_run(folder) for folder in folders]))


def comparison_page(runs: Sequence[RunFolder]) -> str:
    """Return the page as HTML."""
    names = run_names(runs)
    sections = [
        _answers(runs, names),
        _agreement(runs, names),
        _front(runs, names),
        _everybody(runs, names),
        _configs(runs, names),
        _again(runs),
    ]
    return page(_title(runs), _opening(runs), sections, f"Kairos comparison, {len(runs)} runs")


def run_names(runs: Sequence[RunFolder]) -> list[str]:
    """Return what tells runs apart, as short as can be: name, then config, then seed, as far as they differ."""
    parts = [
        (str(r.manifest.get("name", "")), str(r.manifest.get("config_hash", ""))[:6], f"seed {r.manifest.get('seed')}")
        for r in runs
    ]
    kept = [k for k in range(3) if len({part[k] for part in parts}) > 1] or [0]
    return [", ".join(part[k] for k in kept) for part in parts]


def _title(runs: Sequence[RunFolder]) -> str:
    titles = list(dict.fromkeys(run.title for run in runs))
    return titles[0] if len(titles) == 1 else f"{titles[0]}, and {len(titles) - 1} more"


def _opening(runs: Sequence[RunFolder]) -> str:
    bests = [run.best for run in runs]
    clear = [run.best for run in runs if verdict(run) > 0]
    if len(set(clear)) == 1 and len(clear) == len(runs):
        css, words = " verdict-better", f"All {len(runs)} runs agree: {bests[0]} is worth clearly more."
    elif all(verdict(run) < 0 for run in runs):
        css, words = (
            " verdict-worse",
            "In each run even the best contender is worth clearly less than the reference.",
        )
    elif not clear:
        css, words = "", "In none of the runs is anything worth clearly more than the reference."
    else:
        found = ", ".join(f"{who} in {clear.count(who)}" for who in dict.fromkeys(clear))
        css, words = "", f"The runs do not agree: clearly worth more than the reference is {found} of {len(runs)}."
    references = list(dict.fromkeys(run.reference for run in runs))
    warning = ""
    if len(references) > 1:
        told = f"Differences are over different references ({', '.join(references)}): do not compare them."
        warning = paragraph(told, "warning")
    return f'<p class="answer note{css}">{escape(words)}</p>{warning}'


def _answers(runs: Sequence[RunFolder], names: Sequence[str]) -> Section:
    rows = [
        (name, run.best or "nobody", run.reference or "none", str(run.summary.get("answer") or answer_in_words(run)))
        for run, name in zip(runs, names, strict=True)
    ]
    return Section("Each answer", table(("run", "best", "reference", "answer"), rows, words=True), "answers")


def _agreement(runs: Sequence[RunFolder], names: Sequence[str]) -> Section:
    """Return, of each policy, its difference in each run, and over seeds where the config is the same."""
    title, anchor = "Value over the reference, run by run", "agreement"
    pictures = []
    policies = list(dict.fromkeys(policy for run in runs for policy in run.policies))
    for policy in policies:
        rows: list[Row] = []
        by_config: dict[str, list[float]] = {}
        for run, name in zip(runs, names, strict=True):
            row = run.outcome(policy, VALUE)
            mean, low, high = difference(row)
            if math.isfinite(mean):
                rows.append(Row(name, mean, low, high))
                by_config.setdefault(str(run.manifest.get("config_hash")), []).append(mean)
        many = [means for means in by_config.values() if len(means) > 1]
        for k, means in enumerate(many):
            told = over_seeds(means)
            label = f"over {len(means)} seeds" + (f" ({k + 1})" if len(many) > 1 else "")
            rows.append(Row(label, told.mean, told.low, told.high, Mark("base")))
        if rows:
            pictures.append(interval_chart(policy, rows, x_label="EUR a user; 95 %", levels={"0": 0.0}))
    if not pictures:
        return Section(title, missing("No run holds a difference to a reference."), anchor)
    who = "trainings anew in each, on the same users" if _share_users(runs) else "trainings and users anew in each"
    note = paragraph(
        f"An interval of one run is over its users; one over seeds is of the mean over runs (Student's t), {who}. A "
        "single run scatters more.",
        "faint",
    )
    return Section(title, figures(pictures) + note, anchor)


def _share_users(runs: Sequence[RunFolder]) -> bool:
    """Return whether the evaluation's users are fixed by the config, whatever the seed."""
    return any((run.config.get("evaluation") or {}).get("seed") is not None for run in runs)


def _front(runs: Sequence[RunFolder], names: Sequence[str]) -> Section:
    title, anchor = "Value against opt-outs", "front"
    spots = []
    for run, name in zip(runs, names, strict=True):
        out, value = run.outcome(run.best, OPT_OUTS), run.outcome(run.best, VALUE)
        mean, low, high = interval(out)
        x, y = Row(name, 100 * mean, 100 * low, 100 * high), Row(name, *difference(value))
        if math.isfinite(x.value) and math.isfinite(y.value):
            spots.append(Spot(f"{name}: {run.best}", x, y))
    if not spots:
        return Section(title, missing("The outcomes were not measured."), anchor)
    picture = front_chart(
        "The best of each run",
        spots,
        marks_of([spot.name for spot in spots]),
        x_label="opt-outs of 100 users",
        y_label="EUR a user over the reference",
        caption="Up and to the left is better; bars are 95 % intervals over users.",
    )
    return Section(title, figures([picture]), anchor)


def _everybody(runs: Sequence[RunFolder], names: Sequence[str]) -> Section:
    title = "All policies of all runs"
    gains = [known(run.outcome(p, VALUE), "difference") for run in runs for p in run.policies]
    digits = max(digits_for(*gains), 3)
    rows = []
    for run, name in zip(runs, names, strict=True):
        for policy in run.policies:
            value = run.outcome(policy, VALUE)
            _, low, high = difference(value)
            gain = spread(*difference(value))
            if policy == run.reference:
                gain = "reference"
            elif not is_clear(low, high):
                gain += ", not clear of 0"
            sends, out = (known(run.outcome(policy, what), "mean") for what in ("sends", OPT_OUTS))
            mean = number(known(value, "mean"), digits)
            rows.append((f"{name}: {policy}", mean, gain, number(sends), number(100 * out)))
    head = ("run and policy", "value, EUR a user", "over the reference (95 %)", "sends a user", "opt-outs of 100")
    return Section(title, table(head, rows, label=title), "policies")


def _configs(runs: Sequence[RunFolder], names: Sequence[str]) -> Section:
    title, anchor = "What differs between the configs", "configs"
    leaves = [
        dict(_leaves(run.config))
        | dict(_leaves(read_yaml_file(run.path / "scenario.yaml"), "scenario"))
        | {"seed": run.manifest.get("seed")}
        for run in runs
    ]
    paths = list(dict.fromkeys(path for each in leaves for path in each))
    differing = [path for path in paths if len({repr(each.get(path)) for each in leaves}) > 1]
    if not differing:
        return Section(title, paragraph("Nothing: configs and scenarios are the same."), anchor)
    rows = [(path, *(str(each.get(path, "not there")) for each in leaves)) for path in differing[:MOST_DIFFERENCES]]
    n_more = len(differing) - len(rows)
    more = paragraph(f"And {n_more} fields more.", "faint") if n_more else ""
    return Section(title, table(("field", *names), rows, label=title, words=True) + more, anchor)


def _leaves(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(tree, dict) and tree:
        for key, value in tree.items():
            yield from _leaves(value, f"{path}.{key}" if path else str(key))
    elif isinstance(tree, list) and tree:
        for k, value in enumerate(tree):
            name = value.get("name", k) if isinstance(value, dict) else k
            yield from _leaves(value, f"{path}.{name}")
    else:
        yield path, tree


def _again(runs: Sequence[RunFolder]) -> Section:
    rows = [
        (
            command_path(run),
            str(run.manifest.get("commit") or "no checkout")[:12],
            duration(float(run.manifest["duration_s"])) if run.manifest.get("duration_s") is not None else "unknown",
        )
        for run in runs
    ]
    commands = "\n".join(f"kairos reproduce {command_path(run)}" for run in runs)
    body = table(("run", "commit", "took"), rows, label="runs") + f"<pre><code>{escape(commands)}</code></pre>"
    return Section("What was run", body, "run")
