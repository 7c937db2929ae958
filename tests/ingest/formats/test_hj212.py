"""What is made of the frames that stations speak HJ 212 in."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ingest import quarantine as why
from ingest.formats.hj212 import LARGEST_FRAME, Frame, Result, answer, build, checksum, frames, read, telegram, topic
from ingest.formats.native import Unreadable
from ingest.sample import Sample

SHANGHAI = ZoneInfo("Asia/Shanghai")
# The example that descriptions of HJ 212-2017 give, checksum and all.
COMMAND = (
    b"##0101QN=20160801085857223;ST=32;CN=1062;PW=100000;MN=010000A8900016F000169DC0;Flag=5;"
    b"CP=&&RtdInterval=30&&1C80\r\n"
)
DUST = (
    "QN=20260928142812336;ST=51;CN=2011;PW=123456;MN=DUST-7;Flag=5;"
    "CP=&&DataTime=20260928142800;a34002-Rtd=85.5,a34002-Flag=N;a34004-Rtd=41,a34004-Flag=D;a34001-Rtd=-999&&"
)
AT_US = 1_790_576_880_000_000  # 2026-09-28T14:28:00+08:00


def reason(frame: bytes) -> str:
    with pytest.raises(Unreadable) as refused:
        telegram(read(frame), SHANGHAI)
    return refused.value.reason


def test_the_example_of_the_standard_has_the_checksum_it_states() -> None:
    assert checksum(COMMAND[6:-6]) == 0x1C80
    assert frames(COMMAND) == ([COMMAND], b"")
    assert read(COMMAND) == Frame(
        "20160801085857223", "32", "1062", "100000", "010000A8900016F000169DC0", 5, ({"RtdInterval": "30"},)
    )


def test_every_factor_is_a_sample_named_by_command_and_statistic() -> None:
    told = telegram(read(build(DUST)), SHANGHAI)
    assert told.refusals == ()
    assert told.samples == (
        Sample("DUST-7", "2011/a34002-Rtd", 85.5, AT_US),
        Sample("DUST-7", "2011/a34004-Rtd", 41.0, AT_US, faulty=True),
        Sample("DUST-7", "2011/a34001-Rtd", -999.0, AT_US),
    )


def test_without_a_time_of_the_data_the_request_number_is_the_time() -> None:
    told = telegram(read(build(DUST.replace("DataTime=20260928142800;", ""))), SHANGHAI)
    assert {sample.at_us for sample in told.samples} == {AT_US + 12_000_000}


def test_what_is_no_number_spoils_nothing_beside_it() -> None:
    told = telegram(read(build(DUST.replace("85.5", "--").replace("-999", "1e999"))), SHANGHAI)
    assert [sample.value for sample in told.samples] == [41.0]
    assert [refusal.reason for refusal in told.refusals] == [why.WRONG_TYPE, why.NOT_A_NUMBER]


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (b"", why.MALFORMED),
        (b"##0003QN=12345", why.MALFORMED),
        (COMMAND.replace(b"30&&", b"31&&"), why.BAD_CHECKSUM),
        (COMMAND.replace(b"1C80", b"zzzz"), why.BAD_CHECKSUM),
        (build("QN=1;CN=2011;Flag=5;CP=&&&&"), why.MALFORMED),
        (build("MN=a b;Flag=5;CP=&&&&"), why.MALFORMED),
        (build("MN=a;Flag=many;CP=&&&&"), why.WRONG_TYPE),
        (build(DUST.replace("20260928142800", "yesterday")), why.BAD_TIME),
        (build(DUST.replace("20260928142800", "20261328142800")), why.BAD_TIME),
        (build(DUST.replace("20260928142800", "19700101000000")), why.BAD_TIME),
    ],
)
def test_a_bad_frame_is_refused_with_its_reason(frame: bytes, expected: str) -> None:
    assert reason(frame) == expected


def test_a_station_is_answered_by_its_own_request_number() -> None:
    taken = answer(build(DUST), Result.STORED)
    assert taken is not None
    assert read(taken) == Frame("20260928142812336", "91", "9014", "123456", "DUST-7", 4, ())
    notice = answer(build(DUST.replace("CN=2011", "CN=1013")), Result.STORED)
    assert notice is not None
    assert read(notice).command == "9013"


@pytest.mark.parametrize(
    ("result", "code"), [(Result.BAD_CHECKSUM, "9"), (Result.UNKNOWN_STATION, "4"), (Result.WRONG_PASSWORD, "3")]
)
def test_a_refusal_says_why(result: Result, code: str) -> None:
    refused = answer(build(DUST)[:-6] + b"0000\r\n", result)
    assert refused is not None
    assert read(refused) == Frame("20260928142812336", "91", "9011", "123456", "DUST-7", 4, ({"QnRtn": code},))


@pytest.mark.parametrize("data", [DUST.replace("Flag=5", "Flag=4"), DUST.replace("MN=DUST-7;", ""), "QN=;MN=;Flag=5;"])
def test_who_asks_for_no_answer_or_does_not_say_its_name_gets_none(data: str) -> None:
    assert answer(build(data), Result.STORED) is None


def test_a_frame_enters_the_path_under_its_station() -> None:
    assert topic(build(DUST)) == "hj212/DUST-7"
    assert topic(b"noise") == "hj212/-"


def test_a_length_that_lies_costs_no_other_frame() -> None:
    good = build(DUST)
    for lie in (b"##9999", b"##0007", b"##0000"):
        found, rest = frames(lie + good[6:] + good + good)
        assert rest == b""
        assert [frame for frame in found if frame == good] == [good, good]


def test_noise_without_end_is_let_go_in_pieces() -> None:
    found, rest = frames(b"x" * 50_000 + b"##")
    assert len(rest) <= LARGEST_FRAME
    assert rest.endswith(b"##")
    assert b"".join(found) + rest == b"x" * 50_000 + b"##"


PIECES = st.lists(
    st.one_of(
        st.sampled_from([build(DUST), COMMAND, b"\r\n", b"##", b"##0005", b"##9999QN=", COMMAND[:40]]),
        st.binary(max_size=40),
    ),
    max_size=12,
)


@given(PIECES, st.lists(st.integers(1, 60), min_size=1, max_size=20))
@example([b"##", b"#0101"], [1])
def test_no_byte_is_lost_however_the_stream_is_cut(pieces: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(pieces)
    rest, taken, turn, found = b"", 0, 0, list[bytes]()
    while taken < len(stream):
        size = cuts[turn % len(cuts)]
        part, rest = frames(rest + stream[taken : taken + size])
        found += part
        taken, turn = taken + size, turn + 1
        assert len(rest) <= LARGEST_FRAME
    assert b"".join(found) + rest == stream


@given(st.lists(st.integers(0, 9), min_size=1, max_size=6), st.lists(st.integers(1, 300), min_size=1, max_size=20))
def test_good_frames_come_out_whole_however_the_stream_is_cut(numbers: list[int], cuts: list[int]) -> None:
    sent = [build(DUST.replace("DUST-7", f"DUST-{number}")) for number in numbers]
    stream, rest, taken, turn, found = b"".join(sent), b"", 0, 0, list[bytes]()
    while taken < len(stream):
        size = cuts[turn % len(cuts)]
        part, rest = frames(rest + stream[taken : taken + size])
        found += part
        taken, turn = taken + size, turn + 1
    assert [read(frame).station for frame in found] == [read(frame).station for frame in sent]


@given(st.one_of(st.binary(max_size=400), st.text(max_size=200).map(lambda text: build(text))))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    answer(data, Result.BAD_CHECKSUM)
    try:
        telegram(read(data), SHANGHAI)
    except Unreadable as refused:
        assert refused.reason in {why.MALFORMED, why.BAD_CHECKSUM, why.WRONG_TYPE, why.BAD_TIME}  # noqa: PT017
