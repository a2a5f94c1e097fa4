"""How far a run is: shares that only rise, words now and then, and the question whether to stop."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from agents.baselines.tuning import tune
from experiments.run.config import Tuning
from experiments.run.faults import Interrupted
from experiments.run.progress import Progress
from experiments.run.stages.contenders import _SearchProgress


@pytest.mark.parametrize(("n_candidates", "first", "most"), [(1, 2, 64), (2, 4, 4), (24, 64, 512), (7, 3, 20)])
def test_the_share_of_a_search_only_rises(n_candidates: int, first: int, most: int) -> None:
    far = _SearchProgress(("a", "b"), Tuning(first_users=first, most_users=most))
    shares: list[float] = []
    for kind in ("a", "b"):

        def on_trial(done: int, of: int, kind: str = kind) -> None:
            shares.append(far.share(kind, done, of))

        def returns_of(candidate: int, start: int, n: int) -> npt.NDArray[np.float64]:
            return np.full(n, float(candidate))

        tune(list(range(n_candidates)), returns_of, first_users=first, most_users=most, on_trial=on_trial)
    assert shares == sorted(shares)
    assert 0 < shares[0] <= shares[-1] <= 1


def test_words_come_now_and_then_with_the_time_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 100.0
    monkeypatch.setattr("experiments.run.progress.time.monotonic", lambda: now)
    progress = Progress(2)
    progress.stage("tuning")
    for now in (101.0, 106.0, 107.0, 112.0):
        progress.far(now - 100.0, 24.0, "cap")
    assert capsys.readouterr().err.splitlines() == [
        "[1/2] tuning",
        "[1/2] tuning: 25 %, about 18 s left, cap",
        "[1/2] tuning: 50 %, about 12 s left, cap",
    ]
    now = 200.0
    progress.stage("evaluating")
    now = 260.0  # the first minute was compiling
    progress.far(1.0, 24.0)
    now = 266.0
    progress.far(7.0, 24.0)
    assert capsys.readouterr().err.splitlines() == [
        "[2/2] evaluating",
        "[2/2] evaluating: 4 %",
        "[2/2] evaluating: 29 %, about 17 s left",
    ]
    quiet = Progress(1, is_quiet=True)
    quiet.stage("x")
    assert capsys.readouterr().err == ""


def test_a_run_is_asked_to_stop_between_words() -> None:
    progress = Progress(1, lambda: True, is_quiet=True)
    progress.tell(1, 2)
    for ask in (lambda: progress.stage("x"), lambda: progress.far(1, 2), progress.stop_if_asked):
        with pytest.raises(Interrupted):
            ask()
