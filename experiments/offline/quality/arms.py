"""Several treatments: what would come of giving each row the arm that its scores recommend.

    trial = ArmTrial.of(is_visit, arm_sent, scores, propensities=[1 / 3, 1 / 3, 1 / 3])
    expected_response(trial).estimate.mean

Only rows that happened to get the recommended arm say anything of it; each stands for 1 / propensity rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from agents.agent import Floats, Ints, require_finite
from experiments.compare import Estimate
from experiments.offline.quality.rows import cluster_codes, cluster_sums, column
from experiments.offline.quality.uplift import require_share
from simulator.measures import plain

SHARES = tuple(round(0.1 * k, 1) for k in range(11))


@dataclass(frozen=True, eq=False)
class ArmTrial:
    """Rows that got one of A arms by chance, with a score for each arm; made by `of`.

    Attributes:
        outcomes: of any unit, higher is better, shape (N,).
        arms: 0 to A - 1, the arm given, shape (N,).
        scores: of every arm, the highest is recommended, shape (N, A).
        propensities: probability of the arm that was given, in (0, 1], shape (N,).
        clusters: 0 to n_clusters - 1, whose row it is, shape (N,); None: rows are independent.
    """

    outcomes: Floats
    arms: Ints
    scores: Floats
    propensities: Floats
    clusters: Ints | None

    @classmethod
    def of(
        cls,
        outcomes: npt.ArrayLike,
        arms: npt.ArrayLike,
        scores: npt.ArrayLike,
        propensities: npt.ArrayLike,
        clusters: npt.ArrayLike | None = None,
    ) -> ArmTrial:
        """Return checked rows.

        Args:
            outcomes: finite, shape (N,).
            arms: whole numbers from 0 to A - 1, shape (N,).
            scores: finite, shape (N, A), A at least 2.
            propensities: probability of every arm, shape (A,), or for each row, shape (N, A); above 0 for the arms
                given, rows summing to 1.
            clusters: any values, as a rule user ids, shape (N,); None: rows are independent.

        Raises:
            ValueError: shapes differ or a value is not as said.
        """
        amounts = column("outcomes", outcomes)
        n_rows = len(amounts)
        table = np.asarray(scores, np.float64)
        if table.ndim != 2 or len(table) != n_rows or table.shape[1] < 2:
            raise ValueError(f"scores: expected shape ({n_rows}, A) with A at least 2, got {table.shape}")
        require_finite("scores", table)
        n_arms = table.shape[1]
        numbers = column("arms", arms, n_rows)
        given: Ints = numbers.astype(np.int64)
        is_wrong = (given != numbers) | (given < 0) | (given >= n_arms)
        if is_wrong.any():
            k = int(is_wrong.argmax())
            raise ValueError(f"arms[{k}]: expected a whole number from 0 to {n_arms - 1}, got {numbers[k]:g}")
        chances = _chances(propensities, table.shape)[np.arange(n_rows), given]
        if chances.min() <= 0:
            k = int((chances <= 0).argmax())
            raise ValueError(
                f"propensities[{k}]: expected above 0 for arm {given[k]}, which was given, got {chances[k]:g}"
            )
        codes = None if clusters is None else cluster_codes("clusters", clusters, n_rows)
        return cls(amounts, given, table, chances, codes)

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.outcomes)


@dataclass(frozen=True)
class ExpectedResponse:
    """What a rule would bring.

    Attributes:
        estimate: outcome per row, unbiased.
        normalised: the same with weights made to sum to N, nearly unbiased and as a rule less noisy.
        effective_n: rows that the estimate rests on, (sum w)^2 / sum w^2; 0 where no row got what the rule gives.
        arm_shares: of rows that the rule gives each arm, A of them.
    """

    estimate: Estimate
    normalised: Estimate
    effective_n: float
    arm_shares: tuple[float, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "estimate": self.estimate.to_dict(),
            "normalised": self.normalised.to_dict(),
            "effective_n": plain(self.effective_n),
            "arm_shares": list(self.arm_shares),
        }


@dataclass(frozen=True)
class ResponseCurve:
    """What recommendations bring as more rows follow them and the rest get the control arm.

    Attributes:
        shares: of rows that follow.
        responses: one a share.
    """

    shares: tuple[float, ...]
    responses: tuple[ExpectedResponse, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {"shares": list(self.shares), "responses": [each.to_dict() for each in self.responses]}


def expected_response(trial: ArmTrial) -> ExpectedResponse:
    """Return what would come of giving each row the arm with its highest score.

    Mean of z_i = y_i 1{arm_i is recommended} / propensity_i, with standard error s / sqrt(N). Arms with equal highest
    scores share the row.

    Source: Zhao, Fang & Simchi-Levi, Uplift modeling with multiple treatments and general response types (SDM 2017);
    normalised: Swaminathan & Joachims (NeurIPS 2015).
    """
    return _response(trial, _recommended(trial.scores))


def response_curve(trial: ArmTrial, shares: Sequence[float] = SHARES, control: int = 0) -> ResponseCurve:
    """Return what comes when the share with the most to gain follow the scores, and all others get the control arm.

    To gain is the highest score less that of control. Rows with equal gains follow in part, with equal chances.

    Args:
        trial: its scores are comparable between rows.
        shares: from 0 to 1; 0: all get control.
        control: an arm.

    Source: Zhao, Fang & Simchi-Levi (SDM 2017): the modified uplift curve.

    Raises:
        ValueError: a share or the control arm is out of range.
    """
    n_rows, n_arms = trial.scores.shape
    if not 0 <= control < n_arms:
        raise ValueError(f"control: expected an arm from 0 to {n_arms - 1}, got {control}")
    follows_fully = _recommended(trial.scores)
    stays = np.zeros_like(follows_fully)
    stays[:, control] = 1.0
    gains = trial.scores.max(axis=1) - trial.scores[:, control]
    levels, level_of = np.unique(-gains, return_inverse=True)
    at_level = np.bincount(level_of, minlength=len(levels))
    before = np.cumsum(at_level) - at_level
    responses = []
    for share in shares:
        if share != 0:
            require_share("response_curve: shares", share)
        follows = np.clip((share * n_rows - before) / at_level, 0.0, 1.0)[level_of][:, None]
        responses.append(_response(trial, follows * follows_fully + (1 - follows) * stays))
    return ResponseCurve(tuple(shares), tuple(responses))


def _response(trial: ArmTrial, rule: Floats) -> ExpectedResponse:
    """Return what a rule, probabilities of arms of shape (N, A), would bring."""
    weights = rule[np.arange(len(trial)), trial.arms] / trial.propensities
    total = float(weights.sum())
    estimate = _mean(weights * trial.outcomes, trial.clusters)
    normalised, effective_n = Estimate(math.nan, math.nan), 0.0
    if total > 0:
        share = float(weights @ trial.outcomes) / total
        residuals = weights * (trial.outcomes - share) * (len(trial) / total)
        normalised = Estimate(share, _mean(residuals, trial.clusters).standard_error)
        effective_n = total**2 / float(weights @ weights)
    return ExpectedResponse(estimate, normalised, effective_n, tuple(rule.mean(axis=0).tolist()))


def _mean(amounts: Floats, clusters: Ints | None) -> Estimate:
    """Return the mean of amounts, shape (N,), with its standard error, over clusters where there are any."""
    mean = float(amounts.mean())
    pulls = cluster_sums(amounts - mean, clusters) / len(amounts)
    n = len(pulls)
    return Estimate(mean, math.sqrt(float(pulls @ pulls) * n / (n - 1)) if n > 1 else math.nan)


def _recommended(scores: Floats) -> Floats:
    """Return 1 for the arm with the highest score, parts where several have it, shape (N, A)."""
    is_best = scores == scores.max(axis=1, keepdims=True)
    found: Floats = is_best / is_best.sum(axis=1, keepdims=True)
    return found


def _chances(propensities: npt.ArrayLike, shape: tuple[int, ...]) -> Floats:
    """Return the probability of every arm for each row, shape (N, A)."""
    chances = np.asarray(propensities, np.float64)
    if chances.shape not in (shape, shape[1:]):
        raise ValueError(f"propensities: expected shape {shape[1:]} or {shape}, got {chances.shape}")
    require_finite("propensities", chances)
    sums = np.atleast_1d(chances.sum(axis=-1))
    is_wrong = (np.abs(sums - 1) > 1e-6) | (np.atleast_2d(chances).min(axis=1) < 0)
    if is_wrong.any():
        k = int(is_wrong.argmax())
        raise ValueError(
            f"propensities: expected probabilities of at least 0 that sum to 1 over the arms, got "
            f"{np.atleast_2d(chances)[k].tolist()} in row {k}"
        )
    return np.broadcast_to(chances, shape)
