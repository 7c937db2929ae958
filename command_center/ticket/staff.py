"""The person at a desk that a ticket is meant for: on duty, of the organisation, able, least loaded, nearest."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from gis.region import SEPARATOR, TIERS, covers
from rules.correlate import metres

FRESH: Final = timedelta(minutes=30)
"""Where somebody was longer ago says nothing about who is nearest."""


@dataclass(frozen=True, slots=True)
class Person:
    """An account with what choosing needs: ``scope`` where it is on duty, its last known position in degrees (CGCS2000)."""

    account: str
    name: str
    region: str
    scope: str
    org: str | None
    skills: frozenset[str]
    on_duty: bool
    open_tickets: int
    lng: float | None = None
    lat: float | None = None
    position_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """Who was chosen and why; ``person`` None when nobody could be, and why not."""

    person: Person | None
    text: str
    text_en: str


def at_desk(people: Iterable[Person], holder_scope: str) -> list[Person]:
    """Who is on duty at a desk. A village's grid workers are its own hands."""
    is_village = holder_scope.count(SEPARATOR) == TIERS.index("village") + 1
    return [
        person
        for person in people
        if person.on_duty and (person.scope == holder_scope or (is_village and covers(holder_scope, person.scope)))
    ]


def choose(
    people: Iterable[Person],
    holder_scope: str,
    org: str | None,
    skill: str | None,
    lng: float | None,
    lat: float | None,
    now: datetime,
) -> Choice:
    """The person for a matter at ``lng``, ``lat`` that the desk ``holder_scope`` has.

    A matter of an organisation is for its people; while none of them is on duty, and when it is of none, for those of the whole
    desk. People of another organisation could not move it.
    """
    present = at_desk(people, holder_scope)
    if not present:
        return Choice(None, "本席位当前无人在岗", "nobody is on duty at this desk")
    own = [person for person in present if person.org == org]
    fitting = own or [person for person in present if person.org is None]
    if not fitting:
        return Choice(None, "在岗人员均属其他单位", "everybody on duty here is of another organisation")
    able = [person for person in fitting if skill is None or skill in person.skills]
    pool = able or fitting

    def rank(person: Person) -> tuple[int, float, str, str]:
        return person.open_tickets, away_m(person, lng, lat, now), person.name, person.account

    chosen = min(pool, key=rank)
    text, text_en = _reason(chosen, len(pool), away_m(chosen, lng, lat, now))
    if not own:
        text += "；该单位无人在岗，由值班席人员受理"
        text_en += f"; nobody of {org} is on duty, so one of the desk itself has it"
    if not able:
        text += f"；无人具备技能“{skill}”，未按技能挑选"
        text_en += f"; nobody has the skill {skill}, so it was left aside"
    return Choice(chosen, text, text_en)


def away_m(person: Person, lng: float | None, lat: float | None, now: datetime) -> float:
    """Metres from a person's last position to a place, infinite when either is unknown or the position is not fresh."""
    if lng is None or lat is None or person.lng is None or person.lat is None or person.position_at is None:
        return math.inf
    if now - person.position_at > FRESH:
        return math.inf
    return metres(person.lng, person.lat, lng, lat)


def _reason(chosen: Person, pool: int, distance_m: float) -> tuple[str, str]:
    text = f"在岗可派 {pool} 人中在办最少（{chosen.open_tickets} 件）"
    text_en = f"fewest open tickets ({chosen.open_tickets}) of {pool} on duty"
    if math.isinf(distance_m):
        return f"{text}，位置未知", f"{text_en}, position unknown"
    return f"{text}，距现场约 {distance_m:.0f} 米", f"{text_en}, about {distance_m:.0f} m away"
