"""Recorded series through the back-test. What must come out is worked out once more, in plain Python over the same files."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner

from command_center.cli import main
from rules import rulebook
from rules.rule import ThresholdRule

SERIES = Path(__file__).parents[3] / "shared" / "data" / "series"
BEIJING_HOUR = timedelta(hours=8)

Row = tuple[str, datetime, str, float]


class Episode(NamedTuple):
    """One alert as it should be: times, and the highest severity it reached."""

    rule: str
    sensor: str
    severity: int
    raised_at: datetime
    ended_at: datetime | None


def recorded(name: str) -> Path:
    path = SERIES / name
    if not path.exists():
        pytest.skip(f"the recorded series ../shared/data/series/{name} is not here")
    return path


def played(folder: Path, rules: str | Path, rows: Iterable[Row], *more: str) -> dict[str, Any]:
    """The report of a back-test of a pack (its text or its file) over the rows."""
    if isinstance(rules, str):
        (folder / "pack.yaml").write_text(rules, encoding="utf-8")
        rules = folder / "pack.yaml"
    with (folder / "readings.csv").open("w", encoding="utf-8", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(("sensor", "at", "quantity", "value"))
        table.writerows((sensor, at.isoformat(), quantity, value) for sensor, at, quantity, value in rows)
    arguments = ["rules", "backtest", "--rules", rules, "--readings", folder / "readings.csv"]
    arguments += ["--out", folder / "report.json", *more]
    result = CliRunner().invoke(main, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    report: dict[str, Any] = json.loads((folder / "report.json").read_text("utf-8"))
    return report


def episodes(report: dict[str, Any]) -> list[Episode]:
    return sorted(
        Episode(
            alert["rule"],
            alert["sensor"],
            alert["severity"],
            datetime.fromisoformat(alert["raised_at"]),
            None if alert["ended_at"] is None else datetime.fromisoformat(alert["ended_at"]),
        )
        for alert in report["alerts"]
    )


@dataclass
class Ladder:
    """A rule as somebody would write it down on paper: levels (severity, at), clear, and how long a level must hold."""

    rule: str
    levels: Sequence[tuple[int, Fraction]]
    clear: Fraction
    for_s: float = 0
    gap_after_s: float | None = None  # longer silences reset; None: silence means nothing

    def alerts(self, sensor: str, values: Iterable[tuple[datetime, Fraction | None]]) -> Iterator[Episode]:
        """The alerts of one sensor; a value that is None is not known and changes nothing."""
        raised_at: datetime | None = None
        severity = 0
        since: dict[int, datetime] = {}
        last: datetime | None = None
        for at, value in values:
            if last is not None and self.gap_after_s is not None and (at - last).total_seconds() > self.gap_after_s:
                since = {}
                if raised_at is not None:
                    yield Episode(self.rule, sensor, severity, raised_at, last + timedelta(seconds=self.gap_after_s))
                    raised_at = None
            last = at
            if value is None:
                continue
            held = 0
            for step, level in self.levels:
                if value < level:
                    since.pop(step, None)
                elif (at - since.setdefault(step, at)).total_seconds() >= self.for_s:
                    held = step
            if raised_at is not None and value < self.clear:
                yield Episode(self.rule, sensor, severity, raised_at, at)
                raised_at = None
            elif raised_at is not None:
                severity = max(severity, held)
            elif held:
                raised_at, severity = at, held
        if raised_at is not None:
            yield Episode(self.rule, sensor, severity, raised_at, None)


def stages() -> dict[str, list[tuple[datetime, Fraction]]]:
    """Stage in metres by station, in order of time."""
    found: dict[str, list[tuple[datetime, Fraction]]] = defaultdict(list)
    with recorded("uk_river_wear_levels.csv").open(encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            found[row["station"]].append((datetime.fromisoformat(row["dateTime"]), Fraction(row["value"])))
    return {station: sorted(values) for station, values in found.items()}


def wear_rows() -> Iterator[Row]:
    for station, values in stages().items():
        yield from ((station, at, "river_level", float(value)) for at, value in values)


_RULE = """
  - id: {id}
    kind: {kind}
    domain: emergency
    category: river
    title: {{zh-CN: 河道水位, en: River level}}
    quantity: river_level
    direction: above
    source: {{text: numbers of this test, confidence: unverified}}
    damping: null
"""
_ACTION = "action: {zh-CN: 巡查, en: inspect}"
WEAR = (
    "pack: wear\nrules:"
    + _RULE.format(id="high", kind="threshold")
    + f"""    levels:
      - {{severity: 1, at: 0.8, {_ACTION}}}
      - {{severity: 2, at: 1.0, {_ACTION}}}
      - {{severity: 4, at: 1.3, {_ACTION}}}
    clear: 0.7
"""
    + _RULE.format(id="held", kind="threshold")
    + f"""    levels: [{{severity: 2, at: 0.75, {_ACTION}}}]
    clear: 0.65
    for_s: 7200
    gap: reset
    gap_after_s: 2700
"""
    + _RULE.format(id="rising", kind="rate")
    + f"""    over_s: 3600
    levels: [{{severity: 2, at: 0.12, {_ACTION}}}, {{severity: 3, at: 0.2, {_ACTION}}}]
    clear: 0.05
    gap: hold
"""
    + _RULE.format(id="long-high", kind="window")
    + f"""    statistic: mean
    over_s: 21600
    levels: [{{severity: 2, at: 0.85, {_ACTION}}}]
    clear: 0.8
    gap: hold
"""
)


_NEAR = 60  # readings of a quarter of an hour each: further back than any window here reaches


def rates(values: Sequence[tuple[datetime, Fraction]], over_s: int) -> Iterator[tuple[datetime, Fraction | None]]:
    """Metres an hour over ``over_s``: against the newest reading that old, else the oldest if it is half as old."""
    for place, (at, value) in enumerate(values):
        ago = [(at - then, before) for then, before in values[max(place - _NEAR, 0) : place]]
        old = [pair for pair in ago if pair[0].total_seconds() >= over_s]
        chosen = old[-1] if old else ago[0] if ago and ago[0][0].total_seconds() >= over_s / 2 else None
        yield at, None if chosen is None else (value - chosen[1]) * 3600 / Fraction(chosen[0].total_seconds())


def means(
    values: Sequence[tuple[datetime, Fraction]], over_s: int, least: int
) -> Iterator[tuple[datetime, Fraction | None]]:
    """The mean of (at - over_s, at], not known with fewer than ``least`` readings."""
    for place, (at, _) in enumerate(values):
        inside = [
            value for then, value in values[max(place - _NEAR, 0) : place + 1] if (at - then).total_seconds() < over_s
        ]
        yield at, sum(inside, Fraction(0)) / len(inside) if len(inside) >= least else None


def test_the_wear_in_autumn_gives_exactly_the_alerts_worked_out_on_paper(tmp_path: Path) -> None:
    high = Ladder("high", [(1, Fraction("0.8")), (2, Fraction(1)), (4, Fraction("1.3"))], Fraction("0.7"))
    held = Ladder("held", [(2, Fraction("0.75"))], Fraction("0.65"), for_s=7200, gap_after_s=2700)
    rising = Ladder("rising", [(2, Fraction("0.12")), (3, Fraction("0.2"))], Fraction("0.05"))
    long_high = Ladder("long-high", [(2, Fraction("0.85"))], Fraction("0.8"))
    expected: list[Episode] = []
    for station, values in stages().items():
        expected += high.alerts(station, values)
        expected += held.alerts(station, values)
        expected += rising.alerts(station, rates(values, 3600))
        expected += long_high.alerts(station, means(values, 21600, least=12))
    report = played(tmp_path, WEAR, wear_rows())
    assert episodes(report) == sorted(expected)
    assert {alert.rule for alert in expected} == {"high", "held", "rising", "long-high"}
    assert report["readings"]["taken"] == 14_088
    assert sum(rule["alerts"] for rule in report["per_rule"]) == len(expected)
    assert sum(day["alerts"] for day in report["per_day"]) == len(expected)


def test_the_three_floods_of_one_station_are_where_the_eye_finds_them_in_the_table(tmp_path: Path) -> None:
    report = played(tmp_path, WEAR, (row for row in wear_rows() if row[0] == "Stanhope"))
    floods = [alert for alert in report["alerts"] if alert["severity"] == 4]
    assert [(alert["raised_at"], alert["ended_at"]) for alert in floods] == [
        ("2022-10-20T14:45:00+00:00", "2022-10-21T14:00:00+00:00"),
        ("2022-10-23T16:00:00+00:00", "2022-10-24T14:00:00+00:00"),
        ("2022-11-02T17:45:00+00:00", "2022-11-04T03:15:00+00:00"),
    ]
    assert [alert["peak"] for alert in floods] == [1.316, 1.301, 1.303], "the readings that first reached 1.3 m"


def parked(name: str) -> Iterator[tuple[str, datetime, Fraction]]:
    """Occupancy in percent: the table leaves out what has not changed and gives free places, the other one the capacity."""
    with recorded("parking_de_meta.csv").open(encoding="utf-8") as stream:
        places = {row["place_id"]: int(row["num_all"]) for row in csv.DictReader(stream) if row["num_all"].isdecimal()}
    free: dict[str, int] = {}
    with recorded(name).open(encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            at = datetime.fromisoformat(row.pop("timestamp"))
            free |= {place: int(text) for place, text in row.items() if text}
            for place, count in free.items():
                if places.get(place):
                    yield place, at, 100 * (1 - Fraction(count, places[place]))


def shipped(file: str, rule: str) -> tuple[Path, ThresholdRule]:
    """A shipped pack, and one of its threshold rules."""
    path = Path(str(files("config").joinpath("suqian", "rules", file)))
    names = [line.split("name: ")[1].split(",")[0] for line in _quantities().splitlines() if "name: " in line]
    book = rulebook.read({file: path.read_text("utf-8")}, names, date(2026, 11, 24))
    [found] = [each for each in book.rules if each.id == rule]
    assert isinstance(found, ThresholdRule)
    return path, found


def _quantities() -> str:
    return files("config").joinpath("suqian", "quantities.yaml").read_text("utf-8")


def on_paper(rule: ThresholdRule) -> Ladder:
    """A shipped rule for the walk by hand, which knows no duration and no calm."""
    assert rule.clear_for_s == 0
    levels = [(level.severity, Fraction(str(level.at))) for level in rule.levels]
    return Ladder(rule.id, levels, Fraction(str(rule.clear)), for_s=rule.for_s)


def by_sensor(values: Iterable[tuple[str, datetime, Fraction]]) -> dict[str, list[tuple[datetime, Fraction]]]:
    found: dict[str, list[tuple[datetime, Fraction]]] = defaultdict(list)
    for sensor, at, value in values:
        found[sensor].append((at, value))
    return found


@pytest.mark.parametrize("name", ["parking_de_2020-03-24.csv", "parking_de_2020-05-22.csv"])
def test_car_parks_of_a_day_through_the_shipped_rule(tmp_path: Path, name: str) -> None:
    pack, rule = shipped("traffic.yaml", "parking-full")
    values = list(parked(name))
    plausible = [(place, at, value) for place, at, value in values if 0 <= value <= 120]
    expected = [
        alert for place, series in by_sensor(plausible).items() for alert in on_paper(rule).alerts(place, series)
    ]
    report = played(tmp_path, pack, ((p, at, "parking_occupancy", float(value)) for p, at, value in values))
    found = [episode for episode in episodes(report) if episode.rule == rule.id]
    assert found == sorted(expected)
    assert found, "a day without a full car park would prove nothing"
    assert report["readings"]["left_out"].get("out_of_range", 0) == len(values) - len(plausible)


def suqian_days() -> Iterator[tuple[str, datetime, Fraction]]:
    with recorded("suqian_region_pm25_daily_2014_2015.csv").open(encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            day = datetime(int(row["year"]), 1, 1, tzinfo=UTC) - BEIJING_HOUR + timedelta(days=int(row["day_of_year"]))
            yield row["city"], day, Fraction(row["pm25_ug_m3"])


def beijing_days() -> Iterator[tuple[str, datetime, Fraction]]:
    """Daily means of the hours there are, at the end of each day; a day of fewer than 20 hours is none."""
    hours: dict[date, list[Fraction]] = defaultdict(list)
    with recorded("beijing_pm25_2013.csv").open(encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            if row["pm2.5"] not in ("", "NaN", "nan"):
                hours[date(int(row["year"]), int(row["month"]), int(row["day"]))].append(Fraction(row["pm2.5"]))
    for day, values in sorted(hours.items()):
        if len(values) >= 20:
            end = datetime(day.year, day.month, day.day, tzinfo=UTC) - BEIJING_HOUR + timedelta(days=1)
            yield "Beijing", end, sum(values, Fraction(0)) / len(values)


def test_fine_dust_of_two_years_and_seven_cities_through_the_shipped_rule(tmp_path: Path) -> None:
    pack, rule = shipped("urban_management.yaml", "pm25-day")
    values = [*suqian_days(), *beijing_days()]
    expected = [
        alert for city, series in by_sensor(values).items() for alert in on_paper(rule).alerts(city, sorted(series))
    ]
    report = played(tmp_path, pack, ((city, at, "pm25_24h", float(value)) for city, at, value in values))
    assert [episode for episode in episodes(report) if episode.rule == rule.id] == sorted(expected)
    suqian = [alert for alert in expected if alert.sensor == "Suqian"]
    assert len(suqian) > 20


def test_labelled_floods_have_their_precision_and_recall(tmp_path: Path) -> None:
    """Windows put by hand around the days on which Stanhope stood above 1 m: a rule of 1 m must find just these."""
    days = sorted({at.date() for at, value in stages()["Stanhope"] if value >= 1})
    with (tmp_path / "labels.csv").open("w", encoding="utf-8") as stream:
        stream.write("sensor,from,to,rule\n")
        stream.writelines(f"Stanhope,{day}T00:00:00Z,{day}T23:59:59Z,high\n" for day in days)
        stream.write("Stanhope,2022-10-20T00:00:00Z,2022-10-20T01:00:00Z,high\n")  # a quiet hour, said to be a flood
    rows = (row for row in wear_rows() if row[0] == "Stanhope")
    report = played(tmp_path, WEAR.replace("0.8,", "0.999,", 1), rows, "--labels", str(tmp_path / "labels.csv"))
    labels = report["labels"]
    assert labels["precision"] == 1.0
    assert labels["detected"] == len(days)
    assert labels["recall"] == len(days) / (len(days) + 1)
    assert [window["from"] for window in labels["missed"]] == ["2022-10-20T00:00:00+00:00"]
