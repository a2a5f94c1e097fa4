"""What a new policy would change in a ledger's states, and the ramp: against policies whose difference is known."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from click.testing import CliRunner

from experiments.cli import main
from experiments.exports.rollout import rollout
from experiments.offline.logs.ledgers import ledger_rounds
from policies.codec import write
from policies.document import Condition, Document, Epsilon, Rule, Rules, Send
from tests.experiments.recordings import environment, recorded

ALWAYS = Document("always", 4, Rules((), Send(("push", "email"))))
NEVER = Document("never", 4, Rules(()))
RESTED = Document("rested", 4, Rules((Rule("rested", (Condition("send_load", "<", 1.0),), Send(("push", "email"))),)))


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rollout") / "ledger"
    recorded(folder, environment())
    return folder


def test_nothing_changes_where_the_policy_does_not(ledger: Path) -> None:
    found = rollout(ALWAYS, ALWAYS, ledger, population=10_000, margin=0.01)
    assert (found.same, found.moved) == (1.0, 0.0)
    assert found.sends_old == found.sends_new > 0.0
    assert all(group.old == group.new for group in (*found.channels, *found.fatigue, *found.hours))


def test_silence_and_sending_always(ledger: Path) -> None:
    found = rollout(NEVER, ALWAYS, ledger, population=10_000, margin=0.01)
    rounds, _ = ledger_rounds(ledger)
    assert (found.same, found.moved) == (0.0, 1.0)
    assert found.decisions == len(rounds)
    assert found.sends_old == 0.0
    weeks = (rounds.hours.max() - rounds.hours.min()) / 168.0 * rounds.n_clusters  # type: ignore[union-attr]
    assert found.sends_new == pytest.approx(len(rounds) / weeks)
    assert sum(group.decisions for group in found.hours) == len(rounds)
    assert sum(group.decisions for group in found.fatigue) == len(rounds)
    assert all(group.new == 1.0 for group in (*found.fatigue, *found.hours))
    assert "all new" in found.in_words()


def test_who_is_spared(ledger: Path) -> None:
    """Sending to the rested alone: nothing in the tired classes, and half of chance's sends with epsilon 1/2."""
    found = rollout(ALWAYS, RESTED, ledger, population=10_000, margin=0.01)
    assert found.fatigue[0].new > found.fatigue[-1].new == 0.0
    half = Document("half", 4, Rules(()), Epsilon(0.5))
    mixed = rollout(NEVER, half, ledger, population=10_000, margin=0.01)
    assert mixed.same == 1.0
    assert 0.25 <= mixed.moved < 0.5  # of a choice between two to nine, half at random


def test_the_ramp(ledger: Path) -> None:
    found = rollout(NEVER, ALWAYS, ledger, population=100_000, margin=0.01, ramp=(0.01, 0.5))
    small, half = found.steps
    assert (small.users, half.users) == (1_000, 50_000)
    assert half.seen < small.seen
    assert half.days <= small.days
    assert half.lost_by_then == pytest.approx(50_000 * 0.01 * half.days / 14)
    few = rollout(NEVER, ALWAYS, ledger, population=100, margin=0.0001, ramp=(0.01,)).steps[0]
    assert math.isinf(few.days)
    told = rollout(NEVER, ALWAYS, ledger, population=100, margin=0.0001, ramp=(0.01,))
    assert "| never: too few users |" in told.to_markdown()
    assert json.loads(json.dumps(told.to_dict(), allow_nan=False))["steps"][0]["days"] is None


def test_what_is_refused(ledger: Path) -> None:
    with pytest.raises(ValueError, match="population: expected at least 100 users, got 99"):
        rollout(NEVER, ALWAYS, ledger, population=99)
    with pytest.raises(ValueError, match=r"ramp: expected rising shares between 0 and 1, got 0\.5, 0\.1"):
        rollout(NEVER, ALWAYS, ledger, population=100, ramp=(0.5, 0.1))
    with pytest.raises(ValueError, match=r"margin: expected above 0 and below .*, got 1"):
        rollout(NEVER, ALWAYS, ledger, population=100, margin=1.0)
    with pytest.raises(ValueError, match="policy 'two': expected a ledger of 2 candidates with the vocabulary's 43"):
        rollout(NEVER, Document("two", 2, Rules(())), ledger, population=100)


def test_the_command(tmp_path: Path, ledger: Path) -> None:
    files = []
    for document in (NEVER, ALWAYS):
        files.append(str(tmp_path / f"{document.name}.json"))
        Path(files[-1]).write_text(write(document), encoding="utf-8")
    asked = ["rollout", *files, "--ledger", str(ledger), "--population", "5000", "--margin", "0.01"]
    done = CliRunner().invoke(main, asked)
    assert done.exit_code == 0, done.output
    assert done.output.startswith("# Rollout\n\nIn ")
    told = json.loads(CliRunner().invoke(main, [*asked, "--json"]).output)
    assert told["moved"] == 1.0
    done = CliRunner().invoke(main, [*asked, "--out", str(tmp_path / "rollout.md")])
    assert (tmp_path / "rollout.md").read_text(encoding="utf-8").startswith("# Rollout")
    done = CliRunner().invoke(main, ["rollout", *files, "--ledger", str(tmp_path), "--population", "5000"])
    assert done.exit_code == 1
    assert "Error: " in done.output
