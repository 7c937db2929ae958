"""Who gets a new ticket first, and until when: decided from the place, the severity and the city's own table."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID, uuid5

import msgspec
import yaml

from command_center.ticket.ticket import Holder, Place, Step, file
from gis.region import TIERS, RegionTree
from rules.alert import NAMESPACE, Alert
from rules.rulebook import YAML_FAULTS, Evidence, fault


class BadDispatchTable(ValueError):
    """The dispatch table cannot be used; the message says why."""


class Limit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long handling may take, a leap year at most. ``continuous`` counts nights, weekends and holidays (紧急工作时)."""

    hours: Annotated[float, msgspec.Meta(gt=0, le=8784)]
    clock: Literal["continuous"]
    source: Evidence


class _Handling(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    by_severity: dict[int, Limit]
    by_category: dict[str, Limit]


class _Pack(msgspec.Struct, frozen=True):
    first_tier: dict[int, str]
    handling: _Handling


@dataclass(frozen=True, slots=True)
class DispatchTable:
    """First tier by severity, handling limit by category or else by severity."""

    first_tier: dict[int, str]
    by_severity: dict[int, Limit]
    by_category: dict[str, Limit]

    def due_at(self, category: str, severity: int, opened_at: datetime) -> datetime:
        """When a ticket is overdue."""
        limit = self.by_category.get(category) or self.by_severity[severity]
        return opened_at + timedelta(hours=limit.hours)


def read(text: str) -> DispatchTable:
    """The table from its YAML text. Raises BadDispatchTable."""
    try:
        found: Any = yaml.safe_load(text)
    except YAML_FAULTS as problem:
        line, reason = fault(problem)
        raise BadDispatchTable(f"dispatch table: line {line}: {reason}") from None
    try:
        pack = msgspec.convert(found, _Pack, strict=False)
    except msgspec.ValidationError as problem:
        raise BadDispatchTable(f"dispatch table: {problem}") from None
    for severity in (1, 2, 3, 4):
        if pack.first_tier.get(severity) not in TIERS or severity not in pack.handling.by_severity:
            raise BadDispatchTable(f"dispatch table: severity {severity} needs a first_tier and a limit in by_severity")
    return DispatchTable(pack.first_tier, pack.handling.by_severity, pack.handling.by_category)


def ticket_id(incident: UUID) -> UUID:
    """The id of an incident's ticket: derived, so that an incident can never have two."""
    return uuid5(NAMESPACE, f"ticket\0{incident}")


def first_holder(tree: RegionTree, cell: str, severity: int, table: DispatchTable) -> Holder:
    """The desk that a matter of this severity in this cell comes to."""
    desk = tree.path(cell)[TIERS.index(table.first_tier[severity])]
    return Holder(desk.code, desk.name, desk.tier, desk.scope)


def open_ticket(
    alert: Alert, incident: UUID, number: int, tree: RegionTree, table: DispatchTable, now: datetime
) -> tuple[Place, Step]:
    """The place and first step of the ticket for an incident that ``alert`` opens."""
    path = tree.path(alert.source.cell)
    place = Place(
        id=ticket_id(incident),
        number=f"T{now:%Y%m%d}-{number:06d}",
        incident=incident,
        domain=alert.domain,
        category=alert.category,
        cell=alert.source.cell,
        region=alert.source.region,
        scope=alert.source.scope,
        lng=alert.source.lng,
        lat=alert.source.lat,
        path=tuple((region.tier, region.code, region.name) for region in path),
        source_kind=alert.source.kind,
        source=alert.source.id,
        source_name=alert.source.name,
        opened_at=now,
    )
    holder = first_holder(tree, place.cell, alert.severity, table)
    due_at = table.due_at(alert.category, alert.severity, now)
    step = file(place, holder, severity=alert.severity, title=alert.title, title_en=alert.title_en, due_at=due_at)
    return place, step
