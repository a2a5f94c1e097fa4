"""How an action was chosen among those that were eligible: by conditional logit, or by boosted trees.

    P(a | x, E) = exp(b_a + w_a . x) / sum over a' in E of exp(b_a' + w_a' . x),   0 for a not in E

A multinomial regression that does not know what could have been done learns from rounds in which an action could not
be taken that it was not wanted. Where everything always could, the two are the same.

Trees see what was eligible as features, and share out again what they leave to the rest.

Source: McFadden, "Conditional logit analysis of qualitative choice behavior" (1974), eq. 12.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp, softmax

from experiments.offline.logs.logged import Bools, Floats, Ints
from experiments.offline.models.standardise import centre_and_spread

PENALTY = 0.1  # on squared weights of standardised features, half a sum beside that of all rounds' log-likelihoods
MOST_ITERATIONS = 1_000


class ChoiceModel(Protocol):
    """Learns from some rounds how actions are chosen, and says how likely each is in others."""

    def __init__(self, n_actions: int) -> None:
        """Know nothing yet of A actions."""
        ...

    def fit(self, context: Floats, actions: Ints, eligible: Bools) -> None:
        """Learn; shapes (N, K), (N,) and (N, A); each of the A actions is taken somewhere, where it is eligible."""
        ...

    def predict(self, context: Floats, eligible: Bools) -> Floats:
        """Return the probability of each action, 0 for what is not eligible, shape (N, A)."""
        ...


class ConditionalLogit:
    """Learns from some rounds how actions are chosen, and says how likely each is in others."""

    def __init__(self, n_actions: int) -> None:
        self._n_actions = n_actions
        self._centre, self._spread = np.zeros(0), np.ones(0)
        self._coefficients = np.zeros((1, n_actions))

    def fit(self, context: Floats, actions: Ints, eligible: Bools) -> None:
        """Maximise the penalised likelihood; levels b are not penalised.

        Args:
            context: shape (N, K).
            actions: taken, eligible ones, shape (N,); each of the A somewhere.
            eligible: shape (N, A).
        """
        self._centre, self._spread = centre_and_spread(context)
        design = self._design(context)
        chosen = np.zeros((len(actions), self._n_actions))
        chosen[np.arange(len(actions)), actions] = 1.0
        counts = design.T @ chosen
        # A log of shares to begin from: with no features it is the answer where everything was eligible.
        start = np.zeros((design.shape[1], self._n_actions))
        start[0] = np.log(chosen.mean(axis=0))

        def loss(flat: Floats) -> tuple[float, Floats]:
            coefficients = flat.reshape(start.shape)
            scores = np.where(eligible, design @ coefficients, -np.inf)
            log_sum = logsumexp(scores, axis=1)
            weights = coefficients[1:]
            value = log_sum.sum() - (counts * coefficients).sum() + 0.5 * PENALTY * (weights**2).sum()
            gradient = design.T @ np.exp(scores - log_sum[:, None]) - counts
            gradient[1:] += PENALTY * weights
            return value / len(actions), gradient.ravel() / len(actions)

        found = minimize(
            loss, start.ravel(), jac=True, method="L-BFGS-B",
            options={"maxiter": MOST_ITERATIONS, "maxfun": 2 * MOST_ITERATIONS, "gtol": 1e-7, "ftol": 1e-13},
        )  # fmt: skip
        self._coefficients = found.x.reshape(start.shape)

    def predict(self, context: Floats, eligible: Bools) -> Floats:
        """Return the probability of each action, 0 for what is not eligible, shape (N, A)."""
        found: Floats = softmax(np.where(eligible, self._design(context) @ self._coefficients, -np.inf), axis=1)
        return found

    def _design(self, context: Floats) -> Floats:
        return np.column_stack([np.ones(len(context)), (context - self._centre) / self._spread])


class BoostedChoices:
    """Gradient boosted trees of scikit-learn, for choices that no line parts."""

    def __init__(self, n_actions: int) -> None:
        self._n_actions = n_actions
        self._model: Any = None

    def fit(self, context: Floats, actions: Ints, eligible: Bools) -> None:
        """Grow trees."""
        from sklearn.ensemble import HistGradientBoostingClassifier

        self._model = HistGradientBoostingClassifier(
            max_iter=100, learning_rate=0.05, max_leaf_nodes=15, min_samples_leaf=40, l2_regularization=1.0,
            early_stopping=False, random_state=0,
        )  # fmt: skip
        self._model.fit(np.column_stack([context, eligible]), actions)

    def predict(self, context: Floats, eligible: Bools) -> Floats:
        """Return the probability of each action, 0 for what is not eligible, shape (N, A)."""
        found = np.zeros((len(context), self._n_actions))
        found[:, self._model.classes_] = self._model.predict_proba(np.column_stack([context, eligible]))
        found *= eligible
        shares: Floats = found / found.sum(axis=1, keepdims=True)
        return shares


CHOICES: Mapping[str, type[ConditionalLogit] | type[BoostedChoices]] = MappingProxyType(
    {"conditional logit": ConditionalLogit, "boosted trees": BoostedChoices}
)
