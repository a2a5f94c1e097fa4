"""A certificate: what a student does like its teacher, what it loses, and where; on users that neither has met."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from agents.baselines.document_agent import DocumentAgent
from agents.distil.advantages import advantages, graded_in
from agents.distil.lessons import ONE_POINT, States
from agents.distil.monotone import FATIGUE
from agents.problem import vocabulary_problem
from experiments.compare import Difference
from experiments.evaluation.evaluate import evaluate
from experiments.evaluation.outcomes import paired
from experiments.exports.states import visited
from policies.batch import BatchPolicy
from policies.batch.seen import Bools, Floats
from policies.document import Document
from policies.inputs import decode, inputs
from policies.vocabulary import USER_FEATURES, action_names, features
from simulator.config import Scenario

N_WORST = 5
N_TIRED = 20_000  # states in which fatigue is raised
LEAST_RISE = 1e-9  # of a wish to send


@dataclass(frozen=True)
class WorstCase:
    """A state in which the student departs from its teacher at the greatest price.

    Attributes:
        loss: by the teacher's own word: its best action less the student's.
        teacher, student: the actions' names.
        state: what was known of the user, by name, in people's units.
    """

    loss: float
    teacher: str
    student: str
    state: dict[str, float]


@dataclass(frozen=True)
class Certificate:
    """What a student is.

    Attributes:
        teacher, student: names.
        teacher_hash, student_hash: of the documents.
        scenario: in which both were tried.
        users, days, seed: of the trial.
        states: that the teacher came into, in which something could be sent.
        agreement: share of them with the same action.
        agreement_on_sends: share of those in which the teacher sends.
        value_lost_eur: of the teacher over the student, a user, orders at their expectation; the same luck.
        sends_teacher, sends_student: a user.
        ineligible: states in which the student gives probability to what limits forbid; must be 0.
        risen: states of those tried in which more fatigue raised the student's wish to send.
        tried: states in which fatigue was raised.
        worst: by loss, the greatest first.
        one_point_is: of a scorecard, what a point is worth to its teacher, and in what unit; of others None.
    """

    teacher: str
    student: str
    teacher_hash: str
    student_hash: str
    scenario: str
    users: int
    days: int
    seed: int
    states: int
    agreement: float
    agreement_on_sends: float
    value_lost_eur: Difference
    sends_teacher: float
    sends_student: float
    ineligible: int
    risen: int
    tried: int
    worst: tuple[WorstCase, ...]
    one_point_is: str | None = None

    @property
    def is_monotone(self) -> bool:
        """Whether more fatigue raised the wish to send nowhere."""
        return self.risen == 0

    def in_words(self) -> str:
        """Return the certificate in a sentence or two."""
        lost = self.value_lost_eur.estimate
        verdict = "loses" if lost.is_clear and lost.mean > 0 else "gains" if lost.is_clear else "is not told apart by"
        size = f"{abs(lost.mean):.3f} EUR a user over {self.days} days (95 %: {lost.low:+.3f} to {lost.high:+.3f} lost)"
        tired = "nowhere" if self.is_monotone else f"in {self.risen:,} of {self.tried:,} states"
        return (
            f"{self.student!r} does as {self.teacher!r} in {100 * self.agreement:.1f} % of {self.states:,} states "
            f"({100 * self.agreement_on_sends:.1f} % of those in which it sends), and {verdict} {size}. It breaks "
            f"limits in {self.ineligible:,} states; more fatigue raises its wish to send {tired}."
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        data = {name: getattr(self, name) for name in self.__dataclass_fields__}
        data["value_lost_eur"] = self.value_lost_eur.to_dict()
        data["worst"] = [vars(case) for case in self.worst]
        if self.one_point_is is None:
            del data["one_point_is"]
        return {"kind": "certificate", "version": 1, "in_words": self.in_words(), **data}

    def to_markdown(self) -> str:
        """Return a page."""
        lost = self.value_lost_eur.estimate
        rows = [
            ("states that the teacher came into", f"{self.states:,}"),
            ("the same action", f"{100 * self.agreement:.2f} %"),
            ("the same action where the teacher sends", f"{100 * self.agreement_on_sends:.2f} %"),
            ("value lost, EUR a user", f"{lost.mean:+.4f} (95 %: {lost.low:+.4f} to {lost.high:+.4f})"),
            ("sends a user", f"{self.sends_student:.2f}, the teacher's {self.sends_teacher:.2f}"),
            ("states in which limits are broken", f"{self.ineligible:,}"),
            ("more fatigue raises the wish to send", f"{self.risen:,} of {self.tried:,} states"),
            ("tried on", f"{self.users:,} users, {self.days} days, {self.scenario}, seed {self.seed}"),
            ("teacher", f"`{self.teacher_hash}`"),
            ("student", f"`{self.student_hash}`"),
        ]
        if self.one_point_is is not None:
            rows.append(("one point is", self.one_point_is))
        lines = ["# Certificate", "", self.in_words(), "", "| | |", "|---|---|"]
        lines += [f"| {what} | {found} |" for what, found in rows]
        lines += ["", "## Where it departs at the greatest price", ""]
        for case in self.worst:
            known = ", ".join(f"{name} {value:.4g}" for name, value in case.state.items())
            lines.append(
                f"- {case.student} instead of {case.teacher}, {case.loss:.4g} lost by the teacher's word: {known}"
            )
        return "\n".join(lines) + "\n"


def certify(
    teacher: Document,
    student: Document,
    scenario: Scenario,
    *,
    n_users: int = 4096,
    n_state_users: int = 512,
    seed: int,
    on_day: Callable[[int, int], None] | None = None,
    **arguments: Any,
) -> Certificate:
    """Try a student beside its teacher on fresh users.

    Both draw as they are written; agreement is of what each prefers.

    Args:
        teacher, student: documents of as many slots.
        scenario: to try them in.
        n_users: in the trial of value.
        n_state_users: whose states are looked at.
        seed: of users that neither was learned from.
        on_day: told days done of all days to do, of both trials together.
        arguments: of `NotifyVectorEnv`.

    Raises:
        ValueError: they look at other numbers of candidates; nothing could be sent in any state.
    """
    if teacher.n_slots != student.n_slots:
        raise ValueError(f"certify: expected a student of {teacher.n_slots} slots, got {student.n_slots}")
    states = visited(teacher, scenario, n_state_users, seed, **arguments)
    if not len(states.masks):
        raise ValueError(
            f"certify: expected states in which something could be sent, met none with {n_state_users} users"
        )
    wished = advantages(teacher, states.observations, states.masks)
    best, did = wished.argmax(axis=1), advantages(student, states.observations, states.masks).argmax(axis=1)
    rows = np.arange(len(best))
    policies = [BatchPolicy(document) for document in (teacher, student)]
    runs = []
    for place, document in enumerate((teacher, student)):
        agent = DocumentAgent(document, vocabulary_problem(document.n_slots), is_chance_the_policy=True)
        tell = None if on_day is None else _half(on_day, place)
        run = evaluate(
            agent, scenario, n_users, seed, name=document.name, on_day=tell, n_slots=document.n_slots, **arguments
        )
        runs.append(run)
    risen, tried = _risen(student, states, seed)
    shares = policies[1].probabilities(states.observations, states.masks)
    sends = best > 0
    return Certificate(
        teacher=teacher.name,
        student=student.name,
        teacher_hash=policies[0].policy_hash,
        student_hash=policies[1].policy_hash,
        scenario=scenario.name,
        users=n_users,
        days=runs[0].n_days,
        seed=seed,
        states=len(best),
        agreement=float((best == did).mean()),
        agreement_on_sends=float((best == did)[sends].mean()) if sends.any() else 1.0,
        value_lost_eur=paired(runs[0], runs[1], "expected_nano"),
        sends_teacher=float(runs[0].sends.mean()),
        sends_student=float(runs[1].sends.mean()),
        ineligible=int(((shares > 0.0) & ~states.masks).any(axis=1).sum()),
        risen=risen,
        tried=tried,
        worst=_worst(wished[rows, best] - wished[rows, did], best, did, states, teacher.n_slots),
        one_point_is=_one_point(teacher, student),
    )


def _one_point(teacher: Document, student: Document) -> str | None:
    """Return what a point of a distilled scorecard is worth, as far as its teacher's document tells."""
    told = student.trained_on.get(ONE_POINT)
    return None if told is None else f"{told}: {graded_in(teacher)}"


def _half(on_day: Callable[[int, int], None], place: int) -> Callable[[int, int], None]:
    def tell(done: int, of: int) -> None:
        on_day(place * of + done, 2 * of)

    return tell


def _risen(student: Document, states: States, seed: int) -> tuple[int, int]:
    """Return in how many of how many states more fatigue raises the wish to send the best that is eligible."""
    rng = np.random.default_rng(seed)
    rows = rng.choice(len(states.masks), min(N_TIRED, len(states.masks)), replace=False)
    rested, masks = states.observations[rows].astype(np.float64), states.masks[rows]
    tired = rested.copy()
    for index, feature in enumerate(USER_FEATURES):
        direction = FATIGUE.get(feature.name, 0)
        if direction:
            end = feature.high if direction > 0 else feature.low
            moved = rng.random(len(rows)) * (rng.random(len(rows)) < 0.5)
            tired[:, index] += moved * (end - tired[:, index])
    wish = [_wish(student, seen, masks) for seen in (rested, tired)]
    return int((wish[1] > wish[0] + LEAST_RISE).sum()), len(rows)


def _wish(document: Document, observations: Floats, masks: Bools) -> Floats:
    found: Floats = advantages(document, observations, masks)[:, 1:].max(axis=1)
    return found


def _worst(loss: Floats, best: Any, did: Any, states: States, n_slots: int) -> tuple[WorstCase, ...]:
    names = action_names(n_slots)
    known = features(n_slots)
    told = inputs(n_slots, "an entry")
    found = []
    for row in np.argsort(-loss)[:N_WORST].tolist():
        if loss[row] <= 0.0:
            break
        state = {
            name: decode(known[entry.index], float(states.observations[row, entry.index]))
            for name, entry in told.items()
            if not name.startswith("slot") or _is_open(name, states.masks[row])
        }
        found.append(WorstCase(float(loss[row]), names[int(best[row])], names[int(did[row])], state))
    return tuple(found)


def _is_open(name: str, mask: Bools) -> bool:
    """Return whether a feature is of a candidate that could be sent."""
    slot = int(name.partition(".")[0].removeprefix("slot"))
    return bool(mask[1 + 2 * slot : 3 + 2 * slot].any())
