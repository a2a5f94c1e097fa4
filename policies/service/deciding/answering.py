"""From a question and what is known of the user to a decision that is written down, within one transaction.

The order is that of the simulator's environments: candidates, eligibility, features, the policy's choice; so a policy
meets here what it was trained on.
"""

from __future__ import annotations

import random
from array import array
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
from msgspec import Struct

from policies.constraints import (
    CAP,
    N_CAPS,
    Suppression,
    campaign_suppression,
    channel_suppression,
    expires_hour,
    say,
    standing_on,
)
from policies.decide import DecideError, Decision, Policy
from policies.features import category_of, write_slot_features, write_user_features
from policies.history import record_send
from policies.limits import CHANNELS
from policies.service.deciding.catalogue import Catalogue, Offer
from policies.service.deciding.person import MS_AN_HOUR, User
from policies.service.deciding.shelf import Serving
from policies.service.identity import DecisionIds, share_of, shown_id
from policies.service.messages import Candidate, DecideAnswer, DecideRequest, Suppressed
from policies.service.state.group_commit import RefusedError
from policies.service.state.unit import DecisionRow, Tally, Unit
from policies.strict_json import did_you_mean
from policies.structs import Struct as Record
from policies.vocabulary import N_SLOT_FEATURES, N_USER_FEATURES, action_names, n_actions, n_features

ELIGIBLE = int(Suppression.ELIGIBLE)
EMPTY_SLOT = int(Suppression.EMPTY_SLOT)
MINUTE_MS = 60_000


class Details(Struct, array_like=True, frozen=True):
    """What the ledger needs of a decision beside what is kept in columns.

    Attributes:
        features: float32, as the policy saw them, shape (29 + 7 C,).
        probabilities: float64, shape (A,).
        reasons: suppression codes, one byte an action, shape (A,); 0 is eligible.
        candidates: numbers of the campaigns, -1 for an empty slot, shape (C,).
        luck_key: of which the upper 53 bits were the uniform number.
        shadow_propensity: of the shadow's action.
    """

    features: bytes
    probabilities: bytes
    reasons: bytes
    candidates: tuple[int, ...]
    luck_key: int
    shadow_propensity: float


class Candidates(NamedTuple):
    """What was chosen for the slots.

    Attributes:
        offers: at most C, the first choice first, each with its relevance.
        suppressed: the others and why.
    """

    offers: list[tuple[Offer, float]]
    suppressed: list[tuple[str, int]]


@dataclass(frozen=True)
class Answering:
    """Everything that questions are answered by and that is the same for all of them.

    Attributes:
        n_slots: C of every policy.
        clock_step_ms: by which time may go back for a user.
        luck: where luck keys come from; seeded by the system, which to ask each time costs as much as a decision.
        action_names: of the vocabulary.
        words: of every suppression code.
    """

    catalogue: Catalogue
    n_slots: int
    ids: DecisionIds
    clock_step_ms: int
    luck: random.Random
    action_names: tuple[str, ...]
    words: tuple[str, ...]

    @staticmethod
    def ready(catalogue: Catalogue, n_slots: int, clock_step_ms: int) -> Answering:
        """Return it made ready."""
        names = catalogue.cap_names
        words = [f"reason {code}" for code in range(CAP + N_CAPS)]
        for code in (*map(int, Suppression), *range(CAP, CAP + N_CAPS)):
            words[code] = say(code, names)
        words[EMPTY_SLOT] = "no slot was left"
        luck = random.Random()
        return Answering(catalogue, n_slots, DecisionIds(), clock_step_ms, luck, action_names(n_slots), tuple(words))

    def user_of(self, unit: Unit, user_key: bytes, now_ms: int) -> User:
        """Return a user as known in the unit, or somebody new."""
        record = unit.users.get(user_key)
        if not record:
            return User.new(self.catalogue.settings.users, now_ms)
        try:
            return User.unpacked(record)
        except ValueError as fault:
            raise RefusedError(503, "damaged-record", str(fault)) from None

    def time_for(self, user: User, now_ms: int) -> int:
        """Return the time to decide at: time never goes back for a user.

        Raises:
            RefusedError: it went back by more than may be passed over.
        """
        if now_ms >= user.last_ms:
            return now_ms
        behind_ms = user.last_ms - now_ms
        if behind_ms > self.clock_step_ms:
            raise RefusedError(
                503,
                "clock-went-back",
                f"now: expected a time not before the last one of this user; got one {behind_ms / 1e3:.0f} s earlier. "
                "The service goes on by itself when the clock is right again",
            )
        return user.last_ms

    def decide(
        self, unit: Unit, user_key: bytes, question: DecideRequest, now_ms: int, serving: Serving
    ) -> DecideAnswer:
        """Decide for a user, and write the send and the decision into the unit.

        Raises:
            RefusedError: the question names an unknown campaign, or time went back; nothing was written.
        """
        user = self.user_of(unit, user_key, now_ms)
        now_ms = self.time_for(user, now_ms)
        catalogue = self.catalogue
        moment = catalogue.moment(user.zone, now_ms)
        chosen = self._candidates(user, moment, question.candidates)
        eligible, reasons = self._eligible(user, moment, chosen.offers)
        features = self._features(user, moment, chosen.offers)

        policy, role = serving.choose(share_of(user_key, serving.control.canary) if serving.canary else 1.0)
        luck_key = self.luck.getrandbits(64)
        uniform = (luck_key >> 11) / 2.0**53
        try:
            decision = policy.decide(features, eligible, uniform, explain=question.explain)
        except DecideError as fault:
            policy, role = serving.fallback, "fallback"
            decision = policy.decide(features, eligible, uniform, explain=False)
            decision = decision._replace(reasons=(f"the policy could not decide: {fault}",))
        shadow = _shadow_decision(serving.shadow, features, eligible, uniform)

        sent = chosen.offers[(decision.action - 1) // 2][0] if decision.action else None
        channel = (decision.action - 1) % 2 if sent else -1
        if sent is not None:
            # Rounded up to the hour, so that no gap and no window turns out too short; see moments.send_hour.
            send_hour = -(-now_ms // MS_AN_HOUR)
            struct = sent.struct
            record_send(user.history, send_hour, channel, struct.tags, sent.is_uncounted, struct.bucket, struct.counter)
        user.last_ms = now_ms
        decision_id = self.ids.new()
        details = Details(
            array("f", features).tobytes(),
            array("d", decision.probabilities).tobytes(),
            bytes(reasons),
            tuple([offer.number for offer, _ in chosen.offers] + [-1] * (self.n_slots - len(chosen.offers))),
            luck_key,
            shadow.propensity if shadow else 0.0,
        )
        unit.put_user(user_key, user.packed(), now_ms)
        unit.put_decision(
            DecisionRow(
                decision_id,
                user_key,
                now_ms,
                policy.policy_hash,
                role,
                decision.action,
                sent.name if sent else "",
                channel,
                decision.propensity,
                serving.shadow.policy_hash if shadow and serving.shadow else "",
                shadow.action if shadow else -1,
                msgspec.msgpack.encode(details),
            )
        )
        suppressed = self._told(chosen, reasons)
        self._count(unit, now_ms, policy.policy_hash, sent, suppressed, decision, shadow)
        return DecideAnswer(
            decision_id=shown_id(decision_id),
            send=sent.name if sent else None,
            channel=CHANNELS[channel] if sent else None,
            action=decision.action,
            action_name=self.action_names[decision.action],
            propensity=decision.propensity,
            probabilities=decision.probabilities,
            reasons=decision.reasons,
            candidates=tuple(offer.name for offer, _ in chosen.offers),
            suppressed=suppressed if question.explain else (),
            policy_hash=policy.policy_hash,
            role=role,
        )

    def _candidates(self, user: User, moment: Record, asked: list[Candidate] | None) -> Candidates:
        """Return the campaigns for the slots: what may be sent at all, by kind, then urgency and interest."""
        catalogue = self.catalogue
        ranked: list[tuple[float, int, Offer, float]] = []
        suppressed: list[tuple[str, int]] = []
        wishes = EVERYTHING if asked is None else asked
        pairs = (
            [(offer, 0.0, False) for offer in catalogue.in_order]
            if wishes is EVERYTHING
            else [(self._offer(wish.campaign), wish.relevance, wish.is_in_context) for wish in wishes]
        )
        seen = set()
        for offer, relevance, is_in_context in pairs:
            if offer.number in seen:
                raise RefusedError(422, "invalid", f"candidates: {offer.name!r} stands there twice")
            seen.add(offer.number)
            reason = campaign_suppression(
                catalogue.rules, user.history, user.person, offer.struct, moment, is_in_context
            )
            if reason == ELIGIBLE:
                interest = relevance if user.person.has_consent else 0.0
                ranked.append((-(offer.rank + interest), offer.number, offer, relevance))
            else:
                suppressed.append((offer.name, reason))
        ranked.sort(key=lambda entry: entry[:2])
        suppressed += [(offer.name, EMPTY_SLOT) for _, _, offer, _ in ranked[self.n_slots :]]
        return Candidates([(offer, relevance) for _, _, offer, relevance in ranked[: self.n_slots]], suppressed)

    def _offer(self, name: str) -> Offer:
        offers = self.catalogue.offers
        if name not in offers:
            hint = did_you_mean(name, offers)
            raise RefusedError(422, "unknown-campaign", f"candidates: no campaign {name!r} in the settings.{hint}")
        return offers[name]

    def _eligible(self, user: User, moment: Record, offers: list[tuple[Offer, float]]) -> tuple[list[bool], list[int]]:
        """Return whether each action is eligible, and the suppression code of each, shapes (A,)."""
        rules, person = self.catalogue.rules, user.person
        bits = standing_on(rules, user.history, moment, rules.open_channels & person.seen_opted_in)
        reasons = [EMPTY_SLOT] * n_actions(self.n_slots)
        reasons[0] = ELIGIBLE
        for slot, (offer, _) in enumerate(offers):
            for channel in (0, 1):
                reasons[1 + 2 * slot + channel] = channel_suppression(rules, bits, person, offer.struct, channel)
        return [reason == ELIGIBLE for reason in reasons], reasons

    def _features(self, user: User, moment: Record, offers: list[tuple[Offer, float]]) -> list[float]:
        """Return the observation, shape (29 + 7 C,)."""
        out = [0.0] * n_features(self.n_slots)
        history, person, n_tiers = user.history, user.person, self.catalogue.n_tiers
        tier_share = person.tier / (n_tiers - 1.0) if n_tiers > 1 and person.tier < n_tiers else 0.0
        write_user_features(out, self.catalogue.rules, history, person, moment, tier_share, 1.0, 0.0)
        for slot, (offer, relevance) in enumerate(offers):
            start = N_USER_FEATURES + N_SLOT_FEATURES * slot
            struct = offer.struct
            category = category_of(history, struct)
            ends = expires_hour(person, struct, moment)
            write_slot_features(
                out, start, history, person, struct, moment, category, relevance, offer.margin, offer.click_rate, ends
            )
        return out

    def _told(self, chosen: Candidates, reasons: list[int]) -> tuple[Suppressed, ...]:
        """Return in words what could not be sent, and why."""
        words = self.words
        told = [Suppressed(campaign=name, channel="", reason=words[why]) for name, why in chosen.suppressed]
        for slot, (offer, _) in enumerate(chosen.offers):
            for channel in (0, 1):
                why = reasons[1 + 2 * slot + channel]
                if why != ELIGIBLE:
                    told.append(Suppressed(campaign=offer.name, channel=CHANNELS[channel], reason=words[why]))
        return tuple(told)

    def _count(
        self,
        unit: Unit,
        now_ms: int,
        policy_hash: str,
        sent: Offer | None,
        suppressed: tuple[Suppressed, ...],
        decision: Decision,
        shadow: Decision | None,
    ) -> None:
        minute, tallies = now_ms // MINUTE_MS, unit.tallies
        tallies[Tally(minute, policy_hash, sent.name if sent else "", "send" if sent else "no_send")] += 1
        for one in suppressed:
            tallies[Tally(minute, policy_hash, one.campaign, f"suppressed: {one.reason}")] += 1
        if shadow is not None:
            what = "same" if shadow.action == decision.action else _difference(shadow, decision)
            tallies[Tally(minute, policy_hash, "", f"shadow: {what}")] += 1


EVERYTHING: list[Candidate] = []  # of the settings; told apart by identity


def _difference(shadow: Decision, decision: Decision) -> str:
    if not shadow.action:
        return "silent, the policy sent"
    return "another message" if decision.action else "sent, the policy was silent"


def _shadow_decision(
    shadow: Policy | None, features: list[float], eligible: list[bool], uniform: float
) -> Decision | None:
    """Return what the shadow policy would have done; None: there is none, or it could not decide."""
    if shadow is None:
        return None
    try:
        return shadow.decide(features, eligible, uniform, explain=False)
    except DecideError:
        return None
