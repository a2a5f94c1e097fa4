"""The baselines of a scenario, each tuned on its users: what agents are held against."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from agents.agent import Floats
from agents.baselines.catalogue import GRIDS, Baseline, baseline_agent, needs_pilot
from agents.baselines.document_agent import DocumentAgent
from agents.baselines.pilot import Pilot, pilot
from agents.baselines.scored import WINDOWS_HOURS
from agents.baselines.tuning import Tuning, tune
from agents.baselines.volume import best_volumes, pilot_volumes
from agents.problem import vocabulary_problem
from experiments.evaluation.evaluate import evaluate, threads_or_all
from simulator.config import Scenario, did_you_mean
from simulator.environments.lenses.rewards import EXPECTED_CONVERSION, RewardParts
from simulator.environments.lenses.wrap import wrap
from simulator.environments.vector import NotifyVectorEnv
from simulator.presets import scenario_of
from simulator.records import NANO

VOLUME = "volume"
KINDS = (*GRIDS, VOLUME)
PILOT_USERS_FROM = 10**9  # seeds so far off that no user is met twice
VOLUME_USERS_FROM = 2 * 10**9
OPT_OUT_COSTS_EUR = (0.0, 0.5, 1.0, 2.0, 4.0)


@dataclass(frozen=True)
class Effort:
    """How many users and hours the search may use.

    Attributes:
        first_users, most_users: that every candidate meets, and the last ones; see `tune`.
        pilot_users, pilot_days: of the pilot at random, decided for every hour; longer than its longest window.
        send_prob: of the pilot, for each hour at which something is eligible.
        volume_users, volume_days: of the pilot with volumes.
        horizon_days: of the evaluations; None: the scenario's.
    """

    first_users: int = 512
    most_users: int = 4096
    pilot_users: int = 4096
    pilot_days: int = 35
    send_prob: float = 0.03
    volume_users: int = 8192
    volume_days: int = 84
    horizon_days: int | None = None


@dataclass(frozen=True)
class Tuned:
    """A baseline at its best settings, and the search that found them."""

    agent: DocumentAgent
    tuning: Tuning[Baseline]


def tuned_baselines(
    scenario: str | Scenario,
    seed: int,
    *,
    kinds: Sequence[str] = KINDS,
    effort: Effort | None = None,
    n_slots: int = 4,
    n_threads: int | None = None,
    on_trial: Callable[[str, int, int], None] | None = None,
) -> dict[str, Tuned]:
    """Return baselines by name, each tuned to the value per user with orders at their expectation.

    Evaluate them on other users than seed to seed + most_users: on these they are the luckiest.

    Args:
        kinds: which; of KINDS.
        n_threads: of the simulator; None: as many as there are.
        on_trial: called with the baseline's name, candidates done and to do in a round.

    Raises:
        ValueError: an unknown baseline.
    """
    for kind in kinds:
        if kind not in KINDS:
            raise ValueError(f"baseline {kind!r}: expected one of {', '.join(KINDS)}.{did_you_mean(kind, KINDS)}")
    effort = Effort() if effort is None else effort
    world = scenario_of(scenario)
    problem = vocabulary_problem(n_slots)
    log: Pilot | None = None
    found = {}
    for kind in kinds:
        with threads_or_all(n_threads):
            grid = _volume_grid(world, seed, effort, n_slots) if kind == VOLUME else GRIDS[kind]
        if log is None and any(map(needs_pilot, grid)):
            with threads_or_all(n_threads):
                log = scenario_pilot(world, seed, effort, n_slots)
        agents = {settings: baseline_agent(settings, problem, log) for settings in grid}

        def returns_of(
            settings: Baseline, first: int, n: int, agents: dict[Baseline, DocumentAgent] = agents
        ) -> Floats:
            evaluation = evaluate(
                agents[settings], world, n, seed + first, n_slots=n_slots, horizon_days=effort.horizon_days,
                n_threads=n_threads,
            )  # fmt: skip
            return np.asarray(evaluation.expected_nano / NANO, np.float64)

        def told(done: int, of: int, kind: str = kind) -> None:
            if on_trial is not None:
                on_trial(kind, done, of)

        tuning = tune(grid, returns_of, first_users=effort.first_users, most_users=effort.most_users, on_trial=told)
        found[kind] = Tuned(agents[tuning.best], tuning)
    return found


def scenario_pilot(scenario: Scenario, seed: int, effort: Effort, n_slots: int) -> Pilot:
    """Return a pilot at random in a scenario, paid with orders at their expectation.

    Users begin spread over a week, so that not all live the same hour.
    """
    env = _paid_by_expectation(scenario, effort.pilot_users, n_slots, spread_hours=168)
    return pilot(
        env,
        effort.pilot_days * 24,
        send_prob=effort.send_prob,
        windows_hours=WINDOWS_HOURS,
        rng=np.random.default_rng([seed, PILOT_USERS_FROM]),
        seed=seed + PILOT_USERS_FROM,
    )


def _volume_grid(scenario: Scenario, seed: int, effort: Effort, n_slots: int) -> tuple[Baseline, ...]:
    """Return the best volumes at several costs of an opt-out, each once."""
    env = _paid_by_expectation(scenario, effort.volume_users, n_slots, horizon_days=effort.volume_days + 7)
    rng = np.random.default_rng([seed, VOLUME_USERS_FROM])
    log = pilot_volumes(env, effort.volume_days * 24, rng=rng, seed=seed + VOLUME_USERS_FROM)
    return tuple(dict.fromkeys(best_volumes(log, opt_out_cost=cost).settings for cost in OPT_OUT_COSTS_EUR))


def _paid_by_expectation(
    scenario: Scenario, n_users: int, n_slots: int, horizon_days: int | None = None, spread_hours: int = 0
) -> object:
    env = NotifyVectorEnv(n_users, scenario, n_slots=n_slots, horizon_days=horizon_days, spread_hours=spread_hours)
    return wrap(env, RewardParts(EXPECTED_CONVERSION))
