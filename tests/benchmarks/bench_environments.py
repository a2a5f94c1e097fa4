"""Users side by side under a random policy, masks and observations included, beside Gymnasium's own CartPole.

A step is one decision of one user: choose among the allowed actions, send or not, live for an hour, look up again.
The window that is measured begins after two weeks, when histories are full and caps bite.
"""

from __future__ import annotations

import time

import gymnasium
import numpy as np

from simulator.compiled import compiled_parallel, each
from simulator.environments.vector import NotifyVectorEnv
from simulator.records import Floats, Ints
from tests.benchmarks import Row

LEAST_RATE = 5e6
WARM_UP_HOURS = 14 * 24


@compiled_parallel
def choose_all(masks: Ints, units: Floats, actions: Ints) -> None:
    """Choose one of the allowed actions for each user, each with the same chance.

    Args:
        masks: (U, A) int8; units: uniform numbers, (U,); actions: written, (U,).
    """
    for i in each(masks.shape[0]):
        n = 0
        for a in range(masks.shape[1]):
            n += masks[i, a]
        skip = int(units[i] * n)
        for a in range(masks.shape[1]):
            if masks[i, a]:
                if skip == 0:
                    actions[i] = a
                    break
                skip -= 1


def notify_rate(n_users: int, n_slots: int, hours: int, repeats: int, warm_up: int) -> tuple[float, float]:
    """Return steps a second (the best of several windows), and the share of steps that sent."""
    env = NotifyVectorEnv(n_users, "ecommerce", n_slots=n_slots)
    _, infos = env.reset(seed=1)
    units = np.random.default_rng(0).random((64, n_users))
    actions = np.zeros(n_users, np.int64)
    n_steps = 0

    def step() -> int:
        nonlocal infos, n_steps
        choose_all(infos["action_mask"], units[n_steps % 64], actions)
        observations, rewards, _, _, infos = env.step(actions)
        n_steps += 1
        assert observations.shape == (n_users, 29 + 7 * n_slots)
        assert rewards.shape == (n_users,)
        return int(np.count_nonzero(actions))

    for _ in range(warm_up):
        step()
    rates, sends = [], 0
    for _ in range(repeats):
        start = time.perf_counter()
        for _ in range(hours):
            sends += step()
        rates.append(hours * n_users / (time.perf_counter() - start))
    assert sends > 0
    return max(rates), sends / (repeats * hours * n_users)


def cartpole_rate(n_envs: int, steps: int, repeats: int) -> float:
    env = gymnasium.make_vec("CartPole-v1", n_envs, vectorization_mode="vector_entry_point")
    env.reset(seed=1)
    actions = np.random.default_rng(0).integers(0, 2, (64, n_envs))
    rates = []
    for _ in range(repeats):
        start = time.perf_counter()
        for k in range(steps):
            observations, *_ = env.step(actions[k % 64])
        rates.append(steps * n_envs / (time.perf_counter() - start))
    assert np.isfinite(observations).all()
    return max(rates)


def run(quick: bool) -> list[Row]:
    """Measure the target's size, then a table over slots, each beside CartPole in turn."""
    n_users = 4_096 if quick else 16_384
    hours, repeats, warm_up = (24, 2, 48) if quick else (48, 5, WARM_UP_HOURS)
    rows = []
    for n_slots in (4, 1, 8, 20):
        rate, share = notify_rate(n_users, n_slots, hours, repeats, warm_up)
        cartpole = cartpole_rate(n_users, 100 if quick else 400, repeats)
        target = LEAST_RATE / cartpole if n_slots == 4 else None
        note = f"{n_users:,} users, random policy, {share:.0%} of steps send"
        if target is not None:
            note += f"; target {LEAST_RATE / 1e6:.0f} M steps/s"
        rows.append(
            Row(
                f"Notify, C = {n_slots}",
                "steps/s",
                rate,
                "CartPole, Gymnasium's vector form",
                cartpole,
                rate / cartpole,
                target,
                note,
            )
        )
    return rows
