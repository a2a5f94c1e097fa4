"""The picture of a study: what each agent is worth over silence, and what it costs in opt-outs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.agent_study.report import Found
from experiments.plots import DOTS_PER_INCH, STYLE
from experiments.report.colours import FAINT, INK
from experiments.results import whole_file

ROLE_COLOURS = {"baseline": "#8A8A8A", "bandit": "#E69F00", "learner": "#0072B2", "oracle": "#009E73"}
ROLE_WORDS = {
    "baseline": "tuned baseline",
    "bandit": "bandit",
    "learner": "reinforcement learning",
    "oracle": "sees the hidden state",
}
ROW_INCHES, PANEL_INCHES, MOST_SIDE_BY_SIDE = 0.3, 4.6, 2


def draw_study(path: Path, results: Sequence[Found], headline: str) -> None:
    """Write one page: a panel a scenario, a row an agent, in the order of their value there.

    Args:
        path: of the PNG.
        results: of the scenarios.
        headline: above them all.
    """
    n_rows = max(len(result.standings.rows) for result in results)
    n_columns = min(len(results), MOST_SIDE_BY_SIDE)
    n_lines = -(-len(results) // n_columns)
    size = (0.8 + PANEL_INCHES * n_columns, 0.9 + (0.9 + ROW_INCHES * n_rows) * n_lines)
    with rc_context(STYLE | {"axes.grid.axis": "x"}), whole_file(path) as partial:
        figure = Figure(size, layout="constrained")
        figure.suptitle(headline, x=0.01, ha="left", fontsize=14, fontweight="bold")
        panels = figure.subplots(n_lines, n_columns, squeeze=False).ravel()
        for ax, result in zip(panels, results, strict=False):
            _panel(ax, result)
        for ax in panels[len(results) :]:
            ax.set_axis_off()
        _key(figure, results)
        figure.savefig(partial, dpi=DOTS_PER_INCH, format="png")


def _panel(ax: Axes, result: Found) -> None:
    rows = sorted(result.standings.rows, key=lambda row: row.value_eur.estimate.mean)
    ax.axvline(0.0, color=INK, linewidth=0.8)
    for place, row in enumerate(rows):
        value, colour = row.value_eur.estimate, ROLE_COLOURS[result.roles[row.agent]]
        ax.plot([value.low, value.high], [place, place], color=colour, linewidth=3.0, alpha=0.45)
        ax.plot([value.mean], [place], "o", color=colour, markersize=6.0)
    ax.set_yticks(range(len(rows)), [row.agent.replace("_", " ") for row in rows])
    ax.tick_params(axis="y", labelcolor=INK)
    ax.set_ylim(-0.7, len(rows) - 0.3)
    ax.set_title(result.title)
    ax.set_xlabel(f"EUR a user over silence\n{result.standings.n_days} days, {result.standings.n_users:,} users, 95 %")


def _key(figure: Figure, results: Sequence[Found]) -> None:
    """Say under the panels which colour is what."""
    present = [role for role in ROLE_WORDS if any(role in result.roles.values() for result in results)]
    handles = [
        figure.axes[0].plot([], [], "o", color=ROLE_COLOURS[role], label=ROLE_WORDS[role])[0] for role in present
    ]
    ncols = 2 if len(results) == 1 else len(handles)
    figure.legend(handles=handles, loc="outside lower left", ncols=ncols, frameon=False, labelcolor=FAINT)
