"""The global random generators that SB3 draws from, lent to one trainer at a time.

SB3 draws actions from torch's global generator, and minibatches from NumPy's. Two trainers in one process would take
numbers from each other. So each keeps states of its own, puts them in place while it works, and puts back what was
there before.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt

from agents.agent import State
from agents.training_extra import missing

try:
    import torch
except ModuleNotFoundError as error:
    raise missing(error) from error


class Generators:
    """States of torch's and NumPy's global generators.

    Args:
        seed: 0 or more.
        n_threads: of torch, while it is lent.
    """

    def __init__(self, seed: int, n_threads: int = 1) -> None:
        self._n_threads = n_threads
        self._torch: torch.Tensor = torch.Generator().manual_seed(seed).get_state()
        self._numpy = np.random.RandomState(np.random.MT19937(np.random.SeedSequence(seed))).get_state(legacy=False)

    @contextmanager
    def lent(self) -> Iterator[None]:
        """Let the body draw from these states, and take them back as it left them."""
        outside = (torch.get_rng_state(), np.random.get_state(legacy=False), random.getstate())  # noqa: NPY002
        n_threads = torch.get_num_threads()
        torch.set_rng_state(self._torch)
        np.random.set_state(self._numpy)  # noqa: NPY002
        torch.set_num_threads(self._n_threads)
        try:
            yield
        finally:
            self._torch = torch.get_rng_state()
            self._numpy = np.random.get_state(legacy=False)  # noqa: NPY002
            torch.set_num_threads(n_threads)
            torch.set_rng_state(outside[0])
            np.random.set_state(outside[1])  # noqa: NPY002
            random.setstate(outside[2])

    def state(self) -> State:
        """Return both states as arrays."""
        numpy = self._numpy
        return {
            "torch": self._torch.numpy().copy(),
            "numpy.key": numpy["state"]["key"].copy(),
            "numpy.pos": np.asarray(numpy["state"]["pos"]),
            "numpy.has_gauss": np.asarray(numpy["has_gauss"]),
            "numpy.gauss": np.asarray(numpy["gauss"]),
        }

    def restore(self, state: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Take up the states that `state` returned."""
        self._torch = torch.from_numpy(np.asarray(state["torch"], np.uint8).copy())
        self._numpy = {
            "bit_generator": "MT19937",
            "state": {"key": np.asarray(state["numpy.key"], np.uint32), "pos": int(state["numpy.pos"])},
            "has_gauss": int(state["numpy.has_gauss"]),
            "gauss": float(state["numpy.gauss"]),
        }
