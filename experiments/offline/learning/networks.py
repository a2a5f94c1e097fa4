"""What learners from logs share: their schedule, their network, minibatches of transitions, and the policy learned."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from agents.training_extra import missing
from experiments.offline.learning.transitions import Transitions
from experiments.offline.logs.logged import Bools, Floats
from experiments.offline.models.standardise import centre_and_spread

try:
    import torch
    from torch import nn
except ModuleNotFoundError as error:
    raise missing(error) from error

Allowed = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # of observations and eligibility, more narrowly


@dataclass(frozen=True)
class Schedule:
    """How long and how finely is learned.

    Attributes:
        n_steps: gradient steps.
        batch_size: transitions in each.
        learning_rate: of Adam (Kingma & Ba, ICLR 2015).
        hidden: units of each hidden layer.
        target_every: steps after which the target network is copied anew (Mnih et al., Nature 2015).

    Raises:
        ValueError: one of them is not above 0.
    """

    n_steps: int = 5_000
    batch_size: int = 128
    learning_rate: float = 1e-3
    hidden: tuple[int, ...] = (64, 64)
    target_every: int = 100

    def __post_init__(self) -> None:
        """Check that all are above 0."""
        for name in ("n_steps", "batch_size", "learning_rate", "target_every"):
            if not getattr(self, name) > 0:
                raise ValueError(f"Schedule: {name}: expected above 0, got {getattr(self, name)}")
        if any(units < 1 for units in self.hidden):
            raise ValueError(f"Schedule: hidden: expected layers of at least 1 unit, got {self.hidden}")


@dataclass(frozen=True, eq=False)
class Batch:
    """Some transitions as tensors; observations are standardised. Shapes (B, K), (B, A), (B,), as in `Transitions`."""

    observations: torch.Tensor
    eligible: torch.Tensor
    actions: torch.Tensor
    rewards: torch.Tensor
    discounts: torch.Tensor
    next_observations: torch.Tensor
    next_eligible: torch.Tensor


@dataclass(frozen=True, eq=False)
class Scaling:
    """Standardises observations by their mean and standard deviation in the log, each of shape (K,)."""

    centre: Floats
    spread: Floats

    def tensor(self, observations: Floats) -> torch.Tensor:
        """Return observations of shape (M, K) as float32."""
        return torch.as_tensor((observations - self.centre) / self.spread, dtype=torch.float32)


@dataclass(frozen=True, eq=False)
class LearnedPolicy:
    """Takes the action of the highest learned value among those that it is allowed.

    Attributes:
        q: from standardised observations to the value of each action.
        scaling: of observations.
        allowed: which eligible actions it may take; None: all.
    """

    q: nn.Module
    scaling: Scaling
    allowed: Allowed | None = None

    def values(self, observations: Floats) -> Floats:
        """Return the learned value of each action, shape (N, A), for observations of shape (N, K)."""
        with torch.no_grad():
            found: Floats = np.asarray(self.q(self.scaling.tensor(observations)).numpy(), np.float64)
        return found

    def probabilities(self, observations: Floats, eligible: Bools | None = None) -> Floats:
        """Return certainty of the greedy action in each row, shape (N, A), as a target policy for a check.

        Args:
            observations: shape (N, K).
            eligible: shape (N, A); None: all.

        Raises:
            ValueError: nothing is eligible in a row.
        """
        values = self.values(observations)
        mask = np.ones(values.shape, np.bool_) if eligible is None else np.asarray(eligible, np.bool_)
        if not mask.any(axis=1).all():
            raise ValueError(f"eligible: expected an action in each row, got none in row {mask.any(axis=1).argmin()}")
        if self.allowed is not None:
            with torch.no_grad():
                mask = self.allowed(self.scaling.tensor(observations), torch.as_tensor(mask)).numpy()
        chosen: Floats = np.eye(values.shape[1])[np.where(mask, values, -np.inf).argmax(axis=1)]
        return chosen


def scaling_of(transitions: Transitions) -> Scaling:
    """Return the scaling that gives observations mean 0 and standard deviation 1."""
    return Scaling(*centre_and_spread(transitions.observations))


def network(n_features: int, n_actions: int, hidden: tuple[int, ...]) -> nn.Module:
    """Return layers of rectified linear units from observations to a number for each action."""
    layers: list[nn.Module] = []
    for units in hidden:
        layers += [nn.Linear(n_features, units), nn.ReLU()]
        n_features = units
    return nn.Sequential(*layers, nn.Linear(n_features, n_actions))


def batches(transitions: Transitions, scaling: Scaling, schedule: Schedule, seed: int) -> Iterator[Batch]:
    """Yield minibatches drawn with replacement, one a gradient step."""
    whole = Batch(
        scaling.tensor(transitions.observations), torch.as_tensor(transitions.eligible),
        torch.as_tensor(transitions.actions), torch.as_tensor(transitions.rewards, dtype=torch.float32),
        torch.as_tensor(transitions.discounts, dtype=torch.float32), scaling.tensor(transitions.next_observations),
        torch.as_tensor(transitions.next_eligible),
    )  # fmt: skip
    rng = np.random.default_rng(seed)
    for _ in range(schedule.n_steps):
        rows = torch.as_tensor(rng.integers(0, len(transitions), schedule.batch_size))
        yield Batch(**{name: column[rows] for name, column in vars(whole).items()})


def only(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return values with -inf where a mask is false, both of shape (B, A)."""
    return values.masked_fill(~mask, -torch.inf)


def of_actions(values: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
    """Return each row's value of one action, shape (B,)."""
    return values.gather(1, actions[:, None]).squeeze(1)
