"""Lenses: what a learner is shown of an environment, or paid in it, changed by wrappers; the users stay the same.

    from simulator.environments.lenses import History, OracleObservation, Shaping, wrap
    env = wrap(gymnasium.make_vec("kairos/Notify-v0", ...), OracleObservation(), Shaping(discount_per_hour=0.9999))

Each lens is data, works on single and on vector environments alike, and keeps their contract: autoreset, final
observations, masks, seeds, and arrays that stay as they are until the step after the next.
"""

from __future__ import annotations

from simulator.environments.lenses.history import History
from simulator.environments.lenses.normalisation import (
    Input,
    Normalisation,
    RunningNormalisation,
    inputs_of_ranges,
    read_inputs,
)
from simulator.environments.lenses.oracle import OracleObservation
from simulator.environments.lenses.rewards import CLICKS, EXPECTED_CONVERSION, OPENS, REALISED, RewardParts
from simulator.environments.lenses.shaping import Shaping
from simulator.environments.lenses.silence import AgainstSilence
from simulator.environments.lenses.wrap import LensEnv, LensVectorEnv, wrap

__all__ = [
    "CLICKS",
    "EXPECTED_CONVERSION",
    "OPENS",
    "REALISED",
    "AgainstSilence",
    "History",
    "Input",
    "LensEnv",
    "LensVectorEnv",
    "Normalisation",
    "OracleObservation",
    "RewardParts",
    "RunningNormalisation",
    "Shaping",
    "inputs_of_ranges",
    "read_inputs",
    "wrap",
]
