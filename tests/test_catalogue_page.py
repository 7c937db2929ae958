"""The catalogue's page as people use it: a department's table tried, mended and taken; an entry changed, with its history.

Everything is real, as in ``test_main_job``.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.test_main_job import GAUGE, Demo, Screen, browser, demo

pytestmark = [pytest.mark.alone, pytest.mark.timeout(420)]

__all__ = ["browser", "demo"]


def test_a_table_is_tried_mended_and_taken_and_an_entry_is_changed(
    demo: Demo, browser: Browser, tmp_path: Path
) -> None:
    screen = Screen(browser, demo, "city", "/admin?tab=catalogue", 1366, 768)
    page = screen.page
    page.get_by_test_id("catalogue-search").fill(GAUGE)
    expect(page.get_by_test_id("entry-row")).to_have_count(1)
    page.locator(f"[data-testid=entry-row][data-sensor='{GAUGE}'] button").click()
    detail = page.get_by_test_id("entry-detail")
    expect(detail).to_contain_text("积水监测仪")
    page.get_by_test_id("entry-edit").click()
    page.get_by_test_id("entry-owner").fill("宿城区城管局")
    page.get_by_test_id("entry-save").click()
    expect(detail).to_have_attribute("data-revision", "2")
    expect(page.get_by_test_id("entry-history")).to_contain_text("市城市管理局 → 宿城区城管局")
    lng = float(detail.inner_text().split("位置")[1].split(",")[0].strip())
    lat = float(detail.inner_text().split("位置")[1].split(",")[1].split("·")[0].strip())

    table = tmp_path / "sensors.csv"
    header = "编号,名称,领域,监测量,经度,纬度,坐标系,型号"
    row = f"page-1,页面测点,大应急,water_depth,{lng},{lat},WGS84,water-depth-gauge"
    table.write_text(f"{header}\n{row}\n{row.replace('page-1', 'page-2').replace('WGS84', 'UTM')}\n", "utf-8")
    page.get_by_test_id("catalogue-import").click()
    page.get_by_test_id("import-file").set_input_files(table)
    expect(page.get_by_test_id("import-faults")).to_contain_text("没有坐标系 'UTM'")
    expect(page.get_by_test_id("import-take")).to_be_disabled()
    table.write_text(f"{header}\n{row}\n", "utf-8")
    page.get_by_test_id("import-file").set_input_files([])
    page.get_by_test_id("import-file").set_input_files(table)
    expect(page.get_by_test_id("import-sum")).to_contain_text("新增 1")
    page.get_by_test_id("import-take").click()
    expect(page.get_by_test_id("import-sum")).to_have_attribute("data-stored", "true")
    page.get_by_test_id("import-close").click()
    page.get_by_test_id("catalogue-search").fill("page-1")
    expect(page.get_by_test_id("entry-row")).to_contain_text("页面测点")
    expect(page.get_by_test_id("entry-row")).to_contain_text("从未上报")
    assert screen.errors == []
