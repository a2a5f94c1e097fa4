"""The picture of an offline evaluation: estimates with their intervals, and what the weights look like."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.offline.evaluation import OfflineEvaluation
from experiments.plots import DOTS_PER_INCH, STYLE
from experiments.report.colours import COLOURS, FAINT, INK, LOSS
from experiments.results import whole_file


def draw_evaluation(path: Path, evaluations: Sequence[OfflineEvaluation]) -> None:
    """Write one page: a panel a policy with a row an estimator, beside the log's own value.

    Args:
        path: of the PNG.
        evaluations: of one log, at least one.
    """
    n_rows = max([len(each.estimates) for each in evaluations] + [3]) + 2
    size = (max(7.6, 1.6 + 4.4 * len(evaluations)), 1.9 + 0.36 * n_rows)
    with rc_context(STYLE | {"axes.grid.axis": "x"}), whole_file(path) as partial:
        figure = Figure(size, layout="constrained")
        title = f"What the log says of {len(evaluations)} policies" if len(evaluations) > 1 else "What the log says"
        figure.suptitle(title + (f": {evaluations[0].log}" if evaluations[0].log else ""), x=0.01, ha="left",
                        fontsize=14, fontweight="bold")  # fmt: skip
        for ax, each in zip(figure.subplots(1, len(evaluations), squeeze=False)[0], evaluations, strict=True):
            _panel(ax, each)
        figure.savefig(partial, dpi=DOTS_PER_INCH, format="png")


def _panel(ax: Axes, evaluation: OfflineEvaluation) -> None:
    logged, naive = evaluation.logged, evaluation.naive
    titles = [each.title for each in evaluation.estimates.values()]
    names = ["the log's own mean", *([] if naive is None else ["naive mean"]), *titles]
    without = [] if naive is None else [(naive.value, np.nan, np.nan, LOSS if naive.is_confounded else FAINT)]
    rows = [
        (logged.value, logged.low, logged.high, INK),
        *without,
        *((e.interval.value, e.interval.low, e.interval.high, COLOURS[0]) for e in evaluation.estimates.values()),
    ]
    for place, (value, low, high, colour) in enumerate(rows):
        ax.plot([low, high], [place, place], color=colour, linewidth=3.0, alpha=0.45)
        ax.plot([value], [place], "o", color=colour, markersize=6.0)
    ax.axvline(logged.value, color=FAINT, linewidth=0.8, linestyle=(0, (3, 3)))
    ax.set_yticks(range(len(names)), names)
    ax.tick_params(axis="y", labelcolor=INK)
    ax.set_ylim(len(names) - 0.4, -0.7)
    ax.set_title(evaluation.policy)
    ax.set_xlabel(f"reward {evaluation.of_one}; {100 * logged.confidence:g} % intervals")
    if evaluation.is_refused:
        n_more = len(evaluation.refusals) - 1
        more = f" And {n_more} more reason{'s' if n_more > 1 else ''}." if n_more else ""
        words = textwrap.fill(f"Refused. {evaluation.refusals[0]}{more}", 46)
        ax.set_ylim(6.4, -0.7)
        ax.text(0.03, 0.08, words, transform=ax.transAxes, va="bottom", ha="left", color=LOSS, fontsize=9.5)
