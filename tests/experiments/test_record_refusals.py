"""The recorder refuses what does not fit together, says why, and writes nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.recording.logging_policies import LoggingPolicy, of_function, uniform_over_eligible, uniform_policy
from experiments.recording.record import ledger_header, record
from policies.ledger import LedgerWriter, read_decisions
from tests.experiments.recordings import asks_for_anything, environment


def spoilt(column: int, value: float) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    def probabilities(observations: np.ndarray, masks: np.ndarray) -> np.ndarray:
        found = uniform_over_eligible(observations, masks)
        found[3, column] = value
        return found

    return probabilities


def bad() -> Iterator[Any]:
    fine = uniform_policy(4)
    yield pytest.param({"journal_rows": 0}, fine, {}, r"got journal_rows=0; journal_rows=6016 is room", id="no journal")
    yield pytest.param({}, uniform_policy(3), {}, r"'random': expected 9 actions, .* n_slots=4, got 7", id="actions")
    yield pytest.param({"autoresets": True}, fine, {}, r"n_decisions: expected a number, .* got None", id="endless")
    yield pytest.param({}, fine, {"n_decisions": 0}, r"n_decisions: expected at least 1, got 0", id="none")
    for value, message in ((math.nan, r"in \[0, 1\], got nan"), (-0.5, "got -0.5"), (2.0, "got 2.0")):
        policy = of_function("odd", 9, spoilt(0, value))
        yield pytest.param({}, policy, {}, rf"'odd': .* 3, action 0 \(no_send\).*{message}", id=str(value))
    policy = of_function("odd", 9, spoilt(0, 0.0))
    yield pytest.param({}, policy, {}, r"'odd': probabilities: sub-environment 3: expected a sum of 1, got", id="sum")
    policy = of_function("flat", 9, lambda observations, masks: np.full(9, 1 / 9))
    yield pytest.param({}, policy, {}, r"'flat': probabilities: expected shape \(30, 9\), got \(9,\)", id="shape")
    policy = of_function("anything", 9, asks_for_anything)
    yield pytest.param({}, policy, {}, r"expected 0, as it is not eligible, got 0.0625; .*'no_send'", id="ineligible")


@pytest.mark.parametrize(("arguments", "policy", "options", "message"), list(bad()))
def test_what_does_not_fit_is_refused_and_nothing_is_written(
    tmp_path: Path, arguments: Any, policy: LoggingPolicy, options: Any, message: str
) -> None:
    env = environment(**arguments)
    with LedgerWriter(tmp_path, ledger_header(env)) as writer, pytest.raises(ValueError, match=message):
        record(env, policy, writer, seed=5, **options)
    assert not len(read_decisions(tmp_path))


def test_another_header_is_refused(tmp_path: Path) -> None:
    env = environment()
    header = ledger_header(environment(n_slots=3))
    with LedgerWriter(tmp_path, header) as writer, pytest.raises(ValueError, match=r"another n_slots, features, act"):
        record(env, uniform_policy(4), writer, seed=5)


def test_a_queue_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected mode 'notify' or 'daily', got 'queue'"):
        ledger_header(environment(mode="queue"))


def test_a_full_journal_is_an_error_that_names_the_option(tmp_path: Path) -> None:
    env = environment(journal_rows=8)
    with LedgerWriter(tmp_path, ledger_header(env)) as writer, pytest.raises(RuntimeError) as caught:
        record(env, uniform_policy(4), writer, seed=5)
    assert str(caught.value) == (
        "journal_rows: the journal of worker 0 (30 users) is full with 8 events of one step, and more may be lost; "
        "expected more room than a step's events, try 32"
    )
