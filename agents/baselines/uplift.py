"""Uplift: send where a message is expected to add most to the reward of the time after it, by a T- or an X-learner.

T-learner: a model of the outcome for each treatment and one for none; the uplift is their difference.
X-learner: with these, impute what the other arm would have brought, D1 = Y - mu0(x) where something was sent and
D0 = mu1(x) - Y where nothing was; a model of each, tau1 and tau0; the uplift is g tau0 + (1 - g) tau1 with g the
probability of being sent something. It is better where one arm has far fewer rows, as sends have.

Treatments are channels: candidates share the model of their channel, which reads the candidate's own features.

Source: Künzel, Sekhon, Bickel & Yu, Metalearners for estimating heterogeneous treatment effects using machine learning
(PNAS 2019), the T-learner and the X-learner, the latter with the propensity as its weight g.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from agents.agent import Floats
from agents.baselines.linear import ridge, scorecard
from agents.baselines.pilot import Pilot
from agents.baselines.scored import (
    KNOBS,
    Scored,
    best_scores,
    threshold_at,
    without_the_unseen,
)
from agents.designs import EMAIL, NO_SEND, PUSH, Candidates
from policies.document import Document
from policies.vocabulary import N_USER_FEATURES


class Uplift(Scored):
    """Ridge models of the pilot's reward within its window.

    Attributes:
        kind: which learner.
    """

    kind: Literal["uplift_t", "uplift_x"] = "uplift_x"

    def document(self, log: Pilot) -> Document:
        """Return the policy that a pilot teaches."""
        design = Candidates(log.problem)
        learner = t_learner if self.kind == "uplift_t" else x_learner
        heads = learner(log, design, self.window_hours, self.penalty)
        threshold = threshold_at(best_scores(log, design, heads), log.weights, self.sent_share)
        return self.around(self.kind, scorecard(design, heads), threshold, log.problem.n_slots)


T_GRID = tuple(
    Uplift(kind="uplift_t", window_hours=hours, sent_share=share, gap_hours=gap) for hours, share, gap in KNOBS
)
X_GRID = tuple(
    Uplift(kind="uplift_x", window_hours=hours, sent_share=share, gap_hours=gap) for hours, share, gap in KNOBS
)


def t_learner(log: Pilot, design: Candidates, window_hours: int, penalty: float) -> Floats:
    """Return weights by head, shape (3, D): the outcome under silence, a push, an e-mail.

    A channel that was never sent by is never chosen.

    Args:
        window_hours: of the rewards; one of the pilot's.
    """
    rewards = log.rewards_within(window_hours)
    rows, heads = design.taken(log.observations, log.actions)
    found = np.zeros((design.n_heads, design.n_inputs))
    for head in range(design.n_heads):
        is_own = heads == head
        if is_own.any():
            found[head] = ridge(rows[is_own], rewards[is_own], log.weights[is_own], penalty)
    return without_the_unseen(found, heads)


def x_learner(log: Pilot, design: Candidates, window_hours: int, penalty: float) -> Floats:
    """Return weights by head, shape (3, D): zeros for silence, the uplift of a push, of an e-mail.

    Of silent rows every eligible candidate is imputed: none of them was sent, and each could have been.
    """
    rewards = log.rewards_within(window_hours)
    outcomes = t_learner(log, design, window_hours, penalty)
    rows, heads = design.taken(log.observations, log.actions)
    silent = np.flatnonzero(heads == NO_SEND)
    found = np.zeros((design.n_heads, design.n_inputs))
    share = _sent_share(log)
    for head in (PUSH, EMAIL):
        is_sent = heads == head
        if not is_sent.any():
            continue
        sent = rows[is_sent]
        of_sent = ridge(sent, rewards[is_sent] - _under_silence(sent, outcomes), log.weights[is_sent], penalty)
        which, action = np.nonzero(log.masks[silent][:, head::2])
        users = silent[which]
        others, _ = design.taken(log.observations[users], head + 2 * action)
        n_each = log.masks[silent][:, head::2].sum(axis=1)[which]
        gains = others @ outcomes[head] - rewards[users]
        of_silent = ridge(others, gains, log.weights[users] / n_each, penalty) if len(users) else of_sent
        found[head] = share * of_silent + (1 - share) * of_sent
    return without_the_unseen(found, heads)


def _under_silence(rows: Floats, outcomes: Floats) -> Floats:
    """Return what silence would have brought, from rows of candidates, shape (N,)."""
    own = slice(0, 1 + N_USER_FEATURES)
    found: Floats = rows[:, own] @ outcomes[NO_SEND, own]
    return found


def _sent_share(log: Pilot) -> float:
    """Return g, the probability of a send where there was a choice; a pilot draws by the same one everywhere."""
    return float(log.weights[log.is_send].sum() / log.weights.sum())
