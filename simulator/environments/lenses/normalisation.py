"""Normalisation that exports: each entry of an observation shifted, scaled and clipped, by numbers that are kept.

The numbers are plain data, one mapping an entry: `{"feature": name, "mean": m, "scale": s, "clip": c}`, which is how a
network's `inputs` stand in a policy document; production does the same arithmetic with them:

    x' = clip((x - mean) / scale, -clip, clip)   in float64, then rounded to float32
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt

from simulator.config import did_you_mean
from simulator.environments.lenses.layer import Layer, Observations, Rows, Shown, Site, Turn

FIELDS = ("feature", "mean", "scale", "clip")
LEAST_VARIANCE = 1e-8  # an entry that varies less is only shifted


@dataclass(frozen=True)
class Input:
    """How one entry of an observation is normalised.

    Attributes:
        feature: its name.
        mean, scale: of the encoded value; scale > 0.
        clip: bound of the result, > 0; None: none.

    Raises:
        ValueError: a number out of range.
    """

    feature: str
    mean: float = 0.0
    scale: float = 1.0
    clip: float | None = None

    def __post_init__(self) -> None:
        """Check the numbers."""
        for name, expected, is_fine in (
            ("mean", "a finite number", _is_number(self.mean)),
            ("scale", "a finite number above 0", _is_number(self.scale) and self.scale > 0),
            (
                "clip",
                "a finite number above 0, or none",
                self.clip is None or (_is_number(self.clip) and self.clip > 0),
            ),
        ):
            if not is_fine:
                raise ValueError(f"{self.feature}: {name}: expected {expected}, got {getattr(self, name)!r}")

    def to_data(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        clip = {} if self.clip is None else {"clip": self.clip}
        return {"feature": self.feature, "mean": self.mean, "scale": self.scale} | clip


def read_inputs(entries: Sequence[Any]) -> tuple[Input, ...]:
    """Return inputs from plain data, as JSON has it.

    Raises:
        ValueError: the first entry that is not one, and what is wrong with it.
    """
    inputs = []
    for place, entry in enumerate(entries):
        where = f"inputs[{place}]"
        if not isinstance(entry, Mapping) or not isinstance(entry.get("feature"), str):
            raise ValueError(f"{where}: expected a mapping with a 'feature', got {entry!r}")
        for key in entry:
            if key not in FIELDS:
                raise ValueError(f"{where}.{key}: unknown key.{did_you_mean(str(key), FIELDS)}")
        for key in ("mean", "scale"):
            if key not in entry:
                raise ValueError(f"{where}.{key}: missing")
        try:
            inputs.append(Input(entry["feature"], entry["mean"], entry["scale"], entry.get("clip")))
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from None
    return tuple(inputs)


def inputs_of_ranges(names: Sequence[str], space: gymnasium.spaces.Box) -> tuple[Input, ...]:
    """Return the normalisation that takes each entry's range to [-1, 1]; an entry with one value only, to 0."""
    bounds = zip(names, space.low.tolist(), space.high.tolist(), strict=True)
    return tuple(Input(name, (low + high) / 2, (high - low) / 2 or 1.0, 1.0) for name, low, high in bounds)


@dataclass(frozen=True)
class Normalisation:
    """Normalise observations by fixed numbers.

    Attributes:
        inputs: one an entry, in the observation's order; None: each entry's range becomes [-1, 1].
    """

    inputs: tuple[Input, ...] | None = None

    def on(self, site: Site) -> Layer:
        """Return the layer; its `inputs` are what was used.

        Raises:
            ValueError: the inputs are not those of the observation.
        """
        inputs = inputs_of_ranges(site.names, site.space) if self.inputs is None else self.inputs
        given = tuple(entry.feature for entry in inputs)
        if given != site.names:
            if len(given) != len(site.names):
                raise ValueError(f"Normalisation: expected {len(site.names)} inputs, one an entry, got {len(given)}")
            k = next(k for k in range(len(given)) if given[k] != site.names[k])
            hint = "" if given[k] in site.names else did_you_mean(given[k], site.names)
            raise ValueError(f"Normalisation: inputs[{k}]: expected {site.names[k]!r}, got {given[k]!r}.{hint}")
        return NormalisationLayer(site, inputs)


class NormalisationLayer:
    """Observations normalised by fixed numbers.

    Attributes:
        inputs: the numbers.
    """

    kept = ()

    def __init__(self, site: Site, inputs: tuple[Input, ...]) -> None:
        self.inputs, self.names = inputs, site.names
        self._mean = np.asarray([entry.mean for entry in inputs])
        self._scale = np.asarray([entry.scale for entry in inputs])
        self._clip = np.asarray([math.inf if entry.clip is None else entry.clip for entry in inputs])
        # The same rounding as for the values, which therefore lie within.
        low, high = self._normalised(site.space.low), self._normalised(site.space.high)
        self.space: gymnasium.spaces.Box = gymnasium.spaces.Box(low, high, dtype=np.float32)

    def begin(self, shown: Shown, fresh: Rows) -> None:
        """Normalise."""
        del fresh
        shown.observations = self._normalised(shown.observations)

    def step(self, turn: Turn) -> None:
        """Normalise."""
        turn.observations = self._normalised(turn.observations)
        if turn.final_observations is not None:
            turn.final_observations = _only(turn.reseated, self._normalised(turn.final_observations))

    def _normalised(self, values: npt.NDArray[Any]) -> Observations:
        return normalised(values, self._mean, self._scale, self._clip)


@dataclass(frozen=True)
class RunningNormalisation:
    """Normalise observations by the mean and standard deviation of all that were shown, until frozen.

    The layer (`env.layer`) has `freeze()`, after which the numbers stay, and `inputs`, the numbers as they are now:
    keep them, and put `Normalisation(inputs)` on the environment that evaluates.

    Attributes:
        clip: bound of the results.
    """

    clip: float = 10.0

    def __post_init__(self) -> None:
        """Check the bound."""
        if not (_is_number(self.clip) and self.clip > 0):
            raise ValueError(f"RunningNormalisation: clip: expected a finite number above 0, got {self.clip!r}")

    def on(self, site: Site) -> Layer:
        """Return the layer."""
        return RunningLayer(site, self.clip)


class RunningLayer:
    """Observations normalised by running moments.

    Attributes:
        is_frozen: the moments no longer change.
        count: of observations that went into them.
        mean: shape (K,).
    """

    kept = ("count", "mean", "_squares", "is_frozen")

    def __init__(self, site: Site, clip: float) -> None:
        self.names = site.names
        self.space: gymnasium.spaces.Box = gymnasium.spaces.Box(-clip, clip, site.space.shape, np.float32)
        self.is_frozen = False
        self.count = 0
        self.mean = np.zeros(len(site.names))
        self._squares = np.zeros(len(site.names))  # summed squared deviations
        self._clip = clip

    @property
    def scale(self) -> npt.NDArray[np.float64]:
        """Standard deviation, shape (K,); 1 where an entry does not vary."""
        variance = self._squares / max(self.count, 1)
        return np.where(variance > LEAST_VARIANCE, np.sqrt(variance), 1.0)

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The numbers as they are now, one an entry."""
        numbers = zip(self.names, self.mean.tolist(), self.scale.tolist(), strict=True)
        return tuple(Input(name, mean, scale, self._clip) for name, mean, scale in numbers)

    def freeze(self) -> None:
        """Keep the moments as they are."""
        self.is_frozen = True

    def begin(self, shown: Shown, fresh: Rows) -> None:
        """Take in the first observations of new episodes, and normalise all."""
        self._take_in(shown.observations[fresh])
        shown.observations = self._normalised(shown.observations)

    def step(self, turn: Turn) -> None:
        """Take in the observations, and normalise them."""
        self._take_in(turn.observations)
        turn.observations = self._normalised(turn.observations)
        if turn.final_observations is not None:
            turn.final_observations = _only(turn.reseated, self._normalised(turn.final_observations))

    def _take_in(self, observations: Observations) -> None:
        """Add observations of shape (n, K) to the moments.

        Source: pairwise update of Chan, Golub & LeVeque (1979).
        """
        n = len(observations)
        if self.is_frozen or n == 0:
            return
        values = observations.astype(np.float64)
        mean = values.mean(axis=0)
        apart = mean - self.mean
        total = self.count + n
        self._squares += ((values - mean) ** 2).sum(axis=0) + apart**2 * (self.count * n / total)
        self.mean = self.mean + apart * (n / total)
        self.count = total

    def _normalised(self, values: npt.NDArray[Any]) -> Observations:
        return normalised(values, self.mean, self.scale, self._clip)


def normalised(
    values: npt.NDArray[Any],
    mean: npt.NDArray[np.float64],
    scale: npt.NDArray[np.float64],
    clip: npt.NDArray[np.float64] | float,
) -> Observations:
    """Return clip((x - mean) / scale, -clip, clip), computed in float64, as float32; any shape that ends in K."""
    return np.clip((values.astype(np.float64) - mean) / scale, -np.asarray(clip), clip).astype(np.float32)


def _only(rows: Rows, observations: Observations) -> Observations:
    """Return observations with all other rows 0."""
    return np.where(rows[:, None], observations, np.float32(0.0))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
