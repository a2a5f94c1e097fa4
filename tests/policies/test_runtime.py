"""Decisions from a user's history in one process: limits hold, own limits too, and everything is said."""

from __future__ import annotations

import datetime as dt
import random
from typing import Any

import pytest

from policies.decide import DecideError, ModelError, Policy
from policies.document import NO_SEND, Document, Rules, Scorecard, Send, Weighted
from policies.limits import Cap, Constraints, QuietHours
from policies.runtime import App, Audience, Campaign, ClockError, QuestionError, Runtime, User, Users, Wish
from policies.runtime.app import TRIGGERS

NOON = dt.datetime(2026, 3, 2, 12, tzinfo=dt.UTC)  # a Monday
HOUR = dt.timedelta(hours=1)
ALWAYS = Rules((), Send(("push", "email"), "first"))
TWO_A_DAY = Constraints((Cap("two a day", 2, "day"),), passes_gap=("scheduled", "triggered", "transactional"))


def runtime(app: App | None = None, **document: Any) -> Runtime:
    app = app or App(campaigns=(Campaign(name="digest"), Campaign(name="sale", channels=("push", "email"))))
    return Runtime(Policy(Document("always", 2, document.pop("model", ALWAYS), **document)), app)


def sent(found: Runtime, user: User, hours: range | list[int]) -> list[str | None]:
    return [found.decide(user, NOON + hour * HOUR, uniform=0.5).send for hour in hours]


def test_what_is_sent_is_known_at_the_next_decision() -> None:
    app = App(campaigns=(Campaign(name="digest"),), constraints=TWO_A_DAY)
    found = runtime(app)
    user = found.new_user(NOON, permitted=("push",))
    assert sent(found, user, range(4)) == ["digest", "digest", None, None]
    answer = found.decide(user, NOON + 4 * HOUR, uniform=0.5)
    assert answer.suppressed == (("digest", "push", "cap two a day"), ("digest", "email", "channel closed"))
    assert (answer.action_name, answer.candidates) == ("no_send", ("digest",))
    user = User.unpacked(user.packed())  # as kept over night
    assert sent(found, user, [13, 14, 15]) == ["digest", "digest", None]


def test_limits_of_the_app_and_of_the_policy_both_hold_and_each_is_named() -> None:
    own = Constraints((Cap("one a day", 1, "day"),), quiet=QuietHours(13 * 60, 14 * 60))
    app = App(campaigns=(Campaign(name="digest"),), constraints=TWO_A_DAY)
    found = runtime(app, constraints=own)
    user = found.new_user(NOON, permitted=("push",))
    reasons = []
    for hour in (1, 2, 3):
        answer = found.decide(user, NOON + hour * HOUR, uniform=0.5)
        reasons.append(answer.send or answer.suppressed[0][2])
    assert reasons == ["the policy's own limit: quiet hours", "digest", "the policy's own limit: cap one a day"]
    lenient = runtime(app, constraints=Constraints())
    assert sent(lenient, lenient.new_user(NOON, permitted=("push",)), range(3)) == ["digest", "digest", None]


def test_a_policy_sees_itself_by_its_own_limits() -> None:
    """As where it was trained: the share left of the day's cap is that of its own."""
    app = App(campaigns=(Campaign(name="digest"),), constraints=TWO_A_DAY)
    seen = []
    for limits in (None, Constraints((Cap("four a day", 4, "rolling", hours=24, channels=("push",)),))):
        found = runtime(app, constraints=limits)
        user = found.new_user(NOON, permitted=("push",))
        sent(found, user, [0])
        moment = found.catalogue.moment(user.zone, round(NOON.timestamp() * 1e3) + 3_600_000)
        seen.append(found.fitted.look(user, moment, None).features[26])
    assert seen == [0.5, 0.75]


def test_only_allowed_campaigns_are_sent() -> None:
    found = runtime(allowed_campaigns=("sale", "gone"))
    answer = found.decide(found.new_user(NOON, permitted=("push",)), NOON, uniform=0.5)
    assert answer.send == "sale"
    assert ("digest", "", "not allowed") in answer.suppressed
    with pytest.raises(ValueError, match=r"allowed_campaigns: expected some of the app's \(digest, sale\), got gone"):
        runtime(allowed_campaigns=("gone",))


def test_own_limits_speak_of_tags_that_histories_remember() -> None:
    own = Constraints((Cap("a promotion a day", 1, "day", tags=("promotion",)),))
    with pytest.raises(ValueError, match=r"constraints.caps.0.tags: no 'promotion'; expected none"):
        runtime(constraints=own)
    tagged = Campaign(name="offer", tags=("promotion",))
    app = App(campaigns=(tagged, Campaign(name="news")), constraints=Constraints((*TWO_A_DAY.caps, *own.caps)))
    found = runtime(app, constraints=own)
    user = found.new_user(NOON, permitted=("push",))
    assert sent(found, user, range(3)) == ["offer", "news", None]


def test_own_caps_count_what_the_app_counts() -> None:
    own = Constraints((Cap("a", 1, "day"),), passes_caps=("scheduled",))
    with pytest.raises(
        ValueError, match=r"passes_caps: expected the app's \(transactional\), got scheduled: a send is"
    ):
        runtime(constraints=own)
    runtime(constraints=Constraints(gap_hours=2, passes_caps=("scheduled",)))


def test_a_fallback_decides_where_the_model_overflows() -> None:
    huge = Scorecard(0.0, {"push": 1e308, "email": 1e308}, (Weighted("tenure_days", {"push": 1e308, "email": 1e308}),))
    app = App(campaigns=(Campaign(name="digest"),))
    strict = runtime(app, model=huge)
    user = strict.new_user(NOON - 1000 * HOUR, permitted=("push",))
    with pytest.raises(ModelError, match=r"preference of slot0.push: expected a finite number"):
        strict.decide(user, NOON, uniform=0.5)
    assert sent(runtime(app, model=huge, fallback=Rules((), NO_SEND)), user, [0]) == [None]
    answer = runtime(app, model=huge, fallback=ALWAYS).decide(user, NOON, uniform=0.5)
    assert answer.send == "digest"
    assert answer.reasons[0].startswith("the fallback decides, the model could not: policy 'always': preference of ")
    with pytest.raises(DecideError, match="uniform"):
        runtime(app, model=huge, fallback=ALWAYS).decide(user, NOON, uniform=1.0)


def test_many_users_at_once_fall_back_as_one_does() -> None:
    np = pytest.importorskip("numpy")
    batch = pytest.importorskip("policies.batch")
    huge = Scorecard(0.0, {"push": 1e308, "email": 1e308}, (Weighted("tenure_days", {"push": 1e308, "email": 0.0}),))
    document = Document("huge", 1, huge, fallback=Rules((), NO_SEND))
    seen = np.zeros((3, 36))
    seen[1, 10] = 8.0
    masks = np.ones((3, 3), bool)
    single, many = Policy(document), batch.BatchPolicy(document)
    expected = [single.probabilities(row, mask) for row, mask in zip(seen, masks, strict=True)]
    assert expected == [(0.0, 1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)]
    assert many.probabilities(seen, masks).tolist() == [list(row) for row in expected]
    decided = many.decide(seen, masks, np.full(3, 0.5))
    assert decided.actions.tolist() == [1, 0, 1]


def test_what_users_do_counts() -> None:
    cart = Campaign(name="cart", kind="triggered", trigger="cart", delay_hours=0)
    found = runtime(App(campaigns=(cart,)))
    user = found.new_user(NOON, permitted=("push",))
    assert sent(found, user, [0]) == [None]
    user.showed_interest("cart", 3, round(NOON.timestamp() * 1e3))
    assert sent(found, user, [1, 2]) == ["cart", None], "an event opens one message"
    user.withdraws(0)
    assert found.decide(user, NOON + 3 * HOUR, uniform=0.5).suppressed == (("cart", "", "already sent"),)


def test_candidates_of_the_caller() -> None:
    found = runtime()
    user = found.new_user(NOON, permitted=("push",), has_consent=True)
    answer = found.decide(user, NOON, [Wish("digest"), Wish("sale", relevance=2.0)], uniform=0.5)
    assert answer.candidates == ("sale", "digest")
    with pytest.raises(QuestionError, match=r"no campaign 'sael' in the settings. Did you mean 'sale'\?"):
        found.decide(user, NOON, [Wish("sael")], uniform=0.5)
    with pytest.raises(QuestionError, match="'sale' stands there twice"):
        found.decide(user, NOON, [Wish("sale"), Wish("sale")], uniform=0.5)


def test_time_does_not_go_back() -> None:
    found = runtime()
    user = found.new_user(NOON, permitted=("push",))
    sent(found, user, [1])
    found.decide(user, NOON + HOUR - dt.timedelta(minutes=1), uniform=0.5)
    with pytest.raises(ClockError, match="got one 3600 s earlier"):
        found.decide(user, NOON, uniform=0.5)
    with pytest.raises(ValueError, match="time: expected one with a time zone"):
        found.decide(user, dt.datetime(2026, 3, 3, 12), uniform=0.5)  # noqa: DTZ001 that is the fault


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"permitted": ("pusch",)}, "permitted: expected one of push, email, in_app, sms, got 'pusch'. Did you mean"),
        ({"zone": "Europe/Pariss"}, "time zone: expected an IANA name such as 'Europe/Paris', got 'Europe/Pariss'"),
        ({"segment": "old"}, "segment: expected one of none, got 'old'"),
    ],
)
def test_a_user_is_told_in_words_that_the_app_knows(facts: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 the message is compared
        runtime().new_user(NOON, **facts)
    assert str(caught.value).startswith(message)


def test_an_app_that_does_not_fit_is_refused_with_every_fault() -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 the message is compared
        App(
            campaigns=(
                Campaign(name="a", kind="triggered"),
                Campaign(name="a", category=9, audience=Audience(segments=("odl",))),
            ),
            users=Users(segments=("old",), time_zone="Nowhere"),
        )
    assert str(caught.value).splitlines() == [
        "users.time_zone: time zone: expected an IANA name such as 'Europe/Paris', got 'Nowhere'.",
        "campaigns: the name 'a' is used twice",
        f"campaigns[0].trigger: missing; expected one of {', '.join(TRIGGERS)} for a triggered campaign",
        "campaigns[1].category: expected 0 to 7, got 9",
        "campaigns[1].audience.segments: no 'odl' in users.segments. Did you mean 'old'?",
    ]


def test_caps_hold_over_random_lives() -> None:
    """Counted here from the answers alone: at most two a day and five in 72 hours, never at night."""
    limits = Constraints(
        (Cap("day", 2, "day"), Cap("three days", 5, hours=72)), gap_hours=2, quiet=QuietHours(22 * 60, 8 * 60)
    )
    app = App(campaigns=tuple(Campaign(name=f"c{k}", channels=("push", "email")) for k in range(3)), constraints=limits)
    found, draw = runtime(app), random.Random(5)
    user = found.new_user(NOON, permitted=("push", "email"))
    now, sends = NOON, []
    for _ in range(2_000):
        now += dt.timedelta(minutes=draw.randint(1, 240))
        if draw.random() < 0.2:
            user.had_session(round(now.timestamp() * 1e3))
        if found.decide(user, now, uniform=draw.random()).send:
            sends.append(now)
    assert len(sends) > 100
    for k, at in enumerate(sends):
        assert 8 <= at.hour < 22
        assert sum(other.date() == at.date() for other in sends) <= 2
        assert sum(at - dt.timedelta(hours=71) < other <= at for other in sends) <= 5
        assert k == 0 or at - sends[k - 1] >= 2 * HOUR
