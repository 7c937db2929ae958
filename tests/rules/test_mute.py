"""Which mute covers an alert, and which mutes may be made."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.life import Muting
from rules.mute import BadMute, Ended, Mute, MuteKind, check, covering, covers, mark
from tests.command_center.ticket.opened import TREE, VILLAGE, alert
from tests.small_city import CITY, COUNTIES, cell_code

NOW = datetime(2026, 11, 23, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)
CELL = cell_code()


def mute(**more: Any) -> Mute:
    """A silence over the village, begun an hour ago, for three hours."""
    region = TREE[more.pop("region", VILLAGE)]
    fields: dict[str, Any] = {
        "id": UUID(int=1),
        "kind": MuteKind.SILENCE,
        "region": region.code,
        "scope": region.scope,
        "starts_at": NOW - HOUR,
        "ends_at": NOW + 2 * HOUR,
        "author": "u",
        "author_name": "值班员",
        "reason": "清淤",
        "made_at": NOW - HOUR,
    }
    return Mute(**fields | more)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, True),
        ({"region": CITY}, True),
        ({"region": CELL}, True),
        ({"region": cell_code(0, 1, 1, 2)}, False),
        ({"region": COUNTIES[1]}, False),
        ({"domain": "emergency"}, True),
        ({"domain": "traffic"}, False),
        ({"category": "somewhat"}, True),
        ({"category": "some"}, False),
        ({"rule": "flood"}, True),
        ({"rule": "flood-2"}, False),
        ({"source": "gauge"}, True),
        ({"source": "gauge-2"}, False),
        ({"rule": "flood", "source": "gauge-2"}, False),
        ({"rule": "flood", "source": "gauge", "domain": "emergency", "category": "somewhat"}, True),
        ({"starts_at": NOW}, True),
        ({"starts_at": NOW + timedelta(microseconds=1)}, False),
        ({"ends_at": NOW}, False),
        ({"ends_at": NOW + timedelta(microseconds=1)}, True),
        ({"ended": Ended(NOW - HOUR, "u", "值班员", "done")}, False),
    ],
)
def test_a_mute_covers_what_all_that_it_names_applies_to_while_it_lasts(given: dict[str, Any], expected: bool) -> None:
    assert covers(mute(**given), alert(cell=CELL), NOW) is expected


_MUTES = st.builds(
    lambda number, kind, region, hours, source: mute(
        id=UUID(int=number), kind=kind, region=region, ends_at=NOW + hours * HOUR, source=source
    ),
    st.integers(0, 9),
    st.sampled_from(MuteKind),
    st.sampled_from([CITY, *COUNTIES, VILLAGE, CELL]),
    st.integers(-1, 3),
    st.sampled_from([None, "gauge", "another"]),
)


@given(st.lists(_MUTES, max_size=6, unique_by=lambda one: one.id), st.randoms())
def test_of_several_mutes_the_same_one_shows_whatever_their_order(mutes: list[Mute], random: Any) -> None:
    one = alert(cell=CELL)
    found = covering(mutes, one, NOW)
    candidates = [m for m in mutes if covers(m, one, NOW)]
    assert (found is None) == (not candidates)
    if found is not None:
        strongest = min(list(MuteKind).index(m.kind) for m in candidates)
        assert list(MuteKind).index(found.kind) == strongest
        assert found.ends_at == max(m.ends_at for m in candidates if m.kind is found.kind)
    random.shuffle(mutes)
    assert covering(mutes, one, NOW) == found


def test_an_alert_carries_what_people_want_to_know_of_its_mute() -> None:
    shown = {kind: mark(mute(kind=kind)) for kind in MuteKind}
    assert {kind: m.kind for kind, m in shown.items()} == {
        MuteKind.SILENCE: Muting.SILENCE,
        MuteKind.MAINTENANCE: Muting.MAINTENANCE,
        MuteKind.SHELVE: Muting.SHELVED,
        MuteKind.OUT_OF_SERVICE: Muting.OUT_OF_SERVICE,
    }
    one = shown[MuteKind.SILENCE]
    assert (one.by, one.until, one.name, one.reason) == (UUID(int=1), NOW + 2 * HOUR, "值班员", "清淤")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"reason": " "}, "reason"),
        ({"starts_at": NOW - 2 * HOUR}, "past"),
        ({"ends_at": NOW - HOUR}, "not after its start"),
        ({"ends_at": NOW - HOUR + timedelta(days=30, seconds=1)}, "720 hours at most"),
        ({"kind": MuteKind.SHELVE, "source": "gauge", "ends_at": NOW + 24 * HOUR}, "24 hours at most"),
        ({"kind": MuteKind.SHELVE}, "name it as source"),
        ({"kind": MuteKind.OUT_OF_SERVICE, "rule": "flood"}, "name it as source"),
        ({"region": CITY}, "whole city"),
    ],
)
def test_a_mute_too_wide_too_long_or_without_a_reason_is_refused(given: dict[str, Any], says: str) -> None:
    with pytest.raises(BadMute, match=says):
        check(mute(**given))


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"ends_at": NOW - HOUR + timedelta(days=30)},
        {"region": CITY, "domain": "traffic"},
        {"region": CITY, "source": "gauge"},
        {"kind": MuteKind.SHELVE, "source": "gauge", "ends_at": NOW + 23 * HOUR},
        {"kind": MuteKind.OUT_OF_SERVICE, "source": "gauge", "ends_at": NOW + timedelta(days=29)},
        {"starts_at": NOW + timedelta(days=10), "ends_at": NOW + timedelta(days=11)},
    ],
)
def test_a_mute_within_its_bounds_may_be_made(given: dict[str, Any]) -> None:
    check(replace(mute(**given)))
