"""Policies on the shelf, and which of them decide: active, canary, shadow, and the fallback of the kill switch.

What is active stands in the store as one small note, `Control`, so that replicas agree and a restart changes nothing.
A process holds the policies made ready, and swaps all of what serves in one assignment: a request that has begun goes
on with what it began with, and none is dropped.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import msgspec
from msgspec import Struct

from policies.codec import DocumentError, write
from policies.decide import Policy, load
from policies.document import Document, Rules
from policies.service.state.store import Store
from policies.strict_json import did_you_mean

MOST_EVENTS = 20
NOBODY = "none"
Role = Literal["active", "canary", "fallback"]


class ShelfError(ValueError):
    """A policy that cannot be used so: nothing was changed."""


class Control(Struct, frozen=True, omit_defaults=True):
    """Which policies decide; hashes, "" for none.

    Attributes:
        active: decides.
        previous: was active before; the guard rail goes back to it.
        canary: decides for a share of the users.
        share: of the users that the canary decides for, in [0, 1].
        shadow: decides too and is never sent.
        is_killed: the fallback decides.
        version: how often it was changed; a process never follows an older one.
        first_file: hash of the first file at the last look; another one is activated.
        events: what was changed, in words, the last last.
    """

    active: str = ""
    previous: str = ""
    canary: str = ""
    share: float = 0.0
    shadow: str = ""
    is_killed: bool = False
    version: int = 0
    first_file: str = ""
    events: tuple[str, ...] = ()

    def with_event(self, words: str) -> Control:
        """Return the same with one more event, dated by the clock of this process, UTC."""
        dated = f"{time.strftime('%Y-%m-%d %H:%M', time.gmtime())} {words}"
        return msgspec.structs.replace(self, events=(*self.events, dated)[-MOST_EVENTS:])


@dataclass(frozen=True)
class Serving:
    """What decides at one time, made ready.

    Attributes:
        active: None: nothing was ever activated, and the fallback decides.
        fallback: the kill switch's, silence as a rule.
    """

    control: Control
    text: str
    active: Policy | None
    canary: Policy | None
    shadow: Policy | None
    fallback: Policy

    def choose(self, place: float) -> tuple[Policy, Role]:
        """Return who decides for a user.

        Args:
            place: the user's, `identity.share_of` under the canary's hash; 1 for nobody in particular.
        """
        if self.control.is_killed or self.active is None:
            return self.fallback, "fallback"
        if self.canary is not None and place < self.control.share:
            return self.canary, "canary"
        return self.active, "active"


@dataclass
class Shelf:
    """All policies that are known, by hash.

    Args:
        store: where documents and the control note are kept.
        n_slots: C of all of them; those with another are refused.
        fallback: None: silence.

    Attributes:
        refused: what is wrong with documents that were not taken, by where they came from.
        fit: raises a ValueError of a policy that does not fit the app.
    """

    store: Store
    n_slots: int
    fallback: Policy | None = None
    policies: dict[str, Policy] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    fit: Callable[[Policy], object] = lambda policy: None

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        if self.fallback is None:
            self.fallback = silence(self.n_slots)
        self._check_fit(self.fallback, "fallback")
        self.serving = Serving(Control(), "", None, None, None, self.fallback)

    # ------------------------------------------------------------------------------------------------- documents

    def add(self, text: str | bytes, source: str) -> Policy:
        """Take a document; what was refused from this source before is forgotten.

        Raises:
            ShelfError: the document is not sound, or has another number of slots; it is noted as refused.
            StoreError: it could not be kept.
        """
        try:
            policy = load(text, source)
            self._check_fit(policy, source)
        except (DocumentError, ShelfError) as fault:
            self.refused[source] = str(fault)
            raise ShelfError(str(fault)) from None
        if policy.policy_hash not in self.policies:
            self.store.put_document(policy.policy_hash, write(policy.document))
            self.policies[policy.policy_hash] = policy
        self.refused.pop(source, None)
        return policy

    def _check_fit(self, policy: Policy, source: str) -> None:
        n_slots = policy.document.n_slots
        if n_slots != self.n_slots:
            raise ShelfError(
                f"{source}: n_slots: expected {self.n_slots}, as the service's other policies have, got {n_slots}"
            )
        try:
            self.fit(policy)
        except ValueError as fault:
            raise ShelfError(f"{source}: {fault}") from None

    def _found(self, policy_hash: str) -> Policy:
        if policy_hash not in self.policies:
            self._read_kept()
        if policy_hash not in self.policies:
            hint = did_you_mean(policy_hash, self.policies)
            raise ShelfError(f"policies: none has the hash {policy_hash!r}; expected one of GET /v1/policies.{hint}")
        return self.policies[policy_hash]

    def _read_kept(self) -> None:
        """Take the documents that other processes kept; those that this one cannot use are noted as refused."""
        for there, text in self.store.documents().items():
            if there in self.policies:
                continue
            source = f"kept policy {there[7:15]}"
            try:
                policy = load(text, source)
                self._check_fit(policy, source)
            except (DocumentError, ShelfError) as fault:
                self.refused[source] = str(fault)
            else:
                self.policies[there] = policy

    # ------------------------------------------------------------------------------------------------- what decides

    def change(self, change: Callable[[Control], Control]) -> Serving:
        """Change what decides, for all replicas.

        Raises:
            ShelfError, StoreError: it cannot be; nothing was changed.
        """

        def changed(text: str) -> str:
            before = read_control(text)
            after = change(before)
            if after is before:
                return text
            return msgspec.json.encode(msgspec.structs.replace(after, version=before.version + 1)).decode()

        return self.follow(self.store.change_note("control", changed))

    def follow(self, text: str) -> Serving:
        """Serve what a control note says; return what serves now.

        A note about a policy that this process does not know yet is followed once it does, the kill switch at once.
        """
        serving = self.serving
        if text == serving.text:
            return serving
        ready = self._made_ready(read_control(text), text)  # may read the store, so not under the lock
        with self._lock:
            if ready.control.version >= self.serving.control.version:
                self.serving = ready
            return self.serving

    def follow_if_known(self, text: str) -> Serving:
        """Do as `follow` where it takes no reading from the store; within a transaction one must not begin another."""
        serving = self.serving
        if text == serving.text:
            return serving
        control = read_control(text)
        wanted = {control.active, control.canary, control.shadow} - {""}
        if wanted <= self.policies.keys():
            return self.follow(text)
        return Serving(
            control if control.is_killed else serving.control,
            serving.text,
            serving.active,
            serving.canary,
            serving.shadow,
            serving.fallback,
        )

    def _made_ready(self, control: Control, text: str) -> Serving:
        def policy(policy_hash: str) -> Policy | None:
            try:
                return self._found(policy_hash) if policy_hash else None
            except ShelfError:  # of other slots, or of a newer version: what is wrong is noted, the rest serves
                return None

        assert self.fallback is not None
        return Serving(
            control, text, policy(control.active), policy(control.canary), policy(control.shadow), self.fallback
        )

    def refresh(self) -> Serving:
        """Serve what the store says now.

        Raises:
            StoreError: the store does not answer; what served goes on.
        """
        return self.follow(self.store.notes().get("control", ""))

    def activate(self, policy_hash: str, role: str, share: float, who: str) -> Serving:
        """Let a policy decide.

        Args:
            policy_hash: of the policy; `none` ends a canary or a shadow.
            role: `active`, `canary` or `shadow`.
            share: of the users, for a canary.
            who: asked for it, for the list of events.

        Raises:
            ShelfError: no such policy.
        """
        if policy_hash == NOBODY and role in ("canary", "shadow"):
            cleared = {role: ""}
            words = f"{who}: there is no {role} any more"
            return self.change(lambda control: msgspec.structs.replace(control, **cleared).with_event(words))
        policy = self._found(policy_hash)
        named = f"{policy.document.name!r} ({policy_hash[7:15]})"

        def change(control: Control) -> Control:
            match role:
                case "canary":
                    changed = msgspec.structs.replace(control, canary=policy_hash, share=share)
                    words = f"{who}: {named} is canary for {share:.3g} of the users"
                case "shadow":
                    changed = msgspec.structs.replace(control, shadow=policy_hash)
                    words = f"{who}: {named} is shadow"
                case _:
                    changed, words = activated(control, policy_hash), f"{who}: {named} is active"
            return changed.with_event(words)

        return self.change(change)

    def kill(self, is_killed: bool, who: str) -> Serving:
        """Turn the kill switch."""
        words = f"{who}: killed, the fallback decides" if is_killed else f"{who}: the active policy decides again"
        return self.change(lambda control: msgspec.structs.replace(control, is_killed=is_killed).with_event(words))


def activated(control: Control, policy_hash: str) -> Control:
    """Return the control with another active policy; the one that was becomes the previous one."""
    if control.active == policy_hash:
        return control
    canary = "" if control.canary == policy_hash else control.canary
    shadow = "" if control.shadow == policy_hash else control.shadow
    return msgspec.structs.replace(control, active=policy_hash, previous=control.active, canary=canary, shadow=shadow)


def read_control(text: str) -> Control:
    """Return a control note read."""
    return msgspec.json.decode(text, type=Control) if text else Control()


def silence(n_slots: int) -> Policy:
    """Return the policy that never sends."""
    return Policy(Document("silence", n_slots, Rules(()), made_by="the service"))
