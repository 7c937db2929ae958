"""``rules backtest`` over tables: what it reports, what it refuses, and that it says so in one clear line."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from command_center.cli import main

_ACTION = "action: {zh-CN: 巡查, en: inspect}"
PACK = f"""
pack: test
rules:
  - id: flood
    kind: threshold
    domain: emergency
    category: waterlogging
    title: {{zh-CN: 积水, en: Flood}}
    quantity: water_depth
    direction: above
    levels: [{{severity: 2, at: 0.15, {_ACTION}}}, {{severity: 3, at: 0.25, {_ACTION}}}]
    clear: 0.1
    source: {{text: a test, confidence: unverified}}
"""
STRICTER = PACK.replace("at: 0.15", "at: 0.2")
HEADER = "sensor,at,quantity,value"
STORM = [
    "gauge-1,2026-07-01T08:00:00+08:00,water_depth,0.02",
    "gauge-1,2026-07-01T08:01:00+08:00,water_depth,0.18",
    "gauge-1,2026-07-01T08:02:00+08:00,water_depth,0.31",
    "gauge-1,2026-07-01T08:03:00+08:00,water_depth,0.12",
    "gauge-1,2026-07-01T08:04:00+08:00,water_depth,0.05",
    "gauge-2,2026-07-01T08:04:30+08:00,water_depth,0.16",
]


def run(folder: Path, *options: str, rules: str = PACK, rows: Sequence[str] = STORM, header: str = HEADER) -> Result:
    (folder / "pack.yaml").write_text(rules, encoding="utf-8")
    (folder / "readings.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    fixed = ["rules", "backtest", "--rules", f"{folder}/pack.yaml", "--out", f"{folder}/report.json"]
    readings = [] if "--from" in options else ["--readings", f"{folder}/readings.csv"]
    return CliRunner().invoke(main, [*fixed, *readings, *options], catch_exceptions=False)


def report(folder: Path, *options: str, **more: Any) -> dict[str, Any]:
    result = run(folder, *options, **more)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads((folder / "report.json").read_text("utf-8"))
    return found


def test_rules_of_wartime_speak_when_it_is_judged_as_in_wartime_and_those_of_peacetime_do_not(tmp_path: Path) -> None:
    peace = PACK.replace("    quantity:", "    when: {mode: peacetime}\n    quantity:")
    war = PACK.replace("id: flood", "id: early").replace("    quantity:", "    when: {mode: wartime}\n    quantity:")
    both = peace + war.partition("rules:\n")[2]
    assert {one["rule"] for one in report(tmp_path, rules=both)["alerts"]} == {"flood"}
    found = report(tmp_path, "--mode", "wartime", rules=both)
    assert ({one["rule"] for one in found["alerts"]}, found["mode"]) == ({"early"}, "wartime")


def test_alerts_groups_and_counts_of_a_storm_are_those_worked_out_by_hand(tmp_path: Path) -> None:
    found = report(tmp_path)
    wanted = ("rule", "sensor", "severity", "raised_at", "ended_at")
    assert [[alert[name] for name in wanted] for alert in found["alerts"]] == [
        ["flood", "gauge-1", 3, "2026-07-01T00:01:00+00:00", "2026-07-01T00:04:00+00:00"],
        ["flood", "gauge-2", 2, "2026-07-01T00:04:30+00:00", None],
    ]
    assert found["alerts"][0]["peak"] == 0.31
    assert [len(group["members"]) for group in found["groups"]] == [1, 1], "nobody knows whether the two are near"
    assert found["per_rule"] == [
        {"rule": "flood", "alerts": 2, "minutes": 3.0, "sensors": 2, "by_severity": {"2": 1, "3": 1}}
    ]
    assert found["per_day"] == [
        {"day": "2026-07-01", "alerts": 2, "minutes": 3.0, "sensors": 2, "by_severity": {"2": 1, "3": 1}}
    ]
    assert (found["readings"]["taken"], found["readings"]["refused"]) == (6, {})


def test_the_order_of_the_rows_does_not_matter(tmp_path: Path) -> None:
    rows = STORM.copy()
    random.Random(7).shuffle(rows)
    first, second = report(tmp_path), report(tmp_path, rows=rows)
    assert (first["alerts"], first["groups"]) == (second["alerts"], second["groups"])


def test_silence_is_judged_by_what_others_say_meanwhile(tmp_path: Path) -> None:
    absence = f"""
rules:
  - id: silent
    kind: absence
    domain: emergency
    category: sensor_fault
    title: {{zh-CN: 失联, en: Silent}}
    where: {{sensors: [gauge-1]}}
    levels: [{{severity: 2, at: 600, {_ACTION}}}]
    source: {{text: a test, confidence: unverified}}
"""
    rows = [f"gauge-2,2026-07-01T08:{minute:02d}:00+08:00,water_depth,0.01" for minute in range(60)]
    rows += [f"gauge-1,2026-07-01T08:{minute:02d}:00+08:00,water_depth,0.01" for minute in (0, 30)]
    found = report(tmp_path, rules=absence, rows=rows)
    assert [(alert["raised_at"][11:16], (alert["ended_at"] or "")[11:16]) for alert in found["alerts"]] == [
        ("00:10", "00:30"),
        ("00:40", ""),
    ]


def test_epoch_milliseconds_are_the_same_times(tmp_path: Path) -> None:
    rows = [
        ",".join([sensor, str(1_782_864_000_000 + 60_000 * place), quantity, value])
        for place, (sensor, _, quantity, value) in enumerate(row.split(",") for row in STORM[:5])
    ]
    assert report(tmp_path, rows=rows)["alerts"] == report(tmp_path, rows=STORM[:5])["alerts"]


def test_bad_rows_are_listed_with_line_and_reason_and_spoil_nothing(tmp_path: Path) -> None:
    bad = [
        "gauge-1,yesterday,water_depth,0.2",
        "gauge-1,2026-07-01T08:00:00,water_depth,0.2",
        "gauge-1,2026-07-01T08:00:30+08:00,water_depth,deep",
        "gauge-1,2026-07-01T08:00:30+08:00,water_depth,nan",
        "gauge-1,2026-07-01T08:00:30+08:00,water_depth",
        "unheard,2026-07-01T08:00:30+08:00,,0.2",
    ]
    found = report(tmp_path, rows=[*bad, *STORM])
    assert found["readings"]["refused"] == {"at": 2, "value": 2, "columns": 1, "quantity": 1}
    assert [row["line"] for row in found["readings"]["refused_rows"]] == [2, 3, 4, 5, 6, 7]
    assert "offset" in found["readings"]["refused_rows"][1]["reason"]
    assert found["alerts"] == report(tmp_path)["alerts"]
    assert found["readings"]["sensors"] == 2


def test_values_that_cannot_be_are_counted_and_never_alert(tmp_path: Path) -> None:
    found = report(tmp_path, rows=["gauge-1,2026-07-01T08:00:00+08:00,water_depth,7"])
    assert found["alerts"] == []
    assert found["readings"]["left_out"] == {"out_of_range": 1}


def test_a_quantity_that_no_catalogue_knows_is_taken_as_it_comes_and_said(tmp_path: Path) -> None:
    rows = [row.replace("water_depth", "soak") for row in STORM]
    result = run(tmp_path, rules=PACK.replace("water_depth", "soak"), rows=rows)
    assert result.exit_code == 0
    assert "soak is not in the catalogue" in result.stderr
    found = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert (len(found["alerts"]), found["readings"]["unknown_quantities"]) == (2, ["soak"])


def test_a_bad_rule_is_refused_with_its_line_and_stops_no_other(tmp_path: Path) -> None:
    bad = PACK.split("rules:\n")[1].replace("flood", "broken").replace("clear: 0.1", "clear: 9")
    found = report(tmp_path, rules=PACK + bad)
    [refusal] = found["rules"]["refused"]
    assert refusal["line"] > PACK.count("\n")
    assert len(found["alerts"]) == 2


def test_rules_that_the_readings_cannot_reach_are_named_with_the_reason(tmp_path: Path) -> None:
    other = (
        PACK.split("rules:\n")[1]
        .replace("flood", "roar")
        .replace("water_depth", "noise")
        .replace("clear: 0.1", "clear: 0")
    )
    found = report(tmp_path, rules=PACK + other)
    assert [entry["rule"] for entry in found["rules"]["not_evaluated"]] == ["roar"]
    assert "noise" in found["rules"]["not_evaluated"][0]["reason"]


def test_against_other_rules_says_what_only_one_of_them_gives(tmp_path: Path) -> None:
    (tmp_path / "stricter.yaml").write_text(STRICTER, encoding="utf-8")
    found = report(tmp_path, "--against", f"{tmp_path}/stricter.yaml")["against"]
    assert found["both"] == 1
    assert [alert["sensor"] for alert in found["only_here"]] == ["gauge-2"]
    assert found["only_there"] == []


def test_against_the_current_rules_reads_the_city_s_own(tmp_path: Path) -> None:
    found = report(tmp_path, "--against", "current")["against"]
    assert found["rules"] == "current"
    assert {alert["rule"] for alert in found["only_there"]} >= {"road-waterlogging"}


def test_labels_give_precision_and_recall(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text(
        "sensor,from,to\ngauge-1,2026-07-01T08:00:30+08:00,2026-07-01T08:03:00+08:00\n", encoding="utf-8"
    )
    found = report(tmp_path, "--labels", f"{tmp_path}/labels.csv")["labels"]
    assert (found["precision"], found["recall"], found["median_delay_s"]) == (0.5, 1.0, 30.0)


CELLS = {
    "type": "FeatureCollection",
    "features": [
        {
            "type": "Feature",
            "properties": {"code": code},
            "geometry": {
                "type": "Polygon",
                "coordinates": [[[x, 33.9], [x + 0.1, 33.9], [x + 0.1, 34.0], [x, 34.0], [x, 33.9]]],
            },
        }
        for code, x in (("west", 118.2), ("east", 118.3))
    ],
}


def test_positions_give_cells_and_bring_neighbours_into_one_group(tmp_path: Path) -> None:
    (tmp_path / "cells.geojson").write_text(json.dumps(CELLS), encoding="utf-8")
    spots = {"gauge-1": "118.2500,33.95", "gauge-2": "118.2501,33.95"}
    rows = [f"{row},{spots[row.split(',')[0]]}" for row in STORM]
    found = report(tmp_path, "--cells", f"{tmp_path}/cells.geojson", rows=rows, header=HEADER + ",lng,lat")
    assert [alert["cell"] for alert in found["alerts"]] == ["west", "west"]
    assert [len(group["members"]) for group in found["groups"]] == [2]
    assert [entry["cell"] for entry in found["per_cell"]] == ["west"]


def test_what_moves_alerts_where_it_was_and_is_silent_outside(tmp_path: Path) -> None:
    (tmp_path / "cells.geojson").write_text(json.dumps(CELLS), encoding="utf-8")
    rows = [
        "car,2026-07-01T08:00:00+08:00,water_depth,0.02,118.25,33.95",
        "car,2026-07-01T08:01:00+08:00,water_depth,0.20,118.35,33.95",
        "car,2026-07-01T08:02:00+08:00,water_depth,0.01,118.35,33.95",
        "car,2026-07-01T08:03:00+08:00,water_depth,0.20,119.00,33.95",
    ]
    found = report(tmp_path, "--cells", f"{tmp_path}/cells.geojson", rows=rows, header=HEADER + ",lng,lat")
    assert [alert["cell"] for alert in found["alerts"]] == ["east"]
    assert found["readings"]["left_out"] == {"outside_city": 1}


@pytest.mark.parametrize(
    ("options", "more", "said"),
    [
        ((), {"rows": []}, "no reading in it"),
        ((), {"header": "id,time,value"}, "column sensor is needed"),
        ((), {"rules": "rules: 7"}, "no rule was taken"),
        (("--cells", "nowhere.geojson"), {}, "nowhere.geojson"),
        (("--labels", "nowhere.csv"), {}, "nowhere.csv"),
        (("--against", "nowhere.yaml"), {}, "nowhere.yaml"),
        (("--region", "321302"), {}, "--from"),
        (("--from", "2026-01-01T00:00:00Z"), {}, "--to"),
        (("--quantities", "nowhere.yaml"), {}, "nowhere.yaml"),
    ],
)
def test_bad_arguments_and_files_give_one_clear_line_and_status_2(
    tmp_path: Path, options: tuple[str, ...], more: dict[str, Any], said: str
) -> None:
    result = run(tmp_path, *options, **more)
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "report.json").exists()


def test_a_report_that_cannot_be_written_is_said_before_the_work(tmp_path: Path) -> None:
    result = run(tmp_path, "--out", f"{tmp_path}/no/such/folder.json")
    assert result.exit_code == 2
    assert "no such folder" in result.stderr
