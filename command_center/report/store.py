"""Reports in PostgreSQL. A receipt is stored as its digest only: who reads the table cannot follow a report by it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Column, Connection, DateTime, Double, ForeignKey, Index, Table, Text, Uuid, text

from command_center.report.report import Channel, Report
from config.database import Policy, metadata, within

reports = Table(
    "reports",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("receipt", Text, nullable=False, unique=True),
    Column("channel", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("title_en", Text, nullable=False),
    Column("words", Text, nullable=False),
    Column("contact", Text),
    Column("account", Text),
    Column("reporter", Text),
    Column("lng", Double, nullable=False),
    Column("lat", Double, nullable=False),
    Column("region", Text, nullable=False),
    Column("scope", Text(collation="C"), nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    # Which ticket it opened, for ever: where that one was merged into is the ticket's to say.
    Column("ticket", Uuid, ForeignKey("tickets.id"), nullable=False, unique=True),
    Index("ix_reports_scope", "scope", "at"),
    Index("ix_reports_newest", "at", "id"),
    Index("ix_reports_account", "account", "at"),
)

# Whoever sees the ticket sees the report: also a desk beside its place that the ticket was sent to.
policies = (Policy("reports", f"{within('scope')} OR EXISTS (SELECT FROM tickets t WHERE t.id = ticket)"),)

_NAMES: Final = tuple(f.name for f in fields(Report))


def report_of(row: Any) -> Report:
    """A report from its row."""
    return Report(**({name: getattr(row, name) for name in _NAMES} | {"channel": Channel(row.channel)}))


def lock_receipt(connection: Connection, receipt: str) -> None:
    """Let a repeat that is sent at the same moment wait until the first is done. ``receipt`` is its digest."""
    connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:receipt, 3))"), {"receipt": receipt})


def report_by_receipt(connection: Connection, receipt: str) -> Report | None:
    """The report whose receipt has this digest."""
    row = connection.execute(reports.select().where(reports.c.receipt == receipt)).one_or_none()
    return None if row is None else report_of(row)


def insert_report(connection: Connection, report: Report) -> None:
    """Store a new report, after its ticket."""
    connection.execute(
        reports.insert(), {name: getattr(report, name) for name in _NAMES} | {"channel": str(report.channel)}
    )


def reports_of_tickets(connection: Connection, tickets: Iterable[UUID]) -> list[Report]:
    """The reports that opened these tickets, oldest first, as far as the connection may see them."""
    found = connection.execute(
        reports.select().where(reports.c.ticket.in_(list(tickets))).order_by(reports.c.at, reports.c.id)
    )
    return [report_of(row) for row in found]
