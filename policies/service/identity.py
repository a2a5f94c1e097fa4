"""Who is who: keyed hashes of users, ids of decisions, shares of users.

Users' ids are never kept or logged. What is kept is BLAKE2b of the id under a secret key, so that who has the state and
not the key can neither tell who a row is about nor try out ids.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import threading
import time
from pathlib import Path

from policies.service.settings import Settings, SettingsError
from policies.service.state.store import StateMismatchError, Store

KEY_BYTES = 16  # the least of a secret, and the length of a user's hash
ID_BASE_MS = 1_577_836_800_000  # 2020-01-01, so that 42 bits of milliseconds last until 2159
ID_BITS = 21


class Identity:
    """Hashes under one key.

    Args:
        secret: at least 16 bytes.
    """

    def __init__(self, secret: bytes) -> None:
        if len(secret) < KEY_BYTES:
            raise SettingsError(f"user key: expected at least {KEY_BYTES} bytes, got {len(secret)}")
        self._key = hashlib.blake2b(secret, digest_size=64).digest()  # of BLAKE2b's longest key, from a longer secret

    def user_key(self, user_id: str) -> bytes:
        """Return the keyed hash of a user's id, 16 bytes."""
        return hashlib.blake2b(user_id.encode("utf-8", "surrogatepass"), key=self._key, digest_size=KEY_BYTES).digest()

    @property
    def fingerprint(self) -> str:
        """What tells this key from others and gives nothing away."""
        return hashlib.blake2b(b"fingerprint", key=self._key, digest_size=KEY_BYTES).hexdigest()

    def settle(self, store: Store) -> None:
        """Make sure that a state was written under this key; a new one is from now on.

        Raises:
            StateMismatchError: it was written under another: every user would be somebody new, without caps.
        """
        kept = store.change_note("user key", lambda there: there or self.fingerprint)
        if kept != self.fingerprint:
            raise StateMismatchError(
                f"user key: the {store.name} state was written under another key, so every user would start anew and "
                "caps would not hold: start with the key of this state"
            )


def read_identity(settings: Settings, is_kept: bool) -> Identity:
    """Return the identity by the key in the environment or in a file.

    Args:
        is_kept: whether the state outlives the process; where it does not, a random key will do.

    Raises:
        SettingsError: there is no key, and one is needed.
    """
    if settings.user_key_file is not None:
        try:
            return Identity(Path(settings.user_key_file).read_bytes().strip())
        except OSError as fault:
            raise SettingsError(f"user_key_file: {settings.user_key_file}: cannot be read: {fault}") from None
    given = os.environ.get(settings.user_key_env, "")
    if given:
        return Identity(given.encode())
    if is_kept:
        raise SettingsError(
            f"user key: users' ids are kept under a keyed hash, and there is no key: put at least {KEY_BYTES} random "
            f"characters into the environment's {settings.user_key_env}, or name a file by user_key_file"
        )
    return Identity(secrets.token_bytes(32))


def user_number(user_key: bytes) -> int:
    """Return what ledgers call a user: the first 64 bits of the keyed hash."""
    return int.from_bytes(user_key[:8], "little")


def share_of(user_key: bytes, salt: str) -> float:
    """Return a user's place in [0, 1) under a salt: the same at every decision, another under another salt."""
    digest = hashlib.blake2b(user_key, digest_size=8, salt=hashlib.blake2b(salt.encode(), digest_size=16).digest())
    return (int.from_bytes(digest.digest(), "little") >> 11) / 2.0**53


class DecisionIds:
    """Ids that grow with time: 42 bits of milliseconds, and 21 bits that this process counts from a random start.

    Two processes may give the same id within a millisecond, about once in two million; the store refuses the second,
    and it is decided again under another.
    """

    def __init__(self) -> None:
        self._next = secrets.randbits(ID_BITS)
        self._guard = threading.Lock()

    def new(self) -> int:
        """Return an id, below 2 ** 63."""
        with self._guard:
            self._next = (self._next + 1) % (1 << ID_BITS)
            low = self._next
        return (time.time_ns() // 1_000_000 - ID_BASE_MS) << ID_BITS | low


def shown_id(decision_id: int) -> str:
    """Return an id as the interface has it."""
    return f"{decision_id:016x}"
