"""Bandits at 8 arms and 24 features on one core, beside MABWiser, Vowpal Wabbit and plain NumPy in the same run."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from agents.agent import Experience
from agents.bandits.beliefs.best_of_normals import best_of_normals
from agents.bandits.linear_thompson import LinearThompson
from agents.bandits.linucb import LinUCB
from agents.bandits.settings import LinearThompsonSettings, LinUCBSettings
from agents.problem import Problem
from tests.benchmarks import Row

N_ARMS, N_FEATURES, N_BATCH = 8, 24, 100_000
N_USERS = 1_000  # of those that are decided on one by one: as many as stay in cache, where a server has its request
PROBLEM = Problem(
    tuple(f"x{k}" for k in range(N_FEATURES)),
    np.full(N_FEATURES, -1, np.float32),
    np.full(N_FEATURES, 1, np.float32),
    tuple(f"a{k}" for k in range(N_ARMS)),
)


class World:
    """Users with random features; each arm's mean reward is linear in them."""

    def __init__(self, n: int) -> None:
        rng = np.random.default_rng(1)
        self.observations = rng.uniform(-1, 1, (n, N_FEATURES)).astype(np.float32)
        self.masks = np.ones((n, N_ARMS), np.bool_)
        weights = rng.normal(size=(N_FEATURES, N_ARMS)) / math.sqrt(N_FEATURES)
        self.rewards = self.observations @ weights + rng.normal(0.0, 0.1, (n, N_ARMS))
        self.rng = np.random.default_rng(2)

    def of(self, actions: Any) -> Any:
        return self.rewards[np.arange(len(actions)), actions]


def seconds(work: Callable[[], None], repeats: int) -> float:
    """Time of the quickest of some rounds."""
    best = math.inf
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best


def in_batches(agent: Any, world: World, repeats: int) -> float:
    """Decisions a second: checks, choice, and learning from the rewards, whole batches."""

    def work() -> None:
        actions = agent.act(world.observations, world.masks, world.rng).actions
        agent.update(Experience(world.observations, world.masks, actions, world.of(actions)))

    work()  # compiles
    before = agent.memory.sums.n_updates
    took = seconds(work, repeats)
    assert agent.memory.sums.n_updates == before + repeats
    assert agent.memory.sums.totals["outer"][:, 0, 0].sum() == (1 + repeats) * len(world.observations)
    return len(world.observations) / took


def singly(agent: Any, world: World, n: int, repeats: int) -> float:
    """Decisions a second: one call to choose and one to learn, each checked; the same thousand users come again."""
    rewards, mask = world.rewards[:N_USERS].tolist(), world.masks[0]
    rows = list(world.observations[:N_USERS])
    assert n % N_USERS == 0

    def ucb() -> None:
        for _ in range(n // N_USERS):
            for k in range(N_USERS):
                action = agent.choose_one(rows[k], mask)
                agent.learn_one(rows[k], action, rewards[k][action])

    def thompson() -> None:
        for _ in range(n // N_USERS):
            for k, noise in enumerate(world.rng.standard_normal((N_USERS, N_ARMS))):
                action = agent.choose_one(rows[k], mask, noise)
                agent.learn_one(rows[k], action, rewards[k][action])

    work = thompson if isinstance(agent, LinearThompson) else ucb
    work()
    took = seconds(work, repeats)
    assert agent.memory.sums.n_updates == (1 + repeats) * n
    return n / took


def streamed(agent: Any, world: World, n: int, repeats: int) -> float:
    """Decisions a second: one after the other, each with what those before it taught, from arrays that are checked."""
    rows, masks, rewards = world.observations[:n], world.masks[:n], world.rewards[:n]

    def work() -> None:
        agent.replay(rows, masks, rewards, *([world.rng] if isinstance(agent, LinearThompson) else []))

    work()
    took = seconds(work, repeats)
    assert agent.memory.sums.n_updates == (1 + repeats) * n
    return n / took


def numpy_linucb(world: World, repeats: int) -> float:
    """Decisions a second of LinUCB as it is written down in NumPy: one product with all arms' factors, X'X by arm."""
    x = np.column_stack([np.ones(len(world.observations)), world.observations.astype(np.float64)])
    n, d = x.shape
    precision, moment = np.stack([np.eye(d)] * N_ARMS), np.zeros((N_ARMS, d))

    def work() -> None:
        factors = np.linalg.inv(np.linalg.cholesky(precision))
        theta = np.linalg.solve(precision, moment[:, :, None])[:, :, 0]
        widths = ((x @ factors.reshape(-1, d).T) ** 2).reshape(n, N_ARMS, d).sum(axis=2)
        actions = (x @ theta.T + np.sqrt(widths)).argmax(axis=1)
        rewards = world.of(actions)
        for arm in range(N_ARMS):
            its = actions == arm
            precision[arm] += x[its].T @ x[its]
            moment[arm] += x[its].T @ rewards[its]

    work()
    return float(n / seconds(work, repeats))


def mabwiser(policy: str, world: World, n: int, repeats: int) -> float | None:
    """Decisions a second of MABWiser in batches of n; None where it is not installed."""
    try:
        from mabwiser.mab import MAB, LearningPolicy
    except ImportError:
        return None
    law = LearningPolicy.LinUCB(alpha=1.0) if policy == "LinUCB" else LearningPolicy.LinTS(alpha=1.0)
    peer = MAB(list(range(N_ARMS)), law)
    contexts = world.observations[:n].astype(np.float64)
    rng = np.random.default_rng(3)
    actions = rng.integers(0, N_ARMS, len(world.observations))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer.fit(actions, world.of(actions), world.observations.astype(np.float64))

        def work() -> None:
            found = peer.predict(contexts)
            chosen = np.atleast_1d(np.asarray(found))
            peer.partial_fit(chosen, world.rewards[np.arange(n), chosen], contexts)

        work()
        took = seconds(work, repeats)
    return n / took


def vowpal(world: World, n: int) -> float | None:
    """Decisions a second of Vowpal Wabbit, `--cb_explore 8`, one by one as it learns; None where not installed."""
    try:
        from vowpalwabbit import Workspace
    except ImportError:
        return None
    learner = Workspace(f"--cb_explore {N_ARMS} --epsilon 0.1 --quiet")
    texts = [" ".join(f"{k}:{value:.6g}" for k, value in enumerate(row)) for row in world.observations[:n].tolist()]
    costs = (-world.rewards[:n]).tolist()
    start = time.perf_counter()
    for text, cost in zip(texts, costs, strict=True):
        shares = learner.predict(f"| {text}")
        action = max(range(N_ARMS), key=shares.__getitem__)
        learner.learn(f"{action + 1}:{cost[action]}:{shares[action]} | {text}")
    took = time.perf_counter() - start
    assert len(shares) == N_ARMS
    learner.finish()
    return n / took


def propensities(n: int, repeats: int) -> float:
    """Rows a second of the exact probabilities of 8 draws, standard deviations within a factor of three or so."""
    rng = np.random.default_rng(4)
    means, sds = rng.normal(size=(n, N_ARMS)), np.exp(0.5 * rng.normal(size=(n, N_ARMS)))
    masks, found = np.ones((n, N_ARMS), np.bool_), np.empty((n, N_ARMS))
    best_of_normals(means[:10], sds[:10], masks[:10], found[:10])
    took = seconds(lambda: best_of_normals(means, sds, masks, found), repeats)
    assert abs(found.sum(axis=1) - 1.0).max() < 1e-9
    return n / took


def row(name: str, figure: float, target: float | None, peer: str, reference: float | None, note: str) -> list[Row]:
    """Return the figure beside its target, and beside a peer of the same run."""
    rows = [] if target is None else [Row(name, "1/s", figure, "target", target, figure / target, 1.0, note)]
    if reference is not None:
        rows.append(Row(name, "1/s", figure, peer, reference, figure / reference, None, note))
    return rows


def run(quick: bool) -> list[Row]:
    """Return the figures of bandits."""
    repeats, n_single, n_peer = (3, 2_000, 500) if quick else (15, 20_000, 3_000)
    world = World(N_BATCH)
    size = f"{N_ARMS} arms, {N_FEATURES} features"
    batch, single = (
        f"{size}, batches of {N_BATCH:,}, checked, choose and learn",
        f"{size}, two calls a decision, checked",
    )
    rows: list[Row] = []
    ucb = in_batches(LinUCB(LinUCBSettings(), PROBLEM), world, repeats)
    rows += row("LinUCB, batches", ucb, 2.5e6, "NumPy", numpy_linucb(world, repeats), batch)
    rows += row("LinUCB, batches", ucb, None, "MABWiser", mabwiser("LinUCB", world, N_BATCH, 2), batch)
    thompson = in_batches(LinearThompson(LinearThompsonSettings(), PROBLEM), world, repeats)
    peer = mabwiser("LinTS", world, N_BATCH, 2)
    rows += row("linear Thompson, batches", thompson, 2e6, "MABWiser", peer, f"{batch}, a draw a row and arm")
    makers: dict[str, tuple[Callable[[], Any], str]] = {
        "LinUCB": (lambda: LinUCB(LinUCBSettings(), PROBLEM), "LinUCB"),
        "linear Thompson": (lambda: LinearThompson(LinearThompsonSettings(), PROBLEM), "LinTS"),
    }
    for name, (make, policy) in makers.items():
        stream = streamed(make(), world, n_single, 3)
        rows += row(f"{name}, one by one from a stream", stream, 0.5e6, "", None, f"{size}, checked, choose and learn")
        figure = singly(make(), world, n_single, 3)
        rows += row(f"{name}, singly", figure, 0.5e6, "MABWiser", mabwiser(policy, world, 1, n_peer // 10), single)
        if policy == "LinUCB":
            note = f"{single}; Vowpal Wabbit by --cb_explore, its text made beforehand"
            rows += row(f"{name}, singly", figure, None, "Vowpal Wabbit", vowpal(world, n_peer), note)
    rows += row(
        "Thompson, propensities", propensities(20_000, repeats), 5e4, "", None, f"{N_ARMS} normals, error < 1e-6"
    )
    return rows
