"""The rules page and the life of alerts as people see them: a rule changed by two people, an alert acknowledged and kept quiet;
and an open map that follows the ground when it is drawn anew.

Everything is real, as in ``test_main_job``: the demo city, its worker and scheduler, and Chromium showing the pages.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.gateway import Gateway, connected
from tests.test_main_job import GAUGE, GAUGE_COUNTY, PATIENCE_MS, Demo, Screen, browser, demo

pytestmark = [pytest.mark.alone, pytest.mark.timeout(900)]

__all__ = ["browser", "demo"]

RULE = "road-waterlogging"


@pytest.fixture
def gateway(demo: Demo) -> Iterator[Gateway]:
    with connected(demo.mqtt, f"rules-page-{time.time_ns()}") as found:
        yield found


@pytest.fixture(autouse=True)
def _everybody_goes_home(browser: Browser) -> Iterator[None]:
    yield
    for left_open in browser.contexts:
        left_open.close()


def _publish(gateway: Gateway, depth: float) -> None:
    """Four minutes ahead, which a device's clock may be: the everyday readings of that time are older and change nothing."""
    at_ms = time.time_ns() // 1_000_000 + 240_000
    body = {"id": f"rules-page-{time.time_ns()}", "at": at_ms, "values": {"water_depth": depth}}
    gateway.publish(f"cc/v1/{GAUGE_COUNTY}/{GAUGE}/reading", body)


def _open_rule(page: Page, rule: str) -> None:
    page.locator(f"[data-testid=rule-row][data-rule='{rule}']").click()
    expect(page.get_by_test_id("rule-detail")).to_have_attribute("data-rule", rule)


def _give_reason(page: Page, reason: str) -> None:
    page.locator("dialog[open]").get_by_test_id("words-input").fill(reason)
    page.locator("dialog[open]").get_by_test_id("words-confirm").click()


def test_a_rule_is_told_in_words_changed_checked_shadowed_and_published_by_a_second_person(
    demo: Demo, browser: Browser
) -> None:
    writer = Screen(browser, demo, "city", "/admin", 1366, 768)
    page = writer.page
    _open_rule(page, RULE)
    expect(page.get_by_test_id("rule-words")).to_contain_text("当积水深度 ≥ 0.15 m")
    expect(page.get_by_test_id("rule-words").get_by_test_id("ladder")).to_be_visible()

    page.get_by_test_id("rule-tab-edit").click()
    area = page.get_by_test_id("rule-text")
    text = area.input_value()
    area.fill(text.replace("water_depth", "no_such_quantity"))
    expect(page.get_by_test_id("rule-check")).to_have_attribute("data-ok", "false")
    expect(page.get_by_test_id("rule-check")).to_contain_text(re.compile(r"第 \d+ 行"))
    expect(page.get_by_test_id("rule-save")).to_be_disabled()

    area.fill(re.sub(r"at: 0\.15\b", "at: 0.16", text))
    expect(page.get_by_test_id("rule-check")).to_have_attribute("data-ok", "true")
    page.get_by_test_id("rule-note").fill("提高一厘米")
    page.get_by_test_id("rule-save").click()
    draft = page.get_by_test_id("rule-version").first
    expect(draft).to_have_attribute("data-state", "draft")
    expect(draft.get_by_test_id("rule-publish")).to_be_disabled()
    expect(draft.get_by_test_id("rule-refused")).to_contain_text("另一位市级账号")
    draft.get_by_test_id("rule-diff").click()
    changed = draft.get_by_test_id("rule-differences").locator("tbody tr")
    expect(changed).to_have_count(1)
    expect(changed).to_contain_text("0.15")
    expect(changed).to_contain_text("0.16")

    draft.get_by_test_id("rule-shadow").click()
    _give_reason(page, "")
    expect(draft).to_have_attribute("data-state", "shadow")
    expect(draft.get_by_test_id("shadow-result")).to_be_visible()

    second = Screen(browser, demo, "city-2", "/admin")
    _open_rule(second.page, RULE)
    second.page.get_by_test_id("rule-tab-versions").click()
    second.page.get_by_test_id("rule-publish").click()
    _give_reason(second.page, "会商同意")
    expect(second.page.get_by_test_id("rule-version").first).to_have_attribute("data-state", "in_force")
    second.page.get_by_test_id("rule-tab-history").click()
    expect(second.page.get_by_test_id("rule-history")).to_contain_text("会商同意")
    second.page.get_by_test_id("rule-tab-words").click()
    expect(second.page.get_by_test_id("rule-words")).to_contain_text("0.16 m")
    writer.close()
    second.close()


@pytest.mark.parametrize("username", ["county", "grid"])
def test_who_may_not_change_rules_is_told_who_may(demo: Demo, browser: Browser, username: str) -> None:
    account = next(a["username"] for a in demo.accounts.values() if a["tier"] == username)
    screen = Screen(browser, demo, account, "/admin")
    expect(screen.page.get_by_test_id("denied")).to_contain_text("市级账号")
    screen.close()


def test_an_alert_tells_why_is_acknowledged_shelved_and_unshelved(
    demo: Demo, browser: Browser, gateway: Gateway
) -> None:
    county = next(a for a in demo.accounts.values() if a["tier"] == "county" and a["region"] == GAUGE_COUNTY)
    desk = Screen(browser, demo, county["username"], "/county", 1366, 768)
    _publish(gateway, 0.31)
    page = desk.page
    page.get_by_test_id("ticket-row").first.click(timeout=PATIENCE_MS)
    alert = page.get_by_test_id("ticket-detail").get_by_test_id("alert").first
    expect(alert.get_by_test_id("alert-why")).to_contain_text("0.31 m ≥ 0.25 m")
    expect(alert).to_have_attribute("data-state", "raised")
    alert.get_by_test_id("alert-acknowledge").click()
    expect(alert).to_have_attribute("data-state", "acknowledged")

    alert.get_by_test_id("alert-shelve").click()
    sheet: Any = page.locator("dialog[open]")
    sheet.get_by_test_id("until-confirm").click()
    expect(sheet.get_by_role("alert")).to_be_visible()
    sheet.get_by_test_id("until-reason").fill("泵车已在现场")
    sheet.get_by_test_id("until-confirm").click()
    expect(alert).to_have_attribute("data-state", "shelved")
    expect(alert.get_by_test_id("alert-muted")).to_contain_text("泵车已在现场")

    page.get_by_test_id("tab-mutes").click()
    expect(page.get_by_test_id("mute")).to_contain_text(GAUGE)
    page.get_by_test_id("tab-alerts").click()
    page.locator("[data-testid=alert-row][data-state=shelved]").click()
    detail = page.get_by_test_id("alert-detail").get_by_test_id("alert")
    detail.get_by_test_id("alert-unshelve").click()
    expect(detail).to_have_attribute("data-state", "acknowledged")

    page.get_by_test_id("tab-mutes").click()
    page.get_by_test_id("mute-which").fill("waterlogging")
    page.get_by_test_id("mute-reason").fill("管网检修")
    page.get_by_test_id("mute-save").click()
    mute = page.get_by_test_id("mute")
    expect(mute).to_contain_text("管网检修")
    mute.get_by_test_id("mute-end").click()
    _give_reason(page, "检修完成")
    expect(mute).to_have_count(0)
    _publish(gateway, 0.0)
    desk.close()


def test_the_levels_of_the_law_are_stated_with_grounds_and_apart_from_our_severity(
    demo: Demo, browser: Browser, gateway: Gateway
) -> None:
    desk = Screen(browser, demo, "city", "/county", 1366, 768)
    _publish(gateway, 0.32)
    page = desk.page
    page.get_by_test_id("ticket-row").first.click(timeout=PATIENCE_MS)
    levels = page.get_by_test_id("levels")
    expect(levels.get_by_test_id("response_level")).to_have_text("未认定")
    levels.get_by_test_id("levels-edit").click()
    levels.get_by_test_id("level-response_level").select_option(label="三级响应")
    levels.get_by_test_id("levels-save").click()
    expect(levels.get_by_role("alert")).to_be_visible()
    levels.get_by_test_id("levels-reason").fill("市防指启动三级响应")
    levels.get_by_test_id("levels-save").click()
    expect(levels.get_by_test_id("response_level")).to_have_text("三级响应")
    expect(levels.get_by_test_id("warning_level")).to_have_text("未认定")
    expect(levels.get_by_test_id("event_grade")).to_have_text("未认定")
    desk.close()


def test_an_open_map_asks_for_the_new_ground_when_a_tile_is_gone(demo: Demo, browser: Browser) -> None:
    wall = Screen(browser, demo, "city", "/wall", 1366, 768)
    wall.page.locator("[data-testid=map][data-ready=true]").wait_for()
    ended = str(wall.context.request.get(f"{demo.url}/api/v1/map").json()["layers"]["cells"]["version"])

    def tile(route: Route) -> None:
        if f"/cells/{ended}/" in route.request.url:
            route.fulfill(status=404, body="")
        elif "/cells/begun/" in route.request.url:
            route.continue_(url=route.request.url.replace("/begun/", f"/{ended}/"))
        else:
            route.continue_()

    def ground(route: Route) -> None:
        answer = route.fetch().json()
        answer["layers"]["cells"]["version"] = "begun"
        route.fulfill(json=answer)

    wall.context.route("**/tiles/**", tile)
    wall.context.route("**/api/v1/map", ground)
    closer = wall.page.locator(".maplibregl-ctrl-zoom-in")
    with wall.page.expect_request("**/tiles/cells/begun/**", timeout=PATIENCE_MS):
        closer.click()
        closer.click()
    wall.close()
