"""Keyed luck: every random number is a hash of (seed, user, stream, index). There is no generator and no order.

Two policies that meet the same user meet the same luck, whatever they did before; a shard, a thread or a resumed run
draws the same numbers. The mixing function is the finaliser of SplitMix64 in Stafford's variant 13
(Steele, Lea & Flood, OOPSLA 2014), applied once for the stream and once for the index.
"""

from __future__ import annotations

import math

import numpy as np

from simulator.compiled import compiled
from simulator.records import Floats, Ints, Keys

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
ODD = np.uint64(0xD1342543DE82EF95)
_M1 = np.uint64(0xBF58476D1CE4E5B9)
_M2 = np.uint64(0x94D049BB133111EB)
_S30 = np.uint64(30)
_S27 = np.uint64(27)
_S31 = np.uint64(31)
_S12 = np.uint64(12)

# Streams. A number is used once and never again for anything else: changing one changes every result.
(
    TRAIT_SESSIONS,
    TRAIT_CHURN,
    TRAIT_OPENNESS,
    TRAIT_SENSITIVITY,
    TRAIT_PUSH_ATTENTION,
    TRAIT_EMAIL_ATTENTION,
    TRAIT_PUSH_AFFINITY,
    TRAIT_EMAIL_AFFINITY,
    TRAIT_INTEREST,
    TRAIT_SEGMENT,
    TRAIT_CHRONOTYPE,
    TRAIT_ZONE,
    TRAIT_OS,
    TRAIT_DEVICES,
    TRAIT_TIER,
    TRAIT_CONSENT,
    TRAIT_PUSH_OPT_IN,
    TRAIT_EMAIL_OPT_IN,
    TRAIT_IS_MATURE,
    TRAIT_AGE,
    TRAIT_INSTALL,
    TRAIT_TOURIST,
    TRAIT_LAST_SESSION,
    TRAIT_SEEN_INTEREST,
    CLOCK_SESSION,
    CLOCK_CHURN,
    CLOCK_PUSH_OPT_OUT,
    CLOCK_EMAIL_OPT_OUT,
    CLOCK_DRIFT,
    CLOCK_CONTEXT,
    DRIFT_CATEGORY,
    DRIFT_INTEREST,
    STALE_TOKEN,
    UNINSTALL_SEEN,
    COMPLAINT,
    SEND_ACCEPTED,
    SEND_IS_OFFLINE,
    SEND_OFFLINE_HOURS,
    SEND_LATENCY,
    SEND_NOTICE,
    SEND_OPEN,
    SEND_CLICK,
    SEND_ORDER,
    SEND_PAYMENT_IS_FAST,
    SEND_PAYMENT_HOURS,
    SEND_BROWSE,
    SEND_CATEGORY,
    SEND_CART,
    SEND_OPT_IN,
    SEND_SURVEY,
    SEND_SETTLE,
    SENDER_PHASE,
    SENDER_GATE,
    SENDER_PICK,
    FREE_ORDER,
    FREE_PAYMENT_IS_FAST,
    FREE_PAYMENT_HOURS,
    FREE_BROWSE,
    FREE_CATEGORY,
    FREE_CART,
    FREE_OPT_IN,
    FREE_SURVEY,
    PAST_SESSION,
    TRAIT_MUTED,
    DECISION,
) = range(1, 66)

# The marks of an organic session are the marks of a driven one, drawn from streams of their own.
FREE_OFFSET = FREE_ORDER - SEND_ORDER


@compiled
def mix(bits: np.uint64) -> np.uint64:
    """Scramble 64 bits (SplitMix64's finaliser, variant 13)."""
    bits = (bits ^ (bits >> _S30)) * _M1
    bits = (bits ^ (bits >> _S27)) * _M2
    return bits ^ (bits >> _S31)


@compiled
def user_key(seed: int, user_id: int) -> np.uint64:
    """Return the key under which all of a user's luck is drawn."""
    return mix(mix(np.uint64(seed) + GOLDEN) + np.uint64(user_id) * ODD)


@compiled
def hashed(key: np.uint64, stream: int, index: np.uint64) -> np.uint64:
    """Return 64 hashed bits for (key, stream, index)."""
    return mix(mix(key + np.uint64(stream) * GOLDEN) + np.uint64(index) * ODD)


@compiled
def uniform(key: np.uint64, stream: int, index: np.uint64) -> float:
    """Return a number in (0, 1), both ends excluded, with 52 random bits.

    With 53, the half that keeps 0 out would round the largest number up to 1, whose normal score is infinite.
    """
    return uniform_in(stream_key(key, stream), index)


@compiled
def stream_key(key: np.uint64, stream: int) -> np.uint64:
    """Return the key of one stream, for many draws from it."""
    return mix(key + np.uint64(stream) * GOLDEN)


@compiled
def uniform_in(stream: np.uint64, index: np.uint64) -> float:
    """Return `uniform` of a stream whose key is at hand."""
    return (np.float64(mix(stream + np.uint64(index) * ODD) >> _S12) + 0.5) * 2.220446049250313e-16


@compiled
def decision_uniforms(keys: Keys, hours: Ints, uniforms: Floats) -> None:
    """Write the number that each user's decision at an hour is drawn with, shapes (n,).

    Index 0 of the stream spreads first decisions (`environments.seats`), so hour h has index 1 + h.
    """
    for i in range(keys.shape[0]):
        uniforms[i] = uniform(keys[i], DECISION, np.uint64(1 + hours[i]))


@compiled
def exponential(key: np.uint64, stream: int, index: np.uint64) -> float:
    """Return a draw from the exponential distribution of mean 1."""
    return -math.log(uniform(key, stream, index))


@compiled
def normal(key: np.uint64, stream: int, index: np.uint64) -> float:
    """Return a draw from the standard normal distribution, by inversion."""
    return normal_quantile(uniform(key, stream, index))


@compiled
def send_index(hour: int, campaign: int, channel: int) -> np.uint64:
    """Return the index of everything that belongs to one send: its epoch, campaign and channel."""
    return (np.uint64(hour) * np.uint64(64) + np.uint64(campaign)) * np.uint64(4) + np.uint64(channel)


@compiled
def normal_quantile(probability: float) -> float:
    """Return the standard normal quantile; relative error about 1e-16.

    Source: Wichura (1988), Algorithm AS 241, PPND16.
    """
    q = probability - 0.5
    if abs(q) <= 0.425:
        r = 0.180625 - q * q
        num = 2.5090809287301226727e3
        num = num * r + 3.3430575583588128105e4
        num = num * r + 6.7265770927008700853e4
        num = num * r + 4.5921953931549871457e4
        num = num * r + 1.3731693765509461125e4
        num = num * r + 1.9715909503065514427e3
        num = num * r + 1.3314166789178437745e2
        num = num * r + 3.3871328727963666080e0
        den = 5.2264952788528545610e3
        den = den * r + 2.8729085735721942674e4
        den = den * r + 3.9307895800092710610e4
        den = den * r + 2.1213794301586595867e4
        den = den * r + 5.3941960214247511077e3
        den = den * r + 6.8718700749205790830e2
        den = den * r + 4.2313330701600911252e1
        return q * num / (den * r + 1.0)
    r = math.sqrt(-math.log(min(probability, 1.0 - probability)))
    if r <= 5.0:
        r -= 1.6
        num = 7.74545014278341407640e-4
        num = num * r + 2.27238449892691845833e-2
        num = num * r + 2.41780725177450611770e-1
        num = num * r + 1.27045825245236838258e0
        num = num * r + 3.64784832476320460504e0
        num = num * r + 5.76949722146069140550e0
        num = num * r + 4.63033784615654529590e0
        num = num * r + 1.42343711074968357734e0
        den = 1.05075007164441684324e-9
        den = den * r + 5.47593808499534494600e-4
        den = den * r + 1.51986665636164571966e-2
        den = den * r + 1.48103976427480074590e-1
        den = den * r + 6.89767334985100004550e-1
        den = den * r + 1.67638483018380384940e0
        den = den * r + 2.05319162663775882187e0
    else:
        r -= 5.0
        num = 2.01033439929228813265e-7
        num = num * r + 2.71155556874348757815e-5
        num = num * r + 1.24266094738807843860e-3
        num = num * r + 2.65321895265761230930e-2
        num = num * r + 2.96560571828504891230e-1
        num = num * r + 1.78482653991729133580e0
        num = num * r + 5.46378491116411436990e0
        num = num * r + 6.65790464350110377720e0
        den = 2.04426310338993978564e-15
        den = den * r + 1.42151175831644588870e-7
        den = den * r + 1.84631831751005468180e-5
        den = den * r + 7.86869131145613259100e-4
        den = den * r + 1.48753612908506148525e-2
        den = den * r + 1.36929880922735805310e-1
        den = den * r + 5.99832206555887937690e-1
    x = num / (den * r + 1.0)
    return -x if q < 0.0 else x
