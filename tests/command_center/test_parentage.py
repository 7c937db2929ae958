"""A town changes its county: what was under way there goes on, before new eyes."""

from __future__ import annotations

from datetime import date

from sqlalchemy import text

from command_center.ticket.store import load_steps, load_tickets
from command_center.ticket.ticket import fold
from gis.region_store import apply_parentage
from tests.running_city import RunningCity
from tests.small_city import COUNTIES, cell_code

CELL = cell_code()
FORMER, ZONE = COUNTIES[0], COUNTIES[2]
TOWN = CELL[:9]


def test_a_ticket_in_a_town_that_a_zone_takes_over_is_finished_by_its_holder_and_seen_by_the_zone(
    running: RunningCity,
) -> None:
    village = running.small.region(CELL).parent or ""
    ticket = running.open_ticket(CELL, severity=1)
    running.move(village, ticket, "dispatch", to=CELL)
    assert running.console(ZONE).get(f"/api/v1/tickets/{ticket}").status == 404
    with running.engine.begin() as connection:
        connection.execute(
            text("INSERT INTO region_parents (code, valid_from, parent) VALUES (:town, '2026-11-01', :zone)"),
            {"town": TOWN, "zone": ZONE},
        )
        moved = apply_parentage(connection, date(2026, 11, 24))
    assert [(own.code, own.was, own.parent) for own in moved] == [(TOWN, FORMER, ZONE)]
    assert running.move(CELL, ticket, "accept")["status"] == "accepted"
    assert running.move(CELL, ticket, "finish")["status"] == "handled"
    assert running.move(ZONE, ticket, "close")["status"] == "closed"
    assert running.console(FORMER).get(f"/api/v1/tickets/{ticket}").status == 404
    with running.engine.begin() as connection:
        stored = load_tickets(connection, [ticket])[ticket]
        assert fold(stored.place, load_steps(connection, ticket)) == stored
