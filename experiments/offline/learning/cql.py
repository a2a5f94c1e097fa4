"""Conservative Q-learning: values of actions that the log does not take are pushed down until the log is preferred."""

from __future__ import annotations

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
    from torch.nn import functional
except ModuleNotFoundError as error:
    raise missing(error) from error


def learn_cql(
    log: LoggedTrajectories, conservatism: float = 1.0, schedule: Schedule | None = None, seed: int = 0
) -> LearnedPolicy:
    """Return the policy that CQL(H) learns from a log.

    The loss is

        conservatism * mean( log sum_a exp Q(x, a) - Q(x, a_taken) )  +  mean( (Q(x, a_taken) - y)^2 ) / 2
        y = r + gamma ** elapsed_hours * Q_target(x', argmax_a' Q(x', a'))

    with sums and maxima over eligible actions only. The next action is chosen by the network and valued by the target
    network (van Hasselt, Guez & Silver, AAAI 2016): a modelling choice, since a maximum of errors is no value.

    Args:
        log: propensities are not asked for.
        conservatism: alpha, at least 0, in units of the reward; 0 is double Q-learning, which
            believes what it imagines.
        schedule: None: the default one.
        seed: of weights and minibatches; the same seed gives the same weights.

    Raises:
        ValueError: conservatism is negative, or no transition is known.

    Source: Kumar, Zhou, Tucker & Levine, "Conservative Q-learning for offline reinforcement learning" (NeurIPS 2020),
    eq. 4, for discrete actions.
    """
    if not conservatism >= 0.0:
        raise ValueError(f"conservatism: expected at least 0, got {conservatism}")
    schedule = schedule or Schedule()
    transitions = transitions_of(log)
    scaling = scaling_of(transitions)
    with Generators(seed).lent():
        q = network(len(log.features), log.n_actions, schedule.hidden)
        target = deepcopy(q)
        optimiser = torch.optim.Adam(q.parameters(), lr=schedule.learning_rate)
        for step, batch in enumerate(batches(transitions, scaling, schedule, seed)):
            if step % schedule.target_every == 0:
                target.load_state_dict(q.state_dict())
            with torch.no_grad():
                best = only(q(batch.next_observations), batch.next_eligible).argmax(dim=1)
                wanted = batch.rewards + batch.discounts * of_actions(target(batch.next_observations), best)
            values = q(batch.observations)
            taken = of_actions(values, batch.actions)
            excess = torch.logsumexp(only(values, batch.eligible), dim=1) - taken
            loss = conservatism * excess.mean() + 0.5 * functional.mse_loss(taken, wanted)
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
    return LearnedPolicy(q.eval(), scaling)
