"""``command-center rules backtest``: which alerts rules would have given, over a table of readings or over what is stored."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import click
import msgspec

from config.settings import BadSetting, Settings, from_environment

if TYPE_CHECKING:
    from command_center.backtest_report import Read
    from gis.locate import LocatedBatch
    from ingest.sensor import Catalogue, Quantity
    from rules.backtest import Replay
    from rules.rule import Rule
    from rules.rulebook import Rulebook
    from rules.situation import Situation

_FILE: Final = click.Path(path_type=Path, dir_okay=False)
_INSTANT: Final = "RFC 3339"
_CURRENT: Final = "current"
_SAY_EVERY_S: Final = 5.0


@click.command()
@click.option("--rules", "rule_files", multiple=True, required=True, type=_FILE, help="Rules to try; more than once.")
@click.option("--readings", "readings_file", type=_FILE, help="CSV: sensor,at,quantity,value and perhaps lng,lat.")
@click.option("--from", "since", metavar=_INSTANT, help="Instead of a file: stored readings received from then on …")
@click.option("--to", "until", metavar=_INSTANT, help="… and before then. CC_DATABASE_URL names the role cc_worker.")
@click.option("--region", help="Only sensors of this region (with --from).")
@click.option("--cells", "cells_file", type=_FILE, help="Cells with a code each (with --readings).")
@click.option("--quantities", "quantities_file", type=_FILE, help="Quantities instead of the city's (with --readings).")
@click.option("--labels", "labels_file", type=_FILE, help="CSV: sensor,from,to and perhaps rule or category.")
@click.option("--against", multiple=True, metavar="FILE|current", help="Rules to compare with; more than once.")
@click.option("--on", "day", type=click.DateTime(["%Y-%m-%d"]), help="The day whose rules are meant.  [default: today]")
@click.option(
    "--mode", type=click.Choice(["peacetime", "wartime"]), default="peacetime", help="Judge and route as in …"
)
@click.option("--out", "out_file", type=_FILE, required=True, help="JSON report to write.")
def backtest(
    rule_files: tuple[Path, ...],
    readings_file: Path | None,
    since: str | None,
    until: str | None,
    region: str | None,
    cells_file: Path | None,
    quantities_file: Path | None,
    labels_file: Path | None,
    against: tuple[str, ...],
    day: datetime | None,
    mode: str,
    out_file: Path,
) -> None:
    """Play rules over recorded readings, by the same code as live: alerts, incident groups, comparison, precision and recall.

    Over a file nothing else is needed; over stored readings the database, and the report has the tickets too.
    """
    from command_center.backtest_report import summary
    from command_center.backtest_source import BadTable

    begun = time.monotonic()
    if not out_file.resolve().parent.is_dir():
        raise BadSetting(f"{out_file}: cannot be written: there is no such folder")
    wanted = _Wanted(rule_files, against, labels_file, None if day is None else day.date(), mode == "wartime")
    try:
        if readings_file is not None and since is None and until is None and region is None:
            report = _over_file(wanted, readings_file, cells_file, quantities_file)
        elif readings_file is None and since is not None and until is not None and not (cells_file or quantities_file):
            report = _over_stored(wanted, since, until, region)
        else:
            raise BadSetting(
                "give --readings (perhaps with --cells, --quantities), or --from and --to (perhaps --region)"
            )
    except BadTable as problem:
        raise BadSetting(str(problem)) from None
    report["mode"] = mode
    report["elapsed_s"] = round(time.monotonic() - begun, 3)
    try:
        out_file.write_text(json.dumps(report, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    except OSError as problem:
        raise BadSetting(f"{out_file}: cannot be written: {(problem.strerror or str(problem)).lower()}") from None
    click.echo(summary(report))


class _Title(msgspec.Struct, frozen=True):
    zh: str = msgspec.field(name="zh-CN")
    en: str


class _QuantityRow(msgspec.Struct, frozen=True):
    n: int
    name: str
    unit: str
    title: _Title
    low: float = float("-inf")
    high: float = float("inf")


class _QuantityPack(msgspec.Struct, frozen=True):
    quantities: list[_QuantityRow]


@dataclass(frozen=True)
class _Wanted:
    """What was asked for, whatever it is played over."""

    rule_files: Sequence[Path]
    against: Sequence[str]
    labels_file: Path | None
    day: date | None
    at_war: bool

    @property
    def wartime(self) -> Mapping[str, frozenset[str]]:
        """What is in wartime operation: everything, or nothing."""
        from rules.situation import EVERYWHERE

        return EVERYWHERE if self.at_war else {}

    def book(self, packs: Mapping[str, str | bytes], over: _Over) -> Rulebook:
        """The rules of packs (name -> text), for the quantities there are."""
        from rules.rulebook import read

        return read(packs, over.catalogue.quantities, self.day or datetime.now(over.situation.zone).date())

    def others(self, over: _Over) -> Rulebook | None:
        """The rules to compare with."""
        if not self.against:
            return None
        if _CURRENT in self.against:
            if len(self.against) > 1:
                raise BadSetting("--against: give files, or current alone")
            return over.current()
        return self.book(_packs([Path(name) for name in self.against]), over)


@dataclass(frozen=True)
class _Over:
    """What rules are played over. ``deaf`` says of a rule why what is played could not make it speak."""

    catalogue: Catalogue
    situation: Situation
    current: Callable[[], Rulebook]
    batches: Callable[[], Iterator[LocatedBatch]]
    deaf: Callable[[Rule], str | None]
    is_ordered: bool

    def taken(self, book: Rulebook) -> Rulebook:
        """The rulebook as it is played."""
        from rules.backtest import in_order

        return in_order(book) if self.is_ordered else book


def _over_file(wanted: _Wanted, readings: Path, cells: Path | None, quantities: Path | None) -> dict[str, Any]:
    from command_center.backtest_report import Read
    from command_center.backtest_source import Ground, batches, catalogue_of, read_series
    from command_center.city import rule_packs
    from command_center.locate_commands import read_cells
    from rules.backtest import rows_at_once

    known = _quantities(quantities)
    ground = Ground.of(None if cells is None else read_cells(cells))
    series = read_series(readings, lambda rows: _say(f"{rows:,} rows read"))
    if not len(series):
        first = series.refused.rows[0] if series.refused.rows else (1, "there are only column names")
        raise BadSetting(f"{readings}: no reading in it; line {first[0]}: {first[1]}")
    catalogue, unknown = catalogue_of(series, known, ground)
    for name in unknown:
        _say(f"quantity {name} is not in the catalogue: taken as it comes, with unit 1 and any value plausible")
    over = _Over(
        catalogue,
        _situation(wanted.wartime),
        lambda: wanted.book(rule_packs(_settings().city), over),
        lambda: batches(series, catalogue, ground, rows_at_once(len(catalogue.sensors))),
        _deaf_over_file,
        is_ordered=True,
    )
    first_us, last_us = int(series.at_us[0]), int(series.at_us[-1])
    read = Read(
        len(series), len(series.sensors), first_us, last_us, series.refused.reasons, series.refused.rows, unknown
    )
    return _played(wanted, over, read)[0]


def _deaf_over_file(rule: Rule) -> str | None:
    from rules.rule import AbsenceRule, CameraRule

    if isinstance(rule, CameraRule):
        return "it looks at camera events, and a table of readings has none"
    if isinstance(rule, AbsenceRule) and not rule.where.sensors:
        return "it asks for the sensors of its domain, and a table of readings knows none: name them in where.sensors"
    if rule.where.regions:
        return "it asks for regions, and a table of readings knows none: use --from and --to"
    return None


def _played(wanted: _Wanted, over: _Over, read: Read) -> tuple[dict[str, Any], Replay]:
    from command_center.backtest_report import compared, judged, told
    from command_center.backtest_source import read_labels
    from rules.backtest import Replay
    from rules.episode import differ
    from rules.label import judge

    windows = None if wanted.labels_file is None else read_labels(wanted.labels_file)
    others = wanted.others(over)
    book = wanted.book(_packs(wanted.rule_files), over)
    if not book.rules:
        refusal = f": {book.refusals[0]}" if book.refusals else ""
        raise BadSetting(f"no rule was taken{refusal}")
    here = _replayed(Replay(over.taken(book), over.catalogue, over.situation, read.from_us), over, read.to_us)
    alerts = here.episodes.in_order()
    read = replace(read, rows=here.rows, evaluation=here.counts)
    report = told(read, book, here.silent() | _deaf(book, over), here.episodes, over.situation.zone)
    if others is not None:
        there = _replayed(Replay(over.taken(others), over.catalogue, over.situation, read.from_us), over, read.to_us)
        difference = differ(alerts, there.episodes.in_order(), read.to_us)
        names = _CURRENT if _CURRENT in wanted.against else ", ".join(wanted.against)
        report["against"] = {"rules": names} | compared(difference, here.episodes, there.episodes)
    if windows is not None:
        report["labels"] = judged(judge(alerts, windows, read.from_us, read.to_us))
    return report, here


def _deaf(book: Rulebook, over: _Over) -> dict[str, str]:
    return {rule.id: reason for rule in book.rules if (reason := over.deaf(rule)) is not None}


def _replayed(replay: Replay, over: _Over, until_us: int) -> Replay:
    done, said_at = 0, time.monotonic()
    for batch in over.batches():
        replay.take(batch)
        done += len(batch.readings)
        if time.monotonic() - said_at > _SAY_EVERY_S:
            said_at = time.monotonic()
            _say(f"{done:,} readings played, {len(replay.episodes.alerts):,} alerts")
    replay.finish(until_us)
    return replay


def _packs(files: Iterable[Path]) -> dict[str, bytes]:
    from command_center.rule_commands import content

    return {str(file): content(file) for file in files}


def _quantities(file: Path | None) -> list[Quantity]:
    """The quantities of a file in the form of a city's quantities.yaml, or else the city's own."""
    from command_center.city import read_quantities
    from command_center.rule_commands import content
    from ingest.sensor import Quantity
    from rules.document import NotADocument, read

    if file is None:
        return read_quantities(_settings().city)
    try:
        found = msgspec.convert(read(content(file)).value, _QuantityPack)
    except (msgspec.ValidationError, NotADocument) as problem:
        raise BadSetting(f"{file}: {problem}") from None
    return [Quantity(q.n, q.name, q.unit, q.title.zh, q.title.en, q.low, q.high) for q in found.quantities]


def _situation(wartime: Mapping[str, frozenset[str]]) -> Situation:
    from command_center.work_calendar import is_workday
    from rules.situation import Situation

    return Situation(ZoneInfo(_settings().time_zone), is_workday, wartime)


def _settings() -> Settings:
    """The settings, with no database needed."""
    return from_environment({"CC_DATABASE_URL": "postgresql://nobody@localhost/none", **os.environ})


def _say(text: str) -> None:
    click.echo(text, err=True)


def _over_stored(wanted: _Wanted, since: str, until: str, region: str | None) -> dict[str, Any]:
    from command_center.backtest_range import over_range

    settings = from_environment(os.environ)
    begun, ended = _moment("--from", since), _moment("--to", until)
    if not begun < ended:
        raise BadSetting("--from lies before --to")
    with over_range(settings, begun, ended, region, wanted.wartime) as stored:
        over = _Over(
            stored.catalogue, stored.situation, lambda: stored.city.rulebook, stored.batches, lambda rule: None, False
        )
        report, replay = _played(wanted, over, stored.read)
        return report | {"tickets": stored.tickets(replay.episodes)}


def _moment(option: str, text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise BadSetting(f"{option} {text[:40]!r}: give an RFC 3339 time such as 2026-11-23T00:00:00+08:00") from None
    if found.tzinfo is None:
        raise BadSetting(f"{option} {text[:40]!r}: a local time needs its offset, such as +08:00")
    return found
