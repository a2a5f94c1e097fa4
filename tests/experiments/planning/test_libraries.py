"""Planning needs NumPy and SciPy, and nothing else, not even the simulator."""

from __future__ import annotations

import subprocess
import sys

from tests.architecture.imports import ROOT

MODULES = ("arms", "cuped", "guard_rails", "power", "sequential", "switchback")


def test_planning_loads_numpy_and_scipy_alone() -> None:
    code = (
        "import sys, numpy, scipy.optimize, scipy.special, scipy.stats\n"
        "before = set(sys.modules)\n"
        + "".join(f"import experiments.planning.{module}\n" for module in MODULES)
        + "new = {name.split('.')[0] for name in set(sys.modules) - before}\n"
        "print(*sorted(new - set(sys.stdlib_module_names)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["experiments"]
