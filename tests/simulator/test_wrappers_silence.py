"""The lens against silence: an episode pays what the policy changed for that very user, whatever ends it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from simulator.environments.lenses import CLICKS, EXPECTED_CONVERSION, AgainstSilence, RewardParts, Shaping, wrap
from simulator.environments.lenses.potential import Potential
from tests.simulator.lens_worlds import Arrays, eligible, lively, single, vector

GAMMA = 0.995  # an hour


def lived(env: Any, seed: int, chooser: Any) -> tuple[Arrays, Arrays, Arrays]:
    """Return of each sub-environment's first episode the discounted reward, whether the user left, what was taken off.

    The environment leaves resetting to the caller.
    """
    _, infos = env.reset(seed=seed)
    n = env.num_envs
    summed, taken, hours, is_over, has_left = (
        np.zeros(n),
        np.zeros(n),
        np.zeros(n),
        np.zeros(n, bool),
        np.zeros(n, bool),
    )
    while not is_over.all():
        _, rewards, terminated, truncated, infos = env.step(chooser(infos["action_mask"]))
        summed += GAMMA**hours * rewards
        taken += GAMMA**hours * infos.get("silent_reward", 0.0)
        hours += infos["elapsed_hours"]
        has_left |= terminated
        is_over |= terminated | truncated
    return summed, has_left, taken


def at_random(seed: int, share: float = 1.0) -> Any:
    """Return a policy of eligible actions, some of them sends that are kept."""
    rng = np.random.default_rng(seed)
    return lambda masks: eligible(rng, masks) * (rng.random(len(masks)) < share)


def silence(masks: Arrays) -> Arrays:
    return np.zeros(len(masks), np.int64)


@pytest.mark.parametrize("arguments", [{}, {"epoch_hours": 3}, {"trigger": "event", "discount_per_hour": GAMMA}])
@pytest.mark.parametrize("name", ["kairos/Notify-v0", "kairos/NotifyCandidates-v0"])
def test_an_episode_pays_the_difference_to_silence(name: str, arguments: dict[str, Any]) -> None:
    """By three environments: with the lens, without it, and without it in silence; users who leave and who stay."""
    if name == "kairos/NotifyCandidates-v0" and "epoch_hours" not in arguments:
        arguments = arguments | {"epoch_hours": 1}
    world = lively(days=8, behaviour={"churn": {"irritation_prob": 0.5}})

    def plain() -> Any:
        return vector(name, 60, scenario=world, autoresets=False, **arguments)

    paid, has_left, taken = lived(wrap(plain(), AgainstSilence(GAMMA)), 5, at_random(3))
    with_sends, has_left_too, _ = lived(plain(), 5, at_random(3))
    untouched = plain()
    starts = untouched.reset(seed=5)[1]["hour"].copy()
    in_silence, _, _ = lived(untouched, 5, silence)
    # Beyond the horizon a user who left is charged what the potential says of the twin there.
    beyond = Potential(untouched.world.law, (0.0, 0.0), -24 * np.log(GAMMA)).of(untouched.seats.users)
    in_silence += has_left * GAMMA ** (8 * 24 - starts) * beyond
    assert (has_left * beyond).max() > 0.01
    assert (has_left == has_left_too).all()
    assert 5 < has_left.sum() < 55
    assert paid == pytest.approx(with_sends - in_silence, abs=1e-9)
    assert taken == pytest.approx(in_silence, abs=1e-9)
    assert np.abs(paid).max() > 0.1


def test_silence_pays_nothing() -> None:
    env = wrap(vector(num_envs=40, scenario=lively(days=6)), RewardParts(EXPECTED_CONVERSION), AgainstSilence(GAMMA))
    env.reset(seed=1)
    n_ended, most_taken = 0, 0.0
    for _ in range(24 * 12):
        _, rewards, terminated, truncated, infos = env.step(np.zeros(40, np.int64))
        assert np.abs(rewards).max() < 1e-9
        n_ended += int((terminated | truncated).sum())
        most_taken = max(most_taken, float(infos["silent_reward"].max()))
    assert n_ended > 40, "users sat down after others, too"
    assert most_taken > 0.01


def test_it_takes_off_the_reward_that_is_paid() -> None:
    world = lively(days=4)
    for weights in (EXPECTED_CONVERSION, CLICKS):
        with_sends = wrap(vector(num_envs=30, scenario=world, autoresets=False), RewardParts(weights))
        against = wrap(
            vector(num_envs=30, scenario=world, autoresets=False), RewardParts(weights), AgainstSilence(GAMMA)
        )
        gross, _, _ = lived(with_sends, 9, at_random(2))
        net, _, taken = lived(against, 9, at_random(2))
        assert net == pytest.approx(gross - taken, abs=1e-9)
        assert (np.abs(taken).max() > 0.01) == (weights is EXPECTED_CONVERSION), "nobody clicks in silence"


def test_a_single_environment_pays_as_a_vector_does() -> None:
    world = lively(days=3)
    fleet = wrap(vector(num_envs=4, scenario=world), AgainstSilence(GAMMA))
    alone = [wrap(single(scenario=world), AgainstSilence(GAMMA)) for _ in range(4)]
    _, infos = fleet.reset(seed=11)
    for i, env in enumerate(alone):
        env.reset(seed=11 + i)
    rng = np.random.default_rng(0)
    for _ in range(24 * 7):
        actions = eligible(rng, infos["action_mask"])
        _, rewards, terminated, truncated, infos = fleet.step(actions)
        for i, env in enumerate(alone):
            _, reward, left, cut, _ = env.step(int(actions[i]))
            assert reward == pytest.approx(rewards[i], abs=1e-12)
            assert (left, cut) == (terminated[i], truncated[i])
            if left or cut:
                env.reset()


def test_the_noise_that_both_share_is_gone() -> None:
    """The variance of a return against silence is a small part of that of the return: twenty times less is asked."""
    world = "ecommerce"
    returns = []
    for lenses in ([RewardParts(EXPECTED_CONVERSION)], [RewardParts(EXPECTED_CONVERSION), AgainstSilence(GAMMA)]):
        env = wrap(vector(num_envs=300, scenario=world, horizon_days=60, autoresets=False, epoch_hours=8), *lenses)
        returns.append(lived(env, 100, at_random(1, share=0.05))[0])
    assert returns[1].var() * 20 < returns[0].var()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: AgainstSilence(1.5), r"discount_per_hour: expected above 0 and at most 1, got 1.5"),
        (lambda: wrap(vector(), Shaping(GAMMA), AgainstSilence(GAMMA)), "put it on before Shaping"),
        (lambda: wrap(vector(trigger="event"), AgainstSilence(GAMMA)), r"own discount_per_hour to be 0.995, got 1"),
        (lambda: wrap(vector("kairos/Population-v0"), AgainstSilence(GAMMA)), "expected users who share nothing"),
    ],
)
def test_what_cannot_be_set_against_silence_is_refused(build: Any, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        build()
