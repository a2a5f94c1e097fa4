"""The potential of a user: what is still to come of it, by closed forms and without any message.

    Phi = (V_org + sum over channels of o_c V_c) / (delta + h)          EUR

V_org is what the user brings a day unasked, o_c whether a channel is still permitted, V_c what the channel is worth a
day, h the user's own churn rate a day, delta a discount rate a day. A user who has left is worth nothing.
"""

from __future__ import annotations

import numpy as np

from simulator.records import EMAIL, PUSH, Floats, Records, Status

RATES_PER_HOUR = np.geomspace(1e-9, 1e2, 1601)  # linear between them: 3e-5, and constant below the first
N_PANELS, N_NODES = 60, 16


def renewal(
    rates_per_hour: Floats, satiation: float, satiation_hours: float, floor: float, salience_hours: float
) -> tuple[Floats, Floats]:
    """Return the mean gap between sessions in hours, and the mean of 1 - satiation at a session; each of shape (n,).

    The gap has survival exp(-L(s)), with the hazard integrated since the last session, which set satiation to rho and
    salience to 1:

        L(s) = rate [m0 s + (1 - m0) A(tau_M) - rho m0 A(tau_R) - rho (1 - m0) A(tau')],  A(t) = t (1 - exp(-s/t))

    The mean gap is the integral of the survival S; the mean satiation left at a session, rho E[exp(-s/tau_R)], is by
    parts rho (1 - integral of exp(-s/tau_R) S / tau_R). Gauss-Legendre on panels that widen geometrically.

    Args:
        rates_per_hour: apart from satiation and salience, > 0; shape (n,).
        satiation, floor: rho, m0.
        satiation_hours, salience_hours: tau_R, tau_M.

    Source: K5 of the known answers.
    """
    nodes, weights = np.polynomial.legendre.leggauss(N_NODES)
    rate = rates_per_hour[:, None]
    first = np.minimum(0.05 / rate, 0.1)
    longest = (40.0 / rate + salience_hours + satiation_hours) / floor  # by then exp(-40) is left
    edges = np.concatenate([np.zeros_like(rate), first * (longest / first) ** np.linspace(0, 1, N_PANELS)], axis=1)
    half = np.diff(edges)[:, :, None] / 2
    ages = edges[:, :-1, None] + half * (1 + nodes)
    both_hours = 1 / (1 / satiation_hours + 1 / salience_hours)

    def area(tau_hours: float) -> Floats:
        return -tau_hours * np.expm1(-ages / tau_hours)

    awake = floor * (ages - satiation * area(satiation_hours))
    awake += (1 - floor) * (area(salience_hours) - satiation * area(both_hours))
    share = half * weights * np.exp(-rate[:, :, None] * awake)
    mean_gap = share.sum(axis=(1, 2))
    still_sated = 1 - (share * np.exp(-ages / satiation_hours)).sum(axis=(1, 2)) / satiation_hours
    return mean_gap, 1 - satiation * still_sated


class Potential:
    """The potential under a law.

    V_org per day is 24 / mean gap times what a session is worth: session_eur * tier value * E(1 - satiation), and the
    margin of an order. Orders thin out the sessions by p0 (1 - need used); as if sessions fell evenly they are a
    renewal of the same form, in which an order uses up the need and nothing is forgotten. Habit, honeymoon,
    dissatisfaction and intent are left out: a potential need not be right to leave the optimum where it is, only to
    help.

    Args:
        law: LAW[1].
        channel_eur_per_day: V_c of push and e-mail.
        discount_per_day: delta, > 0.

    Source: the user's own rate, K5; the form of Phi, modelling choice: a perpetuity that ends with the user.
    """

    def __init__(self, law: Records, channel_eur_per_day: tuple[float, float], discount_per_day: float) -> None:
        row = law[0]
        rates = RATES_PER_HOUR
        gap_hours, fresh = renewal(
            rates, row["satiation"], row["satiation_hours"], float(row["floor"]), row["salience_hours"]
        )
        orders_per_day = np.zeros_like(rates)
        if row["organic_order_prob"] > 0.0:
            order_gap_hours, _ = renewal(
                row["organic_order_prob"] / gap_hours, row["need_used"], row["need_hours"], 1.0, 1.0
            )
            orders_per_day = 24 / order_gap_hours
        # Per unit of rate these are smooth and bounded, so they are tabulated so.
        self._sessions_eur = 24 / gap_hours * fresh * row["session_eur"] / rates
        self._orders_eur = orders_per_day * row["margin_eur"] / rates
        self._log_rates = np.log(rates)
        self._tier_value = row["tier_value"].copy()
        self._channels = channel_eur_per_day
        self._discount_per_day = discount_per_day

    def organic_eur_per_day(self, users: Records) -> Floats:
        """Return V_org, EUR a day, shape (U,)."""
        rate = users["session_rate"].astype(np.float64)
        at = np.log(rate)
        sessions = np.interp(at, self._log_rates, self._sessions_eur) * self._tier_value[users["tier"]]
        value: Floats = rate * (sessions + np.interp(at, self._log_rates, self._orders_eur))
        return value

    def of(self, users: Records) -> Floats:
        """Return Phi of users as they are, EUR, shape (U,); it is 0 for whoever has left."""
        per_day = self.organic_eur_per_day(users)
        for channel, eur in zip((PUSH, EMAIL), self._channels, strict=True):
            per_day += eur * (users["opted_in"] >> channel & 1)
        worth: Floats = per_day / (self._discount_per_day + 24.0 * users["churn_rate"].astype(np.float64))
        return np.where(users["status"] == int(Status.PRESENT), worth, 0.0)
