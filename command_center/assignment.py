"""Who at the new desk a ticket is meant for, decided whenever it changes hands."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import Connection

from command_center.staff_store import on_duty
from command_center.ticket.dispatch import DispatchTable
from command_center.ticket.routing import Matter, route
from command_center.ticket.staff import choose
from command_center.ticket.ticket import Place, Step, Ticket
from gis.region import RegionTree


def assigned(
    connection: Connection, place: Place, before: Ticket | None, step: Step, table: DispatchTable, tree: RegionTree
) -> Step:
    """The step with the person it is meant for, when it brings the ticket to another desk and somebody is on duty there.

    Nobody on duty leaves it to the desk as a whole: the step says so.
    """
    holder = step.holder
    if before is not None and (holder.region, holder.org) == (before.holder.region, before.holder.org):
        return step
    people = on_duty(connection, holder.scope, step.at)
    choice = choose(
        people, holder.scope, holder.org, _skill(place, before, step, table, tree), place.lng, place.lat, step.at
    )
    told = step.told | {"assigned": choice.text, "assigned_en": choice.text_en}
    if choice.person is None:
        return replace(step, told=told)
    whose = replace(holder, assignee=choice.person.account, assignee_name=choice.person.name)
    return replace(step, holder=whose, told=told)


def _skill(place: Place, before: Ticket | None, step: Step, table: DispatchTable, tree: RegionTree) -> str | None:
    """What the matter asks for, whichever desk has it."""
    severity = step.facts["severity"] if before is None else before.severity
    small_class = None if before is None else before.small_class
    matter = Matter(place.domain, place.category, small_class, severity, place.cell)
    return route(
        table.routing, table.with_mode(matter, tree), tree, step.at.astimezone(table.offices.zone).date()
    ).skill
