"""A report: what a person says they saw, and where. It opens a reported ticket, which a desk files, merges or turns down."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Final
from uuid import UUID, uuid5

import msgspec

from rules.alert import NAMESPACE
from rules.document import NotADocument
from rules.document import read as read_document
from rules.rule import Closed, Domain, Evidence, Name, Severity, Text, Words


class BadReportPack(ValueError):
    """The list of what people may report cannot be used; the message says why in one line."""


class BadReport(ValueError):
    """A report cannot be taken as it is; the message says what is wrong with it."""


class NoSuchReceipt(LookupError):
    """No report has this receipt."""


class Channel(StrEnum):
    """How a report came: by the public themselves, by a grid worker, or entered by a desk for whoever told it."""

    PUBLIC = "public"
    WORKER = "worker"
    HOTLINE = "hotline"
    WALK_IN = "walk_in"
    SUPERIOR = "superior"
    DEPARTMENT = "department"
    POLICE = "police"
    MEDIA = "media"
    DESK = "desk"


OF_DESKS: Final = tuple(channel for channel in Channel if channel not in {Channel.PUBLIC, Channel.WORKER})


class Kind(Closed, frozen=True):
    """One thing that people may report. ``severity`` is what it is filed under unless the desk says otherwise."""

    code: Name
    title: Words
    domain: Domain
    category: Name
    small_class: Annotated[str, msgspec.Meta(min_length=1, max_length=40)]
    severity: Severity


class ReportPack(Closed, frozen=True):
    """What people of a city may report. Two matters of one small class are shown as perhaps the same when they lie within
    ``near_m`` metres and began within ``within_h`` hours of each other.
    """

    pack: Text
    version: Annotated[int, msgspec.Meta(ge=1)]
    anonymous: bool
    near_m: Annotated[float, msgspec.Meta(gt=0, le=5000)]
    within_h: Annotated[float, msgspec.Meta(gt=0, le=8784)]
    source: Evidence
    kinds: Annotated[tuple[Kind, ...], msgspec.Meta(min_length=1, max_length=200)]

    @property
    def by_code(self) -> Mapping[str, Kind]:
        """Kinds by their code."""
        return {kind.code: kind for kind in self.kinds}

    @property
    def within(self) -> timedelta:
        """How far apart two reports of the same matter may begin."""
        return timedelta(hours=self.within_h)


@dataclass(frozen=True, slots=True)
class Report:
    """What was said. ``contact`` is personal information: it goes to the desk that has the ticket, and into no event.

    ``account`` is the user name of a logged-in reporter; position in degrees, CGCS2000.
    """

    id: UUID
    receipt: str
    channel: Channel
    kind: str
    title: str
    title_en: str
    words: str
    contact: str | None
    account: str | None
    reporter: str | None
    lng: float
    lat: float
    region: str
    scope: str
    at: datetime
    ticket: UUID


def read(text: str) -> ReportPack:
    """The pack from its YAML text. Raises BadReportPack."""
    try:
        document = read_document(text)
    except NotADocument as problem:
        raise BadReportPack(str(problem)) from None
    if document.faults:
        first = document.faults[0]
        raise BadReportPack(f"line {first.line}: {first.reason}")
    try:
        pack = msgspec.convert(document.value, ReportPack, strict=False)
    except (msgspec.ValidationError, RecursionError) as problem:
        raise BadReportPack(str(problem)) from None
    codes = [kind.code for kind in pack.kinds]
    twice = next((code for code in codes if codes.count(code) > 1), None)
    if twice is not None:
        raise BadReportPack(f"kind {twice}: stands there twice")
    return pack


# 20 signs of 5 bits: nobody guesses one of 2^100. Crockford's alphabet has no I, L, O and U, which people misread.
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_SIGNS: Final = 20
_BASE32: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_WRITTEN: Final = str.maketrans(_BASE32, _ALPHABET)
_MISREAD: Final = str.maketrans({"O": "0", "I": "1", "L": "1"})


def make_receipt(key: str | None, account: str | None, said: str) -> str:
    """A receipt nobody can guess. A sender's own unguessable ``key`` and what it ``said`` make the same one again, so that a
    repeat gets the receipt it missed and nothing is reported twice; without a key it is drawn.
    """
    drawn = secrets.token_bytes(32) if key is None else f"receipt\0{key}\0{account or ''}\0{said}".encode()
    signs = base64.b32encode(hashlib.sha256(drawn).digest()).decode()[:_SIGNS].translate(_WRITTEN)
    return "-".join(signs[n : n + 4] for n in range(0, _SIGNS, 4))


def digest(receipt: str) -> str:
    """What is stored of a receipt, however it was typed. Raises NoSuchReceipt for what cannot be one."""
    signs = re.sub(r"[\s-]", "", receipt).upper().translate(_MISREAD)
    if len(signs) != _SIGNS or any(sign not in _ALPHABET for sign in signs):
        raise NoSuchReceipt("there is no report with this receipt: it has 20 letters and digits")
    return f"sha256${hashlib.sha256(signs.encode()).hexdigest()}"


def report_id(receipt: str) -> UUID:
    """The id of the report that a receipt was given for: derived, so that a repeat is the same report."""
    return uuid5(NAMESPACE, f"report\0{digest(receipt)}")


def channel_of(stated: Channel | None, tier: str | None) -> Channel:
    """How a report came, from what the sender states and the tier of its account (None: nobody is logged in).

    Raises BadReport when somebody else than a desk states a channel.
    """
    own = Channel.PUBLIC if tier is None else Channel.WORKER if tier == "grid" else Channel.DESK
    if stated is None or stated is own:
        return own
    if own is not Channel.DESK or stated not in OF_DESKS:
        raise BadReport(f"channel {stated} is for desks that enter a report for somebody: leave it out")
    return stated


def told_of(report: Report) -> dict[str, Any]:
    """A report as the event log tells it: without anything about the person."""
    return {
        "id": str(report.id),
        "channel": str(report.channel),
        "kind": report.kind,
        "title": report.title,
        "title_en": report.title_en,
        "words": report.words,
        "lng": report.lng,
        "lat": report.lat,
        "region": report.region,
        "at": report.at.isoformat(),
        "ticket": str(report.ticket),
    }


def shown(report: Report) -> dict[str, Any]:
    """A report as the desks see it."""
    return told_of(report) | {"contact": report.contact, "account": report.account, "reporter_name": report.reporter}
