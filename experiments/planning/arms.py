"""Is the table of an experiment sound? Users in two arms, arms that are missing, shares that are not those planned.

A wrong table gives clear answers to no question: a split that is off by a percent means that users were lost from one
arm for a reason, and the reason is as a rule the treatment. So it is looked at before any result is, and all that is
wrong is said at once.

    report = check_arms(user_ids, arms, {"silence": 0.1, "policy": 0.9})
    print(report.in_words())

Source: Fabijan et al., Diagnosing sample ratio mismatch in online controlled experiments (KDD 2019), for the test of
the split and what it finds; Pearson (Philosophical Magazine 1900) for chi-square.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest, chi2

from experiments.planning.trial import require_inside

# Small, because a company runs many tests and each is checked more than once, and because a real mismatch in many users
# has a far smaller p-value anyway. A modelling choice: one false alarm in a thousand.
MISMATCH_LEVEL = 0.001
FEWEST_EXPECTED = 5.0  # users of an arm, below which chi-square is not trusted: Cochran (Biometrics 1954)
MOST_ROWS_NAMED = 5
MOST_USERS_NAMED = 10

Column = Sequence[Any] | npt.NDArray[Any]
FaultKind = Literal["no_user", "unknown_arm", "both_arms", "missing_arm", "sample_ratio"]


@dataclass(frozen=True)
class ArmFault:
    """One thing wrong with a table.

    Attributes:
        kind: for programs.
        message: for people: what was expected, what was got, in which rows.
        rows: to blame, counted from 0; none where no row is.
    """

    kind: FaultKind
    message: str
    rows: tuple[int, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {"kind": self.kind, "message": self.message, "rows": list(self.rows)}


@dataclass(frozen=True)
class ArmsReport:
    """What was found in a table.

    Attributes:
        users: of each arm in the order planned, each user once; those in several arms are in none.
        expected_shares: of each arm.
        p_value: of the split, given the shares; None where there are too few users to tell.
        level: below which it is a mismatch.
        faults: all of them.
    """

    users: dict[str, int]
    expected_shares: dict[str, float]
    p_value: float | None
    level: float
    faults: tuple[ArmFault, ...]

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults

    def require_sound(self) -> None:
        """Raise ValueError with all faults, a line each, if there are any."""
        if self.faults:
            raise ValueError("\n".join(fault.message for fault in self.faults))

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "kind": "arms_report",
            "users": dict(self.users),
            "expected_shares": dict(self.expected_shares),
            "p_value": self.p_value,
            "level": self.level,
            "is_sound": self.is_sound,
            "faults": [fault.to_dict() for fault in self.faults],
        }

    def in_words(self) -> str:
        """Return what was found in a few sentences."""
        counts = ", ".join(f"{n:,} in {arm}" for arm, n in self.users.items())
        if self.is_sound:
            p = self.p_value
            split = "too few to test the split" if p is None else f"the split is as planned, p = {p:.3g}"
            return f"The table is sound: {counts}; {split}."
        faults = "\n".join(f"- {fault.message}" for fault in self.faults)
        n = len(self.faults)
        return f"The table has {'a fault' if n == 1 else f'{n} faults'} ({counts}):\n{faults}"


def check_arms(
    user_ids: Column,
    arms: Column,
    expected_shares: Mapping[str, float],
    *,
    level: float = MISMATCH_LEVEL,
) -> ArmsReport:
    """Return what is wrong with a table, all of it.

    Args:
        user_ids: of each row; a user may have several rows in one arm.
        arms: of each row.
        expected_shares: of each arm, above 0, which sum to 1; two arms or more.
        level: p-values of the split below it are a mismatch.

    Raises:
        ValueError: the two columns differ in length, or the shares are no shares; the table itself is never a reason.
    """
    _check_question(user_ids, arms, expected_shares, level)
    no_user, unknown, rows_of = _sorted_rows(user_ids, arms, expected_shares)
    faults = []
    if no_user:
        faults.append(ArmFault("no_user", f"user_id: expected one in each row, got none in {_rows(no_user)}", no_user))
    for arm, rows in unknown.items():
        near = difflib.get_close_matches(arm, expected_shares, 1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        message = f"arm: expected one of {', '.join(expected_shares)}; got {arm!r} in {_rows(rows)}.{hint}"
        faults.append(ArmFault("unknown_arm", message, rows))
    users = dict.fromkeys(expected_shares, 0)
    doubled: dict[Any, dict[str, list[int]]] = {}
    for user_id, by_arm in rows_of.items():
        if len(by_arm) > 1:
            doubled[user_id] = by_arm
        else:
            users[next(iter(by_arm))] += 1
    if doubled:
        faults.append(_doubled_fault(doubled))
    seen = {arm for by_arm in rows_of.values() for arm in by_arm}
    missing = [arm for arm in expected_shares if arm not in seen]
    for arm in missing:
        share = expected_shares[arm]
        message = f"arm {arm!r}: expected about {100 * share:.4g} % of the users, got none in any row"
        faults.append(ArmFault("missing_arm", message))
    p_value = split_p_value(list(users.values()), list(expected_shares.values()))
    # A missing arm is named already; its split is off all the same, but says nothing new.
    if p_value is not None and p_value < level and not missing:
        faults.append(_ratio_fault(users, expected_shares, p_value, level))
    return ArmsReport(users, dict(expected_shares), p_value, level, tuple(faults))


def split_p_value(counts: Sequence[int], shares: Sequence[float]) -> float | None:
    """Return the probability of a split at least as far from the shares.

    Pearson's chi-square with one degree of freedom less than arms. Where an arm expects fewer than five users: the
    exact binomial test for two arms, None for more, or without users.
    """
    n = sum(counts)
    if n == 0:
        return None
    expected = n * np.asarray(shares, np.float64)
    if expected.min() < FEWEST_EXPECTED:
        return float(binomtest(counts[0], n, shares[0]).pvalue) if len(counts) == 2 else None
    statistic = float(((np.asarray(counts) - expected) ** 2 / expected).sum())
    return float(chi2.sf(statistic, len(counts) - 1))


def _check_question(user_ids: Column, arms: Column, shares: Mapping[str, float], level: float) -> None:
    if len(user_ids) != len(arms):
        raise ValueError(f"check_arms: arms: expected one for each of {len(user_ids)} rows, got {len(arms)}")
    require_inside("check_arms: level", level)
    if len(shares) < 2:
        raise ValueError(f"check_arms: expected_shares: expected two arms or more, got {', '.join(shares) or 'none'}")
    for arm, share in shares.items():
        require_inside(f"check_arms: expected_shares: {arm!r}", share)
    total = math.fsum(shares.values())
    if abs(total - 1.0) > 1e-9:
        raise ValueError(f"check_arms: expected_shares: expected a sum of 1, got {total:g}")


def _sorted_rows(
    user_ids: Column, arms: Column, known: Mapping[str, float]
) -> tuple[tuple[int, ...], dict[str, tuple[int, ...]], dict[Any, dict[str, list[int]]]]:
    """Return rows without a user, rows by unknown arm, and rows by user and arm."""
    no_user: list[int] = []
    unknown: dict[str, list[int]] = {}
    rows_of: dict[Any, dict[str, list[int]]] = {}
    # tolist: NumPy's scalars hash slowly, and print as np.int64(7).
    columns = [column.tolist() if isinstance(column, np.ndarray) else column for column in (user_ids, arms)]
    for row, (user_id, arm) in enumerate(zip(*columns, strict=True)):
        if user_id is None or user_id == "" or user_id != user_id:
            no_user.append(row)
        if arm not in known:
            unknown.setdefault(str(arm), []).append(row)
        elif not (no_user and no_user[-1] == row):
            rows_of.setdefault(user_id, {}).setdefault(arm, []).append(row)
    return tuple(no_user), {arm: tuple(rows) for arm, rows in unknown.items()}, rows_of


def _doubled_fault(doubled: Mapping[Any, Mapping[str, list[int]]]) -> ArmFault:
    named = [
        f"{user_id!r} ({'; '.join(f'{arm}: {_rows(rows)}' for arm, rows in by_arm.items())})"
        for user_id, by_arm in list(doubled.items())[:MOST_USERS_NAMED]
    ]
    more = "" if len(doubled) <= MOST_USERS_NAMED else f", and {len(doubled) - MOST_USERS_NAMED} more"
    rows = sorted(row for by_arm in doubled.values() for found in by_arm.values() for row in found)
    message = f"user_id: expected each user in one arm, got {len(doubled)} in several: {', '.join(named)}{more}"
    return ArmFault("both_arms", message, tuple(rows))


def _ratio_fault(users: Mapping[str, int], shares: Mapping[str, float], p_value: float, level: float) -> ArmFault:
    n = sum(users.values())
    found = ", ".join(
        f"{arm} {100 * count / n:.2f} % where {100 * shares[arm]:.4g} % were planned" for arm, count in users.items()
    )
    return ArmFault(
        "sample_ratio",
        f"sample-ratio mismatch: {found}; by chance that has a probability of {p_value:.2g}, below {level:g}. Find out "
        "where users of an arm are lost before reading any result",
    )


def _rows(rows: Sequence[int]) -> str:
    shown = ", ".join(map(str, rows[:MOST_ROWS_NAMED]))
    more = f" and {len(rows) - MOST_ROWS_NAMED} more" if len(rows) > MOST_ROWS_NAMED else ""
    return f"{'row' if len(rows) == 1 else 'rows'} {shown}{more}"
