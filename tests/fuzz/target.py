"""What is thrown at every decoder: bytes as a payload, by the one door that all messages come in by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isfinite
from pathlib import Path

from ingest.decode import LARGEST_PAYLOAD, Memory
from ingest.formats import hj212
from ingest.message import Message, sent_again
from tests.ingest.formats.wire import decoded, message, raw, sparkplug
from tests.ingest.wire import TOPIC

CORPUS = Path(__file__).parent / "corpus"
_BIRTH = sparkplug({"name": "Depth", "alias": 1, "datatype": 10, "double_value": 100}, seq=0)


def _by_topic(topic: str) -> Callable[[bytes], list[Message]]:
    return lambda payload: [message(topic, payload)]


def _sparkplug(payload: bytes) -> list[Message]:
    born = message("spBv1.0/plant/NBIRTH/gauge-1", _BIRTH)
    kinds = ("NDATA/gauge-1", "DBIRTH/gauge-1/gauge-2", "NBIRTH/gauge-1", "NDEATH/gauge-1")
    return [born, *(message(f"spBv1.0/plant/{kind}", payload) for kind in kinds)]


TARGETS: Mapping[str, Callable[[bytes], list[Message]]] = {
    "native": _by_topic(TOPIC),
    "senml": lambda payload: [raw("senml", payload)],
    "sparkplug": _sparkplug,
    "chirpstack": _by_topic("application/1/device/2/event/up"),
    "things_stack": _by_topic("v3/foo-app/devices/foo-device/up"),
    "zigbee2mqtt": lambda payload: [message(f"zigbee2mqtt/{name}", payload) for name in ("temp", "temp/availability")],
    "tasmota": lambda payload: [raw("tasmota", payload, "room-1"), raw("tasmota/LWT", payload, "room-1")],
    "sensor_things": lambda payload: [message("v1.1/Datastreams(5)/Observations", payload), raw("sensor_things", payload)],
    # As it came, and with the frame that makes its checksum right.
    "hj212": lambda payload: [
        *(message("hj212/DUST-7", frame) for frame in hj212.frames(payload)[0][:20]),
        message("hj212/DUST-7", b"##%04d%s%04X\r\n" % (len(payload[:9999]), payload[:9999], hj212.checksum(payload[:9999]))),
    ],
}  # fmt: skip


def strike(name: str, payload: bytes) -> None:
    """Whatever the bytes are: readings are numbers, the rest has a reason, nothing grows beyond what was sent, and what comes
    again is not stored again.
    """
    memory = Memory()
    messages = TARGETS[name](payload)
    found = decoded(*messages, memory=memory)
    assert all(isfinite(value) for value in found.batch.value.tolist())
    assert all(rejection.reason and rejection.detail for rejection in found.rejections)
    assert len(found.batch) <= len(messages) * (1 + min(len(payload), LARGEST_PAYLOAD))
    memory.remember(found.keys, 0.0)
    memory.edges.update(found.edges)
    assert len(decoded(*map(sent_again, messages), memory=memory).batch) == 0


def corpus(name: str) -> list[bytes]:
    """The stored beginnings of a format, in the order of their names."""
    return [file.read_bytes() for file in sorted(CORPUS.glob(f"{name}-*"))]
