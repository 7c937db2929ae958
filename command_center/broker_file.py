"""Mosquitto's password and topic files as text: the accounts that people write, and below a mark those of the sensors."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

MARK: Final = "# Sensors, written by `command-center sensors provision`: what stands below this line is replaced."
ALGORITHM: Final = "pbkdf2-sha512"
SALT_BYTES: Final = 12
_ROUNDS: Final = (
    101  # what mosquitto_passwd takes; the secrets are random and long, so that guessing is hopeless anyway
)


class Login(NamedTuple):
    """A sensor at the broker: its user name is its id. ``digest`` is what the password file holds."""

    sensor: str
    county: str
    digest: str


def digest(password: str, salt: bytes) -> str:
    """A password as Mosquitto 2 stores it: ``$7$rounds$salt$hash`` (PBKDF2 with SHA-512)."""
    found = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _ROUNDS)
    return f"$7${_ROUNDS}${base64.b64encode(salt).decode()}${base64.b64encode(found).decode()}"


def topics(county: str, source: str) -> tuple[list[str], list[str]]:
    """What a source may publish to and receive from: its own, in its own county, and no wildcard of its choosing."""
    own = f"cc/v1/{county}/{source}"
    return [f"{own}/reading", f"{own}/state", f"{own}/raw/#"], [f"{own}/ack", f"{own}/ack/#"]


def rights(username: str, write: Iterable[str], read: Iterable[str]) -> str:
    """The block of an account in the topic file."""
    lines = [f"user {username}", *(f"topic write {t}" for t in write), *(f"topic read {t}" for t in read)]
    return "\n".join(lines) + "\n"


def sensor_rights(logins: Iterable[Login]) -> str:
    """The part of the topic file that belongs to the sensors."""
    return "\n".join([MARK, *(rights(login.sensor, *topics(login.county, login.sensor)) for login in logins)])


def people_part(topic_file: str) -> str:
    """What stands above the mark, with an empty line at its end."""
    return topic_file.partition(MARK)[0].rstrip("\n") + "\n\n"


def sensor_part(topic_file: str) -> str:
    """What stands from the mark on."""
    _, mark, below = topic_file.partition(MARK)
    return mark + below if mark else f"{MARK}\n"


def users(part: str) -> list[str]:
    """The user names that have a block in a part of the topic file."""
    return [line.removeprefix("user ").strip() for line in part.splitlines() if line.startswith("user ")]


def logins_in(password_file: str) -> dict[str, str]:
    """Digest by user name."""
    lines = (line.strip().partition(":") for line in password_file.splitlines())
    return {name: stored for name, colon, stored in lines if colon}


def password_text(digests: Mapping[str, str]) -> str:
    """The password file."""
    return "".join(f"{name}:{stored}\n" for name, stored in digests.items())
