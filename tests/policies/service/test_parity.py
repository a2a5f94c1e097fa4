"""A user of the simulator, asked about at the service: the same candidates, limits, features, and decision, to the bit.

The simulator's hour 0 is put at 1970, where the service's hours begin, in time zones of whole hours without daylight
saving; then a user's record means the same on both sides. Before each question the service is given the record that
the environment has, so that every one of thousands of lived states is compared, not only those that its own policy
would have reached.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from policies.constraints import CAMPAIGN_FIELDS, CAP, PERSON_FIELDS, Suppression
from policies.decide import Policy
from policies.document import Document
from policies.features import category_of
from policies.history import HISTORY_FIELDS
from policies.runtime.user import User
from policies.service.deciding.answering import Details
from policies.service.state.unit import Unit, Wanted
from policies.structs import Field, Struct, blank
from policies.vocabulary import n_features
from simulator.behaviour.response import logistic
from simulator.catalogue import is_placed
from simulator.config import Scenario, Scheduled, Triggered
from simulator.environments.vector import NotifyVectorEnv
from simulator.records import EMAIL, N_CATEGORIES, PUSH, Kind, Trigger
from tests.policies.random_documents import KINDS, random_document
from tests.policies.service.serving import HOUR_MS, Served, served
from tests.simulator.seated import random_actions, scenario

N_USERS, N_SLOTS = 64, 4
ZONES = {"utc": 0, "paris": 1, "new-york": -5, "shanghai": 8}
LIMITS = {
    "caps": [
        {"name": "push-a-day", "limit": 3, "window": "day", "channels": ["push"]},
        {"name": "week", "limit": 12, "window": "week", "zone": "project"},
        {"name": "rolling", "limit": 5, "window": "rolling", "hours": 48},
    ],
    "gap_hours": 2,
    "passes_gap": ["transactional"],
}


def lived_in_1970(preset: str) -> Scenario:
    """A preset at the service's hour 0, with limits of every window."""
    zones = [{"name": name, "share": 0.25, "offset_hours": hours} for name, hours in ZONES.items()]
    quiet = {"start": 22, "end": 8, "mode": "drop"}
    found = scenario(
        preset,
        calendar__start="1970-01-01",
        calendar__season_amplitude=0.0,
        calendar__holidays=[],
        calendar__horizon_days=60,
        population__time_zones=zones,
        constraints={**LIMITS, "quiet": quiet, "project_zone": "shanghai"},
    )
    # Two of those that are always open are enough: slots shall be empty, or filled by what users did.
    always = [campaign for campaign in found.campaigns if isinstance(campaign, Scheduled)]
    kept = tuple(campaign for campaign in found.campaigns if campaign not in always[2:])
    return found.model_copy(update={"campaigns": kept})


def zone_name(hours: int) -> str:
    """An IANA name of a fixed difference from UTC; its sign is the other way round."""
    return f"Etc/GMT{-hours:+d}" if hours else "UTC"


def as_settings(world: Scenario, env: NotifyVectorEnv) -> dict[str, Any]:
    """The scenario in the service's words."""
    campaigns = []
    for campaign, row in zip(world.campaigns, env.world.campaigns, strict=True):
        told: dict[str, Any] = {
            "name": campaign.name,
            "kind": campaign.kind,
            "category": campaign.category,
            "bucket": campaign.bucket,
            "channels": list(campaign.channels),
            "tags": list(campaign.tags),
            "per_user_cap": campaign.per_user_cap,
            "urgency": campaign.urgency,
            "margin_eur": float(row["margin_eur"] - row["discount_eur"]),
            "click_rate": click_rate(env, row),
            "audience": campaign.audience.model_dump(exclude_none=True),
        }
        if isinstance(campaign, Scheduled):
            assert campaign.start_day == 0.0, "windows are compared elsewhere"
            assert campaign.end_day is None
        else:
            told |= {"trigger": campaign.trigger, "delay_hours": campaign.delay_hours}
            told |= {"expiry_hours": campaign.expiry_hours}
            if isinstance(campaign, Triggered):
                told["dormancy_days"] = campaign.dormancy_days
        campaigns.append({name: value for name, value in told.items() if value is not None})
    people = world.population
    return {
        "campaigns": campaigns,
        "constraints": {**LIMITS, "quiet": {"start_minute": 22 * 60, "end_minute": 8 * 60, "mode": "drop"}},
        "project_zone": zone_name(ZONES["shanghai"]),
        "users": {"segments": [s.name for s in people.segments], "tiers": [t.name for t in people.tiers]},
    }


def click_rate(env: NotifyVectorEnv, campaign: Any) -> float:
    """What the environment takes for the rate at which a campaign is clicked."""
    law = env.world.law[0]
    own = campaign["quality"] + campaign["format_logit"] + campaign["personal_logit"]
    by_push = campaign["channels"] >> PUSH & 1
    rate = float(logistic(float(law["logit"][PUSH if by_push else EMAIL] + own)))
    return rate if by_push else rate * float(law["email_click_prob"])


def as_struct(fields: tuple[Field, ...], record: Any) -> Struct:
    found = blank(fields)
    for name, _, _ in fields:
        setattr(found, name, record[name].tolist())
    return found


def wishes(env: NotifyVectorEnv, names: list[str], i: int) -> list[dict[str, Any]]:
    """All campaigns, with the interest that the environment estimates in each."""
    user, history, law = env.seats.users[i], as_struct(HISTORY_FIELDS, env.seats.history[i]), env.world.law[0]
    interests = env.seats.interest[i].tolist()
    found = []
    for name, campaign in zip(names, env.world.campaigns, strict=True):
        category = category_of(history, as_struct(CAMPAIGN_FIELDS, campaign))
        interest = interests[category] if category < N_CATEGORIES else 0.0
        is_about_a_place = campaign["kind"] != Kind.SCHEDULED and campaign["trigger"] == Trigger.LOCATION
        is_there = bool(is_about_a_place and is_placed(user, law, campaign))
        found.append({"campaign": name, "relevance": interest, "is_in_context": is_there})
    return found


def documents(seed: int) -> Iterator[Document]:
    """Of every kind in turn, for ever."""
    luck = random.Random(seed)
    while True:
        for kind in KINDS:
            yield random_document(kind, luck, N_SLOTS)


def ask(it: Served, env: NotifyVectorEnv, names: list[str], seats: list[int], hour: int) -> list[dict[str, Any]]:
    """Put the users' records into the service, and ask for all of them at once."""
    zones = [zone_name(zone.offset_hours) for zone in env.scenario.population.time_zones]
    keys = {i: it.service.identity.user_key(f"user {i}") for i in seats}

    def put(unit: Unit) -> None:
        for i, key in keys.items():
            history = as_struct(HISTORY_FIELDS, env.seats.history[i])
            user = env.seats.users[i]
            found = User(history, as_struct(PERSON_FIELDS, user), zones[user["zone"]], 0)
            unit.put_user(key, found.packed(), 0)

    it.store.transact([Wanted(key) for key in keys.values()], put, 0)
    it.clock.now_ms = hour * HOUR_MS
    requests = [{"user_id": f"user {i}", "candidates": wishes(env, names, i)} for i in seats]
    answers = it.ask("POST", "/v1/decide/batch", {"requests": requests}).json()["answers"]
    assert all("answer" in found for found in answers), answers
    return [found["answer"] for found in answers]


def logged(it: Served, i: int) -> Details:
    """What was written of the last decision for a user; and nothing of it is kept on."""
    import msgspec

    key = it.service.identity.user_key(f"user {i}")
    known = it.store.known_of(key)
    assert known is not None
    [row] = known.decisions
    it.store.erase(key)
    return msgspec.msgpack.decode(row.details, type=Details)


def compare(preset: str, n_states: int, seed: int) -> Counter[str]:
    """Live in the environment, ask the service at every fourth hour; return what was met."""
    world = lived_in_1970(preset)
    env = NotifyVectorEnv(N_USERS, world, n_slots=N_SLOTS, autoresets=False)  # so that all live the same hour
    names = [campaign.name for campaign in world.campaigns]
    luck, met, every = np.random.default_rng(seed), Counter[str](), documents(seed)
    first = next(every)
    with served(first, as_settings(world, env)) as it:
        observations, infos = env.reset(seed=seed)
        policy = Policy(first)
        step = 0
        while met["states"] < n_states:
            hours, n_there = np.unique(infos["hour"][~env.is_over], return_counts=True)
            hour = int(hours[n_there.argmax()])  # that most users live; some came later
            if step % 4 == 0:
                document = next(every)
                policy = Policy(document)
                it.add(document, "active")
                there = [i for i in range(N_USERS) if infos["hour"][i] == hour and may_be_asked(env, infos, i)]
                for i, answer in zip(there, ask(it, env, names, there, hour), strict=True):
                    compare_one(it, names, infos, observations[i], i, answer, policy)
                    met.update(("CAP" if code >= CAP else Suppression(code).name) for code in set(infos["reasons"][i]))
                    met["sends"] += answer["send"] is not None
                    met["slots"] += int((infos["candidates"][i] >= 0).sum())
                met["states"] += len(there)
                met[document.model.kind] += len(there)
            observations, _, _, _, infos = env.step(random_actions(luck, infos["action_mask"]))
            step += 1
            if env.is_over.mean() > 0.5:
                observations, infos = env.reset(seed=seed + 1_000 * step)
    return met


def may_be_asked(env: NotifyVectorEnv, infos: Any, i: int) -> bool:
    """Whether the service can be told of the user: nobody who has left, or whose interest no question may state."""
    is_there = not env.is_over[i] and infos["reasons"][i, 1] != Suppression.LEFT
    return bool(is_there and np.abs(env.seats.interest[i]).max() <= 3.0)


def compare_one(
    it: Served, names: list[str], infos: Any, observation: Any, i: int, answer: dict[str, Any], policy: Policy
) -> None:
    details = logged(it, i)
    assert observation.shape == (n_features(N_SLOTS),)
    shown = [names[k] for k in infos["candidates"][i] if k >= 0]
    assert answer["candidates"] == shown
    assert list(details.reasons) == infos["reasons"][i].tolist()
    seen = np.frombuffer(details.features, np.float32)
    assert seen.tobytes() == observation.astype(np.float32).tobytes(), np.flatnonzero(seen != observation)
    # What the log holds is all that it takes to decide the same again.
    uniform = (details.luck_key >> 11) / 2.0**53
    expected = policy.decide(observation, infos["action_mask"][i], uniform)
    assert answer["policy_hash"] == policy.policy_hash
    assert (answer["action"], answer["propensity"]) == (expected.action, expected.propensity)
    assert tuple(answer["probabilities"]) == expected.probabilities
    assert tuple(answer["reasons"]) == expected.reasons
    assert details.probabilities == np.array(expected.probabilities).tobytes()


def must_have_met_all(met: Counter[str]) -> None:
    assert not set(KINDS) - set(met)
    assert met["sends"] > met["states"] / 20
    assert met["slots"] > met["states"] / 2
    expected = {"ELIGIBLE", "NO_PERMISSION", "CHANNEL_CLOSED", "MINIMUM_GAP", "QUIET_HOURS", "CAP", "EMPTY_SLOT"}
    assert not expected - {name for name, n in met.items() if n >= 5}, met


def test_a_simulated_user_is_decided_for_as_in_the_environment() -> None:
    must_have_met_all(compare("ecommerce", 2_000, seed=1))


@pytest.mark.proof
@pytest.mark.parametrize("preset", ["ecommerce", "news", "games"])
def test_a_hundred_thousand_simulated_states_are_decided_as_in_the_environment(preset: str) -> None:
    must_have_met_all(compare(preset, 34_000, seed=2))
