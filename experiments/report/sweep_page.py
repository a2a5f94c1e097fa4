"""The page of a sweep: which field matters, the best setting with its interval over seeds, and how sure that is."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from experiments.report.charts import Row, interval_chart
from experiments.report.page import Picture, Section, escape, figures, missing, page, paragraph, table
from experiments.report.replications import OverSeeds, over_seeds, studentized_range
from experiments.report.sweeps.charts import parallel_chart, value_map
from experiments.report.sweeps.effects import Effect, Grouping, groupings, interactions, main_effects, within_seeds
from experiments.report.sweeps.reading import CONFIG, Setting, SweepFolder, read_sweep, shown
from experiments.report.words import number, share, spread
from experiments.results import write_text

MOST_ROWS = 50
MOST_PICTURES = 6
FEWEST_TRIALS = 4


def write_sweep_page(folder: Path, out: Path) -> None:
    """Write the page of a finished sweep, whole or not at all.

    Raises:
        ReportError: the folder is not of a finished sweep, or a file in it cannot be read.
    """
    write_text(out, sweep_page(read_sweep(folder)))


def sweep_page(sweep: SweepFolder) -> str:
    """Return the page as HTML."""
    results = sweep.results()
    by = groupings(sweep.fields, [sweep.column(field) for field in sweep.fields]) if len(results) else []
    sections = [_best(sweep), _effects(sweep, by), _together(sweep, by), _table(sweep), _again(sweep)]
    over = f"Kairos sweep, {len(sweep.settings)} settings, {sweep.n_measured} trials"
    return page(sweep.title, _opening(sweep), sections, over)


def unclear_from_best(sweep: SweepFolder) -> list[Setting]:
    """Return settings that the best cannot be told from.

    Differences by seed, all pairs of settings at once (Tukey-Kramer, by the residual of settings and seeds): the best
    is the best of many, so single comparisons with it would find differences where there are none. Where a setting
    shares no seed with the best, or there are too few to tell, it is among them.
    """
    best, *others = sweep.ranked()
    seeds = [seed for seed, value in best.results.items() if math.isfinite(value)]
    whole = [each for each in (best, *others) if all(math.isfinite(each.results.get(seed, math.nan)) for seed in seeds)]
    values = np.array([[each.results[seed] for seed in seeds] for each in whole])
    n_free = (len(whole) - 1) * (len(seeds) - 1)
    if n_free < 1:
        return others
    rest = values - values.mean(axis=1, keepdims=True) - values.mean(axis=0) + values.mean()
    width = studentized_range(len(others) + 1, n_free) * math.sqrt(float((rest**2).sum()) / n_free)
    found = []
    for setting in others:
        gaps = [best.results[seed] - setting.results.get(seed, math.nan) for seed in seeds]
        gaps = [gap for gap in gaps if math.isfinite(gap)]
        if not gaps or abs(math.fsum(gaps)) / len(gaps) <= width / math.sqrt(len(gaps)):
            found.append(setting)
    return found


def _opening(sweep: SweepFolder) -> str:
    ranked = sweep.ranked()
    if not ranked:
        return '<p class="answer note">No trial measured what was asked for.</p>'
    best = ranked[0]
    told = _told(best)
    words = f"Best: {best.in_words()}. {sweep.objective.in_words()}: {spread(told.mean, told.low, told.high)}, "
    words += f"over {told.n_runs} seed{'s' if told.n_runs > 1 else ''}."
    unclear = len(unclear_from_best(sweep))
    if len(ranked) > 1:
        words += (
            f" It could not be told from {unclear} of the {len(ranked) - 1} others."
            if unclear
            else f" It is clearly better than each of the {len(ranked) - 1} others."
        )
    parts = [f'<p class="answer note">{escape(words)}</p>']
    if len(ranked) > 1:
        parts.append(paragraph(
            f"The best of {len(ranked)} settings is also the luckiest: on fresh seeds, expect less of it.",
            "faint",
        ))  # fmt: skip
    if sweep.n_measured < sweep.n_planned:
        n = sweep.n_planned - sweep.n_measured
        parts.append(paragraph(f"{n} of {sweep.n_planned} trials failed or did not measure the objective.", "warning"))
    if sweep.n_given_up:
        count = f"Settings given up early, being behind: {sweep.n_given_up}."
        parts.append(paragraph(f"{count} They count with the seeds that they had.", "faint"))
    return "\n".join(parts)


def _best(sweep: SweepFolder) -> Section:
    title, name = "The best settings", "best"
    ranked = sweep.ranked()[:10]
    if not ranked:
        return Section(title, missing("There are no results."), name)
    rows = [Row(" / ".join(map(shown, each.levels.values())) or "as is", *_interval(each)) for each in ranked]
    caption = f"Levels of {' / '.join(field.rpartition('.')[2] for field in sweep.fields)}." if sweep.fields else ""
    label = f"{sweep.objective.in_words()}; 95 % over seeds"
    picture = interval_chart("The ten best", rows, x_label=label, caption=caption)
    note = (
        "" if any(_told(each).n_runs > 1 for each in ranked) else missing("One seed each, so there are no intervals.")
    )
    return Section(title, figures([picture]) + note, name)


def _effects(sweep: SweepFolder, by: Sequence[Grouping]) -> Section:
    title, name = "Which field matters", "effects"
    results = sweep.results()
    if not by or len(results) < FEWEST_TRIALS:
        return Section(title, missing("Too few trials, or no field with two levels, to tell effects by."), name)
    alone, pairs = _told_of(sweep, by)
    grouping = {each.field: each for each in by}
    rows = [(*_effect_cells(effect), _range(grouping[effect.fields[0]], sweep)) for effect in alone]
    head = ("field", "share explained", "p", "between its best and worst level")
    parts = [table(head, rows, label=title)]
    pictures = [_levels(grouping[effect.fields[0]], sweep) for effect in alone[:MOST_PICTURES]]
    parts.append(figures(pictures))
    if pairs:
        told = [_effect_cells(effect) for effect in pairs if math.isfinite(effect.share)][:10]
        heading = "<h3>Two fields together, beyond each alone</h3>"
        if told:
            parts.append(heading + table(("fields", "share explained", "p"), told, label="interactions"))
        else:
            parts.append(heading + missing("Each pair of levels was tried once: noise and interaction are one."))
    parts.append(paragraph(
        "Shares are epsilon squared, the part of the variance between trials of a seed that a field explains, "
        "corrected for chance; what a seed adds to all settings alike is taken off. p: chance of as much where a "
        "field does nothing; not corrected for how many are shown.",
        "faint",
    ))  # fmt: skip
    return Section(title, "".join(parts), name)


def _together(sweep: SweepFolder, by: Sequence[Grouping]) -> Section:
    title, name = "Several fields at once", "together"
    results = sweep.results()
    pictures: list[Picture] = []
    if len(by) >= 2:
        grouping = {each.field: each for each in by}
        effects, pairs = _told_of(sweep, by)
        alone = {effect.fields[0]: _or_nothing(effect.share) for effect in effects}
        pair = max(pairs, key=lambda each: _or_nothing(each.share) + sum(alone[f] for f in each.fields))
        pictures.append(_map(grouping[pair.fields[0]], grouping[pair.fields[1]], results))
    if len(sweep.fields) >= 2 and len(sweep.ranked()) >= 2:
        caption = "A line a setting, from field to field to its result; the best tenth in colour."
        pictures.append(parallel_chart("All settings", sweep, caption=caption))
    return Section(title, figures(pictures) or missing("Only one field was varied."), name)


def _told_of(sweep: SweepFolder, by: Sequence[Grouping]) -> tuple[list[Effect], list[Effect]]:
    """Return what fields explain alone, and in pairs beyond that, within seeds."""
    apart, df_taken = within_seeds(sweep.results(), sweep.seeds())
    return main_effects(by, apart, df_taken), interactions(by, apart, df_taken)


def _table(sweep: SweepFolder) -> Section:
    ranked = sweep.ranked()
    rows = [
        (str(k + 1), *(shown(each.levels[field]) for field in sweep.fields), str(_told(each).n_runs),
         spread(*_interval(each)))
        for k, each in enumerate(ranked[:MOST_ROWS])
    ]  # fmt: skip
    names = [field.rpartition(".")[2] if _is_plain(field, sweep.fields) else field for field in sweep.fields]
    more = len(ranked) - len(rows)
    note = paragraph(f"And {more} settings more, in table.parquet.", "faint") if more > 0 else ""
    head = ("rank", *names, "seeds", sweep.objective.in_words())
    return Section("All settings", table(head, rows, label="all settings") + note, "settings")


def _again(sweep: SweepFolder) -> Section:
    config, folder = (shlex.quote(each.as_posix()) for each in (sweep.path / CONFIG, sweep.path))
    command = escape(f"kairos sweep {config} --out {folder}")
    body = f"<p>Goes on where it stopped, and ends with the same table:</p><pre><code>{command}</code></pre>"
    return Section("What was run", body + paragraph(f"Fields: {', '.join(sweep.fields) or 'none'}."), "run")


def _told(setting: Setting) -> OverSeeds:
    return over_seeds([value for value in setting.results.values() if math.isfinite(value)])


def _interval(setting: Setting) -> tuple[float, float, float]:
    told = _told(setting)
    return told.mean, told.low, told.high


def _effect_cells(effect: Effect) -> tuple[str, str, str]:
    p = (
        "\N{EN DASH}"
        if math.isnan(effect.p_value)
        else "below 0.001"
        if effect.p_value < 0.001
        else number(effect.p_value, 3)
    )
    return " and ".join(effect.fields), share(effect.share), p


def _means(grouping: Grouping, sweep: SweepFolder) -> list[OverSeeds]:
    """Return each level's mean over seeds: trials of one seed met the same users, so a seed counts as one."""
    results, seeds = sweep.results(), sweep.seeds()
    found = []
    for k in range(len(grouping.names)):
        own, of = results[grouping.group == k], seeds[grouping.group == k]
        found.append(over_seeds([float(own[of == seed].mean()) for seed in np.unique(of)]))
    return found


def _range(grouping: Grouping, sweep: SweepFolder) -> str:
    means = [each.mean for each in _means(grouping, sweep)]
    low, high = int(np.argmin(means)), int(np.argmax(means))
    return f"{number(means[high] - means[low], 3)} ({grouping.names[high]} over {grouping.names[low]})"


def _levels(grouping: Grouping, sweep: SweepFolder) -> Picture:
    rows = [
        Row(name, told.mean, told.low, told.high)
        for name, told in zip(grouping.names, _means(grouping, sweep), strict=True)
    ]
    return interval_chart(grouping.field.rpartition(".")[2], rows, x_label="mean of its trials; 95 % over seeds")


def _map(first: Grouping, second: Grouping, results: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Picture:
    values = np.full((len(first.names), len(second.names)), np.nan)
    for r in range(len(first.names)):
        for c in range(len(second.names)):
            cell = results[(first.group == r) & (second.group == c)]
            values[r, c] = cell.mean() if len(cell) else np.nan
    rows, columns = (each.field.rpartition(".")[2] for each in (first, second))
    caption = "Means over seeds and all other fields, of the two fields that together explain most."
    return value_map(f"{rows} and {columns}", first.names, second.names, values, row_label=rows, column_label=columns,
                     caption=caption)  # fmt: skip


def _or_nothing(part: float) -> float:
    return part if math.isfinite(part) else 0.0


def _is_plain(field: str, fields: Sequence[str]) -> bool:
    """Return whether the last part of a field's path tells it from all others."""
    return [each.rpartition(".")[2] for each in fields].count(field.rpartition(".")[2]) == 1
