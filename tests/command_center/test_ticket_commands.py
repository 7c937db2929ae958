"""On-time figures through the command line: right numbers, and one clear line for whatever cannot be meant."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from command_center.cli import main
from command_center.ticket_commands import tickets
from tests.command_center.ticket import recorded

# The group that gives errors their form, whatever else it holds.
door = type(main)("command-center", commands={"tickets": tickets})

HEAD = "number,service,agency,opened_at,due_at,closed_at\n"
TABLE = HEAD + (
    "1,路面坑洞,城管局,2026-11-02T09:00:00+08:00,2026-11-04T09:00:00+08:00,2026-11-04T09:00:00+08:00\n"
    "2,路面坑洞,城管局,2026-11-02 09:00,2026-11-04 09:00,2026-11-04 09:01\n"
    "3,路面坑洞,环卫处,2026-11-02 09:00,2026-11-03 09:00,\n"
    "4,垃圾,环卫处,2026-11-02 09:00,2026-12-03 09:00,\n"
    "5,垃圾,环卫处,2026-11-02 09:00,,2026-11-02 10:00\n"
)


def table(folder: Path, text: str = TABLE, encoding: str = "utf-8") -> Path:
    path = folder / "tickets.csv"
    path.write_bytes(text.encode(encoding))
    return path


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(door, ["tickets", "evaluate", *map(str, arguments)])


def done(result: Result) -> list[list[str]]:
    assert result.exit_code == 0, result.output
    return [line.split() for line in result.stdout.splitlines()]


def refused(result: Result) -> str:
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    assert len(result.stderr.splitlines()) == 1
    return result.stderr


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_the_figures_are_shown_per_service_with_all_in_the_last_row(tmp_path: Path, encoding: str) -> None:
    lines = done(run(table(tmp_path, encoding=encoding)))
    assert lines[1] == ["路面坑洞", "3", "3", "2", "1", "1", "1", "33.3%", "50.0%"]
    assert lines[2] == ["垃圾", "2", "0", "1", "0", "0", "0", "-", "-"]
    assert lines[3] == ["total", "5", "3", "3", "1", "1", "1", "33.3%", "50.0%"]
    assert " ".join(lines[4]).startswith("as of 2026-11-04T09:01:00+08:00; not due: 1 open with time left, 1 without")


def test_the_figures_can_be_had_per_agency_as_of_another_time_and_as_json(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    lines = done(run(table(tmp_path), "--by", "agency", "--now", "2026-12-31", "--json", out))
    assert lines[1] == ["环卫处", "3", "2", "1", "0", "0", "2", "0.0%", "-"]
    figures = json.loads(out.read_text("utf-8"))
    assert figures["now"] == "2026-12-31T00:00:00+08:00"
    assert [row["key"] for row in figures["rows"]] == ["环卫处", "城管局"]
    assert figures["rows"][1]["rate_of_closed"] == 0.5
    assert figures["all"]["total"] == 5


def test_times_without_an_offset_are_those_of_the_zone_named(tmp_path: Path) -> None:
    # The first row states +08:00; read in New York the others lie thirteen hours later.
    lines = done(run(table(tmp_path), "--zone", "America/New_York"))
    assert lines[4][2] == "2026-11-04T09:01:00-05:00;"


def test_a_ticket_closed_before_it_was_opened_is_counted_and_said(tmp_path: Path) -> None:
    result = run(table(tmp_path, HEAD + "1,a,b,2026-11-02,2026-11-04,2026-11-01\n"))
    assert done(result)[1][:5] == ["a", "1", "1", "1", "1"]
    assert result.stderr.startswith("warning: 1 tickets are closed before they were opened")


ROW = "1,a,b,2026-11-02,2026-11-04,\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "column number, service, agency, opened_at, due_at, closed_at is missing"),
        (HEAD, "there is no ticket in it"),
        (HEAD.replace("agency", "office") + ROW, "column agency is missing; name the file's own with --columns"),
        (HEAD + ROW + ROW, "line 3: number '1' stands in line 2 already"),
        (HEAD + ",a,b,2026-11-02,2026-11-04,\n", "line 2: number is empty"),
        (HEAD + "1,,b,2026-11-02,2026-11-04,\n", "line 2: service is empty"),
        (HEAD + "1,a,b,,2026-11-04,\n", "line 2: opened_at is empty"),
        (HEAD + "1,a,b,2026-11-02,soon,\n", "line 2: due_at 'soon' is no time such as"),
        (HEAD + "1,a,b,2026-11-02,2026-11-04,2026-02-30\n", "line 2: closed_at '2026-02-30' is no time"),
        (HEAD + "1,a,b,2026-11-02,2026-11-04,,more\n", "line 2: more fields than titles"),
        (HEAD + '1,"a"x,b,2026-11-02,2026-11-04,\n', "not a CSV table"),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    assert said in refused(run(table(tmp_path, text)))


def test_a_file_that_is_missing_a_folder_or_no_text_is_refused_in_one_line(tmp_path: Path) -> None:
    assert "no such file" in refused(run(tmp_path / "none.csv"))
    assert "directory" in refused(run(tmp_path))
    (tmp_path / "picture.csv").write_bytes(b"\x89PNG\xff\xff\x00")
    assert "neither UTF-8 nor GB 18030 text" in refused(run(tmp_path / "picture.csv"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--columns", "number"], "--columns: 'number' is no pair such as number=ID"),
        (["--columns", "colour=red"], "'colour=red' is no pair"),
        (["--zone", "Moon/Tycho"], "--zone: 'Moon/Tycho' is no time zone"),
        (["--now", "noon"], "--now 'noon' is no time such as"),
        (["--json", "/nowhere/at/all.json"], "/nowhere/at/all.json: cannot be written"),
    ],
)
def test_an_option_that_cannot_be_meant_is_refused_in_one_line(tmp_path: Path, arguments: list[str], said: str) -> None:
    assert said in refused(run(table(tmp_path), *arguments))


def test_a_month_of_real_tickets_is_evaluated_with_the_names_of_its_own_columns() -> None:
    recorded.rows()
    columns = ",".join(f"{name}={title}" for name, title in recorded.COLUMNS.items())
    lines = done(run(recorded.DC311, "--by", "agency", "--columns", columns))
    assert lines[1] == ["DPW", "9,184", "8,275", "7,961", "7,561", "399", "315", "91.4%", "95.0%"]
    assert lines[7] == ["total", "15,360", "12,631", "11,917", "10,651", "1,265", "715", "84.3%", "89.4%"]
