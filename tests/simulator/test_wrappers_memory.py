"""History and normalisation: what was shown before, and the numbers by which it is scaled, as data."""

from __future__ import annotations

import json
from collections import deque

import numpy as np
import pytest

from policies.decide import decide
from policies.document import Document, Layer, Network, NetworkInput
from policies.vocabulary import feature_names
from simulator.environments.lenses import (
    History,
    Input,
    Normalisation,
    OracleObservation,
    RunningNormalisation,
    inputs_of_ranges,
    read_inputs,
    wrap,
)
from tests.simulator.lens_worlds import Arrays, eligible, lively, vector

N = 8


@pytest.mark.parametrize("name", ["kairos/Notify-v0", "kairos/NotifyDaily-v0"])
def test_history_is_what_was_shown_and_chosen_in_this_episode(name):
    """Kept once more, in a deque for each seat that is emptied when an episode ends."""
    n_past, days = 3, 3 if name == "kairos/Notify-v0" else 9
    plain, env = (vector(name, N, scenario=lively(days=days)) for _ in range(2))
    env = wrap(env, History(n_past))
    n_actions = int(plain.single_action_space.n)
    observations, infos = plain.reset(seed=3)
    stacked, _ = env.reset(seed=3)
    width = observations.shape[1]
    past = [deque([np.zeros(width + n_actions)] * n_past, n_past) for _ in range(N)]
    rng = np.random.default_rng(0)
    n_ended = 0
    for _ in range(150):
        for i in range(N):
            assert np.array_equal(stacked[i], np.concatenate([observations[i], *past[i]]).astype(np.float32))
        actions = eligible(rng, infos["action_mask"])
        before = observations.copy()
        observations, _, _, _, infos = plain.step(actions)
        stacked, _, _, _, seen = env.step(actions)
        for i in range(N):
            past[i].appendleft(np.concatenate([before[i], np.eye(n_actions)[actions[i]]]))
            if infos.get("_final_obs", np.zeros(N))[i]:
                final = np.concatenate([infos["final_obs"][i], *past[i]]).astype(np.float32)
                assert np.array_equal(seen["final_obs"][i], final)
                past[i].extend([np.zeros(width + n_actions)] * n_past)
                n_ended += 1
    assert n_ended > N


def test_history_names_the_present_first():
    env = wrap(vector(scenario=lively()), History(2))
    names = feature_names(4)
    assert env.observation_names[: len(names)] == names
    assert env.observation_names[len(names)] == f"past1.{names[0]}"
    assert env.observation_names[2 * len(names)] == "past1.action0"
    assert env.observation_names[-1] == "past2.action8"


def test_history_before_the_start_lies_within_the_space_of_whatever_is_stacked():
    wide = tuple(Input(name, -50.0, 1.0) for name in feature_names(4))  # all values far from 0
    env = wrap(vector(scenario=lively()), Normalisation(wide), History(1))
    observations, _ = env.reset(seed=1)
    assert env.observation_space.contains(observations)


@pytest.mark.parametrize("n_past", [0, 1001, 2.0, True])
def test_a_history_of_another_length_is_refused(n_past):
    with pytest.raises(ValueError, match=rf"^History: n_past: expected a whole number from 1 to 1000, got {n_past}$"):
        History(n_past)


def shown(env, n_steps: int, seed: int = 3) -> list[Arrays]:
    observations, infos = env.reset(seed=seed)
    rng = np.random.default_rng(0)
    out = [observations.copy()]
    for _ in range(n_steps):
        observations, _, _, _, infos = env.step(eligible(rng, infos["action_mask"]))
        out.append(observations.copy())
    return out


def test_ranges_become_minus_one_to_one():
    plain, env = vector(scenario=lively()), wrap(vector(scenario=lively()), Normalisation())
    assert (env.single_observation_space.low == -1).all()
    assert (env.single_observation_space.high == 1).all()
    space = plain.single_observation_space
    low, high = space.low.astype(float), space.high.astype(float)
    for raw, scaled in zip(shown(plain, 60), shown(env, 60), strict=True):
        assert scaled == pytest.approx(2 * (raw - low) / (high - low) - 1, abs=1e-6)


def test_an_entry_that_cannot_vary_becomes_0():
    space = vector(scenario=lively()).single_observation_space
    space.low[3] = space.high[3] = 2.0
    entry = inputs_of_ranges(feature_names(4), space)[3]
    assert (entry.mean, entry.scale) == (2.0, 1.0)


def test_running_moments_are_those_of_all_that_was_shown():
    plain, env = (
        vector(num_envs=N, scenario=lively()),
        wrap(vector(num_envs=N, scenario=lively()), RunningNormalisation()),
    )
    raw, scaled = np.asarray(shown(plain, 80)), np.asarray(shown(env, 80))
    everything = raw.reshape(-1, raw.shape[-1]).astype(float)
    layer = env.layer
    assert layer.count == len(everything)
    assert layer.mean == pytest.approx(everything.mean(axis=0), abs=1e-9)
    deviation = everything.std(axis=0)
    varies = deviation > 1e-4
    assert 30 < varies.sum() < len(varies), "some entries vary, some do not"
    assert layer.scale[varies] == pytest.approx(deviation[varies], rel=1e-6)
    assert (layer.scale[~varies] == 1).all()
    # What was shown last was scaled by the moments up to then.
    expected = np.clip((raw[-1] - everything.mean(axis=0)) / np.where(varies, deviation, 1.0), -10, 10)
    assert scaled[-1] == pytest.approx(expected, abs=1e-4)


def test_frozen_moments_stay_and_give_the_same_as_their_numbers_read_from_json():
    env = wrap(vector(num_envs=N, scenario=lively()), OracleObservation(), RunningNormalisation(clip=4.0))
    shown(env, 60)
    env.layer.freeze()
    kept = env.layer.inputs
    text = json.dumps([entry.to_data() for entry in kept], allow_nan=False)
    again = wrap(
        vector(num_envs=N, scenario=lively()), OracleObservation(), Normalisation(read_inputs(json.loads(text)))
    )
    assert read_inputs(json.loads(text)) == kept
    for one, other in zip(shown(env, 120, seed=8), shown(again, 120, seed=8), strict=True):
        assert one.tobytes() == other.tobytes()
    assert env.layer.inputs == kept


def test_inputs_are_those_of_a_networks_document():
    """The same names and the same arithmetic as where a policy document's network reads its inputs."""
    env = wrap(vector(num_envs=N, scenario=lively()), RunningNormalisation(clip=1.5))
    shown(env, 60)
    plain = vector(num_envs=N, scenario=lively())
    raw, _ = plain.reset(seed=9)
    env.layer.freeze()
    scaled, infos = env.reset(seed=9)
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(9, 57))
    document = Document(
        "linear",
        4,
        Network(
            tuple(NetworkInput(**entry.to_data()) for entry in env.layer.inputs),
            (Layer(tuple(map(tuple, weights.tolist())), (0.0,) * 9, "identity"),),
        ),
    )
    for i in range(N):
        eligible_now = [bool(x) for x in infos["action_mask"][i]]
        preferences = np.where(eligible_now, weights @ scaled[i].astype(float), -np.inf)
        decision = decide(document, raw[i].tolist(), eligible_now, 0.5)
        assert decision.action == preferences.argmax()


def test_an_input_out_of_range_is_refused():
    for arguments, message in (
        ({"mean": float("nan")}, r"^tier: mean: expected a finite number, got nan$"),
        ({"scale": 0.0}, r"^tier: scale: expected a finite number above 0, got 0.0$"),
        ({"scale": True}, r"^tier: scale: expected a finite number above 0, got True$"),
        ({"clip": -1.0}, r"^tier: clip: expected a finite number above 0, or none, got -1.0$"),
    ):
        with pytest.raises(ValueError, match=message):
            Input("tier", **arguments)
    with pytest.raises(ValueError, match=r"^RunningNormalisation: clip: expected a finite number above 0, got inf$"):
        RunningNormalisation(float("inf"))


def test_damaged_data_are_refused_with_their_place():
    good = {"feature": "tier", "mean": 0.0, "scale": 1.0}
    for entry, message in (
        ({**good, "scael": 2.0}, r"^inputs\[1\].scael: unknown key. Did you mean 'scale'\?$"),
        ({"feature": "tier", "scale": 1.0}, r"^inputs\[1\].mean: missing$"),
        ({**good, "scale": "1"}, r"^inputs\[1\]: tier: scale: expected a finite number above 0, got '1'$"),
        ({"mean": 0.0, "scale": 1.0}, r"^inputs\[1\]: expected a mapping with a 'feature', got \{'mean': 0.0"),
        ("tier", r"^inputs\[1\]: expected a mapping with a 'feature', got 'tier'$"),
    ):
        with pytest.raises(ValueError, match=message):
            read_inputs([good, entry])


def test_inputs_of_another_observation_are_refused():
    space = vector(scenario=lively()).single_observation_space
    inputs = list(inputs_of_ranges(feature_names(4), space))
    with pytest.raises(ValueError, match=r"^Normalisation: expected 57 inputs, one an entry, got 56$"):
        wrap(vector(scenario=lively()), Normalisation(tuple(inputs[:-1])))
    swapped = (inputs[1], inputs[0], *inputs[2:])
    with pytest.raises(
        ValueError, match=r"^Normalisation: inputs\[0\]: expected 'local_hour_sin', got 'local_hour_cos'.$"
    ):
        wrap(vector(scenario=lively()), Normalisation(swapped))
    misspelt = (Input("local_hour_sine"), *inputs[1:])
    with pytest.raises(ValueError, match=r"got 'local_hour_sine'. Did you mean 'local_hour_sin'\?$"):
        wrap(vector(scenario=lively()), Normalisation(misspelt))
