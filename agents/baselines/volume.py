"""Volume allocation: how many messages a week for whom, by what users of each activity returned at each volume.

Users are assigned a weekly volume at random and keep it. What they return, less what each permission that they
withdraw will cost after the time observed, is averaged by cohort of activity and volume; the best volume of each
cohort becomes a rule. Volumes are *assigned* ones: users who were sent less because they opted out or left stay with
what they were assigned, else survivors would make high volumes look good.

Source: Zhao, Narita, Orten & Egan, Notification Volume Control and Optimization System at Pinterest (KDD 2018): the
utility of n weekly messages is the probability of activity given n less the cost of unsubscribing; there by a model of
each user, here by cohorts, whose rules people can read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from agents.agent import Floats, Ints, require_finite
from agents.baselines.document_agent import DocumentAgent
from agents.baselines.frequency import Frequency, Hour
from agents.baselines.frequency_cap import EVENING, FrequencyCap
from agents.problem import problem_of
from agents.settings import Settings
from policies.document import Condition, Document, Rule, Rules, Send
from policies.vocabulary import CHANNELS_OF_A_SLOT, USER_FEATURES

HOURS_A_WEEK = 168
VOLUMES = (0, 1, 2, 3, 5, 7)
EDGES = (1.0, 4.0, 10.0, 25.0)  # active hours in thirty days
SESSIONS_30D, PUSH_OPT_IN, EMAIL_OPT_IN = (
    [feature.name for feature in USER_FEATURES].index(name) for name in ("sessions_30d", "push_opt_in", "email_opt_in")
)


class Volume(Settings):
    """A weekly volume for each cohort of activity.

    Attributes:
        edges: rising, of the active hours in the last thirty days that part the cohorts.
        volumes: messages a week by cohort, the least active first; one more than edges. Of pushes it is a limit;
            e-mails, which the vocabulary does not count, are spread by a gap, which may let one more through.
        hours: whole local hours at which messages go out.
    """

    kind: Literal["volume"] = "volume"
    edges: tuple[Annotated[float, Field(gt=0, le=700)], ...] = EDGES
    volumes: tuple[Annotated[int, Field(ge=0, le=7)], ...] = (2, 2, 2, 2, 2)
    hours: tuple[Hour, ...] = EVENING

    @model_validator(mode="after")
    def _check(self) -> Volume:
        if len(self.volumes) != len(self.edges) + 1:
            raise ValueError(f"volumes: expected {len(self.edges) + 1}, one a cohort, got {len(self.volumes)}")
        if any(low >= high for low, high in zip(self.edges, self.edges[1:], strict=False)):
            raise ValueError(f"edges: expected rising ones, got {self.edges}")
        return self

    def document(self, n_slots: int) -> Document:
        """Return the policy: a rule a cohort that is sent anything."""
        rules = []
        for cohort, volume in enumerate(self.volumes):
            if volume == 0:
                continue
            within = []
            if cohort > 0:
                within.append(Condition("sessions_30d", ">=", self.edges[cohort - 1]))
            if cohort < len(self.edges):
                within.append(Condition("sessions_30d", "<", self.edges[cohort]))
            often = _weekly(volume, self.hours).conditions()
            rules.append(Rule(f"cohort {cohort}", (*within, *often), Send(CHANNELS_OF_A_SLOT)))
        return Document(self.kind, n_slots, Rules(tuple(rules)))


@dataclass(frozen=True, eq=False)
class VolumeLog:
    """What users returned at the volume that they were assigned; all arrays (U,).

    Attributes:
        sessions_30d: active hours in thirty days when the volume was assigned.
        volumes: messages a week assigned.
        returns: rewards over the time observed, as the environment pays them.
        opt_outs: permissions that were there at first and not in the end.
    """

    sessions_30d: Floats
    volumes: Ints
    returns: Floats
    opt_outs: Ints


@dataclass(frozen=True, eq=False)
class Allocation:
    """The best volume of each cohort and what it is based on.

    Attributes:
        settings: to make the document of.
        volumes: those tried, V of them.
        utilities: mean return less opt-out cost, by cohort and volume, NaN without users, shape (cohorts, V).
        standard_errors: of these, NaN with fewer than two users, shape (cohorts, V).
    """

    settings: Volume
    volumes: tuple[int, ...]
    utilities: Floats
    standard_errors: Floats


def pilot_volumes(
    env: Any,
    n_steps: int,
    *,
    rng: np.random.Generator,
    seed: int,
    volumes: tuple[int, ...] = VOLUMES,
    hours: tuple[int, ...] = EVENING,
) -> VolumeLog:
    """Return what the users who sit down first return within n_steps at volumes that are drawn for them.

    Whoever follows a user who left is sent nothing and not looked at; the user counts with what it returned.

    Args:
        env: a Gymnasium vector environment with the vocabulary's features and `action_mask` in its infos, whose
            episodes are at least as long.
        rng: of who is assigned what.
    """
    problem = problem_of(env)
    agents = {v: DocumentAgent(_capped(v, hours).document(problem.n_slots), problem) for v in set(volumes) if v > 0}
    observations, infos = env.reset(seed=seed)
    n = len(observations)
    assigned = np.asarray(volumes)[rng.integers(len(volumes), size=n)]
    sessions = np.expm1(observations[:, SESSIONS_30D].astype(np.float64))
    permitted = observations[:, [PUSH_OPT_IN, EMAIL_OPT_IN]] > 0
    returns, opt_outs, is_there = np.zeros(n), np.zeros(n, np.int64), np.ones(n, np.bool_)
    for _ in range(n_steps):
        masks = np.asarray(infos["action_mask"]) != 0
        actions = np.zeros(n, np.int64)
        for volume, agent in agents.items():
            rows = np.flatnonzero(is_there & (assigned == volume) & masks[:, 1:].any(axis=1))
            if len(rows):
                actions[rows] = agent.act(observations[rows], masks[rows], rng).actions
        observations, rewards, terminated, truncated, infos = env.step(actions)
        returns += np.where(is_there, rewards, 0.0)
        is_there &= ~(terminated | truncated)
        # Permissions as last seen: whoever left has nothing more to withdraw.
        now = observations[:, [PUSH_OPT_IN, EMAIL_OPT_IN]] > 0
        opt_outs = np.where(is_there, (permitted & ~now).sum(axis=1), opt_outs)
    return VolumeLog(sessions, assigned, returns, opt_outs)


def best_volumes(
    log: VolumeLog,
    *,
    opt_out_cost: float,
    edges: tuple[float, ...] = EDGES,
    hours: tuple[int, ...] = EVENING,
) -> Allocation:
    """Return the volume with the highest mean utility for each cohort, the lowest of equals; 0 where nobody is known.

    Args:
        opt_out_cost: of a permission withdrawn, after the time observed, in units of the returns.
    """
    require_finite("best_volumes: returns", log.returns)
    volumes = tuple(int(volume) for volume in np.unique(log.volumes))
    cohorts = np.searchsorted(np.asarray(edges) - 1e-4, log.sessions_30d, side="right")
    utility = log.returns - opt_out_cost * log.opt_outs
    means = np.full((len(edges) + 1, len(volumes)), np.nan)
    errors = means.copy()
    for cohort in range(len(edges) + 1):
        for k, volume in enumerate(volumes):
            own = utility[(cohorts == cohort) & (log.volumes == volume)]
            if len(own):
                means[cohort, k] = own.mean()
            if len(own) > 1:
                errors[cohort, k] = own.std(ddof=1) / np.sqrt(len(own))
    known = np.where(np.isnan(means), -np.inf, means)
    chosen = tuple(volumes[int(row.argmax())] if np.isfinite(row).any() else 0 for row in known)
    return Allocation(Volume(edges=edges, volumes=chosen, hours=hours), volumes, means, errors)


def _weekly(volume: int, hours: tuple[int, ...]) -> Frequency:
    """Return limits that spread so many messages over a week; the hours of a day leave a gap some slack."""
    gap = HOURS_A_WEEK / volume - 24 / 2 if volume < 7 else 20.0
    return Frequency(hours=hours, gap_hours=gap, pushes_per_week=volume)


def _capped(volume: int, hours: tuple[int, ...]) -> FrequencyCap:
    often = _weekly(volume, hours)
    return FrequencyCap(hours=often.hours, gap_hours=often.gap_hours, pushes_per_week=often.pushes_per_week)
