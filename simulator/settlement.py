"""What users share: budgets and the gateway. Both are settled at the start of an epoch in keyed order.

The order of the wishes of one hour is that of a hash of (user, send), the same in both engines, in any shard and with
any number of threads; no user is favoured by where it stands in an array.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from simulator import luck
from simulator.compiled import compiled
from simulator.config import Scenario
from simulator.records import NANO, Floats, Ints, Keys, Records, Wishes
from simulator.senders import Sender

NO_WISH = -1
UNLIMITED = 2**62
REFUSED_HOURS = -1.0  # in place of a queueing time: the budget could not pay


class Shared:
    """The state of all that users share; small, and saved with a run.

    Attributes:
        spent_nano: spent of each campaign's budget, shape (C,).
        total_nano: spent of the total budget, shape (1,).
        gateway_free_hours: when the gateway will have worked off its queue, shape (1,).
    """

    def __init__(self, scenario: Scenario) -> None:
        gateway = scenario.gateway
        self.spent_nano = np.zeros(len(scenario.campaigns), np.int64)
        self.total_nano = np.zeros(1, np.int64)
        self.gateway_free_hours = np.zeros(1)
        budgets = scenario.budgets
        self.budget_nano = UNLIMITED if budgets.total_eur is None else round(budgets.total_eur * NANO)
        self.sends_per_hour = UNLIMITED if budgets.sends_per_hour is None else budgets.sends_per_hour
        self.has_budgets = budgets.total_eur is not None or budgets.sends_per_hour is not None
        self.campaign_budgets = np.asarray(
            [UNLIMITED if c.budget_eur is None else round(c.budget_eur * NANO) for c in scenario.campaigns], np.int64
        )
        self.service_hours = 0.0 if gateway.per_hour is None else 1.0 / gateway.per_hour
        outages: list[list[float]] = []
        for start, end in sorted((o.start_hour, o.start_hour + o.hours) for o in gateway.outages):
            if outages and start <= outages[-1][1]:  # one outage that runs into another is one
                outages[-1][1] = max(outages[-1][1], end)
            else:
                outages.append([start, end])
        self.outages = np.asarray(outages, np.float64).reshape(-1, 2)
        self.has_gateway = gateway.per_hour is not None or bool(outages)
        self.campaigns = scenario.campaigns

    def is_needed_by(self, sender: Sender) -> bool:
        """Return whether users under a sender share anything: the gateway, or a budget that it may draw on."""
        if sender.kind == "never":
            return False
        return (
            self.has_gateway
            or self.has_budgets
            or any(
                c.budget_eur is not None and c.kind in sender.serves and set(c.channels) & set(sender.channels)
                for c in self.campaigns
            )
        )

    def left_nano(self) -> npt.NDArray[np.int64]:
        """Return what a send of each campaign may cost at most by what the budgets have left, shape (C,)."""
        left: npt.NDArray[np.int64] = np.minimum(
            self.campaign_budgets - self.spent_nano, self.budget_nano - self.total_nano[0]
        )
        return left

    def share_left(self) -> float:
        """Return the share left of the total budget, or else of the campaigns' budgets together; 1 without any."""
        if self.budget_nano < UNLIMITED:
            return float(1.0 - self.total_nano[0] / max(self.budget_nano, 1))
        is_limited = self.campaign_budgets < UNLIMITED
        if not is_limited.any():
            return 1.0
        return float(1.0 - self.spent_nano[is_limited].sum() / max(self.campaign_budgets[is_limited].sum(), 1))

    def settle(
        self, keys: npt.NDArray[np.uint64], wishes: npt.NDArray[np.int32], hour: int, law: Records, campaigns: Records
    ) -> npt.NDArray[np.float64]:
        """Decide which wishes of one hour are granted.

        Args:
            keys: the users' luck keys, shape (n,).
            wishes: campaign * 4 + channel, shape (n,).

        Returns:
            Hours in the gateway's queue, or REFUSED_HOURS; shape (n,).
        """
        rank = np.empty(len(wishes), np.uint64)
        _settle_keys(keys, wishes, hour, rank)
        order = np.argsort(rank, kind="stable")
        verdict = np.empty(len(wishes))
        _settle(
            order,
            wishes,
            hour,
            law,
            campaigns,
            self.spent_nano,
            self.total_nano,
            self.budget_nano,
            self.sends_per_hour,
            self.gateway_free_hours,
            self.service_hours,
            self.outages,
            verdict,
        )
        return verdict

    def state(self) -> dict[str, npt.NDArray[np.generic]]:
        """Return what has to be saved."""
        return {
            "spent_nano": self.spent_nano,
            "total_nano": self.total_nano,
            "gateway_free_hours": self.gateway_free_hours,
        }

    def restore(self, state: dict[str, npt.NDArray[np.generic]]) -> None:
        """Take over a saved state."""
        self.spent_nano[:] = state["spent_nano"]
        self.total_nano[:] = state["total_nano"]
        self.gateway_free_hours[:] = state["gateway_free_hours"]


@compiled
def _settle_keys(keys: Keys, wishes: Wishes, hour: int, rank: Keys) -> None:
    for i in range(keys.shape[0]):
        rank[i] = luck.hashed(keys[i], luck.SEND_SETTLE, luck.send_index(hour, wishes[i] // 4, wishes[i] % 4))


@compiled
def through_outages(start: float, service: float, outages: Floats) -> float:
    """Return when a message that the gateway takes up at `start` leaves it; it stands still during outages."""
    finish = start + service
    for k in range(outages.shape[0]):
        if outages[k, 0] < finish or (service == 0.0 and outages[k, 0] <= finish):
            if outages[k, 1] > start:
                finish += outages[k, 1] - max(outages[k, 0], start)
    return finish


@compiled
def _settle(
    order: Ints,
    wishes: Wishes,
    hour: int,
    law: Records,
    campaigns: Records,
    spent: Ints,
    total: Ints,
    total_budget: int,
    most_sends: int,
    free: Floats,
    service: float,
    outages: Floats,
    verdict: Floats,
) -> None:
    """Grant wishes in order: a budget pays while it lasts; the gateway is one server, first come first served.

    The waiting time follows Lindley's recursion (1952): start = max(arrival, previous finish).
    """
    n_sends = 0
    for k in range(order.shape[0]):
        i = order[k]
        campaign = wishes[i] // 4
        cost = law[0].cost_nano[wishes[i] % 4] + campaigns[campaign].cost_nano
        budget = campaigns[campaign].budget_nano
        is_paid = budget < 0 or spent[campaign] + cost <= budget
        if not is_paid or total[0] + cost > total_budget or n_sends >= most_sends:
            verdict[i] = REFUSED_HOURS
            continue
        n_sends += 1
        total[0] += cost
        if budget >= 0:
            spent[campaign] += cost
        start = max(float(hour), free[0])
        finish = through_outages(start, service, outages)
        if service > 0.0:
            free[0] = finish
        verdict[i] = finish - hour
