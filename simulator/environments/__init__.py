"""Gymnasium environments: users to send to, one by one, side by side, or as a population.

Importing this package registers their ids and those of the exact worlds, and loads none of what they are made of:

    import gymnasium, simulator.environments
    env = gymnasium.make("kairos/Notify-v0", scenario="learning")
    fleet = gymnasium.make_vec("kairos/Notify-v0", num_envs=1024, vectorization_mode="vector_entry_point")
"""

from __future__ import annotations

import gymnasium

from simulator.exact import register_exact

HERE = "simulator.environments"
IDS = {
    "kairos/Notify-v0": ("single:NotifyEnv", "vector:NotifyVectorEnv"),
    "kairos/NotifyDaily-v0": ("single:NotifyDailyEnv", "vector:daily_vector"),
    "kairos/NotifyCandidates-v0": ("single:NotifyCandidatesEnv", "vector:candidates_vector"),
}


POPULATION = "kairos/Population-v0"


def register() -> None:
    """Make the ids known to Gymnasium; a second call changes nothing."""
    if POPULATION not in gymnasium.registry:
        gymnasium.register(POPULATION, vector_entry_point=f"{HERE}.population:PopulationVectorEnv")
    for name, (single, vector) in IDS.items():
        if name not in gymnasium.registry:
            # The order enforcer and the passive checker would cost more than the step; `check_env` is run by tests.
            gymnasium.register(
                name,
                entry_point=f"{HERE}.{single}",
                vector_entry_point=f"{HERE}.{vector}",
                order_enforce=False,
                disable_env_checker=True,
            )
    register_exact()


register()
