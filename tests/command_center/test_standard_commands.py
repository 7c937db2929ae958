"""``command-center standards``: versions are added, faults are said by cell, and a calendar says what it would move."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import openpyxl
import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Engine, text

from command_center.calendar_store import load_calendar
from command_center.city import build_city, city_mark, read_city
from command_center.cli import main
from command_center.standard.store import standards_of, standards_on
from command_center.ticket.clock import Limit, Unit
from command_center.ticket.store import open_tickets
from command_center.work_calendar import is_published
from config.database import scoped, web_engine, worker_engine
from tests.command_center.standard.workbooks import BURST, ROAD, ROWS, TITLES, WATER, changed, table, workbook
from tests.conftest import Database
from tests.running_city import StandingCity, standing_city
from tests.small_city import COUNTIES, cell_code

ZONE = ZoneInfo("Asia/Shanghai")
PACK = Path(str(files("config") / "suqian" / "standards.csv"))


def run(database: Database | None, *arguments: str) -> Result:
    environment = {"CC_DATABASE_URL": database.worker_url if database else ""}
    return CliRunner().invoke(main, ["standards", *arguments], env=environment)


def done(result: Result) -> str:
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(result: Result) -> str:
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    return result.stderr


@pytest.fixture
def engine(database: Database) -> Iterator[Engine]:
    made = worker_engine(database.worker_url, pool_size=2)
    yield made
    made.dispose()


def limits(engine: Engine, small_code: str, day: date, **more: Any) -> list[str]:
    with engine.connect() as connection:
        return [own.limit_text for own in standards_of(connection, small_code, day, **more)]


def test_the_shipped_pack_has_sixty_conditions_marked_as_demo_with_all_limits_readable() -> None:
    assert "65 conditions of 49 small classes; nothing stored" in done(run(None, "import", "--dry-run", str(PACK)))
    rows = PACK.read_text("utf-8").splitlines()
    assert all("演示数据" in row for row in rows[1:])
    # A number that no source states says so.
    assert all("待核实" in row or "时限见" in row for row in rows[1:])


def test_the_shipped_pack_keeps_what_the_published_table_says(database: Database, engine: Engine) -> None:
    done(run(database, "import", str(PACK), "--effective-from", "2026-01-01"))
    for small_code, published in {
        "E0506": ["2紧急工作时"],
        "E0501": ["1紧急工作时", "5工作日"],
        "E0304": ["2工作时"],
        "C0101": ["2紧急工作时", "4工作时", "2工作日", "5工作日"],
    }.items():
        assert limits(engine, small_code, date(2026, 1, 1)) == published


def test_what_is_imported_is_what_is_found_from_its_first_day_on(
    database: Database, engine: Engine, tmp_path: Path
) -> None:
    sheet = workbook(tmp_path / "events.xlsx", (TITLES, *ROWS))
    assert "from 2026-12-01" in done(run(database, "import", str(sheet), "--effective-from", "2026-12-01"))
    assert limits(engine, "0501", date(2026, 11, 30)) == []
    assert limits(engine, "0501", date(2026, 12, 1)) == ["1紧急工作时", "5工作日"]
    with engine.connect() as connection:
        burst, *_ = standards_on(connection, date(2027, 1, 1))
    assert (burst.small_name, burst.condition, burst.close_condition) == ("供水管道破裂", "漏水", "止水")
    assert burst.limit == Limit(1, Unit.CONTINUOUS)


def test_a_version_that_begins_later_holds_from_then_on_and_the_earlier_one_stays_for_its_days(
    database: Database, engine: Engine, tmp_path: Path
) -> None:
    first = table(tmp_path / "first.csv", (TITLES, BURST))
    second = table(tmp_path / "second.csv", (TITLES, changed(BURST, I="2紧急工作时")))
    third = table(tmp_path / "third.csv", (TITLES, changed(BURST, I="3紧急工作时")))
    done(run(database, "import", str(second), "--effective-from", "2027-01-01"))
    done(run(database, "import", str(first), "--effective-from", "2026-01-01"))
    assert limits(engine, "0501", date(2026, 12, 31)) == ["1紧急工作时"]
    assert limits(engine, "0501", date(2027, 1, 1)) == ["2紧急工作时"]
    done(run(database, "import", str(third), "--effective-from", "2027-01-01"))
    assert limits(engine, "0501", date(2027, 1, 1)) == ["3紧急工作时"]
    assert done(run(database, "list")).count("conditions") == 3


def test_two_sheets_of_different_names_stand_side_by_side(database: Database, engine: Engine, tmp_path: Path) -> None:
    today = datetime.now(ZONE).date()
    done(run(database, "import", str(table(tmp_path / "a.csv", (TITLES, BURST))), "--sheet", "事件"))
    done(run(database, "import", str(table(tmp_path / "b.csv", (TITLES, WATER))), "--sheet", "部件"))
    assert limits(engine, "0501", today, sheet="事件") == ["1紧急工作时"]
    assert limits(engine, "0501", today, sheet="部件") == []
    assert "0506 道路积水  2紧急工作时  积水 → 排除" in done(run(database, "list", "0506", "--sheet", "部件"))


def test_small_classes_numbered_anew_in_each_big_one_are_told_apart(
    database: Database, engine: Engine, tmp_path: Path
) -> None:
    rows = (changed(BURST, C="01"), changed(WATER, A="06", B="其他", C="01"))
    done(run(database, "import", str(table(tmp_path / "a.csv", (TITLES, *rows))), "--effective-from", "2026-01-01"))
    assert limits(engine, "01", date(2026, 1, 1), big_code="06") == ["2紧急工作时"]


def test_the_same_file_again_makes_no_version(database: Database, tmp_path: Path) -> None:
    sheet = table(tmp_path / "a.csv", (TITLES, *ROWS))
    assert "stored as version" in done(run(database, "import", str(sheet)))
    assert "newest version already" in done(run(database, "import", str(sheet)))
    assert done(run(database, "list")).count("conditions") == 1


def test_with_a_fault_nothing_is_stored_and_every_cell_at_fault_is_a_line(database: Database, tmp_path: Path) -> None:
    sheet = workbook(tmp_path / "a.xlsx", (TITLES, changed(BURST, I="soon"), changed(ROAD, G=None), WATER))
    lines = refused(run(database, "import", str(sheet))).splitlines()
    assert [line.removeprefix(f"{sheet}: ")[:3] for line in lines[:2]] == ["I2:", "G3:"]
    assert lines[2] == "2 faults, 1 conditions without one: nothing stored"
    assert done(run(database, "list")) == ""


def test_rows_with_faults_are_left_out_only_when_that_is_asked_for_and_are_kept_as_notices(
    database: Database, engine: Engine, tmp_path: Path
) -> None:
    sheet = table(tmp_path / "a.csv", (TITLES, changed(BURST, I="soon"), WATER))
    result = run(database, "import", str(sheet), "--skip-bad")
    assert "1 conditions of 1 small classes, 1 faults skipped" in done(result)
    assert "I2: 'soon' is no limit" in result.stderr
    assert limits(engine, "0506", datetime.now(ZONE).date()) == ["2紧急工作时"]
    with engine.connect() as connection:
        [notices] = connection.execute(text("SELECT notices FROM imports WHERE what = 'standards'")).scalars()
    assert notices[0].startswith("I2: 'soon' is no limit")


def test_the_worksheet_is_the_one_with_the_columns_or_the_one_that_is_named(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.title = "说明"
    for name in ("事件", "部件"):
        for row in (TITLES, BURST):
            (book[name] if name in book.sheetnames else book.create_sheet(name)).append(row)
    book.save(tmp_path / "two.xlsx")
    path = str(tmp_path / "two.xlsx")
    assert "choose one with --worksheet (事件, 部件)" in refused(run(None, "import", "--dry-run", path))
    assert "1 conditions" in done(run(None, "import", "--dry-run", path, "--worksheet", "部件"))
    assert "there is no sheet '别的'" in refused(run(None, "import", "--dry-run", path, "--worksheet", "别的"))
    del book["部件"]
    book.save(tmp_path / "one.xlsx")
    assert "1 conditions" in done(run(None, "import", "--dry-run", str(tmp_path / "one.xlsx")))


@pytest.mark.parametrize(
    "arguments",
    [
        ("import", "nowhere.xlsx"),
        ("import", str(PACK), "--sheet", "a b"),
        ("import", str(PACK), "--effective-from", "soon"),
        ("import", str(PACK)),
        ("calendar", "nowhere.csv"),
        ("calendar", str(PACK)),
        ("list",),
    ],
)
def test_a_wrong_argument_is_one_line_and_status_two(arguments: tuple[str, ...]) -> None:
    assert refused(run(None, *arguments)).count("\n") == 1


def test_a_small_class_that_is_not_in_the_sheet_is_said_so(database: Database) -> None:
    assert "no standard for the small class '9999'" in refused(run(database, "list", "9999"))


@pytest.fixture
def standing(database: Database) -> Iterator[StandingCity]:
    with standing_city(database) as found:
        yield found


def test_standards_and_calendar_may_be_read_from_any_scope(standing: StandingCity, tmp_path: Path) -> None:
    database = standing.database
    done(run(database, "import", str(PACK), "--effective-from", "2026-01-01"))
    engine = web_engine(database.web_url)
    with scoped(engine, standing.small.region(COUNTIES[0]).scope) as connection:
        assert len(standards_on(connection, date(2026, 1, 1))) == 65
        assert load_calendar(connection).stated == ()
    engine.dispose()


def _notice(folder: Path, *days: tuple[date, bool]) -> str:
    rows = [(day.isoformat(), "yes" if works else "no", "the notice", "yes") for day, works in days]
    return str(table(folder / "notice.csv", [("day", "is_workday", "source", "verified"), *rows]))


def test_stating_days_names_the_deadlines_that_lie_elsewhere_then_and_dry_runs_change_nothing(
    standing: StandingCity, tmp_path: Path
) -> None:
    database = standing.database
    dusty = standing.open_ticket(cell_code(0), matter="dust")
    standing.open_ticket(cell_code(1), matter="waterlogging")
    with standing.engine.connect() as connection:
        assert {own.place.category for own in open_tickets(connection)} == {"dust", "waterlogging"}
        [number] = connection.execute(text("SELECT number FROM tickets WHERE id = :id"), {"id": dusty}).scalars()
    # A fortnight off from today on: whenever the test runs, the office hours are elsewhere.
    today = datetime.now(ZONE).date()
    notice = _notice(tmp_path, *((today + timedelta(days=n), False) for n in range(14)))
    mark = _mark(standing)
    told = done(run(database, "calendar", notice, "--dry-run"))
    assert "14 days would be stated; 1 open deadlines lie elsewhere" in told
    assert f"{number}: " in told
    assert _mark(standing) == mark
    assert "14 days stated; 1 open deadlines lie elsewhere" in done(run(database, "calendar", notice))
    assert _mark(standing) != mark
    assert "14 days stated" in done(run(database, "calendar"))


def test_the_city_read_anew_counts_by_the_days_that_were_stated(standing: StandingCity, tmp_path: Path) -> None:
    saturday = date(2026, 11, 28)
    done(run(standing.database, "calendar", _notice(tmp_path, (saturday, True))))
    city = build_city(read_city(standing.engine), "suqian", ZONE, datetime.now(UTC))
    friday = datetime(2026, 11, 27, 17, tzinfo=ZONE)
    assert city.dispatch.due_at("dust", 1, friday) == datetime(2026, 11, 28, 9, tzinfo=ZONE)


def test_a_statement_about_a_day_replaces_the_one_before(database: Database, engine: Engine, tmp_path: Path) -> None:
    first, second = date(2027, 2, 5), date(2027, 2, 6)
    done(run(database, "calendar", _notice(tmp_path, (first, False), (second, False))))
    done(run(database, "calendar", _notice(tmp_path, (second, True))))
    with engine.connect() as connection:
        calendar = load_calendar(connection)
    assert [(own.day, own.is_workday) for own in calendar.stated] == [(first, False), (second, True)]


def test_years_whose_holidays_are_only_computed_are_warned_of(database: Database, tmp_path: Path) -> None:
    year = datetime.now(ZONE).year + 1
    warned = run(database, "calendar")
    fixed = [date(year, month, day) for month, day in ((1, 1), (5, 1), (5, 2), (10, 1), (10, 2), (10, 3))]
    verified = run(database, "calendar", _notice(tmp_path, *((day, False) for day in fixed)))
    assert f"the holidays of {year} are not verified" not in verified.stderr
    # The library may know the year by the time this runs.
    assert (f"the holidays of {year} are not verified" in warned.stderr) is not is_published(year)


def _mark(standing: StandingCity) -> str:
    with standing.engine.connect() as connection:
        return city_mark(connection, ZONE, datetime.now(UTC))
