"""What people see of the situation: wartime operation declared in the browser, and why a place has the risk it has.

Everything is real, as in ``test_main_job``.
"""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import psycopg
import pytest
from playwright.sync_api import Browser, Page, Route, expect

from config.database import worker_engine
from ingest.partition_store import ensure_partitions
from tests.console import Console, logged_in
from tests.gateway import Gateway, connected
from tests.test_main_job import GAUGE, GAUGE_CELL, GAUGE_COUNTY, OTHER_COUNTY, PATIENCE_MS, Demo, Screen, browser, demo
from tests.waiting import wait_until

pytestmark = [pytest.mark.alone, pytest.mark.timeout(900)]

__all__ = ["browser", "demo"]

PATIENCE_S = PATIENCE_MS / 1000
HOUR = timedelta(hours=1)
# A kilometre from each other in one town of the other county.
NEIGHBOURS = ("demo-water-005", "demo-water-114")
_gauges = count(1)


@pytest.fixture
def gateway(demo: Demo) -> Iterator[Gateway]:
    with connected(demo.mqtt, f"situation-page-{time.time_ns()}") as found:
        yield found


@pytest.fixture(autouse=True)
def _everybody_goes_home(browser: Browser) -> Iterator[None]:
    yield
    for left_open in browser.contexts:
        left_open.close()


@pytest.fixture
def city(demo: Demo) -> Console:
    return logged_in(demo.url, "city", demo.accounts["city"]["password"])


class Gauge:
    """A gauge of water on a road that this file has not taken before."""

    def __init__(self, city: Console, gateway: Gateway, county: str, *, exactly: str | None = None) -> None:
        self._city, self._gateway = city, gateway
        found = city.get(f"/api/v1/sensors?region={county}&domain=emergency&limit=500").json["items"]
        gauges = [each for each in found if each["quantities"][0]["name"] == "water_depth"]
        free = [each for each in sorted(gauges, key=lambda each: str(each["id"])) if each["id"] not in NEIGHBOURS]
        # Apart from each other, or they would speak of one matter.
        own = next((each for each in gauges if each["id"] == exactly), None) or free[-3 * next(_gauges)]
        self.place = (own["lng"], own["lat"])
        self.id, self.county, self.cell = str(own["id"]), str(own["county"]), str(own["cell"])

    def reads(self, depth: float) -> list[dict[str, Any]]:
        """The open alerts of the gauge once the reading has been judged. Four minutes ahead, which a device's clock may be: the
        everyday readings of that time are older and change nothing.
        """
        at_ms = time.time_ns() // 1_000_000 + 240_000
        body = {"id": f"situation-{time.time_ns()}", "at": at_ms, "values": {"water_depth": depth}}
        self._gateway.publish(f"cc/v1/{self.county}/{self.id}/reading", body)

        def judged() -> bool:
            [shown] = self._city.get(f"/api/v1/sensors?id={self.id}").json["items"]
            # A city that has just begun has gauges that said nothing yet.
            return bool(shown["latest"].get("water_depth", {}).get("value") == depth)

        wait_until(judged, PATIENCE_S, f"the reading of {self.id}")
        found = self._city.get(f"/api/v1/alerts?sensor={self.id}&limit=50").json["items"]
        return [alert for alert in found if alert["ended_at"] is None]

    def ticket(self) -> dict[str, Any]:
        """Its open ticket."""
        found = self._city.get(f"/api/v1/tickets?sensor={self.id}&open=true").json["items"]
        assert len(found) == 1
        return dict(found[0])


def _handling(ticket: dict[str, Any]) -> timedelta:
    return datetime.fromisoformat(ticket["due_at"]) - datetime.fromisoformat(ticket["opened_at"])


def _as_in_peace(gauge: Gauge) -> None:
    """Nothing below the case height; at it, the township has two hours."""
    assert gauge.reads(0.12) == []
    assert [alert["rule"] for alert in gauge.reads(0.2)] == ["road-waterlogging"]
    ticket = gauge.ticket()
    assert (ticket["holder"]["tier"], _handling(ticket)) == ("township", 2 * HOUR)


def test_wartime_of_one_county_is_declared_in_the_browser_changes_what_it_says_and_ends_by_itself(
    demo: Demo, browser: Browser, gateway: Gateway, city: Console
) -> None:
    wall = Screen(browser, demo, "city", "/wall", 1920, 1080)
    neighbour = Screen(browser, demo, f"county-{OTHER_COUNTY}", "/county")
    page, strip = wall.page, wall.page.get_by_test_id("mode-strip")
    _as_in_peace(Gauge(city, gateway, GAUGE_COUNTY))
    expect(strip).to_have_count(0)

    page.get_by_test_id("mode-switch").click()
    page.get_by_test_id("mode-region").select_option(GAUGE_COUNTY)
    page.get_by_test_id("mode-domain-emergency").click()
    page.get_by_test_id("mode-hours-2").click()
    expect(page.get_by_test_id("mode-changes")).to_contain_text("道路积水（战时提前处置）")
    expect(page.get_by_test_id("mode-limits")).to_contain_text("50%")
    page.get_by_test_id("mode-declare").click()
    expect(page.get_by_test_id("mode-wrong")).to_contain_text("理由")
    page.get_by_test_id("mode-reason").fill("气象台发布暴雨红色预警")
    page.get_by_test_id("mode-declare").click()
    in_force = page.get_by_test_id("mode-in-force")
    expect(in_force).to_have_attribute("data-region", GAUGE_COUNTY, timeout=PATIENCE_MS)
    expect(in_force).to_contain_text("气象台发布暴雨红色预警")
    expect(page.locator(".wall.at-war")).to_be_visible()

    # In the middle of it the processes that judge and that answer are killed; whoever starts them again knows of it.
    for program in ("command_center.web", "worker"):
        os.kill(demo.process(program), signal.SIGKILL)
    wait_until(lambda: _is_ready(city), PATIENCE_S, "the processes are back")
    page.reload()
    expect(in_force).to_have_attribute("data-region", GAUGE_COUNTY, timeout=PATIENCE_MS)

    early, at_height = Gauge(city, gateway, GAUGE_COUNTY), Gauge(city, gateway, GAUGE_COUNTY)
    [alert] = early.reads(0.12)
    assert (alert["rule"], alert["severity"]) == ("road-waterlogging-wartime", 1)
    assert len(at_height.reads(0.2)) == 2
    ticket = at_height.ticket()
    assert (ticket["holder"]["tier"], ticket["holder"]["region"]) == ("county", GAUGE_COUNTY)
    assert _handling(ticket) == HOUR
    expect(page.get_by_test_id("war-first")).to_contain_text("排在最前")
    expect(wall.row(ticket["id"])).to_be_visible(timeout=PATIENCE_MS)
    _as_in_peace(Gauge(city, gateway, OTHER_COUNTY))
    expect(neighbour.page.get_by_test_id("logout")).to_be_visible()
    expect(neighbour.page.get_by_test_id("mode-strip")).to_have_count(0)

    # Nobody waits for two hours here: its end is moved to now.
    mode = in_force.get_attribute("data-mode-id")
    with psycopg.connect(demo.setting("worker", "CC_DATABASE_URL")) as connection:
        connection.execute("UPDATE modes SET ends_at = clock_timestamp() WHERE id = %s", [mode])
    expect(strip).to_have_count(0, timeout=PATIENCE_MS)
    expect(page.locator(".wall.at-war")).to_have_count(0)
    _as_in_peace(Gauge(city, gateway, GAUGE_COUNTY))

    page.get_by_test_id("mode-switch").click()
    page.locator(f"[data-testid=mode-known][data-mode-id='{mode}']").click()
    steps = page.get_by_test_id("mode-step")
    expect(steps).to_have_count(2)
    expect(steps.first).to_contain_text("宿迁市指挥中心")
    expect(steps.first).to_contain_text("气象台发布暴雨红色预警")
    expect(steps.last).to_have_attribute("data-move", "ran_out")
    for screen in (wall, neighbour):
        screen.close()


def _is_ready(city: Console) -> bool:
    try:
        return city.get("/readyz").status == 200
    except OSError:
        return False


def test_why_a_cell_and_a_region_have_their_risk_is_told_in_lines_that_add_up(
    demo: Demo, browser: Browser, gateway: Gateway, city: Console
) -> None:
    gauge = Gauge(city, gateway, GAUGE_COUNTY)
    assert gauge.reads(0.31)
    wall = Screen(browser, demo, "city", "/wall", 1920, 1080)
    page = wall.page
    page.locator("[data-testid=map][data-ready=true]").wait_for()
    page.get_by_test_id("layer-risk").click()
    for code in (gauge.cell, GAUGE_COUNTY):
        row = page.locator(f"[data-testid=risk-row][data-code='{code}']")
        row.click(timeout=PATIENCE_MS)
        expect(page.get_by_test_id("risk-why")).to_have_attribute("data-code", code)
        lines = page.get_by_test_id("risk-line")
        expect(lines.first).to_be_visible()
        shown, points, total = _shown_points(page)
        assert points
        assert all(each > 0 for each in points)
        assert sum(points) == round(total * 10) == round(shown * 10)
        page.get_by_test_id("risk-close").click()
    wall.close()


def test_a_click_on_a_cell_with_a_risk_tells_why_and_offers_the_way_down(
    demo: Demo, browser: Browser, gateway: Gateway, city: Console
) -> None:
    gauge = Gauge(city, gateway, GAUGE_COUNTY, exactly=GAUGE)
    assert (gauge.id, gauge.cell) == (GAUGE, GAUGE_CELL)
    assert gauge.reads(0.31)
    town = next(a for a in demo.accounts.values() if a["tier"] == "township" and GAUGE_CELL.startswith(a["region"]))
    desk = Screen(browser, demo, town["username"], "/county", 1920, 1080)
    page = desk.page
    page.locator("[data-testid=map][data-ready=true]").wait_for()
    page.get_by_test_id("layer-tickets").uncheck()
    page.get_by_test_id("layer-risk").check()
    expect(page.get_by_test_id("map")).to_have_attribute("data-risks", re.compile(r"[1-9]"), timeout=PATIENCE_MS)
    [region] = city.get(f"/api/v1/regions?code={town['region']}").json["items"]
    place = page.get_by_test_id("map").evaluate(_PIXEL, {"at": gauge.place, "bounds": region["bounds"]})
    page.mouse.click(*place)
    why, down = page.get_by_test_id("risk-why"), page.get_by_test_id("map-drill")
    expect(why).to_have_attribute("data-code", GAUGE_CELL)
    expect(down).to_contain_text("下钻到")
    village = (down.text_content() or "").removeprefix("下钻到").strip()
    down.click()
    expect(page.get_by_test_id("breadcrumb")).to_contain_text(village)
    expect(why).to_be_visible()
    expect(down).to_have_count(0)
    desk.close()


# Where a place lies on the screen while the map shows bounds as a whole, as MapLibre fits them.
_PIXEL = """(map, {at, bounds}) => {
  const unit = parseFloat(getComputedStyle(map).fontSize), box = map.getBoundingClientRect();
  const y = lat => Math.log(Math.tan(Math.PI / 4 + lat * Math.PI / 360)) * 180 / Math.PI;
  const [west, south, east, north] = bounds, space = {width: box.width - 4 * unit, height: box.height - 8.5 * unit};
  const scale = Math.min(space.width / (east - west), space.height / (y(north) - y(south)));
  const middle = {x: box.x + 2 * unit + space.width / 2, y: box.y + 3.5 * unit + space.height / 2};
  return [middle.x + (at[0] - (west + east) / 2) * scale, middle.y - (y(at[1]) - (y(south) + y(north)) / 2) * scale];
}"""


def _shown_points(page: Page) -> tuple[float, list[int], float]:
    """What a person reads: the score, the points of each line in tenths, and their sum; one moment's, as risk may move."""
    shown, lines, total = page.get_by_test_id("risk-why").evaluate(
        """why => [why.querySelector('h2').innerText,
        [...why.querySelectorAll('[data-testid=risk-line] .points')].map(cell => cell.innerText),
        why.querySelector('[data-testid=risk-sum]').innerText]"""
    )
    found = re.search(r"[\d.]+", shown)
    assert found
    return float(found[0]), [round(float(each) * 10) for each in lines], float(total)


def test_two_incidents_are_joined_and_parted_again_on_the_desk_and_the_trail_says_who_and_why(
    demo: Demo, browser: Browser, gateway: Gateway, city: Console
) -> None:
    one, other = (Gauge(city, gateway, OTHER_COUNTY, exactly=name) for name in NEIGHBOURS)
    tickets = []
    for gauge in (one, other):
        gauge.reads(0.05)
        gauge.reads(0.2)
        tickets.append(gauge.ticket())
    desk = Screen(browser, demo, "city", "/county", 1366, 768)
    page = desk.page
    desk.row(tickets[1]["id"]).click(timeout=PATIENCE_MS)
    incident = page.get_by_test_id("incident")
    expect(incident.get_by_test_id("incident-signal")).to_have_count(1)
    expect(incident.get_by_test_id("incident-split")).to_be_disabled()
    incident.get_by_test_id("incident-join").click()
    incident.locator(f"[data-testid=incident-beside][data-incident-id='{tickets[0]['incident']}']").click()
    incident.get_by_test_id("incident-confirm").click()
    expect(incident.get_by_test_id("incident-wrong")).to_contain_text("理由")
    incident.get_by_test_id("incident-reason").fill("现场核实是同一处积水")
    incident.get_by_test_id("incident-confirm").click()
    incident.get_by_test_id("incident-made-open").click()

    expect(incident).to_have_attribute("data-incident-id", tickets[0]["incident"])
    signals = incident.get_by_test_id("incident-signal")
    expect(signals).to_have_count(2)
    expect(signals.last).to_contain_text("米")
    step = incident.get_by_test_id("incident-step").first
    expect(step).to_have_attribute("data-what", "absorbed")
    expect(step).to_contain_text("宿迁市指挥中心")
    expect(step).to_contain_text("现场核实是同一处积水")

    incident.get_by_test_id("incident-split").click()
    incident.get_by_test_id("incident-choose").last.check()
    incident.get_by_test_id("incident-reason").fill("隔着河堤，是另一处")
    # Somebody else changes it before it is confirmed.
    known = city.get(f"/api/v1/incidents/{tickets[0]['incident']}").json
    levels = {"response_level": 4, "reason": "启动四级响应"}
    answer = city.ask("PATCH", f"/api/v1/incidents/{known['id']}", levels, {"If-Match": str(known["version"])})
    assert answer.status == 200, answer.content
    page.route("**/split", lambda route: route.continue_(post_data=_of_version(route, known["version"])), times=1)
    incident.get_by_test_id("incident-confirm").click()
    expect(incident.get_by_test_id("incident-wrong")).to_contain_text("有人先一步")
    incident.get_by_test_id("incident-confirm").click()
    expect(incident.get_by_test_id("incident-made")).to_contain_text("另立了工单")
    expect(signals).to_have_count(1)
    expect(step).to_have_attribute("data-what", "parted")
    expect(step).to_contain_text("隔着河堤，是另一处")
    incident.get_by_test_id("incident-made-open").click()
    expect(step).to_have_attribute("data-what", "split")
    desk.close()


_PAST_READINGS = """
INSERT INTO readings (received_at, at, sensor, quantity, value, key, flags, cell)
SELECT t, t, s.n, q.n, 0.04, extract(epoch FROM t)::bigint, 0, 0 FROM sensors s, quantities q,
generate_series(now() - interval '3 days', now() - interval '1 minute', interval '20 minutes') t
WHERE s.id = %s AND q.name = 'water_depth'
"""


def test_the_next_hours_of_a_sensor_stand_against_the_levels_of_its_rule_or_it_says_why_not(
    demo: Demo, browser: Browser, gateway: Gateway, city: Console
) -> None:
    known, new = (Gauge(city, gateway, OTHER_COUNTY) for _ in range(2))
    engine = worker_engine(demo.setting("worker", "CC_DATABASE_URL"))
    with engine.begin() as connection:
        ensure_partitions(connection, datetime.now(UTC) - timedelta(days=4), days=6)
        connection.exec_driver_sql(_PAST_READINGS, (known.id,))
    engine.dispose()
    [seen], [unseen] = known.reads(0.2), new.reads(0.2)
    desk = Screen(browser, demo, "city", f"/county?alert={seen['id']}", 1366, 768)
    page = desk.page
    page.get_by_test_id("alert-ahead").click()
    ahead = page.get_by_test_id("forecast")
    expect(ahead).to_have_attribute("data-hours", "6", timeout=PATIENCE_MS)
    levels = ahead.get_by_test_id("forecast-level")
    expect(levels).to_have_count(2)
    expect(levels.first).to_contain_text("关注 0.15 m")
    expect(levels.last).to_contain_text(re.compile("6 小时内预计不会达到|可能于"))
    expect(ahead.locator("svg path").first).to_be_attached()
    expect(ahead.get_by_role("img").first).to_have_attribute("aria-label", re.compile("0.25"))

    page.goto(f"{demo.url}/county?alert={unseen['id']}")
    page.get_by_test_id("alert-ahead").click()
    expect(ahead.get_by_test_id("forecast-reason")).to_contain_text("历史数据不足", timeout=PATIENCE_MS)
    desk.close()


def _of_version(route: Route, version: int) -> str:
    """What was sent, as by somebody who has not yet heard of the newest version."""
    return json.dumps(json.loads(route.request.post_data or "{}") | {"version": version})
