"""Episodes from a table and from a ledger: what was written comes back, and what cannot be is named by row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from experiments.offline.logs.episodes import ledger_trajectories, read_trajectories
from experiments.offline.logs.faults import LogError
from experiments.offline.logs.ledgers import ledger_rounds
from experiments.offline.logs.mapping import LogMapping
from experiments.offline.logs.tables import ROW
from policies.ledger import LedgerWriter, read_decisions
from tests.experiments.offline.episodes import TinyMdp
from tests.experiments.recordings import N, environment, recorded

TABLE: dict[str, Any] = {
    "visit": ["a", "a", "a", "b", "b", "c"],
    "who": ["anna", "anna", "anna", "ben", "ben", "anna"],
    "when": [0.0, 5.0, 8.0, 1.0, 2.0, 50.0],
    "arm": ["push", "none", "push", "none", "none", "push"],
    "p": [0.5, 0.5, 0.5, 0.5, 0.5, 0.5],
    "spent": [1.0, 0.0, 2.0, 0.0, 3.0, 4.0],
    "tired": [0, 1, 1, 0, 0, 2],
    "left": [False, False, True, False, False, False],
}
MAPPING = {
    "kind": "log-mapping", "action": {"column": "arm", "names": ["none", "push"]}, "reward": "spent",
    "propensity": "p", "user": "who", "time": {"column": "when", "unit": "hours"}, "features": ["tired"],
    "episode": {"column": "visit", "terminated": "left"},
}  # fmt: skip


def mapping(**changes: Any) -> LogMapping:
    return LogMapping.model_validate(MAPPING | changes)


def test_a_tables_episodes() -> None:
    """Hours come from the times; those after the last decisions are the median of the others: 1, 3 and 5."""
    log = read_trajectories(pl.DataFrame(TABLE), mapping(), discount_per_day=0.5)
    assert (log.n_episodes, log.horizon) == (3, 3)
    assert log.steps.tolist() == [0, 1, 2, 0, 1, 0]
    assert log.elapsed_hours is not None
    assert log.elapsed_hours.tolist() == [5.0, 3.0, 3.0, 1.0, 3.0, 3.0]
    assert log.is_terminated.tolist() == [False, False, True, False, False, False]
    assert log.is_truncated.tolist() == [False, False, False, False, True, True]
    assert log.clusters is not None
    assert log.clusters[0] == log.clusters[2] != log.clusters[1]
    np.testing.assert_allclose(log.returns, [1.0 + 2.0 * 0.5 ** (8 / 24), 3.0 * 0.5 ** (1 / 24), 4.0])


def test_without_times_a_step_is_an_hour_and_without_ends_all_goes_on() -> None:
    log = read_trajectories(pl.DataFrame(TABLE), mapping(time=None, episode="visit", features=()))
    assert log.hours.tolist() == [0.0, 1.0, 2.0, 0.0, 1.0, 0.0]
    assert not log.is_terminated.any()
    assert log.observations.shape == (6, 0)


def test_a_world_written_down_and_read_again(tmp_path: Path) -> None:
    """Every array of a log of the tiny world, but for the hours after an episode's last decision."""
    log = TinyMdp().drawn(200, 1)
    probabilities = np.asarray(log.probabilities)
    pl.DataFrame(
        {
            "episode": log.episodes, "t": log.hours, "action": np.asarray(log.action_names)[log.actions],
            "reward": log.rewards, **dict(zip(log.features, log.observations.T, strict=True)),
            **{f"p_{name}": probabilities[:, k] for k, name in enumerate(log.action_names)},
            **{f"can_{name}": log.eligibility[:, k] for k, name in enumerate(log.action_names)},
            "left": log.is_terminated,
        }
    ).write_parquet(tmp_path / "log.parquet")  # fmt: skip
    about = LogMapping.model_validate(
        {
            "action": {"column": "action", "names": log.action_names}, "reward": "reward", "features": log.features,
            "probabilities": {name: f"p_{name}" for name in log.action_names},
            "eligible": {name: f"can_{name}" for name in log.action_names},
            "time": {"column": "t", "unit": "hours"}, "episode": {"column": "episode", "terminated": "left"},
        }
    )  # fmt: skip
    found = read_trajectories(tmp_path / "log.parquet", about, 0.9**24)
    for name in ("actions", "rewards", "observations", "probabilities", "propensities", "eligible", "steps", "hours",
                 "is_terminated", "is_truncated", "returns"):  # fmt: skip
        np.testing.assert_allclose(getattr(found, name), getattr(log, name), rtol=0, atol=1e-12, err_msg=name)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"visit": ["a", "b", "a", "b", "b", "c"], "who": list("xyxyyz"), "when": [float(k) for k in range(6)]},
            "row 2: visit: expected all rows of an episode together, got 'a' again, which began in row 0",
        ),
        ({"when": [0.0, 5.0, 4.0, 1.0, 2.0, 50.0], "who": list("xxxyyz")}, r"row 2: when .hours.: expected not before"),
        (
            {"when": [0.0, 5.0, 8.0, 2.0, 1.0, 50.0], "who": list("xxxyyz")},
            r"row 4: when .hours.: expected not before the same user's decision above, got 1, and row 3 has 2",
        ),
        (
            {"left": [True, False, True, False, False, False]},
            "row 0: left: expected false before an episode's last row, got true, and the episode goes on in row 1",
        ),
        (
            {"who": ["anna", "zoe", "anna", "ben", "ben", "anna"]},
            "row 1: who: expected the same user through an episode, got 'zoe', and it began with 'anna'",
        ),
        ({"visit": ["a", "a", "a", None, "b", "c"]}, "row 3: visit: expected an episode, got nothing"),
        ({"left": ["no", "no", "yes", "no", "no", "no"]}, "row 0: left: expected a number, got 'no'"),
    ],
)
def test_what_is_no_episode(columns: dict[str, Any], message: str) -> None:
    with pytest.raises(LogError, match=message):
        read_trajectories(pl.DataFrame(TABLE | columns, strict=False), mapping())


def test_time_that_runs_backwards_where_users_are_not_known() -> None:
    back = pl.DataFrame(TABLE | {"when": [0.0, 5.0, 8.0, 2.0, 1.0, 50.0]})
    expected = "row 4: when: expected not before the episode's row above, got 1 hours before it"
    with pytest.raises(LogError, match=expected):
        read_trajectories(back, mapping(user=None))


def test_rows_that_are_no_decisions_keep_their_numbers() -> None:
    """Row 1 of the table is left out; the fault lies in the fourth row that is left."""
    frame = pl.DataFrame(TABLE | {"left": [False, False, False, True, False, False]})
    with pytest.raises(LogError, match=r"^row 3: left: .* got true, and the episode goes on in row 4$"):
        read_trajectories(frame.with_columns(on=pl.Series([1, 0, 1, 1, 1, 1])), mapping(where={"on": 1}))
    assert ROW not in frame.columns


def test_a_mapping_without_episodes() -> None:
    with pytest.raises(LogError, match="episode: expected the column that says whose episode a row is, got none"):
        read_trajectories(pl.DataFrame(TABLE), mapping(episode=None))
    with pytest.raises(LogError, match=r"episode.terminated: no column 'gone' in the table"):
        read_trajectories(pl.DataFrame(TABLE), mapping(episode={"column": "visit", "terminated": "gone"}))


def test_a_ledgers_episodes(tmp_path: Path) -> None:
    """All decisions, in the order of episode and step; an episode ends where its user left, else with the log."""
    written = recorded(tmp_path / "ledger", environment())
    log, told = ledger_trajectories(tmp_path / "ledger", 0.99)
    decisions = written.decisions
    assert told == ()
    assert (len(log), log.n_episodes) == (len(decisions.reward), N)
    order = np.lexsort((decisions.step, decisions.episode_id))
    np.testing.assert_array_equal(log.rewards, decisions.reward[order])
    np.testing.assert_array_equal(log.steps, decisions.step[order])
    np.testing.assert_array_equal(log.is_terminated, decisions.terminated[order])
    assert log.elapsed_hours is not None
    inside = ~log.is_last
    np.testing.assert_allclose(log.hours[1:][inside[:-1]], np.cumsum(log.elapsed_hours)[:-1][inside[:-1]] - np.repeat(
        (np.cumsum(log.elapsed_hours) - log.elapsed_hours)[log.starts], np.diff(np.append(log.starts, len(log)))
    )[1:][inside[:-1]])  # fmt: skip
    np.testing.assert_allclose(log.elapsed_hours[log.is_last].sum(), written.endings.elapsed_hours.sum())


def test_a_ledgers_episodes_that_are_not_whole_are_left_out_and_counted(tmp_path: Path) -> None:
    """Without the first decision of one and the third of another the rest is the log without both."""
    written = recorded(tmp_path / "ledger", environment())
    whole, _ = ledger_trajectories(tmp_path / "ledger")
    d = written.decisions
    cut, gap = (int(whole.episodes.view(np.uint64)[whole.starts[k]]) for k in (0, 1))
    is_lost = ((d.episode_id == cut) & (d.step == 0)) | ((d.episode_id == gap) & (d.step == 2))
    assert is_lost.sum() == 2
    header = read_decisions(tmp_path / "ledger").header
    with LedgerWriter(tmp_path / "part", header) as writer:
        writer.write(d.take(~is_lost))
        writer.write_endings(written.endings)
    log, told = ledger_trajectories(tmp_path / "part")
    expected = f"2 of {N} episodes are left out: their first decisions, or some between, are not in the ledger."
    assert told == (expected,)
    kept = whole.take(np.arange(N) >= 2)
    for name in ("rewards", "actions", "steps", "episodes", "elapsed_hours", "is_terminated"):
        np.testing.assert_array_equal(getattr(log, name), getattr(kept, name), err_msg=name)
    with LedgerWriter(tmp_path / "late", header) as writer:
        writer.write(d.take(d.step > 0))
    with pytest.raises(LogError, match=rf"{N} of {N} episodes are left out(.|\n)*expected at least one of an episode"):
        ledger_trajectories(tmp_path / "late")


def test_a_ledger_without_a_decision(tmp_path: Path) -> None:
    written = recorded(tmp_path / "ledger", environment())
    with LedgerWriter(tmp_path / "empty", read_decisions(tmp_path / "ledger").header) as writer:
        writer.write(written.decisions.take(np.zeros(len(written.decisions.reward), np.bool_)))
    with pytest.raises(LogError, match=r"^decisions: expected at least one of an episode that is whole, got none$"):
        ledger_trajectories(tmp_path / "empty")
    with pytest.raises(
        LogError, match=r"empty: expected a decision in which something besides no_send was eligible .* in 0 decisions"
    ):
        ledger_rounds(tmp_path / "empty")


def test_a_reward_that_is_not_known_yet_ends_the_episode_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded(tmp_path / "ledger", environment())
    whole, _ = ledger_trajectories(tmp_path / "ledger")
    read = read_decisions

    class Rows:
        def __init__(self, rows: Any, at: Any) -> None:
            self.header, self._arrays = rows.header, rows.arrays()
            self._arrays["reward"] = np.where(at(self._arrays), np.nan, self._arrays["reward"])

        def arrays(self) -> Any:
            return self._arrays

    first = int(whole.episodes.view(np.uint64)[0])
    last = int(whole.steps[whole.ends[0]])

    def patched(step: int) -> Any:
        return lambda *given: Rows(read(*given), lambda a: (a["episode_id"] == first) & (a["step"] == step))

    monkeypatch.setattr("experiments.offline.logs.episodes.read_decisions", patched(last))
    log, told = ledger_trajectories(tmp_path / "ledger")
    assert len(log) == len(whole) - 1
    assert told == (f"1 of {len(whole):,} decisions are left out: their reward was not known yet.",)
    assert log.is_truncated[log.ends[0]]
    monkeypatch.setattr("experiments.offline.logs.episodes.read_decisions", patched(last - 1))
    with pytest.raises(LogError, match=f"reward: expected a number before .*, got nothing at step {last - 1} of episo"):
        ledger_trajectories(tmp_path / "ledger")
