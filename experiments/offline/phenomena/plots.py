"""Pictures of what is reproduced: what horizons do to estimators, and how few learned policies are better."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.offline.logs.logged import Floats
from experiments.offline.phenomena.horizons import HorizonErrors
from experiments.offline.phenomena.learned import DISCOUNTS, LearnedFromLogs
from experiments.plots import DOTS_PER_INCH, STYLE
from experiments.report.colours import FAINT, INK
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


def draw_learned(path: Path, found: LearnedFromLogs) -> None:
    """Write one page: the value of each learned policy by the size of its log, beside the policy that made the logs.

    Args:
        path: of the PNG.
        found: by `learned_from_logs`.
    """
    sizes = sorted({policy.n_users for policy in found.policies})
    with rc_context(STYLE), whole_file(path) as partial:
        figure = Figure((8.2, 5.0), layout="constrained")
        headline = f"{found.n_better} of {len(found.policies)} policies learned from logs beat the one that made them"
        figure.suptitle(headline, x=0.01, ha="left", fontsize=14, fontweight="bold")
        ax = figure.subplots()
        for is_constrained, colour, label, shift in (
            (False, "#E69F00", "solves what the log shows", -0.12),
            (True, "#0072B2", "keeps to what the log knows well", 0.12),
        ):
            its = [policy for policy in found.policies if policy.is_constrained == is_constrained]
            places = [sizes.index(policy.n_users) + shift + 0.05 * DISCOUNTS.index(policy.discount) for policy in its]
            values = [policy.value for policy in its]
            ax.plot(places, values, "o", color=colour, markersize=5.0, alpha=0.75, label=label)
        lines = ((found.best_value, "optimum"), (found.logging_value, "made the logs"))
        for value, name in lines:
            ax.axhline(value, color=INK, linewidth=0.9, linestyle=(0, (4, 3)))
            ax.annotate(name, (len(sizes) - 0.55, value), ha="right", va="bottom", fontsize=9.5, color=INK)
        ax.set_xticks(range(len(sizes)), [f"{size:,}" for size in sizes])
        ax.set_xlim(-0.5, len(sizes) - 0.5)
        ax.set_xlabel("users in the log, two months each; four discounts side by side, the longest view at the right")
        ax.set_title("EUR a user, exact")
        figure.legend(loc="outside lower left", ncols=2, frameon=False, labelcolor=FAINT)
        figure.savefig(partial, dpi=DOTS_PER_INCH, format="png")
