"""World C: how long to wait until the next send, when every send may be the last. Steps differ in length.

Modelling choice: the smallest semi-Markov problem. A user is sent to again and again; each send tires, each may end
it, and waiting costs discounted time. Given that the user stays, fatigue is known exactly, so the value of any rule is
a sum and not an estimate.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, SupportsInt

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium.error import ResetNeeded

from policies.vocabulary import Feature
from simulator.config_fields import did_you_mean
from simulator.exact.finite import Floats
from simulator.exact.standing import Act
from simulator.exact.world import Observations

NAME = "kairos/ExactC"
MAX_WAIT_HOURS = 48
WAITS_HOURS = np.arange(1, MAX_WAIT_HOURS + 1)
FATIGUE_DECAY_HOURS = 96.0
DISCOUNT_PER_HOUR = math.exp(-1.0 / 1440.0)
OPEN_LOGIT, FATIGUE_LOGIT = -2.2, 0.1
WIN_EUR, SEND_COST_EUR = 0.3, 0.00005
OPT_OUT_HAZARD, OPT_OUT_GAIN = 0.002, 0.15  # per send: h = .002 (1 + .15 fatigue)
MAX_FATIGUE = 1.0 / math.expm1(1.0 / FATIGUE_DECAY_HOURS)  # just before a send, after endless sends an hour apart

NEGLIGIBLE = 1e-16  # weight, survival times discount, at which a sum over sends ends
GRID = 4001
FEATURES = (
    Feature("fatigue", "sends", 0.0, 4.6, "log1p", "just before the send, each earlier one decayed by exp(-hours/96)"),
    Feature("is_out", "", 0.0, 1.0, "plain", "the user has opted out"),
)


def hazard(fatigue: Floats) -> Floats:
    """Return h: a send makes the user opt out with probability 1 - exp(-h)."""
    return OPT_OUT_HAZARD * (1.0 + OPT_OUT_GAIN * fatigue)


def send_reward_eur(fatigue: Floats, opt_out_loss_eur: float) -> Floats:
    """Return what a send is expected to earn: sigma(-2.2 - .1 F) * .3 - cost - (1 - exp(-h)) * loss."""
    opens_prob = 1.0 / (1.0 + np.exp(FATIGUE_LOGIT * fatigue - OPEN_LOGIT))
    return opens_prob * WIN_EUR - SEND_COST_EUR + np.expm1(-hazard(fatigue)) * opt_out_loss_eur


def fatigue_after(fatigue: Floats, wait_hours: npt.NDArray[np.integer]) -> Floats:
    """Return the fatigue just before the next send."""
    return (fatigue + 1.0) * np.exp(-wait_hours / FATIGUE_DECAY_HOURS)


def periodic_value(wait_hours: float, opt_out_loss_eur: float = 0.0) -> float:
    """Return the value of sends that far apart, the first at once.

    V(T) = sum over n of exp(-delta T n - sum of h_i, i < n) * send_reward(F_n), with F_n = a (1 - a^n) / (1 - a),
    a = exp(-T / 96).

    Args:
        wait_hours: T, > 0.
        opt_out_loss_eur: charged at an opt-out.
    """
    a = math.exp(-wait_hours / FATIGUE_DECAY_HOURS)
    per_send = -wait_hours * math.log(DISCOUNT_PER_HOUR) + OPT_OUT_HAZARD  # a send loses at least this much weight
    sends = np.arange(math.ceil(-math.log(NEGLIGIBLE) / per_send))
    fatigue = a * -np.expm1(sends * math.log(a)) / (1.0 - a)
    hazards = hazard(fatigue)
    survival = np.exp(-(np.cumsum(hazards) - hazards))
    return float(
        (DISCOUNT_PER_HOUR ** (wait_hours * sends) * survival * send_reward_eur(fatigue, opt_out_loss_eur)).sum()
    )


@cache
def best_period(opt_out_loss_eur: float = 0.0) -> tuple[int, float]:
    """Return the best whole number of hours between sends, 1 to 48, and its value."""
    values = [periodic_value(wait, opt_out_loss_eur) for wait in WAITS_HOURS.tolist()]
    best = int(np.argmax(values))
    return int(WAITS_HOURS[best]), values[best]


@dataclass(frozen=True, eq=False)
class BestWaits:
    """The optimum over waits that depend on fatigue.

    Attributes:
        value: of waiting as `wait_of` says, summed exactly: what is attained, so a lower bound on the optimum.
        upper: an upper bound on the optimum.
        fatigue: grid, shape (G,).
        values: upper bounds on the optimum from each point of the grid, shape (G,).
    """

    value: float
    upper: float
    fatigue: Floats
    values: Floats

    def wait_hours(self, fatigue: Floats) -> npt.NDArray[np.integer]:
        """Return the waits, shape (n,), that are best by the interpolated values, at each fatigue, shape (n,)."""
        return WAITS_HOURS[_following(self.fatigue, self.values, fatigue).argmax(axis=1)]


@cache
def best_waits(opt_out_loss_eur: float = 0.0, n_grid: int = GRID) -> BestWaits:
    """Return the optimum over waits that depend on fatigue, between two bounds.

    Value iteration on a grid, linear in between. The true value falls with fatigue and is convex in it: the reward and
    exp(-h) are convex and fall, so does, with a value above 0, their product with a convex value that falls, and so
    does the greatest of several such. Between grid points a line lies above a convex function, so the values found
    bound the optimum from above. The policy that is greedy in them is then evaluated exactly, off the grid.

    Each policy found is held for many sweeps before the next is sought (modified policy iteration, Puterman & Shin,
    Management Science 1978), from values above all rewards, so that they fall to the fixed point.
    """
    fatigue = np.linspace(0.0, math.sqrt(MAX_FATIGUE), n_grid) ** 2  # finer where users are
    reward, survival = send_reward_eur(fatigue, opt_out_loss_eur), np.exp(-hazard(fatigue))
    after = np.clip(fatigue_after(fatigue[:, None], WAITS_HOURS), 0.0, MAX_FATIGUE)
    left = np.clip(np.searchsorted(fatigue, after, side="right") - 1, 0, n_grid - 2)
    share = (after - fatigue[left]) / (fatigue[left + 1] - fatigue[left])
    discount = DISCOUNT_PER_HOUR**WAITS_HOURS
    values = np.full(n_grid, float(reward[0]) / (1.0 - DISCOUNT_PER_HOUR * float(survival[0])))
    rows = np.arange(n_grid)
    while True:
        best = (discount * (values[left] * (1.0 - share) + values[left + 1] * share)).argmax(axis=1)
        i, w, weight = left[rows, best], share[rows, best], survival * discount[best]
        before = values
        for _ in range(300):
            values = reward + weight * (values[i] * (1.0 - w) + values[i + 1] * w)
        if np.abs(values - before).max() < 1e-13:
            break
    found = BestWaits(math.nan, float(values[0]), fatigue, values)
    value = waits_value(found.wait_hours, opt_out_loss_eur)[0]
    return BestWaits(float(value), found.upper, fatigue, values)


def _following(grid: Floats, values: Floats, fatigue: Floats) -> Floats:
    """Return the discounted value after each wait, shape (n, 48)."""
    return DISCOUNT_PER_HOUR**WAITS_HOURS * np.interp(fatigue_after(fatigue[:, None], WAITS_HOURS), grid, values)


def waits_value(
    wait_hours_at: Callable[[Floats], npt.NDArray[np.integer]],
    opt_out_loss_eur: float = 0.0,
    start_fatigue: npt.ArrayLike = (0.0,),
) -> Floats:
    """Return the exact value of waits that are a function of fatigue, from each fatigue at the first send, shape (n,).

    Args:
        wait_hours_at: maps fatigues (n,) to waits (n,), 1 or more.
        opt_out_loss_eur: charged at an opt-out.
        start_fatigue: n of them.
    """
    fatigue = np.asarray(start_fatigue, np.float64)
    weight, value = np.ones_like(fatigue), np.zeros_like(fatigue)
    while weight.max() > NEGLIGIBLE:
        value += weight * send_reward_eur(fatigue, opt_out_loss_eur)
        wait_hours = wait_hours_at(fatigue)
        weight *= np.exp(-hazard(fatigue)) * DISCOUNT_PER_HOUR**wait_hours
        fatigue = fatigue_after(fatigue, wait_hours)
    return value


class WaitingEnv(gymnasium.Env[Observations, np.int64]):
    """World C: one user; a step is a send, and the wait after it.

    ## Action space

    `Discrete(48)`: action a waits a + 1 hours, from this send to the next.

    ## Observation space

    `Box` of float32, shape (2,).

    | index | name | unit | min | max |
    |---|---|---|---|---|
    | 0 | fatigue | ln(1 + sends) | 0 | 4.6 |
    | 1 | is_out | | 0 | 1 |

    ## Dynamics

    Fatigue F = 0 before the first send; after a send and T hours F' = (F + 1) exp(-T/96), at most 95.5. A send makes
    the user opt out with probability 1 - exp(-h), h = .002 (1 + .15 F).

    ## Reward (EUR)

    Of a send, paid at the start of the step, in expectation:
    sigma(-2.2 - .1 F) * .3 - .00005 - (1 - exp(-h)) * opt_out_loss_eur.

    ## Start, end, discount

    F = 0, the first send at once. Opting out terminates; `max_steps`, if given, truncates. Discount exp(-1/1440) an
    hour: what follows a step is worth exp(-elapsed_hours/1440) as much, with `info["elapsed_hours"]` the wait.

    ## Known values from the start, by loss 0, 1, 3

    Best period 14, 17, 24 h with 1.31898, 1.06187, .68812; best waits by fatigue 1.34980, 1.08640, .70329.

    Args:
        opt_out_loss_eur: charged at an opt-out, >= 0.
        max_steps: truncates an episode that has not ended by then; None never does.
    """

    features = FEATURES
    discount_per_hour = DISCOUNT_PER_HOUR

    def __init__(self, opt_out_loss_eur: float = 0.0, max_steps: int | None = None) -> None:
        if not 0.0 <= opt_out_loss_eur < math.inf:
            raise ValueError(f"{NAME}: opt_out_loss_eur: expected a finite number >= 0, got {opt_out_loss_eur}")
        if max_steps is not None and max_steps < 1:
            raise ValueError(f"{NAME}: max_steps: expected None or at least 1, got {max_steps}")
        self.opt_out_loss_eur = opt_out_loss_eur
        low, high = (np.asarray([getattr(f, bound) for f in FEATURES], np.float32) for bound in ("low", "high"))
        self.observation_space = gymnasium.spaces.Box(low, high, dtype=np.float32)
        self.action_space = gymnasium.spaces.Discrete(MAX_WAIT_HOURS)
        self._max_steps = max_steps
        self._fatigue: float | None = None
        self._is_out = False
        self._n_steps = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observations, dict[str, Any]]:
        """Start an episode, at `options={"fatigue": F}` if that is given.

        Raises:
            ValueError: an option is unknown, or the fatigue out of range.
        """
        super().reset(seed=seed)
        options = options or {}
        for name in options:
            if name != "fatigue":
                near = did_you_mean(name, ["fatigue"])
                raise ValueError(f"{NAME}: reset: unknown option {name!r}; known: fatigue.{near}")
        fatigue = float(options.get("fatigue", 0.0))
        if not 0.0 <= fatigue <= MAX_FATIGUE:
            raise ValueError(f"{NAME}: reset: fatigue: expected 0 to {MAX_FATIGUE:.4f}, got {fatigue}")
        self._fatigue, self._is_out, self._n_steps = fatigue, False, 0
        return self.observe(fatigue), {"action_mask": self.action_masks()}

    def step(self, action: SupportsInt) -> tuple[Observations, float, bool, bool, dict[str, Any]]:
        """Send, then wait action + 1 hours.

        Raises:
            ValueError: the action is none of 0 to 47.
            gymnasium.error.ResetNeeded: no episode is under way.
        """
        fatigue = self.state
        if self._is_out:
            raise ResetNeeded(f"{NAME}: the episode has ended; call reset() before step()")
        if not self.action_space.contains(np.asarray(action)[()]):
            raise ValueError(f"{NAME}: action: expected an integer 0 to 47 (waits 1 to 48 hours), got {action!r}")
        wait_hours = int(action) + 1
        level = np.asarray([fatigue])
        reward = float(send_reward_eur(level, self.opt_out_loss_eur)[0])
        self._is_out = bool(self.np_random.random() < -math.expm1(-hazard(level)[0]))
        self._fatigue = float(fatigue_after(level, np.asarray([wait_hours]))[0])
        self._n_steps += 1
        info = {"action_mask": self.action_masks(), "elapsed_hours": float(wait_hours)}
        observation = self.observe(None if self._is_out else self._fatigue)
        return observation, reward, self._is_out, not self._is_out and self._n_steps == self._max_steps, info

    @property
    def state(self) -> float:
        """Fatigue just before the next send."""
        if self._fatigue is None:
            raise ResetNeeded(f"{NAME}: no episode is under way; call reset() first")
        return self._fatigue

    def action_masks(self) -> npt.NDArray[np.int8]:
        """Return that any wait is allowed, int8 of shape (48,); the name is sb3-contrib's."""
        return np.ones(MAX_WAIT_HOURS, np.int8)

    def observe(self, fatigue: float | None) -> Observations:
        """Return what a fatigue looks like, or what an opted-out user does (None), shape (2,)."""
        return np.asarray([0.0, 1.0] if fatigue is None else [math.log1p(fatigue), 0.0], np.float32)

    def state_of(self, observation: Observations) -> float | None:
        """Return the fatigue that looks like an observation, to float32's rounding; None for an opted-out user."""
        if observation not in self.observation_space:
            raise ValueError(f"{NAME}: observation: expected one of {self.observation_space}, got {observation!r}")
        return None if observation[1] else math.expm1(float(observation[0]))

    def exact_value(self, act: Act) -> float:
        """Return the exact value of an agent's waits from the start.

        Args:
            act: maps observations (1, 2) to actions (1,), a function of the observation alone: it is asked send after
                send, as the chain of fatigues unfolds.

        Raises:
            ValueError: not one integer action 0 to 47.
        """

        def wait_hours_at(fatigue: Floats) -> npt.NDArray[np.integer]:
            actions = np.asarray(act(self.observe(float(fatigue[0]))[None]))
            if actions.shape != (1,) or not np.issubdtype(actions.dtype, np.integer):
                got = f"{actions.dtype} of shape {actions.shape}"
                raise ValueError(f"{NAME}: act: expected integer actions of shape (1,), got {got}")
            if not 0 <= actions[0] < MAX_WAIT_HOURS:
                raise ValueError(
                    f"{NAME}: act: expected an action 0 to 47, got {actions[0]} at fatigue {fatigue[0]:.4f}"
                )
            return actions.astype(np.int64) + 1

        return float(waits_value(wait_hours_at, self.opt_out_loss_eur)[0])

    def optimal_value(self) -> float:
        """Return the value of the best waits by fatigue; within 1e-5 of the optimum (`best_waits` bounds it)."""
        return best_waits(self.opt_out_loss_eur).value

    def baselines(self) -> Mapping[str, float]:
        """Return the value of the best period."""
        return {"best period": best_period(self.opt_out_loss_eur)[1]}
