"""Signatures: whoever holds a key vouches for a policy document, and production checks it before it decides by it.

    private, public = new_keys()
    text = sign(document_text, private)              # kept beside the document
    verify(document_text, text, public)              # raises SignatureError

What is signed is the content hash, by Ed25519 (RFC 8032) as the library `cryptography` has it: layout may change,
meaning may not. The library is asked for when a key is used, and not before.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Any

from policies.codec import content_hash, read
from policies.strict_json import DocumentError, Faults, Node, parse

ALGORITHM = "ed25519"
PREFIX = b"kairos policy signature 1\n"  # so that a signature of something else is never one of a policy
BYTES = 64


class SignatureError(ValueError):
    """A signature that does not vouch for the document, or a key that is none; the message says which."""


def new_keys() -> tuple[str, str]:
    """Return a private and a public key, both PEM."""
    library = _library()
    private = library.ed25519.Ed25519PrivateKey.generate()
    encoding, formats = library.serialization.Encoding, library.serialization
    secret = private.private_bytes(encoding.PEM, formats.PrivateFormat.PKCS8, formats.NoEncryption())
    public = private.public_key().public_bytes(encoding.PEM, formats.PublicFormat.SubjectPublicKeyInfo)
    return secret.decode("ascii"), public.decode("ascii")


def sign(document: str | bytes, private_key: str | bytes, source: str = "policy document") -> str:
    """Return a signature as JSON.

    Args:
        document: the document's text.
        private_key: PEM.
        source: what messages call the document.

    Raises:
        DocumentError: the document is not sound.
        SignatureError: the key is none.
    """
    private = _private(private_key)
    policy_hash = content_hash(read(document, source))
    raw = private.sign(PREFIX + policy_hash.encode("ascii"))
    signature = base64.b64encode(raw).decode("ascii")
    key = fingerprint_of(private.public_key())
    return (
        f'{{"algorithm": "{ALGORITHM}", "policy_hash": "{policy_hash}", "key": "{key}", "signature": "{signature}"}}\n'
    )


def verify(
    document: str | bytes, signature: str | bytes, public_key: str | bytes, source: str = "policy document"
) -> str:
    """Return the content hash of a document that its signature vouches for.

    Args:
        document: the document's text.
        signature: as `sign` gave it.
        public_key: PEM, of whom one trusts.
        source: what messages call the document.

    Raises:
        DocumentError: the document, or what should be a signature, is not sound.
        SignatureError: it is another document's, or another key's, or was not made by the key that it names.
    """
    public = _public(public_key)
    policy_hash = content_hash(read(document, source))
    signed_hash, key, raw = _read_signature(signature)
    if signed_hash != policy_hash:
        raise SignatureError(
            f"{source}: the signature is of another document: it vouches for {signed_hash}, this one is {policy_hash}"
        )
    if key != (ours := fingerprint_of(public)):
        raise SignatureError(f"{source}: signed by the key {key}, expected that of {ours}")
    from cryptography.exceptions import InvalidSignature

    try:
        public.verify(raw, PREFIX + policy_hash.encode("ascii"))
    except InvalidSignature:
        raise SignatureError(f"{source}: the signature is not by the key {key} that it names") from None
    return policy_hash


def fingerprint_of(public: Any) -> str:
    """Return what people compare keys by: the first 16 hexadecimal digits of the SHA-256 of the raw key."""
    formats = _library().serialization
    raw = public.public_bytes(formats.Encoding.Raw, formats.PublicFormat.Raw)
    return hashlib.sha256(raw).hexdigest()[:16]


def _read_signature(text: str | bytes) -> tuple[str, str, bytes]:
    """Return the hash, the key's fingerprint and the signature's bytes."""
    faults = Faults("signature")
    tree = parse(text, faults)
    faults.raise_if_any()
    fields = Node(tree, faults).fields(("algorithm", "policy_hash", "key", "signature"))
    fields["algorithm"].name((ALGORITHM,))
    policy_hash, key, written = (fields[name].text() for name in ("policy_hash", "key", "signature"))
    raw = b""
    try:
        raw = base64.b64decode(written, validate=True)
    except (binascii.Error, ValueError):
        fields["signature"].note("expected base64")
    if raw and len(raw) != BYTES:
        fields["signature"].note(f"expected {BYTES} bytes in base64, got {len(raw)}")
    faults.raise_if_any()
    return policy_hash, key, raw


class _Library:
    """The parts of `cryptography` that are used."""

    def __init__(self) -> None:
        try:
            from cryptography.hazmat.primitives import serialization
            from cryptography.hazmat.primitives.asymmetric import ed25519
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                'Signatures need cryptography, which is not installed: pip install "kairos-notify[sign]"',
                name=error.name,
            ) from error
        self.serialization, self.ed25519 = serialization, ed25519


def _library() -> _Library:
    return _Library()


def _private(pem: str | bytes) -> Any:
    library = _library()
    try:
        key = library.serialization.load_pem_private_key(_bytes(pem), password=None)
    except (ValueError, TypeError) as error:
        raise SignatureError(f"private key: expected an unencrypted Ed25519 key in PEM: {error}") from None
    if not isinstance(key, library.ed25519.Ed25519PrivateKey):
        raise SignatureError(f"private key: expected one of Ed25519, got {type(key).__name__}")
    return key


def _public(pem: str | bytes) -> Any:
    library = _library()
    try:
        key = library.serialization.load_pem_public_key(_bytes(pem))
    except ValueError as error:
        is_private = b"PRIVATE KEY" in _bytes(pem)
        hint = " This one is private: keep it where it signs, and hand out the other." if is_private else ""
        raise SignatureError(f"public key: expected an Ed25519 key in PEM: {error}{hint}") from None
    if not isinstance(key, library.ed25519.Ed25519PublicKey):
        raise SignatureError(f"public key: expected one of Ed25519, got {type(key).__name__}")
    return key


def _bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text


__all__ = ["DocumentError", "SignatureError", "fingerprint_of", "new_keys", "sign", "verify"]
