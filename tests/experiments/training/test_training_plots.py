"""The learning curve's picture: what it says, and that it fits on its page."""

from __future__ import annotations

import re
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from matplotlib.figure import Figure as Page

from experiments.training.figures import Figures
from experiments.training.plots import draw_curve


def exact() -> Figures:
    curve = Figures()
    for k, value in enumerate((-0.2, 0.9, 1.1, 1.24, 1.22)):
        curve.add({"n_steps": 250_000 * k, "value_eur": value, "gap_closed": value})
    return curve


def users() -> Figures:
    curve = Figures()
    for k, value in enumerate((-0.1, 0.3, 0.5)):
        of_users = {"over_silence_low": value - 0.05, "over_silence_high": value + 0.05, "over_silence_eur": value}
        curve.add({"n_steps": 1000 * k, **of_users, "sends_per_user_week": 9.0 - k, "opt_outs_per_100": 1.0})
    return curve


def portions() -> Figures:
    table = Figures()
    for k in range(1, 9):
        table.add({"n_steps": 125_000 * k, "reward": 0.001 * k, "sends": 0.5 / k})
    return table


@pytest.mark.parametrize(
    ("curve", "references", "expected"),
    [
        (
            exact(),
            {"optimum": 1.25, "best slots and threshold": 1.2},
            {"optimum\n1.25", "best slots and\nthreshold\n1.2", "best\n1.24", "Sends while learning", "% of decisions"},
        ),
        (
            users(),
            {"silence": 0.0},
            {"silence\n0", "best\n0.5", "Sends", "Opt-outs", "per user and week, greedy policy"},
        ),
        (users(), {}, {"EUR, with its 95 % interval"}),
    ],
)
def test_a_picture_says_what_it_shows_and_nothing_is_cut_off(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    curve: Figures,
    references: dict[str, float],
    expected: set[str],
) -> None:
    pages: list[Page] = []
    savefig = Page.savefig

    def kept(self: Page, *args: object, **kwargs: object) -> None:
        pages.append(self)
        savefig(self, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(Page, "savefig", kept)
    best = int(np.nanargmax(curve.column("value_eur" if "value_eur" in curve.columns else "over_silence_eur")))
    draw_curve(
        tmp_path / "curve.png",
        curve,
        portions(),
        headline="PPO closes 80 % of the gap from the best simple rule to the optimum",
        subtitle="a: kairos/ExactA-v0, 1,000,000 decisions, seed 1\nDiscount 0.98 a day: the horizon is 49.5 days.",
        unit="EUR",
        references=references,
        best_row=best,
    )
    assert matplotlib.image.imread(tmp_path / "curve.png").shape[1] == 1104
    [page] = pages
    texts = [text for ax in page.axes for text in (*ax.texts, ax.title, ax._left_title)] + list(page.texts)  # type: ignore[attr-defined]
    said = {text.get_text() for text in texts}
    assert expected <= said
    width, height = page.get_size_inches() * page.dpi
    for text in texts:
        if text.get_text():
            box = text.get_window_extent()
            assert box.x0 >= 0, text
            assert box.x1 <= width, text
            assert box.y0 >= 0, text
            assert box.y1 <= height, text
    assert all(re.fullmatch(r"[0-9.]+( [kM])?", label.get_text()) for label in page.axes[-1].get_xticklabels())


def test_a_curve_of_a_single_evaluation_can_be_drawn(tmp_path: Path) -> None:
    curve = Figures()
    curve.add({"n_steps": 0, "value_eur": 1.0})
    draw_curve(
        tmp_path / "one.png", curve, Figures(), headline="h", subtitle="s", unit="EUR", references={}, best_row=0
    )
    assert (tmp_path / "one.png").stat().st_size > 0
