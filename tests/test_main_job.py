"""The main job as people see it: one message, one ticket, five tiers, four screens.

Everything is real and started as a newcomer would start it: ``command-center up --demo`` with its private database and broker,
the simulator playing beside it, and Chromium showing the pages.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from tests.gateway import Gateway, connected
from tests.waiting import wait_until

GAUGE = "demo-water-001"
GAUGE_COUNTY = "321302"
GAUGE_CELL = "321302002001001"
# A machine without a graphics card draws five maps at once by its two processors: what is waited for takes its time there.
PATIENCE_MS = 90_000
OTHER_COUNTY = "321322"
SEEN_WITHIN_S = 1.0

pytestmark = [pytest.mark.alone, pytest.mark.timeout(900)]

# Notes, inside the page, when each ticket was first on it: not slowed down by the test's own looking.
_WATCH = """
window.firstSeen = {};
const look = () => document.querySelectorAll('[data-ticket-id]').forEach((row) => {
  window.firstSeen[row.dataset.ticketId] ??= Date.now() / 1000;
});
new MutationObserver(look).observe(document, {subtree: true, childList: true, attributes: true});
"""


@dataclass(frozen=True)
class Demo:
    """A running demo city, as ``demo.json`` describes it; ``up`` is the process that started it."""

    url: str
    mqtt: str
    accounts: dict[str, dict[str, Any]]
    up: int

    def process(self, program: str) -> int:
        """The process id of one of its own: no other city on this machine is meant."""
        children = Path(f"/proc/{self.up}/task/{self.up}/children").read_text().split()
        [found] = [int(child) for child in children if program.encode() in Path(f"/proc/{child}/cmdline").read_bytes()]
        return found

    def setting(self, program: str, name: str) -> str:
        """A setting that one of its processes was started with."""
        held = Path(f"/proc/{self.process(program)}/environ").read_text().split("\0")
        return dict(entry.split("=", 1) for entry in held if entry)[name]


@pytest.fixture(scope="module")
def demo() -> Iterator[Demo]:
    folder = Path(tempfile.mkdtemp(prefix="cc main job "))
    folder.chmod(0o755)
    var = folder / "var"
    command = [sys.executable, "-m", "command_center.cli", "up", "--demo", "--var", str(var), "--port", "0"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CC_")}
    with (folder / "up.log").open("w+") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)
        try:

            def ready() -> bool:
                assert process.poll() is None, (folder / "up.log").read_text()
                return (var / "demo.json").is_file()

            wait_until(ready, timeout_s=300, what="demo.json")
            found = json.loads((var / "demo.json").read_text("utf-8"))
            mqtt = found["mqtt"]
            address = f"mqtt://{mqtt['username']}:{mqtt['password']}@{mqtt['host']}:{mqtt['port']}"
            yield Demo(found["url"], address, {a["username"]: a for a in found["accounts"]}, process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
            print((folder / "up.log").read_text()[-3000:])
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium")
    assert program is not None, "chromium is missing: run `make test`, which installs it"
    with sync_playwright() as playwright:
        options = [
            "--use-gl=angle",
            "--use-angle=swiftshader",
            "--enable-unsafe-swiftshader",
            "--disable-background-networking",
        ]
        found = playwright.chromium.launch(executable_path=program, args=options)
        yield found
        found.close()


@pytest.fixture(autouse=True)
def _everybody_goes_home(browser: Browser) -> Iterator[None]:
    yield
    for left_open in browser.contexts:
        left_open.close()


class Screen:
    """One person's browser."""

    def __init__(
        self, browser: Browser, demo: Demo, username: str, path: str, width: int = 1280, height: int = 800
    ) -> None:
        self.context = browser.new_context(viewport={"width": width, "height": height}, locale="zh-CN")
        self.context.set_default_timeout(PATIENCE_MS)
        self.context.add_init_script(_WATCH)
        self.page: Page = self.context.new_page()
        self.errors: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(f"{demo.url}/login")
        self.page.get_by_test_id("login-username").fill(username)
        self.page.get_by_test_id("login-password").fill(demo.accounts[username]["password"])
        self.page.get_by_test_id("login-submit").click()
        self.page.wait_for_url(lambda url: not url.endswith("/login"))
        if not self.page.url.endswith(path):
            self.page.goto(demo.url + path)
        self.page.get_by_test_id("logout").wait_for()

    def row(self, ticket: str) -> Locator:
        return self.page.locator(f"[data-testid=ticket-row][data-ticket-id='{ticket}']")

    def shows(self, ticket: str, **state: str) -> None:
        """The ticket's row comes to say so, without a reload."""
        for name, value in state.items():
            expect(self.row(ticket)).to_have_attribute(f"data-{name}", value, timeout=PATIENCE_MS)

    def rows(self) -> list[str]:
        found = self.page.locator("[data-testid=ticket-row]").evaluate_all("rows => rows.map(r => r.dataset.ticketId)")
        return [str(identity) for identity in found]

    def move(self, ticket: str, move: str, *, to: str | None = None, reason: str | None = None) -> None:
        self.row(ticket).click()
        if to is not None:
            self.page.get_by_test_id("dispatch-to").select_option(to)
        wanted, menu = self.page.get_by_test_id(f"move-{move}").first, self.page.get_by_test_id("more-moves")
        wanted.or_(menu).first.wait_for()
        if not wanted.is_visible():
            menu.click()
        wanted.click()
        if reason is not None:
            self.page.get_by_test_id("reason-input").fill(reason)
            self.page.get_by_test_id("reason-confirm").click()

    def close(self) -> None:
        assert self.errors == []
        self.context.close()


@pytest.fixture
def gateway(demo: Demo) -> Iterator[Gateway]:
    with connected(demo.mqtt, f"main-job-{time.time_ns()}") as found:
        yield found


def _publish(gateway: Gateway, county: str, sensor: str, depth: float) -> float:
    body = {"id": f"main-job-{time.time_ns()}", "values": {"water_depth": depth}}
    at = time.time()
    gateway.publish(f"cc/v1/{county}/{sensor}/reading", body)
    return at


def test_a_reading_becomes_a_ticket_that_travels_five_tiers_before_everybodys_eyes_but_the_neighbours(
    demo: Demo, browser: Browser, gateway: Gateway
) -> None:
    chain = {a["tier"]: a["username"] for a in demo.accounts.values() if _on_the_gauges_path(a)}
    wall = Screen(browser, demo, "city", "/wall", 1920, 1080)
    desk = Screen(browser, demo, "city", "/county")
    county = Screen(browser, demo, chain["county"], "/county")
    neighbour = Screen(browser, demo, f"county-{OTHER_COUNTY}", "/county")
    wall.page.locator("[data-testid=map][data-ready=true]").wait_for()
    assert wall.rows() == county.rows() == neighbour.rows() == []

    published_at = _publish(gateway, GAUGE_COUNTY, GAUGE, 0.31)
    wall.page.get_by_test_id("ticket-row").wait_for()
    [ticket] = wall.rows()
    seen_at = wall.page.evaluate("id => window.firstSeen[id]", ticket)
    assert seen_at - published_at < SEEN_WITHIN_S
    wall.shows(ticket, tier="city", status="filed")
    county.shows(ticket, tier="city", status="filed")

    desk.move(ticket, "dispatch")
    for tier, below in (("county", "township"), ("township", "village"), ("village", "grid")):
        wall.shows(ticket, tier=tier, status="dispatched")
        county.shows(ticket, tier=tier, status="dispatched")
        screen = county if tier == "county" else Screen(browser, demo, chain[tier], "/county")
        screen.move(ticket, "dispatch")
        wall.shows(ticket, tier=below, status="dispatched")
        if screen is not county:
            screen.close()

    phone = Screen(browser, demo, chain["grid"], "/worker", 390, 844)
    phone.shows(ticket, status="dispatched")
    for move, status in (("accept", "accepted"), ("finish", "handled")):
        phone.move(ticket, move)
        wall.shows(ticket, tier="grid", status=status)
        county.shows(ticket, tier="grid", status=status)
    county.move(ticket, "close")
    expect(wall.row(ticket)).to_have_count(0, timeout=PATIENCE_MS)
    expect(phone.row(ticket)).to_have_count(0, timeout=PATIENCE_MS)

    # The neighbour's console lives: it shows its own matter, and never had the other's.
    _publish(gateway, OTHER_COUNTY, _water_gauge_of(demo, OTHER_COUNTY), 0.31)
    neighbour.page.get_by_test_id("ticket-row").wait_for()
    assert len(neighbour.rows()) == 1
    assert ticket not in neighbour.page.evaluate("Object.keys(window.firstSeen)")
    for screen in (wall, desk, county, neighbour, phone):
        screen.close()


def test_a_ticket_goes_back_up_with_a_reason_that_the_trail_shows(
    demo: Demo, browser: Browser, gateway: Gateway
) -> None:
    chain = {a["tier"]: a["username"] for a in demo.accounts.values() if _on_the_gauges_path(a)}
    _publish(gateway, GAUGE_COUNTY, GAUGE, 0.0)
    _publish(gateway, GAUGE_COUNTY, GAUGE, 0.2)
    township = Screen(browser, demo, chain["township"], "/county")
    village = Screen(browser, demo, chain["village"], "/county")
    township.page.get_by_test_id("ticket-row").wait_for()
    [ticket] = township.rows()
    township.shows(ticket, tier="township", status="filed")
    township.move(ticket, "dispatch")
    village.shows(ticket, tier="village", status="dispatched")
    village.move(ticket, "return", reason="不属本村，水在镇区道路")
    township.shows(ticket, tier="township", status="returned")
    township.row(ticket).click()
    expect(township.page.get_by_test_id("ticket-detail")).to_contain_text("不属本村，水在镇区道路")
    for screen in (township, village):
        screen.close()


def test_two_citizens_tell_of_one_matter_and_both_follow_it_to_the_desks_answer(demo: Demo, browser: Browser) -> None:
    chain = {a["tier"]: a["username"] for a in demo.accounts.values() if _on_the_gauges_path(a)}
    township = Screen(browser, demo, chain["township"], "/county")
    before = set(township.rows())
    receipts, tickets = [], []
    for words in ("路口井盖缺失，夜间看不清", "井盖不见了，差点摔倒"):
        receipts.append(_citizen_reports(demo, browser, words))
        wait_until(lambda: set(township.rows()) - before, timeout_s=PATIENCE_MS / 1000, what="the report at the desk")
        [new] = set(township.rows()) - before
        before.add(new)
        tickets.append(new)
    first, second = tickets
    township.shows(first, tier="township", status="reported")

    township.row(second).click()
    candidate = township.page.get_by_test_id("duplicate-row")
    expect(candidate).to_have_count(1, timeout=PATIENCE_MS)
    expect(township.page.get_by_test_id("report-panel")).to_contain_text("井盖不见了，差点摔倒")
    candidate.get_by_test_id("duplicate-merge").click()
    expect(township.row(second)).to_have_count(0, timeout=PATIENCE_MS)
    township.move(first, "void", reason="井盖属小区物业，已转告物业更换")
    for receipt, merged in zip(receipts, ("false", "true"), strict=True):
        receipt.reload()
        status = receipt.get_by_test_id("receipt-status")
        expect(status).to_have_attribute("data-status", "void", timeout=PATIENCE_MS)
        expect(status).to_have_attribute("data-merged", merged)
        expect(receipt.get_by_test_id("receipt-answer")).to_contain_text("已转告物业更换")
        receipt.context.close()
    township.close()


def _citizen_reports(demo: Demo, browser: Browser, words: str) -> Page:
    """Somebody without an account, on a phone at the known gauge; the page of the receipt."""
    lng, lat = _place_of_the_gauge(demo)
    context = browser.new_context(
        viewport={"width": 390, "height": 844},
        locale="zh-CN",
        geolocation={"longitude": lng, "latitude": lat, "accuracy": 12},
        permissions=["geolocation"],
    )
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.goto(f"{demo.url}/report")
    page.get_by_test_id("report-kind-manhole").click()
    page.get_by_test_id("report-words").fill(words)
    page.get_by_test_id("report-locate").click()
    expect(page.get_by_test_id("report-accuracy")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.get_by_test_id("report-send").click()
    expect(page.get_by_test_id("report-receipt")).to_contain_text("-")
    expect(page.get_by_test_id("receipt-status")).to_have_attribute("data-status", "reported")
    return page


def _place_of_the_gauge(demo: Demo) -> tuple[float, float]:
    from tests.console import logged_in

    console = logged_in(demo.url, "city", demo.accounts["city"]["password"])
    [gauge] = console.get(f"/api/v1/sensors?id={GAUGE}").json["items"]
    return gauge["lng"], gauge["lat"]


@pytest.mark.parametrize(("width", "height"), [(1920, 1080), (3840, 2160)])
def test_the_wall_fits_its_screen_without_overlap_and_has_no_text_too_small_to_read_at_four_metres(
    demo: Demo, browser: Browser, width: int, height: int
) -> None:
    wall = Screen(browser, demo, "city", "/wall", width, height)
    wall.page.locator("[data-testid=map][data-ready=true]").wait_for()
    assert wall.page.evaluate("[document.documentElement.scrollWidth, document.documentElement.scrollHeight]") == [
        width,
        height,
    ]
    smallest = wall.page.evaluate(_SMALLEST_TEXT)
    assert smallest["size"] >= 0.016 * height - 0.5, smallest
    assert wall.page.evaluate(_OVERLAPS) == []
    wall.close()


def test_the_phone_page_fits_a_phone_and_nothing_on_it_is_smaller_than_16_px(demo: Demo, browser: Browser) -> None:
    chain = {a["tier"]: a["username"] for a in demo.accounts.values() if _on_the_gauges_path(a)}
    phone = Screen(browser, demo, chain["grid"], "/worker", 390, 844)
    assert phone.page.evaluate("document.documentElement.scrollWidth") == 390
    assert phone.page.evaluate(_SMALLEST_TEXT)["size"] >= 16
    phone.close()


def test_the_pages_speak_english_when_asked_and_load_nothing_from_elsewhere(demo: Demo, browser: Browser) -> None:
    wall = Screen(browser, demo, "city", "/wall", 1920, 1080)
    asked: list[str] = []
    wall.page.on("request", lambda request: asked.append(request.url))
    wall.page.reload()
    wall.page.locator("[data-testid=map][data-ready=true]").wait_for()
    assert wall.page.get_attribute("html", "lang") == "zh-CN"
    wall.page.get_by_test_id("language").click()
    expect(wall.page.locator("html")).to_have_attribute("lang", "en")
    expect(wall.page.locator("body")).to_contain_text("Schematic")
    elsewhere = [
        url for url in asked if not url.startswith((demo.url, "data:", "blob:", demo.url.replace("http", "ws", 1)))
    ]
    assert elsewhere == []
    wall.close()


def test_a_wall_that_is_cut_off_says_so_within_ten_seconds_and_recovers_by_itself(demo: Demo, browser: Browser) -> None:
    wall = Screen(browser, demo, "city", "/wall", 1920, 1080)
    expect(wall.page.get_by_test_id("stale-banner")).to_have_count(0)
    web = demo.process("command_center.web")
    os.kill(web, signal.SIGSTOP)
    try:
        expect(wall.page.get_by_test_id("stale-banner")).to_be_visible(timeout=15_000)
    finally:
        os.kill(web, signal.SIGCONT)
    expect(wall.page.get_by_test_id("stale-banner")).to_have_count(0, timeout=30_000)
    wall.context.close()


def _on_the_gauges_path(account: dict[str, Any]) -> bool:
    return bool(account["tier"] == "city" or GAUGE_CELL.startswith(account["region"]))


def _water_gauge_of(demo: Demo, county: str) -> str:
    from tests.console import logged_in

    console = logged_in(demo.url, f"county-{county}", demo.accounts[f"county-{county}"]["password"])
    sensors = console.get("/api/v1/sensors?domain=emergency&limit=500").json["items"]
    return next(str(s["id"]) for s in sensors if s["quantities"][0]["name"] == "water_depth")


_SMALLEST_TEXT = """() => {
  let found = {size: 1e9, text: ''};
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim();
    const element = walker.currentNode.parentElement;
    if (!text || !element.checkVisibility({opacityProperty: true, visibilityProperty: true})) continue;
    if (element.closest('script, style, .visually-hidden')) continue;
    const size = parseFloat(getComputedStyle(element).fontSize);
    if (size < found.size) found = {size, text};
  }
  return found;
}"""

# Text of two different panels that lies on top of each other.
_OVERLAPS = """() => {
  const boxes = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim();
    const element = walker.currentNode.parentElement;
    if (!text || !element.checkVisibility() || element.closest('script, style, canvas, .visually-hidden')) continue;
    const range = document.createRange();
    range.selectNodeContents(walker.currentNode);
    const b = range.getBoundingClientRect();
    if (b.width > 1 && b.height > 1) boxes.push({text, element, b});
  }
  const clash = [];
  for (let i = 0; i < boxes.length; i++) for (let j = i + 1; j < boxes.length; j++) {
    const p = boxes[i], q = boxes[j];
    const w = Math.min(p.b.right, q.b.right) - Math.max(p.b.left, q.b.left);
    const h = Math.min(p.b.bottom, q.b.bottom) - Math.max(p.b.top, q.b.top);
    const hidden = (x) => { const m = document.elementFromPoint(x.b.left + x.b.width / 2, x.b.top + x.b.height / 2);
      return !m || !(x.element.contains(m) || m.contains(x.element)); };
    if (w > 2 && h > Math.min(p.b.height, q.b.height) / 3 && !hidden(p) && !hidden(q)) clash.push([p.text, q.text]);
  }
  return clash;
}"""
