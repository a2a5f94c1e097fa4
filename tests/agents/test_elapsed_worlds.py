"""Discounting by elapsed time where the answer is known: world C's closed form, and the simulator hour by hour."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
import pytest
from gymnasium.vector import AutoresetMode
from sb3_contrib import MaskablePPO
from stable_baselines3 import PPO

import simulator.environments  # noqa: F401  registers the ids
from agents.elapsed_time import ElapsedMaskableRolloutBuffer, ElapsedRolloutBuffer
from agents.vec_env import FleetVecEnv
from simulator.exact.waiting import DISCOUNT_PER_HOUR, fatigue_after, hazard, periodic_value, waits_value
from simulator.presets import scenario_of
from tests.agents.rollouts import Keeper
from tests.agents.scripted import collected

HOURS_A_DAY = 24.0
MAX_STEPS = 90
Floats = npt.NDArray[np.float64]


# ------------------------------------------------------------------------------------------------------------- world C


def closed_form(wait_hours: int, opt_out_loss_eur: float) -> Callable[[Floats], Floats]:
    """Return the value of always waiting as long as a function of fatigue, any shape.

    Only the fatigues of a chain of such waits occur, to the rounding of observations: they are summed up once.
    """
    chain = np.zeros(MAX_STEPS + 2)
    for sends in range(1, len(chain)):
        chain[sends] = fatigue_after(chain[sends - 1], np.asarray(wait_hours))
    values = waits_value(lambda now: np.full(len(now), wait_hours), opt_out_loss_eur, chain)
    return lambda fatigue: np.interp(fatigue, chain, values)


@pytest.mark.parametrize(
    ("algorithm", "buffer"), [(PPO, ElapsedRolloutBuffer), (MaskablePPO, ElapsedMaskableRolloutBuffer)]
)
@pytest.mark.parametrize("opt_out_loss_eur", [0.0, 1.0, 3.0])
@pytest.mark.parametrize("wait_hours", [14, 17, 24])
def test_returns_of_world_c_are_the_closed_form_and_the_luck_of_opting_out(
    algorithm: type[Any], buffer: type[Any], wait_hours: int, opt_out_loss_eur: float
) -> None:
    """Returns of always waiting T hours less the luck in them are V(T), step by step, within 2e-5 EUR.

    A return differs from its expectation only by who opted out when. Step k's share of that luck is known: of the next
    value V' it holds (1 if the user stayed, else 0) less exp(-h), discounted; so return - luck = V at each step, with
    no error but float32's. The critic is V itself, so that what bootstraps at a truncation is right; the value
    estimates in between cancel, since lambda is 1.
    """
    n_envs, n_steps = 24, 260
    worth = closed_form(wait_hours, opt_out_loss_eur)
    env = gymnasium.make_vec(
        "kairos/ExactC-v0", n_envs, vectorization_mode="sync", opt_out_loss_eur=opt_out_loss_eur, max_steps=MAX_STEPS,
        vector_kwargs={"autoreset_mode": AutoresetMode.SAME_STEP},
    )  # fmt: skip
    venv = FleetVecEnv(env)

    def fatigue_of(observations: npt.NDArray[np.float32]) -> Floats:
        fatigue: Floats = np.expm1(observations[..., 0].astype(np.float64))
        return fatigue

    def value(observations: npt.NDArray[np.float32]) -> Floats:
        worths: Floats = worth(fatigue_of(observations)) * (observations[..., 1] == 0)
        return worths

    rollout = collected(
        algorithm, venv, n_steps, lambda observations, _: np.full(len(observations), wait_hours - 1), value,
        DISCOUNT_PER_HOUR**HOURS_A_DAY, rollout_buffer_class=buffer,
        rollout_buffer_kwargs={"last_step": venv.last_step, "unit_hours": HOURS_A_DAY},
    )  # fmt: skip
    fatigue = fatigue_of(rollout["observations"].reshape(n_steps, n_envs, 2))
    next_values = worth(fatigue_after(fatigue, np.asarray(wait_hours)))
    discount = DISCOUNT_PER_HOUR**wait_hours
    has_stayed = ~rollout["terminations"]
    shares = discount * (has_stayed - np.exp(-hazard(fatigue))) * next_values
    luck = np.zeros_like(shares)
    later = np.zeros(n_envs)
    for step in reversed(range(n_steps)):
        goes_on = has_stayed[step] & ~rollout["truncations"][step]
        later = luck[step] = shares[step] + discount * goes_on * later
    found = rollout["returns"].reshape(n_steps, n_envs) - luck
    np.testing.assert_allclose(found, worth(fatigue), rtol=0, atol=2e-5)

    is_start = rollout["episode_starts"].reshape(n_steps, n_envs) == 1
    np.testing.assert_allclose(found[is_start], periodic_value(wait_hours, opt_out_loss_eur), rtol=0, atol=2e-5)
    assert rollout["truncations"].sum() > 20
    assert rollout["terminations"].sum() > 5


# ----------------------------------------------------------------------------------- events against hours of silence


class KeepsHours(Keeper):
    """Keeps, too, how long each step of the only environment took."""

    def __init__(self, venv: FleetVecEnv) -> None:
        super().__init__()
        self.venv = venv
        self.hours: list[int] = []

    def _on_step(self) -> bool:
        self.hours.append(int(self.venv.vector_infos["elapsed_hours"][0]))
        return super()._on_step()


def lively_world() -> dict[str, Any]:
    """Users who come often and leave soon, over five days."""
    world = scenario_of("news").model_dump(mode="json")
    world["campaigns"] = [campaign for campaign in world["campaigns"] if campaign["budget_eur"] is None]
    world["calendar"]["horizon_days"] = 5
    world["population"] |= {
        "sessions_per_day": 3.0,
        "churn_scale_days": 1.5,
        "mature_age_days": 5.0,
        "mature_share": 1.0,
    }
    return world


def seat(**arguments: Any) -> FleetVecEnv:
    env = gymnasium.make_vec(
        "kairos/Notify-v0", 1, vectorization_mode="vector_entry_point", scenario=lively_world(), **arguments
    )
    return FleetVecEnv(env)


@pytest.mark.parametrize("keep", [0.9, 0.999])
@pytest.mark.parametrize("seed", [0, 100, 200, 300])
def test_returns_at_events_are_those_of_hours_with_silence_in_between(seed: int, keep: float) -> None:
    """The same users, luck and actions: the elapsed buffer at events, SB3's own hour by hour; lambda is 1.

    Both sum the same rewards in float32, in another order: 5e-6 of the largest return are allowed. Several users sit
    down one after another, and leave or reach the horizon; the rollout ends in the middle of an episode.
    """
    n_steps = 240
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=57)

    def value(observations: npt.NDArray[np.float32]) -> Floats:
        return 0.02 * np.tanh(observations @ weights)  # of the size of what is earned

    def act(observations: npt.NDArray[np.float32], masks: Any) -> npt.NDArray[np.int64]:
        actions: npt.NDArray[np.int64] = (rng.random(masks.shape) * masks).argmax(axis=1)
        return actions

    venv = seat(trigger="event", most_wait_hours=30, discount_per_hour=keep)
    keeper = KeepsHours(venv)
    events = collected(
        MaskablePPO, venv, n_steps, act, value, keep**HOURS_A_DAY, keeper,
        seed=seed,
        rollout_buffer_class=ElapsedMaskableRolloutBuffer,
        rollout_buffer_kwargs={"last_step": venv.last_step, "unit_hours": HOURS_A_DAY},
    )  # fmt: skip
    epochs = np.concatenate([[0], np.cumsum(keeper.hours)[:-1]])
    script = np.zeros(sum(keeper.hours), np.int64)
    script[epochs] = events["actions"].ravel()
    plan = iter(script)
    hourly = collected(PPO, seat(), len(script), lambda *_: np.asarray([next(plan)]), value, keep, seed=seed)

    for name in ("observations", "episode_starts", "values", "actions"):
        np.testing.assert_array_equal(hourly[name][epochs], events[name], err_msg=name)
    scale = np.abs(hourly["returns"]).max()
    np.testing.assert_allclose(events["returns"], hourly["returns"][epochs], rtol=0, atol=5e-6 * scale)
    assert len(set(keeper.hours)) > 4, "the waits vary"
    assert (events["actions"] > 0).sum() > 20, "it sends"
    assert min(events["terminations"].sum(), events["truncations"].sum()) > 2
