"""Reports, receipts and what becomes of them: the pure part."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from command_center.report.report import (
    BadReport,
    BadReportPack,
    Channel,
    NoSuchReceipt,
    channel_of,
    digest,
    make_receipt,
    read,
    report_id,
)
from command_center.report_move import answer_of, trail_of
from command_center.ticket.ticket import Holder, Move, Status, Step

PACK = files("config").joinpath("suqian/reports.yaml").read_text("utf-8")
NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)
KEY = "0b5f7c0e-6a53-4c11-9d0e-1f2a3b4c5d6e"


def test_a_drawn_receipt_is_never_drawn_again_and_uses_every_sign() -> None:
    drawn = [make_receipt(None, None, "the same words") for _ in range(2000)]
    assert len(set(drawn)) == 2000
    signs = Counter("".join(drawn).replace("-", ""))
    assert set(signs) == set("0123456789ABCDEFGHJKMNPQRSTVWXYZ")
    # 40,000 draws of 32 signs: 1,250 each, give or take six deviations of 35.
    assert all(1040 < n < 1460 for n in signs.values())


@given(st.text(max_size=40), st.text(max_size=40))
def test_a_key_and_what_was_said_make_one_receipt_and_any_other_makes_another(said: str, other: str) -> None:
    own = make_receipt(KEY, "u", said)
    assert own == make_receipt(KEY, "u", said)
    assert own not in {make_receipt(KEY, None, said), make_receipt(f"{KEY}0", "u", said), make_receipt(None, "u", said)}
    assert (own == make_receipt(KEY, "u", other)) == (said == other)


@given(st.uuids())
def test_a_receipt_is_the_same_however_it_is_typed(key: object) -> None:
    receipt = make_receipt(str(key), None, "")
    typed = [receipt.lower(), receipt.replace("-", " "), receipt.replace("1", "l").replace("0", "O"), f" {receipt} "]
    assert {digest(one) for one in typed} == {digest(receipt)}
    assert {report_id(one) for one in typed} == {report_id(receipt)}
    assert receipt.replace("-", "") not in digest(receipt)


@given(st.text(max_size=40))
def test_what_is_no_receipt_has_no_digest(typed: str) -> None:
    try:
        assert digest(typed).startswith("sha256$")
    except NoSuchReceipt:
        return
    assert len("".join(typed.split()).replace("-", "")) == 20


@pytest.mark.parametrize(
    ("stated", "tier", "channel"),
    [
        (None, None, Channel.PUBLIC),
        (None, "grid", Channel.WORKER),
        (None, "village", Channel.DESK),
        (Channel.HOTLINE, "city", Channel.HOTLINE),
        (Channel.PUBLIC, None, Channel.PUBLIC),
    ],
)
def test_the_channel_follows_from_who_sends(stated: Channel | None, tier: str | None, channel: Channel) -> None:
    assert channel_of(stated, tier) is channel


@pytest.mark.parametrize(
    ("stated", "tier"), [(Channel.HOTLINE, None), (Channel.POLICE, "grid"), (Channel.PUBLIC, "city")]
)
def test_a_channel_that_is_not_the_senders_is_refused(stated: Channel, tier: str | None) -> None:
    with pytest.raises(BadReport, match=stated):
        channel_of(stated, tier)


def test_the_shipped_pack_names_small_classes_that_the_shipped_standards_have() -> None:
    pack = read(PACK)
    standards = files("config").joinpath("suqian/standards.csv").read_text("utf-8").splitlines()
    known = {line.split(",")[2] for line in standards[1:]}
    assert {kind.small_class for kind in pack.kinds} <= known
    assert len(pack.by_code) == len(pack.kinds) == 16
    assert (pack.near_m, pack.within) == (50, timedelta(hours=24))


@pytest.mark.parametrize(
    ("was", "becomes", "says"),
    [
        ("near_m: 50", "near_m: 0", "near_m"),
        ("version: 1", "version: 1\nmore: 2", "more"),
        ("code: gas,", "code: manhole,", "manhole"),
        ("severity: 3", "severity: 5", "severity"),
        ("kinds:", "kinds: [", "line"),
    ],
)
def test_a_pack_that_cannot_be_meant_is_refused_by_name(was: str, becomes: str, says: str) -> None:
    with pytest.raises(BadReportPack, match=says):
        read(PACK.replace(was, becomes, 1))


TOWN, COUNTY = (
    Holder("321302001", "项里街道", "township", "321300/321302/321302001/"),
    Holder("321302", "宿城区", "county", "321300/321302/"),
)


def step(minute: int, move: Move, status: Status, holder: Holder = TOWN, reason: str | None = None) -> Step:
    return Step(minute + 1, move, NOW + timedelta(minutes=minute), status, holder, reason=reason)


MASTER = [
    step(0, Move.REPORT, Status.REPORTED),
    step(5, Move.FILE, Status.FILED),
    step(7, Move.REMIND, Status.FILED),
    step(20, Move.HAND_UP, Status.DISPATCHED, COUNTY),
    step(30, Move.CLOSE, Status.CLOSED, COUNTY, "已修复"),
]
FOLLOWER = [step(8, Move.REPORT, Status.REPORTED), step(10, Move.MERGE, Status.MERGED)]


def told(*trails: list[Step]) -> list[tuple[int, str, str]]:
    return [((s.at - NOW).seconds // 60, str(s.status), s.desk) for s in trail_of(trails)]


def test_a_trail_tells_every_change_of_status_or_desk_and_nothing_else() -> None:
    assert told(MASTER) == [
        (0, "reported", "项里街道"),
        (5, "filed", "项里街道"),
        (20, "dispatched", "宿城区"),
        (30, "closed", "宿城区"),
    ]


def test_the_trail_of_a_merged_report_goes_on_where_its_master_stood_when_it_joined() -> None:
    assert told(FOLLOWER, MASTER) == [
        (8, "reported", "项里街道"),
        (10, "merged", "项里街道"),
        (10, "filed", "项里街道"),
        (20, "dispatched", "宿城区"),
        (30, "closed", "宿城区"),
    ]


def test_an_answer_stands_from_the_end_on_and_is_gone_when_it_is_reopened() -> None:
    assert answer_of(MASTER) == "已修复"
    assert answer_of(MASTER[:-1]) is None
    assert answer_of([*MASTER, step(40, Move.REOPEN, Status.DISPATCHED, COUNTY, "未修好")]) is None
    assert answer_of([*MASTER, step(40, Move.EVALUATE, Status.EVALUATED, COUNTY, "好")]) == "已修复"
    assert answer_of([*FOLLOWER[:1], replace(FOLLOWER[1], move=Move.FORCE_CLOSE, reason="内部")]) is None
