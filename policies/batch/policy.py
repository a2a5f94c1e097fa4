"""A policy document made ready for many users at once.

    policy = BatchPolicy(document)
    actions, propensities = policy.decide(observations, masks, uniforms)

Rows in which nothing but no_send is eligible are not looked at: in a simulation by the hour they are most.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from policies.batch.arms import BatchArms, BatchBetaArms
from policies.batch.exploration import draw, greedy_actions, shares
from policies.batch.mixture import BatchMixture, BatchPart
from policies.batch.network import BatchNetwork
from policies.batch.posterior import BatchPosterior
from policies.batch.rules import BatchRules
from policies.batch.scorecard import BatchScorecard
from policies.batch.seen import Bools, Floats, Ints, Observations, Seen
from policies.batch.tree import BatchTree
from policies.codec import check
from policies.decide import DecideError, Policy
from policies.document import Arms, BetaArms, Document, Mixture, Model, Network, Posterior, Rules, Scorecard, Tree
from policies.exploration import Greedy
from policies.vocabulary import action_names, feature_names, n_actions, n_features

Part = TypeVar("Part")
BLOCK = 2_048  # users whose observations stay in the cache while features are taken out of them one by one


class BatchDecisions(NamedTuple):
    """What was decided.

    Attributes:
        actions: 0 is no_send, shape (U,).
        propensities: the probability of each, in (0, 1], shape (U,).
    """

    actions: Ints
    propensities: Floats


class BatchChooser(Protocol):
    """A model made ready for many users."""

    def preferences(self, seen: Seen, eligible: Bools) -> Floats:
        """Return a preference for each action, -inf for those that are not eligible; shape (A, n)."""
        ...


def batch_chooser(model: Model, n_slots: int) -> BatchChooser:
    """Return a model made ready for n_slots."""
    match model:
        case Rules():
            return BatchRules(model, n_slots)
        case Scorecard():
            return BatchScorecard(model, n_slots)
        case Tree():
            return BatchTree(model, n_slots)
        case Network():
            return BatchNetwork(model, n_slots)
        case Posterior():
            return BatchPosterior(model, n_slots)
        case Arms():
            return BatchArms(model, n_slots)
        case BetaArms():
            return BatchBetaArms(model, n_slots)
        case Mixture():
            return BatchMixture(
                [BatchPart(part.weight, batch_chooser(part.model, n_slots), part.exploration) for part in model.parts]
            )


class BatchPolicy:
    """A document made ready; it holds no state.

    Its probabilities are those of `policies.decide.Policy` for each row: to the last bit for rules, scorecards, trees
    and arms without softmax, which add and compare the same numbers in the same order; to 1e-12 with softmax; to 1e-9
    for networks and posteriors. A row in which only no_send is eligible is not looked at, so that an overflow there
    stays unseen.

    Attributes:
        document: what it was made of.
        policy_hash: what ledgers call it.

    Raises:
        DocumentError: when the document is not sound, or a parity vector does not come out as written.
    """

    def __init__(self, document: Document) -> None:
        self._single = single = Policy(document)  # checks the document and its parity vectors
        self.document = document
        self.policy_hash = single.policy_hash
        checked = check(document)
        self._is_mixture = isinstance(checked.model, Mixture)
        self._n_slots = checked.n_slots
        self._exploration = checked.exploration
        self._chooser = batch_chooser(checked.model, checked.n_slots)

    def probabilities(self, observations: Observations, masks: npt.NDArray[Any]) -> Floats:
        """Return the probability of each action, exactly 0 where it is not eligible, shape (U, A).

        Args:
            observations: in the vocabulary's order, encoded, finite, float32 or float64, shape (U, 29 + 7 C).
            masks: True, or 1, where an action is eligible; no_send always is; shape (U, A).

        Raises:
            DecideError: an argument is not so, or preferences overflow; the message names the row.
        """
        try:
            return np.concatenate(_by_blocks(self._probabilities, observations, masks))
        except DecideError:
            if self.document.fallback is None:
                raise
        return np.array(  # which rows have no answer is not known: this happens once in a policy's life, if ever
            [self._single.probabilities(seen, mask) for seen, mask in zip(observations, masks, strict=True)]
        ).reshape(masks.shape)

    def _probabilities(self, observations: Observations, masks: npt.NDArray[Any]) -> Floats:
        rows, found = self._shares(observations, masks)
        whole = np.zeros(masks.shape)
        whole[:, 0] = 1.0
        if rows.size:
            whole[rows] = found.T
        return whole

    def decide(
        self, observations: Observations, masks: npt.NDArray[Any], uniforms: npt.NDArray[np.float64]
    ) -> BatchDecisions:
        """Decide for each user.

        Args:
            observations, masks: as of `probabilities`.
            uniforms: drawn by the caller, in [0, 1), shape (U,).

        Raises:
            DecideError: an argument is not so, or preferences overflow; the message names the row.
        """
        self._check_uniforms(uniforms, len(observations))
        try:
            parts = _by_blocks(self._decide, observations, masks, uniforms)
        except DecideError:
            if self.document.fallback is None:
                raise
            rows = zip(observations, masks, uniforms.tolist(), strict=True)
            found = [self._single.decide(seen, mask, uniform, explain=False) for seen, mask, uniform in rows]
            actions = np.array([one.action for one in found], np.int64)
            return BatchDecisions(actions, np.array([one.propensity for one in found]))
        return BatchDecisions(*map(np.concatenate, zip(*parts, strict=True)))

    def _decide(
        self, observations: Observations, masks: npt.NDArray[Any], uniforms: npt.NDArray[np.float64]
    ) -> BatchDecisions:
        actions, propensities = np.zeros(len(masks), np.int64), np.ones(len(masks))
        if isinstance(self._exploration, Greedy) and not self._is_mixture:
            rows, _, _, preferences = self._preferences(observations, masks)
            if rows.size:
                actions[rows] = greedy_actions(preferences)
            return BatchDecisions(actions, propensities)
        rows, found = self._shares(observations, masks)
        if rows.size:
            drawn = draw(found, uniforms[rows])
            actions[rows] = drawn
            propensities[rows] = found[drawn, np.arange(rows.size)]
        return BatchDecisions(actions, propensities)

    def _shares(self, observations: Observations, masks: npt.NDArray[Any]) -> tuple[Ints, Floats]:
        """Return the rows with a choice, and of these the probability of each action, shapes (n,) and (A, n)."""
        rows, seen, eligible, preferences = self._preferences(observations, masks)
        if not rows.size:
            return rows, preferences
        if self._is_mixture:
            return rows, np.maximum(preferences, 0.0)
        with np.errstate(over="ignore", invalid="ignore"):  # told below
            found = shares(self._chooser, self._exploration, seen, eligible, preferences)
        is_sound = np.isfinite(found.sum(axis=0))
        if not is_sound.all():
            where = f"row {rows[is_sound.argmin()]}: standard deviation of a score"
            raise self._error(where, "a finite number from these features", "inf")
        return rows, found

    def _preferences(self, observations: Observations, masks: npt.NDArray[Any]) -> tuple[Ints, Seen, Bools, Floats]:
        """Return the rows with a choice, and of these what is seen, what is eligible, and preferences, (A, n) each."""
        allowed = self._checked_masks(masks, len(observations))
        self._check_observations(observations)
        rows = np.flatnonzero(allowed[1:].any(axis=0))
        if rows.size < len(observations):
            observations, allowed = observations[rows], allowed[:, rows]
        seen = Seen(observations, self._n_slots)
        if not rows.size:
            return rows, seen, allowed, np.empty(allowed.shape)
        with np.errstate(over="ignore", invalid="ignore"):  # told below, with the row
            preferences = self._chooser.preferences(seen, allowed)
        is_sound = np.isfinite(preferences) | ~allowed
        if not is_sound.all():
            action, place = (int(k[0]) for k in np.nonzero(~is_sound))
            where = f"row {rows[place]}: preference of {action_names(self._n_slots)[action]}"
            raise self._error(where, "a finite number from these features", preferences[action, place])
        return rows, seen, allowed, preferences

    def _checked_masks(self, masks: npt.NDArray[Any], n: int) -> Bools:
        """Return masks action by action, shape (A, U)."""
        expected = (n, n_actions(self._n_slots))
        if masks.shape != expected:
            raise self._error("masks", f"shape {expected}, a row an observation and an action a column", masks.shape)
        allowed = np.ascontiguousarray(masks.T)
        if allowed.dtype != np.bool_:
            flags = allowed != 0
            is_flag = (allowed == 1) | ~flags
            if not is_flag.all():
                action, row = (int(k[0]) for k in np.nonzero(~is_flag))
                raise self._error(f"masks[{row}, {action}]", "true or false, 1 or 0", allowed[action, row])
            allowed = flags
        if not allowed[0].all():
            row = int(allowed[0].argmin())
            raise self._error(f"masks[{row}, 0] (no_send)", "true, silence is always eligible", False)
        return allowed

    def _check_observations(self, observations: Observations) -> None:
        width = n_features(self._n_slots)
        if observations.ndim != 2 or observations.shape[1] != width:
            formula = f"shape (U, {width}) (29 + 7 * {self._n_slots} slots)"
            raise self._error("observations", formula, observations.shape)
        with np.errstate(over="ignore", invalid="ignore"):
            # The usual case in one pass: a sum that is finite has only finite terms.
            if np.isfinite(observations.sum()):
                return
        is_finite = np.isfinite(observations)
        if not is_finite.all():
            row, index = (int(k[0]) for k in np.nonzero(~is_finite))
            where = f"observations[{row}, {index}] ({feature_names(self._n_slots)[index]})"
            raise self._error(where, "a finite number", observations[row, index])

    def _check_uniforms(self, uniforms: npt.NDArray[np.float64], n: int) -> None:
        if uniforms.shape != (n,):
            raise self._error("uniforms", f"shape ({n},), one a row", uniforms.shape)
        is_within = (uniforms >= 0.0) & (uniforms < 1.0)
        if not is_within.all():
            row = int(is_within.argmin())
            raise self._error(f"uniforms[{row}]", "a number in [0, 1)", uniforms[row])

    def _error(self, where: str, expected: str, got: object) -> DecideError:
        return DecideError(f"policy {self.document.name!r}: {where}: expected {expected}, got {got}")


def _by_blocks(work: Callable[..., Part], *columns: npt.NDArray[Any]) -> list[Part]:
    """Return what work makes of the users, some at a time; a fault is told by the row among all of them."""
    n = len(columns[0])
    if n > BLOCK and all(len(column) == n for column in columns):
        blocks = [slice(start, start + BLOCK) for start in range(0, n, BLOCK)]
        with suppress(DecideError):  # told below
            return [work(*(column[block] for column in columns)) for block in blocks]
    return [work(*columns)]
