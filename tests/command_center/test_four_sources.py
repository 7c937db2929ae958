"""One flooded road, told by a gauge, a camera, a passer-by and a grid worker: one incident with one open ticket."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from command_center.pipeline import advance, remember
from ingest.message import Message
from tests.console import Console
from tests.running_city import RunningCity, read_city
from tests.small_city import add_camera, add_sensor, cell_code

ORDERS = (
    ("gauge", "camera", "passer-by", "grid worker"),
    ("camera", "grid worker", "gauge", "passer-by"),
    ("passer-by", "gauge", "grid worker", "camera"),
    ("grid worker", "passer-by", "camera", "gauge"),
)
METRE = 1 / 111_195.08  # of latitude


class Sources:
    """The four of one cell, each by its own door. ``n`` names gauge and camera."""

    def __init__(self, running: RunningCity, n: int) -> None:
        self.running = running
        self.cell = cell_code(1, 1, 1, n + 1)
        self.town = self.cell[:-6]
        self.gauge, self.camera = f"gauge-{n}", f"camera-{n}"
        with running.engine.begin() as connection:
            add_sensor(connection, running.small, self.gauge, self.cell, ("water_depth",), n=100 + n)
            add_camera(connection, running.small, self.camera, self.cell)
        self.city = read_city(running.engine)
        with running.engine.connect() as connection:
            self.memory = remember(connection, self.city, time.time())

    def take(self, topic: str, body: dict[str, Any]) -> None:
        message = Message(f"cc/v1/321322/{topic}", json.dumps(body).encode(), time.time())
        advance([message], self.city, self.memory, self.running.engine, time.time())

    def look(self, phase: str) -> None:
        """Frigate tracks a pool of water that has been there for two minutes."""
        now = time.time()
        seen = {
            "id": f"pool-{self.camera}", "camera": self.camera, "frame_time": now, "label": "waterlogging", "score": 0.9,
            "top_score": 0.9, "false_positive": False, "start_time": now - 120, "end_time": None, "current_zones": [],
            "entered_zones": [],
        }  # fmt: skip
        self.take("nvr-1/raw/frigate/events", {"type": phase, "before": seen, "after": seen})

    def say(self, source: str) -> None:
        match source:
            case "gauge":
                self.take(f"{self.gauge}/reading", {"id": "deep", "values": {"water_depth": 0.31}})
            case "camera":
                self.look("new")
                self.look("update")
            case "passer-by":
                self.report(Console(self.running.url), 12)
            case "grid worker":
                self.report(self.running.console(self.cell), -15)

    def report(self, who: Console, north_m: float) -> None:
        lng, lat = self.running.small.centre(self.cell)
        words = {"kind": "waterlogging", "words": "路面积水，车辆绕行", "lng": lng, "lat": lat + north_m * METRE}
        answer = who.post("/api/v1/reports", words)
        assert answer.status == 201, answer.content

    def settle(self) -> None:
        """The township takes up what people told: into the ticket that is open for it, which it is shown, or as the first."""
        for row in self.running.rows("SELECT id FROM tickets WHERE status = 'reported' ORDER BY opened_at"):
            found = self.running.console(self.town).get(f"/api/v1/tickets/{row.id}/duplicates").json["items"]
            open_ones = [one for one in found if one["ticket"]["status"] not in ("reported", "merged")]
            if open_ones:
                self.running.move(self.town, row.id, "merge", to=open_ones[0]["ticket"]["id"])
            else:
                self.running.move(self.town, row.id, "file", reason="现场核实属实")


@pytest.mark.parametrize("n", range(len(ORDERS)), ids=lambda n: f"{ORDERS[n][0]}-first")
def test_whoever_tells_first_all_four_are_the_evidence_of_one_incident_with_one_open_ticket(
    running: RunningCity, n: int
) -> None:
    sources = Sources(running, n)
    for source in ORDERS[n]:
        sources.say(source)
        sources.settle()
    here = {"cell": sources.cell}
    sql = "SELECT id, ticket, signals FROM incidents WHERE status IN ('open', 'reported') AND cell = :cell"
    [incident] = running.rows(sql, **here)
    assert incident.signals == 4
    assert [
        row.id for row in running.rows("SELECT id FROM tickets WHERE closed_at IS NULL AND cell = :cell", **here)
    ] == [incident.ticket]
    shown = running.console(sources.town).get(f"/api/v1/incidents/{incident.id}/signals").json["items"]
    assert sorted(one["kind"] for one in shown) == ["alert", "alert", "report", "report"]
    said = "SELECT coalesce(a.source_kind, r.channel) FROM incident_signals s LEFT JOIN alerts a ON a.id = s.signal"
    who = running.rows(f"{said} LEFT JOIN reports r ON r.id = s.signal WHERE s.incident = :id", id=incident.id)
    assert sorted(row[0] for row in who) == ["camera", "public", "sensor", "worker"]
