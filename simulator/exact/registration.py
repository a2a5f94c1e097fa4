"""Names the exact worlds to Gymnasium."""

from __future__ import annotations

import gymnasium

# id: single environment, vector environment. World C is no table: Gymnasium's sync mode makes vectors of it.
ENTRY_POINTS = {
    "kairos/ExactA-v0": ("simulator.exact.fatigue:FatigueEnv", "simulator.exact.fatigue:FatigueVectorEnv"),
    "kairos/ExactB-v0": ("simulator.exact.segments:SegmentEnv", "simulator.exact.segments:SegmentVectorEnv"),
    "kairos/ExactC-v0": ("simulator.exact.waiting:WaitingEnv", None),
    "kairos/ExactD-v0": ("simulator.exact.restless:RestlessEnv", "simulator.exact.restless:RestlessVectorEnv"),
}


def register_exact() -> None:
    """Register the exact worlds; a second call changes nothing."""
    for name, (entry_point, vector_entry_point) in ENTRY_POINTS.items():
        if name not in gymnasium.registry:
            gymnasium.register(name, entry_point, vector_entry_point=vector_entry_point)
