"""Versions of rules and their history in PostgreSQL. What was written stays as it was written; only its standing changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Date,
    DateTime,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    Table,
    Text,
    func,
    text,
)

from config.database import metadata
from rules.version import Move, RuleStep, RuleVersion, State

Instant = DateTime(timezone=True)

rule_versions = Table(
    "rule_versions",
    metadata,
    Column("rule", Text, primary_key=True),
    Column("n", Integer, primary_key=True),
    Column("text", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("author", Text, nullable=False),
    Column("author_name", Text, nullable=False),
    Column("made_at", Instant, nullable=False),
    Column("note", Text, nullable=False),
    Column("retired", Boolean, nullable=False),
    Column("based_on", Integer),
    Column("effective_from", Date),
    Column("effective_to", Date),
    Column("shadow_from", Instant),
    Column("shadow_to", Instant),
    Column("published_by", Text),
    Column("published_at", Instant),
    Column("starts_on", Date),
    Index("uq_rule_versions_shadow", "rule", unique=True, postgresql_where=text("state = 'shadow'")),
)

rule_steps = Table(
    "rule_steps",
    metadata,
    Column("n", BigInteger, Identity(always=True), primary_key=True),
    Column("rule", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("move", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Column("by", Text, nullable=False),
    Column("by_name", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    ForeignKeyConstraint(["rule", "version"], ["rule_versions.rule", "rule_versions.n"]),
    Index("uq_rule_steps_rule_version_revision", "rule", "version", "revision", unique=True),
)

STANDING: Final = ("state", "revision", "shadow_from", "shadow_to", "published_by", "published_at", "starts_on")
"""The columns of a version that its steps change; all others are as they were written."""

_STEP: Final = tuple(field.name for field in fields(RuleStep))


def lock_rules(connection: Connection) -> None:
    """One change of rules at a time: the order of commits is the order of the steps' numbers, which ``rule_mark`` tells."""
    connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('rule versions', 0))"))


def rule_mark(connection: Connection) -> int:
    """A number that differs whenever the versions in force or in the shadow are not what they were. Cheap."""
    statement = text("SELECT coalesce(max(n), 0) FROM rule_steps WHERE move <> 'save'")
    return int(connection.execute(statement).scalar_one())


def load_versions(
    connection: Connection, *, rule: str | None = None, states: Sequence[State] = tuple(State)
) -> list[RuleVersion]:
    """Versions by rule and number."""
    table = rule_versions
    statement = table.select().where(table.c.state.in_([str(state) for state in states]))
    if rule is not None:
        statement = statement.where(table.c.rule == rule)
    rows = connection.execute(statement.order_by(table.c.rule, table.c.n))
    return [RuleVersion(**dict(row._mapping, state=State(row.state))) for row in rows]


def insert_version(connection: Connection, version: RuleVersion, step: RuleStep) -> None:
    """Store a version that was just written."""
    row = {field.name: getattr(version, field.name) for field in fields(RuleVersion)}
    connection.execute(rule_versions.insert(), row | {"state": str(version.state)})
    _insert_step(connection, step)


def save_standing(connection: Connection, version: RuleVersion, step: RuleStep) -> None:
    """Store where a version stands after a step. ``lock_rules`` has come before."""
    values: dict[str, Any] = {name: getattr(version, name) for name in STANDING}
    table = rule_versions
    connection.execute(
        table.update()
        .where(table.c.rule == version.rule, table.c.n == version.n)
        .values(values | {"state": str(version.state)})
    )
    _insert_step(connection, step)


def newest_version(connection: Connection, rule: str) -> int:
    """The highest number given to a version of a rule, 0 when nobody wrote one."""
    statement = func.coalesce(func.max(rule_versions.c.n), 0)
    found = connection.execute(rule_versions.select().with_only_columns(statement).where(rule_versions.c.rule == rule))
    return int(found.scalar_one())


def load_steps(connection: Connection, rule: str) -> list[RuleStep]:
    """A rule's history, oldest first."""
    table = rule_steps
    rows = connection.execute(table.select().where(table.c.rule == rule).order_by(table.c.n))
    return [
        RuleStep(**{name: getattr(row, name) for name in _STEP} | {"move": Move(row.move), "state": State(row.state)})
        for row in rows
    ]


def _insert_step(connection: Connection, step: RuleStep) -> None:
    row = {name: getattr(step, name) for name in _STEP}
    connection.execute(rule_steps.insert(), row | {"move": str(step.move), "state": str(step.state)})
