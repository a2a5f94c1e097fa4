"""What a study found: the table of a scenario, whom the volume went to, and a sentence that says who won."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from experiments.agent_study.contenders import ORACLE, SILENCE, Contender
from experiments.compare import Difference
from experiments.evaluation.activity import SendsByActivity, sends_by_activity
from experiments.evaluation.outcomes import Evaluation, paired
from experiments.evaluation.standings import Standing, Standings, standings

HIGHEST_LIFT = 0.05  # S11: of sessions over a tuned cap; more is a reason to doubt the preset or the baseline


@dataclass(frozen=True)
class Found:
    """What the study of one scenario found.

    Attributes:
        title: the scenario's name, and what was changed in it.
        standings: of all, on the same users; the gap is from the best baseline to the oracle.
        activity: sends by activity, of each agent.
        lift: sessions over those under the best baseline, as a share of the baseline's, by agent.
        roles: of each agent, as `Contender` has them.
    """

    title: str
    standings: Standings
    activity: tuple[SendsByActivity, ...]
    lift: Mapping[str, float]
    roles: Mapping[str, str]

    def best(self, role: str) -> Standing | None:
        """Return the standing of the best of a role; None where nobody has it."""
        rows = [row for row in self.standings.rows if self.roles[row.agent] == role]
        return max(rows, key=lambda row: row.value_eur.estimate.mean, default=None)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "kind": "agent-study",
            "version": 1,
            "title": self.title,
            "standings": self.standings.to_dict(),
            "sends_by_activity": [each.to_dict() for each in self.activity],
            "session_lift": dict(self.lift),
            "roles": dict(self.roles),
        }


def found(evaluations: Mapping[str, Evaluation], who: Sequence[Contender], title: str) -> Found:
    """Return what the evaluations of a scenario come to.

    The baseline of the gap is the one that is best on these very users, so it is a little flattered, and the agents a
    little the worse for it. Where the oracle has learned no more than the baseline earns, there is no gap to speak of.

    Args:
        evaluations: by name, silence among them.
        who: took part.
        title: of the scenario.
    """
    silent = evaluations[SILENCE]
    present = [contender for contender in who if contender.name in evaluations]
    roles = {contender.name: contender.role for contender in present}
    rows = [evaluations[contender.name] for contender in present]
    tuned = [contender.name for contender in present if contender.role == "baseline"]
    best = max(tuned, key=lambda name: float(evaluations[name].expected_nano.mean()), default=None)
    base = silent if best is None else evaluations[best]
    bound = ORACLE if best is not None and ORACLE in evaluations and _is_above(evaluations[ORACLE], base) else None
    sessions = float(base.sessions.mean())
    return Found(
        title,
        standings(rows, silent, baseline=best, bound=bound),
        tuple(sends_by_activity(row, silent) for row in rows),
        {row.agent: float(row.sessions.mean()) / sessions - 1.0 for row in rows} if sessions else {},
        roles,
    )


def _is_above(evaluation: Evaluation, base: Evaluation) -> bool:
    return paired(evaluation, base, "expected_nano").estimate.low > 0.0


def in_words(result: Found, evaluations: Mapping[str, Evaluation]) -> str:
    """Return what a scenario's table says, in two or three sentences."""
    cap, bandit, learner = (result.best(role) for role in ("baseline", "bandit", "learner"))
    name = result.title
    if cap is None:
        return f"{name}: no baseline took part."
    told = [f"The best tuned baseline is {cap.agent}, worth {cap.value_eur.estimate.mean:.3f} EUR a user over silence."]
    for row in (bandit, learner):
        if row is not None:
            over = paired(evaluations[row.agent], evaluations[cap.agent], "expected_nano")
            told.append(f"{row.agent[0].upper()}{row.agent[1:]} {_over(over, cap.value_eur.estimate.mean)}.")
    high = {agent: lift for agent, lift in result.lift.items() if lift > HIGHEST_LIFT}
    if high:
        agent = max(high, key=high.__getitem__)
        told.append(
            f"Sessions under {agent} are {100 * high[agent]:.1f} % above the baseline's: more than is plausible."
        )
    return " ".join(told)


def _over(over: Difference, base: float) -> str:
    gain = over.estimate
    sizes = f"{abs(gain.mean):.3f} EUR (95 %: {gain.low:+.3f} to {gain.high:+.3f})"
    if not gain.is_clear:
        return f"cannot be told from it ({gain.mean:+.3f} EUR, 95 %: {gain.low:+.3f} to {gain.high:+.3f})"
    share = f", {100 * gain.mean / base:+.0f} % of its gain over silence" if base > 0 else ""
    return f"beats it by {sizes}{share}" if gain.mean > 0 else f"falls short of it by {sizes}"


def activity_table(result: Found, names: Sequence[str]) -> str:
    """Return sends per week and user present by fifth of activity, as Markdown."""
    lines = ["| agent | least active | second | third | fourth | most active |", "|---|---|---|---|---|---|"]
    lines += [
        f"| {each.agent} | " + " | ".join(f"{e.mean:.2f}" for e in each.sends_per_user_week) + " |"
        for each in result.activity
        if each.agent in names
    ]
    return "\n".join(lines) + "\n"
