"""The simulator's threads and PyTorch's: neither takes the other's number for its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

from simulator.compiled import most_threads
from tests.architecture.imports import ROOT

PROBE = """
import sys
sys.path.insert(0, {root!r})
{imports}
from simulator.compiled import most_threads, on_threads, threads, use_threads
import numba, numpy, torch

@numba.njit(parallel=True)
def who(ids):
    for k in numba.prange(ids.shape[0]):
        ids[k] = numba.get_thread_id()

torch.set_num_threads(1)
assert torch.get_num_threads() == 1  # from its first use in a thread on, PyTorch asks OpenMP
{first_use}
assert torch.get_num_threads() == 1, torch.get_num_threads()
ids = numpy.zeros(1000, numpy.int64)
for n in (most_threads(), 1):
    with on_threads(n):
        who(ids)
    assert len(set(ids.tolist())) == n, ids
    assert torch.get_num_threads() == 1, torch.get_num_threads()
"""


@pytest.mark.parametrize(
    ("imports", "first_use"),
    [("import torch", "threads()"), ("import numba", "use_threads(1)"), ("import torch", "with on_threads(1): pass")],
)
def test_a_learner_keeps_its_threads_when_the_simulator_starts_its_own(imports: str, first_use: str) -> None:
    """In a fresh process, since threads are started once."""
    if most_threads() < 2:
        pytest.skip("this machine has one core")
    code = PROBE.format(root=str(ROOT), imports=imports, first_use=first_use)
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
