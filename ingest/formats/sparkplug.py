"""Sparkplug B: edge nodes that announce their metrics in a birth and then send values, often by number only.

Topic ``[spBv1.0/]{group}/{verb}/{edge}[/{device}]``, payload protobuf. What a number stands for is known from the birth alone,
so this format remembers: an ``Edge`` for each edge node. ``seq`` counts its messages from 0 (the birth) to 255 and round.

- A gap means that something was lost, and it may have been a birth. From then on numbers say nothing that can be relied on:
  metrics with a name are taken, those by number are refused (``no_birth``), and the edge is asked for a rebirth.
- A message that the broker sends again and that is not the next one was seen before: it moves nothing. One older than the
  birth that is remembered spoke of the birth before, so it is left out.
- A death of the birth before this one (other ``bdSeq``) comes late and says nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Final

import msgspec

from ingest.formats.native import Unreadable, instant_us
from ingest.quarantine import BAD_TOPIC, MALFORMED, NO_BIRTH, NOT_A_NUMBER, OVERSIZED, WRONG_TYPE, Refusal
from ingest.sample import ONLINE, Sample, Telegram

ASKED_AGAIN_AFTER_S: Final = 30.0
"""An edge that has been asked for a rebirth is given this long to come back to it."""

_OF_HOSTS: Final = {"NCMD", "DCMD", "STATE"}
# By the number of levels that follow.
_VERBS: Final = {1: {"NBIRTH", "NDATA", "NDEATH", "NCMD", "STATE"}, 2: {"DBIRTH", "DDATA", "DDEATH", "DCMD"}}
_MOST_METRICS: Final = 10_000
_SIGNED_BITS: Final = {1: 8, 2: 16, 3: 32, 4: 64}
_BOOLEAN: Final = 11
_REBIRTH: Final = "Node Control/Rebirth"


class Metric(msgspec.Struct, frozen=True, array_like=True):
    """What a birth said of a metric."""

    name: str
    datatype: int
    unit: str | None = None


class Births(msgspec.Struct, frozen=True, array_like=True):
    """What the births in force announced. ``by_alias`` and ``by_name`` are by device, the edge's own metrics under ``""``."""

    at_ms: int
    number: int | None
    by_alias: dict[str, dict[int, Metric]]
    by_name: dict[str, dict[str, Metric]]


@dataclass(frozen=True, slots=True)
class Edge:
    """What is remembered of an edge node. ``seq`` is that of its newest message; None: a birth is wanted first."""

    births: Births
    seq: int | None
    asked_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Address:
    """Who speaks and what kind of message it is.

    ``group`` has with it what stands before it in the topic; ``device`` is empty for the edge node itself.
    """

    group: str
    verb: str
    edge: str
    device: str


@dataclass(frozen=True, slots=True)
class Heard:
    """What a message said, the edge after it, and whether a rebirth has to be asked for. ``repeated``: seen before."""

    telegram: Telegram
    edge: Edge
    wants_rebirth: bool = False
    repeated: bool = False


UNBORN: Final = Edge(Births(0, None, {}, {}), None)


def address(topic: str) -> Address | None:
    """Who speaks; None for what hosts say: commands and their own state. Raises Unreadable."""
    levels = topic.split("/")
    for verb, after in ((-2, 1), (-3, 2)):
        if len(levels) > after and levels[verb] in _VERBS[after]:
            kind, names = levels[verb], levels[len(levels) + verb + 1 :]
            if kind in _OF_HOSTS:
                return None
            group = "/".join(levels[:verb])
            if levels[verb - 1 : verb] != [""] and group and all(names):
                return Address(group, kind, names[0], names[1] if after == 2 else "")
    raise Unreadable(BAD_TOPIC, f"{topic[:200]!r} is not GROUP/VERB/EDGE or GROUP/VERB/EDGE/DEVICE")


def rebirth_request(at_ms: int) -> bytes:
    """The payload for ``{group}/NCMD/{edge}``."""
    payload = payload_class()(timestamp=at_ms)
    payload.metrics.add(name=_REBIRTH, timestamp=at_ms, datatype=_BOOLEAN, boolean_value=True)
    return bytes(payload.SerializeToString())


def hear(told: Address, payload: bytes, edge: Edge, received_at: float, *, again: bool) -> Heard:
    """One message of an edge node. ``again``: the broker may have sent it before. Raises Unreadable."""
    said = _parse(payload)
    if told.verb == "NDEATH":
        return _edge_dies(told, said, edge)
    at_ms = said.timestamp if said.HasField("timestamp") else round(received_at * 1000)
    if told.verb == "NBIRTH":
        born = Edge(_announced(Births(at_ms, _birth_number(said), {}, {}), "", said.metrics), said.seq % 256)
        return Heard(_values(told, said, born), born)
    if again and at_ms < edge.births.at_ms:
        return Heard(Telegram(), edge, repeated=True)
    in_turn = edge.seq is not None and said.HasField("seq") and said.seq == (edge.seq + 1) % 256
    seen_before = again and edge.seq is not None and not in_turn
    if in_turn:
        edge = replace(edge, seq=said.seq)
    elif not seen_before:
        edge = replace(edge, seq=None)
    if told.verb == "DBIRTH" and not seen_before:
        edge = replace(edge, births=_announced(edge.births, told.device, said.metrics))
    telegram = Telegram((_gone(told.device),)) if told.verb == "DDEATH" else _values(told, said, edge)
    if edge.seq is None and received_at - edge.asked_at >= ASKED_AGAIN_AFTER_S:
        return Heard(telegram, replace(edge, asked_at=received_at), wants_rebirth=True)
    return Heard(telegram, edge)


def _edge_dies(told: Address, said: Any, edge: Edge) -> Heard:
    number = _birth_number(said)
    if None not in (number, edge.births.number) and number != edge.births.number:
        return Heard(Telegram(), edge)
    devices = [told.edge, *(device for device in edge.births.by_name if device)]
    return Heard(Telegram(tuple(_gone(device) for device in devices)), replace(edge, seq=None))


def _gone(device: str) -> Sample:
    # Without its time: a will was written long before it is read.
    return Sample(device, ONLINE, 0.0)


def _announced(births: Births, device: str, metrics: Any) -> Births:
    aliases: dict[int, Metric] = {}
    names: dict[str, Metric] = {}
    for sent in metrics:
        if sent.name:
            metric = Metric(sent.name, sent.datatype, _unit(sent))
            names[sent.name] = metric
            if sent.HasField("alias"):
                aliases[sent.alias] = metric
    known = sum(len(names) for owner, names in births.by_name.items() if owner != device)
    if known + len(names) > _MOST_METRICS:
        raise Unreadable(OVERSIZED, f"the edge announces more than {_MOST_METRICS} metrics")
    return msgspec.structs.replace(
        births, by_alias=births.by_alias | {device: aliases}, by_name=births.by_name | {device: names}
    )


def _values(told: Address, said: Any, edge: Edge) -> Telegram:
    samples: list[Sample] = []
    refusals: list[Refusal] = []
    unknown: list[int] = []
    for sent in said.metrics:
        metric = _metric(sent, told.device, edge)
        if metric is None:
            unknown.append(sent.alias)
            continue
        try:
            value = _value(sent, metric.datatype)
            if value is not None:
                at_us = instant_us(sent.timestamp if sent.HasField("timestamp") else said.timestamp or None)
                owner = told.device or told.edge
                samples.append(Sample(owner, metric.name, value, at_us, metric.unit, historical=sent.is_historical))
        except Unreadable as problem:
            refusals.append(Refusal(problem.reason, problem.detail))
    if unknown:
        some = ", ".join(map(str, unknown[:10]))
        refusals.append(
            Refusal(NO_BIRTH, f"what the numbers {some} stand for is not known: no birth, or something was lost")
        )
    return Telegram(tuple(samples), tuple(refusals))


def _metric(sent: Any, device: str, edge: Edge) -> Metric | None:
    if sent.name:
        known = edge.births.by_name.get(device, {}).get(sent.name)
        return Metric(
            sent.name, sent.datatype or (known.datatype if known else 0), _unit(sent) or (known.unit if known else None)
        )
    aliases: Mapping[int, Metric] = edge.births.by_alias.get(device, {}) if edge.seq is not None else {}
    return aliases.get(sent.alias) if sent.HasField("alias") else None


def _value(sent: Any, datatype: int) -> float | str | None:
    """The value as a number or a text, None for null and for tables, templates and bytes."""
    kind = sent.WhichOneof("value")
    if kind is None or sent.is_null:
        return None
    value = getattr(sent, kind)
    if kind in {"int_value", "long_value"} and (bits := _SIGNED_BITS.get(datatype)):
        # Negative ones come as the unsigned number of the same bits.
        value &= (1 << bits) - 1
        value -= (value >> (bits - 1)) << bits
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int):
        return float(value)
    if kind == "float_value":
        value = float(f"{value:.7g}")  # what was meant by 21.3, not 21.299999237060547
    if value != value or abs(value) == float("inf"):
        raise Unreadable(NOT_A_NUMBER, f"{sent.name[:64]!r} is {value}, no number")
    return float(value)


def _birth_number(said: Any) -> int | None:
    return next((m.long_value or m.int_value for m in said.metrics if m.name == "bdSeq"), None)


def _unit(sent: Any) -> str | None:
    named = dict(zip(sent.properties.keys, (value.string_value for value in sent.properties.values), strict=False))
    return named.get("engUnit") or None


def _parse(payload: bytes) -> Any:
    from google.protobuf.message import DecodeError

    said = payload_class()()
    try:
        said.ParseFromString(payload)
    except (DecodeError, UnicodeDecodeError, struct.error) as problem:
        raise Unreadable(MALFORMED, f"the payload is no Sparkplug B: {str(problem)[:100]}") from None
    if len(said.metrics) > _MOST_METRICS:
        raise Unreadable(OVERSIZED, f"{len(said.metrics)} metrics, at most {_MOST_METRICS}")
    # Texts that are no UTF-8 come as bytes.
    if any(isinstance(written, bytes) for sent in said.metrics for written in _texts(sent)):
        raise Unreadable(MALFORMED, "a text in the payload is no UTF-8")
    if said.HasField("timestamp"):
        instant_us(said.timestamp)
    if said.seq > 255:
        raise Unreadable(WRONG_TYPE, f"seq is {said.seq}: it counts from 0 to 255")
    return said


def _texts(sent: Any) -> Iterator[str | bytes]:
    yield sent.name
    yield sent.string_value
    yield from sent.properties.keys
    for value in sent.properties.values:
        yield value.string_value


# Message -> field -> (number, type). Tables, templates and extensions are left out: the reader steps over them.
_FIELDS: Final = {
    "PropertyValue": {"string_value": (8, "string")},
    "PropertySet": {"keys": (1, "string*"), "values": (2, "PropertyValue*")},
    "Metric": {
        "name": (1, "string"),
        "alias": (2, "uint64"),
        "timestamp": (3, "uint64"),
        "datatype": (4, "uint32"),
        "is_historical": (5, "bool"),
        "is_null": (7, "bool"),
        "properties": (9, "PropertySet"),
        "int_value": (10, "uint32|"),
        "long_value": (11, "uint64|"),
        "float_value": (12, "float|"),
        "double_value": (13, "double|"),
        "boolean_value": (14, "bool|"),
        "string_value": (15, "string|"),
    },
    "Payload": {"timestamp": (1, "uint64"), "metrics": (2, "Metric*"), "seq": (3, "uint64")},
}


@cache
def payload_class() -> Any:
    """The class of a payload, described here. Made when first wanted: processes that read no messages need no protobuf."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name="sparkplug_b.proto", package="sparkplug", syntax="proto2")
    for message, fields in _FIELDS.items():
        described = file.message_type.add(name=message)
        for name, (number, written) in fields.items():
            kind = written.rstrip("*|")
            label = "LABEL_REPEATED" if written.endswith("*") else "LABEL_OPTIONAL"
            field = described.field.add(
                name=name, number=number, label=getattr(descriptor_pb2.FieldDescriptorProto, label)
            )
            if kind in _FIELDS:
                field.type, field.type_name = descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE, f".sparkplug.{kind}"
            else:
                field.type = getattr(descriptor_pb2.FieldDescriptorProto, f"TYPE_{kind.upper()}")
            if written.endswith("|"):
                field.oneof_index = 0
        if any(written.endswith("|") for _, written in fields.values()):
            described.oneof_decl.add(name="value")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("sparkplug.Payload"))
