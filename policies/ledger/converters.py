"""The ledger as others read it: a Minari dataset, the Open Bandit Pipeline's feedback, arrays for d3rlpy.

A plain data frame needs no converter: `read_decisions(folder).arrow.to_pandas()`, `polars.from_arrow(...)`, or any
reader of Parquet on the part files themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypedDict

from policies import vocabulary
from policies.ledger.batches import Array, Decisions, Endings
from policies.ledger.faults import LedgerError, MissingExtraError
from policies.ledger.schema import DECISIONS, Header
from policies.ledger.trajectories import Trajectories, need_rewards, trajectories

MINARI_HEADER = "kairos_ledger"
MINARI_HASHES = "kairos_policy_hashes"
_NATIVE_IN_MINARI = ("features", "action", "reward", "terminated", "truncated")


class BanditFeedback(TypedDict):
    """One round a decision, under the names that the Open Bandit Pipeline uses (version 0.5)."""

    n_rounds: int
    n_actions: int
    context: Array  # (N, K) float64: the features
    action_context: Array  # (A, A) float64: one-hot, as nothing is known of an action apart from the context
    action: Array  # (N,) int64
    position: None  # one choice a round
    reward: Array  # (N,) float64
    pscore: Array  # (N,) float64: propensities
    pi_b: Array  # (N, A, 1) float64: all of the logging policy's probabilities


def to_obp(decisions: Decisions) -> BanditFeedback:
    """Return decisions as bandit feedback: each decision is a round, and what it does to later ones is left out.

    Raises:
        LedgerError: a reward is not known yet.
    """
    import numpy as np

    need_rewards(decisions)
    n_actions = decisions.probabilities.shape[1]
    return BanditFeedback(
        n_rounds=len(decisions),
        n_actions=n_actions,
        context=decisions.features.astype(np.float64),
        action_context=np.eye(n_actions),
        action=decisions.action.astype(np.int64),
        position=None,
        reward=decisions.reward.astype(np.float64),
        pscore=decisions.propensity.astype(np.float64),
        pi_b=decisions.probabilities[:, :, np.newaxis].astype(np.float64),
    )


class MdpArrays(NamedTuple):
    """Steps in the order of episodes, for `d3rlpy.dataset.MDPDataset(*arrays[:5], action_space=..., action_size=A)`.

    d3rlpy never learns from the last row of an episode that timed out, as it has no next observation. So where the
    ledger holds what was seen at the end, that is one more row (action 0, reward 0, propensity 1) which carries the
    time-out, and no decision is lost.
    """

    observations: Array  # (M, K) float32
    actions: Array  # (M,) int32
    rewards: Array  # (M,) float32
    terminals: Array  # (M,) float32, 0 or 1
    timeouts: Array  # (M,) float32, 0 or 1
    propensities: Array  # (M,) float64: not read by d3rlpy
    eligible: Array  # (M, A) bool: not read by d3rlpy


def to_d3rlpy(decisions: Decisions, endings: Endings | None = None, *, leave_out_incomplete: bool = False) -> MdpArrays:
    """Return whole episodes as arrays ready for d3rlpy, which itself is not needed.

    Rewards are discounted there by step; where decisions are not equally far apart, discount by elapsed time before.

    Raises:
        LedgerError: as `trajectories`.
    """
    import numpy as np

    episodes = trajectories(decisions, endings, leave_out_incomplete=leave_out_incomplete)
    d = episodes.decisions
    ends = episodes.starts[1:] - 1
    # A row of its own for the end of each truncated episode whose end was seen.
    is_added = d.truncated[ends] & ~np.isnan(episodes.final_features).any(axis=1)
    at = ends[is_added] + 1
    timeouts = d.truncated.astype(np.float32)
    timeouts[ends[is_added]] = 0
    eligible_at_the_end = np.zeros(d.eligible.shape[1], bool)
    eligible_at_the_end[0] = True
    return MdpArrays(
        observations=np.insert(d.features, at, episodes.final_features[is_added], axis=0),
        actions=np.insert(d.action.astype(np.int32), at, 0),
        rewards=np.insert(d.reward.astype(np.float32), at, 0),
        terminals=np.insert(d.terminated.astype(np.float32), at, 0),
        timeouts=np.insert(timeouts, at, 1),
        propensities=np.insert(d.propensity, at, 1.0),
        eligible=np.insert(d.eligible, at, eligible_at_the_end, axis=0),
    )


def to_minari(
    decisions: Decisions,
    header: Header,
    dataset_id: str,
    endings: Endings | None = None,
    *,
    leave_out_incomplete: bool = False,
    data_format: str = "parquet",
    about: Mapping[str, Any] | None = None,
) -> Any:
    """Store whole episodes as a Minari dataset in the local storage (`MINARI_DATASETS_PATH`), and return it.

    Observations, actions, rewards and ends are Minari's own; everything else of a decision, propensities included, is
    in `infos` under the ledger's names. Row t of `infos` belongs to the decision on observation t, so the last row,
    which belongs to the final observation, holds zeros. Minari keeps a folder an episode: meant for thousands of
    episodes, not millions.

    Args:
        dataset_id: such as `kairos/notify/random-v0`.
        endings: of truncated episodes all are needed; a terminated one without gets zeros, which no learner reads.
        data_format: "parquet" or "arrow".
        about: what else `minari.create_dataset_from_buffers` takes: author, description, algorithm_name, env, ...

    Raises:
        LedgerError: as `trajectories`; a truncated episode without its ending.
        MissingExtraError: Minari is not installed.
    """
    import numpy as np

    try:
        import minari
        from gymnasium.spaces import Box, Discrete
        from minari.data_collector import EpisodeBuffer
    except ImportError as missing:
        raise MissingExtraError(
            f"A Minari dataset needs {missing.name}: pip install minari", name=missing.name
        ) from missing

    episodes = trajectories(decisions, endings, leave_out_incomplete=leave_out_incomplete)
    _need_endings(episodes)
    low, high = _bounds(header, episodes)
    buffers = []
    for number in range(len(episodes)):
        rows = episodes.decisions.take(slice(episodes.starts[number], episodes.starts[number + 1]))
        final = np.nan_to_num(episodes.final_features[number])
        infos = {
            column.name: _with_a_row_of_zeros(getattr(rows, column.name))
            for column in DECISIONS.columns
            if column.name not in _NATIVE_IN_MINARI
        }
        buffers.append(
            EpisodeBuffer(
                id=number,
                observations=np.vstack((rows.features, final)),
                actions=rows.action.astype(np.int64),
                rewards=rows.reward,
                terminations=rows.terminated,
                truncations=rows.truncated,
                infos=infos,
            )
        )
    dataset = minari.create_dataset_from_buffers(
        dataset_id,
        buffers,
        observation_space=Box(low, high, dtype=np.float32),
        action_space=Discrete(len(header.actions)),
        data_format=data_format,
        **(about or {}),
    )
    dataset.storage.update_metadata({MINARI_HEADER: header.to_json(), MINARI_HASHES: list(decisions.policy_hashes)})
    return dataset


def from_minari(dataset: Any) -> tuple[Decisions, Endings, Header]:
    """Return what `to_minari` stored: decisions by episode and step, what was seen at the ends, and the header.

    The ends' times are not part of a Minari dataset: their hours are NaN.

    Raises:
        LedgerError: the dataset was not made from a ledger.
    """
    import numpy as np

    metadata = dataset.storage.metadata
    if MINARI_HEADER not in metadata:
        raise LedgerError(f"{metadata.get('dataset_id', 'dataset')}: expected one made by to_minari, got another")
    header = Header.from_json(metadata[MINARI_HEADER], f"{metadata['dataset_id']}: {MINARI_HEADER}")
    found: dict[str, list[Array]] = {column.name: [] for column in DECISIONS.columns}
    finals = []
    for episode in dataset.iterate_episodes():
        n_steps = len(episode)
        own = {
            "features": episode.observations[:-1],
            "action": episode.actions,
            "reward": episode.rewards,
            "terminated": episode.terminations,
            "truncated": episode.truncations,
        }
        for column in DECISIONS.columns:
            values = own[column.name] if column.name in own else episode.infos[column.name][:n_steps]
            width = (header.width(column),) if column.each else ()
            found[column.name].append(np.asarray(values).astype(column.dtype).reshape(n_steps, *width))
        finals.append(episode.observations[-1])
    if not finals:
        raise LedgerError(f"{metadata['dataset_id']}: expected episodes, got none")
    arrays = {name: np.concatenate(values) for name, values in found.items()}
    decisions = Decisions(**arrays, policy_hashes=tuple(metadata[MINARI_HASHES]))
    unknown = np.full(len(finals), np.nan)
    ids = decisions.episode_id[decisions.is_last]
    return decisions, Endings(ids, unknown, unknown, np.stack(finals).astype(np.float32)), header


def _need_endings(episodes: Trajectories) -> None:
    import numpy as np

    last = episodes.decisions.take(episodes.starts[1:] - 1)
    is_missing = last.truncated & np.isnan(episodes.final_features).any(axis=1)
    if is_missing.any():
        raise LedgerError(
            f"endings: {is_missing.sum()} truncated episodes have none, episode "
            f"{last.episode_id[is_missing.argmax()]} first: what follows their last decision would be made up"
        )


def _bounds(header: Header, episodes: Trajectories) -> tuple[Array, Array]:
    """Return the range of each feature: the vocabulary's when the features are its own, else that of the values."""
    import numpy as np

    if header.features == vocabulary.feature_names(header.n_slots):
        entries = vocabulary.features(header.n_slots)
        return np.array([f.low for f in entries], np.float32), np.array([f.high for f in entries], np.float32)
    seen = np.vstack((episodes.decisions.features, np.nan_to_num(episodes.final_features)))
    return seen.min(axis=0), seen.max(axis=0)


def _with_a_row_of_zeros(values: Array) -> Any:
    """Return values for Minari's infos: lists where there is one axis, as Minari 0.5 cannot read such arrays back."""
    import numpy as np

    longer = np.concatenate((values, np.zeros((1, *values.shape[1:]), values.dtype)))
    return list(longer) if longer.ndim == 1 else longer
