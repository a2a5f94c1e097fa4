"""What a student learns from: the states that it comes into itself, and what its teacher says of them.

States are visited by the teacher first, then by the student, and all are labelled by the teacher (DAgger: Ross, Gordon
& Bagnell, AISTATS 2011). A state counts by how much is at stake in it, the teacher's best action less its worst
(VIPER: Bastani, Pu & Solar-Lezama, NeurIPS 2018, section 3). The student regresses what each candidate is worth over
silence on push and on e-mail, so that one model serves all slots; the teacher may look at all of them at once, which is
one of the reasons why a student loses value, and why its loss is measured (`experiments.exports.certificate`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from agents.distil.advantages import advantages
from policies.batch.seen import Bools, Floats, local_hours
from policies.document import Document, Epsilon, Exploration, Greedy, Mixture, Model, Softmax
from policies.inputs import LOCAL_HOUR, N_CHANNELS, Input, decode, encode, inputs
from policies.vocabulary import N_SLOT_FEATURES

ONE_POINT = "one_point_is"  # where a scorecard's origin says what a point is worth
DIGITS = 3  # of a threshold: what people can read


class States(NamedTuple):
    """States in which something besides silence was eligible.

    Attributes:
        observations: shape (U, 29 + 7 C).
        masks: True where an action is eligible, shape (U, A).
    """

    observations: npt.NDArray[np.float32]
    masks: Bools


Visit = Callable[[Document, int], States]  # of a policy in a round, 0 first, to the states that it comes into


class Lessons(NamedTuple):
    """Candidates that could be sent.

    Attributes:
        features: encoded, in the order of `looked_at`, shape (M, K).
        worth: of push and e-mail over silence, shape (M, 2).
        weights: shape (M,).
    """

    features: Floats
    worth: Floats
    weights: Floats


def learned(
    teacher: Document,
    visit: Visit,
    rounds: int,
    fit: Callable[[Lessons], Model],
    name: str,
    origin: dict[str, str],
    drawing: Callable[[Model], Exploration] | None = None,
) -> Document:
    """Return a student, learned in rounds, each where the student of the round before leads.

    Args:
        teacher: any document.
        visit: lets a policy decide, and returns where it came; see `experiments.exports.states`.
        fit: from all lessons so far to a model.
        name, origin: of the student.
        drawing: how the model draws; None: as the teacher does.

    Raises:
        ValueError: nothing was ever eligible.
    """
    parts: list[Lessons] = []
    student = teacher
    for place in range(rounds):
        parts.append(lessons(teacher, visit(student, place)))
        model = fit(Lessons(*(np.concatenate(columns) for columns in zip(*parts, strict=True))))
        exploration = drawn_as(teacher) if drawing is None else drawing(model)
        student = Document(name, teacher.n_slots, model, exploration, "distillation", dict(origin))
    return student


def drawn_as(teacher: Document) -> Exploration:
    """Return how a student draws: as its teacher does, whose advantages are in units of its own temperature."""
    match teacher.exploration:
        case Epsilon():
            return teacher.exploration
        case Greedy() if not isinstance(teacher.model, Mixture):
            return Greedy()
    return Softmax(1.0)


def looked_at(n_slots: int) -> list[Input]:
    """Return what a student looks at: the user, the hour, and the candidate."""
    known = inputs(n_slots, "shared").values()
    return [entry for entry in known if entry.name not in ("local_hour_sin", "local_hour_cos")]


def lessons(teacher: Document, states: States) -> Lessons:
    """Return what a teacher says of states.

    Raises:
        ValueError: nothing could be sent in any.
    """
    observations, masks = states
    if not len(masks) or not masks[:, 1:].any():
        raise ValueError("distillation: expected states in which something could be sent, got none")
    n, n_slots = len(masks), teacher.n_slots
    is_open = masks[:, 1:].reshape(n, n_slots, N_CHANNELS).any(axis=2)
    # Of a candidate that can be sent on one channel, the other's worth is asked for as well: a leaf has both.
    both = np.column_stack([np.ones(n, np.bool_), np.repeat(is_open, N_CHANNELS, axis=1)])
    worth = advantages(teacher, observations, both)
    eligible = np.where(masks, worth, np.nan)
    at_stake = np.nanmax(eligible, axis=1) - np.nanmin(eligible, axis=1)
    user, slot = np.nonzero(is_open)
    columns = [_column(entry, observations, user, slot) for entry in looked_at(n_slots)]
    found = worth[:, 1:].reshape(n, n_slots, N_CHANNELS)[user, slot]
    return Lessons(np.column_stack(columns), found, (at_stake / is_open.sum(axis=1).clip(1))[user])


def _column(
    entry: Input, observations: npt.NDArray[Any], user: npt.NDArray[np.intp], slot: npt.NDArray[np.intp]
) -> Floats:
    if entry.feature is LOCAL_HOUR:
        sines, cosines = (observations[:, k].astype(np.float64) for k in (0, 1))
        return local_hours(sines, cosines)[user]
    place = entry.index + N_SLOT_FEATURES * slot if entry.is_per_slot else entry.index
    found: Floats = observations[user, place].astype(np.float64)
    return found


def readable(entry: Input, encoded: float) -> float:
    """Return a threshold in the feature's unit, rounded where that is still one that it can take."""
    exact = decode(entry.feature, encoded)
    rounded = rounded_to(exact)
    return rounded if encode(entry.feature, rounded) is not None else exact


def rounded_to(value: float) -> float:
    """Return a number with as many digits as people read."""
    return float(f"{value:.{DIGITS}g}")
