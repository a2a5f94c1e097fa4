"""Policy documents for many users at once, on NumPy: the same probabilities as `policies.decide`, row by row.

Production decides one user at a time with the standard library alone and imports nothing of this; simulations and
offline evaluation decide for thousands. It needs NumPy, and exploration by `thompson` SciPy: the extra `sim`.
"""

try:
    import numpy as np  # noqa: F401
except ImportError as missing:
    raise ImportError(
        f'policies.batch needs {missing.name}: pip install "kairos-notify[sim]"', name=missing.name
    ) from missing

from policies.batch.parity import with_parity
from policies.batch.policy import BatchDecisions, BatchPolicy

__all__ = ["BatchDecisions", "BatchPolicy", "with_parity"]
