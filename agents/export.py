"""From a trained actor to a policy document, which production runs without the libraries that trained it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from agents.training_extra import missing
from policies.document import Document, Exploration, Greedy, Layer, Network, NetworkInput, Softmax
from policies.vocabulary import N_SLOT_FEATURES, N_USER_FEATURES, feature_names, features, n_actions, n_features

try:
    import gymnasium
    from sb3_contrib.common.maskable.policies import MaskableActorCriticPolicy
    from stable_baselines3.common.policies import ActorCriticPolicy
    from stable_baselines3.common.torch_layers import FlattenExtractor, MlpExtractor
    from stable_baselines3.dqn.policies import DQNPolicy
    from torch import nn
except ModuleNotFoundError as error:
    raise missing(error) from error

ACTIVATIONS: dict[type[nn.Module], str] = {nn.Tanh: "tanh", nn.ReLU: "relu", nn.Identity: "identity"}
AS_TRAINED = Softmax(1.0)  # a categorical actor draws in proportion to exp(logit)
Policy = ActorCriticPolicy | MaskableActorCriticPolicy | DQNPolicy


def network_document(
    policy: Policy,
    name: str,
    *,
    inputs: Sequence[NetworkInput] | None = None,
    exploration: Exploration | None = None,
    made_by: str = "",
    trained_on: Mapping[str, str] | None = None,
) -> Document:
    """Return what PPO, MaskablePPO, A2C or DQN has trained as a document of kind network, with its weights as they are.

    The network is the actor, or DQN's values. The document's probabilities are the policy's own under the same mask, to
    the rounding of float32: 1e-6 times the size of the logits. Normalisation outside the network is not seen here,
    neither Gymnasium's nor `VecNormalize`: hand over its numbers as `inputs`.

    Args:
        policy: `model.policy`, an "MlpPolicy" over the feature vocabulary of C slots with 1 + 2 C actions.
        name: what people call it.
        inputs: what the network reads and how that is standardised, in the order of its inputs; None: the observation
            as it stands.
        exploration: how actions are chosen by the network's outputs; None: an actor draws as in training, DQN takes the
            best.
        made_by, trained_on: see `Document`.

    Raises:
        TypeError: neither an actor-critic nor DQN's, or one with layers that a document has no words for.
        ValueError: other observations or actions than the vocabulary's; a number of inputs that does not fit.
    """
    if not isinstance(policy, Policy):
        raise TypeError(
            f"network_document: policy: expected that of PPO, MaskablePPO, A2C or DQN (model.policy), got "
            f"{type(policy).__name__}"
        )
    layers = _layers(policy)
    n_slots = _slots(policy)
    if inputs is None:
        _require_plain(policy.observation_space, n_slots)
        inputs = [NetworkInput(feature) for feature in feature_names(n_slots)]
    unknown = [entry.feature for entry in inputs if entry.feature not in feature_names(n_slots)]
    if unknown:
        raise ValueError(
            f"network_document: inputs: expected features of the vocabulary, got {unknown[0]!r} and {len(unknown) - 1} "
            f"more that no sender can compute"
        )
    width = len(layers[0].weights[0])
    if len(inputs) != width:
        raise ValueError(f"network_document: inputs: expected {width}, one an input of the network, got {len(inputs)}")
    if exploration is None:
        exploration = Greedy() if isinstance(policy, DQNPolicy) else AS_TRAINED
    return Document(name, n_slots, Network(tuple(inputs), layers), exploration, made_by, dict(trained_on or {}))


def _slots(policy: Policy) -> int:
    """Return C, which the actions tell whatever the network reads."""
    space = policy.action_space
    n = int(space.n) if isinstance(space, gymnasium.spaces.Discrete) else 0
    n_slots = (n - 1) // 2
    if n_slots < 1 or n_actions(n_slots) != n:
        raise ValueError(
            f"network_document: expected Discrete(1 + 2 C) actions, no_send and each slot by push and by e-mail, got "
            f"{space}; plans of a day and queues have no document"
        )
    return n_slots


def _require_plain(space: gymnasium.Space[object], n_slots: int) -> None:
    """Refuse observations that are not the vocabulary's as it stands: by their ranges, a wrapper's are others."""
    n = n_features(n_slots)
    if not isinstance(space, gymnasium.spaces.Box) or space.shape != (n,):
        got = space.shape if isinstance(space, gymnasium.spaces.Box) else space
        raise ValueError(
            f"network_document: expected observations of shape ({n},) ({N_USER_FEATURES} + {N_SLOT_FEATURES} * "
            f"{n_slots} slots), got {got}; of others, hand over the `inputs`"
        )
    for index, feature in enumerate(features(n_slots)):
        low, high = (np.float32(bound) for bound in (min(feature.low, 0.0), max(feature.high, 0.0)))
        if space.low[index] != low or space.high[index] != high:
            raise ValueError(
                f"network_document: observation[{index}] ({feature_names(n_slots)[index]}): expected the vocabulary's "
                f"range {low} to {high}, got {space.low[index]} to {space.high[index]}; was it normalised? Hand over "
                f"the numbers as `inputs`"
            )


def _modules(policy: Policy) -> Iterable[nn.Module]:
    """Return the modules from the observation to the logits, or to DQN's values, in order."""
    if isinstance(policy, DQNPolicy):
        extractors: tuple[object, ...] = (policy.q_net.features_extractor,)
        modules = [*policy.q_net.q_net]
    else:
        extractors = (policy.pi_features_extractor, policy.mlp_extractor)
        is_plain = isinstance(policy.mlp_extractor, MlpExtractor)
        modules = [*policy.mlp_extractor.policy_net, policy.action_net] if is_plain else []
    if not all(isinstance(extractor, FlattenExtractor | MlpExtractor) for extractor in extractors):
        raise TypeError(
            f'network_document: expected an "MlpPolicy" without a features extractor of its own, got '
            f"{' and '.join(type(extractor).__name__ for extractor in extractors)}"
        )
    return modules


def _layers(policy: Policy) -> tuple[Layer, ...]:
    """Return the layers, the last one's outputs the logits or the values."""
    layers: list[Layer] = []
    for module in _modules(policy):
        if isinstance(module, nn.Linear):
            weights = tuple(map(tuple, module.weight.detach().cpu().tolist()))
            layers.append(Layer(weights, tuple(module.bias.detach().cpu().tolist()), "identity"))
        elif type(module) in ACTIVATIONS and layers and layers[-1].activation == "identity":
            layers[-1] = Layer(layers[-1].weights, layers[-1].bias, ACTIVATIONS[type(module)])
        else:
            known = ", ".join(kind.__name__ for kind in ACTIVATIONS)
            raise TypeError(f"network_document: expected layers of Linear, {known}, got {type(module).__name__}")
    return tuple(layers)
