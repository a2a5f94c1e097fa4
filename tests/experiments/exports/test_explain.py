"""What a policy would do, hour by hour, and the nearest other decision: against rules whose answer is known."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from experiments.cli import main
from experiments.exports.explain import TYPICAL, explain
from policies.codec import write
from policies.decide import Policy
from policies.document import Arms, Condition, Document, Rule, Rules, Send, Softmax

EVENING = Document(
    "evening",
    2,
    Rules(
        (
            Rule("enough", (Condition("pushes_7d", ">=", 3.0),), "no_send"),
            Rule(
                "evening",
                (Condition("local_hour", "between", (18.0, 21.0)), Condition("hours_since_send", ">=", 24.0)),
                Send(("push",)),
            ),
        )
    ),
)


def test_hour_by_hour() -> None:
    found = explain(Policy(EVENING), {"hours_since_send": 30.0})
    assert [hour.preferred for hour in found.hours] == ["no_send"] * 18 + ["slot0.push"] * 3 + ["no_send"] * 3
    text = found.in_words()
    assert "  00 to 17  no_send: no rule applied: the default chose no_send\n" in text
    assert "  18 to 20  slot0.push: rule 'evening' chose slot0.push\n" in text
    assert "At 18:00, slot0.push, because\n  rule 'evening' chose slot0.push" in text


def test_the_nearest_other_decision() -> None:
    found = explain(Policy(EVENING), {"hours_since_send": 30.0, "pushes_7d": 1.0}, at=19)
    by_name = {turn.feature: turn for turn in found.turns}
    assert by_name.keys() == {"hours_since_send", "pushes_7d"}
    send = by_name["hours_since_send"]
    assert (send.action, send.rises) == ("no_send", False)
    assert send.now == pytest.approx(30.0)
    assert send.turns_at == pytest.approx(24.0, rel=1e-4)
    pushes = by_name["pushes_7d"]
    assert (pushes.action, pushes.rises) == ("no_send", True)
    assert pushes.turns_at == pytest.approx(3.0, rel=1e-4)
    assert [turn.share for turn in found.turns] == sorted(turn.share for turn in found.turns)
    alone = explain(Policy(EVENING), at=3)
    assert alone.turns == ()
    assert "none: no single feature turns it" in alone.in_words()


def test_chances_are_told() -> None:
    arms = Document("arms", 1, Arms((0.0, 1.0, 0.0)), Softmax(1.0))
    text = explain(Policy(arms)).in_words()
    assert "  00 to 23  slot0.push (58%): slot0.push scores 1" in text  # e / (e + 2)
    assert "slot0.push was drawn with probability 0.5761" in text
    silent = explain(Policy(arms), eligible=("slot0.email",))
    assert silent.hours[0].preferred == "no_send"


def test_what_is_said_of_the_user_counts() -> None:
    assert explain(Policy(EVENING), {"hours_since_send": 1.0}).hours[18].preferred == "no_send"
    assert TYPICAL["hours_since_send"] > 24.0
    assert explain(Policy(EVENING)).hours[18].preferred == "slot0.push"


@pytest.mark.parametrize(
    ("user", "told"),
    [
        ({"hours_since_sent": 1.0}, r"got 'hours_since_sent'\. Did you mean 'hours_since_send'\?"),
        ({"tier": 2.0}, "user: tier: expected 0 to 1, got 2"),
        ({"slot.relevance": 99.0}, "user: slot0.relevance: expected -3 to 3 sd, got 99"),
        ({"local_hour_sin": 0.0}, "got 'local_hour_sin'"),
    ],
)
def test_what_is_refused(user: dict[str, float], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        explain(Policy(EVENING), user)


def test_other_refusals() -> None:
    with pytest.raises(ValueError, match="at: expected a local hour from 0 to 23, got 24"):
        explain(Policy(EVENING), at=24)
    with pytest.raises(ValueError, match=r"expected actions, got 'slot0\.pusch'\. Did you mean 'slot0\.push'"):
        explain(Policy(EVENING), eligible=("slot0.pusch",))


def test_the_command(tmp_path: Path) -> None:
    (tmp_path / "policy.json").write_text(write(EVENING), encoding="utf-8")
    picture = tmp_path / "day.png"
    done = CliRunner().invoke(
        main, ["explain", str(tmp_path), "--user", "hours_since_send=30, tier=1", "--at", "19", "--out", str(picture)]
    )
    assert done.exit_code == 0, done.output
    assert done.output.startswith("evening (rules, sha256:")
    assert picture.read_bytes().startswith(b"\x89PNG")
    for arguments, told in (
        (["--user", "tier"], "--user: expected FEATURE=VALUE with a number, got 'tier'"),
        (["--user", "tier=nan"], "--user: expected FEATURE=VALUE with a number, got 'tier=nan'"),
        (["--user", "tier=1,tier=0"], "--user: expected each feature once, got 'tier' again"),
        (["--user", "teir=1"], "Did you mean 'tier'?"),
    ):
        done = CliRunner().invoke(main, ["explain", str(tmp_path), *arguments])
        assert done.exit_code == 1
        assert told in done.output
    (tmp_path / "empty").mkdir()
    done = CliRunner().invoke(main, ["explain", str(tmp_path / "empty")])
    assert "expected a policy document, or a training's folder with policy.json in it" in done.output
