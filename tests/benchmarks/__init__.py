"""Benchmarks: each figure beside a reference from the same run, since absolute speeds say little across machines.

A module `bench_NAME.py` in this folder exposes `run(quick: bool) -> list[Row]`. It asserts that the work was done,
keeps compilation out of the measured time, and measures its reference right before or after the figure.
`python -m tests.benchmarks` runs them all. `time_to_value` takes hours and is run on its own.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One measured figure.

    Attributes:
        name: what was measured.
        unit: of `figure` and `reference_figure`: "user-hours/s", "ms".
        figure: the measurement.
        reference_name: what it is compared with; empty when there is nothing to compare with.
        reference_figure: the reference, measured in the same run, or a fixed budget.
        ratio: how many times as good as the reference: figure / reference where more is better (speeds), and
            reference / figure where less is better (times, bytes). Always: higher is better.
        target: the least ratio to reach; None where nothing was promised.
        note: sizes, threads, or whatever else a reader needs to repeat it.
    """

    name: str
    unit: str
    figure: float
    reference_name: str = ""
    reference_figure: float | None = None
    ratio: float | None = None
    target: float | None = None
    note: str = ""

    @property
    def is_met(self) -> bool | None:
        """Whether the target is reached; None where there is none. A target without a ratio is not reached."""
        if self.target is None:
            return None
        return self.ratio is not None and self.ratio >= self.target
