"""The matrix: every policy in every world, and what that says of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments.compare import Estimate
from experiments.report.words import spread
from experiments.robustness.contestants import SILENCE, Contestant
from experiments.robustness.trial import Cell, Size, tried
from experiments.robustness.worlds import HOME, Placed

Columns = dict[str, list[object]]
_ESTIMATES = (
    ("value_eur", "low", "high"),
    ("difference", "difference_low", "difference_high"),
    ("reference_difference", "reference_low", "reference_high"),
    ("worst_decile_eur", "worst_decile_low", "worst_decile_high"),
)


@dataclass(frozen=True)
class Matrix:
    """Policies in worlds.

    Attributes:
        worlds: home first.
        policies: names, silence not among them.
        reference: the name of one of them, or `silence`.
        n_users, n_days, seed: of each world.
        cells: by world and policy, silence among them.
    """

    worlds: tuple[Placed, ...]
    policies: tuple[str, ...]
    reference: str
    n_users: int
    n_days: int
    seed: int
    cells: dict[tuple[str, str], Cell]

    def gain(self, world: str, policy: str) -> Estimate:
        """Return a policy's gain over the reference there; 0 exactly for the reference itself."""
        return self.cells[world, policy].over_reference or Estimate(0.0, 0.0)

    @property
    def best_at_home(self) -> str:
        """The policy that is worth most at home."""
        return max(self.policies, key=lambda name: self.cells[HOME, name].value.mean)

    @property
    def best_at_worst(self) -> str:
        """The policy whose worst gain over silence, of all worlds, is the greatest."""
        return max(self.policies, key=lambda name: self._over_silence(self.worst_world(name), name).mean)

    def worst_world(self, policy: str) -> str:
        """Return the world in which a policy gains least over silence."""
        return min((w.name for w in self.worlds), key=lambda world: self._over_silence(world, policy).mean)

    def winner(self, world: str) -> str:
        """Return the policy worth most in a world, silence among those asked."""
        return max((SILENCE, *self.policies), key=lambda name: self.cells[world, name].value.mean)

    def in_words(self, policy: str) -> str:
        """Return what the worlds say of a policy, in a sentence or two."""
        gains = {world.name: self._over_silence(world.name, policy) for world in self.worlds}
        better = [name for name, gain in gains.items() if gain.low > 0]
        worse = [name for name, gain in gains.items() if gain.high < 0]
        n = len(gains)
        told = f"{policy} is worth more than silence in {len(better)} of {n} worlds"
        told += f", less in {len(worse)} ({', '.join(worse)})" if worse else ", less in none"
        if open_ := n - len(better) - len(worse):
            told += f"; in {open_} it cannot be told"
        worst = self.worst_world(policy)
        gain, tenth = gains[worst], self.cells[worst, policy].worst_tenth
        told += f". Its worst is {worst}: {spread(gain.mean, gain.low, gain.high)} EUR a user over silence"
        if tenth is not None:
            told += f", and {spread(tenth.mean, tenth.low, tenth.high)} for the tenth of users who lose most by it"
        return f"{told}."

    def answer(self) -> str:
        """Return whether the policy that is best at home is so elsewhere, in a sentence."""
        best, safest = self.best_at_home, self.best_at_worst
        if len(self.policies) == 1:
            return self.in_words(best)
        first = [world.name for world in self.worlds if self.winner(world.name) == best]
        told = f"By their means, {best} is worth most at home, and in {len(first)} of {len(self.worlds)} worlds"
        if safest == best:
            told += f"; it also has the best worst world ({self.worst_world(best)})"
            return f"{told}. Whether it is clear of the others, their paired differences say (--against {best!r})."
        better, worse = self.worst_world(safest), self.worst_world(best)
        if self._over_silence(better, safest).low > self._over_silence(worse, best).high:
            told += f"; whoever fears the worst takes {safest}, whose worst world ({better}) is clearly better"
            return f"{told} than {best}'s ({worse})."
        told += (
            f"; {safest} does better in its worst world ({better}) than {best} in its own ({worse}), but not clearly"
        )
        return f"{told}."

    def columns(self) -> Columns:
        """Return the matrix as a table, a row a world and policy, silence among them; None where there is no value.

        Columns: world, sentence, policy, n_users, n_days; value_eur, low, high; difference to silence and its
        difference_low, difference_high; reference_difference, reference_low, reference_high; worst_decile_eur (see
        `Cell.worst_tenth`), worst_decile_low, worst_decile_high; sends_per_user_week, opt_outs, churns, retained.
        """
        rows: list[dict[str, object]] = []
        for world in self.worlds:
            for policy in (SILENCE, *self.policies):
                cell = self.cells[world.name, policy]
                row: dict[str, object] = {"world": world.name, "sentence": world.sentence, "policy": policy}
                row |= {"n_users": self.n_users, "n_days": self.n_days}
                for names, found in zip(_ESTIMATES, _estimates(cell), strict=True):
                    ends = (None, None, None) if found is None else (found.mean, found.low, found.high)
                    row |= dict(zip(names, ends, strict=True))
                row |= {name: getattr(cell, name) for name in ("sends_per_user_week", "opt_outs", "churns", "retained")}
                rows.append(row)
        return {name: [row[name] for row in rows] for name in rows[0]}

    def _over_silence(self, world: str, policy: str) -> Estimate:
        found = self.cells[world, policy].over_silence
        assert found is not None, "silence is no policy of the matrix"
        return found


def matrix(
    worlds: Sequence[Placed],
    who: Sequence[Contestant],
    reference: str,
    size: Size,
    kept: Path,
    on_days: Callable[[int, int], None] | None = None,
) -> Matrix:
    """Try everybody in every world.

    Args:
        worlds: home first.
        who: takes part, at least one.
        reference: the name of one of them, or `silence`.
        size: on whom.
        kept: folder of what is done.
        on_days: told days done of all days to do.
    """
    n_days = worlds[0].scenario.calendar.horizon_days
    cells: dict[tuple[str, str], Cell] = {}
    for place, world in enumerate(worlds):

        def on_day(done: int, of: int, place: int = place) -> None:
            if on_days is not None:
                on_days(place * of + done, len(worlds) * of)

        for cell in tried(world, who, reference, size, kept, on_day):
            cells[world.name, cell.policy] = cell
    names = tuple(one.name for one in who)
    return Matrix(tuple(worlds), names, reference, size.n_users, n_days, size.seed, cells)


def _estimates(cell: Cell) -> tuple[Estimate | None, ...]:
    return cell.value, cell.over_silence, cell.over_reference, cell.worst_tenth
