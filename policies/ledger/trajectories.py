"""Rebuild episodes from decisions, which stand in the ledger by time and not by user."""

from __future__ import annotations

from dataclasses import dataclass

from policies.ledger.batches import Array, Decisions, Endings
from policies.ledger.faults import LedgerError


@dataclass(frozen=True, repr=False)
class Trajectories:
    """Decisions in the order of (episode, step), every episode whole.

    Attributes:
        decisions: N rows, sorted.
        starts: row of each episode's first decision, and N at the end; shape (n_episodes + 1,).
        final_features: what was seen when each episode ended, NaN where no ending was given; (n_episodes, K).
        n_incomplete: episodes that were left out: cut at the front, with a gap, or still open.
    """

    decisions: Decisions
    starts: Array
    final_features: Array
    n_incomplete: int

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __repr__(self) -> str:
        return f"Trajectories({len(self)} episodes, {len(self.decisions)} decisions, {self.n_incomplete} left out)"


def trajectories(
    decisions: Decisions, endings: Endings | None = None, *, leave_out_incomplete: bool = False
) -> Trajectories:
    """Sort decisions into whole episodes.

    An episode is whole when its steps are 0, 1, ..., and the last, and no other, is terminated or truncated.

    Args:
        decisions: in any order.
        endings: what was seen when episodes ended; those of other episodes are passed over.
        leave_out_incomplete: leave such episodes out and count them, say after a damaged part or in a run that goes on.

    Raises:
        LedgerError: an episode is not whole, and was not to be left out; a reward is not known; an ending comes twice.
    """
    import numpy as np

    order = np.lexsort((decisions.step, decisions.episode_id))
    ordered = decisions.take(order)
    n_rows = len(ordered)
    is_first = np.ones(n_rows, bool)
    is_first[1:] = ordered.episode_id[1:] != ordered.episode_id[:-1]
    starts = np.flatnonzero(is_first)
    episode = np.cumsum(is_first) - 1
    expected_step = np.arange(n_rows) - starts[episode]
    is_end = np.append(is_first[1:], True)[:n_rows]
    is_broken = (ordered.step != expected_step) | (ordered.is_last != is_end)
    if is_broken.any() and not leave_out_incomplete:
        row = int(is_broken.argmax())
        n_broken = len(np.unique(episode[is_broken]))
        raise LedgerError(
            f"{n_broken} of {len(starts)} episodes are not whole: episode {ordered.episode_id[row]}: "
            f"{_what_is_broken(ordered, row, int(expected_step[row]))}; leave_out_incomplete=True leaves them out"
        )
    is_whole = np.ones(len(starts), bool)
    is_whole[episode[is_broken]] = False
    kept = ordered.take(is_whole[episode])
    lengths = np.diff(np.append(starts, n_rows))[is_whole]
    need_rewards(kept)
    kept_starts = np.append(0, np.cumsum(lengths))
    finals = _final_features(kept.episode_id[kept_starts[:-1]], decisions.features.shape[1], endings)
    return Trajectories(kept, kept_starts, finals, int((~is_whole).sum()))


def _what_is_broken(ordered: Decisions, row: int, expected_step: int) -> str:
    if ordered.step[row] != expected_step:
        return f"expected step {expected_step}, got {ordered.step[row]}"
    if ordered.is_last[row]:
        return f"it ends at step {ordered.step[row]} and goes on"
    return f"it is still open after step {ordered.step[row]}"


def need_rewards(decisions: Decisions) -> None:
    """Refuse decisions whose reward is not known yet."""
    import numpy as np

    unknown = np.isnan(decisions.reward)
    if unknown.any():
        raise LedgerError(
            f"decisions.reward: {unknown.sum()} rows are not known yet (NaN), "
            f"decision {decisions.decision_id[unknown.argmax()]} first; take those that are known"
        )


def _final_features(episode_ids: Array, n_features: int, endings: Endings | None) -> Array:
    import numpy as np

    finals = np.full((len(episode_ids), n_features), np.nan, np.float32)
    if endings is None or not len(endings):
        return finals
    order = np.argsort(endings.episode_id, kind="stable")
    ids = endings.episode_id[order]
    twice = ids[1:][ids[1:] == ids[:-1]]
    if twice.size:
        raise LedgerError(f"endings.episode_id: episode {twice[0]} ends {1 + (twice == twice[0]).sum()} times")
    at = np.minimum(np.searchsorted(ids, episode_ids), len(ids) - 1)
    is_there = ids[at] == episode_ids
    finals[is_there] = endings.features[order[at[is_there]]]
    return finals
