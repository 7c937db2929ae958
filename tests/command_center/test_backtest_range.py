"""``rules backtest`` over what the database holds: what live gave comes out again, with the tickets."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from command_center.cli import main
from tests.command_center.test_pipeline import Bench, reading
from tests.conftest import Database
from tests.small_city import cell_code

SHIPPED = sorted(Path(str(files("config").joinpath("suqian", "rules"))).glob("*.yaml"))


@dataclass(frozen=True)
class Lived:
    """What live made of some readings: the database, and its alerts and tickets."""

    url: str
    since: datetime
    until: datetime
    alerts: dict[str, tuple[Any, ...]]
    tickets: dict[str, tuple[Any, ...]]


@pytest.fixture(scope="module")
def lived(module_database: Database) -> Lived:
    """Two gauges of one road, one in another county and a gas detector had something to say."""
    bench = Bench(module_database)
    since = datetime.now(UTC)
    bench.send(reading("water-1", {"water_depth": 0.18}), reading("water-2", {"water_depth": 0.2}))
    bench.send(reading("water-1", {"water_depth": 0.31}), reading("water-far", {"water_depth": 0.16}, county="321322"))
    bench.send(reading("water-1", {"water_depth": 0.02}), reading("gas-1", {"gas_concentration": 30}, county="321322"))
    alerts = bench.rows("SELECT id, rule, source, severity, raised_at, ended_at FROM alerts")
    tickets = bench.rows("SELECT incident, category, severity, cell FROM tickets")
    bench.engine.dispose()
    return Lived(
        module_database.worker_url,
        since,
        datetime.now(UTC),
        {str(identity): (*more,) for identity, *more in alerts},
        {str(identity): (*more,) for identity, *more in tickets},
    )


def played(lived: Lived, folder: Path, *options: str) -> Result:
    """All shipped rules over the time of the readings."""
    arguments = [argument for file in SHIPPED for argument in ("--rules", str(file))]
    arguments += ["--from", lived.since.isoformat(), "--to", lived.until.isoformat()]
    arguments += ["--out", f"{folder}/report.json", *options]
    environment = {"CC_DATABASE_URL": lived.url}
    return CliRunner().invoke(main, ["rules", "backtest", *arguments], env=environment, catch_exceptions=False)


def report(lived: Lived, folder: Path, *options: str) -> dict[str, Any]:
    result = played(lived, folder, *options)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads((folder / "report.json").read_text("utf-8"))
    return found


def test_the_same_rules_over_the_stored_readings_give_the_alerts_that_live_gave(lived: Lived, tmp_path: Path) -> None:
    found = report(lived, tmp_path)
    assert len(lived.alerts) >= 4
    assert {
        alert["id"]: (
            alert["rule"],
            alert["sensor"],
            alert["severity"],
            _time(alert["raised_at"]),
            _time(alert["ended_at"]),
        )
        for alert in found["alerts"]
    } == lived.alerts
    assert found["readings"]["taken"] == 6


def test_the_tickets_that_would_have_been_are_those_that_were(lived: Lived, tmp_path: Path) -> None:
    tickets = report(lived, tmp_path)["tickets"]
    assert {t["incident"]: (t["category"], t["severity"], t["cell"]) for t in tickets["would_be"]} == lived.tickets
    assert (tickets["were"], tickets["both"]) == (len(lived.tickets), len(lived.tickets))
    waterlogging = next(t for t in tickets["would_be"] if t["cell"] == cell_code(0))
    assert waterlogging["holder"]["tier"] == "township", "it opened at severity 2, before it grew"


def test_a_region_shows_its_own_sensors_only(lived: Lived, tmp_path: Path) -> None:
    found = report(lived, tmp_path, "--region", "321322")
    assert {alert["sensor"] for alert in found["alerts"]} == {"water-far", "gas-1"}
    assert found["tickets"]["were"] == 2
    assert found["readings"]["taken"] == 2


def test_against_the_current_rules_nothing_differs(lived: Lived, tmp_path: Path) -> None:
    against = report(lived, tmp_path, "--against", "current")["against"]
    assert (against["both"], against["only_here"], against["only_there"]) == (len(lived.alerts), [], [])


def test_a_day_without_readings_is_silence_and_nothing_else(lived: Lived, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    early = ["--from", (now - timedelta(days=9)).isoformat(), "--to", (now - timedelta(days=8)).isoformat()]
    found = report(lived, tmp_path, *early)
    assert found["readings"]["taken"] == 0
    assert {alert["quantity"] for alert in found["alerts"]} == {"silence"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--region", "999999"), "no region '999999'"),
        (("--from", "yesterday"), "RFC 3339"),
        (("--from", "2026-01-01T00:00:00"), "offset"),
        (("--to", "2020-01-01T00:00:00Z"), "--from lies before --to"),
        (("--cells", "cells.geojson"), "--readings"),
    ],
)
def test_what_cannot_be_asked_is_one_clear_line_and_status_2(
    lived: Lived, tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    result = played(lived, tmp_path, *options)
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
