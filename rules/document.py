"""A YAML document that may come from anybody: plain values out, with the line of each, refused before it can cost anything.

Events of the parser are counted as they come, so a file is given up at the first sign of size, depth or expansion. What YAML
has beyond plain mappings, lists and scalars is refused: anchors and aliases (they multiply and make cycles), tags (they name
types), merge keys and doubled keys (of which YAML silently takes the last). Unquoted scalars follow the core schema of YAML
1.2 with dates, so ``22:30``, ``on`` and ``no`` are words, not numbers and truths.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final, TypeAlias

import yaml

Path: TypeAlias = tuple[str | int, ...]

MOST_BYTES: Final = 1024 * 1024
MOST_NODES: Final = 20_000
MOST_DEPTH: Final = 32
_LONGEST: Final = 300
_LONGEST_NUMBER: Final = 64

YAML_FAULTS = (yaml.YAMLError, ValueError, LookupError, AttributeError, RecursionError)
"""What PyYAML raises on bad text. A date such as 2026-13-01 or a tag that does not fit lets its constructor's own error out."""

# The parser in C is some ten times as fast; a PyYAML that was built without it gives the same events.
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INTEGER: Final = re.compile(r"[-+]?[0-9]{1,15}")
_NUMBER: Final = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_WORDS: Final[Mapping[str, Any]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
}


def in_one_line(reason: str) -> str:
    """A reason for people, however long or broken what it quotes is."""
    line = " ".join(reason[: 2 * _LONGEST].split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"


class NotADocument(ValueError):
    """The text as a whole cannot be used; ``line`` from 1, ``reason`` in one line."""

    def __init__(self, line: int, reason: str) -> None:
        self.line = line
        self.reason = in_one_line(reason)
        super().__init__(f"line {line}: {self.reason}")


@dataclass(frozen=True, slots=True)
class Fault:
    """Something in a document that must not be used, with its line from 1."""

    path: Path
    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class Document:
    """``value`` is made of dict, list, str, int, float, bool, date and None. ``lines`` holds the line of every path.

    ``faults`` are places whose values are not to be trusted; what lies beside them is sound.
    """

    value: Any
    lines: Mapping[Path, int] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()

    def line(self, path: Path) -> int:
        """The line of a path, or of what holds it when it is not there itself."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def fault(self, path: Path) -> Fault | None:
        """The first fault at or below a path."""
        return next((fault for fault in self.faults if fault.path[: len(path)] == path), None)


def read(text: str | bytes) -> Document:
    """The one document in a text. Raises NotADocument."""
    size = len(text) if isinstance(text, bytes) else len(text.encode("utf-8", "surrogatepass"))
    if size > MOST_BYTES:
        raise NotADocument(1, f"{size} bytes are too many: at most {MOST_BYTES} in one file")
    composer = _Composer()
    try:
        return composer.document(yaml.parse(_decoded(text), Loader=_LOADER))
    except NotADocument:
        raise
    except YAML_FAULTS as problem:
        raise NotADocument(*fault(problem)) from None


def fault(problem: Exception) -> tuple[int, str]:
    """(line from 1, reason in one line) of one of YAML_FAULTS."""
    mark = getattr(problem, "problem_mark", None)
    reason = getattr(problem, "problem", None) or str(problem).partition("\n")[0]
    return mark.line + 1 if mark else 1, f"not YAML: {reason}"


def _decoded(text: str | bytes) -> str:
    if isinstance(text, str):
        return text
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError as problem:
        line = text.count(b"\n", 0, problem.start) + 1
        raise NotADocument(line, f"not UTF-8: byte 0x{text[problem.start]:02x} {problem.reason}") from None


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


class _Composer:
    """Makes values from events, and stops when there are too many."""

    def __init__(self) -> None:
        self.nodes = 0
        self.lines: dict[Path, int] = {}
        self.faults: list[Fault] = []

    def document(self, events: Iterator[Any]) -> Document:
        value: Any = None
        documents = 0
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise NotADocument(_line(event), "a second document begins: one file holds one")
            elif isinstance(event, yaml.NodeEvent):
                value = self._value(event, events, ())
        return Document(value, self.lines, tuple(self.faults))

    def _value(self, event: Any, events: Iterator[Any], path: Path) -> Any:
        line = _line(event)
        self.nodes += 1
        if self.nodes > MOST_NODES:
            raise NotADocument(line, f"more than {MOST_NODES} values in one file")
        if len(path) > MOST_DEPTH:
            raise NotADocument(line, f"nested more than {MOST_DEPTH} deep")
        self.lines.setdefault(path, line)
        if isinstance(event, yaml.AliasEvent):
            self._fault(path, line, f"alias *{event.anchor}: write the value out, a pack has no anchors")
            return None
        if event.anchor is not None:
            self._fault(path, line, f"anchor &{event.anchor}: a pack has no anchors")
        if event.tag is not None:
            self._fault(path, line, f"tag {event.tag}: a pack has no tags")
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(events, path)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(events, path)
        return self._scalar(event, path, line)

    def _sequence(self, events: Iterator[Any], path: Path) -> list[Any]:
        found: list[Any] = []
        for event in events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            found.append(self._value(event, events, (*path, len(found))))
        return found

    def _mapping(self, events: Iterator[Any], path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for event in events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            line = _line(event)
            key = self._key(event, events, path, line)
            if key in found:
                self._fault((*path, key), line, f"{key} stands there already")
            value = self._value(next(events), events, (*path, key))
            found.setdefault(key, value)
        return found

    def _key(self, event: Any, events: Iterator[Any], path: Path, line: int) -> str:
        if isinstance(event, yaml.ScalarEvent) and event.anchor is None and event.tag is None:
            self.nodes += 1
            if event.value == "<<" and event.implicit[0]:
                self._fault(path, line, "merge key <<: write the values out")
            return str(event.value)
        self._value(event, events, (*path, ""))
        self._fault(path, line, "a key is a plain word")
        return ""

    def _scalar(self, event: Any, path: Path, line: int) -> Any:
        text: str = event.value
        if not event.implicit[0]:
            return text
        if len(text) > _LONGEST_NUMBER:
            return text
        if text in _WORDS:
            return _WORDS[text]
        if _INTEGER.fullmatch(text):
            return int(text)
        if _NUMBER.fullmatch(text):
            return float(text)
        if _DATE.fullmatch(text):
            try:
                return date.fromisoformat(text)
            except ValueError:
                self._fault(path, line, f"{text} is no day of any calendar")
                return None
        return text

    def _fault(self, path: Path, line: int, reason: str) -> None:
        self.faults.append(Fault(path, line, reason))
