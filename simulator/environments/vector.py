"""Users side by side as a Gymnasium vector environment: the form that agents learn on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from policies.constraints import say
from policies.features import encoded_click_rate, encoded_margin
from policies.history import N_COUNTERS
from policies.vocabulary import action_names, feature_names, features, n_features
from simulator.behaviour.response import logistic
from simulator.compiled import on_threads, threads
from simulator.config import Scenario, did_you_mean
from simulator.environments.deciding import decide_all, first_ineligible, seat_all
from simulator.environments.journal import step_events
from simulator.environments.seats import (
    DAILY,
    N_PARTS,
    NOTIFY,
    OFFERS,
    QUEUE,
    SETTINGS,
    Outcome,
    Seats,
    Stock,
    View,
    blank_stock_rows,
)
from simulator.environments.snapshot import fleet_state, restore_fleet
from simulator.environments.specification import PlainSpec
from simulator.law import build_world
from simulator.population import people_record, trait_tables
from simulator.population_run import USERS_WORTH_A_THREAD, PopulationRun, blank_books
from simulator.presets import scenario_of
from simulator.records import EMAIL, HISTORY, MONEY, N_CATEGORIES, PUSH, TALLY, USER, Metric, Records, World
from simulator.senders import Sender

MODES = {"notify": NOTIFY, "daily": DAILY, "queue": QUEUE}
EPOCHS = (1, 2, 3, 4, 6, 8, 12, 24)
EPOCH_HOURS = {"notify": 1, "daily": 24, "queue": 4}
MOST_SLOTS = 64
REWARD_PARTS = tuple(metric.name.lower() for metric in MONEY)
SIGNALS = ("expected_margin", "opens", "clicks")  # columns of `Outcome.signals`
Infos = dict[str, Any]


class NotifyVectorEnv(VectorEnv[Any, Any, Any]):
    """Users side by side, each in an episode of its own: the vector form of `kairos/Notify-v0` and its kin.

    Spaces and rewards are those of the single environments (`NotifyEnv`, `NotifyDailyEnv`, `NotifyCandidatesEnv`).
    Sub-environment i with seed s is the single environment with seed s + i, to the last bit.

    Autoreset is SAME_STEP: where an episode ends, the observation returned is the next user's first, and the last one
    of the episode stands in `infos["final_obs"]`, shape (U, K), in the rows that `infos["_final_obs"]` marks.

    **What is seen (observations, masks, reasons, final observations) is written to two sets of arrays in turn:** what a
    step returns is overwritten by the step after the next. Whoever keeps it longer makes a copy.

    `infos`, each with the leading axis of the sub-environments:

    | key | shape, type | meaning |
    |---|---|---|
    | `action_mask` | (U, A) int8 | 1: the action may be taken at the observation returned |
    | `reasons` | (U, A) uint8 | why not: `policies.constraints.Suppression` |
    | `candidates` | (U, C) int16 | the campaign in each slot, -1: none |
    | `elapsed_hours` | (U,) float64 | that the step took |
    | `reward_parts` | (U, 5) int64 | nano-euro: session_value, margin, discount, send_cost, complaint_cost |
    | `expected_margin` | (U,) int64 | nano-euro: over the sessions, chance of an order times its margin less discount |
    | `opens`, `clicks` | (U,) int64 | messages opened, and clicked |
    | `refusals` | (U,) uint8 | why the action was not carried out, 0: it was |
    | `user_id`, `hour` | (U,) uint32, float64 | who sits there, and its hour |

    Args:
        num_envs: users side by side, U.
        mode: what an action means: `notify`, `daily` or `queue`; see the single environments.
        scenario: a preset's name, a Scenario, or its data as JSON has it.
        n_slots: candidates that are shown, C.
        horizon_days: instead of the scenario's.
        epoch_hours: hours between decisions; None: 1, for daily plans 24, for a queue 4.
        on_ineligible: `error`: an action that is masked raises; `no_send`: it is carried out as no_send, and
            `infos["refusals"]` says why.
        trigger: `clock`: a decision every epoch; `event`: when something happens to the user that a sender sees, when
            a triggered campaign opens, when quiet hours end, and at the latest after `most_wait_hours`.
        most_wait_hours: for trigger `event`.
        discount_per_hour: rewards within a step are discounted by it to the step's beginning. For trigger `event`;
            1: they are summed.
        spread_hours: a user's first decision comes after up to so many silent hours, so that users who sit side by
            side do not all live the same hour of the week.
        autoresets: False: autoreset mode DISABLED. Where an episode is over, nothing happens any more and the ends stay
            told, until `reset`, perhaps with `reset_mask`.
        journal_rows: room for the events of one step, a worker; `events` returns them. 0: none are kept.
    """

    metadata: dict[str, Any] = {"autoreset_mode": AutoresetMode.SAME_STEP, "render_modes": []}  # noqa: RUF012
    spec = PlainSpec()
    state, restore = fleet_state, restore_fleet

    def __init__(
        self,
        num_envs: int,
        scenario: str | Scenario | Mapping[str, Any] = "ecommerce",
        *,
        mode: str = "notify",
        n_slots: int = 4,
        horizon_days: int | None = None,
        epoch_hours: int | None = None,
        on_ineligible: str = "error",
        trigger: str = "clock",
        most_wait_hours: int = 24,
        discount_per_hour: float = 1.0,
        spread_hours: int = 0,
        autoresets: bool = True,
        journal_rows: int = 0,
        render_mode: str | None = None,
    ) -> None:
        hours = EPOCH_HOURS.get(mode, 1) if epoch_hours is None else epoch_hours
        chosen = scenario_of(scenario)
        if horizon_days is not None:
            calendar = chosen.calendar.model_dump(mode="json") | {"horizon_days": horizon_days}
            chosen = scenario_of(chosen.model_dump(mode="json") | {"calendar": calendar})
        horizon = chosen.calendar.horizon_days * 24
        check_choice("mode", mode, MODES)
        check_choice("on_ineligible", on_ineligible, ("error", "no_send"))
        check_choice("trigger", trigger, ("clock", "event"))
        check_range("num_envs", num_envs, 1, 2**31 - 1)
        check_range("n_slots", n_slots, 1, MOST_SLOTS)
        if hours not in ((24,) if mode == "daily" else EPOCHS):  # a plan is for 24 hours; others divide a day
            known = "24" if mode == "daily" else ", ".join(map(str, EPOCHS))
            raise ValueError(f"epoch_hours: expected {known} for mode {mode!r}, got {hours!r}")
        check_range("most_wait_hours", most_wait_hours, hours, 24 * 31)
        check_range("spread_hours", spread_hours, 0, max(horizon - hours, 0))
        check_range("journal_rows", journal_rows, 0, 2**31 - 1)
        if not 0.0 < discount_per_hour <= 1.0:
            raise ValueError(f"discount_per_hour: expected above 0 and at most 1, got {discount_per_hour}")
        if render_mode is not None:
            raise ValueError(f"render_mode: there is nothing to render; expected None, got {render_mode!r}")
        self.render_mode = None
        self.scenario = chosen
        self.num_envs = num_envs
        self.n_slots = n_slots
        self.mode = mode
        self.on_ineligible = on_ineligible
        self.cap_names = chosen.constraints.limits().cap_names
        self.observation_names = feature_names(n_slots)
        self.single_observation_space = observation_space(n_slots)
        self.action_names = names_of_actions(mode, n_slots)
        self.single_action_space = gymnasium.spaces.Discrete(len(self.action_names))
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)

        self.world = build_world(chosen)
        self.n_workers = threads() if num_envs >= USERS_WORTH_A_THREAD // 4 else 1
        self.bounds = np.linspace(0, num_envs, self.n_workers + 1).astype(np.int64)
        self.journal_rows = journal_rows
        self.books = blank_books(chosen, self.n_workers, journal_rows)
        self.journal_ends: npt.NDArray[np.int64] | None = None  # where each seat's events of the last step end
        self.seats = blank_seats(num_envs, len(chosen.campaigns), n_slots)
        self.stock = blank_stock(chosen, self.world, self.n_workers, n_slots)
        self.views = [blank_view(num_envs, n_slots, len(self.action_names)) for _ in range(2)]
        self.turn = 0
        self.ended = [np.empty(0, np.int64), np.empty(0, np.int64)]  # where episodes ended, by the view that told of it
        # Who sat where an episode ended in the last step, and the candidates shown last.
        self.final_users = np.zeros(num_envs, USER)
        self.final_candidates: npt.NDArray[Any] = np.full((num_envs, n_slots), -1, np.int16)
        self.settings = np.zeros(1, SETTINGS)
        settings = self.settings[0]
        settings["mode"] = MODES[mode]
        settings["n_slots"] = n_slots
        settings["n_tiers"] = len(chosen.population.tiers)
        settings["n_remembered"] = np.count_nonzero(self.world.campaigns["counter"] < N_COUNTERS)
        settings["epoch_hours"] = hours
        settings["end_hour"] = horizon
        settings["spread_hours"] = spread_hours
        settings["most_wait_hours"] = most_wait_hours
        settings["keep_per_epoch"] = discount_per_hour**hours
        settings["by_event"] = trigger == "event"
        settings["autoresets"] = autoresets
        if not autoresets:
            self.metadata = {"autoreset_mode": AutoresetMode.DISABLED, "render_modes": []}
        self.is_ready = False
        self.is_over = np.zeros(num_envs, np.bool_)  # episodes that ended and were not reset

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[npt.NDArray[np.float32], Infos]:
        """Let new users sit down.

        Args:
            seed: of luck: sub-environment i takes seed + i; or one for each. None: go on to the next users, with a
                random seed the first time.
            options: `reset_mask`, (U,) bool: only there.

        Returns:
            Observations of shape (U, K), and infos.
        """
        chosen = np.ones(self.num_envs, np.int64)
        options = options or {}
        unknown = sorted(set(options) - {"reset_mask"})
        if unknown:
            raise ValueError(f"options: expected 'reset_mask' or nothing, got {', '.join(map(repr, unknown))}")
        if "reset_mask" in options:
            mask = np.asarray(options["reset_mask"])
            if mask.dtype != np.bool_ or mask.shape != (self.num_envs,):
                expected = f"expected bool of shape ({self.num_envs},)"
                raise ValueError(f"options['reset_mask']: {expected}, got {mask.dtype} of {mask.shape}")
            chosen[:] = mask
            if not self.is_ready and not mask.all():
                raise ValueError("options['reset_mask']: the first reset must be of all sub-environments")
        seeds = self._seeds(seed)
        for i in np.flatnonzero(chosen).tolist():
            given = seeds[i]
            if given is not None:
                self.seats.seeds[i], self.seats.episodes[i] = given, 0
            else:
                self.seats.episodes[i] += 1
        self.turn = 1 - self.turn
        with on_threads(self.n_workers):
            seat_all(self.seats, self.stock, self.world, self.books, self.settings, self._view, chosen, self.bounds)
        self.is_ready = True
        self.journal_ends = None
        self.is_over[chosen != 0] = False
        return self._view.observations, self._infos(np.zeros(self.num_envs))

    def step(
        self, actions: npt.ArrayLike
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64], npt.NDArray[np.bool_], npt.NDArray[np.bool_], Infos]:
        """Carry out one action at each seat, and live on to each user's next decision.

        Args:
            actions: integers of shape (U,), 0 to A - 1.

        Returns:
            Observations (U, K), rewards (U,) in EUR, terminations: the user left, truncations: the horizon; infos.

        Raises:
            ValueError: wrong type, shape or range; or an action that is not eligible, if so configured.
        """
        if not self.is_ready:
            raise gymnasium.error.ResetNeeded("step: call reset first")
        chosen = checked_actions(actions, self.num_envs, len(self.action_names))
        view = self._view
        if self.on_ineligible == "error":
            check_eligible(view, chosen, self.action_names, self.cap_names)
        outcome = blank_outcome(self.final_users, self.final_candidates)
        self.turn = 1 - self.turn
        self._view.final_observations[self.ended[self.turn]] = 0.0  # of the step before the last
        self.books.journal_used[:] = 0
        with on_threads(self.n_workers):
            decide_all(
                chosen,
                self.seats,
                self.stock,
                self.world,
                self.books,
                self.settings,
                view,
                self._view,
                outcome,
                self.bounds,
            )
        self.journal_ends = np.asarray(outcome.journal_ends, np.int64)
        terminated: npt.NDArray[np.bool_] = np.asarray(outcome.terminated, np.bool_)
        truncated: npt.NDArray[np.bool_] = np.asarray(outcome.truncated, np.bool_)
        infos = self._infos(outcome.elapsed_hours)
        infos["reward_parts"] = outcome.parts
        infos |= {name: outcome.signals[:, k] for k, name in enumerate(SIGNALS)}
        infos["refusals"] = outcome.refusals
        ended = terminated | truncated
        if not self.settings[0]["autoresets"]:
            self.is_over |= ended
        elif ended.any():
            infos["final_obs"] = self._view.final_observations
            self.ended[self.turn] = np.flatnonzero(ended)
            infos["_final_obs"] = ended
        return self._view.observations, outcome.rewards, terminated, truncated, infos

    def events(self) -> tuple[Records, npt.NDArray[np.int64]]:
        """Return what happened in the last step to the users who were decided for, in the order of the seats.

        What a new user does between sitting down and its first decision is left out.

        Returns:
            EVENT of shape (n,), and whose they are: sub-environments of shape (n,).

        Raises:
            ValueError: no events are kept, or there was no step yet.
            RuntimeError: a worker's journal is full, so that events may be lost.
        """
        if self.journal_rows == 0:
            raise ValueError("events: journal_rows is 0: no events are kept; expected room for those of a step")
        if self.journal_ends is None:
            raise ValueError("events: expected a step before, got none")
        return step_events(self.books, self.bounds, self.journal_ends)

    def action_masks(self) -> npt.NDArray[Any]:
        """Return the mask of the last observation, shape (U, A)."""
        return self._view.masks

    @property
    def _view(self) -> View:
        return self.views[self.turn]

    def _infos(self, elapsed_hours: npt.NDArray[np.float64]) -> Infos:
        view = self._view
        return {
            "action_mask": view.masks,
            "reasons": view.reasons,
            "candidates": view.slots,
            "elapsed_hours": elapsed_hours,
            "user_id": view.user_ids,
            "hour": view.hours,
        }

    def _seeds(self, seed: int | Sequence[int | None] | None) -> Sequence[int | None]:
        if seed is None:
            if self.is_ready:
                return [None] * self.num_envs
            _, entropy = gymnasium.utils.seeding.np_random()
            seed = entropy % 2**62
        seeds = [seed + i for i in range(self.num_envs)] if isinstance(seed, int | np.integer) else list(seed)
        if len(seeds) != self.num_envs:
            raise ValueError(f"seed: expected one integer or {self.num_envs}, got {len(seeds)}")
        for given in seeds:
            if given is not None and not 0 <= given < 2**63:
                raise ValueError(f"seed: expected 0 to 2**63 - 1, got {given}")
        return seeds


def daily_vector(num_envs: int, **arguments: Any) -> NotifyVectorEnv:
    """Return the vector form of `kairos/NotifyDaily-v0`."""
    return NotifyVectorEnv(num_envs, mode="daily", **arguments)


def candidates_vector(num_envs: int, **arguments: Any) -> NotifyVectorEnv:
    """Return the vector form of `kairos/NotifyCandidates-v0`."""
    return NotifyVectorEnv(num_envs, mode="queue", **arguments)


def observation_space(n_slots: int) -> gymnasium.spaces.Box:
    """Return the space of the feature vocabulary with C slots, Box of shape (29 + 7 C,), float32."""
    known = features(n_slots)
    low = np.asarray([feature.low for feature in known], np.float32)
    high = np.asarray([feature.high for feature in known], np.float32)
    # Empty slots are all zeros, which must lie within.
    return gymnasium.spaces.Box(np.minimum(low, 0.0), np.maximum(high, 0.0), dtype=np.float32)


def names_of_actions(mode: str, n_slots: int) -> tuple[str, ...]:
    """Return what each action of a mode is called, shape (A,)."""
    if mode == "queue":
        return ("no_send", *(f"slot{slot}" for slot in range(n_slots)))
    if mode == "daily":
        return ("no_send", *(f"{hour:02d}:00.{name}" for hour in range(24) for name in action_names(n_slots)[1:]))
    return action_names(n_slots)


def blank_seats(n_seats: int, n_campaigns: int, n_slots: int, run: PopulationRun | None = None) -> Seats:
    """Return seats at which nobody has sat down, or the users of a run."""
    return Seats(
        users=np.zeros(n_seats, USER) if run is None else run.users,
        history=np.zeros(n_seats, HISTORY) if run is None else run.history,
        tally=np.zeros(n_seats, TALLY) if run is None else run.tally,
        seeds=np.zeros(n_seats, np.int64),
        episodes=np.zeros(n_seats, np.int64),
        interest=np.zeros((n_seats, N_CATEGORIES)),
        interest_drifts=np.full(n_seats, -1, np.int64),
        last_sent=np.full((n_seats, n_campaigns), -1, np.int32),
        offers=np.zeros(n_seats, OFFERS),
        slots=np.full((n_seats, n_slots), -1, np.int16),
    )


def blank_view(n_seats: int, n_slots: int, n_actions: int) -> View:
    """Return room for what the seats show."""
    return View(
        observations=np.zeros((n_seats, n_features(n_slots)), np.float32),
        masks=np.zeros((n_seats, n_actions), np.int8),
        reasons=np.zeros((n_seats, n_actions), np.uint8),
        slots=np.full((n_seats, n_slots), -1, np.int16),
        channels=np.zeros((n_seats, n_slots), np.int8),
        user_ids=np.zeros(n_seats, np.uint32),
        hours=np.zeros(n_seats),
        final_observations=np.zeros((n_seats, n_features(n_slots)), np.float32),
    )


def blank_outcome(final_users: Records, final_slots: npt.NDArray[Any]) -> Outcome:
    """Return room for what a decision leads to; fresh each step, so that nobody's rewards are overwritten.

    Args:
        final_users, final_slots: room that is kept from step to step; only rows where an episode ended are written.
    """
    n_seats = len(final_users)
    return Outcome(
        rewards=np.empty(n_seats),
        parts=np.empty((n_seats, N_PARTS), np.int64),
        signals=np.empty((n_seats, len(SIGNALS)), np.int64),
        elapsed_hours=np.empty(n_seats),
        terminated=np.empty(n_seats, np.uint8),
        truncated=np.empty(n_seats, np.uint8),
        refusals=np.empty(n_seats, np.uint8),
        final_users=final_users,
        final_slots=final_slots,
        journal_ends=np.empty(n_seats, np.int64),
    )


def signals_of(tally: Records) -> Infos:
    """Return what tallies hold of the signals, each (U,) int64."""
    counts = tally["counts"].astype(np.int64)
    return {
        "expected_margin": tally["expected_nano"].copy(),
        "opens": counts[:, Metric.OPENS],
        "clicks": counts[:, Metric.CLICKS],
    }


def blank_stock(scenario: Scenario, world: World, n_workers: int, n_slots: int) -> Stock:
    """Return what seats take new users from."""
    user, tally = blank_stock_rows()
    return Stock(
        people=people_record(scenario),
        tables=trait_tables(scenario),
        blank_user=user,
        blank_tally=tally,
        encoded=encoded_facts(world),
        budget_left=np.where(world.campaigns["budget_nano"] < 0, 2**62, world.campaigns["budget_nano"]),
        scores=np.zeros((n_workers, n_slots)),
        silent=Sender().record(),
    )


def encoded_facts(world: World) -> npt.NDArray[np.float64]:
    """Return margin and click rate of each campaign, encoded as features, shape (campaigns, 2).

    The click rate is the long-run rate of pushes to a rested, typical user, or of e-mails where the campaign has no
    pushes: what an app that has run a campaign for long knows of its creative.
    """
    law = world.law[0]
    facts = np.empty((len(world.campaigns), 2))
    for row, campaign in zip(facts, world.campaigns, strict=True):
        own = campaign["quality"] + campaign["format_logit"] + campaign["personal_logit"]
        by_push = campaign["channels"] >> PUSH & 1
        rate = logistic(float(law["logit"][PUSH if by_push else EMAIL] + own))
        row[0] = encoded_margin(float(campaign["margin_eur"] - campaign["discount_eur"]))
        row[1] = encoded_click_rate(rate if by_push else rate * float(law["email_click_prob"]))
    return facts


def checked_actions(actions: npt.ArrayLike, n_seats: int, n_actions: int) -> npt.NDArray[np.int64]:
    """Return actions as the engine takes them, shape (U,).

    Raises:
        ValueError: wrong type, shape or range.
    """
    given = np.asarray(actions)
    if given.dtype.kind not in "iu":
        raise ValueError(f"actions: expected integers, got {given.dtype}")
    if given.shape != (n_seats,):
        raise ValueError(f"actions: expected shape ({n_seats},), got {given.shape}")
    if len(given) and (given.min() < 0 or given.max() >= n_actions):
        i = int(np.flatnonzero((given < 0) | (given >= n_actions))[0])
        raise ValueError(f"actions: expected 0 to {n_actions - 1}, got {given[i]} at sub-environment {i}")
    return given.astype(np.int64)


def check_eligible(
    view: View, actions: npt.NDArray[np.int64], names: tuple[str, ...], cap_names: tuple[str, ...]
) -> None:
    """Raise a ValueError unless all actions are open by the view's mask; it says why the first is not, and what is."""
    i = first_ineligible(actions, view.masks)
    if i < 0:
        return
    action = int(actions[i])
    why = say(int(view.reasons[i, action]), cap_names)
    open_to = [f"{a} ({names[a]})" for a in np.flatnonzero(view.masks[i])[:9]]
    raise ValueError(
        f"sub-environment {i}: action {action} ({names[action]}) is not eligible: {why}. "
        f"Eligible here: {', '.join(open_to)}. See infos['action_mask']; on_ineligible='no_send' logs it instead"
    )


def check_choice(name: str, given: str, known: Any) -> None:
    """Raise a ValueError unless a name is among those known."""
    if given not in known:
        hint = did_you_mean(str(given), known)
        raise ValueError(f"{name}: expected {' or '.join(map(repr, known))}, got {given!r}.{hint}")


def check_range(name: str, given: int, low: int, high: int) -> None:
    """Raise a ValueError unless a whole number lies within its bounds."""
    if isinstance(given, bool) or not hasattr(given, "__index__") or not low <= given <= high:
        raise ValueError(f"{name}: expected a whole number from {low} to {high}, got {given!r}")
