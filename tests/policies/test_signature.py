"""Signatures vouch for a meaning, by one key; everything else is told for what it is."""

from __future__ import annotations

import base64
import json
import sys

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from policies.codec import DocumentError, content_hash, write
from policies.signature import PREFIX, SignatureError, new_keys, sign, verify
from tests.policies.documents import RULES, SCORECARD

TEXT = write(RULES)
PRIVATE, PUBLIC = new_keys()
SIGNED = sign(TEXT, PRIVATE)


def test_whoever_holds_the_key_vouches() -> None:
    assert verify(TEXT, SIGNED, PUBLIC) == content_hash(RULES)
    assert sign(TEXT, PRIVATE) == SIGNED  # Ed25519 draws no luck
    # What is signed is the hash, by the plain algorithm: another implementation can check it.
    told = json.loads(SIGNED)
    key = serialization.load_pem_public_key(PUBLIC.encode())
    assert isinstance(key, ed25519.Ed25519PublicKey)
    key.verify(base64.b64decode(told["signature"]), PREFIX + content_hash(RULES).encode())


def test_layout_may_change_and_meaning_may_not() -> None:
    assert verify(json.dumps(json.loads(TEXT)), SIGNED, PUBLIC) == content_hash(RULES)
    with pytest.raises(SignatureError, match=r"x\.json: the signature is of another document: it vouches for sha256:"):
        verify(write(SCORECARD), SIGNED, PUBLIC, "x.json")
    changed = TEXT.replace('"value": 3.0', '"value": 4.0')
    assert changed != TEXT
    with pytest.raises(DocumentError, match="policy_hash"):
        verify(changed, SIGNED, PUBLIC)


def test_another_key() -> None:
    _, other = new_keys()
    with pytest.raises(SignatureError, match=r"signed by the key [0-9a-f]{16}, expected that of [0-9a-f]{16}"):
        verify(TEXT, SIGNED, other)


def test_a_signature_that_was_made_up() -> None:
    told = json.loads(SIGNED)
    raw = bytearray(base64.b64decode(told["signature"]))
    raw[5] ^= 1
    forged = json.dumps(told | {"signature": base64.b64encode(raw).decode()})
    with pytest.raises(SignatureError, match=f"the signature is not by the key {told['key']} that it names"):
        verify(TEXT, forged, PUBLIC)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"algorithm": "rsa"}, "algorithm: "),
        ({"signature": "%%"}, "signature: expected base64"),
        ({"signature": "AAAA"}, "signature: expected 64 bytes in base64, got 3"),
        ({"by": "me"}, "by: unknown field"),
    ],
)
def test_what_is_no_signature(changes: dict[str, str], told: str) -> None:
    with pytest.raises(DocumentError, match=told):
        verify(TEXT, json.dumps(json.loads(SIGNED) | changes), PUBLIC)


def test_what_is_no_key() -> None:
    with pytest.raises(SignatureError, match="private key: expected an unencrypted Ed25519 key in PEM"):
        sign(TEXT, "nonsense")
    with pytest.raises(SignatureError, match=r"This one is private: keep it where it signs"):
        verify(TEXT, SIGNED, PRIVATE)
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    formats = serialization
    pem = other.private_bytes(formats.Encoding.PEM, formats.PrivateFormat.PKCS8, formats.NoEncryption())
    with pytest.raises(SignatureError, match="private key: expected one of Ed25519, got "):
        sign(TEXT, pem)
    public = other.public_key().public_bytes(formats.Encoding.PEM, formats.PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(SignatureError, match="public key: expected one of Ed25519, got "):
        verify(TEXT, SIGNED, public)


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives", None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "kairos-notify\[sign\]"'):
        new_keys()
