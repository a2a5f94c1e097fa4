"""Keyed luck: uniform, independent, and the same whatever else is drawn. Every bound has a false-alarm rate of 1e-6."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import special, stats

from simulator import luck
from tests.simulator.bare import FALSE_ALARM, Floats, Z, fits

STREAMS = range(luck.TRAIT_SESSIONS, luck.FREE_SURVEY + 1)
DRAWS = 6_000
CELLS = 64


def key_of(seed: int, user: int) -> np.uint64:
    """Return a user's key; outside compiled code Numba hands it over as a Python integer."""
    return np.uint64(luck.user_key(seed, user))


KEY = key_of(1, 0)


def by_index(key: np.uint64, stream: int, n: int = DRAWS, first: int = 0) -> Floats:
    """Return a user's draws of one stream over consecutive indices."""
    return np.array([luck.uniform(key, stream, np.uint64(first + i)) for i in range(n)])


def by_user(stream: int, n: int = DRAWS, seed: int = 1) -> Floats:
    """Return one draw of consecutive users."""
    return np.array([luck.uniform(key_of(seed, u), stream, np.uint64(0)) for u in range(n)])


def is_uniform(draws: Floats) -> None:
    fits(np.bincount((draws * CELLS).astype(int), minlength=CELLS), np.full(CELLS, len(draws) / CELLS))


def are_independent(rows: Floats, n_pairs: int) -> None:
    """Assert that no two rows are correlated, over all pairs: the bound is shared out among them (Bonferroni)."""
    scores = special.ndtri(rows)
    found = np.corrcoef(scores)[np.triu_indices(len(rows), 1)]
    bound = float(stats.norm.isf(FALSE_ALARM / 2 / n_pairs)) / math.sqrt(rows.shape[1])
    assert np.abs(found).max() < bound
    # And jointly: the squares add up as they should.
    total = float((found**2).sum()) * rows.shape[1]
    assert total < stats.chi2.isf(FALSE_ALARM, n_pairs)


@pytest.mark.parametrize("user", [0, 1, 4_294_967_295])
def test_every_stream_is_uniform_over_consecutive_indices_and_apart_from_the_others(user):
    """A correlation of .06 between two streams, or a cell with a third too many draws, would be caught."""
    key = key_of(7, user)
    rows = np.array([by_index(key, stream) for stream in STREAMS])
    is_uniform(rows.ravel())
    for row in rows[::9]:
        is_uniform(row)
    are_independent(rows, len(rows) * (len(rows) - 1) // 2)


def test_every_stream_is_uniform_over_consecutive_users_and_apart_from_the_others():
    rows = np.array([by_user(stream, 3_000) for stream in STREAMS])
    is_uniform(rows.ravel())
    are_independent(rows, len(rows) * (len(rows) - 1) // 2)


@pytest.mark.parametrize("seed", [0, 1, 2**62])
def test_consecutive_users_indices_and_seeds_have_nothing_in_common(seed):
    """Serial correlation at lags 1 to 8, and pairs in a grid of 16 by 16 cells."""
    users = by_user(luck.TRAIT_SESSIONS, 20_000, seed)
    indices = by_index(key_of(seed, 5), luck.CLOCK_SESSION, 20_000)
    sends = np.array(
        [
            luck.uniform(KEY, luck.SEND_OPEN, luck.send_index(hour, campaign, channel))
            for hour, campaign, channel in itertools.product(range(80), range(64), range(4))
        ]
    )
    for draws in (users, indices, sends):
        is_uniform(draws)
        for lag in range(1, 9):
            r = float(np.corrcoef(draws[:-lag], draws[lag:])[0, 1])
            assert abs(r) < Z / math.sqrt(len(draws) - lag), lag
        pairs = (draws[0::2] * 16).astype(int)[: len(draws) // 2] * 16 + (draws[1::2] * 16).astype(int)
        fits(np.bincount(pairs, minlength=256), np.full(256, len(pairs) / 256))
    other = by_user(luck.TRAIT_SESSIONS, 20_000, seed + 1)
    assert abs(np.corrcoef(users, other)[0, 1]) < Z / math.sqrt(20_000)


def test_every_bit_of_the_hash_is_fair_and_flips_on_its_own():
    """One more user, stream or index turns over half of the 64 bits: a bias of 4 % in any bit would be caught."""
    n = 15_000
    bits = np.array([int(luck.hashed(KEY, luck.SEND_OPEN, np.uint64(i))) for i in range(n)], np.uint64)
    others = np.array([int(luck.hashed(KEY, luck.SEND_CLICK, np.uint64(i))) for i in range(n)], np.uint64)
    bound = float(stats.norm.isf(FALSE_ALARM / 2 / 192)) * 0.5 / math.sqrt(n - 1)
    for word in (bits[1:], bits[1:] ^ bits[:-1], bits ^ others):
        for place in range(64):
            share = float(((word >> np.uint64(place)) & np.uint64(1)).mean())
            assert abs(share - 0.5) < bound, place


def test_no_two_streams_and_no_two_sends_share_a_number():
    """Streams are distinct; sends, users and indices do not collide in 64 bits (a collision has odds below 1e-8)."""
    names = [n for n in dir(luck) if n.split("_")[0] in ("TRAIT", "CLOCK", "DRIFT", "SEND", "SENDER", "FREE")]
    numbers = [getattr(luck, n) for n in names if n != "FREE_OFFSET"]
    assert len(set(numbers)) == len(numbers)
    for name in names:
        if name.startswith("FREE_") and name != "FREE_OFFSET":
            assert getattr(luck, name) - luck.FREE_OFFSET == getattr(luck, name.replace("FREE", "SEND"))
    sends = {int(luck.send_index(h, c, k)) for h in range(300) for c in range(64) for k in range(4)}
    assert len(sends) == 300 * 64 * 4
    hashes = {int(luck.hashed(key_of(1, u), s, np.uint64(i))) for u in range(40) for s in STREAMS for i in range(40)}
    assert len(hashes) == 40 * len(STREAMS) * 40


def test_dropping_a_draw_changes_no_other():
    """There is no generator to advance: any subset, in any order, is what it was."""
    wanted = list(itertools.product(range(6), STREAMS, range(6)))
    draws = {k: luck.uniform(key_of(3, k[0]), k[1], np.uint64(k[2])) for k in wanted}
    order = np.random.default_rng(1).permutation(len(wanted))[: len(wanted) // 3]
    for place in order:
        user, stream, index = wanted[place]
        assert luck.uniform(key_of(3, user), stream, np.uint64(index)) == draws[wanted[place]]


def unmixed(bits: int) -> int:
    """Undo `luck.mix`: multiplication by an odd number and xor with a shift are both invertible."""
    for shift, factor in ((31, 0x94D049BB133111EB), (27, 0xBF58476D1CE4E5B9), (30, 1)):
        left = bits
        for _ in range(64 // shift):
            left = bits ^ (left >> shift)
        bits = left * pow(factor, -1, 2**64) % 2**64
    return bits


def index_of(word: int, stream: int) -> np.uint64:
    """Return the index at which the hash is a given word."""
    start = int(luck.mix(np.uint64((int(KEY) + stream * int(luck.GOLDEN)) % 2**64)))
    return np.uint64((unmixed(word) - start) * pow(int(luck.ODD), -1, 2**64) % 2**64)


@pytest.mark.parametrize("word", [0, 1, 2**63, 2**64 - 1])
def test_a_uniform_number_is_never_0_or_1_even_where_the_hash_is_all_zeros_or_ones(word):
    index = index_of(word, luck.SEND_ORDER)
    assert int(luck.hashed(KEY, luck.SEND_ORDER, index)) == word
    draw = luck.uniform(KEY, luck.SEND_ORDER, index)
    assert 0 < draw < 1
    assert draw == pytest.approx(word / 2**64, abs=2.0**-52)
    assert 0 < luck.exponential(KEY, luck.SEND_ORDER, index) < 37
    assert abs(luck.normal(KEY, luck.SEND_ORDER, index)) < 8.5


def test_exponential_and_normal_draws_are_inverses_of_the_same_uniform_number():
    draws = by_index(KEY, luck.SEND_ORDER, 500)
    for i, draw in enumerate(draws):
        assert luck.exponential(KEY, luck.SEND_ORDER, np.uint64(i)) == -math.log(draw)
        assert luck.normal(KEY, luck.SEND_ORDER, np.uint64(i)) == luck.normal_quantile(draw)


def test_the_normal_quantile_is_the_inverse_of_the_normal_distribution():
    """Against SciPy, from 1e-300 to 1 - 1e-16: relative error below 1e-14."""
    near_0 = np.concatenate([10.0 ** -np.arange(1, 300, 7), np.linspace(1e-6, 0.5, 4_001)])
    near_1 = 1 - np.concatenate([10.0 ** -np.arange(1, 16.0), np.linspace(1e-6, 0.499, 1_000)])
    for probability in np.concatenate([near_0, near_1, [0.075, 0.925, 0.075 - 1e-12, 0.925 + 1e-12]]):
        assert luck.normal_quantile(probability) == pytest.approx(special.ndtri(probability), rel=1e-14, abs=1e-15)
