"""``/api/v1/sensors``: the catalogue, its history, tables in and out, and the sensors that nobody knows yet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final, TypeVar

import gevent
from flask import Response, jsonify, request
from flask_openapi3 import APIBlueprint, Tag
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy import Connection, func, or_, text

from command_center.api.asking import account, now, server, sight, whole_city
from command_center.api.once import Made, MatchHeader, OnceHeader, once
from command_center.api.paging import Page, listed, narrowed
from command_center.api.problem import problem
from command_center.api.region import below
from command_center.catalogue_move import (
    BadEntry,
    NoSuchEntry,
    StaleEntry,
    Written,
    require_cataloguer,
    shown_entry,
    write,
)
from command_center.event import log
from config.database import scoped
from gis.cell_index import CellIndex
from gis.locate import Cells
from gis.region import covers
from gis.store import index_cells, read_cells
from ingest import catalogue_file, catalogue_store
from ingest.catalogue_store import Author, Unknown
from ingest.entry import ADDED, ADOPTED
from ingest.reading import DATUMS
from ingest.sensor import DOMAINS, SENSOR_ID, SHARINGS, Profile
from ingest.stated import Fault, Stated, check
from ingest.store import sensors
from ingest.unknown import Sent, look_into

blueprint = APIBlueprint("catalogue", __name__, url_prefix="/api/v1", abp_tags=[Tag(name="catalogue")])

LARGEST_FILE: Final = 4 << 20
"""Bytes, some 25,000 sensors: what more there is comes in at the command line."""
MOST_FAULTS: Final = 1000
MOST_UNKNOWN: Final = 500
_Answer = TypeVar("_Answer")


class SensorQuery(Page):
    """Which sensors."""

    id: str | None = None
    region: str | None = Field(None, description="region code: it and all below it")
    domain: str | None = None
    state: str | None = Field(None, description="online, silent, offline or unknown")
    text: str | None = Field(None, max_length=100, description="part of the id, name or owner")
    owner: str | None = None
    profile: str | None = None
    sharing: str | None = None
    in_service: bool | None = None


class SensorPath(BaseModel):
    """One sensor."""

    id: str = Field(min_length=1, max_length=64)


class EntryBody(BaseModel):
    """What is stated of a sensor; what is not stated stays."""

    model_config = ConfigDict(extra="forbid")

    name: str | None = Field(None, min_length=1, max_length=100)
    domain: str | None = None
    quantities: list[str] | None = Field(None, min_length=1, max_length=100)
    lng: float | None = Field(None, allow_inf_nan=False, description="degrees; null with lat for what moves")
    lat: float | None = Field(None, allow_inf_nan=False)
    datum: str | None = Field(None, description="of lng and lat: CGCS2000 when missing, WGS84, GCJ02 or BD09")
    cell: str | None = Field(
        None, max_length=64, description="found by the position; of what moves: the one it belongs to"
    )
    owner: str | None = Field(None, max_length=100)
    profile: str | None = Field(None, max_length=64)
    interval_s: float | None = Field(None, allow_inf_nan=False)
    sharing: str | None = None
    in_service: bool | None = None
    service_since: AwareDatetime | None = None


class NewEntryBody(EntryBody):
    """A sensor that is not in the catalogue yet."""

    id: str = Field(min_length=1, max_length=64)


class ImportQuery(BaseModel):
    """What is to become of a table."""

    check: bool = Field(True, description="only say what it would change")
    partial: bool = Field(False, description="leave rows with faults out and store the others")
    name: str = Field("", max_length=200, description="the file's name, for the history")


class ExportQuery(BaseModel):
    """Which sensors."""

    region: str | None = Field(None, description="region code: it and all below it")


@blueprint.get("/sensors", summary="Sensors with their newest values, by id")
def list_sensors(query: SensorQuery) -> dict[str, Any]:
    """The sensors the account may see."""
    table, who = sensors, account()
    # The scope stands beside the policy: a search in texts is not leak-proof, so the path index is what narrows it.
    statement = _rows().where(table.c.scope >= who.scope, table.c.scope < f"{who.scope}~")
    if query.region is not None:
        statement = statement.where(below(table.c.scope, query.region))
    if query.text:
        columns = (table.c.id, table.c.name, table.c.owner)
        statement = statement.where(or_(*(column.icontains(query.text, autoescape=True) for column in columns)))
    names = ("id", "domain", "state", "owner", "profile", "sharing", "in_service")
    statement = narrowed(statement, table, {name: getattr(query, name) for name in names})
    with sight() as connection:
        return listed(connection, statement, (table.c.id,), query, _shown, newest_first=False)


@blueprint.get("/sensors/<id>", summary="One sensor")
def get_sensor(path: SensorPath) -> Any:
    """With its revision, as ``ETag`` too: what ``If-Match`` names when the entry is changed."""
    with sight() as connection:
        return _tagged(_shown(_row(connection, path.id)))


@blueprint.get("/sensors/<id>/history", summary="What became of an entry, newest first")
def get_history(path: SensorPath, query: Page) -> dict[str, Any]:
    """Who changed what when, from what to what."""
    with sight() as connection:
        _row(connection, path.id)
        keys = (catalogue_store.sensor_history.c.n,)
        return listed(connection, catalogue_store.history(path.id), keys, query, _step, newest_first=True)


@blueprint.get("/catalogue", summary="What entries may say")
def get_catalogue() -> dict[str, Any]:
    """Quantities with their units, models of devices, departments that own sensors, domains and sharing classes."""
    account()
    known = server().catalogue
    with sight() as connection:
        owners = connection.execute(text("SELECT DISTINCT owner FROM sensors WHERE owner <> '' ORDER BY 1")).scalars()
        return {
            "quantities": [
                {"name": q.name, "unit": q.unit, "title": q.title, "title_en": q.title_en, "low": q.low, "high": q.high}
                for q in known.quantities.values()
                if q.name != "online"
            ],
            "profiles": [_profile(profile) for profile in known.profiles.values()],
            "owners": list(owners),
            "domains": list(DOMAINS),
            "sharings": list(SHARINGS),
        }


@blueprint.post("/sensors", summary="Add a sensor")
def post_sensor(body: NewEntryBody, header: OnceHeader) -> Response:
    """For accounts of the city and the counties. 201 with the entry; the cell is found by the position."""
    require_cataloguer(account())
    stated = _stated(body.id, body)
    cells = _cells([stated])

    def work(connection: Connection) -> Made:
        found = _added(connection, stated, cells, ADDED)
        return Made(_shown(_row(connection, body.id)), found.events, 201)

    return once(header.idempotency_key, f"sensors {body.model_dump_json()}", work)


@blueprint.patch("/sensors/<id>", summary="Change an entry")
def patch_sensor(path: SensorPath, body: EntryBody, header: MatchHeader) -> Response:
    """For accounts of the city and the counties. 412 when the entry changed meanwhile."""
    require_cataloguer(account())
    revision, stated = header.version(), _stated(path.id, body)
    cells = _cells([stated])

    def work(connection: Connection) -> Made:
        catalogue_store.begin_writing(connection)
        standing = _shown(_row(connection, path.id))
        if standing["revision"] != revision:
            raise StaleEntry(standing)
        found = _written(connection, [stated], cells, ADDED, "")
        return Made(_shown(_row(connection, path.id)), found.events)

    # A repeat finds another revision: it needs no key of its own.
    return _etag(once(None, "", work))


@blueprint.post("/sensors/import", summary="Take in a table of sensors")
def post_import(query: ImportQuery) -> Response:
    """The body is a CSV as ``sensors import`` takes it. Without ``check=false`` it only says what would change. With a fault
    nothing is stored (422 then), unless ``partial``. For accounts of the city and the counties.
    """
    require_cataloguer(account())
    request.max_content_length = LARGEST_FILE
    content = request.get_data()
    known = server()
    # Long work on the processor: in a thread of its own the consoles go on meanwhile.
    sheet = _aside(partial(catalogue_file.read, content, known.catalogue, known.zone))
    cells = _cells(sheet.stated)
    with sight() as connection:
        catalogue_store.begin_writing(connection)
        found = _written(
            connection,
            sheet.stated,
            cells,
            ADDED,
            query.name,
            faulty="good" if query.partial else "nothing",
            earlier=sheet.faults,
            keep=not query.check,
        )
        log.append(connection, found.events)
    plan = found.plan
    stored = not query.check and (query.partial or not plan.faults)
    body = {
        "added": plan.added,
        "changed": len(plan.changes) - plan.added,
        "unchanged": plan.unchanged,
        "stored": stored,
        "faulty_rows": len({fault.line for fault in plan.faults}),
        "faults": [_fault(fault) for fault in sorted(plan.faults, key=lambda fault: fault.line)[:MOST_FAULTS]],
    }
    if not query.check and not stored:
        return problem(422, "Table not taken", f"{len(plan.faults)} faults: nothing was stored", **body)
    return jsonify(body)


@blueprint.get("/sensors/export.csv", summary="The catalogue as a table")
def get_export(query: ExportQuery) -> Response:
    """CSV in UTF-8 with a byte-order mark, for spreadsheets; import takes it back unchanged. Positions are CGCS2000."""
    known, who = server(), account()
    region = known.tree.regions.get(query.region or who.region)
    low = region.scope if region is not None and covers(who.scope, region.scope) else "/"

    def lines() -> Iterator[bytes]:
        with scoped(known.engine, who.scope) as connection:
            yield b"\xef\xbb\xbf"
            part: list[str] = []
            for line in catalogue_file.write(catalogue_store.each_entry(connection, low), known.catalogue, known.zone):
                part.append(line)
                if len(part) == 500:
                    yield "".join(part).encode()
                    part = []
            yield "".join(part).encode()

    name = f"sensors-{now().astimezone(known.zone):%Y%m%d}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(lines(), content_type="text/csv; charset=utf-8", headers=headers)


@blueprint.get("/unknown-sensors", summary="Sensors that report and are in no catalogue, the last heard first")
def list_unknown() -> dict[str, Any]:
    """What each sent lately, and the entry that could be made of it (``suggestion``)."""
    with sight() as connection:
        found = catalogue_store.unknown_sensors(connection, most=MOST_UNKNOWN)
    return {"items": [_unknown(unknown) for unknown in found], "next": None}


@blueprint.post("/unknown-sensors/<id>/adopt", summary="Put an unknown sensor into the catalogue")
def post_adopt(path: SensorPath, body: EntryBody, header: OnceHeader) -> Response:
    """201 with the entry: what the body states, and the suggestion for the rest. From then on its messages are taken."""
    require_cataloguer(account())
    with sight() as connection:
        found = catalogue_store.unknown_sensors(connection, most=1, sensor=path.id)
    if not found:
        raise NoSuchEntry(f"no unknown sensor {path.id} has reported here")
    [unknown] = found
    sent = look_into(unknown.sent)
    stated = _stated(path.id, body)
    fields = _suggested(unknown, sent) | dict(stated.fields)
    # Under another county's topic none of its messages would be taken.
    stated = replace(stated, fields=fields | {"county": unknown.county})
    cells = _cells([stated])

    def work(connection: Connection) -> Made:
        made = _added(connection, stated, cells, ADOPTED)
        return Made(_shown(_row(connection, path.id)), made.events, 201)

    return once(header.idempotency_key, f"adopt {path.id} {body.model_dump_json()}", work)


def _rows() -> Any:
    return sensors.select().with_only_columns(
        *(column for column in sensors.columns if column.name != "geom"),
        func.ST_X(sensors.c.geom).label("lng"),
        func.ST_Y(sensors.c.geom).label("lat"),
    )


def _row(connection: Connection, identity: str) -> Any:
    row = connection.execute(_rows().where(sensors.c.id == identity)).one_or_none()
    if row is None:
        raise NoSuchEntry(f"there is no sensor {identity}")
    return row


def _shown(row: Any) -> dict[str, Any]:
    return shown_entry(row, server().catalogue)


def _tagged(shown: dict[str, Any]) -> Response:
    return _etag(jsonify(shown), shown["revision"])


def _etag(response: Response, revision: int | None = None) -> Response:
    revision = response.get_json().get("revision") if revision is None else revision
    if revision is not None:
        response.set_etag(str(revision))
    return response


def _step(row: Any) -> dict[str, Any]:
    return {
        "revision": row.revision,
        "at": row.at.isoformat(),
        "by": {"account": row.by, "name": row.by_name} if row.by_name else None,
        "what": row.what,
        "source": row.source,
        "changes": [{"field": name, "before": pair[0], "after": pair[1]} for name, pair in row.changes.items()],
    }


def _profile(profile: Profile) -> dict[str, Any]:
    return {
        "id": profile.id,
        "title": profile.title,
        "title_en": profile.title_en,
        "interval_s": profile.interval_s,
        "plausible": {
            name: {"low": own.low, "high": own.high, "sentinels": sorted(own.sentinels)}
            for name, own in profile.plausible.items()
        },
    }


def _fault(fault: Fault) -> dict[str, Any]:
    return {"line": fault.line, "column": fault.column, "zh": fault.zh, "en": fault.en}


def _stated(identity: str, body: EntryBody) -> Stated:
    """Raises BadEntry."""
    given = body.model_dump(include=body.model_fields_set)
    fields: dict[str, Any] = {
        name: given[name]
        for name in ("name", "domain", "cell", "owner", "profile", "sharing", "in_service", "service_since")
        if given.get(name) is not None
    }
    if given.get("quantities") is not None:
        fields["quantities"] = tuple(dict.fromkeys(given["quantities"]))
    if "interval_s" in given:
        fields["interval_s"] = given["interval_s"]
    faults: list[Fault] = []
    if {"lng", "lat"} & given.keys():
        lng, lat = given.get("lng"), given.get("lat")
        if (lng is None) != (lat is None):
            faults.append(Fault(0, "lng" if lng is None else "lat", "half_a_position"))
        fields["position"] = None if lng is None or lat is None else (lng, lat)
        fields["datum"] = str(given.get("datum") or "CGCS2000").upper().replace("-", "")
        if fields["datum"] not in DATUMS:
            faults.append(Fault(0, "datum", "no_such_datum", (fields["datum"][:40],)))
    stated = Stated(identity, fields)
    faults += check(stated, server().catalogue)
    if faults:
        raise BadEntry(faults)
    return stated


def _cells(stated: Sequence[Stated]) -> Cells:
    """The cells that the account sees, where the statement needs any."""
    if not any(row.fields.get("position") or row.fields.get("cell") for row in stated):
        return Cells(CellIndex([], [], painted=False), {}, {})
    with sight() as connection:
        rows = read_cells(connection)
    return _aside(partial(index_cells, rows, painted=False))


def _aside(work: Callable[[], _Answer]) -> _Answer:
    found: _Answer = gevent.get_hub().threadpool.apply(work)
    return found


def _written(
    connection: Connection, stated: Sequence[Stated], cells: Cells, what: str, source: str, **more: Any
) -> Written:
    """Raises BadEntry for a single entry that cannot be taken."""
    who = account()
    with whole_city() as beyond:
        taken = frozenset(catalogue_store.taken(beyond, [row.id for row in stated]))
    author = Author(who.username, who.name, now(), source)
    found = write(connection, stated, cells, server().catalogue, author, taken=taken, what=what, **more)
    if found.plan.faults and not more:
        raise BadEntry(found.plan.faults)
    return found


def _added(connection: Connection, stated: Stated, cells: Cells, what: str) -> Written:
    """Raises BadEntry, also when the sensor is there."""
    catalogue_store.begin_writing(connection)
    if catalogue_store.standing(connection, [stated.id]):
        raise BadEntry([Fault(0, "id", "there")])
    return _written(connection, [stated], cells, what, "")


def _suggested(unknown: Unknown, sent: Sent) -> dict[str, Any]:
    """What its messages say of a sensor, as far as the city knows such a thing."""
    known = server().catalogue
    measured = tuple(name for name in sent.values if name in known.quantities)
    found: dict[str, Any] = {"name": unknown.id}
    if measured:
        alike = Counter(s.domain for s in known.sensors.values() if measured[0] in s.quantities)
        found |= {"quantities": measured, "domain": alike.most_common(1)[0][0] if alike else DOMAINS[0]}
    if sent.position is not None:
        found |= {"position": sent.position, "datum": sent.datum}
    if sent.interval_s is not None:
        found["interval_s"] = sent.interval_s
    return found


def _unknown(unknown: Unknown) -> dict[str, Any]:
    sent = look_into(unknown.sent)
    suggestion = _suggested(unknown, sent)
    lng, lat = suggestion.pop("position", (None, None))
    return {
        "id": unknown.id,
        "county": unknown.county,
        "adoptable": SENSOR_ID.fullmatch(unknown.id) is not None and unknown.county in server().tree.regions,
        "count": unknown.count,
        "first_at": unknown.first_at.isoformat(),
        "last_at": unknown.last_at.isoformat(),
        "values": [
            {"quantity": name, "value": value, "known": name in server().catalogue.quantities}
            for name, value in sent.values.items()
        ],
        "unread": sent.unread,
        "suggestion": suggestion | {"quantities": list(suggestion.get("quantities", ())), "lng": lng, "lat": lat},
    }
