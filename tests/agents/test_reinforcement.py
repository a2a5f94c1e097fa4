"""What PPO, MaskablePPO and DQN are as agents: exact probabilities, masks, documents, errors; and that they train."""

from __future__ import annotations

import math
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from pydantic import ValidationError

from agents.reinforcement.dqn import MaskedDQN
from agents.reinforcement.settings import DQNSettings, MaskablePPOSettings, PPOSettings
from agents.reinforcement.trainer import SB3Trainer
from policies.codec import read, write
from policies.decide import Policy
from policies.document import Epsilon, Greedy, Softmax
from simulator.environments.lenses import History, RunningNormalisation, wrap
from simulator.exact.restless import RestlessVectorEnv, restless_world
from tests.agents.walk import WalkVectorEnv
from tests.simulator.lens_worlds import eligible, lively, vector

N = 20
SMALL: dict[str, Any] = {"hidden_sizes": (8,), "anneal_steps": 3_000, "learning_rate": 1e-2}
PPO = MaskablePPOSettings(n_steps=10, batch_size=100, **SMALL)
DQN = DQNSettings(
    learning_starts=100, batch_size=64, buffer_size=2_000, final_epsilon=0.3, target_update_steps=100, **SMALL
)


def notify(**arguments: Any) -> Any:
    return vector(num_envs=N, scenario=lively(3), **arguments)


def met(env: Any, n_steps: int) -> tuple[Any, Any]:
    """Return what random sends meet: observations and masks, N rows a step."""
    rng = np.random.default_rng(4)
    observations, infos = env.reset(seed=11)
    seen, masks = [observations.copy()], [infos["action_mask"] != 0]
    for _ in range(n_steps - 1):
        observations, _, _, _, infos = env.step(eligible(rng, masks[-1]))
        seen.append(observations.copy())
        masks.append(infos["action_mask"] != 0)
    return np.concatenate(seen), np.concatenate(masks)


@pytest.fixture(scope="module", params=[PPO, DQN], ids=["maskable_ppo", "dqn"])
def trainer(request: Any) -> SB3Trainer:
    trained = SB3Trainer(request.param, notify(), 1)
    trained.advance(1_200)
    return trained


@pytest.fixture(scope="module")
def states() -> tuple[Any, Any]:
    return met(notify(spread_hours=24), 60)


def test_probabilities_are_those_of_the_choices(trainer: SB3Trainer, states: tuple[Any, Any]) -> None:
    """Every masked action has exactly 0. 40,000 draws in one state: each share within 5.5 sigma, 1e-6 over all."""
    observations, masks = states
    found = trainer.agent.probabilities(observations, masks)
    assert (found[~masks] == 0.0).all()
    assert (found[masks] > 0.0).all()
    np.testing.assert_allclose(found.sum(axis=1), 1.0, rtol=0, atol=1e-12)
    row, n_draws = int(masks.sum(axis=1).argmax()), 40_000
    many = np.repeat(observations[row : row + 1], n_draws, axis=0), np.repeat(masks[row : row + 1], n_draws, axis=0)
    choices = trainer.agent.act(*many, np.random.default_rng(3), wants_propensities=True)
    shares = np.bincount(choices.actions, minlength=len(found[row])) / n_draws
    slack = 5.5 * np.sqrt(found[row] * (1.0 - found[row]) / n_draws)
    assert (np.abs(shares - found[row]) <= slack).all()
    np.testing.assert_array_equal(choices.propensities, found[row][choices.actions])
    unasked = trainer.agent.act(*many, np.random.default_rng(3))
    np.testing.assert_array_equal(unasked.actions, choices.actions)
    assert unasked.propensities is None


def test_without_exploration_the_best_is_certain(trainer: SB3Trainer, states: tuple[Any, Any]) -> None:
    choices = trainer.agent.act(*states, np.random.default_rng(3), is_exploring=False, wants_propensities=True)
    found = trainer.agent.probabilities(*states, is_exploring=False)
    assert (found[np.arange(len(found)), choices.actions] == 1.0).all()
    assert (found.sum(axis=1) == 1.0).all()
    exploring = trainer.agent.probabilities(*states)
    assert (exploring.argmax(axis=1) == choices.actions).mean() > 0.99  # but where two are equal


def assert_same_decisions(trainer: SB3Trainer, document: Any, states: tuple[Any, Any], is_exploring: bool) -> None:
    observations, masks = states
    policy = Policy(read(write(document)))
    own = trainer.agent.probabilities(observations, masks, is_exploring=is_exploring)
    found = np.array([policy.probabilities(*pair) for pair in zip(observations, masks, strict=True)])
    if trainer.settings.kind != "dqn" and is_exploring:
        np.testing.assert_allclose(found, own, rtol=0, atol=1e-6)
        return
    # Values that are equal to the rounding of float32 may be told apart either way; in a thousand states one may be.
    is_same = (np.abs(found - own) <= 1e-12).all(axis=1)
    assert (~is_same).mean() <= 1e-3


@pytest.mark.parametrize("is_exploring", [True, False])
def test_a_document_decides_as_the_agent(trainer: SB3Trainer, states: tuple[Any, Any], is_exploring: bool) -> None:
    document = trainer.agent.to_policy("small", is_exploring=is_exploring)
    exploration = {"maskable_ppo": Softmax, "dqn": Epsilon}[trainer.settings.kind] if is_exploring else Greedy
    assert type(document.exploration) is exploration
    assert document.made_by == f"kairos {trainer.settings.kind}"
    assert document.trained_on["decisions"] == str(trainer.n_steps)
    assert_same_decisions(trainer, document, states, is_exploring)


@pytest.mark.proof
def test_a_document_decides_as_the_agent_in_100_thousand_states(trainer: SB3Trainer) -> None:
    observations, masks = met(notify(spread_hours=24), 5_000)
    assert len(observations) == 100_000
    assert_same_decisions(trainer, trainer.agent.to_policy("small"), (observations, masks), True)


def test_a_normalisation_goes_into_the_document(states: tuple[Any, Any]) -> None:
    env = wrap(notify(), RunningNormalisation())
    trainer = SB3Trainer(PPO, env, 1)
    trainer.advance(400)
    document = trainer.agent.to_policy("normalised")
    layer: Any = env.layer
    seen, masks = layer._normalised(states[0][:200]), states[1][:200]
    found = np.array([Policy(document).probabilities(*pair) for pair in zip(states[0][:200], masks, strict=True)])
    np.testing.assert_allclose(found, trainer.agent.probabilities(seen, masks), rtol=0, atol=1e-6)


@pytest.mark.parametrize("send_prob", [0.02, 0.4])
def test_the_first_policy_sends_as_rarely_as_told(send_prob: float) -> None:
    """SB3's last layer begins at 1/100 of an orthogonal matrix, so the logits differ by little from the biases."""
    trainer = SB3Trainer(PPO.model_copy(update={"initial_send_prob": send_prob}), notify(), 1)
    observations = met(notify(), 3)[0]
    found = trainer.agent.probabilities(observations, np.ones((len(observations), 9), np.bool_))
    np.testing.assert_allclose(1.0 - found[:, 0], send_prob, rtol=0.1)


def test_the_value_is_learned_before_the_policy() -> None:
    """And a run that is cut meanwhile goes on to the same weights."""
    settings = PPO.model_copy(update={"value_only_steps": 400})
    whole, cut = SB3Trainer(settings, notify(), 1), SB3Trainer(settings, notify(), 1)
    before = whole.model.policy.state_dict()
    before = {name: weights.clone() for name, weights in before.items()}
    whole.advance(400)
    moved = {name for name, weights in whole.model.policy.state_dict().items() if (weights != before[name]).any()}
    assert moved == {name for name in before if name.startswith(("mlp_extractor.value_net.", "value_net."))}
    cut.restore(whole.state())
    for trainer in (whole, cut):
        trainer.advance(800)
    after = whole.model.policy.state_dict()
    assert all((weights != before[name]).any() for name, weights in after.items())
    assert all((weights == after[name]).all() for name, weights in cut.model.policy.state_dict().items())


@pytest.mark.parametrize("settings", [PPO, DQN], ids=["maskable_ppo", "dqn"])
def test_a_stacked_history_trains(settings: Any) -> None:
    trainer = SB3Trainer(settings, wrap(notify(), History(3)), 1)
    before = trainer.agent.state()
    figures = trainer.advance(600)
    assert trainer.agent.problem.n_features == 57 + 3 * (57 + 9)
    assert all(math.isfinite(value) for value in figures.values())
    assert any((before[name] != array).any() for name, array in trainer.agent.state().items())
    with pytest.raises(ValueError, match=r"expected observations of shape \(57,\)"):
        trainer.agent.to_policy("stacked")


@pytest.mark.parametrize("settings", [PPO, DQN], ids=["maskable_ppo", "dqn"])
def test_decisions_that_events_trigger_train_with_discounts_by_elapsed_time(settings: Any) -> None:
    """One number a day holds for steps of any length: each step's discount is that number to the days that it took."""
    trainer = SB3Trainer(settings.model_copy(update={"discount_per_day": 0.5}), notify(trigger="event"), 1)
    trainer.advance(600)
    model: Any = trainer.model
    found = model.replay_buffer.next_discounts[: model.replay_buffer.pos] if isinstance(model, MaskedDQN) else None
    found = model.rollout_buffer.elapsed.discounts if found is None else found
    hours = np.log(found[found > 0.0]) / np.log(0.5) * 24.0
    np.testing.assert_allclose(hours, np.round(hours), atol=1e-4)
    assert set(np.unique(np.round(hours))) >= {1.0, 24.0}


def test_the_horizon_is_told_in_days() -> None:
    assert DQNSettings(discount_per_day=math.exp(-1 / 60)).horizon_days == pytest.approx(60.0)
    assert PPOSettings(discount_per_day=1.0).horizon_days == math.inf


def test_dqn_keeps_what_the_next_step_permits() -> None:
    """In D the model tells both: who may be sent to in each state, and that the discount is .98 unless all are out."""
    trainer = SB3Trainer(DQN.model_copy(update={"discount_per_day": 0.98**24}), RestlessVectorEnv(N, max_steps=40), 2)
    trainer.advance(1_900)
    buffer: Any = trainer.model.replay_buffer  # type: ignore[union-attr]
    world, n = restless_world(), buffer.pos
    states = world.states_of(buffer.next_observations[:n].reshape(n * N, -1)).reshape(n, N)
    is_final = world.model.is_final[states]
    np.testing.assert_array_equal(buffer.next_masks[:n], world.model.is_allowed[states])
    np.testing.assert_allclose(buffer.next_discounts[:n], np.where(is_final, 0.0, 0.98), rtol=1e-6)
    assert (~buffer.next_masks[:n]).mean() > 0.05
    assert buffer.timeouts[:n].sum() > 10


@pytest.mark.parametrize("n_return", [1, 4])
def test_dqn_returns_equal_sums_by_hand(n_return: int) -> None:
    """Reward by reward, over ends of episodes and round the end of the buffer."""
    settings = DQN.model_copy(update={"buffer_size": 50 * N, "return_steps": n_return, "discount_per_day": 0.5})
    trainer = SB3Trainer(settings, RestlessVectorEnv(N, max_steps=9), 2)
    trainer.advance(73 * N)
    buffer: Any = trainer.model.replay_buffer  # type: ignore[union-attr]
    assert buffer.full
    assert buffer.pos == 23
    steps, seats = (each.ravel() for each in np.meshgrid(np.arange(50), np.arange(N), indexing="ij"))
    rewards, discounts, last = buffer.returns_from(steps, seats, n_return)
    for row, (step, seat) in enumerate(zip(steps.tolist(), seats.tolist(), strict=True)):
        total, weight, at = 0.0, 1.0, step
        for k in range(n_return):
            at = (step + k) % 50
            total += weight * float(buffer.rewards[at, seat])
            weight *= float(buffer.next_discounts[at, seat])
            if buffer.dones[at, seat] or at == 22:
                break
        assert last[row] == at
        assert rewards[row] == pytest.approx(total, rel=1e-5, abs=1e-7)
        assert discounts[row] == pytest.approx(weight, rel=1e-5)


def test_a_masked_action_counts_for_nothing_in_dqns_targets() -> None:
    """With a value of 1000 for user 1 in both networks, only states that permit that send may be worth it."""
    trainer = SB3Trainer(DQN.model_copy(update={"return_steps": 1}), RestlessVectorEnv(N), 2)
    trainer.advance(3_000)
    model: Any = trainer.model
    buffer = model.replay_buffer
    is_out = ~buffer.next_masks[..., 1]
    assert is_out.mean() > 0.05
    for network in (model.q_net, model.q_net_target):
        with torch.no_grad():
            network.q_net[-1].bias[1] = 1000.0
    targets: list[Any] = []
    loss = torch.nn.functional.mse_loss
    places: list[Any] = []
    returns_from = buffer.returns_from

    def kept(steps: Any, seats: Any, n_steps: int) -> Any:
        places.append((steps, seats))
        return returns_from(steps, seats, n_steps)

    def watched(values: Any, wanted: Any) -> Any:
        targets.append(wanted.numpy())
        return loss(values, wanted)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(buffer, "returns_from", kept)
        patch.setattr(torch.nn.functional, "mse_loss", watched)
        model.train(1, 500)
    bars = is_out[places[0]] | (buffer.next_discounts[places[0]] == 0.0)
    assert bars.sum() > 10
    assert (np.abs(targets[0][bars]) < 100.0).all()
    assert (targets[0][~bars] > 500.0).all()


# What is wrong is told with what was expected.


def test_a_reward_that_is_no_number_is_refused() -> None:
    trainer = SB3Trainer(PPO, WalkVectorEnv(N, reward_of_env_1=math.nan), 1)
    with pytest.raises(ValueError, match="expected finite rewards; 1 of 20 are not, the first nan of environment 1"):
        trainer.advance(100)


def test_masks_and_features_that_do_not_fit_are_refused(trainer: SB3Trainer, states: tuple[Any, Any]) -> None:
    observations, masks = states[0][:4].copy(), states[1][:4].copy()
    rng = np.random.default_rng(1)
    nothing = masks.copy()
    nothing[2] = False
    with pytest.raises(ValueError, match=r"masks\[2\]: expected at least one eligible action of 9, got none"):
        trainer.agent.act(observations, nothing, rng)
    observations[3, 2] = 7.0
    with pytest.raises(ValueError, match=r"observations\[3\]: expected 0 <= is_weekend <= 1, got 7"):
        trainer.agent.act(observations, masks, rng, is_exploring=False)


def test_an_environment_that_does_not_tell_the_time_is_refused() -> None:
    for settings in (PPO, DQN):
        trainer = SB3Trainer(settings, WalkVectorEnv(N, has_hours=False), 1)
        with pytest.raises(ValueError, match="elapsed_hours: expected in the infos of every step, got none"):
            trainer.advance(100)


def test_batches_that_do_not_divide_a_rollout_are_refused() -> None:
    with pytest.raises(ValueError, match=r"batch_size: expected a divisor of the 200 decisions .*such as 50, got 60"):
        SB3Trainer(PPO.model_copy(update={"batch_size": 60}), notify(), 1)


def test_a_portion_of_nothing_is_refused(trainer: SB3Trainer) -> None:
    with pytest.raises(ValueError, match="advance: n_steps: expected at least 1, got 0"):
        trainer.advance(0)


@pytest.mark.parametrize(
    ("settings", "field", "value"),
    [
        (PPOSettings, "discount_per_day", 0.0),
        (PPOSettings, "discount_per_day", 1.1),
        (PPOSettings, "clip_range", 1.0),
        (MaskablePPOSettings, "initial_send_prob", 0.0),
        (MaskablePPOSettings, "hidden_sizes", (0,)),
        (DQNSettings, "return_steps", 0),
        (DQNSettings, "gama", 0.5),
        (DQNSettings, "loss", "absolute"),
        (PPOSettings, "average_from_share", 0.0),
        (PPOSettings, "initial_value", math.inf),
        (DQNSettings, "reward_scale", math.inf),
    ],
)
def test_settings_out_of_bounds_are_refused(settings: Any, field: str, value: Any) -> None:
    with pytest.raises(ValidationError, match=field):
        settings(**{field: value})


def test_a_plan_of_a_day_has_no_document() -> None:
    env = gymnasium.make_vec("kairos/NotifyDaily-v0", 4, vectorization_mode="vector_entry_point", scenario=lively(3))
    trainer = SB3Trainer(PPO.model_copy(update={"batch_size": 40}), env, 1)
    with pytest.raises(ValueError, match=r"expected observations of shape \(701,\)"):
        trainer.agent.to_policy("daily")
