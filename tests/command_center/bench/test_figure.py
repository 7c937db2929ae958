"""Figures say whether they hold what was promised, to people and to programs."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from command_center import bench
from command_center.bench.figure import Figure, at_most, faster, table
from command_center.cli import main


def test_a_rate_is_held_against_so_many_times_the_baseline() -> None:
    assert faster("look-up", 600.0, "points/s", 10.0, 50).met is True
    slow = faster("look-up", 490.0, "points/s", 10.0, 50)
    assert (slow.ratio, slow.met) == (49.0, False)


def test_a_value_at_its_ceiling_is_still_within_it() -> None:
    assert at_most("differences", 0, "points", 0).met is True
    assert at_most("differences", 1, "points", 0).met is False


def test_what_a_figure_does_not_have_is_not_in_its_json() -> None:
    assert Figure("memory", 60.5, "MiB").as_json() == {"what": "memory", "value": 60.5, "unit": "MiB"}
    assert faster("look-up", 600.0, "points/s", 10.0, 50).as_json()["met"] is True


def test_a_missed_goal_stands_out_in_the_table() -> None:
    lines = table([at_most("differences", 3, "points", 0), Figure("memory", 1234567.8, "MiB")]).splitlines()
    assert lines[0].split() == ["what", "value", "unit", "baseline", "ratio", "goal", "met"]
    assert lines[1].split() == ["differences", "3", "points", "0", "NO"]
    assert "1,234,568" in lines[2]


def test_a_benchmark_that_is_not_there_is_refused_with_those_there_are(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["bench", "everything", "--json", str(tmp_path / "figures.json")])
    assert result.exit_code == 2
    assert "locate" in bench.names()
    assert "figure" not in bench.names()
    assert "choose one of" in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "figures.json").exists()


def test_figures_survive_the_way_to_json() -> None:
    assert json.loads(json.dumps([at_most("differences", 0, "points", 0).as_json()])) == [
        {"what": "differences", "value": 0, "unit": "points", "goal": 0, "met": True}
    ]
