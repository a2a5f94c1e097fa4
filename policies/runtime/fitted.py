"""A policy made ready for an app: what it may choose among for a user at a moment, and what it sees.

The order is that of the simulator's environments: candidates, eligibility, features; so a policy meets here what it was
trained on. Limits of the app and of the policy itself are asked one after the other, and both must allow.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from policies.constraints import Suppression, campaign_suppression, channel_suppression, expires_hour, say, standing_on
from policies.decide import Policy
from policies.features import category_of, write_slot_features, write_user_features
from policies.limits import CHANNELS, LimitsError
from policies.runtime.catalogue import Catalogue, Offer
from policies.runtime.user import User
from policies.strict_json import did_you_mean
from policies.structs import Struct
from policies.vocabulary import N_SLOT_FEATURES, N_USER_FEATURES, n_actions, n_features

ELIGIBLE = int(Suppression.ELIGIBLE)
EMPTY_SLOT = int(Suppression.EMPTY_SLOT)
NOT_ALLOWED = int(Suppression.NOT_ALLOWED)
POLICY_LIMIT = int(Suppression.POLICY_LIMIT)


class QuestionError(ValueError):
    """A question that cannot be asked of this app.

    Attributes:
        problem: `unknown-campaign` or `invalid`.
    """

    def __init__(self, problem: str, message: str) -> None:
        super().__init__(message)
        self.problem = problem


class Wish(NamedTuple):
    """A campaign that may be sent.

    Attributes:
        campaign: its name.
        relevance: the user's estimated interest in it, standard deviations, -3 to 3; used only with consent.
        is_in_context: the user is where a location campaign is about.
    """

    campaign: str
    relevance: float = 0.0
    is_in_context: bool = False


class Wished(Protocol):
    """What has the attributes of a Wish."""

    @property
    def campaign(self) -> str: ...  # noqa: D102 as of Wish
    @property
    def relevance(self) -> float: ...  # noqa: D102
    @property
    def is_in_context(self) -> bool: ...  # noqa: D102


class View(NamedTuple):
    """What a policy chooses among, and sees.

    Attributes:
        offers: campaigns in the slots, at most C, the first choice first, each with its relevance.
        suppressed: other campaigns and why, suppression codes.
        reasons: of every action, suppression codes, 0 is eligible, shape (A,).
        own_reasons: codes of the policy's own limits by action, where those alone hold it back.
        features: the observation, shape (29 + 7 C,).
    """

    offers: list[tuple[Offer, float]]
    suppressed: list[tuple[str, int]]
    reasons: list[int]
    own_reasons: dict[int, int]
    features: list[float]

    @property
    def eligible(self) -> list[bool]:
        """Whether each action is eligible, shape (A,)."""
        return [reason == ELIGIBLE for reason in self.reasons]

    def sent(self, action: int) -> tuple[Offer, int] | None:
        """Return the offer and the channel of an action; None: nothing is sent."""
        return (self.offers[(action - 1) // 2][0], (action - 1) % 2) if action else None


class Fitted:
    """A policy made ready for an app.

    Args:
        policy: what decides.
        catalogue: of the app.

    Raises:
        ValueError: the policy's own limits speak of tags that the app's histories do not remember, or count other kinds
            of messages; or it may send nothing that the app has.
    """

    def __init__(self, policy: Policy, catalogue: Catalogue) -> None:
        self.policy, self.catalogue = policy, catalogue
        document, limits = policy.document, catalogue.app.constraints
        self.n_slots = document.n_slots
        self._own = None
        self._own_caps: tuple[str, ...] = ()
        if document.constraints is not None:
            try:
                self._own = document.constraints.rules(catalogue.app.channels, limits.tags)
            except LimitsError as fault:
                raise ValueError(
                    f"policy {document.name!r}: constraints.{fault}. Histories remember the tags of the app's own caps"
                ) from None
            self._own_caps = document.constraints.cap_names
            if self._own_caps and set(document.constraints.passes_caps) != set(limits.passes_caps):
                raise ValueError(
                    f"policy {document.name!r}: constraints.passes_caps: expected the app's "
                    f"({', '.join(limits.passes_caps) or 'none'}), got {', '.join(document.constraints.passes_caps)}: "
                    "a send is written down once, as one that caps count or do not"
                )
        self._allowed = None if document.allowed_campaigns is None else frozenset(document.allowed_campaigns)
        if self._allowed is not None and catalogue.offers and not self._allowed & catalogue.offers.keys():
            raise ValueError(
                f"policy {document.name!r}: allowed_campaigns: expected some of the app's "
                f"({', '.join(catalogue.offers)}), got {', '.join(document.allowed_campaigns or ())}"
            )

    @property
    def brings_limits(self) -> bool:
        """Whether the policy sees or may do less than the app's limits alone would let it."""
        return self._own is not None or self._allowed is not None

    def look(self, user: User, moment: Struct, wishes: Sequence[Wished] | None) -> View:
        """Return what the policy chooses among for a user at a moment.

        Args:
            moment: MOMENT_FIELDS.
            wishes: what may be sent; None: every campaign of the app.

        Raises:
            QuestionError: no such campaign, or one twice.
        """
        offers, suppressed = self.candidates(user, moment, wishes)
        reasons, own_reasons = self.eligible(user, moment, offers)
        return View(offers, suppressed, reasons, own_reasons, self._features(user, moment, offers))

    def say(self, reason: int, own_reason: int = ELIGIBLE) -> str:
        """Return a suppression code in words."""
        if reason == POLICY_LIMIT and own_reason != ELIGIBLE:
            return f"the policy's own limit: {say(own_reason, self._own_caps)}"
        return self.catalogue.words[reason]

    def told(self, view: View) -> list[tuple[str, str, str]]:
        """Return (campaign, channel, why not) of what could not be sent; no channel: on none."""
        found = [(name, "", self.say(reason)) for name, reason in view.suppressed]
        for slot, (offer, _) in enumerate(view.offers):
            for channel in (0, 1):
                action = 1 + 2 * slot + channel
                if view.reasons[action] != ELIGIBLE:
                    own = view.own_reasons.get(action, ELIGIBLE)
                    found.append((offer.name, CHANNELS[channel], self.say(view.reasons[action], own)))
        return found

    def candidates(
        self, user: User, moment: Struct, wishes: Sequence[Wished] | None
    ) -> tuple[list[tuple[Offer, float]], list[tuple[str, int]]]:
        """Return the campaigns for the slots, by kind, then urgency and interest; and the others, and why."""
        catalogue, person, history = self.catalogue, user.person, user.history
        ranked: list[tuple[float, int, Offer, float]] = []
        suppressed: list[tuple[str, int]] = []
        for offer, relevance, is_in_context in catalogue.unasked if wishes is None else self._asked(wishes):
            struct = offer.struct
            if self._allowed is not None and offer.name not in self._allowed:
                reason = NOT_ALLOWED
            else:
                reason = campaign_suppression(catalogue.rules, history, person, struct, moment, is_in_context)
                if reason == ELIGIBLE and self._own is not None:
                    reason = campaign_suppression(self._own, history, person, struct, moment, is_in_context)
            if reason == ELIGIBLE:
                interest = relevance if person.has_consent else 0.0
                ranked.append((-(offer.rank + interest), offer.number, offer, relevance))
            else:
                suppressed.append((offer.name, reason))
        ranked.sort()  # no two have the same number, so offers are never compared
        suppressed += [(offer.name, EMPTY_SLOT) for _, _, offer, _ in ranked[self.n_slots :]]
        return [(offer, relevance) for _, _, offer, relevance in ranked[: self.n_slots]], suppressed

    def _asked(self, wishes: Sequence[Wished]) -> Iterator[tuple[Offer, float, bool]]:
        seen = set()
        for wish in wishes:
            offer = self._offer(wish.campaign)
            if offer.number in seen:
                raise QuestionError("invalid", f"candidates: {offer.name!r} stands there twice")
            seen.add(offer.number)
            yield offer, wish.relevance, wish.is_in_context

    def _offer(self, name: str) -> Offer:
        offers = self.catalogue.offers
        if name not in offers:
            hint = did_you_mean(name, offers)
            raise QuestionError("unknown-campaign", f"candidates: no campaign {name!r} in the settings.{hint}")
        return offers[name]

    def eligible(
        self, user: User, moment: Struct, offers: Sequence[tuple[Offer, float]]
    ) -> tuple[list[int], dict[int, int]]:
        """Return the suppression code of each action, shape (A,), and those of the policy's own limits."""
        rules, own, person = self.catalogue.rules, self._own, user.person
        usable = rules.open_channels & person.seen_opted_in
        bits = standing_on(rules, user.history, moment, usable)
        own_bits = 0 if own is None else standing_on(own, user.history, moment, usable)
        reasons = [EMPTY_SLOT] * n_actions(self.n_slots)
        reasons[0] = ELIGIBLE
        own_reasons = {}
        action = 1
        for offer, _ in offers:
            for channel in (0, 1):
                reason = channel_suppression(rules, bits, person, offer.struct, channel)
                if reason == ELIGIBLE and own is not None:
                    own_reason = channel_suppression(own, own_bits, person, offer.struct, channel)
                    if own_reason != ELIGIBLE:
                        reason, own_reasons[action] = POLICY_LIMIT, own_reason
                reasons[action] = reason
                action += 1
        return reasons, own_reasons

    def _features(self, user: User, moment: Struct, offers: Sequence[tuple[Offer, float]]) -> list[float]:
        """Return the observation, shape (29 + 7 C,), in float32 as logs hold it and environments show it."""
        out = [0.0] * n_features(self.n_slots)
        history, person, n_tiers = user.history, user.person, self.catalogue.n_tiers
        tier_share = person.tier / (n_tiers - 1.0) if n_tiers > 1 and person.tier < n_tiers else 0.0
        rules = self.catalogue.rules if self._own is None else self._own
        write_user_features(out, rules, history, person, moment, tier_share, 1.0, 0.0)
        start = N_USER_FEATURES
        for offer, relevance in offers:
            struct = offer.struct
            category = category_of(history, struct)
            ends = expires_hour(person, struct, moment)
            write_slot_features(
                out, start, history, person, struct, moment, category, relevance, offer.margin, offer.click_rate, ends
            )
            start += N_SLOT_FEATURES
        return array("f", out).tolist()  # so that what was logged decides the same again, to the bit
