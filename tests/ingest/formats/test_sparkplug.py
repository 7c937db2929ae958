"""What is known of an edge node from its births, its numbers and its deaths."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ingest import quarantine as why
from ingest.decode import Decoded, Memory
from ingest.formats.sparkplug import ASKED_AGAIN_AFTER_S
from ingest.message import Message, sent_again
from ingest.reading import LATE
from tests.ingest.formats.wire import decoded, message, reasons, rows, sparkplug
from tests.ingest.wire import NOW

DOUBLE, INT16, BOOLEAN = 10, 2, 11
NOW_MS = int(NOW * 1000)


def said(
    verb: str, *metrics: dict[str, Any], seq: int | None = None, device: str = "", at: float = NOW, **more: Any
) -> Message:
    name = "/".join(filter(None, ("spBv1.0/plant", verb, "edge-1", device)))
    return message(name, sparkplug(*metrics, seq=seq, at_ms=round(at * 1000)), **{"received_at": at} | more)


def birth(number: int = 0, at: float = NOW) -> list[Message]:
    """An edge node with one device whose depth has the number 1 and whose noise has the number 2."""
    return [
        said("NBIRTH", {"name": "bdSeq", "long_value": number}, {"name": "Node Control/Rebirth"}, seq=0, at=at),
        said(
            "DBIRTH",
            {"name": "Depth", "alias": 1, "datatype": DOUBLE, "double_value": 100},
            {"name": "Noise", "alias": 2, "datatype": INT16, "int_value": 50},
            seq=1,
            device="gauge-1",
            at=at,
        ),
    ]


def depth(seq: int, value: float = 120, alias: int = 1, at: float = NOW + 1, **more: Any) -> Message:
    return said("DDATA", {"alias": alias, "double_value": value}, seq=seq, device="gauge-1", at=at, **more)


def after(memory: Memory, *messages: Message) -> Decoded:
    found = decoded(*messages, memory=memory)
    memory.remember(found.keys, NOW)
    memory.edges.update(found.edges)
    return found


def asked(found: Decoded) -> list[str]:
    return [reply.topic for reply in found.replies]


def test_a_number_stands_for_what_the_birth_called_by_it() -> None:
    memory = Memory()
    born = after(memory, *birth())
    assert rows(born) == [("gauge-1", "water_depth", 0.1), ("gauge-1", "noise", 50.0)]
    assert rows(after(memory, depth(2))) == [("gauge-1", "water_depth", 0.12)]
    assert rows(after(memory, depth(3, 61, alias=2))) == [("gauge-1", "noise", 61.0)]


def test_the_unit_that_a_birth_names_holds_for_its_numbers() -> None:
    memory = Memory()
    metric = {"name": "Depth", "alias": 1, "datatype": DOUBLE, "double_value": 12, "unit": "cm"}
    after(memory, said("NBIRTH", seq=0), said("DBIRTH", metric, seq=1, device="gauge-1"))
    assert rows(after(memory, depth(2, 13))) == [("gauge-1", "water_depth", 0.13)]


def test_without_a_birth_numbers_are_refused_and_a_birth_is_asked_for_once_in_a_while() -> None:
    memory = Memory()
    first = after(memory, depth(7))
    assert (rows(first), reasons(first), asked(first)) == ([], [why.NO_BIRTH], ["spBv1.0/plant/NCMD/edge-1"])
    assert asked(after(memory, depth(8, at=NOW + 2))) == []
    assert asked(after(memory, depth(9, at=NOW + 2 + ASKED_AGAIN_AFTER_S))) == ["spBv1.0/plant/NCMD/edge-1"]


def test_what_is_asked_is_a_rebirth() -> None:
    request = after(Memory(), depth(7)).replies[0].payload
    expected = {"name": "Node Control/Rebirth", "timestamp": NOW_MS + 1000, "datatype": BOOLEAN, "boolean_value": True}
    assert request == sparkplug(expected, at_ms=NOW_MS + 1000)


def test_a_gap_makes_numbers_doubtful_until_the_rebirth() -> None:
    memory = Memory()
    after(memory, *birth())
    gap = after(memory, depth(4))
    assert (rows(gap), reasons(gap), len(asked(gap))) == ([], [why.NO_BIRTH], 1)
    by_name = said("DDATA", {"name": "Depth", "double_value": 90}, seq=5, device="gauge-1")
    assert rows(after(memory, by_name)) == [("gauge-1", "water_depth", 0.09)]
    after(memory, *birth(1, at=NOW + 3))
    assert rows(after(memory, depth(2, at=NOW + 4))) == [("gauge-1", "water_depth", 0.12)]


def test_the_count_goes_round_after_255() -> None:
    memory = Memory()
    found = after(memory, *birth(), *(depth(seq % 256, seq, at=NOW + seq / 100) for seq in range(2, 600)))
    assert len(rows(found)) == 2 + 598
    assert (reasons(found), asked(found)) == ([], [])


def test_history_is_kept_and_never_alerts() -> None:
    memory = Memory()
    after(memory, *birth())
    old = {"alias": 1, "timestamp": NOW_MS - 60_000, "is_historical": True, "double_value": 80}
    found = after(memory, said("DDATA", old, seq=2, device="gauge-1"))
    assert rows(found) == [("gauge-1", "water_depth", 0.08)]
    assert found.batch.flags.tolist() == [LATE]
    assert found.batch.at.view("i8").tolist() == [(NOW_MS - 60_000) * 1000]


def test_negative_numbers_null_and_floats_are_what_was_meant() -> None:
    memory = Memory()
    after(memory, *birth())
    below = said("DDATA", {"name": "Noise", "datatype": INT16, "int_value": 2**16 - 5}, seq=2, device="gauge-1")
    null = said("DDATA", {"name": "Noise", "is_null": True}, seq=3, device="gauge-1")
    single = said("DDATA", {"name": "Noise", "datatype": 9, "float_value": 61.3}, seq=4, device="gauge-1")
    assert [value for _, _, value in rows(after(memory, below, null, single))] == [-5.0, 61.3]


def test_a_death_says_that_the_devices_are_gone() -> None:
    memory = Memory()
    after(memory, *birth(3))
    assert rows(after(memory, said("DDEATH", seq=2, device="gauge-1"))) == [("gauge-1", "online", 0.0)]
    died = after(memory, said("NDEATH", {"name": "bdSeq", "long_value": 3}, at=NOW + 5))
    assert rows(died) == [("gauge-1", "online", 0.0)]
    assert reasons(after(memory, depth(3, at=NOW + 6))) == [why.NO_BIRTH]


def test_the_will_of_an_earlier_birth_comes_late_and_says_nothing() -> None:
    memory = Memory()
    after(memory, *birth(3))
    assert rows(after(memory, said("NDEATH", {"name": "bdSeq", "long_value": 2}))) == []
    assert rows(after(memory, depth(2))) == [("gauge-1", "water_depth", 0.12)]


def test_what_was_sent_before_a_rebirth_is_not_read_by_the_new_numbers() -> None:
    memory = Memory()
    early = depth(2)
    swapped = [
        said("NBIRTH", seq=0, at=NOW + 2),
        said(
            "DBIRTH",
            {"name": "Noise", "alias": 1, "datatype": DOUBLE, "double_value": 70},
            seq=1,
            device="gauge-1",
            at=NOW + 2,
        ),
    ]
    after(memory, *birth(), early, *swapped)
    again = after(memory, sent_again(early))
    assert (rows(again), reasons(again), again.repeated) == ([], [], 1)


def test_what_hosts_say_is_of_no_use() -> None:
    found = decoded(message("spBv1.0/STATE/scada", b"{}"), said("NCMD"), said("DCMD", device="gauge-1"))
    assert (found.ignored, reasons(found), asked(found)) == (3, [], [])


def test_a_topic_or_payload_that_is_none_is_refused() -> None:
    found = decoded(message("spBv1.0/plant/WHAT/edge-1", b""), message("spBv1.0/plant/NDATA/edge-1", b"\xff\xff"))
    assert reasons(found) == [why.BAD_TOPIC, why.MALFORMED]


@st.composite
def streams(draw: st.DrawFn) -> list[Message]:
    """What one edge node sends in order: births of either kind of numbering, values, deaths."""
    sent: list[Message] = []
    seq, at, number = 0, NOW, 0
    for kind in draw(st.lists(st.sampled_from("bbddddddx"), min_size=1, max_size=12)):
        at += 1
        if kind == "b":
            number += 1
            names = draw(st.permutations(["Depth", "Noise"]))
            metrics = [{"name": name, "alias": i, "double_value": 40 + number} for i, name in enumerate(names)]
            sent += [said("NBIRTH", {"name": "bdSeq", "long_value": number}, seq=0, at=at)]
            sent += [said("DBIRTH", *metrics, seq=1, device="gauge-1", at=at)]
            seq = 1
        elif kind == "x":
            sent.append(said("NDEATH", {"name": "bdSeq", "long_value": number}, at=at))
        else:
            seq = (seq + 1) % 256
            sent.append(depth(seq, float(at - NOW), alias=draw(st.integers(0, 1)), at=at))
    return sent


def stored(memory: Memory, messages: list[Message]) -> list[tuple[str, str, float, int]]:
    found = after(memory, *messages)
    times = found.batch.at.view("i8").tolist()
    return [(*row, at) for row, at in zip(rows(found), times, strict=True)]


@settings(max_examples=60)
@given(streams(), st.data())
def test_a_worker_that_dies_anywhere_stores_the_same_readings_once(sent: list[Message], data: st.DataObject) -> None:
    whole = stored(Memory(), sent)
    # Killed after a commit and before its acknowledgement: from some message on all come again, marked.
    committed = data.draw(st.integers(0, len(sent)))
    acknowledged = data.draw(st.integers(0, committed))
    memory = Memory()
    parts = stored(memory, sent[:committed])
    parts += stored(memory, [sent_again(m) for m in sent[acknowledged:committed]])
    parts += stored(memory, sent[committed:])
    assert sorted(parts) == sorted(whole)


@given(
    st.lists(
        st.tuples(st.sampled_from(["NBIRTH", "DBIRTH", "NDATA", "DDATA", "NDEATH", "DDEATH"]), st.binary(max_size=80))
    )
)
def test_any_bytes_are_read_or_refused(sent: list[tuple[str, bytes]]) -> None:
    memory = Memory()
    for verb, payload in sent:
        tail = "edge-1/gauge-1" if verb.startswith("D") else "edge-1"
        after(memory, message(f"spBv1.0/plant/{verb}/{tail}", payload))
