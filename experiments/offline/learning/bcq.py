"""Batch-constrained Q-learning: only actions that the log takes often enough, in states like this, are considered."""

from __future__ import annotations

import math
from copy import deepcopy

from agents.reinforcement.generators import Generators
from agents.training_extra import missing
from experiments.offline.learning.networks import (
    LearnedPolicy,
    Schedule,
    batches,
    network,
    of_actions,
    only,
    scaling_of,
)
from experiments.offline.learning.transitions import transitions_of
from experiments.offline.logs.trajectories import LoggedTrajectories

try:
    import torch
    from torch import nn
    from torch.nn import functional
except ModuleNotFoundError as error:
    raise missing(error) from error

LOGIT_PENALTY = 1e-2  # on squared logits of the imitation: of the authors' program


def learn_bcq(
    log: LoggedTrajectories, threshold: float = 0.3, schedule: Schedule | None = None, seed: int = 0
) -> LearnedPolicy:
    """Return the policy that discrete BCQ learns from a log.

    An action is allowed where it is eligible and G(a | x) / max_a' G(a' | x) > threshold, with G a network that
    imitates the log. Among those, Q is learned by

        y = r + gamma ** elapsed_hours * Q_target(x', argmax over allowed a' of Q(x', a'))

    and Huber's loss, and the greedy policy acts.

    Args:
        log: propensities are not asked for.
        threshold: tau, in [0, 1); 0 is double Q-learning, near 1 imitates the log's most frequent action.
        schedule: None: the default one.
        seed: of weights and minibatches; the same seed gives the same weights.

    Raises:
        ValueError: threshold is out of [0, 1), or no transition is known.

    Source: Fujimoto, Conti, Ghavamzadeh & Pineau, "Benchmarking batch deep reinforcement learning algorithms"
    (NeurIPS 2019 deep RL workshop), discrete BCQ; Q and G are networks of their own here, which share no layers.
    """
    if not 0.0 <= threshold < 1.0:
        raise ValueError(f"threshold: expected at least 0 and below 1, got {threshold}")
    schedule = schedule or Schedule()
    transitions = transitions_of(log)
    scaling = scaling_of(transitions)
    with Generators(seed).lent():
        q = network(len(log.features), log.n_actions, schedule.hidden)
        imitation = network(len(log.features), log.n_actions, schedule.hidden)
        target = deepcopy(q)
        optimiser = torch.optim.Adam([*q.parameters(), *imitation.parameters()], lr=schedule.learning_rate)
        for step, batch in enumerate(batches(transitions, scaling, schedule, seed)):
            if step % schedule.target_every == 0:
                target.load_state_dict(q.state_dict())
            with torch.no_grad():
                likely = allowed(imitation, threshold, batch.next_observations, batch.next_eligible)
                best = only(q(batch.next_observations), likely).argmax(dim=1)
                wanted = batch.rewards + batch.discounts * of_actions(target(batch.next_observations), best)
            taken = of_actions(q(batch.observations), batch.actions)
            logits = imitation(batch.observations)
            imitated = functional.cross_entropy(only(logits, batch.eligible), batch.actions)
            loss = functional.smooth_l1_loss(taken, wanted) + imitated + LOGIT_PENALTY * logits.square().mean()
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
    imitation.eval()
    return LearnedPolicy(q.eval(), scaling, lambda rows, eligible: allowed(imitation, threshold, rows, eligible))


def allowed(imitation: nn.Module, threshold: float, observations: torch.Tensor, eligible: torch.Tensor) -> torch.Tensor:
    """Return which actions are eligible and likely enough under the imitation of the log, shape (B, A)."""
    if threshold == 0.0:
        return eligible
    logits = only(imitation(observations), eligible)
    most = logits.max(dim=1, keepdim=True).values
    return logits - most > math.log(threshold)
