"""What a study found: the table of a scenario, whom the volume went to, and a sentence that says who won."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from experiments.agent_study.contenders import ORACLE, SILENCE, Contender
from experiments.compare import Difference
from experiments.evaluation.activity import SendsByActivity, sends_by_activity
from experiments.evaluation.outcomes import Evaluation, paired
from experiments.evaluation.standings import Standings, standings

HIGHEST_LIFT = 0.05  # S11: of sessions over a tuned cap; more is a reason to doubt the preset or the baseline
CAP = "frequency_cap"


@dataclass(frozen=True)
class Found:
    """What the study of one scenario found.

    Attributes:
        title: the scenario's name, and what was changed in it.
        standings: of all, on the same users; the gap is from the best baseline to the oracle.
        activity: sends by activity, of each agent.
        best: the best agent of each role, chosen by every other user.
        lift: sessions over those under the best baseline, as a share of the baseline's, by agent.
        lift_over_cap: the same over the tuned frequency cap; empty without one.
        roles: of each agent, as `Contender` has them.
    """

    title: str
    standings: Standings
    activity: tuple[SendsByActivity, ...]
    best: Mapping[str, str]
    lift: Mapping[str, float]
    lift_over_cap: Mapping[str, float]
    roles: Mapping[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "kind": "agent-study",
            "version": 1,
            "title": self.title,
            "standings": self.standings.to_dict(),
            "sends_by_activity": [each.to_dict() for each in self.activity],
            "best": dict(self.best),
            "session_lift": dict(self.lift),
            "session_lift_over_cap": dict(self.lift_over_cap),
            "roles": dict(self.roles),
        }


def found(evaluations: Mapping[str, Evaluation], who: Sequence[Contender], title: str) -> Found:
    """Return what the evaluations of a scenario come to.

    The best of each role is chosen by one half of the users; `in_words` tells of it by the other, so that nobody is
    flattered by having been lucky. Where the oracle has learned no more than the best baseline earns, there is no gap.

    Args:
        evaluations: by name, silence among them.
        who: took part.
        title: of the scenario.
    """
    silent = evaluations[SILENCE]
    present = [contender for contender in who if contender.name in evaluations]
    roles = {contender.name: contender.role for contender in present}
    rows = [evaluations[contender.name] for contender in present]
    best: dict[str, str] = {
        role: max(
            (name for name in roles if roles[name] == role),
            key=lambda name: float(evaluations[name].every_other(0).expected_nano.mean()),
        )
        for role in dict.fromkeys(roles.values())
    }
    baseline = best.get("baseline")
    base = silent if baseline is None else evaluations[baseline]
    bound = ORACLE if baseline is not None and ORACLE in evaluations and _is_above(evaluations[ORACLE], base) else None
    return Found(
        title,
        standings(rows, silent, baseline=baseline, bound=bound),
        tuple(sends_by_activity(row, silent) for row in rows),
        best,
        _lift(rows, base),
        _lift(rows, evaluations[CAP]) if CAP in evaluations else {},
        roles,
    )


def _lift(rows: Sequence[Evaluation], base: Evaluation) -> dict[str, float]:
    sessions = float(base.sessions.mean())
    return {row.agent: float(row.sessions.mean()) / sessions - 1.0 for row in rows} if sessions else {}


def _is_above(evaluation: Evaluation, base: Evaluation) -> bool:
    return paired(evaluation, base, "expected_nano").estimate.low > 0.0


def in_words(result: Found, evaluations: Mapping[str, Evaluation]) -> str:
    """Return what a scenario's table says, in a few sentences, by the users that nobody was chosen by."""
    if "baseline" not in result.best:
        return f"{result.title}: no baseline took part."
    judged = {name: evaluations[name].every_other(1) for name in (SILENCE, *result.best.values())}
    base = judged[result.best["baseline"]]
    worth = paired(base, judged[SILENCE], "expected_nano").estimate.mean
    told = [f"The best tuned baseline is {base.agent}, worth {worth:.3f} EUR a user over silence."]
    for role in ("bandit", "learner"):
        if role in result.best:
            name = result.best[role]
            over = paired(judged[name], base, "expected_nano")
            told.append(f"{name[0].upper()}{name[1:]} {_over(over, worth)}.")
    for lift, what in ((result.lift, "the best baseline"), (result.lift_over_cap, "the tuned cap")):
        agent = max((name for name in lift if result.roles[name] != "oracle"), key=lift.__getitem__, default=None)
        if agent is not None and lift[agent] > HIGHEST_LIFT:
            told.append(f"Sessions under {agent} are {100 * lift[agent]:.1f} % above those under {what}.")
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
