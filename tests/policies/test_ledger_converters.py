"""What others read, checked with the real Minari and the real Open Bandit Pipeline."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import minari
import numpy as np
import pytest
from obp.ope import InverseProbabilityWeighting, OffPolicyEvaluation, SelfNormalizedInverseProbabilityWeighting
from obp.utils import check_bandit_feedback_inputs

from policies.ledger import DECISIONS, Decisions, LedgerError, LedgerWriter, read_decisions, read_endings
from policies.ledger.converters import from_minari, to_d3rlpy, to_minari, to_obp
from policies.ledger.trajectories import trajectories
from tests.policies import ledgers

# Minari recommends the environments of collection and of evaluation; these datasets are made up and have neither.
pytestmark = [
    pytest.mark.filterwarnings("ignore:`eval_env` is set to None:UserWarning"),
    pytest.mark.filterwarnings("ignore:env_spec is None:UserWarning"),
]

HEADER = ledgers.header()
N_USERS = 7
WHOLE = ledgers.decisions(N_USERS * 20)  # 4 episodes of 5 steps a user: left, cut, left, cut
ENDINGS = ledgers.endings(WHOLE)


@pytest.fixture(autouse=True)
def local_minari(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))


def by_episode(batch: Decisions) -> Decisions:
    return batch.take(np.lexsort((batch.step, batch.episode_id)))


def test_trajectories_put_episodes_together() -> None:
    shuffled = WHOLE.take(np.random.default_rng(0).permutation(len(WHOLE)))
    found = trajectories(shuffled, ENDINGS)
    assert repr(found) == "Trajectories(28 episodes, 140 decisions, 0 left out)"
    np.testing.assert_array_equal(found.starts, np.arange(29) * 5)
    np.testing.assert_array_equal(found.decisions.step, np.tile(np.arange(5), 28))
    np.testing.assert_array_equal(found.decisions.decision_id, by_episode(WHOLE).decision_id)
    order = np.argsort(ENDINGS.episode_id)
    np.testing.assert_array_equal(found.final_features, ENDINGS.features[order])


@pytest.mark.parametrize(
    ("is_kept", "message"),
    [
        (lambda d: ~((d.user_id == 0) & (d.time_hours == 2)), "1 of 28 episodes .*: episode 0: expected step 2, got 3"),
        (lambda d: ~((d.user_id == 0) & (d.time_hours == 0)), "episode 0: expected step 0, got 1"),
        (lambda d: ~((d.user_id == 0) & (d.time_hours == 4)), "episode 0: it is still open after step 3"),
    ],
)
def test_an_episode_that_is_not_whole_is_told_or_left_out(is_kept: Any, message: str) -> None:
    cut = WHOLE.take(is_kept(WHOLE))
    with pytest.raises(LedgerError, match=message):
        trajectories(cut)
    found = trajectories(cut, leave_out_incomplete=True)
    assert (len(found), len(found.decisions), found.n_incomplete) == (27, 135, 1)
    assert 0 not in found.decisions.episode_id


def test_an_episode_that_goes_on_after_its_end_is_told() -> None:
    batch = dataclasses.replace(WHOLE, terminated=WHOLE.terminated | (WHOLE.decision_id == WHOLE.decision_id[0]))
    with pytest.raises(LedgerError, match="episode 0: it ends at step 0 and goes on"):
        trajectories(batch)


def test_no_decisions_are_no_episodes() -> None:
    nothing = WHOLE.take(slice(0, 0))
    assert len(trajectories(nothing)) == 0
    assert len(to_d3rlpy(nothing).actions) == 0


def test_unknown_rewards_are_told() -> None:
    reward = WHOLE.reward.copy()
    reward[[3, 8]] = np.nan
    batch = dataclasses.replace(WHOLE, reward=reward)
    for convert in (to_obp, to_d3rlpy):
        with pytest.raises(
            LedgerError, match=r"decisions.reward: 2 rows are not known yet \(NaN\), decision \d+ first"
        ):
            convert(batch)


def test_an_episode_that_ends_twice_is_told() -> None:
    twice = dataclasses.replace(ENDINGS, episode_id=np.where(ENDINGS.episode_id == 1, 0, ENDINGS.episode_id))
    with pytest.raises(LedgerError, match=r"endings.episode_id: episode 0 ends 2 times"):
        trajectories(WHOLE, twice)


@pytest.mark.parametrize("data_format", ["parquet", "arrow"])
def test_a_round_trip_through_minari_keeps_everything(tmp_path: Path, data_format: str) -> None:
    with LedgerWriter(tmp_path / "ledger", HEADER) as writer:
        writer.write(WHOLE)
        writer.write_endings(ENDINGS)
    logged, ends = read_decisions(tmp_path / "ledger").decisions(), read_endings(tmp_path / "ledger").endings()
    to_minari(logged, HEADER, "kairos/test/random-v0", ends, data_format=data_format, about=MINARI_ASKS)
    dataset = minari.load_dataset("kairos/test/random-v0")
    assert (dataset.total_episodes, dataset.total_steps) == (28, 140)
    decisions, endings, header = from_minari(dataset)
    assert header == HEADER
    expected = by_episode(logged)
    for column in DECISIONS.columns:
        values = getattr(decisions, column.name)
        assert values.dtype == column.dtype
        np.testing.assert_array_equal(values, getattr(expected, column.name), err_msg=column.name)
    assert decisions.policy_hashes == logged.policy_hashes
    order = np.argsort(ends.episode_id)
    np.testing.assert_array_equal(endings.episode_id, ends.episode_id[order])
    np.testing.assert_array_equal(endings.features, ends.features[order])


MINARI_ASKS = {
    "author": "tests",
    "author_email": "tests@example.org",
    "code_permalink": "https://example.org",
    "algorithm_name": "random",
    "description": "random decisions",
}


def test_minari_shows_the_episode_as_it_was() -> None:
    """Read with Minari alone: propensities in `infos`, one observation more than actions, churn apart from the end."""
    dataset = to_minari(WHOLE, HEADER, "kairos/test/random-v0", ENDINGS, about=MINARI_ASKS)
    episode = dataset[0]
    first = WHOLE.take(WHOLE.episode_id == 0)
    assert episode.observations.shape == (6, 57)
    np.testing.assert_array_equal(episode.observations[:5], first.features)
    np.testing.assert_array_equal(episode.infos["propensity"][:5], first.propensity)
    np.testing.assert_array_equal(episode.infos["probabilities"][:5], first.probabilities)
    assert episode.terminations.tolist() == [False] * 4 + [True]
    assert not episode.truncations.any()
    assert dataset.action_space.n == 9


def test_minari_needs_the_ends_of_truncated_episodes() -> None:
    with pytest.raises(LedgerError, match=r"endings: 14 truncated episodes have none, episode 1 first: .* made up"):
        to_minari(WHOLE, HEADER, "kairos/test/random-v0")


def test_minari_needs_no_end_where_the_user_left() -> None:
    left = WHOLE.take(np.isin(WHOLE.episode_id, WHOLE.episode_id[WHOLE.terminated]))
    dataset = to_minari(left, HEADER, "kairos/test/random-v0", about=MINARI_ASKS)
    assert not dataset[0].observations[-1].any()


def test_a_dataset_of_others_is_refused(tmp_path: Path) -> None:
    dataset = to_minari(WHOLE, HEADER, "kairos/test/random-v0", ENDINGS, about=MINARI_ASKS)
    path = next(tmp_path.rglob("metadata.json"))
    assert "kairos_ledger" in path.read_text()
    path.write_text(path.read_text().replace("kairos_ledger", "theirs"))
    with pytest.raises(LedgerError, match="expected one made by to_minari, got another"):
        from_minari(dataset)


@pytest.fixture(scope="module")
def rounds() -> Decisions:
    return ledgers.decisions(7000, seed=5)


def test_obp_takes_the_feedback_and_estimates_as_the_formulas_say(rounds: Decisions) -> None:
    feedback = to_obp(rounds)
    check_bandit_feedback_inputs(
        context=feedback["context"],
        action=feedback["action"],
        reward=feedback["reward"],
        pscore=feedback["pscore"],
        action_context=feedback["action_context"],
    )
    # A target that spreads evenly over the eligible actions: IPW is the mean of w r, SNIPW the sum over that of w.
    target = rounds.eligible / rounds.eligible.sum(axis=1, keepdims=True)
    weight = target[np.arange(len(rounds)), rounds.action] / rounds.propensity
    estimates = OffPolicyEvaluation(
        bandit_feedback=feedback,
        ope_estimators=[InverseProbabilityWeighting(), SelfNormalizedInverseProbabilityWeighting()],
    ).estimate_policy_values(action_dist=target[:, :, np.newaxis])
    assert estimates["ipw"] == pytest.approx((weight * rounds.reward).mean(), rel=1e-12)
    assert estimates["snipw"] == pytest.approx((weight * rounds.reward).sum() / weight.sum(), rel=1e-12)


def test_obp_gives_the_logging_policy_its_own_mean(rounds: Decisions) -> None:
    feedback = to_obp(rounds)
    estimates = OffPolicyEvaluation(
        bandit_feedback=feedback, ope_estimators=[InverseProbabilityWeighting()]
    ).estimate_policy_values(action_dist=feedback["pi_b"])
    assert estimates["ipw"] == pytest.approx(rounds.reward.mean(), rel=1e-12)


def test_feedback_comes_back_as_it_was_logged(rounds: Decisions) -> None:
    feedback = to_obp(rounds)
    assert (feedback["n_rounds"], feedback["n_actions"], feedback["position"]) == (7000, 9, None)
    np.testing.assert_array_equal(feedback["context"].astype(np.float32), rounds.features)
    np.testing.assert_array_equal(feedback["action"], rounds.action)
    np.testing.assert_array_equal(feedback["pscore"], rounds.propensity)
    np.testing.assert_array_equal(feedback["pi_b"][:, :, 0], rounds.probabilities)


def test_d3rlpy_gets_every_decision_and_the_end_of_truncated_episodes() -> None:
    arrays = to_d3rlpy(WHOLE, ENDINGS)
    n_rows = 14 * 5 + 14 * 6  # episodes that a user left, and cut ones with a row for their end
    assert {name: values.shape for name, values in arrays._asdict().items()} == {
        "observations": (n_rows, 57),
        "actions": (n_rows,),
        "rewards": (n_rows,),
        "terminals": (n_rows,),
        "timeouts": (n_rows,),
        "propensities": (n_rows,),
        "eligible": (n_rows, 9),
    }
    transitions = transitions_of(arrays)
    expected = by_episode(WHOLE)
    assert len(transitions) == len(WHOLE)
    ends = dict(zip(ENDINGS.episode_id.tolist(), ENDINGS.features, strict=True))
    for row, (observation, action, reward, following, terminal) in enumerate(transitions):
        np.testing.assert_array_equal(observation, expected.features[row])
        assert (action, reward) == (expected.action[row], np.float32(expected.reward[row]))
        assert terminal == expected.terminated[row]
        if expected.terminated[row]:
            assert not following.any()
        elif expected.truncated[row]:
            np.testing.assert_array_equal(following, ends[int(expected.episode_id[row])])
        else:
            np.testing.assert_array_equal(following, expected.features[row + 1])


def test_d3rlpy_without_ends_loses_the_last_step_of_truncated_episodes() -> None:
    arrays = to_d3rlpy(WHOLE)
    assert len(arrays.actions) == len(WHOLE)
    assert len(transitions_of(arrays)) == len(WHOLE) - 14


def transitions_of(arrays: Any) -> list[tuple[Any, ...]]:
    """What d3rlpy learns from: its rule for episodes and transitions, told again (d3rlpy/dataset, version 2).

    An episode ends after a row with terminal or timeout 1. Row t gives (o_t, a_t, r_t, o_t+1); the last row of a
    terminated episode is followed by zeros, the last of one that timed out gives nothing.
    """
    found = []
    for row in range(len(arrays.actions)):
        is_terminal = bool(arrays.terminals[row])
        if arrays.timeouts[row] and not is_terminal:
            continue
        observation = arrays.observations[row]
        following = np.zeros_like(observation) if is_terminal else arrays.observations[row + 1]
        found.append((observation, arrays.actions[row], arrays.rewards[row], following, is_terminal))
    return found
