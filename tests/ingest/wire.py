"""Messages as a sensor of a two-sensor city puts them on the wire."""

from __future__ import annotations

import json
from typing import Any

from ingest.message import Message
from ingest.sensor import Catalogue, Quantity, Sensor

NOW = 1_795_400_000.0
COUNTY = "321302"
TOPIC = f"cc/v1/{COUNTY}/gauge-1/reading"


def sensor(n: int = 1, identity: str = "gauge-1", **more: Any) -> Sensor:
    """A water gauge that also hears noise."""
    fields: dict[str, Any] = {
        "n": n,
        "id": identity,
        "name": identity,
        "county": COUNTY,
        "region": "321302001001",
        "cell": "321302001001001",
        "scope": "321300/321302/321302001/321302001001/321302001001001/",
        "domain": "emergency",
        "quantities": ("water_depth", "noise"),
        "lng": 118.0,
        "lat": 34.0,
        "interval_s": 60.0,
    }
    return Sensor(**fields | more)


def catalogue() -> Catalogue:
    """Two gauges; the catalogue also knows a quantity that neither measures."""
    return Catalogue.of(
        [sensor(), sensor(2, "gauge-2")],
        [
            Quantity(1, "water_depth", "m", "积水深度", "Water depth", -0.05, 5),
            Quantity(12, "noise", "dB", "噪声", "Noise", 20, 140),
            Quantity(19, "link_speed", "km/h", "车速", "Link speed"),
            Quantity(24, "online", "1", "在线", "Online", 0, 1),
        ],
    )


def message(body: Any, topic: str = TOPIC, **more: Any) -> Message:
    """``body`` as JSON, or bytes as they are, received at NOW."""
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Message(topic, payload, **{"received_at": NOW} | more)


def depth(value: float = 0.1, **more: Any) -> dict[str, Any]:
    """One observation of water depth."""
    return {"values": {"water_depth": value}} | more
