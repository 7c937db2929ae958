from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.catalogue_file import COLUMNS, BadCatalogueFile, Sheet, read, write
from ingest.entry import CHANGED, Change, Entry
from ingest.sensor import DOMAINS, SHARINGS, Catalogue, Plausible, Profile
from tests.ingest.wire import catalogue

ZONE = ZoneInfo("Asia/Shanghai")
GAUGE = Profile("gauge", "水位计", "Gauge", 60, {"water_depth": Plausible(0, 2)})
KNOWN = Catalogue.of([], catalogue().quantities.values(), [GAUGE])
HEADER = "id,name,domain,quantities,lng,lat,datum,owner,profile,interval_s,sharing,in_service,service_since"
GOOD = "w-1,一号测点,emergency,water_depth,118.1,34.1,WGS84,水利局,gauge,60,conditional,yes,2026-11-01"


def taken(*rows: str, header: str = HEADER) -> Sheet:
    return read("\n".join((header, *rows)).encode(), KNOWN, ZONE)


def test_a_good_row_states_every_field() -> None:
    [row] = taken(GOOD).stated
    assert (row.id, row.line) == ("w-1", 2)
    assert row.fields == {
        "name": "一号测点",
        "domain": "emergency",
        "quantities": ("water_depth",),
        "position": (118.1, 34.1),
        "datum": "WGS84",
        "owner": "水利局",
        "profile": "gauge",
        "interval_s": 60.0,
        "sharing": "conditional",
        "in_service": True,
        "service_since": datetime(2026, 11, 1, tzinfo=ZONE),
    }


def test_a_table_in_chinese_and_gb18030_is_the_same_table() -> None:
    header = "编号,名称,领域,监测量,经度,纬度,坐标系,权属单位,型号,上报间隔,共享类型,在用,在用起始"
    row = GOOD.replace("emergency", "大应急").replace("conditional", "有条件共享").replace("yes", "是")
    chinese = read(f"{header}\r\n{row}\r\n".encode("gb18030"), KNOWN, ZONE)
    assert chinese == taken(GOOD)


@pytest.mark.parametrize(
    ("was", "becomes", "column", "said"),
    [
        ("w-1", "w 1", "id", "is no id"),
        ("w-1", "w" * 65, "id", "is no id"),
        ("一号测点", '"=cmd()"', "name", "not beginning with"),
        ("emergency", "weather", "domain", "no domain 'weather': use one of emergency"),
        ("water_depth", "", "quantities", "measures nothing"),
        ("water_depth", "depth", "quantities", "no quantity 'depth'"),
        ("water_depth", "water_depth(cm)", "quantities", "kept in m all over the city, not in 'cm'"),
        ("118.1", "east", "lng", "'east' is not a number"),
        ("118.1", "nan", "lng", "is not a number"),
        ("118.1", "1181", "lng", "decimal degrees from -180 to 180"),
        ("34.1", "", "lat", "one of lng and lat alone"),
        ("WGS84", "UTM", "datum", "no datum 'UTM'"),
        ("gauge", "gouge", "profile", "no model 'gouge'"),
        (",60,", ",0,", "interval_s", "1 to 604800 seconds"),
        (",60,", ",soon,", "interval_s", "not a number"),
        ("conditional", "secret", "sharing", "no sharing class 'secret'"),
        ("yes", "maybe", "in_service", "neither yes nor no"),
        ("2026-11-01", "yesterday", "service_since", "is no time"),
        (",2026-11-01", "", "id", "12 columns where the first line has 13"),
    ],
)
def test_every_wrong_cell_is_named_by_line_and_column_with_what_to_do(
    was: str, becomes: str, column: str, said: str
) -> None:
    found = taken(GOOD.replace("w-1", "w-0"), GOOD.replace(was, becomes, 1))
    assert [row.id for row in found.stated] == ["w-0"]
    [fault] = found.faults
    assert (fault.line, fault.column) == (3, column)
    assert said in fault.en
    assert fault.zh


def test_all_faults_of_a_row_are_told_at_once() -> None:
    found = taken(GOOD.replace("emergency", "weather").replace("118.1", "x").replace("yes", "maybe"))
    assert {fault.column for fault in found.faults} == {"domain", "lng", "in_service"}


def test_an_id_that_comes_twice_names_the_first_line_and_lines_are_those_of_the_file() -> None:
    found = taken('"w-1","a\nb",,,,,,,,,,,', "", GOOD, "w-2,,,,,,,,,,,,", GOOD)
    assert [(fault.line, fault.column) for fault in found.faults if fault.kind == "twice"] == [(5, "id"), (7, "id")]
    assert found.faults[-1].values == ("2",)


def test_a_blank_keeps_the_name_and_the_sharing_and_asks_the_model_for_the_interval() -> None:
    [row] = taken("w-1,,,water_depth,,,,,gauge,,,,").stated
    assert row.fields == {
        "quantities": ("water_depth",),
        "position": None,
        "owner": "",
        "profile": "gauge",
        "interval_s": None,
        "service_since": None,
    }


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "first line must name"),
        (b"name,domain\n", "first line must name"),
        (b"id,nmae\n", "column 'nmae' is unknown"),
        (b"id,name,id\n", "id is there twice"),
        (b'id,name\nw-1,"half', "not a CSV table"),
        (b"\xff\xff\xff\xff", "neither UTF-8"),
    ],
)
def test_what_is_no_catalogue_is_refused_whole(content: bytes, said: str) -> None:
    with pytest.raises(BadCatalogueFile, match=said):
        read(content, KNOWN, ZONE)


_text = st.text(st.characters(categories=("L", "N", "P", "S"), include_characters=' ,"'), min_size=1, max_size=30)
_name = _text.map(str.strip).filter(lambda t: t and t[0] not in "=+-@" and t.isprintable())
_times = st.datetimes(datetime(1990, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  the strategy adds the zone
_degrees = st.tuples(st.floats(-180, 180), st.floats(-90, 90))


@st.composite
def _entries(draw: st.DrawFn) -> Entry:
    lng, lat = draw(st.none() | _degrees) or (None, None)
    return Entry(
        id=draw(st.from_regex(r"[A-Za-z0-9_.:-]{1,64}", fullmatch=True)),
        name=draw(_name),
        domain=draw(st.sampled_from(DOMAINS)),
        quantities=tuple(draw(st.lists(st.sampled_from(sorted(KNOWN.quantities)), min_size=1, unique=True))),
        lng=lng,
        lat=lat,
        county="321302",
        region="",
        cell="321302001001001",
        scope="",
        owner=draw(st.just("") | _name),
        profile=draw(st.sampled_from(["", "gauge"])),
        interval_s=draw(st.floats(1, 604_800)),
        sharing=draw(st.sampled_from(SHARINGS)),
        in_service=draw(st.booleans()),
        service_since=draw(st.none() | _times),
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(_entries(), unique_by=lambda entry: entry.id, max_size=5))
def test_what_is_written_is_read_back_the_same(entries: list[Entry]) -> None:
    found = read("".join(write(entries, KNOWN, ZONE)).encode(), KNOWN, ZONE)
    assert found.faults == ()
    assert [row.id for row in found.stated] == [entry.id for entry in entries]
    for row, entry in zip(found.stated, entries, strict=True):
        fields: dict[str, Any] = dict(row.fields)
        assert fields.pop("position") == entry.position
        assert (fields.pop("county"), fields.pop("cell"), fields.pop("datum", "")) == (
            entry.county,
            entry.cell,
            "CGCS2000" if entry.position else "",
        )
        for name, value in fields.items():
            assert value == getattr(entry, name), name


@settings(max_examples=100, deadline=None)
@given(
    st.binary(max_size=300)
    | st.text(st.sampled_from('w1,"\n;()-. nan'), max_size=200).map(lambda t: (f"{','.join(COLUMNS)}\n{t}").encode())
)
def test_nothing_that_is_handed_in_breaks_the_reading(content: bytes) -> None:
    try:
        found = read(content, KNOWN, ZONE)
    except BadCatalogueFile:
        return
    assert all(str(fault) and fault.zh for fault in found.faults)


def test_a_position_that_a_spreadsheet_rounded_has_not_moved() -> None:
    from dataclasses import replace

    entry = Entry("w", "w", "emergency", ("noise",), 118.123456789012, 34.0, "", "", "", "", "", "", 60, "conditional")
    assert Change(entry, replace(entry, lng=118.123456789), CHANGED).difference() == {}
    assert set(Change(entry, replace(entry, lng=118.1234567), CHANGED).difference()) == {"position"}
