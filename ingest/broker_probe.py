"""A look at the broker from outside, as a client that leaves nothing behind."""

from __future__ import annotations

import queue
import socket
import ssl
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from ingest.mqtt import authority, endpoint, make_client

_SESSION_S = 60


class BrokerAway(Exception):
    """The broker does not answer, or does not let us in; the message says which."""


@dataclass(frozen=True, slots=True)
class Probe:
    """``answer_s``: a message there and back. ``version`` as told under $SYS, None when nothing is."""

    answer_s: float
    session_kept: bool
    version: str | None
    retain: bool
    largest_packet: int | None
    certificate_days: float | None


class _Visit:
    """One connection; what comes lands in queues."""

    def __init__(self, url: str, name: str, clean: bool, patience_s: float) -> None:
        self.patience_s = patience_s
        self.messages: queue.SimpleQueue[tuple[str, bytes]] = queue.SimpleQueue()
        self._connected: queue.SimpleQueue[tuple[Any, Any, Any]] = queue.SimpleQueue()
        self._granted: queue.SimpleQueue[None] = queue.SimpleQueue()
        self.client = make_client(url, name)
        self.client.on_connect = lambda _c, _d, flags, reason, properties: self._connected.put(
            (flags, reason, properties)
        )
        self.client.on_subscribe = lambda *_: self._granted.put(None)
        self.client.on_message = lambda _c, _d, message: self.messages.put((message.topic, bytes(message.payload)))
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = 0 if clean else _SESSION_S
        try:
            self.client.connect(*endpoint(url), clean_start=clean, properties=properties)
        except OSError as problem:
            raise BrokerAway(str(problem)) from None
        self.client.loop_start()

    def welcome(self) -> tuple[Any, Any]:
        """(flags, properties) of the broker's answer."""
        try:
            flags, reason, properties = self._connected.get(timeout=self.patience_s)
        except queue.Empty:
            raise BrokerAway(f"no answer within {self.patience_s:g} s") from None
        if reason.is_failure:
            raise BrokerAway(f"it refused us: {reason}")
        return flags, properties

    def listen(self, topic: str) -> None:
        self.client.subscribe(topic, qos=1)
        self._wait(self._granted)

    def hear(self, topic: str, patience_s: float) -> bytes | None:
        """What comes on a topic; None when nothing does."""
        deadline = time.monotonic() + patience_s
        while (left_s := deadline - time.monotonic()) > 0:
            try:
                found, payload = self.messages.get(timeout=left_s)
            except queue.Empty:
                return None
            if found == topic:
                return payload
        return None

    def _wait(self, signs: queue.SimpleQueue[None]) -> None:
        try:
            signs.get(timeout=self.patience_s)
        except queue.Empty:
            raise BrokerAway(f"a subscription was not answered within {self.patience_s:g} s") from None

    def leave(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def probe(url: str, now: float, patience_s: float = 10.0) -> Probe:
    """Log in, send a message to ourselves, leave and come again. ``now``: epoch seconds. Raises BrokerAway."""
    days = _certificate_days(url, now, patience_s)
    name, topic = f"cc-doctor-{uuid4().hex[:12]}", f"cc/v1/doctor/{uuid4().hex[:12]}/probe"
    first = _Visit(url, name, False, patience_s)
    try:
        _, told = first.welcome()
        first.listen(topic)
        began = time.monotonic()
        first.client.publish(topic, b"?", qos=1)
        if first.hear(topic, patience_s) is None:
            raise BrokerAway(
                "a message to ourselves did not come back: the account may not publish or receive below cc/v1"
            )
        answer_s = time.monotonic() - began
        first.listen("$SYS/broker/version")
        version = first.hear("$SYS/broker/version", 2.0)
    finally:
        first.leave()
    second = _Visit(url, name, False, patience_s)
    try:
        flags, _ = second.welcome()
    finally:
        second.leave()
    last = _Visit(url, name, True, patience_s)  # takes the session away again
    try:
        last.welcome()
    finally:
        last.leave()
    return Probe(
        answer_s,
        bool(flags.session_present),
        None if version is None else version.decode("utf-8", "replace")[:80],
        getattr(told, "RetainAvailable", 1) == 1,
        getattr(told, "MaximumPacketSize", None),
        days,
    )


def _certificate_days(url: str, now: float, patience_s: float) -> float | None:
    if urlsplit(url).scheme != "mqtts":
        return None
    host, port = endpoint(url)
    try:
        context = ssl.create_default_context(cafile=authority(url))
        with (
            socket.create_connection((host, port), timeout=patience_s) as line,
            context.wrap_socket(line, server_hostname=host) as covered,
        ):
            certificate = covered.getpeercert()
    except OSError as problem:
        raise BrokerAway(str(problem)) from None
    ends = (certificate or {}).get("notAfter")
    return None if not isinstance(ends, str) else (ssl.cert_time_to_seconds(ends) - now) / 86_400
