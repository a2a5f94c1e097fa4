"""Neural-linear: linear Thompson sampling over regressors that a network learns.

A network of one hidden layer is trained now and then on the rewards remembered; its hidden units, with a constant, are
the regressors of a Bayesian linear model of each head, which is exact between trainings and made anew after each.

Source: Riquelme, Tucker & Snoek, Deep Bayesian Bandits Showdown (ICLR 2018), section 4. Modelling choices: the noise
is a config field where they learn it by an inverse gamma; the last `n_memory` decisions are remembered where they keep
all, and what is longer ago is lost at the next training.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from agents.agent import Bools, Choices, Experience, Floats, Ints, Observations, State, joined, part_of, require_state
from agents.bandits.bandit import Bandit
from agents.bandits.beliefs.linear_posterior import LinearPosterior
from agents.bandits.beliefs.normal_draws import drawn_best, probabilities_of_best
from agents.bandits.beliefs.perceptron import fit, hidden_rows, initial_weights
from agents.bandits.documents import posterior_document
from agents.bandits.settings import NeuralLinearSettings
from agents.designs import design_of
from agents.problem import Problem
from policies.document import Document
from policies.exploration import Greedy, Thompson


class LearnedDesign:
    """A design whose regressors are hidden units over those of another."""

    def __init__(self, problem: Problem, n_hidden: int, rng: np.random.Generator) -> None:
        self.base = design_of(problem)
        self.n_heads, self.n_inputs = self.base.n_heads, 1 + n_hidden
        self.mean, self.scale = self.base.mean, self.base.scale  # of what the network reads
        self.weights = initial_weights(self.base.n_inputs, n_hidden, self.n_heads, rng)

    def rows(self, observations: Observations) -> Floats:
        """Return [1, tanh(W x)], shape (R, D)."""
        return hidden_rows(self.weights, self.base.rows(observations))

    def of_actions(self, scores: Floats) -> Floats:
        """Return scores by action, as the other design has it."""
        return self.base.of_actions(scores)

    def taken(self, observations: Observations, actions: Ints) -> tuple[Floats, Ints]:
        """Return regressors and head of the actions taken."""
        rows, heads = self.base.taken(observations, actions)
        return hidden_rows(self.weights, rows), heads


class NeuralMemory:
    """The network, the linear models over it, and the decisions to train them on, the last ones in a ring."""

    def __init__(self, settings: NeuralLinearSettings, problem: Problem) -> None:
        self.settings = settings
        self.design = LearnedDesign(problem, settings.n_hidden, np.random.default_rng(settings.seed))
        ridge = (settings.noise_sd / settings.prior_sd) ** 2
        self.posterior = LinearPosterior(self.design, problem, ridge, settings.forgetting)
        self.rows = np.zeros((settings.n_memory, self.design.base.n_inputs))
        self.of_row = {name: np.zeros(settings.n_memory) for name in ("head", "reward", "update")}
        self.n_seen = 0

    def learn(self, experience: Experience) -> None:
        """Remember decisions, and train when it is time."""
        rows, heads = self.design.base.taken(experience.observations, experience.actions)
        number = self.posterior.sums.n_updates
        places = (self.n_seen + np.arange(len(rows))) % self.settings.n_memory
        # Of more rows than there is room for, the last are the ones written last.
        for values, new in (
            (self.rows, rows),
            (self.of_row["head"], heads),
            (self.of_row["reward"], experience.rewards),
        ):
            values[places[-self.settings.n_memory :]] = new[-self.settings.n_memory :]
        self.of_row["update"][places] = number
        self.n_seen += len(rows)
        self.posterior.learn(experience)
        if self.posterior.sums.n_updates % self.settings.updates_a_training == 0:
            self._train()

    def _train(self) -> None:
        n = min(self.n_seen, self.settings.n_memory)
        rows, heads, rewards = self.rows[:n], self.of_row["head"][:n].astype(np.int64), self.of_row["reward"][:n]
        number = self.posterior.sums.n_updates
        settings, spread = self.settings, rewards.std()
        targets = (rewards - rewards.mean()) / (spread if spread > 0.0 else 1.0)
        rng = np.random.default_rng([settings.seed, number])
        how = settings.steps_a_training, settings.n_batch, settings.learning_rate
        self.design.weights = fit(self.design.weights, rows, heads, targets, rng, *how)
        of_update = self.of_row["update"][:n].astype(np.int64)
        order = np.argsort(of_update, kind="stable")
        batches = np.split(order, np.searchsorted(of_update[order], np.arange(of_update.min() + 1, number)))
        hidden = hidden_rows(self.design.weights, rows)
        self.posterior.learn_anew([(hidden[batch], heads[batch], rewards[batch]) for batch in batches], number)

    def state(self) -> State:
        """Return all of it, as arrays."""
        parts: dict[str, Mapping[str, npt.NDArray[Any]]] = {
            "sums": self.posterior.state(),
            "network": self.design.weights,
            "decisions": self.of_row,
        }
        found = {name: np.array(values) for name, values in joined(parts).items()}
        return {**found, "rows": self.rows.copy(), "n_seen": np.asarray([self.n_seen])}

    def restore(self, state: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Take up what `state` returned."""
        require_state({name: values.shape for name, values in self.state().items()}, state)
        of = {part: part_of(state, part) for part in ("sums", "network", "decisions")}
        self.design.weights = {name: np.array(values, np.float64) for name, values in of["network"].items()}
        self.of_row = {name: np.array(values, np.float64) for name, values in of["decisions"].items()}
        self.rows, self.n_seen = np.array(state["rows"], np.float64), int(state["n_seen"][0])
        self.posterior.restore(of["sums"])


class NeuralLinear(Bandit):
    """The eligible action with the highest draw of its linear model over the network's hidden units."""

    settings: NeuralLinearSettings
    memory: NeuralMemory

    def __init__(self, settings: NeuralLinearSettings, problem: Problem) -> None:
        super().__init__(settings, problem)
        self.memory = NeuralMemory(settings, problem)

    def beliefs(self, observations: Observations) -> tuple[Floats, Floats]:
        """Return mean and standard deviation of each action's mean reward, shapes (U, A)."""
        means, widths = self.memory.posterior.scores(observations)
        widths *= self.settings.noise_sd
        return means, widths

    def values(self, observations: Observations) -> Floats:
        """Return posterior means."""
        return self.beliefs(observations)[0]

    def exploring_probabilities(self, observations: Observations, masks: Bools) -> Floats:
        """Return the probability that each action's draw is the highest."""
        return probabilities_of_best(*self.beliefs(observations), masks)

    def explore(
        self, observations: Observations, masks: Bools, rng: np.random.Generator, wants_propensities: bool
    ) -> Choices:
        """Return the actions with the highest draws."""
        return drawn_best(*self.beliefs(observations), masks, rng, wants_propensities)

    def learn(self, experience: Experience) -> None:
        """Add to each action's sums, and train when it is time."""
        self.memory.learn(experience)

    def to_policy(self, name: str, *, is_exploring: bool = True) -> Document:
        """Return a document with the same probabilities."""
        how = Thompson() if is_exploring else Greedy()
        hidden = self.memory.design.weights["hidden"]
        posterior = self.memory.posterior
        return posterior_document(name, self.problem, posterior, how, sd_of_width=self.settings.noise_sd, hidden=hidden)
