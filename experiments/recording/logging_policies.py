"""Policies as a recorder asks them: probabilities for many decisions at once, and what a ledger calls them.

The document of `random` is a policy document like any other: no rules, and exploration that is all there is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from policies.codec import content_hash, write
from policies.decide import Policy
from policies.document import Document, Epsilon, Rules
from policies.vocabulary import n_actions

Probabilities = npt.NDArray[np.float64]
BatchDecider = Callable[[npt.NDArray[np.float32], npt.NDArray[Any]], npt.NDArray[Any]]

RANDOM = "random"


@dataclass(frozen=True)
class LoggingPolicy:
    """A policy whose decisions are logged.

    Attributes:
        name: for people.
        policy_hash: what ledgers call it.
        text: JSON that is kept beside the ledger: the policy's document, or what there is to say of it.
        n_actions: A, among which it chooses.
        probabilities: from observations (N, K) and masks (N, A) to probabilities (N, A); it keeps neither.
    """

    name: str
    policy_hash: str
    text: str
    n_actions: int
    probabilities: BatchDecider


def of_document(policy: Policy) -> LoggingPolicy:
    """Return a policy document's policy; it is interpreted, decision by decision."""
    document = policy.document

    def probabilities(observations: npt.NDArray[np.float32], masks: npt.NDArray[Any]) -> Probabilities:
        return np.array([policy.probabilities(*row) for row in zip(observations, masks, strict=True)])

    return LoggingPolicy(document.name, policy.policy_hash, write(document), n_actions(document.n_slots), probabilities)


def of_function(name: str, n_actions: int, probabilities: BatchDecider) -> LoggingPolicy:
    """Return a policy that has no document, only a function; its hash is that of its name and number of actions."""
    text = json.dumps({"name": name, "n_actions": n_actions}) + "\n"
    return LoggingPolicy(name, f"sha256:{hashlib.sha256(text.encode()).hexdigest()}", text, n_actions, probabilities)


def uniform_policy(n_slots: int) -> LoggingPolicy:
    """Return the policy that takes any eligible action with equal chance: the one to begin a log with.

    Its probabilities are those of its document to the last bit, for all decisions at once.
    """
    document = Document(RANDOM, n_slots, Rules(()), Epsilon(1.0))
    return LoggingPolicy(RANDOM, content_hash(document), write(document), n_actions(n_slots), uniform_over_eligible)


def uniform_over_eligible(observations: npt.NDArray[np.float32], masks: npt.NDArray[Any]) -> Probabilities:
    """Return equal probabilities over the eligible actions, shape (N, A); no_send gets what rounding leaves."""
    eligible = np.asarray(masks) != 0
    n_eligible = eligible.sum(axis=1)
    shares = 1.0 / n_eligible
    found = np.where(eligible, shares[:, np.newaxis], 0.0)
    found[:, 0] = 1.0 - (n_eligible - 1) * shares
    return found
