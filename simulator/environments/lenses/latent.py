"""The latent state, as entries of an observation: what no sender can know, and the law decides by.

Luck is left out: thresholds of clocks and draws to come are not a state of the user, and an observer who saw them would
be a clairvoyant, not an upper bound.
"""

from __future__ import annotations

import math

from policies.vocabulary import Feature
from simulator.behaviour.attention import IN_TRANSIT, WAITING
from simulator.behaviour.fatigue import refresh
from simulator.behaviour.interest import category_of, is_in_context, relevance
from simulator.behaviour.response import open_logit
from simulator.compiled import compiled, compiled_parallel, each
from simulator.records import (
    EMAIL,
    HOURS_A_WEEK,
    N_BINS,
    N_CATEGORIES,
    N_MAIL,
    PUSH,
    Floats,
    Ints,
    Kind,
    Record,
    Records,
    Status,
    Trigger,
    World,
)

PRESENT = int(Status.PRESENT)
SCHEDULED = int(Kind.SCHEDULED)
LOCATION = int(Trigger.LOCATION)
MOST_LOGIT = 20.0

# In the order in which `write_latent` writes them.
LATENT_FEATURES = (
    Feature("is_present", "", 0.0, 1.0, "plain", "the user has not left for good"),
    Feature("push_opt_in", "", 0.0, 1.0, "plain", "push is permitted, whether or not the sender can know"),
    Feature("email_opt_in", "", 0.0, 1.0, "plain", "e-mail is permitted"),
    Feature("sessions_per_day", "1/day", 0.0, 5.0, "log1p", "the user's own session rate"),
    Feature("churn_prob_1d", "", -18.0, 4.0, "logit", "of leaving within a day by the user's own base rate"),
    Feature("push_attention", "1/hour", 0.0, 5.0, "log1p", "notices at full attention"),
    Feature("email_attention", "1/hour", 0.0, 5.0, "log1p", "notices at full attention"),
    Feature("open_bias", "logit", -8.0, 8.0, "plain", "the user's own inclination to open"),
    Feature("push_affinity", "logit", -4.0, 4.0, "plain", "the same, for push alone"),
    Feature("email_affinity", "logit", -4.0, 4.0, "plain", "the same, for e-mail alone"),
    Feature("sensitivity", "", 0.0, 4.0, "log1p", "multiplies irritation"),
    Feature("chronotype_hours", "hours", -3.0, 3.0, "plain", "by how much the user's day is late"),
    Feature("organic", "", 0.0, 24.0, "plain", "relative session rate of this local hour"),
    Feature("attention", "", 0.0, 4.0, "plain", "relative attention of this local hour"),
    Feature("competition", "", 0.0, 10.0, "plain", "other senders' volume on this local day, above the usual"),
    Feature("habit", "", 0.0, 4.0, "log1p", "relative session rate that past sessions added"),
    Feature("satiation", "", 0.0, 1.0, "plain", "share of the urge to come that the last session used up"),
    Feature("salience", "", 0.0, 1.0, "plain", "how present the app is in the user's mind"),
    Feature("honeymoon", "", 0.0, 4.0, "log1p", "relative session rate that novelty of the app adds"),
    Feature("dissatisfaction", "", 0.0, 4.0, "log1p", "slow harm of irritation"),
    Feature("irritation_push", "", 0.0, 6.0, "log1p", "drives opting out of push, and leaving"),
    Feature("irritation_email", "", 0.0, 6.0, "log1p", "drives opting out of e-mail, and leaving"),
    Feature("irritation_in_app", "", 0.0, 6.0, "log1p", "drives leaving"),
    Feature("fatigue", "pushes", 0.0, 6.0, "log1p", "tiredness of messages, decayed to now"),
    Feature("need_used", "", 0.0, 1.0, "plain", "share of the need to buy that the last order used up, decayed to now"),
    Feature("intent", "", 0.0, 1.0, "plain", "interest in what was browsed or bought, decayed to now"),
    Feature("is_in_context", "", 0.0, 1.0, "plain", "where location campaigns are about"),
    Feature("waiting_push", "messages", 0.0, 4.0, "plain", "on the device, not noticed"),
    Feature("waiting_email", "messages", 0.0, 4.0, "plain", "in the mailbox, not noticed"),
    Feature("in_transit", "messages", 0.0, 4.0, "plain", "sent, not on the device yet"),
    *(
        Feature(f"habituation{bucket}", "exposures", 0.0, 5.0, "log1p", "to a content bucket, decayed to now")
        for bucket in range(N_CATEGORIES)
    ),
    *(
        Feature(f"relevance{category}", "sd", -2.5, 2.5, "plain", "true interest in a category")
        for category in range(N_CATEGORIES)
    ),
)
LATENT_SLOT_FEATURES = (
    Feature("relevance", "sd", -2.5, 2.5, "plain", "true interest in the candidate"),
    Feature("intent", "", 0.0, 1.0, "plain", "intent, if it is about the candidate's category"),
    Feature("push_logit", "logit", -MOST_LOGIT, MOST_LOGIT, "plain", "of opening it at once if it came by push now"),
    Feature("email_logit", "logit", -MOST_LOGIT, MOST_LOGIT, "plain", "of opening it at once if it came by e-mail now"),
)


def latent_features(segments: tuple[str, ...], n_slots: int) -> tuple[Feature, ...]:
    """Return the features of the entries in order: the user's, one for each segment, then the slots'; named `latent.`.

    Shape (46 + segments + 4 C,).
    """
    of_segments = (Feature(f"segment.{name}", "", 0.0, 1.0, "plain", "the user's segment") for name in segments)
    of_slots = (
        Feature(f"slot{slot}.{f.name}", f.unit, f.low, f.high, f.encoding, f.meaning)
        for slot in range(n_slots)
        for f in LATENT_SLOT_FEATURES
    )
    return tuple(
        Feature(f"latent.{f.name}", f.unit, f.low, f.high, f.encoding, f.meaning)
        for f in (*LATENT_FEATURES, *of_segments, *of_slots)
    )


@compiled
def log_odds_of_rate(rate: float) -> float:
    """Return ln(p / (1 - p)) of p = 1 - exp(-rate), which is ln(exp(rate) - 1); at least -745 for a rate of 0."""
    return math.log(max(math.expm1(min(rate, 700.0)), 5e-324))


@compiled
def logged(level: float) -> float:
    """Return ln(1 + level), in float64 although levels are float32."""
    return math.log1p(1.0 * level)


@compiled
def write_latent(out: Floats, user: Record, world: World, slots: Ints, n_segments: int) -> None:
    """Write the entries of one user, encoded, not clipped; the record is brought up to now, so hand over a copy.

    Args:
        out: shape (46 + segments + 4 C,).
        slots: the campaign in each slot, -1: none; shape (C,).
    """
    law = world.law[0]
    refresh(user, law)
    in_context = is_in_context(user, law)
    hour = int(user.now_hours)
    local = world.local_hours[user.zone, hour]
    competition = law.days[local // 24, 1]
    out[0] = user.status == PRESENT
    out[1] = user.opted_in >> PUSH & 1
    out[2] = user.opted_in >> EMAIL & 1
    out[3] = logged(24.0 * user.session_rate)
    out[4] = log_odds_of_rate(24.0 * user.churn_rate)
    out[5] = logged(user.push_attention)
    out[6] = logged(user.email_attention)
    out[7] = user.open_bias
    out[8] = user.affinity[PUSH]
    out[9] = user.affinity[EMAIL]
    out[10] = logged(user.sensitivity)
    out[11] = 0.5 * (user.table_row % N_BINS - N_BINS // 2)
    out[12] = law.organic[user.table_row, local % HOURS_A_WEEK]
    out[13] = law.attention[user.table_row, local % HOURS_A_WEEK]
    out[14] = competition
    out[15] = logged(user.habit)
    out[16] = user.satiation
    out[17] = user.salience
    out[18] = logged(user.honeymoon)
    out[19] = logged(user.dissatisfaction)
    out[20] = logged(user.irritation_push)
    out[21] = logged(user.irritation_email)
    out[22] = logged(user.irritation_in_app)
    out[23] = logged(user.fatigue)
    out[24] = user.need_used
    out[25] = user.intent
    out[26] = in_context
    out[27] = out[28] = out[29] = 0.0
    for k in range(N_MAIL):
        if user.mail_state[k] == WAITING:
            out[28 if user.mail_channel[k] == EMAIL else 27] += 1.0
        elif user.mail_state[k] == IN_TRANSIT:
            out[29] += 1.0
    for k in range(N_CATEGORIES):
        out[30 + k] = logged(user.habituation[k])
        out[30 + N_CATEGORIES + k] = relevance(user, k)
    start = 30 + 2 * N_CATEGORIES
    for k in range(n_segments):
        out[start + k] = user.segment == k
    start += n_segments
    for slot in range(slots.shape[0]):
        for k in range(4):
            out[start + k] = 0.0
        if slots[slot] >= 0:
            campaign = world.campaigns[slots[slot]]
            category = category_of(user, campaign)
            r = relevance(user, category)
            is_intended = category == user.intent_category
            in_place = in_context and campaign.trigger == LOCATION and campaign.kind != SCHEDULED
            out[start] = r
            if is_intended:
                out[start + 1] = user.intent
            for channel in range(2):
                out[start + 2 + channel] = open_logit(
                    user, law, campaign, channel, r, is_intended, in_place, hour, competition
                )
        start += 4


@compiled
def reveal_one(out: Floats, user: Record, copy: Records, world: World, slots: Ints, n_segments: int) -> None:
    """Write the latent entries of one user, who stays as it is; `copy` is room for one record, USER[1]."""
    copy[0] = user
    write_latent(out, copy[0], world, slots, n_segments)


@compiled_parallel
def reveal(
    users: Records,
    slots: Ints,
    world: World,
    n_segments: int,
    low: Floats,
    high: Floats,
    copies: Records,
    out: Floats,
    bounds: Ints,
) -> None:
    """Write the latent entries of all users, clipped to their ranges; the users stay as they are, to the last bit.

    Args:
        slots: shape (U, C).
        low, high: ranges, shape (L,).
        copies: USER, room for one copy a worker.
        out: shape (U, L), float32.
        bounds: where each worker's users begin and end, shape (workers + 1,).
    """
    for w in each(bounds.shape[0] - 1):
        for i in range(bounds[w], bounds[w + 1]):
            reveal_one(out[i], users[i], copies[w : w + 1], world, slots[i], n_segments)
            for k in range(out.shape[1]):
                out[i, k] = min(max(out[i, k], low[k]), high[k])
