"""What the service decides: by the documents and the one constraint engine, as they decide elsewhere."""

from __future__ import annotations

import datetime as dt
import math
import random
from zoneinfo import ZoneInfo

import pytest

from policies.constraints import PERSON_FIELDS, suppression
from policies.decide import Policy
from policies.document import Document, Scorecard, Weighted
from policies.features import write_user_features
from policies.history import LONG_AGO, blank_history, record_open, record_send, record_session
from policies.moments import EPOCH, moment_at
from policies.service.deciding.shelf import silence
from policies.structs import blank
from policies.vocabulary import feature_names
from tests.policies.documents import ALL, SCORECARD, random_observation
from tests.policies.service.serving import HOUR_MS, NOON_MS, coin, hash_of, sender, served, silent


def test_the_stateless_answer_is_that_of_the_document() -> None:
    policy, draw = Policy(SCORECARD), random.Random(3)
    with served(SCORECARD) as it:
        for _ in range(20):
            features, uniform = random_observation(draw), draw.random()
            body = {"features": list(features), "eligible": list(ALL), "uniform": uniform}
            found = it.ask("POST", "/v1/decide", body).json()
            expected = policy.decide(features, ALL, uniform)
            assert (found["action"], found["propensity"]) == (expected.action, expected.propensity)
            assert tuple(found["probabilities"]) == expected.probabilities
            assert tuple(found["reasons"]) == expected.reasons
            assert found["policy_hash"] == policy.policy_hash
            assert found["decision_id"] == ""
        assert it.store.totals() == {}, "a stateless decision leaves nothing"


def test_a_cap_ends_the_day_and_the_next_day_begins_anew() -> None:
    with served() as it:
        sent = []
        for hour in (0, 1, 2, 3, 12, 13, 14):  # from noon: midnight is after 12 hours
            it.clock.now_ms = NOON_MS + hour * HOUR_MS
            found = it.decide("ann")
            sent.append(found["send"])
            if found["send"] is None:
                assert {s["reason"] for s in found["suppressed"] if s["channel"] == "push"} == {"cap push-a-day"}
        assert sent == ["sale", "sale", None, None, "sale", "sale", None]


def test_candidates_come_by_kind_urgency_and_interest_and_the_rest_is_told() -> None:
    campaigns = [{"name": f"c{k}"} for k in range(3)] + [
        {"name": "cart", "kind": "triggered", "trigger": "cart"},
        {"name": "over", "closes": dt.datetime(2026, 1, 1, tzinfo=dt.UTC)},
        {"name": "old", "audience": {"segments": ["old"]}},
    ]
    with served(sender(n_slots=2), {"campaigns": campaigns}) as it:
        found = it.decide("ann")
        assert found["candidates"] == ["c0", "c1"]
        told = {s["campaign"]: s["reason"] for s in found["suppressed"] if not s["channel"]}
        assert told == {
            "c2": "no slot was left",
            "cart": "not open",
            "over": "expired",
            "old": "not in audience",
        }
        asked = [{"campaign": "c1", "relevance": 0.5}, {"campaign": "c2", "relevance": 2.0}, {"campaign": "c0"}]
        assert it.decide("bob", candidates=asked)["candidates"] == ["c0", "c1"], "no consent, no interest"
        assert it.ask("PATCH", "/v1/users/bob", {"has_consent": True, "segment": "old"}).status_code == 200
        assert it.decide("bob", candidates=asked)["candidates"] == ["c2", "c1"]
        assert "old" not in {s["campaign"] for s in it.decide("bob")["suppressed"] if s["reason"] == "not in audience"}


def test_an_event_opens_a_triggered_campaign_once() -> None:
    campaigns = [{"name": "cart", "kind": "triggered", "trigger": "cart", "delay_hours": 1, "expiry_hours": 24}]
    with served(settings={"campaigns": campaigns}) as it:
        event = {"user_id": "ann", "kind": "cart", "category": 3}
        assert it.ask("POST", "/v1/events", {"events": [event]}).json() == {"accepted": 1}
        reasons = []
        for hour in (1, 2, 3):
            it.clock.now_ms = NOON_MS + hour * HOUR_MS
            found = it.decide("ann")
            reasons.append(found["send"] or found["suppressed"][0]["reason"])
        assert reasons == ["not open", "cart", "already sent"]


def test_features_and_eligibility_are_those_of_the_engine_on_the_same_history() -> None:
    """Rebuilt here from what was answered, sends and opens written into a history of the test's own."""
    draw = random.Random(7)
    zone, utc = ZoneInfo("America/New_York"), ZoneInfo("UTC")
    with served(coin()) as it:
        it.ask("PATCH", "/v1/users/ann", {"time_zone": zone.key, "tier": "b", "os": "android", "permitted": ["push"]})
        history, person = blank_history(), blank(PERSON_FIELDS)
        person.seen_opted_in, person.tier, person.segment = 1, 1, 31
        person.browse_hour = person.cart_hour = person.order_hour = LONG_AGO
        person.last_session_hours, person.stage = float(LONG_AGO), 1
        person.installed_hours = NOON_MS / HOUR_MS
        rules = it.service.answering.catalogue.rules
        compared = 0
        for _ in range(25):
            it.clock.now_ms += draw.choice((1, 3, 5, 20)) * HOUR_MS + draw.randint(0, HOUR_MS - 1)
            now_ms = it.clock.now_ms
            when = EPOCH + dt.timedelta(milliseconds=now_ms)
            moment = moment_at(when, zone, utc)
            if draw.random() < 0.3:
                it.ask("POST", "/v1/events", {"events": [{"user_id": "ann", "kind": "session"}]})
                record_session(history, now_ms // HOUR_MS)
                person.last_session_hours = now_ms / HOUR_MS
            found = it.decide("ann")
            expected = [0.0] * 57
            write_user_features(expected, rules, history, person, moment, 0.5, 1.0, 0.0)
            [*_, kept] = it.ask("GET", "/v1/users/ann/export").json()["decisions"]
            for name, seen, own in zip(feature_names(4), kept["features"], expected, strict=False):
                if not name.startswith("slot"):
                    assert math.isclose(seen, own, rel_tol=1e-6, abs_tol=1e-7), name
            for slot, campaign in enumerate(found["candidates"]):
                offer = it.service.answering.catalogue.offers[campaign]
                for channel in (0, 1):
                    why = suppression(rules, history, person, offer.struct, moment, channel, False, True)
                    assert kept["eligible"][1 + 2 * slot + channel] == (why == 0), (campaign, channel)
                    compared += 1
            if found["send"]:
                offer = it.service.answering.catalogue.offers[found["send"]]
                record_send(history, -(-now_ms // HOUR_MS), 0, 0, 0, offer.struct.bucket, 16)
                if draw.random() < 0.5:
                    it.tell(found["decision_id"], "opened")
                    record_open(history, 0)
        assert compared >= 100


@pytest.mark.parametrize(("kind", "channels"), [("opt_out", ["email"]), ("complaint", ["email"]), ("churn", [])])
def test_a_withdrawal_holds_from_the_next_decision_on(kind: str, channels: list[str]) -> None:
    with served() as it:
        first = it.decide("ann")
        assert first["channel"] == "push"
        assert it.tell(first["decision_id"], kind) == {"accepted": 1, "known": 0, "unknown": []}
        found = it.decide("ann")
        assert found["send"] is None
        assert {s["reason"] for s in found["suppressed"] if s["channel"] == "push"} == {"no permission"}
        assert it.ask("GET", "/v1/users/ann/export").json()["user"]["permitted"] == channels


def test_nobody_is_sent_anything_before_permission_is_known() -> None:
    with served(settings={"users": {}}) as it:
        assert it.decide("ann")["send"] is None
        it.ask("POST", "/v1/events", {"events": [{"user_id": "ann", "kind": "opt_in", "channel": "push"}]})
        assert it.decide("ann")["send"] == "sale"


def test_telling_an_outcome_twice_counts_once() -> None:
    with served() as it:
        number = it.decide("ann")["decision_id"]
        assert it.tell(number, "opened")["accepted"] == 1
        assert it.tell(number, "opened") == {"accepted": 0, "known": 1, "unknown": []}
        assert it.tell("7fffffffffffffff", "opened") == {"accepted": 0, "known": 0, "unknown": ["7fffffffffffffff"]}
        noon, later = "2026-03-02T12:00:00Z", "2026-03-02T11:00:00+00:00"
        for at, n in ((noon, 1), (noon, 0), (later, 1), (later, 0)):
            assert it.tell(number, "payment", at=at, amount_eur=3.0)["accepted"] == n, "paid twice, each told twice"
        user = it.ask("GET", "/v1/users/ann/export").json()["user"]
        assert (user["n_sent"]["push"], user["n_opened"]["push"], user["unopened"]) == (1, 1, 0)


def test_a_batch_answers_each_by_itself() -> None:
    with served() as it:
        requests = [
            {"user_id": "ann"},
            {"user_id": "ann", "candidates": [{"campaign": "digset"}]},
            {"features": [0.0]},
            {"user_id": "ann"},
            {"user_id": "ann"},
        ]
        answers = it.ask("POST", "/v1/decide/batch", {"requests": requests}).json()["answers"]
        assert [bool(a.get("answer", {}).get("send")) for a in answers] == [True, False, False, True, False]
        assert answers[1]["problem"] == {
            "problem": "unknown-campaign",
            "message": "candidates: no campaign 'digset' in the settings. Did you mean 'digest'?",
        }
        assert answers[2]["problem"]["message"].startswith("body: expected user_id, or features and eligible")


def test_the_shadow_decides_too_and_is_never_sent() -> None:
    with served(silent()) as it:
        it.add(sender(), "shadow")
        assert [it.decide("ann")["send"] for _ in range(3)] == [None, None, None]
        known = it.store.known_of(it.service.identity.user_key("ann"))
        assert known is not None
        assert [row.shadow_action for row in known.decisions] == [1, 1, 1]
        assert {row.shadow_hash for row in known.decisions} == {hash_of(sender())}
        assert it.store.totals()[hash_of(silent()), "shadow: sent, the policy was silent"] == 3
        assert "shadow: same" not in {what for _, what in it.store.totals()}


def test_a_canary_decides_for_its_share_and_always_for_the_same_users() -> None:
    with served(silent()) as it:
        canary = it.add(sender(), "canary", 0.25)
        users = [f"user {k}" for k in range(400)]
        body = {"requests": [{"user_id": user} for user in users]}
        rounds = [
            [a["answer"]["policy_hash"] == canary for a in it.ask("POST", "/v1/decide/batch", body).json()["answers"]]
            for _ in range(2)
        ]
        assert rounds[0] == rounds[1]
        # Binomial(400, .25): outside 60 to 145 with a probability below 1e-6.
        assert 60 <= sum(rounds[0]) <= 145


def test_a_policy_that_cannot_decide_is_silent_and_says_so() -> None:
    terms = (
        Weighted("hours_since_send", {"push": 1.7e308, "email": 0.0}),
    )  # times ln(1 + hours): more than a float holds
    overflowing = Document("overflowing", 4, Scorecard(0.0, {"push": 0.0, "email": 0.0}, terms))
    with served(overflowing) as it:
        found = it.decide("ann")
        assert (found["send"], found["role"]) == (None, "fallback")
        assert found["policy_hash"] == silence(4).policy_hash
        assert "the policy could not decide: policy 'overflowing': preference of slot0.push" in found["reasons"][0]
