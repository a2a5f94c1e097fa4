"""The picture of an explanation: the day, and what would have to be otherwise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.exports.explain import Explanation, Turn
from experiments.plots import DOTS_PER_INCH, STYLE
from experiments.report.colours import COLOURS, FAINT, GRID, INK
from experiments.results import whole_file
from policies.vocabulary import action_names

SILENCE = "#D9D9D9"
MOST_TURNS = 8


def draw_explanation(path: Path, explanation: Explanation) -> None:
    """Write a PNG: probabilities of the actions by local hour, and the nearest other decisions."""
    turns = explanation.turns[:MOST_TURNS]
    with rc_context(STYLE), whole_file(path) as partial:
        figure = Figure((9.5, 5.2 + 0.36 * max(len(turns), 1)), layout="constrained")
        figure.suptitle(f"What {explanation.policy} would do", x=0.01, ha="left", fontsize=14, fontweight="bold")
        day, other = figure.subplots(2, 1, height_ratios=[3.2, 0.8 + 0.36 * max(len(turns), 1)])
        _day(day, explanation)
        _turns(other, explanation, turns)
        figure.savefig(partial, dpi=DOTS_PER_INCH, format="png")


def _day(ax: Axes, explanation: Explanation) -> None:
    shares = np.array([hour.decision.probabilities for hour in explanation.hours])
    names = action_names((shares.shape[1] - 1) // 2)
    bottom = np.zeros(24)
    shown = [k for k in range(len(names)) if shares[:, k].max() > 0.005]
    for place, k in enumerate(shown):
        colour = SILENCE if k == 0 else COLOURS[(place - (0 in shown)) % len(COLOURS)]
        ax.bar(range(24), shares[:, k], 0.9, bottom, color=colour, label=names[k])
        bottom += shares[:, k]
    ax.axvline(explanation.at, color=INK, linewidth=0.9, linestyle=(0, (2, 2)))
    ax.set_title("Probability of each action by local hour")
    ax.set_xlim(-0.6, 23.6)
    ax.set_ylim(0, 1)
    ax.set_xticks(range(0, 24, 3), [f"{hour:02d}:00" for hour in range(0, 24, 3)])
    ax.set_yticks([0, 0.5, 1], ["0", "50 %", "100 %"])
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=9.5)


def _turns(ax: Axes, explanation: Explanation, turns: tuple[Turn, ...]) -> None:
    chosen = explanation.hours[explanation.at].preferred
    ax.set_title(f"At {explanation.at:02d}:00, {chosen}. Another decision, if one thing alone were otherwise")
    ax.grid(visible=False)
    ax.tick_params(axis="y", labelcolor=INK)
    ax.spines["left"].set_visible(False)
    if not turns:
        ax.text(0.0, 0.5, "No single feature turns it.", transform=ax.transAxes, color=FAINT)
        ax.set_xticks([])
        ax.set_yticks([])
        ax.spines["bottom"].set_visible(False)
        return
    for place, turn in enumerate(turns):
        ax.plot([0, 1], [place, place], color=GRID, linewidth=5.0, zorder=1)
        ax.plot([0, turn.share], [place, place], color=COLOURS[0], linewidth=5.0, zorder=2)
        side = "from" if turn.rises else "down to"
        words = f"{side} {turn.turns_at:.4g}, now {turn.now:.4g}: {turn.action}"
        ax.text(turn.share + 0.015, place - 0.34, words, va="center", fontsize=9.0, color=INK)
    ax.set_yticks(range(len(turns)), [turn.feature for turn in turns])
    ax.set_ylim(len(turns) - 0.4, -0.8)
    ax.set_xlim(0, 1.25)
    ax.set_xticks([0, 0.5, 1], ["0", "50 %", "100 % of its range"])
