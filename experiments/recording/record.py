"""Every decision logged: a policy acts in the vector environment, and a ledger takes down what it did and what came.

    env = NotifyVectorEnv(1024, "news", autoresets=False, journal_rows=journal_rows(1024))
    policy = uniform_policy(env.n_slots)
    with LedgerWriter(folder, ledger_header(env, run="a first log")) as writer:
        record(env, policy, writer, seed=1)

A row is written when its reward is known, which is after the step. The action is drawn by the inverse of the
distribution function from the user's own number for that hour (`luck.DECISION`), so that the same run writes the same
rows with any number of threads, and two policies that are logged on the same users draw with common luck.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from agents.choosing import draw_actions
from experiments.config import config_hash
from experiments.recording.journal_outcomes import outcomes_of
from experiments.recording.logging_policies import LoggingPolicy, Probabilities
from policies.constraints import CAP, Suppression, say
from policies.ledger import (
    OUTCOME_KINDS,
    Decisions,
    Endings,
    Header,
    LedgerWriter,
    Outcomes,
    decision_ids,
    fold_ineligible,
)
from policies.ledger.batches import SUM_TOLERANCE
from simulator import luck
from simulator.environments.vector import NotifyVectorEnv
from simulator.records import Records

EVENTS_A_USER = 64  # of one step; in a day of daily plans users have 2.7 each, the busiest of 2,000 has 29
EVENTS_AT_LEAST = 4096
NONE = -1  # no campaign, no channel
MODES = ("notify", "daily")

Rows = npt.NDArray[np.int64]
Ids = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Recorded:
    """What a recording came to.

    Attributes:
        n_decisions, n_episodes: written; each episode with its ending.
        n_sends: decisions whose message was dispatched.
        n_refused: decisions that asked for a message and were refused it.
        value_nano_eur: of all rewards.
        n_outcomes: by the kinds of `OUTCOME_KINDS`, shape (13,).
    """

    n_decisions: int
    n_episodes: int
    n_sends: int
    n_refused: int
    value_nano_eur: int
    n_outcomes: tuple[int, ...]

    def outcomes_by_kind(self) -> dict[str, int]:
        """Return the numbers of outcomes by their names."""
        return dict(zip(OUTCOME_KINDS, self.n_outcomes, strict=True))

    def __add__(self, other: Recorded) -> Recorded:
        """Return what two recordings came to."""
        return Recorded(
            self.n_decisions + other.n_decisions,
            self.n_episodes + other.n_episodes,
            self.n_sends + other.n_sends,
            self.n_refused + other.n_refused,
            self.value_nano_eur + other.value_nano_eur,
            tuple(a + b for a, b in zip(self.n_outcomes, other.n_outcomes, strict=True)),
        )


@dataclass(frozen=True)
class Shard:
    """A run's seats among those of all runs that share a ledger.

    Users, each with one episode, are numbered by who sits where: first_seat + seat + n_seats * (how many before).

    Attributes:
        first_seat: the place of this run's first seat.
        n_seats: of all runs.
    """

    first_seat: int
    n_seats: int


NOTHING = Recorded(0, 0, 0, 0, 0, (0,) * len(OUTCOME_KINDS))


def record(
    env: NotifyVectorEnv,
    policy: LoggingPolicy,
    writer: LedgerWriter,
    *,
    seed: int,
    n_decisions: int | None = None,
    shard: Shard | None = None,
    run_key: int | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    on_step: Callable[[int], None] = lambda n_steps: None,
) -> Recorded:
    """Let a policy decide and log every decision, until enough are logged or all episodes are over.

    Whenever it stops, open episodes are closed in the log: their last decision is truncated, and what was seen after
    it is their ending. So every episode in the ledger is whole.

    Args:
        env: with a journal; it is reset. Each seat has one episode where `autoresets` is False, else one after another.
        policy: is asked for all open seats at once, and kept beside the decisions.
        writer: with the header of `ledger_header(env)`; stays open.
        seed: of the environment: sub-environment i takes seed + i.
        n_decisions: stop after the step in which so many are reached; None: when all episodes are over.
        shard: which users these are, where several runs share a ledger; None: all there are.
        run_key: names the run in decision ids; None: hashed from what the run is.
        should_stop: asked after each step.
        on_step: called after each step with the number of steps so far.

    Raises:
        ValueError: the environment, the policy and the writer do not fit together; or the policy gives no
            probabilities, or some to ineligible actions where the environment takes that for an error.
        RuntimeError: the journal is too small.
        LedgerError: a part could not be written.
    """
    _check(env, policy, writer, n_decisions)
    writer.write_policy(policy.policy_hash.replace(":", "-"), policy.text)
    key = _run_key(env, policy, seed) if run_key is None else run_key
    log = _Log(env, policy, writer.header, key, Shard(0, env.num_envs) if shard is None else shard)
    total, n_steps = NOTHING, 0
    observations, infos = env.reset(seed=seed)
    while not env.is_over.all():
        asked = log.ask(observations, infos)
        actions = np.zeros(env.num_envs, np.int64)
        actions[asked.rows] = asked.action
        observations, rewards, terminated, truncated, infos = env.step(actions)
        n_so_far = total.n_decisions + len(asked.rows)
        is_last = should_stop() or (n_decisions is not None and n_so_far >= n_decisions)
        if is_last:
            truncated = ~terminated
        decisions = log.decisions(asked, rewards, terminated, truncated, infos)
        outcomes = log.outcomes(*env.events())
        endings = log.endings(asked, observations, terminated, truncated, infos)
        writer.write(decisions)
        writer.write_outcomes(outcomes)
        writer.write_endings(endings)
        log.go_on(asked, terminated | truncated, infos["elapsed_hours"])
        is_sent = decisions.sent_campaign != NONE
        total += Recorded(
            len(decisions),
            len(endings),
            int(is_sent.sum()),
            int(((asked.action > 0) & ~is_sent).sum()),
            int(decisions.reward_nano_eur.sum()),
            tuple(np.bincount(outcomes.kind, minlength=len(OUTCOME_KINDS)).tolist()),
        )
        n_steps += 1
        on_step(n_steps)
        if is_last:
            break
    return total


def journal_rows(num_envs: int) -> int:
    """Return room enough for what happens to so many users between two decisions."""
    return EVENTS_AT_LEAST + EVENTS_A_USER * num_envs


def ledger_header(env: NotifyVectorEnv, run: str = "") -> Header:
    """Return what the numbers of an environment's ledger mean.

    Args:
        run: which run it is, in words.

    Raises:
        ValueError: an action of this mode does not name its channel.
    """
    _check_mode(env)
    known = {int(code) for code in Suppression if code < CAP}
    codes = range(CAP + len(env.cap_names)) if env.cap_names else range(max(known) + 1)
    return Header(
        n_slots=env.n_slots,
        reasons=tuple(say(k, env.cap_names) if k in known or k >= CAP else f"code {k}" for k in codes),
        actions=tuple(_ledger_name(name) for name in env.action_names),
        campaigns=tuple(campaign.name for campaign in env.scenario.campaigns),
        hour_zero=f"{env.scenario.calendar.start.isoformat()}T00:00:00Z, simulated",
        run=run,
    )


def _ledger_name(action: str) -> str:
    """Return an action's name as ledgers have it: what a daily plan calls `18:00.slot0.push` is `slot0.push.18h`."""
    first, dot, rest = action.partition(".")
    return f"{rest}.{first.removesuffix(':00')}h" if dot and first.endswith(":00") else action


class _Asked(NamedTuple):
    """What a policy was asked, and what it wants; leading axis: the open seats."""

    rows: Rows  # (N,) seats
    hours: npt.NDArray[np.float64]  # (N,)
    luck_keys: Ids  # (N,)
    features: npt.NDArray[np.float32]  # (N, K)
    eligible: npt.NDArray[np.bool_]  # (N, A)
    reasons: npt.NDArray[np.uint8]  # (N, A)
    candidates: npt.NDArray[np.int16]  # (N, C)
    probabilities: Probabilities  # (N, A), of the policy: it may ask for what is not eligible
    action: Rows  # (N,) as the policy asked


class _Log:
    """Turns steps of an environment into rows of a ledger, and remembers what rows need of earlier steps."""

    def __init__(self, env: NotifyVectorEnv, policy: LoggingPolicy, header: Header, run_key: int, shard: Shard) -> None:
        self.env, self.policy, self.run_key, self.shard = env, policy, run_key, shard
        self.slots, self.channels = np.array(header.slots_and_channels()).T
        self.step = np.zeros(env.num_envs, np.int64)  # of the present episode
        self.elapsed_hours = np.zeros(env.num_envs)
        self.user_number = np.zeros(env.num_envs, np.int64)
        self.epoch_hours = int(env.settings[0]["epoch_hours"])
        n_epochs = int(env.settings[0]["end_hour"]) // self.epoch_hours
        # Which step decided at an epoch, to find the decision behind a message that comes to something much later.
        self.step_at = np.zeros((env.num_envs, n_epochs), np.min_scalar_type(n_epochs))

    def ask(self, observations: npt.NDArray[np.float32], infos: dict[str, Any]) -> _Asked:
        """Ask the policy about all open seats and draw its actions; nothing returned is the environment's own array."""
        env = self.env
        rows = np.flatnonzero(~env.is_over)
        hours = infos["hour"][rows]
        luck_keys = env.seats.users["key"][rows]
        features, masks = observations[rows], infos["action_mask"][rows]
        eligible = masks != 0
        probabilities = np.asarray(self.policy.probabilities(features, masks), np.float64)
        self._check_probabilities(probabilities, eligible, rows)
        uniforms = np.empty(len(rows))
        luck.decision_uniforms(luck_keys, hours.astype(np.int64), uniforms)
        self.user_number = self.shard.first_seat + np.arange(env.num_envs) + self.shard.n_seats * env.seats.episodes
        self.step_at[rows, hours.astype(np.int64) // self.epoch_hours] = self.step[rows]
        return _Asked(
            rows,
            hours,
            luck_keys,
            features,
            eligible,
            infos["reasons"][rows],
            infos["candidates"][rows],
            probabilities,
            draw_actions(probabilities, uniforms),
        )

    def decisions(
        self,
        asked: _Asked,
        rewards: npt.NDArray[np.float64],
        terminated: npt.NDArray[np.bool_],
        truncated: npt.NDArray[np.bool_],
        infos: dict[str, Any],
    ) -> Decisions:
        """Return the rows of the decisions that were asked for, now that it is known what became of them."""
        rows = asked.rows
        at = np.arange(len(rows))
        folded, action, _ = fold_ineligible(asked.probabilities, asked.eligible, asked.action)
        probabilities = np.minimum(folded, 1.0)  # a sum may come out an ulp above
        slot = self.slots[asked.action]
        campaign = np.where(slot == NONE, NONE, asked.candidates[at, slot]).astype(np.int16)
        channel = np.where(campaign == NONE, NONE, self.channels[asked.action]).astype(np.int8)
        is_sent = infos["refusals"][rows] == Suppression.ELIGIBLE
        number = self.user_number[rows].astype(np.uint64)
        return Decisions(
            decision_id=decision_ids(self.run_key, number, self.step[rows]),
            user_id=number,
            episode_id=number,  # each user has one episode
            step=self.step[rows].astype(np.uint32),
            time_hours=asked.hours,
            elapsed_hours=self.elapsed_hours[rows],
            policy=np.zeros(len(rows), np.uint32),
            luck_key=asked.luck_keys,
            candidates=asked.candidates,
            eligible=asked.eligible,
            reasons=asked.reasons,
            probabilities=probabilities,
            action=action,
            propensity=probabilities[at, action],
            assigned_campaign=campaign,
            assigned_channel=channel,
            sent_campaign=np.where(is_sent, campaign, np.int16(NONE)),
            sent_channel=np.where(is_sent, channel, np.int8(NONE)),
            features=asked.features,
            reward=rewards[rows],
            reward_nano_eur=infos["reward_parts"][rows].sum(axis=1),
            terminated=terminated[rows],
            truncated=truncated[rows],
            policy_hashes=(self.policy.policy_hash,),
        )

    def outcomes(self, events: Records, seats: Rows) -> Outcomes:
        """Return the outcomes of the last step's events."""
        users = self.user_number[seats]
        sender_steps = self.step_at[seats, np.maximum(events["hour"], 0) // self.epoch_hours]
        last_ids = decision_ids(self.run_key, users, self.step[seats])
        return outcomes_of(events, last_ids, decision_ids(self.run_key, users, sender_steps))

    def endings(
        self,
        asked: _Asked,
        observations: npt.NDArray[np.float32],
        terminated: npt.NDArray[np.bool_],
        truncated: npt.NDArray[np.bool_],
        infos: dict[str, Any],
    ) -> Endings:
        """Return what was seen where episodes ended."""
        is_ended = (terminated | truncated)[asked.rows]
        seats = asked.rows[is_ended]
        features = observations[seats]
        if "final_obs" in infos:  # where another user sits by now, the observation is not the one who left's
            is_new = infos["_final_obs"][seats]
            features[is_new] = infos["final_obs"][seats[is_new]]
        elapsed_hours = infos["elapsed_hours"][seats]
        return Endings(
            episode_id=self.user_number[seats].astype(np.uint64),
            time_hours=asked.hours[is_ended] + elapsed_hours,
            elapsed_hours=elapsed_hours,
            features=features,
        )

    def go_on(self, asked: _Asked, is_ended: npt.NDArray[np.bool_], elapsed_hours: npt.NDArray[np.float64]) -> None:
        """Count the step; where an episode ended, begin to count anew."""
        self.step[asked.rows] += 1
        self.step[is_ended] = 0
        self.elapsed_hours = np.where(is_ended, 0.0, elapsed_hours)

    def _check_probabilities(self, probabilities: Probabilities, eligible: npt.NDArray[np.bool_], rows: Rows) -> None:
        where = f"policy {self.policy.name!r}: probabilities"
        if probabilities.shape != eligible.shape:
            raise ValueError(f"{where}: expected shape {eligible.shape}, got {probabilities.shape}")
        names = self.env.action_names
        is_sound = (probabilities >= 0.0) & (probabilities <= 1.0)
        if not is_sound.all():
            at, action = np.argwhere(~is_sound)[0]
            raise ValueError(
                f"{where}: sub-environment {rows[at]}, action {action} ({names[action]}): expected a number in "
                f"[0, 1], got {probabilities[at, action]}"
            )
        total = probabilities.sum(axis=1)
        if (abs(total - 1.0) > SUM_TOLERANCE).any():
            at = int(abs(total - 1.0).argmax())
            raise ValueError(f"{where}: sub-environment {rows[at]}: expected a sum of 1, got {total[at]}")
        if self.env.on_ineligible == "error" and (probabilities[~eligible] > 0.0).any():
            at, action = np.argwhere(~eligible & (probabilities > 0.0))[0]
            raise ValueError(
                f"{where}: sub-environment {rows[at]}, action {action} ({names[action]}): expected 0, as it is not "
                f"eligible, got {probabilities[at, action]}; an environment with on_ineligible='no_send' logs it as a "
                "no_send instead"
            )


def _check(env: NotifyVectorEnv, policy: LoggingPolicy, writer: LedgerWriter, n_decisions: int | None) -> None:
    """Refuse what does not fit together, before anything is written."""
    _check_mode(env)
    if env.journal_rows == 0:
        raise ValueError(
            f"env: expected one with a journal, as outcomes come from it, got journal_rows=0; "
            f"journal_rows={journal_rows(env.num_envs)} is room enough for {env.num_envs} users"
        )
    n_actions = len(env.action_names)
    if policy.n_actions != n_actions:
        raise ValueError(
            f"policy {policy.name!r}: expected {n_actions} actions, those of an environment with mode={env.mode!r} "
            f"and n_slots={env.n_slots}, got {policy.n_actions}"
        )
    expected = ledger_header(env, writer.header.run)
    differing = [name for name in vars(expected) if getattr(expected, name) != getattr(writer.header, name)]
    if differing:
        raise ValueError(f"writer: expected the header of ledger_header(env), got another {', '.join(differing)}")
    if n_decisions is None and env.settings[0]["autoresets"]:
        raise ValueError(
            "n_decisions: expected a number, as an environment that resets itself never ends, got None; with "
            "autoresets=False each seat has one episode"
        )
    if n_decisions is not None and n_decisions < 1:
        raise ValueError(f"n_decisions: expected at least 1, got {n_decisions}")


def _check_mode(env: NotifyVectorEnv) -> None:
    if env.mode not in MODES:
        raise ValueError(
            f"env: expected mode {' or '.join(map(repr, MODES))}, got {env.mode!r}: its actions name no channel, and a "
            "ledger's do"
        )


def _run_key(env: NotifyVectorEnv, policy: LoggingPolicy, seed: int) -> int:
    """Return 64 bits hashed from all that makes a run what it is."""
    facts = (config_hash(env.scenario), env.settings.tobytes(), env.on_ineligible, env.num_envs, seed)
    return int.from_bytes(hashlib.sha256(repr((*facts, policy.policy_hash)).encode()).digest()[:8], "little")
