"""From a question and what is known of the user to a decision that is written down, within one transaction.

The order is that of the simulator's environments: candidates, eligibility, features, the policy's choice; so a policy
meets here what it was trained on.
"""

from __future__ import annotations

import random
from array import array
from dataclasses import dataclass, field

import msgspec
from msgspec import Struct

from policies.decide import DecideError, Decision, Policy
from policies.limits import CHANNELS
from policies.runtime.catalogue import Catalogue, Offer
from policies.runtime.fitted import Fitted, QuestionError, View
from policies.runtime.runtime import ClockError, time_for
from policies.runtime.user import User
from policies.service.deciding.shelf import Serving
from policies.service.identity import DecisionIds, share_of, shown_id
from policies.service.messages import Candidate, DecideAnswer, DecideRequest, Suppressed
from policies.service.state.group_commit import RefusedError
from policies.service.state.unit import DecisionRow, Tally, Unit
from policies.structs import Struct as Record
from policies.vocabulary import action_names

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


@dataclass(frozen=True)
class Answering:
    """Everything that questions are answered by and that is the same for all of them.

    Attributes:
        n_slots: C of every policy.
        clock_step_ms: by which time may go back for a user.
        luck: where luck keys come from; seeded by the system, which to ask each time costs as much as a decision.
        action_names: of the vocabulary.
        known: policies made ready for the app, by hash.
    """

    catalogue: Catalogue
    n_slots: int
    ids: DecisionIds
    clock_step_ms: int
    luck: random.Random
    action_names: tuple[str, ...]
    known: dict[str, Fitted] = field(default_factory=dict)

    @staticmethod
    def ready(catalogue: Catalogue, n_slots: int, clock_step_ms: int) -> Answering:
        """Return it made ready."""
        return Answering(catalogue, n_slots, DecisionIds(), clock_step_ms, random.Random(), action_names(n_slots))

    def user_of(self, unit: Unit, user_key: bytes, now_ms: int) -> User:
        """Return a user as known in the unit, or somebody new."""
        record = unit.users.get(user_key)
        if not record:
            return User.new(self.catalogue.app.users, now_ms)
        try:
            return User.unpacked(record)
        except ValueError as fault:
            raise RefusedError(503, "damaged-record", str(fault)) from None

    def fitted(self, policy: Policy) -> Fitted:
        """Return a policy made ready for the app.

        Raises:
            ValueError: they do not fit.
        """
        found = self.known.get(policy.policy_hash)
        if found is None:
            found = self.known[policy.policy_hash] = Fitted(policy, self.catalogue)
        return found

    def decide(
        self, unit: Unit, user_key: bytes, question: DecideRequest, now_ms: int, serving: Serving
    ) -> DecideAnswer:
        """Decide for a user, and write the send and the decision into the unit.

        Raises:
            RefusedError: the question names an unknown campaign, or time went back; nothing was written.
        """
        user = self.user_of(unit, user_key, now_ms)
        try:
            now_ms = time_for(user, now_ms, self.clock_step_ms)
        except ClockError as fault:
            words = f"{fault}. The service goes on by itself when the clock is right again"
            raise RefusedError(503, "clock-went-back", words) from None
        moment = self.catalogue.moment(user.zone, now_ms)
        policy, role = serving.choose(share_of(user_key, serving.control.canary) if serving.canary else 1.0)
        fitted = self.fitted(policy)
        try:
            view = fitted.look(user, moment, question.candidates)
        except QuestionError as fault:
            raise RefusedError(422, fault.problem, str(fault)) from None
        luck_key = self.luck.getrandbits(64)
        uniform = (luck_key >> 11) / 2.0**53
        try:
            decision = policy.decide(view.features, view.eligible, uniform, explain=question.explain)
        except DecideError as fault:
            policy, role = serving.fallback, "fallback"
            fitted = self.fitted(policy)
            view = fitted.look(user, moment, question.candidates)
            decision = policy.decide(view.features, view.eligible, uniform, explain=False)
            decision = decision._replace(reasons=(f"the policy could not decide: {fault}",))
        shadow = self._shadow_decision(serving.shadow, fitted, view, user, moment, question.candidates, uniform)

        choice = view.sent(decision.action)
        sent, channel = choice or (None, -1)
        if sent is not None:
            user.was_sent(sent, channel, now_ms)
        user.last_ms = now_ms
        decision_id = self.ids.new()
        details = Details(
            array("f", view.features).tobytes(),
            array("d", decision.probabilities).tobytes(),
            bytes(view.reasons),
            tuple([offer.number for offer, _ in view.offers] + [-1] * (self.n_slots - len(view.offers))),
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
        suppressed = tuple([Suppressed(campaign=name, channel=on, reason=why) for name, on, why in fitted.told(view)])
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
            candidates=tuple(offer.name for offer, _ in view.offers),
            suppressed=suppressed if question.explain else (),
            policy_hash=policy.policy_hash,
            role=role,
        )

    def _shadow_decision(
        self,
        shadow: Policy | None,
        deciding: Fitted,
        view: View,
        user: User,
        moment: Record,
        candidates: list[Candidate] | None,
        uniform: float,
    ) -> Decision | None:
        """Return what the shadow policy would have done; None: there is none, or it could not decide.

        Args:
            deciding: who decided, and view: on what; a shadow without limits of its own sees the same.
        """
        if shadow is None:
            return None
        fitted = self.fitted(shadow)
        if fitted.brings_limits or deciding.brings_limits:
            view = fitted.look(user, moment, candidates)
        try:
            return shadow.decide(view.features, view.eligible, uniform, explain=False)
        except DecideError:
            return None

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


def _difference(shadow: Decision, decision: Decision) -> str:
    if not shadow.action:
        return "silent, the policy sent"
    return "another message" if decision.action else "sent, the policy was silent"
