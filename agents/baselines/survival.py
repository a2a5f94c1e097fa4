"""Survival threshold: send where a message makes a visit within T hours more probable by more than a threshold.

The time to the next visit is a survival time. Under the log-logistic accelerated failure time model, with a model of
the location for silence and for each channel,

    P(visit within T | x, a) = sigmoid((ln T - mu_a(x)) / sigma),

which at the one T that the rule reads is a logistic regression of "came within T". The uplift is the difference of two
of these, not linear in x, so the document is a network: a unit tanh(z / 2) for silence and for each candidate.

Source: Yuan, Zhang, Chatterjee, Yu & Rosales, A state transition model for mobile notifications via survival analysis
(WSDM 2019), whose threshold on the difference in visit probability is the production rule that Yuan et al., Offline
reinforcement learning for mobile notifications (CIKM 2022), compare with. They fit a Weibull; the log-logistic is a
modelling choice, because its probabilities are exact in a document.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from agents.agent import Floats, Observations
from agents.baselines.frequency import MOST_GAP_HOURS, NEVER_POINTS
from agents.baselines.linear import logistic
from agents.baselines.pilot import Pilot
from agents.baselines.scored import KNOBS, MOST_WINDOW_HOURS, threshold_at, without_the_unseen
from agents.designs import EMAIL, NO_SEND, PUSH, Candidates
from agents.settings import Settings
from policies.document import Document, Layer, Network, NetworkInput
from policies.vocabulary import CHANNELS_OF_A_SLOT, N_SLOT_FEATURES, N_USER_FEATURES, USER_FEATURES, feature_names

SINCE_SEND = [feature.name for feature in USER_FEATURES].index("hours_since_send")
SATURATED = 20.0  # where tanh is 1 in double precision
GATE_WEIGHT = 10.0  # beyond any difference of probabilities


class Survival(Settings):
    """What is tuned around the model of visits.

    Attributes:
        window_hours: T, within which a visit counts; at most the pilot's longest window.
        sent_share: the threshold, as the share of the pilot's occasions at which the best candidate beats it.
        gap_hours: least time since the last send, whole hours.
        penalty: of the model's ridge, in decisions.
    """

    needs_pilot: ClassVar[bool] = True
    kind: Literal["survival"] = "survival"
    window_hours: int = Field(24, ge=1, le=MOST_WINDOW_HOURS)
    sent_share: float = Field(0.3, gt=0, le=1)
    gap_hours: int = Field(20, ge=0, le=int(MOST_GAP_HOURS))
    penalty: float = Field(10.0, gt=0, le=1e9)

    def document(self, log: Pilot) -> Document:
        """Return the policy that a pilot teaches."""
        design = Candidates(log.problem)
        heads = visit_model(log, design, self.window_hours, self.penalty)
        uplifts = np.where(log.masks[:, 1:], visit_uplifts(design, log.observations, heads)[:, 1:], -np.inf)
        threshold = threshold_at(uplifts.max(axis=1), log.weights, self.sent_share)
        model = network(design, heads, threshold, float(self.gap_hours), log.problem.n_slots)
        return Document(self.kind, log.problem.n_slots, model, made_by="a pilot at random")


GRID = tuple(Survival(window_hours=hours, sent_share=share, gap_hours=gap) for hours, share, gap in KNOBS)


def visit_model(log: Pilot, design: Candidates, window_hours: int, penalty: float) -> Floats:
    """Return weights by head, shape (3, D): the logit of a visit within T after silence, a push, an e-mail.

    Raises:
        ValueError: T is longer than the pilot's longest window, so that later visits are not known.
    """
    rows, heads = design.taken(log.observations, log.actions)
    has_come = log.came_within(window_hours).astype(np.float64)
    found = np.zeros((design.n_heads, design.n_inputs))
    for head in range(design.n_heads):
        is_own = heads == head
        if is_own.any():
            found[head] = logistic(rows[is_own], has_come[is_own], log.weights[is_own], penalty)
    return without_the_unseen(found, heads)


def visit_uplifts(design: Candidates, observations: Observations, heads: Floats) -> Floats:
    """Return by how much each action makes a visit within T more probable, shape (U, A); 0 for silence."""
    logits = design.of_actions(design.rows(observations) @ heads.T)
    shares = 0.5 * (1.0 + np.tanh(0.5 * logits))
    # A channel that was never tried is never chosen, whatever the threshold.
    found: Floats = np.where(logits > NEVER_POINTS / 2, shares - shares[:, :1], NEVER_POINTS)
    return found


def network(design: Candidates, heads: Floats, threshold: float, gap_hours: float, n_slots: int) -> Network:
    """Return the document's network: outputs are the uplifts, the threshold for silence.

    A further unit jumps from -1 to 1 between gap_hours - 1 and gap_hours since the last send and takes the candidates
    far below the threshold before; hours since the last send are whole, so the jump is exact.
    """
    channels = len(CHANNELS_OF_A_SLOT)
    n_inputs, n_actions = N_USER_FEATURES + N_SLOT_FEATURES * n_slots, 1 + channels * n_slots
    weights, biases = np.zeros((n_actions + 1, n_inputs)), np.zeros(n_actions + 1)
    scaled = heads[:, 1:] / design.scale
    bases = heads[:, 0] - scaled @ design.mean
    user, own = slice(0, N_USER_FEATURES), slice(N_USER_FEATURES, None)
    weights[0, user] = scaled[NO_SEND, user] / 2
    biases[0] = (heads[NO_SEND, 0] - scaled[NO_SEND, user] @ design.mean[user]) / 2
    for action in range(1, n_actions):
        slot, channel = divmod(action - 1, channels)
        head = (PUSH, EMAIL)[channel]
        first = N_USER_FEATURES + slot * N_SLOT_FEATURES
        weights[action, user] = scaled[head, user] / 2
        weights[action, first : first + N_SLOT_FEATURES] = scaled[head, own] / 2
        biases[action] = bases[head] / 2
    if gap_hours > 0:
        before, at = math.log1p(gap_hours - 1.0), math.log1p(gap_hours)
        slope = 2.0 * SATURATED / (at - before)
        weights[-1, SINCE_SEND], biases[-1] = slope, -slope * (before + at) / 2
    else:
        biases[-1] = SATURATED
    out, out_bias = np.zeros((n_actions, n_actions + 1)), np.full(n_actions, -GATE_WEIGHT)
    out_bias[0] = threshold
    for action in range(1, n_actions):
        out[action, action], out[action, 0], out[action, -1] = 0.5, -0.5, GATE_WEIGHT
        if heads[(PUSH, EMAIL)[(action - 1) % channels], 0] <= NEVER_POINTS / 2:
            out_bias[action] -= GATE_WEIGHT
    hidden = Layer(tuple(map(tuple, weights.tolist())), tuple(biases.tolist()), "tanh")
    last = Layer(tuple(map(tuple, out.tolist())), tuple(out_bias.tolist()), "identity")
    return Network(tuple(NetworkInput(name) for name in feature_names(n_slots)), (hidden, last))
