"""Which topic carries which format."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from command_center.city import format_routes
from ingest.route import FORMATS, BadRoutes, read
from tests.ingest.formats.wire import ALL_ROUTES, SHANGHAI

HEAD = "pack: p\nversion: 1\n"


@pytest.mark.parametrize(
    ("topic", "name", "known_as"),
    [
        ("zigbee2mqtt/temp", "zigbee2mqtt", "temp"),
        ("zigbee2mqtt/hall/temp", "zigbee2mqtt", "hall/temp"),
        ("tele/plug/SENSOR", "tasmota", "tele/plug/SENSOR"),
        ("spBv1.0/g/NDATA/e", "sparkplug", "spBv1.0/g/NDATA/e"),
        ("cc/v1/321302/gw/raw/senml", "senml", ""),
        ("cc/v1/321302/gw/raw/zigbee2mqtt/hall/temp", "zigbee2mqtt", "hall/temp"),
        ("hj212/DUST-7", "hj212", "DUST-7"),
    ],
)
def test_a_topic_is_found_with_what_its_format_knows_of_it(topic: str, name: str, known_as: str) -> None:
    found = ALL_ROUTES.find(topic)
    assert found is not None
    assert (found.route.format, found.topic) == (name, known_as)
    assert ALL_ROUTES.takes(topic)


@pytest.mark.parametrize(
    "topic", ["zigbee2mqtt2/temp", "tele/plug/STATE", "tele/plug/SENSOR/more", "v3/a/devices/b", ""]
)
def test_what_no_route_names_is_nobodys(topic: str) -> None:
    assert ALL_ROUTES.find(topic) is None
    assert not ALL_ROUTES.takes(topic)


def test_the_native_topics_are_no_other_formats() -> None:
    assert not ALL_ROUTES.takes("cc/v1/321302/gauge-1/reading")
    assert not ALL_ROUTES.takes("cc/v1/321302/gauge-1/state")


def test_subscriptions_follow_from_the_routes() -> None:
    assert set(ALL_ROUTES.subscriptions) >= {"zigbee2mqtt/#", "tele/+/SENSOR", "spBv1.0/#"}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{topic: a/#, format: morse, county: '321302'}", "format 'morse' is unknown"),
        ("{topic: a/#b, format: senml, county: '321302'}", "topic filter"),
        ("{topic: '#', format: senml, county: '321302'}", "topic filter"),
        ("{topic: $SYS/#, format: senml, county: '321302'}", "topic filter"),
        ("{topic: cc/v1/#, format: senml, county: '321302'}", "topic filter"),
        ("{topic: a/#, format: senml, county: 321302}", "Expected `str`"),
        ("{topic: a/#, format: senml, county: '3213'}", "six digits"),
        ("{topic: a/#, format: senml, county: '321302', sensors: {a: 'b c'}}", "no sensor id"),
        ("{topic: a/#, format: senml, county: '321302', speed: 9}", "unknown field"),
    ],
)
def test_a_wrong_table_says_where(line: str, said: str) -> None:
    with pytest.raises(BadRoutes, match=r".*".join(said.split())):
        read(f"{HEAD}routes:\n  - {line}\n", SHANGHAI)


@given(st.text(max_size=60))
def test_any_text_is_a_table_or_is_refused(text: str) -> None:
    try:
        read(HEAD + text, SHANGHAI)
    except BadRoutes as problem:
        assert str(problem)  # noqa: PT017


def test_the_table_of_the_shipped_pack_can_be_read() -> None:
    shipped = format_routes("suqian", SHANGHAI)
    assert {route.format for route in shipped.by_filter.values()} <= set(FORMATS)
