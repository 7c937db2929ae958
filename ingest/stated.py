"""What a row of a file or a form states of a sensor, and what is wrong with it: where, why, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ingest.quarantine import FAR_OUTSIDE, NULL_ISLAND, SWAPPED_AXES
from ingest.sensor import DOMAINS, SENSOR_ID, SHARINGS, Catalogue

LONGEST_NAME: Final = 100
LONGEST_INTERVAL_S: Final = 604_800.0

_WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "missing": ("没有填写：新登记的传感器必须填写", "nothing stated: a new sensor needs it"),
    "bad_id": (
        "{} 不能作编号：只用字母、数字和 _ . : -，最多 64 个字符",
        "{} is no id: 1 to 64 letters, digits, _ . : or -",
    ),
    "twice": ("编号与第 {} 行重复：只留一行", "the id stands on line {} already: keep one of the two"),
    "there": ("编号已在目录中：打开该条目修改", "the sensor is in the catalogue already: change its entry"),
    "taken": ("编号已被其他单位的传感器使用：换一个编号", "a sensor elsewhere has this id: choose another"),
    "bad_text": (
        "{} 不可用：1 至 {} 个字符，不以 = + - @ 开头，不含控制字符",
        "{} cannot be used: 1 to {} characters, not beginning with = + - @, without control characters",
    ),
    "no_such_domain": ("没有领域 {}：填写 {}", "there is no domain {}: use one of {}"),
    "no_such_quantity": (
        "监测量目录中没有 {}：先在 quantities.yaml 中登记，或改用已有名称",
        "there is no quantity {}: use a known one, or add it to quantities.yaml first",
    ),
    "other_unit": (
        "{} 全市统一以 {} 计，不是 {}：改写单位，设备的换算在接入时做",
        "{} is kept in {} all over the city, not in {}: state that unit, what the device sends is converted on arrival",
    ),
    "no_quantities": ("没有监测量：至少填写一个", "it measures nothing: state one quantity at least"),
    "no_such_profile": (
        "没有型号 {}：留空，或先在 profiles.yaml 中登记",
        "there is no model {}: leave it blank, or add it to profiles.yaml",
    ),
    "no_such_sharing": ("没有共享类型 {}：填写 {}", "there is no sharing class {}: use one of {}"),
    "not_a_number": ("{} 不是数字：填写十进制数", "{} is not a number: write it in decimals"),
    "no_degrees": ("{} 不是度数：{} 至 {} 之间的十进制度", "{} are no degrees: decimal degrees from {} to {}"),
    "half_a_position": (
        "只有经度或只有纬度：两者都填，移动传感器两者都留空",
        "one of lng and lat alone: state both, or neither for what moves",
    ),
    "no_such_datum": (
        "没有坐标系 {}：填写 CGCS2000、WGS84、GCJ02 或 BD09",
        "there is no datum {}: use CGCS2000, WGS84, GCJ02 or BD09",
    ),
    "bad_interval": ("上报间隔 {} 不可用：1 至 {} 秒", "an interval of {} cannot be: 1 to {} seconds"),
    "no_interval": (
        "没有上报间隔：填写秒数，或填写规定了间隔的型号",
        "no interval: state seconds, or a model that has one",
    ),
    "neither_yes_nor_no": ("{} 不是“是”或“否”：填写 yes 或 no", "{} is neither yes nor no"),
    "no_time": (
        "{} 不是时间：写作 2026-11-24 或 2026-11-24T08:00:00+08:00",
        "{} is no time: write 2026-11-24 or 2026-11-24T08:00:00+08:00",
    ),
    # What of these cannot be right, ingest.quarantine names and gis.position says in words.
    NULL_ISLAND: ("经纬度都是零：设备没有定位", "{}"),
    SWAPPED_AXES: ("经度和纬度写反了：对调后就在市内", "{}"),
    FAR_OUTSIDE: ("位置远在市外：核对经纬度和坐标系", "{}"),
    "outside": (
        "位置 {}, {} 不在您管辖的任何网格内：核对经纬度和坐标系",
        "no cell of yours covers {}, {}: check the degrees and the datum",
    ),
    "other_cell": (
        "位置在网格 {}，不在 {}：改正位置，或将网格留空",
        "the position lies in cell {}, not in {}: mend it, or leave the cell blank",
    ),
    "other_county": (
        "位置在区县 {}，不在 {}：改正位置，或将区县留空",
        "the place lies in county {}, not in {}: mend it, or leave the county blank",
    ),
    "no_such_cell": (
        "您管辖的网格中没有 {}：移动传感器填写所属网格",
        "there is no cell {} of yours: what moves needs the cell that it belongs to",
    ),
    "no_home": (
        "没有位置：填写经纬度，移动传感器填写所属网格",
        "no place: state lng and lat, or for what moves the cell that it belongs to",
    ),
    "columns": (
        "这一行有 {} 列，首行有 {} 列：检查逗号和引号",
        "{} columns where the first line has {}: check commas and quotes",
    ),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one thing that was stated. ``line`` from 1 in a file, 0 outside of one; ``kind`` names the words."""

    line: int
    column: str
    kind: str
    values: tuple[str, ...] = ()

    @property
    def zh(self) -> str:
        return _WORDS[self.kind][0].format(*self.values)

    @property
    def en(self) -> str:
        return _WORDS[self.kind][1].format(*self.values)

    def __str__(self) -> str:
        where = f"line {self.line}, column {self.column}" if self.line else self.column
        return f"{where}: {self.en}"


@dataclass(frozen=True, slots=True)
class Stated:
    """What is stated of a sensor: ``fields`` by name, only those that are. What is not stated stays as it stands.

    ``position`` is (lng, lat) in ``datum``, or None for what moves; ``cell`` and ``county`` are "" where position shall tell;
    ``interval_s`` is None where the model shall tell, ``quantities`` are names.
    """

    id: str
    fields: Mapping[str, Any]
    line: int = 0


def shown(value: object) -> str:
    """A value inside a sentence, however long it is."""
    text = str(value)
    return repr(text if len(text) <= 40 else f"{text[:40]}…")


def check(stated: Stated, catalogue: Catalogue) -> list[Fault]:
    """What the city cannot take of well-formed fields, whoever states them."""
    found = [*_names(stated), *_measured(stated, catalogue), *_numbers(stated.fields)]
    return [Fault(stated.line, column, kind, tuple(map(str, values))) for column, kind, values in found]


_Found = Iterator[tuple[str, str, tuple[object, ...]]]


def _names(stated: Stated) -> _Found:
    fields = stated.fields
    if not SENSOR_ID.fullmatch(stated.id):
        yield "id", "bad_id", (shown(stated.id),)
    for column in ("name", "owner"):
        text = fields.get(column)
        if text is not None and not (_is_plain(text) or (column == "owner" and not text)):
            yield column, "bad_text", (shown(text), LONGEST_NAME)
    if "domain" in fields and fields["domain"] not in DOMAINS:
        yield "domain", "no_such_domain", (shown(fields["domain"]), ", ".join(DOMAINS))
    if "sharing" in fields and fields["sharing"] not in SHARINGS:
        yield "sharing", "no_such_sharing", (shown(fields["sharing"]), ", ".join(SHARINGS))


def _measured(stated: Stated, catalogue: Catalogue) -> _Found:
    fields = stated.fields
    if "quantities" in fields and not fields["quantities"]:
        yield "quantities", "no_quantities", ()
    for name in fields.get("quantities", ()):
        if name not in catalogue.quantities:
            yield "quantities", "no_such_quantity", (shown(name),)
    if fields.get("profile") and fields["profile"] not in catalogue.profiles:
        yield "profile", "no_such_profile", (shown(fields["profile"]),)


def _numbers(fields: Mapping[str, Any]) -> _Found:
    interval_s = fields.get("interval_s")
    if interval_s is not None and not 1 <= interval_s <= LONGEST_INTERVAL_S:
        yield "interval_s", "bad_interval", (f"{interval_s:g}", f"{LONGEST_INTERVAL_S:.0f}")
    # A latitude beyond 90 is most often a longitude: who knows where the city lies says so.
    for column, degrees in zip(("lng", "lat"), fields.get("position") or (), strict=False):
        if not -180 <= degrees <= 180:
            yield column, "no_degrees", (f"{degrees:g}", -180, 180)


def _is_plain(text: str) -> bool:
    # A spreadsheet runs what begins like a formula: such a name would be code in somebody's export.
    return 0 < len(text) <= LONGEST_NAME and text.isprintable() and text[0] not in "=+-@"
