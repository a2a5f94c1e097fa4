"""The picture of horizons: bias and standard deviation of each estimator, side by side."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.offline.horizons.errors import HorizonErrors
from experiments.offline.logs.logged import Floats
from experiments.plots import DOTS_PER_INCH, FAINT, INK, STYLE
from experiments.results import whole_file

COLOURS = {
    "trajectory": "#D55E00",
    "per decision": "#E69F00",
    "weighted per decision": "#CC79A7",
    "marginalised": "#0072B2",
    "one step": "#8A8A8A",
}
LEAST_ERRORS = 3.0  # Monte Carlo standard errors of a bias, below which it is not told from 0


def draw_horizons(path: Path, found: HorizonErrors, headline: str) -> None:
    """Write one page: bias and standard deviation of each estimator by horizon.

    Args:
        path: of the PNG.
        found: by `horizon_errors`.
        headline: above both panels.
    """
    with rc_context(STYLE), whole_file(path) as partial:
        figure = Figure((11.0, 4.8), layout="constrained")
        figure.suptitle(headline, x=0.01, ha="left", fontsize=14, fontweight="bold")
        left, right = figure.subplots(1, 2)
        for name, biases in found.biases.items():
            _bias(left, found, name, biases)
            right.plot(found.horizons, found.deviations[name], "o-", color=COLOURS[name], markersize=4.5, label=name)
        left.axhline(0.0, color=INK, linewidth=0.8)
        left.set_title("Bias: mean estimate less value")
        right.set_title("Standard deviation over logs")
        # Some estimates are exact at some horizons: then a logarithm has nothing to show.
        if all((deviations > 0.0).all() for deviations in found.deviations.values()):
            right.set_yscale("log")
            right.yaxis.set_major_formatter("{x:g}")
        for ax in (left, right):
            ax.set_xscale("log", base=2)
            ax.set_xticks(found.horizons, [str(horizon) for horizon in found.horizons])
            ax.minorticks_off()
            ax.set_xlabel(f"decisions an episode; {found.n_logs:,} logs of {found.n_episodes:,} episodes")
        left.set_ylabel(f"bands: {LEAST_ERRORS:g} standard errors of the mean")
        handles, labels = right.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower left", ncols=len(labels), frameon=False, labelcolor=FAINT)
        figure.savefig(partial, dpi=DOTS_PER_INCH, format="png")


def _bias(ax: Axes, found: HorizonErrors, name: str, biases: Floats) -> None:
    """Draw a bias with the band in which simulation leaves it open."""
    wide = LEAST_ERRORS * found.deviations[name] / np.sqrt(found.n_logs)
    ax.plot(found.horizons, biases, "o-", color=COLOURS[name], markersize=4.5)
    ax.fill_between(found.horizons, biases - wide, biases + wide, color=COLOURS[name], alpha=0.12, linewidth=0.0)
