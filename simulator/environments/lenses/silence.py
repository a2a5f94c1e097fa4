"""Against silence: pay what a policy changes for a user, not what the user brings anyway.

Beside each user lives its twin, with the same traits and the same luck, who is never sent anything; what the twin earns
is taken off the user's reward, step by step, and where the user leaves, all that the twin still earns until the
horizon. Summed with discount over an episode this is

    sum_t gamma^t r'_t = G(policy) - G(silence)

for this very user. The second term depends on no action, so no policy's rank changes and no optimum moves; but the luck
that both share, which is most of the noise in what a user brings, cancels. It is a control variate by common random
numbers (Glasserman, Monte Carlo Methods in Financial Engineering, 2004, section 4.1) with a coefficient of one, and
also the measure that results are reported in.

Where the horizon cuts an episode a learner bootstraps as ever, on a value function that now is that of the difference.
So what a twin brings beyond the horizon must be charged as well to a user who left before it, else leaving would cost
too little, the less the nearer the horizon is. That part is not lived but taken from a closed form, the potential of
the twin at the horizon (`potential`); without a discount, and for rewards that are not money, there is none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from simulator.compiled import compiled, compiled_parallel, each, on_threads
from simulator.environments.lenses.layer import Layer, Rows, Shown, Site, Turn
from simulator.environments.lenses.potential import Potential
from simulator.environments.lenses.rewards import EXPECTED_CONVERSION, REALISED, RewardParts
from simulator.environments.lenses.shaping import Shaping
from simulator.environments.seats import N_PARTS, PRESENT
from simulator.environments.vector import REWARD_PARTS, SIGNALS, NotifyVectorEnv
from simulator.fleet import live_quietly, page_of, wish_at
from simulator.population_run import blank_books
from simulator.records import HISTORY, NANO, TALLY, USER, Books, Floats, Ints, Metric, Record, Records, World
from simulator.senders import Sender

OPENS, CLICKS = int(Metric.OPENS), int(Metric.CLICKS)


@dataclass(frozen=True)
class AgainstSilence:
    """Take off what the same user brings under silence.

    Adds `silent_reward` to the infos, (U,) EUR: what was taken off.

    Attributes:
        discount_per_hour: gamma, the learner's own, in (0, 1]: by it all that the twin still earns is summed when the
            user leaves.

    Raises:
        ValueError: a discount out of range.
    """

    discount_per_hour: float

    def __post_init__(self) -> None:
        """Check the number."""
        if not 0.0 < self.discount_per_hour <= 1.0:
            raise ValueError(
                f"AgainstSilence: discount_per_hour: expected above 0 and at most 1, got {self.discount_per_hour}"
            )

    def on(self, site: Site) -> Layer:
        """Return the layer.

        Raises:
            TypeError: not the users' own vector or single environment: a population shares budgets, so that its users
                have no twins of their own.
            ValueError: a Shaping within: what it adds is not the twin's; or steps that last until something happens
                and are not discounted alike within.
        """
        env = site.users_of(self)
        if not isinstance(env, NotifyVectorEnv):
            raise TypeError(f"AgainstSilence: expected users who share nothing, got {type(env).__name__}")
        if any(isinstance(lens, Shaping) for lens in site.inner):
            raise ValueError("AgainstSilence: put it on before Shaping, which adds what the twin does not have")
        per_epoch = self.discount_per_hour ** int(env.settings[0]["epoch_hours"])
        within = float(env.settings[0]["keep_per_epoch"])
        if env.settings[0]["by_event"] and abs(within - per_epoch) > 1e-12:
            raise ValueError(
                f"AgainstSilence: with trigger='event', expected the environment's own discount_per_hour to be "
                f"{self.discount_per_hour}, got {within ** (1 / int(env.settings[0]['epoch_hours'])):g}"
            )
        parts = [lens.weights for lens in site.inner if isinstance(lens, RewardParts)]
        return _Layer(site, env, per_epoch, self.discount_per_hour, dict(parts[-1] if parts else REALISED))


class _Layer:
    kept = ("_to_go", "_epochs")

    def __init__(
        self, site: Site, env: NotifyVectorEnv, per_epoch: float, discount_per_hour: float, weights: dict[str, float]
    ) -> None:
        self.space, self.names = site.space, site.names
        self._env = env
        self._per_epoch = per_epoch
        names = (*REWARD_PARTS, *SIGNALS)
        scale = {"opens": NANO, "clicks": NANO}
        self._weights = np.asarray([weights.get(name, 0.0) * scale.get(name, 1.0) for name in names])
        self._epoch_hours = int(env.settings[0]["epoch_hours"])
        n_epochs = -(-int(env.settings[0]["end_hour"]) // self._epoch_hours)
        self._to_go = np.zeros((env.num_envs, n_epochs + 1))  # EUR, the twin's discounted rewards from each epoch on
        self._epochs = np.zeros(env.num_envs, np.int64)  # at which each user was decided for last
        self._rows = np.arange(env.num_envs)
        self._room = (np.zeros(env.n_workers, USER), np.zeros(env.n_workers, HISTORY), np.zeros(env.n_workers, TALLY))
        self._ends = np.zeros(env.num_envs, USER)  # the twins at the horizon
        per_day = -24.0 * math.log(discount_per_hour)
        is_money = weights in (dict(REALISED), dict(EXPECTED_CONVERSION))
        self._beyond = Potential(env.world.law, (0.0, 0.0), per_day) if per_day > 0.0 and is_money else None
        self._ahead = per_epoch ** np.arange(n_epochs, -1, -1.0)  # gamma to the time left to the horizon
        self._books = blank_books(env.scenario, env.n_workers, 0)
        self._silent = Sender().record()

    def begin(self, shown: Shown, fresh: Rows) -> None:
        self._live(fresh)
        shown.extras["silent_reward"] = np.zeros(len(fresh))

    def step(self, turn: Turn) -> None:
        before = self._epochs
        passed = np.rint(turn.infos["elapsed_hours"] / self._epoch_hours).astype(np.int64)
        after = np.minimum(before + passed, self._to_go.shape[1] - 1)
        later = np.where(turn.terminated, 0.0, self._per_epoch**passed * self._to_go[self._rows, after])
        silent = np.where(passed > 0, self._to_go[self._rows, before] - later, 0.0)
        turn.rewards = turn.rewards - silent
        turn.extras["silent_reward"] = silent
        self._epochs = after
        if turn.reseated.any():
            self._live(turn.reseated)

    def _live(self, fresh: Rows) -> None:
        """Let the twins of some seats' users live to the horizon."""
        env = self._env
        self._epochs[fresh] = env.seats.users["now_hours"][fresh].astype(np.int64) // self._epoch_hours
        chosen = np.flatnonzero(fresh)
        bounds = np.linspace(0, len(chosen), env.n_workers + 1).astype(np.int64)
        with on_threads(env.n_workers):
            live_silently(
                chosen, env.seats.users, env.seats.history, env.seats.tally, *self._room, env.world, self._silent,
                self._books, self._weights, self._epoch_hours, int(env.settings[0]["end_hour"]), self._per_epoch,
                self._to_go, self._ends, bounds,
            )  # fmt: skip
        if self._beyond is not None and len(chosen):
            self._to_go[chosen] += self._beyond.of(self._ends[chosen])[:, None] * self._ahead


@compiled
def earned_nano(tally: Record, weights: Floats) -> float:
    """Return the weighted sum of money and signals so far, nano-euro."""
    total = weights[N_PARTS] * tally.expected_nano
    total += weights[N_PARTS + 1] * tally.counts[OPENS] + weights[N_PARTS + 2] * tally.counts[CLICKS]
    for k in range(N_PARTS):
        total += weights[k] * tally.money[k]
    return total


@compiled
def copy_life(
    i: int, w: int, users: Records, histories: Records, tallies: Records, twins: Records, seen: Records, counts: Records
) -> None:
    """Make a worker's twin that of a seat; a function of its own, see `deciding.make_way`."""
    twins[w] = users[i]
    seen[w] = histories[i]
    counts[w] = tallies[i]


@compiled
def keep_end(i: int, w: int, twins: Records, ends: Records) -> None:
    """Keep a worker's twin as it is when its life has been told; a function of its own, see `deciding.make_way`."""
    ends[i] = twins[w]


@compiled
def live_one(
    user: Record,
    history: Record,
    tally: Record,
    world: World,
    silent: Record,
    books: Books,
    weights: Floats,
    epoch_hours: int,
    end_hour: int,
    per_epoch: float,
    to_go: Floats,
) -> None:
    """Live one life in silence and write the discounted rewards to go, EUR, shape (epochs + 1,)."""
    for e in range(to_go.shape[0]):
        to_go[e] = 0.0
    hour = int(user.now_hours)
    first = hour // epoch_hours
    epoch = first
    while user.status == PRESENT and hour < end_hour:
        before = earned_nano(tally, weights)
        hour += epoch_hours
        live_quietly(user, history, tally, world, silent, books, float(hour))
        to_go[epoch] = (earned_nano(tally, weights) - before) / NANO
        epoch += 1
        if user.status == PRESENT and hour < end_hour:
            if hour % 24 == 0:
                wish_at(user, history, tally, world, silent, books, hour)
            else:
                user.hour_begun = hour
    for e in range(epoch - 1, first - 1, -1):
        to_go[e] += per_epoch * to_go[e + 1]


@compiled_parallel
def live_silently(
    chosen: Ints,
    users: Records,
    histories: Records,
    tallies: Records,
    twins: Records,
    seen: Records,
    counts: Records,
    world: World,
    silent: Records,
    books: Books,
    weights: Floats,
    epoch_hours: int,
    end_hour: int,
    per_epoch: float,
    to_go: Floats,
    ends: Records,
    bounds: Ints,
) -> None:
    """Let the twins of the chosen seats live to the horizon, and write what they earn from each epoch on.

    Args:
        chosen: seats, shape (n,).
        twins, seen, counts: room for one life a worker.
        to_go: shape (U, epochs + 1), rows of the chosen are written.
        ends: USER (U,), the twins at the horizon; rows of the chosen are written.
        bounds: of each worker's share of `chosen`, shape (workers + 1,).
    """
    for w in each(bounds.shape[0] - 1):
        own = page_of(books, w)
        for k in range(bounds[w], bounds[w + 1]):
            i = chosen[k]
            copy_life(i, w, users, histories, tallies, twins, seen, counts)
            live_one(
                twins[w], seen[w], counts[w], world, silent[0], own, weights, epoch_hours, end_hour, per_epoch, to_go[i]
            )
            keep_end(i, w, twins, ends)
