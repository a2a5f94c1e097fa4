"""Simple senders that run inside the loop: schedules and rules of thumb, to drive a population and to compare with.

A sender is data (`Sender`), named on the command line as `never`, `weekly-7`, `evening`, `evening-cap-5`, `random-7`,
`always`, each with an optional `+lru`, `+mru`, `+interest`, `+urgency` for the choice of campaign and `+triggered`,
`+email` for what it may use. Learned policies come through the environments instead.

Whatever it wishes, a sender sees only what a sender can know: visible consent, its own sends, the user's events.
"""

from __future__ import annotations

import difflib
import math
import re
from dataclasses import dataclass, replace

import numpy as np

from policies.history import N_SENDS
from simulator import luck
from simulator.behaviour.interest import category_of, relevance
from simulator.catalogue import eligible_channel
from simulator.compiled import compiled
from simulator.records import HOURS_A_WEEK, SENDER, Kind, Record, Records, World
from simulator.visible import remembered_sends, standing

KINDS = ("never", "evenly", "hours", "random")
PICKS = ("uniform", "interest", "urgency", "lru", "mru", "fixed")
NEVER_SEND, EVENLY, HOURS, RANDOM = range(4)
UNIFORM, INTEREST, URGENCY, LEAST_RECENT, MOST_RECENT, FIXED = range(6)
FIRST_WAKING_HOUR, WAKING_HOURS = 8, 14  # local hours 8 to 21
EVENING_HOUR = 19
ALL_CHANNELS = 15


@dataclass(frozen=True)
class Sender:
    """A rule that needs no learning.

    Attributes:
        kind: `never`; `evenly` spreads `per_week` sends over the waking hours (8-22 local), each user at an offset
            of its own; `hours` sends at given local hours; `random` sends in each waking hour with equal chance.
        per_week: sends a week, for `evenly` and `random`.
        hours: local hours of the day, for `hours`.
        weekdays: 0 is Monday, for `hours`.
        pick: which eligible campaign: `uniform`, best `interest`, highest `urgency` (then margin), least (`lru`) or
            most (`mru`) recently used content bucket, or the `fixed` one.
        serves: kinds of campaigns that it uses.
        channels: `push`, `email`.
        cap_per_week: at most so many sends in a local calendar week, up to 31; None: no cap.
        gap_hours: at least so many hours between two sends.
    """

    kind: str = "never"
    per_week: float = 0.0
    hours: tuple[int, ...] = ()
    weekdays: tuple[int, ...] = (0, 1, 2, 3, 4, 5, 6)
    pick: str = "uniform"
    campaign: int = 0
    serves: tuple[str, ...] = ("scheduled",)
    channels: tuple[str, ...] = ("push",)
    cap_per_week: int | None = None
    gap_hours: int = 0

    def record(self) -> Records:
        """Return the sender as SENDER[1], for the engines."""
        row = np.zeros(1, SENDER)
        row["kind"] = KINDS.index(self.kind)
        row["pick"] = PICKS.index(self.pick)
        row["serves"] = sum(1 << int(Kind[name.upper()]) for name in self.serves)
        row["channels"] = sum(1 << ("push", "email").index(name) for name in self.channels)
        row["hours"] = sum(1 << hour for hour in self.hours)
        row["weekdays"] = sum(1 << day for day in self.weekdays)
        row["per_waking_hour"] = self.per_week / (7 * WAKING_HOURS)
        if self.cap_per_week is not None and not 0 <= self.cap_per_week < N_SENDS:
            raise ValueError(f"cap_per_week: expected 0 to {N_SENDS - 1} sends or None, got {self.cap_per_week}")
        row["cap_per_week"] = N_SENDS if self.cap_per_week is None else self.cap_per_week
        row["gap_hours"] = self.gap_hours
        row["campaign"] = self.campaign
        return row


NAMES = ("never", "always", "weekly-N", "random-N", "evening", "evening-cap-N")
OPTIONS = ("lru", "mru", "interest", "urgency", "triggered", "email")


def sender(name: str) -> Sender:
    """Return the sender of a name such as `weekly-7` or `evening-cap-5+lru`.

    Raises:
        ValueError: the name is unknown; the message lists the known ones and the nearest.
    """
    base, *options = name.split("+")
    found = _base(base)
    if found is None:
        near = difflib.get_close_matches(base, NAMES, n=1, cutoff=0.4)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"unknown policy {name!r}; expected one of {', '.join(NAMES)} (N sends a week){hint}")
    for option in options:
        if option not in OPTIONS:
            near = difflib.get_close_matches(option, OPTIONS, n=1, cutoff=0.4)
            hint = f"; did you mean '+{near[0]}'?" if near else ""
            raise ValueError(f"policy {name!r}: unknown option '+{option}'; known: {', '.join(OPTIONS)}{hint}")
        if option == "triggered":
            found = replace(found, serves=(*found.serves, "triggered", "transactional"))
        elif option == "email":
            found = replace(found, channels=("push", "email"))
        else:
            found = replace(found, pick=option)
    return found


def _base(name: str) -> Sender | None:
    if name == "never":
        return Sender()
    if name == "always":
        return Sender(kind="hours", hours=tuple(range(24)))
    if name == "evening":
        return Sender(kind="hours", hours=(EVENING_HOUR,))
    match = re.fullmatch(r"(weekly|random)-(\d+(?:\.\d+)?)", name)
    if match:
        if not 0 < float(match[2]) <= 7 * WAKING_HOURS:
            raise ValueError(f"policy {name!r}: expected N above 0 and at most {7 * WAKING_HOURS}, got {match[2]}")
        return Sender(kind="evenly" if match[1] == "weekly" else "random", per_week=float(match[2]))
    match = re.fullmatch(r"evening-cap-(\d+)", name)
    if match:
        if int(match[1]) > 7:
            raise ValueError(f"policy {name!r}: expected N from 0 to 7, got {match[1]}")
        return Sender(kind="hours", hours=(EVENING_HOUR,), cap_per_week=int(match[1]))
    return None


@compiled
def phase_of(user: Record, rule: Record) -> float:
    """Return the user's own offset in an even schedule, in sends, within (0, 1); 0 for senders that need none."""
    return luck.uniform(user.key, luck.SENDER_PHASE, np.uint64(0)) if rule.kind == EVENLY else 0.0


@compiled
def is_slot(user: Record, rule: Record, local: int, hour: int, phase: float) -> bool:
    """Return whether a sender's schedule names this very hour."""
    hour_of_day = local % 24
    if rule.kind == HOURS:
        return (rule.hours >> hour_of_day) & 1 and (rule.weekdays >> (local // 24) % 7) & 1
    waking = hour_of_day - FIRST_WAKING_HOUR
    if not 0 <= waking < WAKING_HOURS:
        return False
    if rule.kind == EVENLY:
        place = float(local // 24 * WAKING_HOURS + waking) * rule.per_waking_hour + phase
        return math.floor(place) != math.floor(place - rule.per_waking_hour)
    return luck.uniform(user.key, luck.SENDER_GATE, np.uint64(hour)) < rule.per_waking_hour


@compiled
def is_due(user: Record, history: Record, rule: Record, local: int, hour: int, phase: float, epoch_hours: int) -> bool:
    """Return whether a sender asks for a send at a decision epoch, and may see a channel open.

    A slot between two epochs is served at the later one: a longer epoch delays sends, and merges what it spans.

    Args:
        local: local hours, as in the world's table.
        phase: the user's `phase_of`.
    """
    if rule.kind == NEVER_SEND or user.seen_opted_in & rule.channels == 0:
        return False
    is_named = False
    for back in range(epoch_hours):
        if is_slot(user, rule, local - back, hour - back, phase):
            is_named = True
            break
    if not is_named or hour - history.sent_hour < rule.gap_hours:
        return False
    if rule.cap_per_week >= N_SENDS:
        return True
    return remembered_sends(history, hour - local % HOURS_A_WEEK, ALL_CHANNELS, 0)[0] < rule.cap_per_week


@compiled
def choose(user: Record, history: Record, world: World, rule: Record, hour: int) -> int:
    """Return which campaign a sender that is due wishes to send: campaign * 4 + channel, or -1: none is eligible."""
    law = world.law[0]
    moment = world.moments[user.zone, hour]
    standing_bits = standing(law, history, moment)
    stream = luck.stream_key(user.key, luck.SENDER_PICK)
    best = -1
    best_score = -1e300
    # Ties, and the uniform choice, fall by one hashed number a campaign: reservoir of the largest.
    for index in range(law.n_campaigns):
        campaign = world.campaigns[index]
        if not (rule.serves >> campaign.kind) & 1 or (rule.pick == FIXED and index != rule.campaign):
            continue
        channel = eligible_channel(user, history, law, campaign, moment, standing_bits, rule.channels)
        if channel < 0:
            continue
        score = luck.uniform_in(stream, luck.send_index(hour, index, channel))
        if rule.pick == INTEREST:
            score = 1e-6 * score + relevance(user, category_of(user, campaign))
        elif rule.pick == URGENCY:
            score = 1e-9 * score + campaign.urgency + 1e-6 * campaign.margin_eur
        elif rule.pick == LEAST_RECENT:
            score -= float(history.bucket_hour[campaign.bucket])
        elif rule.pick == MOST_RECENT:
            score += float(history.bucket_hour[campaign.bucket])
        if score > best_score:
            best_score = score
            best = index * 4 + channel
    return best
