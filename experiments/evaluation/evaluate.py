"""Evaluate an agent in the simulator: one episode a user, the same users and luck whoever decides.

tuned = evaluate(agent, "ecommerce", n_users=4096, seed=1)
silent = evaluate(None, "ecommerce", n_users=4096, seed=1)
paired(tuned, silent).estimate
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from agents.agent import Agent
from agents.problem import Problem, problem_of
from experiments.evaluation.outcomes import RETENTION_DAYS, Evaluation, Ints
from experiments.evaluation.watching import Watcher
from simulator.compiled import on_threads
from simulator.config import Scenario
from simulator.environments.lenses.layer import Lens
from simulator.environments.lenses.wrap import wrap
from simulator.environments.vector import Infos, NotifyVectorEnv
from simulator.records import MONEY, Metric, Status

STEPS_A_LOOK = 24  # at how far all have come
CHUNK_USERS = 4096  # 20 MB of seats and views, and enough rows a step that Python's share is small
NOT_ORDERS = [k for k, part in enumerate(MONEY) if part not in (Metric.MARGIN, Metric.DISCOUNT)]
COUNTS = {
    "sends": (Metric.SENDS,),
    "opens": (Metric.OPENS,),
    "clicks": (Metric.CLICKS,),
    "sessions": (Metric.SESSIONS_ORGANIC, Metric.SESSIONS_DRIVEN),
    "opt_outs": (Metric.OPT_OUTS_PUSH, Metric.OPT_OUTS_EMAIL),
    "satisfaction_milli": (Metric.SATISFACTION_MILLI,),
    "surveys": (Metric.SURVEYS,),
    "present_days": (Metric.PRESENT_DAYS,),
}


def evaluate(
    agent: Agent | None,
    scenario: str | Scenario | Mapping[str, Any],
    n_users: int,
    seed: int,
    *,
    name: str = "",
    is_exploring: bool = False,
    lenses: Sequence[Lens] = (),
    n_threads: int | None = None,
    chunk_users: int = CHUNK_USERS,
    on_day: Callable[[int, int], None] | None = None,
    watcher: Watcher | None = None,
    on_step: Callable[[NotifyVectorEnv, Infos], None] | None = None,
    **arguments: Any,
) -> Evaluation:
    """Run an agent over users, from the first decision of each to its end.

    The agent is asked only where something besides `no_send` is eligible; elsewhere nothing is sent.

    Args:
        agent: None: silence.
        scenario: a preset's name, a Scenario, or its data; budgets in it are not shared between the users.
        n_users: U; user u has the luck of seed + u, so that more users do not change the first ones.
        seed: at least 0.
        name: of the agent in the result.
        is_exploring: whether the agent explores; its generator is seeded by `seed` and the chunk.
        lenses: through which the agent looks, the nearest to the environment first; their rewards do not matter.
        n_threads: of the simulator; None: as many as there are.
        chunk_users: users side by side. Of an agent that draws, another number draws otherwise.
        on_day: called with days done of all days to do, over all chunks.
        watcher: a new one, that sees what happens by day, hour and segment; it changes nothing.
        on_step: called after each step of a chunk with its environment and infos.
        arguments: of `NotifyVectorEnv`: `n_slots`, `horizon_days`, `epoch_hours`, `mode`, `trigger`, ...

    Raises:
        ValueError: an argument out of range; an agent of other observations or actions.
    """
    if n_users < 1 or chunk_users < 1:
        raise ValueError(f"evaluate: expected at least one user, got n_users={n_users}, chunk_users={chunk_users}")
    if refused := sorted(arguments.keys() & {"num_envs", "autoresets", "journal_rows", "render_mode"}):
        raise ValueError(f"evaluate: {', '.join(refused)}: set by the evaluation itself; expected other arguments")
    parts = []
    with threads_or_all(n_threads):
        for start in range(0, n_users, chunk_users):
            env = NotifyVectorEnv(min(chunk_users, n_users - start), scenario, autoresets=False, **arguments)
            for days, all_days in _lives(env, lenses, agent, seed + start, is_exploring, watcher, on_step):
                if on_day is not None:
                    chunk, n_chunks = start // chunk_users, -(-n_users // chunk_users)
                    on_day(chunk * all_days + days, n_chunks * all_days)
            parts.append(_outcomes(env, name, seed))
    return Evaluation.joined(parts)


def threads_or_all(n_threads: int | None) -> AbstractContextManager[None]:
    """Return a context in which the simulator runs on so many threads; None: on as many as there are."""
    return nullcontext() if n_threads is None else on_threads(n_threads)


def _lives(
    env: NotifyVectorEnv,
    lenses: Sequence[Lens],
    agent: Agent | None,
    seed: int,
    is_exploring: bool,
    watcher: Watcher | None,
    on_step: Callable[[NotifyVectorEnv, Infos], None] | None,
) -> Iterator[tuple[int, int]]:
    """Let everybody at the seats live to the end; yield the days that all have behind them, and how many there are."""
    seen: Any = wrap(env, *lenses) if lenses else env
    observations, _ = seen.reset(seed=seed)
    if agent is not None:
        _require_fitting(agent, problem_of(seen))
    if watcher is not None:
        watcher.sat_down(env)
    rng = np.random.default_rng(seed)
    n_days = env.scenario.calendar.horizon_days
    told, n_steps = 0, 0
    while not env.is_over.all():
        actions = np.zeros(env.num_envs, np.int64)
        masks = env.action_masks()
        rows = np.flatnonzero(masks[:, 1:].any(axis=1) & ~env.is_over) if agent is not None else ()
        if agent is not None and len(rows):
            actions[rows] = agent.act(observations[rows], masks[rows] != 0, rng, is_exploring=is_exploring).actions
        wishes = None if watcher is None else watcher.wished(env, actions)
        observations, _, _, _, infos = seen.step(actions)
        if on_step is not None:
            on_step(env, infos)
        if watcher is not None:
            watcher.stepped(env, wishes)
        n_steps += 1
        if n_steps % STEPS_A_LOOK == 0 or env.is_over.all():
            hours = env.seats.users["now_hours"][~env.is_over]
            days = int(hours.min()) // 24 if len(hours) else n_days
            if days > told:
                told = days
                yield days, n_days
    if watcher is not None:
        watcher.ended(env)


def _require_fitting(agent: Agent, problem: Problem) -> None:
    for what in ("features", "actions"):
        wanted, found = getattr(agent.problem, what), getattr(problem, what)
        if wanted != found:
            k = next((k for k, pair in enumerate(zip(wanted, found, strict=False)) if pair[0] != pair[1]), None)
            first = "" if k is None else f"; the first that differs is {what}[{k}]: {wanted[k]!r} and {found[k]!r}"
            raise ValueError(
                f"evaluate: agent: expected an environment of its {len(wanted)} {what}, got one of {len(found)}{first}"
            )


def _outcomes(env: NotifyVectorEnv, name: str, seed: int) -> Evaluation:
    """Return what is in the books of the users at the seats, whose episodes are over."""
    users, tally = env.seats.users, env.seats.tally
    money = tally["money"].astype(np.int64)
    n_days = env.scenario.calendar.horizon_days
    begins_last = max(n_days - RETENTION_DAYS, 0) * 24
    sums: dict[str, Ints] = {
        outcome: tally["counts"][:, list(metrics)].sum(axis=1, dtype=np.int64) for outcome, metrics in COUNTS.items()
    }
    return Evaluation(
        agent=name,
        scenario=env.scenario.name,
        seed=seed,
        n_days=n_days,
        value_nano=money.sum(axis=1),
        expected_nano=money[:, NOT_ORDERS].sum(axis=1) + tally["expected_nano"],
        churns=(users["status"] != Status.PRESENT).astype(np.int64),
        retained=(users["last_session_hours"] >= begins_last).astype(np.int64),
        **sums,
    )
