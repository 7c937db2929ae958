"""What gateways of other makers put on the wire, and the small city that hears it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from ingest.decode import Decoded, Memory, decode
from ingest.formats.sparkplug import payload_class
from ingest.message import Message
from ingest.route import Routes, read
from ingest.sensor import Catalogue, Quantity
from tests.ingest.wire import COUNTY, NOW, sensor

SHANGHAI = ZoneInfo("Asia/Shanghai")
SAMPLES = Path(__file__).parents[4] / "shared" / "data" / "mqtt"

ROUTES = """
pack: test
version: 1
formats:
  tasmota:
    ignored: ["Switch*"]
    fields:
      "*.Temperature": {quantity: temperature}
      "*.Pressure": {quantity: pressure, unit: hPa}
  hj212:
    fields:
      2011/a34002-Rtd: {quantity: pm10, unit: mg/m3}
routes:
  - topic: zigbee2mqtt/#
    format: zigbee2mqtt
    county: "321302"
    sensors: {temp: room-1, pir: room-2}
    fields: {temperature: {quantity: temperature, unit: degC}, occupancy: {quantity: occupied}}
    ignored: [humidity]
  - topic: tele/+/SENSOR
    format: tasmota
    county: "321302"
  - topic: application/#
    format: chirpstack
    county: "321302"
    sensors: {"0102030405060788": gauge-1}
    fields: {distance_cm: {quantity: water_depth, unit: cm}}
  - topic: v3/+/devices/+/up
    format: things_stack
    county: "321302"
    sensors: {foo-device: gauge-1}
    fields: {test_key: {quantity: noise, unit: dB(A)}}
  - topic: spBv1.0/#
    format: sparkplug
    county: "321302"
    fields: {Depth: {quantity: water_depth, unit: mm}, Noise: {quantity: noise}, Motor: {quantity: noise, sensor: gauge-2}}
    ignored: ["Node Control/*", bdSeq]
  - topic: v1.1/#
    format: sensor_things
    county: "321302"
    fields: {"5": {sensor: gauge-1, quantity: water_depth, unit: ft}}
"""


def routes(text: str = ROUTES) -> Routes:
    return read(text, SHANGHAI)


def catalogue() -> Catalogue:
    """Two gauges, two rooms, a dust station and a gas detector."""
    return Catalogue.of(
        [
            sensor(),
            sensor(2, "gauge-2"),
            sensor(3, "room-1", quantities=("temperature", "pressure")),
            sensor(4, "room-2", quantities=("occupied",)),
            sensor(5, "DUST-7", quantities=("pm10",)),
            sensor(6, "gas-1", quantities=("gas_concentration",)),
            sensor(7, "far-1", county="321322"),
        ],
        [
            Quantity(1, "water_depth", "m", "积水深度", "Water depth", -0.05, 5),
            Quantity(7, "gas_concentration", "%LEL", "可燃气体浓度", "Combustible gas", 0, 100),
            Quantity(8, "pm10", "ug/m3", "PM10", "PM10", 0, 2000),
            Quantity(12, "noise", "dB", "噪声", "Noise", 20, 140),
            Quantity(24, "online", "1", "在线", "Online", 0, 1),
            Quantity(90, "temperature", "degC", "温度", "Temperature", -40, 85),
            Quantity(91, "pressure", "kPa", "气压", "Pressure", 80, 110),
            Quantity(92, "occupied", "1", "有人", "Occupied", 0, 1),
        ],
    )


CITY = catalogue()
ALL_ROUTES = routes()


def message(topic: str, body: Any, **more: Any) -> Message:
    """``body`` as JSON, or bytes as they are, received at NOW."""
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Message(topic, payload, **{"received_at": NOW} | more)


def raw(name: str, body: Any, source: str = "gateway-9", county: str = COUNTY, **more: Any) -> Message:
    """A message on the topic that always works."""
    return message(f"cc/v1/{county}/{source}/raw/{name}", body, **more)


def decoded(*messages: Message, memory: Memory | None = None) -> Decoded:
    return decode(messages, CITY, memory or Memory(), None, ALL_ROUTES)


def rows(found: Decoded) -> list[tuple[str, str, float]]:
    """(sensor, quantity, value to nine digits), in order."""
    batch = found.batch
    return [
        (CITY.by_n[s].id, CITY.quantity_by_n[q].name, float(f"{v:.9g}"))
        for s, q, v in zip(batch.sensor.tolist(), batch.quantity.tolist(), batch.value.tolist(), strict=True)
    ]


def reasons(found: Decoded) -> list[str]:
    return [rejection.reason for rejection in found.rejections]


def recorded(name: str) -> bytes:
    """A recorded sample; the test is left out where the samples do not lie beside the checkout."""
    file = SAMPLES / name
    if not file.is_file():
        pytest.skip(f"the recorded sample {name} is not at hand: it may not be kept in the repository")
    return file.read_bytes()


def sparkplug(*metrics: dict[str, Any], seq: int | None = None, at_ms: int = int(NOW * 1000)) -> bytes:
    """A Sparkplug payload; a metric is a mapping of its fields, ``unit`` its property engUnit."""
    payload = payload_class()(timestamp=at_ms)
    if seq is not None:
        payload.seq = seq
    for given in metrics:
        unit = given.get("unit")
        metric = payload.metrics.add(**{name: value for name, value in given.items() if name != "unit"})
        if unit:
            metric.properties.keys.append("engUnit")
            metric.properties.values.add(string_value=unit)
    return bytes(payload.SerializeToString())
