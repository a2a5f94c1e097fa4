"""Who may ask: API keys with roles, compared in constant time, each with a bucket of requests."""

from __future__ import annotations

import hashlib
import hmac
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from policies.service.settings import ApiKey, Limits

NOBODY = "nobody"
ROLES = ("decide", "outcomes", "admin", "metrics")


@dataclass
class Caller:
    """Who asks.

    Attributes:
        name: of the key.
        roles: what it may do.
        digest: SHA-256 of the key.
        tokens: requests that the key may make at once, now.
    """

    name: str
    roles: frozenset[str]
    digest: bytes
    tokens: float
    filled_at: float = field(default_factory=time.monotonic)

    def take(self, limits: Limits, now: float) -> float:
        """Take a request from the bucket; return 0, or the seconds until there is one."""
        grown = self.tokens + (now - self.filled_at) * limits.requests_per_second
        self.tokens, self.filled_at = min(grown, float(limits.burst)), now
        if self.tokens < 1.0:
            return (1.0 - self.tokens) / limits.requests_per_second
        self.tokens -= 1.0
        return 0.0


class Keyring:
    """All keys. Without any, everybody may do everything: that is for loopback alone, and the server sees to it.

    Args:
        keys: of the settings; the texts of some stand in the environment.
        limits: of requests.
        equal: compares two digests, in a time that tells nothing of where they differ.
    """

    def __init__(
        self, keys: Sequence[ApiKey], limits: Limits, equal: Callable[[bytes, bytes], bool] = hmac.compare_digest
    ) -> None:
        self._limits, self._equal = limits, equal
        self._callers = tuple(Caller(key.name, frozenset(key.roles), _digest(key), float(limits.burst)) for key in keys)
        self._nobody = Caller(NOBODY, frozenset(), b"", float(limits.burst))
        self._anybody = Caller(NOBODY, frozenset(ROLES), b"", float(limits.burst))

    @property
    def nobody(self) -> Caller:
        """Who asks where no key is needed."""
        return self._nobody

    @property
    def is_open(self) -> bool:
        """Whether there are no keys."""
        return not self._callers

    def who(self, authorization: bytes) -> Caller | None:
        """Return who an Authorization header speaks of; None: nobody that is known.

        Every key is compared, also after one fitted, so that the time says nothing of which.
        """
        if not self._callers:
            return self._anybody
        scheme, _, text = authorization.partition(b" ")
        if scheme.lower() != b"bearer":
            return None
        digest = hashlib.sha256(text.strip()).digest()
        found = None
        for caller in self._callers:
            if self._equal(digest, caller.digest):
                found = caller
        return found

    def wait_for(self, caller: Caller) -> float:
        """Take one request of a caller; return 0, or the seconds until it may ask again."""
        return caller.take(self._limits, time.monotonic())


def _digest(key: ApiKey) -> bytes:
    if key.sha256 is not None:
        return bytes.fromhex(key.sha256)
    assert key.env is not None  # the settings see to it
    return hashlib.sha256(os.environ[key.env].strip().encode()).digest()
