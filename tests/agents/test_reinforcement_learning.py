"""What is learned in worlds whose optimum is known exactly; and that those who learn wrongly are found out.

In A each send pays at once, and what it costs comes over weeks; in D the user who is sent to is not there for others.
"""

from __future__ import annotations

import pytest

from tests.agents.exact_configs import DQN_A, PPO_A, PPO_D, ExactRun, flip_advantages

HALF = 0.5
# Discounts any step of an hour to 3e-13 and less: nothing that comes later counts.
NOTHING_LATER = 1e-300
RUNS = {"PPO in A": PPO_A, "PPO in D": PPO_D, "DQN in A": DQN_A}


def learned(run: ExactRun, seed: int, *, is_flipped: bool = False, **changes: object) -> float:
    """Return the share of the gap that a run closes."""
    trainer = run.trainer(seed, **changes)
    if is_flipped:
        flip_advantages(trainer)
    trainer.advance(trainer.settings.anneal_steps)
    return run.gap_closed(trainer)


@pytest.mark.proof
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", RUNS)
def test_half_of_the_gap_is_closed(name: str, seed: int) -> None:
    share = learned(RUNS[name], seed)
    print(f"{name}, seed {seed}: {share:.3f} of the gap")  # noqa: T201 the proof's record
    assert share >= HALF


def test_half_of_the_gap_is_closed_in_d_with_half_of_the_time() -> None:
    assert learned(PPO_D, 0, anneal_steps=400_000) >= HALF


@pytest.mark.parametrize("run", [PPO_A, PPO_D], ids=["A", "D"])
@pytest.mark.parametrize("fault", ["flipped", "nothing later"])
def test_wrong_learners_fail(run: ExactRun, fault: str) -> None:
    """Long enough for the faults to show, with rollouts, batches and all else as the proof has them."""
    changes = {"discount_per_day": NOTHING_LATER} if fault == "nothing later" else {}
    share = learned(run, 0, is_flipped=fault == "flipped", anneal_steps=100_000, **changes)
    assert share < HALF
