"""What a vector environment is between two steps, as arrays: to save a run, and to go on with it to the last bit.

    state = env.state()  # arrays of numbers and records, copied
    other.restore(state)  # an environment made alike goes on as `env` would

Books are kept summed over the workers, so the number of threads may differ. The journal of the last step is left out:
after `restore`, `events` waits for the next step.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt

from simulator.snapshot import ABOUT, State, as_array, copied, from_array, put_back, require_names, require_same


def fleet_state(env: Any) -> State:
    """Return the state of a `NotifyVectorEnv`, of which this is a method.

    Raises:
        gymnasium.error.ResetNeeded: nobody has sat down.
    """
    if not env.is_ready:
        raise gymnasium.error.ResetNeeded("state: call reset first")
    state = copied(_arrays(env)) | {ABOUT: as_array(_about(env)), "turn": np.asarray(env.turn)}
    state |= {f"ended.{k}": rows.copy() for k, rows in enumerate(env.ended)}
    return state | {f"books.{name}": getattr(env.books, name).sum(axis=0) for name in _sums(env)}


def restore_fleet(env: Any, state: Mapping[str, npt.NDArray[Any]]) -> None:
    """Let the users of a state sit down, in place of whoever sits there; a method of `NotifyVectorEnv`.

    Args:
        env: made alike: scenario, mode, sizes and options.
        state: as `state` returned it.

    Raises:
        ValueError: it is of another environment; nothing has changed then.
    """
    about = from_array(state[ABOUT]) if ABOUT in state else None
    require_same("state: about", _about(env), about)
    places = _arrays(env)
    own = {name: array for name, array in state.items() if name in places}
    books = {name: f"books.{name}" for name in _sums(env)}
    require_names({*places, *books.values(), ABOUT, "turn", "ended.0", "ended.1"}, state)
    put_back(places, own)
    for name, key in books.items():
        sums = getattr(env.books, name)
        sums[:] = 0
        sums[0] = state[key]
    env.books.journal_used[:] = 0
    env.turn = int(state["turn"])
    env.ended = [state[f"ended.{k}"].copy() for k in range(2)]
    env.journal_ends = None
    env.is_ready = True


def _arrays(env: Any) -> State:
    """Return the arrays that last from step to step, by name; to write to."""
    named = {f"seats.{name}": array for name, array in env.seats._asdict().items()}
    for k, view in enumerate(env.views):
        named |= {f"views.{k}.{name}": array for name, array in view._asdict().items()}
    return named | {name: getattr(env, name) for name in ("final_users", "final_candidates", "is_over")}


def _sums(env: Any) -> list[str]:
    return [name for name in env.books._fields if not name.startswith("journal")]


def _about(env: Any) -> dict[str, Any]:
    """Return what two environments must share, as plain data."""
    settings = env.settings[0]
    return {
        "scenario": env.scenario.model_dump(mode="json"),
        "options": {name: settings[name].item() for name in settings.dtype.names},
        "num_envs": env.num_envs,
        "on_ineligible": env.on_ineligible,
    }
