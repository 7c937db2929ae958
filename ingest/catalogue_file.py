"""The catalogue as a table that departments hand over and take home: CSV in, with every wrong cell named; CSV out, the same.

The first line names the columns, in English or Chinese and in any order; only ``id`` must be there. A column that is missing
leaves what stands, a cell that is blank says that there is nothing.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any, Final

from ingest.entry import Entry
from ingest.reading import DATUMS
from ingest.sensor import DOMAINS, SHARINGS, Catalogue
from ingest.stated import Fault, Stated, check, shown

COLUMNS: Final = (
    "id",
    "name",
    "domain",
    "quantities",
    "county",
    "lng",
    "lat",
    "datum",
    "cell",
    "owner",
    "profile",
    "interval_s",
    "sharing",
    "in_service",
    "service_since",
)
MOST_ROWS: Final = 200_000
_TITLES: Final = dict(
    zip(
        (
            "编号",
            "名称",
            "领域",
            "监测量",
            "区县",
            "经度",
            "纬度",
            "坐标系",
            "网格",
            "权属单位",
            "型号",
            "上报间隔",
            "共享类型",
            "在用",
            "在用起始",
        ),
        COLUMNS,
        strict=True,
    )
)
_DOMAIN_WORDS: Final = dict(zip(("大应急", "大综治", "大城管", "大交通"), DOMAINS, strict=True))
_SHARING_WORDS: Final = dict(zip(("无条件共享", "有条件共享", "不予共享"), SHARINGS, strict=True))
_YES_OR_NO: Final = {
    "yes": True,
    "no": False,
    "true": True,
    "false": False,
    "1": True,
    "0": False,
    "是": True,
    "否": False,
}
_MEASURED: Final = re.compile(r"([^\s()\[\]（）]+)\s*(?:[(\[（]\s*([^()\[\]（）]*?)\s*[)\]）])?")


class BadCatalogueFile(ValueError):
    """The file is no catalogue at all; the message says why."""


class _Wrong(Exception):
    """A cell cannot be read: the kind of fault and its values."""

    def __init__(self, kind: str, *values: object) -> None:
        super().__init__(kind)
        self.kind = kind
        self.values = tuple(map(str, values))


@dataclass(frozen=True, slots=True)
class Sheet:
    """A file as read: what its good rows state, and the faults of the others."""

    stated: tuple[Stated, ...]
    faults: tuple[Fault, ...]


def read(content: bytes, catalogue: Catalogue, zone: tzinfo) -> Sheet:
    """The rows of a CSV in UTF-8 (with or without byte-order mark) or GB 18030; times without a zone are of ``zone``.

    Raises BadCatalogueFile.
    """
    reader = csv.reader(io.StringIO(_text(content), newline=""), strict=True)
    stated: list[Stated] = []
    faults: list[Fault] = []
    first: dict[str, int] = {}
    try:
        header = _header(next(reader, []))
        for line, cells in _records(reader):
            row, wrong = _row(line, header, cells, catalogue, zone)
            if row.id in first:
                wrong.append(Fault(line, "id", "twice", (str(first[row.id]),)))
            first.setdefault(row.id, line)
            faults += wrong
            if not wrong:
                stated.append(row)
            if len(first) > MOST_ROWS:
                raise BadCatalogueFile(f"more than {MOST_ROWS} rows: split the file")
    except csv.Error as problem:
        raise BadCatalogueFile(f"not a CSV table: line {reader.line_num}: {problem}") from None
    return Sheet(tuple(stated), tuple(faults))


def write(entries: Iterable[Entry], catalogue: Catalogue, zone: tzinfo) -> Iterator[str]:
    """The lines of a file that ``read`` takes back unchanged, the header first."""
    line = io.StringIO(newline="")
    writer = csv.writer(line, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    yield line.getvalue()
    for entry in entries:
        line.seek(0)
        line.truncate()
        writer.writerow(_cells(entry, catalogue, zone))
        yield line.getvalue()


def _cells(entry: Entry, catalogue: Catalogue, zone: tzinfo) -> list[str]:
    measured = [
        f"{name}({catalogue.quantities[name].unit})" if name in catalogue.quantities else name
        for name in entry.quantities
    ]
    lng, lat = ("", "") if entry.position is None else map(repr, entry.position)
    interval_s = str(int(entry.interval_s)) if entry.interval_s.is_integer() else repr(entry.interval_s)
    since = "" if entry.service_since is None else entry.service_since.astimezone(zone).isoformat()
    place = [entry.county, lng, lat, "CGCS2000" if lng else "", entry.cell]
    more = [entry.owner, entry.profile, interval_s, entry.sharing, "yes" if entry.in_service else "no", since]
    return [entry.id, entry.name, entry.domain, ";".join(measured), *place, *more]


def _text(content: bytes) -> str:
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise BadCatalogueFile("neither UTF-8 nor GB 18030 text: save it as CSV in UTF-8")


def _header(row: list[str]) -> list[str]:
    names = [_TITLES.get(title.strip(), title.strip().casefold()) for title in row]
    if "id" not in names:
        raise BadCatalogueFile(f"the first line must name the columns, id (编号) among them: {','.join(COLUMNS)}")
    unknown = [title for title, name in zip(row, names, strict=True) if name not in COLUMNS]
    if unknown:
        raise BadCatalogueFile(f"column {shown(unknown[0])} is unknown: the columns are {','.join(COLUMNS)}")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise BadCatalogueFile(f"column {twice} is there twice")
    return names


def _records(reader: Any) -> Iterator[tuple[int, list[str]]]:
    """Line on which a record begins, and its cells; blank lines are none."""
    begins = reader.line_num + 1
    for cells in reader:
        if any(cell.strip() for cell in cells):
            yield begins, [cell.strip() for cell in cells]
        begins = reader.line_num + 1


def _row(
    line: int, header: list[str], cells: list[str], catalogue: Catalogue, zone: tzinfo
) -> tuple[Stated, list[Fault]]:
    if len(cells) != len(header):
        return Stated(cells[0], {}, line), [Fault(line, "id", "columns", (str(len(cells)), str(len(header))))]
    told = dict(zip(header, cells, strict=True))
    fields: dict[str, Any] = {}
    faults: list[Fault] = []
    for column, text in told.items():
        try:
            if column == "quantities":
                fields[column] = _quantities(text, catalogue)
            elif column == "service_since":
                fields[column] = _time(text, zone)
            elif column not in ("id", "lng", "lat", "datum"):
                fields[column] = _READ.get(column, str)(text)
        except _Wrong as problem:
            faults.append(Fault(line, column, problem.kind, problem.values))
    # There is no sensor without a name, and who shares what is never undone by a blank.
    for column in ("name", "domain", "in_service", "sharing"):
        if fields.get(column) in ("", None):
            fields.pop(column, None)
    if {"lng", "lat", "datum"} & told.keys():
        column, position = _position(told)
        if isinstance(position, _Wrong):
            faults.append(Fault(line, column, position.kind, position.values))
        else:
            fields |= position
    stated = Stated(told["id"], fields, line)
    wrong = {fault.column for fault in faults}
    return stated, faults + [fault for fault in check(stated, catalogue) if fault.column not in wrong]


def _position(told: Mapping[str, str]) -> tuple[str, dict[str, Any] | _Wrong]:
    lng, lat = told.get("lng", ""), told.get("lat", "")
    datum = re.sub(r"[-_ ]", "", told.get("datum", "")).upper() or "CGCS2000"
    if datum not in DATUMS:
        return "datum", _Wrong("no_such_datum", shown(told["datum"]))
    if not lng and not lat:
        return "lng", {"position": None} if {"lng", "lat"} <= told.keys() else {}
    if not lng or not lat:
        return "lat" if lng else "lng", _Wrong("half_a_position")
    found = []
    for column, text in (("lng", lng), ("lat", lat)):
        try:
            found.append(_number(text))
        except _Wrong as problem:
            return column, problem
    return "lng", {"position": (found[0], found[1]), "datum": datum}


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise _Wrong("not_a_number", shown(text)) from None
    if not math.isfinite(number):
        raise _Wrong("not_a_number", shown(text))
    return number


def _quantities(text: str, catalogue: Catalogue) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for item in filter(None, (part.strip() for part in re.split("[;；、,]", text))):
        told = _MEASURED.fullmatch(item)
        if told is None:
            raise _Wrong("no_such_quantity", shown(item))
        name, unit = told.groups()
        known = catalogue.quantities.get(name)
        if known is not None and unit and unit not in (known.unit, known.symbol):
            raise _Wrong("other_unit", name, known.unit, shown(unit))
        found[name] = None
    return tuple(found)


def _yes(text: str) -> bool | None:
    if not text:
        return None
    found = _YES_OR_NO.get(text.casefold())
    if found is None:
        raise _Wrong("neither_yes_nor_no", shown(text))
    return found


def _time(text: str, zone: tzinfo) -> datetime | None:
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=zone) if found.tzinfo is None else found
    except (ValueError, OverflowError):
        raise _Wrong("no_time", shown(text)) from None


_READ: Final[Mapping[str, Callable[[str], Any]]] = {
    "domain": lambda text: _DOMAIN_WORDS.get(text, text),
    "sharing": lambda text: _SHARING_WORDS.get(text, text),
    "interval_s": lambda text: _number(text) if text else None,
    "in_service": _yes,
}
