"""The certificate's interval of the value lost is right on users that neither policy has met."""

from __future__ import annotations

import pytest

from agents.distil.lessons import States
from agents.distil.trees import TreeSettings, distilled_tree
from experiments.exports.certificate import certify
from experiments.exports.states import visited
from policies.document import Document, Rules, Send
from simulator.config import Scenario
from tests.experiments.exports.test_export_command import TEACHER, small

N_CERTIFICATES, N_USERS = 200, 400
N_FRESH, FRESH = 60_000, 500_000_000  # users, and the first of their seeds


@pytest.mark.proof
@pytest.mark.parametrize("form", ["two leaves", "always"])
def test_the_interval_holds_what_fresh_users_lose(form: str) -> None:
    """Of 200 intervals that hold the truth in 95 % each, 182 to 197 do so but once in 200 times (binomial)."""
    world = small()
    student = crude(form, world)
    truth = certify(TEACHER, student, world, n_users=N_FRESH, n_state_users=16, seed=FRESH).value_lost_eur.estimate
    assert abs(truth.mean) > 3.0 * truth.standard_error, "a student that loses nothing would show nothing"
    held = 0
    for k in range(N_CERTIFICATES):
        found = certify(TEACHER, student, world, n_users=N_USERS, n_state_users=16, seed=1_000_000 + k * N_USERS)
        lost = found.value_lost_eur.estimate
        held += lost.low <= truth.mean <= lost.high
    print(f"{form}: {held} of {N_CERTIFICATES} hold {truth.mean:.4f} +- {truth.standard_error:.4f}")  # noqa: T201 the record
    assert 182 <= held <= 197


def crude(form: str, world: Scenario) -> Document:
    """A student that does not do as its teacher: too small a tree, or one that sends whenever it may."""
    if form == "always":
        return Document("always", 4, Rules((), Send(("push", "email"))))

    def visit(policy: Document, place: int) -> States:
        return visited(policy, world, 64, 7_000 + 100 * place)

    return distilled_tree(TEACHER, visit, TreeSettings(depth=1, leaves=2))
