"""Who is treated when in a switchback: blocks of time, and a coin for each.

Source: Bojinov, Simchi-Levi & Zhao, Design and analysis of switchback experiments (Management Science 2023; arXiv
2009.00148).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from experiments.planning.trial import Bools, Ints, require_inside


@dataclass(frozen=True)
class SwitchbackDesign:
    """Blocks of time, each of which is treated by a coin of its own.

    Attributes:
        n_periods: T, at least 1.
        starts: first period of each block, counted from 0, rising, the first 0; B of them.
        treated_prob: of each block, in (0, 1).
    """

    n_periods: int
    starts: tuple[int, ...]
    treated_prob: float = 0.5

    def __post_init__(self) -> None:
        rising = all(one < next_ for one, next_ in zip(self.starts, self.starts[1:], strict=False))
        if not self.starts or self.starts[0] != 0 or not rising or self.starts[-1] >= self.n_periods:
            raise ValueError(
                f"switchback design: starts: expected rising periods from 0 to below {self.n_periods}, "
                f"got {self.starts}"
            )
        require_inside("switchback design: treated_prob", self.treated_prob)

    @property
    def n_blocks(self) -> int:
        """B."""
        return len(self.starts)

    @property
    def block_of(self) -> Ints:
        """The block of each period, shape (T,)."""
        found: Ints = np.searchsorted(np.asarray(self.starts), np.arange(self.n_periods), side="right") - 1
        return found

    def assign(self, rng: np.random.Generator) -> Bools:
        """Return which blocks are treated, shape (B,)."""
        drawn: Bools = rng.random(self.n_blocks) < self.treated_prob
        return drawn

    def is_kept(self, carry_over_periods: int) -> Bools:
        """Return which periods are far enough from their block's start, shape (T,).

        Nothing is before the first block, so it too settles first: before it, both arms are as the app was.
        """
        if carry_over_periods < 0:
            raise ValueError(f"switchback design: carry_over_periods: expected at least 0, got {carry_over_periods}")
        found: Bools = np.arange(self.n_periods) - np.asarray(self.starts)[self.block_of] >= carry_over_periods
        return found


def regular_design(n_periods: int, block_periods: int, treated_prob: float = 0.5) -> SwitchbackDesign:
    """Return blocks of equal length; the last is shorter where they do not divide the periods."""
    if block_periods < 1:
        raise ValueError(f"regular_design: block_periods: expected at least 1, got {block_periods}")
    return SwitchbackDesign(n_periods, tuple(range(0, n_periods, block_periods)), treated_prob)


def minimax_design(n_periods: int, carry_over_periods: int) -> SwitchbackDesign:
    """Return the blocks for which the worst variance of `horvitz_thompson` is least, with a fair coin.

    For a carry-over of m periods and T = n m with n >= 4: coins at 0, 2m, 3m, ..., (n - 2)m; the first and the last
    block are twice as long. Without carry-over a coin each period.

    Raises:
        ValueError: the periods are not a multiple of the carry-over, of at least four times.

    Source: Bojinov, Simchi-Levi & Zhao (2023), the optimal design for a known order of carry-over.
    """
    m = carry_over_periods
    if m == 0:
        return regular_design(n_periods, 1)
    if m < 0 or n_periods % m or n_periods < 4 * m:
        raise ValueError(
            f"minimax_design: n_periods: expected a multiple of carry_over_periods = {m}, at least {4 * m}, "
            f"got {n_periods}"
        )
    return SwitchbackDesign(n_periods, (0, *range(2 * m, n_periods - m, m)))
