"""Pictures are drawn whatever the figures, and written whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from experiments.offline.quality.calibration import calibration
from experiments.offline.quality.classification import roc_curve
from experiments.offline.quality.plots import (
    MOST_DOTS,
    _interval_words,
    _thinned,
    draw_qini,
    draw_reliability,
    draw_roc,
)
from experiments.offline.quality.rows import ScoredLabels, Trial
from experiments.offline.quality.uplift_report import uplift_quality

PNG = b"\x89PNG\r\n"
RNG = np.random.default_rng(1)
MANY = RNG.beta(2, 8, 5_000)
SCORED = {
    "many rows": ScoredLabels.of(RNG.random(5_000) < MANY, MANY),
    "two rows": ScoredLabels.of([0, 1], [0.2, 0.4]),
    "constant": ScoredLabels.of([0, 1, 1], [0.9, 0.9, 0.9]),
    "tiny scores": ScoredLabels.of([0, 1, 0, 1], [1e-9, 1e-9, 2e-9, 3e-9]),
}
TRIALS = {
    "many rows": Trial.of(RNG.random(3_000) < 0.1, RNG.random(3_000) < 0.5, RNG.random(3_000)),
    "harm": Trial.of(np.arange(100) % 3 == 0, np.arange(100) % 2, np.arange(100)),
    "nothing happens": Trial.of([0, 0, 0, 0], [0, 1, 0, 1], [1, 2, 3, 4]),
    "two rows": Trial.of([0, 1], [0, 1], [1, 2]),
}


@pytest.mark.parametrize("name", SCORED)
def test_pictures_of_a_propensity_model(name: str, tmp_path: Path) -> None:
    draw_roc(tmp_path / "roc.png", roc_curve(SCORED[name]))
    draw_reliability(tmp_path / "reliability.png", calibration(SCORED[name]))
    for picture in ("roc.png", "reliability.png"):
        assert (tmp_path / picture).read_bytes().startswith(PNG)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["reliability.png", "roc.png"]


@pytest.mark.parametrize("name", TRIALS)
def test_a_picture_of_an_uplift_model(name: str, tmp_path: Path) -> None:
    draw_qini(tmp_path / "qini.png", uplift_quality(TRIALS[name], n_replicates=20))
    assert (tmp_path / "qini.png").read_bytes().startswith(PNG)


def test_curves_are_thinned_and_figures_shown_to_what_they_are_worth() -> None:
    x = np.linspace(0, 1, 100_000)
    thin = _thinned(x, x**2)
    assert len(thin[0]) == MOST_DOTS
    assert (thin[0][0], thin[0][-1], thin[1][-1]) == (0.0, 1.0, 1.0)
    assert _interval_words(0.0124, 0.0094, 0.0147) == "0.0124 (0.0094 to 0.0147)"
    assert _interval_words(12.3456, 9.0, 15.0) == "12.3 (9.0 to 15.0)"
    assert "nan" not in _interval_words(0.5, float("nan"), float("nan"))
