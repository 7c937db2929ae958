"""``command-center quarantine``: rejected messages, why, and taking them up again."""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from config.settings import BadSetting, from_environment

if TYPE_CHECKING:
    from sqlalchemy import Engine


@click.group()
def quarantine() -> None:
    """Messages that could not be used. CC_DATABASE_URL names the role cc_worker."""


def _which(command: Any) -> Any:
    for option in (
        click.option("--until", "until", type=click.DateTime(), help="Received before (UTC)."),
        click.option("--since", "since", type=click.DateTime(), help="Received at or after (UTC)."),
        click.option("--source", help="Sensor or gateway."),
        click.option("--county", help="Six-digit code."),
        click.option("--reason", help="Such as unknown_sensor."),
    ):
        command = option(command)
    return command


@quarantine.command("list")
@_which
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
def list_messages(limit: int, **which: Any) -> None:
    """Counts by reason, then the newest messages: number, receipt, reason, topic, what became of it."""
    from sqlalchemy import func, select

    from ingest.quarantine_store import chosen, quarantine, quarantine_dropped

    engine, meant = _engine_and(which)
    counts = select(quarantine.c.reason, func.count()).where(meant(chosen)).group_by(quarantine.c.reason)
    gone = select(quarantine_dropped.c.reason, func.sum(quarantine_dropped.c.messages)).group_by(
        quarantine_dropped.c.reason
    )
    newest = quarantine.select().where(meant(chosen)).order_by(quarantine.c.id.desc()).limit(limit)
    with engine.connect() as connection:
        for reason, count in sorted(connection.execute(counts).all(), key=lambda row: -row[1]):
            click.echo(f"{count:>9,}  {reason}")
        for reason, count in connection.execute(gone):
            click.echo(f"{count:>9,}  {reason}, dropped since: too many or too old")
        for row in connection.execute(newest):
            became = "" if row.replay is None else f"  [{row.outcome or 'queued'}]"
            click.echo(f"{row.id}  {row.received_at:%Y-%m-%d %H:%M:%S}  {row.reason}  {row.topic[:100]}{became}")


@quarantine.command()
@click.argument("number", type=click.IntRange(1))
@click.option("--hex", "as_hex", is_flag=True, help="The payload in hexadecimal.")
def show(number: int, as_hex: bool) -> None:
    """One message: why it was rejected, what became of it, its payload."""
    from ingest.quarantine_store import quarantine

    engine = _engine()
    with engine.connect() as connection:
        row = connection.execute(quarantine.select().where(quarantine.c.id == number)).one_or_none()
    if row is None:
        raise BadSetting(f"there is no message {number} in quarantine")
    payload = bytes(row.payload)
    click.echo(f"{row.topic}\n{row.received_at.isoformat()}  {row.size:,} bytes{', cut short' if row.cut else ''}")
    click.echo(f"{row.reason}: {row.detail}")
    if row.replay is not None:
        click.echo(f"replay {row.replay}: {row.outcome or 'queued'} {row.outcome_detail or ''}".rstrip())
    click.echo(payload.hex(" ") if as_hex else payload.decode("utf-8", "backslashreplace"))


@quarantine.command()
@_which
@click.option("--id", "ids", type=click.IntRange(1), multiple=True, help="One message; can be given again.")
@click.option("--wait", is_flag=True, help="Until the worker is done; exit status 1 when some are rejected again.")
def replay(ids: tuple[int, ...], wait: bool, **which: Any) -> None:
    """Have the worker take messages up again: those that fit all options, of which one has to be given.

    What was stored meanwhile is not stored twice; what was cut short or kept by the broker stays.
    """
    from ingest.quarantine_store import ask_replay, chosen, replay_as_it_stands

    if not ids and not any(which.values()):
        raise BadSetting("say which messages: --id, --reason, --county, --source, --since or --until")
    engine, meant = _engine_and(which | {"ids": list(ids) or None})
    wish = {name: str(value) for name, value in which.items() if value} | ({"ids": list(ids)} if ids else {})
    with engine.begin() as connection:
        root: str = connection.exec_driver_sql("SELECT scope FROM regions WHERE tier = 'city'").scalar_one()
        number = ask_replay(connection, meant(chosen), wish, "command-center", root, datetime.now(UTC))
        found = replay_as_it_stands(connection, number)
    while wait and found["state"] != "done":
        time.sleep(0.5)
        with engine.connect() as connection:
            found = replay_as_it_stands(connection, number)
    click.echo(json.dumps(found, ensure_ascii=False))
    if wait and set(found["outcomes"]) & {"rejected", "partly", "not_stored"}:
        raise SystemExit(1)


def _engine() -> Engine:
    from config.database import worker_engine

    return worker_engine(from_environment(os.environ).database_url, pool_size=1)


def _engine_and(which: dict[str, Any]) -> tuple[Engine, Any]:
    """The database, and what makes a condition of the options. Times without a zone are UTC."""
    aware = {k: v.replace(tzinfo=UTC) if isinstance(v, datetime) else v for k, v in which.items()}
    return _engine(), lambda chosen: chosen(**aware)
