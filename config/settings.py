"""Settings, all of them from the environment, checked before anything starts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from zoneinfo import available_timezones


class BadSetting(ValueError):
    """A setting is missing or cannot be used; the message names it and says what is wanted."""


@dataclass(frozen=True, slots=True)
class Keeping:
    """How long and how much is kept: days of readings, of hourly figures and of quarantine, and of quarantine also rows and
    bytes for each county.
    """

    readings_days: int = 90
    hours_days: int = 1826
    quarantine_days: int = 30
    quarantine_rows: int = 20_000
    quarantine_bytes: int = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Settings:
    """What one process is told.

    ``database_url`` names the role the process runs as: cc_owner migrates, cc_worker ingests and seeds, cc_web serves.
    ``buffer_messages`` and ``buffer_mb`` (MiB of payload) bound what waits in the worker; beyond them its senders wait.
    ``hj212`` is where the worker listens for stations, host and port, None for nowhere.
    ``stream_hosts`` are the only hosts that a look at a camera may connect to (host, host:port or CIDR).
    """

    database_url: str
    mqtt_url: str | None
    http_host: str
    http_port: int
    city: str
    var: Path
    secure_cookie: bool
    time_zone: str
    worker_name: str
    stream_hosts: tuple[str, ...]
    batch_messages: int
    linger_ms: float
    buffer_messages: int
    buffer_mb: int
    hj212: tuple[str, int] | None
    keeping: Keeping

    def require_mqtt(self) -> str:
        if self.mqtt_url is None:
            raise BadSetting("CC_MQTT_URL is not set: give the broker as mqtt://user:password@host:port")
        return self.mqtt_url


def from_environment(environment: Mapping[str, str]) -> Settings:
    """Read and check every setting; an empty one counts as not set.

    Raises BadSetting, one clear line, on the first that is wrong.
    """
    return Settings(
        database_url=_url(environment, "CC_DATABASE_URL", ("postgresql",)) or _missing_database(),
        mqtt_url=_url(environment, "CC_MQTT_URL", ("mqtt", "mqtts")),
        http_host=environment.get("CC_HTTP_HOST") or "127.0.0.1",
        http_port=_whole(environment, "CC_HTTP_PORT", 8321, 0, 65_535),
        city=_city(environment.get("CC_CITY") or "suqian"),
        var=Path(environment.get("CC_VAR") or "var"),
        secure_cookie=_truth(environment, "CC_SECURE_COOKIE", default=False),
        time_zone=_time_zone(environment.get("CC_TIME_ZONE") or "Asia/Shanghai"),
        worker_name=_name(environment.get("CC_WORKER_NAME") or "worker"),
        stream_hosts=tuple(filter(None, environment.get("CC_STREAM_HOSTS", "").replace(" ", "").split(","))),
        batch_messages=_whole(environment, "CC_BATCH_MESSAGES", 2000, 1, 100_000),
        linger_ms=_number(environment, "CC_LINGER_MS", 5, 0, 1000),
        buffer_messages=_whole(environment, "CC_BUFFER_MESSAGES", 50_000, 1, 10_000_000),
        buffer_mb=_whole(environment, "CC_BUFFER_MB", 64, 1, 100_000),
        hj212=_place(environment, "CC_HJ212"),
        keeping=_keeping(environment),
    )


def _keeping(environment: Mapping[str, str]) -> Keeping:
    """Forecasts and what is usual for a sensor look back 28 days: fewer would take their ground away."""
    usual = Keeping()
    readings = _whole(environment, "CC_KEEP_READINGS_DAYS", usual.readings_days, 30, 36_500)
    quarantine = _whole(environment, "CC_KEEP_QUARANTINE_DAYS", usual.quarantine_days, 1, 36_500)
    hours = _whole(environment, "CC_KEEP_HOURS_DAYS", max(usual.hours_days, readings), 30, 36_500)
    if quarantine >= readings:
        raise BadSetting(
            f"CC_KEEP_QUARANTINE_DAYS ({quarantine}) must be below CC_KEEP_READINGS_DAYS ({readings}): what is replayed"
            " belongs to the day it was received on"
        )
    if hours < readings:
        raise BadSetting(f"CC_KEEP_HOURS_DAYS ({hours}) must not be below CC_KEEP_READINGS_DAYS ({readings})")
    rows = _whole(environment, "CC_QUARANTINE_ROWS", usual.quarantine_rows, 100, 10_000_000)
    megabytes = _whole(environment, "CC_QUARANTINE_MB", usual.quarantine_bytes // 2**20, 1, 100_000)
    return Keeping(readings, hours, quarantine, rows, megabytes * 2**20)


def _missing_database() -> str:
    raise BadSetting("CC_DATABASE_URL is not set: give the database as postgresql://role:password@host:port/name")


def _url(environment: Mapping[str, str], name: str, schemes: tuple[str, ...]) -> str | None:
    text = environment.get(name)
    if not text:
        return None
    try:
        parts = urlsplit(text)
        host = parts.hostname
        _ = parts.port
    except ValueError as problem:
        raise BadSetting(f"{name} is not an address ({problem})") from None
    if parts.scheme not in schemes or not host:
        raise BadSetting(f"{name} must look like {schemes[0]}://user:password@host:port")
    for file in parse_qs(parts.query).get("ca", ()):
        if not Path(file).is_file():
            raise BadSetting(f"{name}: there is no file {file} with certificates to trust")
    return text


def _place(environment: Mapping[str, str], name: str) -> tuple[str, int] | None:
    text = environment.get(name)
    if not text:
        return None
    host, colon, port = text.rpartition(":")
    if not (colon and host and port.isascii() and port.isdigit() and 0 < int(port) <= 65_535):
        raise BadSetting(f"{name} must be host:port of an own address, such as 0.0.0.0:2120, it is {text!r}")
    return host.strip("[]"), int(port)


def _number(environment: Mapping[str, str], name: str, default: float, low: float, high: float) -> float:
    text = environment.get(name)
    if not text:
        return default
    try:
        number = float(text)
    except ValueError:
        raise BadSetting(f"{name} must be a number from {low:g} to {high:g}, it is {text!r}") from None
    if not low <= number <= high:
        raise BadSetting(f"{name} must be from {low:g} to {high:g}, it is {text}")
    return number


def _whole(environment: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    number = _number(environment, name, default, low, high)
    if number != int(number):
        raise BadSetting(f"{name} must be a whole number, it is {number:g}")
    return int(number)


def _truth(environment: Mapping[str, str], name: str, *, default: bool) -> bool:
    text = environment.get(name, "").lower()
    if text in {"", "0", "1", "false", "true", "no", "yes"}:
        return default if text == "" else text in {"1", "true", "yes"}
    raise BadSetting(f"{name} must be yes or no, it is {text!r}")


def _name(name: str) -> str:
    """The worker's name at the broker: what it left unacknowledged is kept under it, so it must not change."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,40}", name):
        raise BadSetting(f"CC_WORKER_NAME must be 1 to 40 letters, digits, - or _, it is {name!r}")
    return name


def _time_zone(name: str) -> str:
    if name not in available_timezones():
        raise BadSetting(f"CC_TIME_ZONE must be a zone such as Asia/Shanghai, it is {name!r}")
    return name


def _city(name: str) -> str:
    if not re.fullmatch(r"[a-z0-9_-]{1,40}", name):
        raise BadSetting(f"CC_CITY must be the name of a folder under config/, it is {name!r}")
    return name
