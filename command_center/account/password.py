"""Passwords, as argon2id hashes. The hash names its algorithm and parameters, so that another can replace it later."""

from __future__ import annotations

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

_hasher = PasswordHasher()
_ABSENT = _hasher.hash("no account has this password")


def digest(password: str) -> str:
    """The stored form of a password."""
    return _hasher.hash(password)


def matches(stored: str | None, password: str) -> bool:
    """Whether a password fits. Takes as long for an account that does not exist (``stored`` None)."""
    try:
        return _hasher.verify(stored or _ABSENT, password) and stored is not None
    except (VerificationError, InvalidHashError):
        return False
