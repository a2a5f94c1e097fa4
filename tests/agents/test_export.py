"""A trained actor and its document: the same probabilities, and a refusal of what would not be."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from sb3_contrib import QRDQN, MaskablePPO
from sb3_contrib.common.maskable.policies import MaskableActorCriticPolicy
from stable_baselines3 import PPO
from torch import nn

from agents.export import network_document
from agents.vec_env import FleetVecEnv
from policies.codec import read, write
from policies.decide import Policy, load
from policies.document import Epsilon, NetworkInput, Softmax
from policies.vocabulary import n_actions, n_features
from simulator.environments.lenses import RunningNormalisation, wrap
from simulator.environments.lenses.normalisation import normalised
from tests.agents.walk import WalkVectorEnv

N_USERS = 100
N_OBSERVATIONS = 2_000
LEARNING: dict[str, Any] = {
    "n_steps": 16,
    "batch_size": 400,
    "n_epochs": 4,
    "learning_rate": 3e-3,
    "seed": 3,
    "device": "cpu",
}


def fleet(name: str = "kairos/Notify-v0", **arguments: Any) -> FleetVecEnv:
    env = gymnasium.make_vec(name, N_USERS, vectorization_mode="vector_entry_point", horizon_days=20, **arguments)
    return FleetVecEnv(env)


@pytest.fixture(scope="module")
def trained() -> MaskablePPO:
    """A little more than its initial weights, so that the logits differ from one another."""
    model = MaskablePPO("MlpPolicy", fleet(), **LEARNING)
    return model.learn(6 * 16 * N_USERS)


@pytest.fixture(scope="module")
def met() -> tuple[Any, Any]:
    """What a fleet shows that is sent to at random: observations (N, K), masks (N, A)."""
    venv: Any = fleet(spread_hours=48)
    rng = np.random.default_rng(4)
    observations, masks = [venv.reset().copy()], [np.stack(venv.env_method("action_masks"))]
    while len(observations) * N_USERS < N_OBSERVATIONS:
        for _ in range(7):
            latest = np.stack(venv.env_method("action_masks"))
            now = venv.step((rng.random(latest.shape) * latest).argmax(axis=1))[0]
        observations.append(now.copy())
        masks.append(np.stack(venv.env_method("action_masks")))
    return np.concatenate(observations), np.concatenate(masks)


def own_probabilities(model: Any, observations: Any, masks: Any) -> Any:
    """Return what the library itself draws by, float32, shape (N, A)."""
    with torch.no_grad():
        distribution = model.policy.get_distribution(torch.as_tensor(observations), action_masks=masks)
    return distribution.distribution.probs.numpy()


def in_float64(model: Any, observations: Any, masks: Any) -> tuple[Any, float]:
    """Return the probabilities of the same weights without rounding, shape (N, A), and the size of the logits."""
    actor = nn.Sequential(*model.policy.mlp_extractor.policy_net, model.policy.action_net)
    with torch.no_grad():
        logits = copy.deepcopy(actor).double()(torch.as_tensor(observations).double())
        found = torch.softmax(logits.masked_fill(~torch.as_tensor(masks), -torch.inf), dim=1)
    return found.numpy(), max(1.0, float(logits.abs().max()))


def test_a_document_decides_as_the_agent_it_was_made_of(trained: MaskablePPO, met: tuple[Any, Any]) -> None:
    """57-64-64-9, tanh; 2,000 observations with their masks; through JSON. In float64 there is nothing to forgive."""
    document = network_document(trained.policy, "small", made_by="MaskablePPO", trained_on={"seed": "3"})
    assert [len(layer.bias) for layer in document.model.layers] == [64, 64, n_actions(4)]  # type: ignore[union-attr]
    assert [layer.activation for layer in document.model.layers] == ["tanh", "tanh", "identity"]  # type: ignore[union-attr]
    assert (document.made_by, document.trained_on, document.exploration) == ("MaskablePPO", {"seed": "3"}, Softmax(1.0))
    policy = load(write(document))
    observations, masks = met
    found = np.array([policy.probabilities(*pair) for pair in zip(observations, masks, strict=True)])
    assert found.shape == (N_OBSERVATIONS, n_actions(4))
    exact, scale = in_float64(trained, observations, masks)
    np.testing.assert_allclose(found, own_probabilities(trained, observations, masks), rtol=0, atol=1e-6 * scale)
    np.testing.assert_allclose(found, exact, rtol=0, atol=1e-13 * scale)
    assert (found[~masks] == 0.0).all()
    several = masks.sum(axis=1) > 3
    assert several.sum() > 200
    assert found[several].max(axis=1).std() > 0.01, "the network tells users from one another"


def test_a_decision_is_drawn_by_the_agents_probabilities(trained: MaskablePPO, met: tuple[Any, Any]) -> None:
    policy = Policy(network_document(trained.policy, "small"))
    observations, masks = met
    single = own_probabilities(trained, observations[:200], masks[:200])
    for k, uniform in enumerate(np.random.default_rng(1).random(200).tolist()):
        decision = policy.decide(observations[k], masks[k], uniform)
        assert masks[k, decision.action]
        assert decision.propensity == pytest.approx(single[k, decision.action], abs=1e-6)


@pytest.mark.parametrize(
    ("net_arch", "activation"), [([], nn.Tanh), ([8], nn.ReLU), ({"pi": [16, 8, 4], "vf": [5]}, nn.Tanh)]
)
def test_other_sizes_and_activations(net_arch: Any, activation: type[nn.Module], met: tuple[Any, Any]) -> None:
    arguments = {"net_arch": net_arch, "activation_fn": activation}
    model = PPO("MlpPolicy", fleet(on_ineligible="no_send"), policy_kwargs=arguments, **LEARNING)
    policy = Policy(network_document(model.policy, "other"))
    observations, masks = met[0][:100], met[1][:100]
    found = np.array([policy.probabilities(*pair) for pair in zip(observations, masks, strict=True)])
    exact, scale = in_float64(model, observations, masks)
    np.testing.assert_allclose(found, exact, rtol=0, atol=1e-13 * scale)


def test_the_numbers_of_a_normalisation_go_with_the_network(met: tuple[Any, Any]) -> None:
    """The network has learnt on what the lens shows of an observation; the document reads the observation itself."""
    env = wrap(fleet().env, RunningNormalisation())
    model: Any = MaskablePPO("MlpPolicy", FleetVecEnv(env), **LEARNING).learn(3 * 16 * N_USERS)
    layer: Any = env.layer
    inputs = [NetworkInput(**entry.to_data()) for entry in layer.inputs]
    document = network_document(model.policy, "normalised", inputs=inputs)
    observations, masks = met[0][:300], met[1][:300]
    mean, scale, clip = (np.array([getattr(entry, name) for entry in inputs]) for name in ("mean", "scale", "clip"))
    seen = normalised(observations, mean, scale, clip)
    found = np.array([Policy(document).probabilities(*pair) for pair in zip(observations, masks, strict=True)])
    own, size = own_probabilities(model, seen, masks), in_float64(model, seen, masks)[1]
    np.testing.assert_allclose(found, own, rtol=0, atol=1e-6 * size)
    assert np.abs(own_probabilities(model, observations, masks) - own).max() > 0.01, "it matters"
    with pytest.raises(
        ValueError, match=r"expected the vocabulary's range -1.0 to 1.0, got -10.0 to 10.0; was it norm"
    ):
        network_document(model.policy, "normalised")
    with pytest.raises(ValueError, match="inputs: expected 57, one an input of the network, got 56"):
        network_document(model.policy, "normalised", inputs=inputs[:-1])
    latent = [*inputs[:-2], NetworkInput("latent.fatigue"), NetworkInput("latent.need")]
    with pytest.raises(ValueError, match=r"features of the vocabulary, got 'latent.fatigue' and 1 more that no sender"):
        network_document(model.policy, "sees all", inputs=latent)


@pytest.mark.parametrize(
    ("bound", "message"),
    [
        ("low", r"observation\[2\] \(is_weekend\): expected the vocabulary's range 0.0 to 1.0, got -2.0 to 1.0; was"),
        ("high", r"observation\[2\] \(is_weekend\): expected the vocabulary's range 0.0 to 1.0, got 0.0 to 3.0; was"),
    ],
)
def test_other_ranges_than_the_vocabularys_are_refused(bound: str, message: str) -> None:
    space: Any = fleet().observation_space
    bounds = {"low": space.low.copy(), "high": space.high.copy()}
    bounds[bound][2] = {"low": -2.0, "high": 3.0}[bound]
    policy = MaskableActorCriticPolicy(
        gymnasium.spaces.Box(**bounds, dtype=np.float32), gymnasium.spaces.Discrete(n_actions(4)), lambda _: 1e-3
    )
    with pytest.raises(ValueError, match=message):
        network_document(policy, "other ranges")


def test_how_it_explores_is_the_callers_to_say(trained: MaskablePPO, met: tuple[Any, Any]) -> None:
    document = network_document(trained.policy, "small", exploration=Epsilon(0.1))
    mask = np.ones(n_actions(4), np.bool_)
    assert sorted(Policy(document).probabilities(met[0][0], mask)) == pytest.approx([0.1 / 9] * 8 + [0.9 + 0.1 / 9])


def test_what_is_written_is_what_is_read(trained: MaskablePPO) -> None:
    """float32 weights stand in JSON without loss."""
    document = network_document(trained.policy, "small")
    again = read(write(document))
    assert again == document
    weights = torch.tensor(again.model.layers[0].weights)  # type: ignore[union-attr]
    first: Any = trained.policy.mlp_extractor.policy_net[0]
    assert torch.equal(weights, first.weight)


class Other(nn.Module):
    """An activation that a document has no word for."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return values.sin()


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: MaskablePPO("MlpPolicy", fleet(), policy_kwargs={"activation_fn": Other}, device="cpu"),
            TypeError,
            "expected layers of Linear, Tanh, ReLU, Identity, got Other",
        ),
        (
            lambda: QRDQN("MlpPolicy", fleet(on_ineligible="no_send"), buffer_size=100, device="cpu"),
            TypeError,
            r"policy: expected that of PPO, MaskablePPO, A2C or DQN \(model.policy\), got QRDQNPolicy",
        ),
        (
            lambda: MaskablePPO("MlpPolicy", fleet("kairos/NotifyDaily-v0"), device="cpu"),
            ValueError,
            r"expected observations of shape \(701,\) \(29 \+ 7 \* 96 slots\), got \(57,\); of others",
        ),
        (
            lambda: MaskablePPO("MlpPolicy", fleet("kairos/NotifyCandidates-v0", n_slots=3), device="cpu"),
            ValueError,
            r"expected Discrete\(1 \+ 2 C\) actions, .* got Discrete\(4\); plans of a day and queues have no document",
        ),
        (
            lambda: PPO("MlpPolicy", FleetVecEnv(WalkVectorEnv(4)), device="cpu"),
            ValueError,
            r"expected observations of shape \(36,\) \(29 \+ 7 \* 1 slots\), got \(3,\); of others, hand over",
        ),
    ],
)
def test_what_has_no_document_is_refused(make: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        network_document(make().policy, "refused")


def test_a_model_in_place_of_its_policy_is_refused(trained: MaskablePPO) -> None:
    with pytest.raises(TypeError, match=r"\(model.policy\), got MaskablePPO"):
        network_document(trained, "refused")  # type: ignore[arg-type]
    assert n_features(4) == trained.policy.observation_space.shape[0]  # type: ignore[index]
