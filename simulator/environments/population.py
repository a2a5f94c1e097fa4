"""A whole population at once: users who share budgets and a gateway, decided for hour by hour."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from policies.constraints import Suppression
from policies.vocabulary import action_names, feature_names
from simulator.compiled import on_threads
from simulator.config import Scenario
from simulator.environments.deciding import look_all
from simulator.environments.seats import NANO, NOTIFY, SETTINGS, Seats, Stock, View
from simulator.environments.specification import PlainSpec
from simulator.environments.vector import (
    MOST_SLOTS,
    Infos,
    blank_seats,
    blank_stock,
    blank_view,
    check_choice,
    check_eligible,
    check_range,
    checked_actions,
    observation_space,
    signals_of,
)
from simulator.fleet import SILENT, Fleet, settle_wishes
from simulator.law import build_world
from simulator.presets import scenario_of
from simulator.records import Status
from simulator.settlement import NO_WISH, REFUSED_HOURS

NO_BUDGET = int(Suppression.NO_BUDGET)


class PopulationVectorEnv(VectorEnv[Any, Any, Any]):
    """`kairos/Population-v0`: all users of a scenario, side by side at one hour, sharing what there is only once.

    ## Description

    What `kairos/Notify-v0` leaves out because a user alone cannot show it: campaigns whose budget all users draw on, a
    total budget and a number of sends an hour (`budgets` of the scenario), and the gateway's queue. Wishes of an hour
    are settled one after another in an order that favours nobody (a hash of user and send); what cannot be paid is
    refused, counted, and told in `infos["refusals"]`.

    There is a vector form only. All users of a scenario:

        gymnasium.make_vec("kairos/Population-v0", num_envs=None, vectorization_mode="vector_entry_point",
                           scenario="games")

    Without `num_envs=None`, Gymnasium asks for one user.

    ## Action space, observation space, rewards

    Those of `NotifyEnv`, for each user. `budget_left` and `gateway_backlog_hours` tell of what is shared. Campaigns
    with a budget are offered while it lasts.

    ## Episode

    One episode is the scenario's horizon, for all users together; at its end all are truncated. A user who has left is
    terminated as soon as the sender can know (until then a send to it is paid and lost), stays so, may only be left
    alone, and earns nothing. Users who install later are there from the start, with nothing to be offered.

    Autoreset is DISABLED: after the horizon call `reset`. `reset(seed=s)` makes the population of seed s; without a
    seed, that of the next seed.

    ## Infos

    The keys of `NotifyVectorEnv`, and

    | key | shape, type | meaning |
    |---|---|---|
    | `queue_hours` | (U,) float64 | that the gateway made each message wait |
    | `budget_left` | float | share left, as observed |

    Observations, masks and reasons are written to two sets of arrays in turn, as in `NotifyVectorEnv`.

    Args:
        num_envs: users; None: the scenario's number.
        scenario, n_slots, horizon_days, on_ineligible: as in `NotifyVectorEnv`. The scenario's `epoch_hours` holds.

    ## Version history

    - v0: first.
    """

    metadata: dict[str, Any] = {"autoreset_mode": AutoresetMode.DISABLED, "render_modes": []}  # noqa: RUF012
    spec = PlainSpec()

    def __init__(
        self,
        num_envs: int | None = None,
        scenario: str | Scenario | Mapping[str, Any] = "ecommerce",
        *,
        n_slots: int = 4,
        horizon_days: int | None = None,
        on_ineligible: str = "error",
        render_mode: str | None = None,
    ) -> None:
        tree = scenario_of(scenario).model_dump(mode="json")
        if num_envs is not None:
            check_range("num_envs", num_envs, 1, 2**31 - 1)
            tree["population"]["n_users"] = num_envs
        if horizon_days is not None:
            tree["calendar"]["horizon_days"] = horizon_days
        check_range("n_slots", n_slots, 1, MOST_SLOTS)
        check_choice("on_ineligible", on_ineligible, ("error", "no_send"))
        if render_mode is not None:
            raise ValueError(f"render_mode: there is nothing to render; expected None, got {render_mode!r}")
        self.render_mode = None
        self.scenario = scenario_of(tree)
        self.num_envs = self.scenario.population.n_users
        self.n_slots = n_slots
        self.on_ineligible = on_ineligible
        self.epoch_hours = self.scenario.calendar.epoch_hours
        self.cap_names = self.scenario.constraints.limits().cap_names
        self.action_names = action_names(n_slots)
        self.observation_names = feature_names(n_slots)
        self.single_observation_space = observation_space(n_slots)
        self.single_action_space = gymnasium.spaces.Discrete(len(self.action_names))
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self.views = [blank_view(self.num_envs, n_slots, len(self.action_names)) for _ in range(2)]
        self.turn = 0
        self.settings = np.zeros(1, SETTINGS)
        settings = self.settings[0]
        settings["mode"], settings["shares"], settings["n_slots"] = NOTIFY, 1, n_slots
        settings["n_tiers"] = len(self.scenario.population.tiers)
        settings["epoch_hours"] = self.epoch_hours
        settings["end_hour"] = self.scenario.calendar.horizon_days * 24
        self.world = build_world(self.scenario)  # the same for every seed
        self.fleet: Fleet | None = None
        self.seats: Seats
        self.stock: Stock

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[npt.NDArray[np.float32], Infos]:
        """Make a population, and return its first observations, shape (U, K), and infos."""
        if options:
            raise ValueError(f"options: expected none, got {', '.join(map(repr, options))}")
        if seed is not None and not (hasattr(seed, "__index__") and 0 <= seed < 2**63):
            raise ValueError(f"seed: expected a whole number from 0 to 2**63 - 1, got {seed!r}")
        if seed is None:
            seed = self.scenario.seed if self.fleet is None else (self.fleet.scenario.seed + 1) % 2**63
        self.fleet = Fleet(self.scenario.model_copy(update={"seed": seed}), world=self.world)
        self.seats = blank_seats(self.num_envs, len(self.scenario.campaigns), self.n_slots, self.fleet)
        self.stock = blank_stock(self.fleet.scenario, self.fleet.world, len(self.fleet.books.by_day), self.n_slots)
        self.fleet.wishes(SILENT)
        self.turn = 1 - self.turn
        self._look()
        return self._view.observations, self._infos(0.0)

    def step(
        self, actions: npt.ArrayLike
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64], npt.NDArray[np.bool_], npt.NDArray[np.bool_], Infos]:
        """Settle and carry out one action for each user, and live through an epoch.

        Args:
            actions: integers of shape (U,), 0 to A - 1.

        Raises:
            ValueError: wrong type, shape or range; or an action that is not eligible, if so configured.
            gymnasium.error.ResetNeeded: before the first reset, and after the horizon.
        """
        fleet = self.fleet
        horizon = int(self.settings[0]["end_hour"])
        if fleet is None or fleet.hour >= horizon:
            raise gymnasium.error.ResetNeeded("step: call reset, first and after the horizon")
        view = self._view
        chosen = checked_actions(actions, self.num_envs, len(self.action_names))
        if self.on_ineligible == "error":
            check_eligible(view, chosen, self.action_names, self.cap_names)
        rows = np.arange(self.num_envs)
        refusals = np.asarray(view.reasons)[rows, chosen].astype(np.uint8)
        campaigns = np.asarray(view.slots)[rows, np.maximum(chosen - 1, 0) // 2]
        is_send = (chosen > 0) & (refusals == 0)
        wishes = np.where(is_send, campaigns * 4 + np.maximum(chosen - 1, 0) % 2, NO_WISH).astype(np.int32)
        verdicts = settle_wishes([fleet], [wishes], fleet.shared, fleet.hour)[0]
        is_refused = verdicts == REFUSED_HOURS
        refusals[is_refused] = NO_BUDGET
        before, signals_before = fleet.tally["money"].copy(), signals_of(fleet.tally)
        n_hours = min(self.epoch_hours, horizon - fleet.hour)
        fleet.step(wishes, verdicts, SILENT, n_hours)
        parts = fleet.tally["money"] - before
        self.turn = 1 - self.turn
        self._look()
        infos = self._infos(float(n_hours))
        infos["reward_parts"] = parts
        infos |= {name: now - signals_before[name] for name, now in signals_of(fleet.tally).items()}
        infos["refusals"] = refusals
        infos["queue_hours"] = np.where(is_refused, 0.0, verdicts)
        rewards = parts.sum(axis=1) / NANO
        terminated = fleet.users["status"] == Status.KNOWN_LEFT
        truncated = ~terminated & (fleet.hour >= horizon)
        return self._view.observations, rewards, terminated, truncated, infos

    def action_masks(self) -> npt.NDArray[Any]:
        """Return the mask of the last observation, shape (U, A)."""
        return self._view.masks

    @property
    def _view(self) -> View:
        return self.views[self.turn]

    def _look(self) -> None:
        fleet = self.fleet
        assert fleet is not None
        shared = fleet.shared
        self.stock.budget_left[:] = shared.left_nano()
        backlog = max(0.0, float(shared.gateway_free_hours[0]) - fleet.hour)
        with on_threads(len(fleet.books.by_day)):
            look_all(
                fleet.hour,
                self.seats,
                self.stock,
                fleet.world,
                self.settings,
                self._view,
                fleet.bounds(),
                shared.share_left(),
                backlog,
            )

    def _infos(self, elapsed_hours: float) -> Infos:
        fleet = self.fleet
        assert fleet is not None
        view = self._view
        return {
            "action_mask": view.masks,
            "reasons": view.reasons,
            "candidates": view.slots,
            "elapsed_hours": np.full(self.num_envs, elapsed_hours),
            "user_id": view.user_ids,
            "hour": np.full(self.num_envs, float(fleet.hour)),
            "budget_left": fleet.shared.share_left(),
        }
