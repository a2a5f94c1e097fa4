"""The answer in a sentence, with its interval."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from experiments.compare import Difference, Estimate
from experiments.evaluation.outcomes import Evaluation, paired
from experiments.run.config import ExperimentConfig, TrainedAgent

NO_OTHER = "Nobody but the reference took part that could be let out, so there is nothing to compare."


def summary(config: ExperimentConfig, evaluations: Mapping[str, Evaluation], scenario: str) -> dict[str, Any]:
    """Return the answer as plain data.

    Where several contend, the best is chosen by every other user, and told by the rest: among many, the best on the
    users that it was chosen by is also the luckiest. Who sees the hidden state cannot be let out, and is not the best.

    Args:
        config: of the experiment.
        evaluations: by contender.
        scenario: its name.
    """
    reference = evaluations[config.reference]
    oracles = {each.name for each in config.contenders if isinstance(each, TrainedAgent) and each.is_oracle}
    others = {name: run for name, run in evaluations.items() if name != config.reference and name not in oracles}
    about = {
        "kind": "experiment-summary",
        "version": 1,
        "question": config.question,
        "reference": config.reference,
        "n_users": len(reference),
        "n_days": reference.n_days,
        "scenario": scenario,
    }
    if not others:
        return about | {"best": None, "difference": None, "answer": NO_OTHER, "told_by_users": len(reference)}
    has_choice = len(others) > 1 and len(reference) >= 4  # two users at least for an interval
    n_met = len(others) if has_choice else 1
    best = best_of(others, reference) if has_choice else next(iter(others))
    chosen = evaluations[best].every_other(1) if has_choice else evaluations[best]
    held = reference.every_other(1) if has_choice else reference
    gain = paired(chosen, held, "expected_nano")
    opt_outs = paired(chosen, held, "opt_outs")
    return about | {
        "best": best,
        "difference": gain.to_dict(),
        "opt_outs_difference": opt_outs.to_dict(),
        "told_by_users": len(held),
        "answer": answer(best, config.reference, gain.estimate, opt_outs, reference.n_days, n_met),
    }


def best_of(others: Mapping[str, Evaluation], reference: Evaluation) -> str:
    """Return who brings most, by every other user; of equals the first."""
    held = reference.every_other(0)
    gains = {name: paired(run.every_other(0), held, "expected_nano").estimate.mean for name, run in others.items()}
    return max(gains, key=gains.__getitem__)


def answer(best: str, reference: str, gain: Estimate, opt_outs: Difference, n_days: int, n_others: int) -> str:
    """Return the answer as a sentence or two."""
    span = f"over {n_days} days" if n_days != 1 else "in a day"
    interval = f"95 %: {gain.low:+.3f} to {gain.high:+.3f}"
    # Chosen by half of the users, and told by the others: see `summary`.
    who = best if n_others == 1 else f"{best}, by half of the users the best of {n_others},"
    if n_others > 1:
        span = f"{span} by the other half"
    if not gain.is_clear:
        told = f"{who} could not be told apart from {reference}: {gain.mean:+.3f} EUR a user {span} ({interval})"
    elif gain.mean > 0:
        told = f"{who} brings {gain.mean:.3f} EUR a user more than {reference} {span} ({interval})"
    else:
        interval = f"95 %: {-gain.high:.3f} to {-gain.low:.3f}"
        told = f"{reference} is not beaten: {who} costs {-gain.mean:.3f} EUR a user against it {span} ({interval})"
    change = opt_outs.estimate
    if change.is_clear:
        more = "more" if change.mean > 0 else "fewer"
        low, high = sorted((100 * abs(change.low), 100 * abs(change.high)))
        told += f", with {100 * abs(change.mean):.1f} {more} opt-outs per 100 users ({low:.1f} to {high:.1f})"
    return f"{told}."
