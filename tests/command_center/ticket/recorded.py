"""A month of real tickets of another city: 15,360 of 48 services, added 8 to 31 July 2016."""

from __future__ import annotations

import csv
from datetime import datetime, tzinfo
from pathlib import Path

import pytest

from command_center.ticket.history import Finished

DC311 = Path(__file__).parents[4] / "shared" / "data" / "tickets" / "dc311_2016-07.csv"
COLUMNS = {
    "number": "SERVICEREQUESTID",
    "service": "SERVICECODE",
    "agency": "ORGANIZATIONACRONYM",
    "opened_at": "ADDDATE",
    "due_at": "SERVICEDUEDATE",
    "closed_at": "RESOLUTIONDATE",
}


def rows() -> list[dict[str, str]]:
    """The file as it is; the test is skipped where it is not."""
    if not DC311.exists():
        pytest.skip("the recorded tickets ../shared/data/tickets/dc311_2016-07.csv are not here")
    with DC311.open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))


def tickets(zone: tzinfo) -> list[Finished]:
    """The recorded tickets, their wall-clock times (the file calls them UTC, which they are not) taken in a zone."""

    def moment(text: str) -> datetime | None:
        return datetime.fromisoformat(text).replace(tzinfo=zone) if text else None

    found = []
    for row in rows():
        number, service, agency, *times = (row[column] for column in COLUMNS.values())
        opened_at, due_at, closed_at = map(moment, times)
        assert opened_at is not None
        found.append(Finished(number, service, agency, opened_at, due_at, closed_at))
    return found
