"""The only door to Ed25519 signatures (RFC 8032)."""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)


def new_key() -> bytes:
    """A fresh private key, as PKCS #8 in PEM."""
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def public_key(private: bytes) -> bytes:
    """The public key of a private one, as SubjectPublicKeyInfo in PEM.

    Raises:
        ValueError: it is no private key of Ed25519 in PEM, or is locked by a passphrase.
    """
    return (
        _private(private).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )


def sign(private: bytes, message: bytes) -> bytes:
    """The signature of a message, 64 bytes (ValueError as for `public_key`)."""
    return _private(private).sign(message)


def is_signed(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether this is the signature of the message by the key that belongs to the public one.

    Raises:
        ValueError: it is no public key of Ed25519 in PEM.
    """
    try:
        key: object = load_pem_public_key(public)
    except UnsupportedAlgorithm:
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError("no public key of Ed25519")  # noqa: TRY004 - a file of the user's
    try:
        key.verify(signature, message)
    except InvalidSignature:
        return False
    return True


def _private(pem: bytes) -> Ed25519PrivateKey:
    try:
        key: object = load_pem_private_key(pem, None)
    except TypeError:
        raise ValueError("the key is locked by a passphrase") from None
    except UnsupportedAlgorithm:
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError("no private key of Ed25519")  # noqa: TRY004 - likewise
    return key
