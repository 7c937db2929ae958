"""Wartime operation: who may declare it for what and how long, and what is in force when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from command_center.mode.mode import (
    LONGEST,
    BadMode,
    Declaration,
    ModeMove,
    ModeOver,
    NotYoursToDeclare,
    declared,
    ended,
    in_force,
    prolonged,
    ran_out,
)
from command_center.ticket.ticket import Actor
from gis.region import Region
from rules.situation import at_war

NOW = datetime(2026, 7, 1, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)
COUNTY = Region("321302", "宿城区", "county", "321300", "321300/321302/")
TOWN = Region("321302001", "某乡镇", "township", "321302", "321300/321302/321302001/")
BESIDE = Region("321322", "沭阳县", "county", "321300", "321300/321322/")
OF_CITY = Actor("city", "市值班员", "city", "321300/")
OF_COUNTY = Actor("county", "县值班员", "county", COUNTY.scope)


def war(region: Region = COUNTY, actor: Actor = OF_CITY, *, hours: float = 2, reason: str = "台风") -> Declaration:
    return declared(UUID(int=1), region, ["emergency"], NOW + hours * HOUR, reason, actor, NOW)[0]


@pytest.mark.parametrize("tier", ["township", "village", "grid"])
def test_nobody_below_the_county_declares_war(tier: str) -> None:
    with pytest.raises(NotYoursToDeclare):
        war(TOWN, Actor("x", "x", tier, TOWN.scope))


def test_a_county_declares_it_for_itself_and_below_and_for_nobody_beside_or_above() -> None:
    assert war(COUNTY, OF_COUNTY).scope == COUNTY.scope
    assert war(TOWN, OF_COUNTY).scope == TOWN.scope
    for other in (BESIDE, Region("321300", "宿迁市", "city", None, "321300/")):
        with pytest.raises(BadMode, match="not one of yours"):
            war(other, OF_COUNTY)


@pytest.mark.parametrize("hours", [-1, 0, LONGEST.total_seconds() / 3600 + 0.01])
def test_it_ends_later_than_now_and_within_seventy_two_hours(hours: float) -> None:
    with pytest.raises(BadMode):
        war(hours=hours)
    assert war(hours=72).ends_at == NOW + LONGEST


def test_it_needs_a_reason_and_a_domain() -> None:
    with pytest.raises(BadMode, match="say why"):
        war(reason="  ")
    with pytest.raises(BadMode, match="domain"):
        declared(UUID(int=1), COUNTY, [], NOW + HOUR, "台风", OF_CITY, NOW)


def test_it_is_prolonged_to_a_later_end_that_is_seventy_two_hours_ahead_of_then() -> None:
    mode, later = war(hours=70), NOW + 60 * HOUR
    after, step = prolonged(mode, later + LONGEST, "雨还在下", OF_CITY, later)
    assert (after.ends_at, after.version, step.move) == (later + LONGEST, 2, ModeMove.PROLONGED)
    assert after.holds(mode.ends_at)
    for end in (mode.ends_at, later + LONGEST + timedelta(seconds=1)):
        with pytest.raises(BadMode):
            prolonged(mode, end, "雨还在下", OF_CITY, later)


def test_what_the_city_declared_a_county_cannot_end_and_what_a_county_declared_the_city_can() -> None:
    with pytest.raises(NotYoursToDeclare):
        ended(war(actor=OF_CITY), "天晴", OF_COUNTY, NOW)
    after, step = ended(war(actor=OF_COUNTY), "天晴", OF_CITY, NOW + HOUR)
    assert not after.holds(NOW + HOUR)
    assert (step.by, step.reason, after.ended_name) == ("city", "天晴", "市值班员")


def test_what_is_over_is_neither_ended_nor_prolonged() -> None:
    for moment in (NOW + 2 * HOUR, NOW + 3 * HOUR):
        with pytest.raises(ModeOver):
            ended(war(), "天晴", OF_CITY, moment)
        with pytest.raises(ModeOver):
            prolonged(war(), moment + HOUR, "又下雨", OF_CITY, moment)


def test_what_runs_out_was_over_at_its_end_however_late_that_is_noted() -> None:
    after, step = ran_out(war(), NOW + 9 * HOUR)
    assert (after.ended_at, after.ended_by, step.at, step.by) == (NOW + 2 * HOUR, None, NOW + 9 * HOUR, None)


_SCOPES = ("321300/", COUNTY.scope, TOWN.scope, BESIDE.scope)
_DOMAINS = ("emergency", "public_order", "traffic", "urban_management")
_hours = st.integers(0, 12)


@st.composite
def _declaration(draw: st.DrawFn) -> Declaration:
    starts, lasts = draw(_hours), draw(st.integers(1, 8))
    early = draw(st.none() | st.integers(0, lasts))
    domains = draw(st.sets(st.sampled_from(_DOMAINS), min_size=1))
    return Declaration(
        draw(st.uuids()),
        "r",
        "r",
        draw(st.sampled_from(_SCOPES)),
        tuple(sorted(domains)),
        NOW + starts * HOUR,
        NOW + (starts + lasts) * HOUR,
        "by",
        "by",
        "city",
        "why",
        ended_at=None if early is None else NOW + (starts + early) * HOUR,
    )


@given(st.lists(_declaration(), max_size=6), st.integers(-1, 21))
def test_a_place_is_at_war_when_some_declaration_above_it_says_so_at_that_time(
    declarations: list[Declaration], hour: int
) -> None:
    now = NOW + hour * HOUR
    wartime = in_force(declarations, now)
    for scope in _SCOPES:
        for domain in _DOMAINS:
            told = any(
                scope.startswith(one.scope)
                and domain in one.domains
                and one.starts_at <= now < min(one.ends_at, one.ended_at or one.ends_at)
                for one in declarations
            )
            assert at_war(wartime, scope, domain) is told
