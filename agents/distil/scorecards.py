"""A scorecard with whole points that does what a teacher does; see `agents.distil.lessons`.

Points are added up, so a person can reckon a decision with a pencil. Features are chosen one after another by how much
of the teacher's worth they explain beyond those chosen (forward selection); all are then fitted anew in turn
(backfitting: Hastie & Tibshirani 1990, "Generalized Additive Models", section 4.4). Bins of what tells fatigue are held
in order (isotonic regression), so more fatigue never adds a point.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.isotonic import isotonic_regression
from sklearn.tree import DecisionTreeRegressor

from agents.distil.lessons import ONE_POINT, Lessons, Visit, drawn_as, learned, looked_at, readable
from agents.distil.monotone import FATIGUE
from policies.batch.seen import Floats
from policies.document import Binned, Document, Exploration, Scorecard, Softmax
from policies.inputs import LOCAL_HOUR, N_CHANNELS, Input, edges
from policies.vocabulary import CHANNELS_OF_A_SLOT

TURNS = 20  # of backfitting, when all features are chosen
TURNS_AT_EACH = 2  # and after each choice
LEAST_SHARE = 0.002  # of all weight, that a bin holds at least
LEAST_GAIN = 1e-4  # of all variance, that a feature must explain to be taken


@dataclass(frozen=True)
class ScorecardSettings:
    """How large a scorecard, and how long it is learned.

    Attributes:
        features: at most.
        bins: of a feature, at most.
        most_points: the largest number of points that a bin has, beside base and threshold.
        rounds: of visits; the first is the teacher's own.
        is_monotone: whether more fatigue must never add points.
    """

    features: int = 8
    bins: int = 5
    most_points: int = 20
    rounds: int = 3
    is_monotone: bool = True

    def __post_init__(self) -> None:
        """Check ranges."""
        for name, low, high in (("features", 1, 35), ("bins", 2, 20), ("most_points", 1, 1_000), ("rounds", 1, 50)):
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"ScorecardSettings: {name}: expected {low} to {high}, got {getattr(self, name)}")


def distilled_scorecard(
    teacher: Document, visit: Visit, settings: ScorecardSettings = ScorecardSettings(), name: str = ""
) -> Document:
    """Return a scorecard of whole points that does as a teacher does, as well as so many features can.

    Where the teacher draws by softmax, so does the scorecard: its temperature is then the points of one unit of the
    teacher's worth.

    Args:
        teacher: any document.
        visit: lets a policy decide, and returns where it came.
        settings: of the scorecard.
        name: of the student; "": the teacher's, and that it is a scorecard.

    Raises:
        ValueError: nothing was ever eligible.
    """
    origin = {"distilled_from": teacher.name, "features_asked": str(settings.features), "bins": str(settings.bins)}
    unit = 1.0

    def fit(found: Lessons) -> Scorecard:
        nonlocal unit
        model, unit = _fitted(found, teacher.n_slots, settings)
        origin[ONE_POINT] = f"{unit:.4g} of what the teacher grades by"
        return model

    def drawing(_: object) -> Exploration:
        way = drawn_as(teacher)
        return Softmax(way.temperature / unit) if isinstance(way, Softmax) else way

    return learned(teacher, visit, settings.rounds, fit, name or f"{teacher.name}, as a scorecard", origin, drawing)


class _Column(NamedTuple):
    """A feature that may be chosen: its thresholds in people's unit, and the bin of each lesson, shape (M,)."""

    entry: Input
    thresholds: tuple[float, ...]
    bins: npt.NDArray[np.intp]

    @property
    def n(self) -> int:
        return len(self.thresholds) + 1


def _fitted(found: Lessons, n_slots: int, settings: ScorecardSettings) -> tuple[Scorecard, float]:
    """Return the scorecard, and what a point is worth in the teacher's unit."""
    if not found.weights.any():
        return Scorecard(0.0, dict.fromkeys(CHANNELS_OF_A_SLOT, 0.0), ()), 1.0  # nothing is at stake anywhere
    weights = found.weights / found.weights.sum()
    base = weights @ found.worth
    columns = _columns(found, n_slots, settings.bins)
    residual = found.worth - base
    spread = float(weights @ np.square(residual).sum(axis=1))
    chosen: list[_Column] = []
    values: list[Floats] = []  # of each that is chosen, shape (bins, 2)
    while len(chosen) < settings.features:
        gains = [_gain(column, residual, weights, settings.is_monotone) for column in columns]
        best = int(np.argmax(gains)) if gains else -1
        if best < 0 or gains[best] <= LEAST_GAIN * spread:
            break
        chosen.append(columns.pop(best))
        values.append(np.zeros((chosen[-1].n, N_CHANNELS)))
        is_last = len(chosen) == settings.features or not columns
        for _ in range(TURNS if is_last else TURNS_AT_EACH):
            for k, column in enumerate(chosen):
                residual += values[k][column.bins]
                values[k] = _effect(column, residual, weights, settings.is_monotone)
                residual -= values[k][column.bins]
            base += (shift := weights @ residual)
            residual -= shift
    return _in_points(base, chosen, values, settings.most_points)


def _in_points(base: Floats, chosen: list[_Column], values: list[Floats], most_points: int) -> tuple[Scorecard, float]:
    """Return the scorecard in whole points, and what a point is worth."""
    largest = max((float(np.abs(each).max()) for each in values), default=0.0)
    unit = largest / most_points if largest > 0.0 else max(float(np.abs(base).max()), 1.0)
    terms = []
    for column, each in zip(chosen, values, strict=True):
        points = np.rint(each / unit) + 0.0  # no point is written -0
        if not points.any():
            continue
        table = dict(zip(CHANNELS_OF_A_SLOT, (tuple(row) for row in points.T.tolist()), strict=True))
        terms.append(Binned(column.entry.name, column.thresholds, table))
    whole = (np.rint(base / unit) + 0.0).tolist()
    return Scorecard(0.0, dict(zip(CHANNELS_OF_A_SLOT, whole, strict=True)), tuple(terms)), unit


def _columns(found: Lessons, n_slots: int, n_bins: int) -> list[_Column]:
    """Return the features that tell anything by themselves, cut where what the teacher thinks changes most."""
    columns = []
    learner = DecisionTreeRegressor(max_leaf_nodes=n_bins, min_weight_fraction_leaf=LEAST_SHARE, random_state=0)
    for k, entry in enumerate(looked_at(n_slots)):
        seen = found.features[:, k]
        tree = learner.fit(seen[:, None], found.worth, sample_weight=found.weights).tree_
        cuts = tree.threshold[tree.children_left >= 0]
        thresholds = sorted({_threshold(entry, float(cut)) for cut in cuts})
        if thresholds:
            bins = np.searchsorted(edges(entry, thresholds), seen, side="right")
            columns.append(_Column(entry, tuple(thresholds), bins))
    return columns


def _threshold(entry: Input, encoded: float) -> float:
    return float(round(encoded)) if entry.feature is LOCAL_HOUR else readable(entry, encoded)


def _effect(column: _Column, residual: Floats, weights: Floats, is_monotone: bool) -> Floats:
    """Return the weighted mean of what is left in each bin, in order where the feature tells fatigue, (bins, 2)."""
    mass = np.bincount(column.bins, weights, column.n)
    sums = np.column_stack([np.bincount(column.bins, weights * residual[:, c], column.n) for c in range(N_CHANNELS)])
    means = sums / np.maximum(mass, 1e-300)[:, None]
    direction = FATIGUE.get(column.entry.name, 0) if is_monotone else 0
    if direction:
        for channel in range(N_CHANNELS):
            means[:, channel] = isotonic_regression(
                means[:, channel], sample_weight=np.maximum(mass, 1e-12), increasing=direction < 0
            )
    found: Floats = means
    return found


def _gain(column: _Column, residual: Floats, weights: Floats, is_monotone: bool) -> float:
    """Return by how much the weighted squared error falls when the feature is taken."""
    effect = _effect(column, residual, weights, is_monotone)[column.bins]
    before, after = (np.square(each).sum(axis=1) for each in (residual, residual - effect))
    return float(weights @ (before - after))
