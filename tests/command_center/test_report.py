"""People report through the web process: one matter, however many of them tell of it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from command_center.ticket import store
from command_center.ticket.deadline import deadlines_of
from command_center.ticket.ticket import fold
from tests.console import Answer, Console
from tests.running_city import RunningCity
from tests.small_city import CITY, COUNTIES, cell_code

A, B, _ = COUNTIES
TOWN, VILLAGE = f"{A}001", f"{A}001001"
CELL = cell_code()


@pytest.fixture(autouse=True)
def apart(running: RunningCity) -> Iterator[None]:
    """What one test reported is no duplicate of what the next one does."""
    yield
    running.rows("UPDATE tickets SET lng = lng + 1000 WHERE closed_at IS NULL")


def said(running: RunningCity, *, cell: str = CELL, east_m: float = 0, **more: Any) -> dict[str, Any]:
    lng, lat = running.small.centre(cell)
    return {"kind": "manhole", "words": "井盖缺失，夜间危险", "lng": lng + east_m / 92_300, "lat": lat, **more}


def report(running: RunningCity, who: str | None = TOWN, key: str | None = None, **more: Any) -> Answer:
    console = Console(running.url) if who is None else running.console(who)
    headers = {} if key is None else {"Idempotency-Key": key}
    return console.post("/api/v1/reports", said(running, **more), headers)


def taken(running: RunningCity, who: str | None = TOWN, **more: Any) -> dict[str, Any]:
    answer = report(running, who, **more)
    assert answer.status == 201, answer.content
    found: dict[str, Any] = answer.json
    return found


def followed(running: RunningCity, receipt: str) -> dict[str, Any]:
    answer = Console(running.url).get(f"/api/v1/reports/{receipt}")
    assert answer.status == 200, answer.content
    found: dict[str, Any] = answer.json
    return found


def ticket_of(running: RunningCity, number: str) -> UUID:
    [(identity,)] = running.rows("SELECT id FROM tickets WHERE number = :number", number=number)
    return UUID(str(identity))


def duplicates(running: RunningCity, ticket: UUID, code: str = TOWN) -> list[dict[str, Any]]:
    answer = running.console(code).get(f"/api/v1/tickets/{ticket}/duplicates")
    assert answer.status == 200, answer.content
    return list(answer.json["items"])


def incident_status(running: RunningCity, ticket: UUID) -> str:
    [(status,)] = running.rows(
        "SELECT i.status FROM incidents i JOIN tickets t ON t.incident = i.id WHERE t.id = :of", of=ticket
    )
    return str(status)


def test_a_report_waits_at_the_townships_desk_for_filing_and_its_clock_runs(running: RunningCity) -> None:
    receipt = taken(running, None, contact="王先生 13800000000")
    assert (receipt["status"], receipt["merged"], receipt["answer"]) == ("reported", False, None)
    ticket = running.ticket(ticket_of(running, receipt["number"]), TOWN)
    assert (ticket["status"], ticket["holder"]["region"], ticket["small_class"]) == ("reported", TOWN, "C0101")
    assert datetime.fromisoformat(ticket["stage_due_at"]) == datetime.fromisoformat(ticket["due_at"])
    assert {"verify", "file", "void", "merge", "self_handle"} <= {move["move"] for move in ticket["moves"]}
    [row] = running.rows("SELECT kind FROM deadlines WHERE ticket = :of", of=UUID(ticket["id"]))
    assert row.kind == "stage"
    assert incident_status(running, UUID(ticket["id"])) == "reported"
    [own] = running.console(TOWN).get(f"/api/v1/tickets/{ticket['id']}/reports").json["items"]
    assert (own["channel"], own["contact"], own["words"]) == ("public", "王先生 13800000000", "井盖缺失，夜间危险")


def test_filing_brings_it_where_the_routing_rules_say_under_the_condition_and_severity_chosen(
    running: RunningCity,
) -> None:
    ticket = ticket_of(running, taken(running)["number"])
    filed = running.move(TOWN, ticket, "file", severity=3)
    assert (filed["status"], filed["severity"], filed["holder"]["region"]) == ("filed", 3, A)
    assert (filed["holder"]["org"], filed["why"]["how"]) == ("urban_management", "routed")
    assert incident_status(running, ticket) == "open"
    [(severity,)] = running.rows(
        "SELECT i.severity FROM incidents i JOIN tickets t ON t.incident = i.id WHERE t.id = :of", of=ticket
    )
    assert severity == 3


def test_a_machine_signal_leaves_an_unfiled_report_alone_and_joins_it_once_it_is_filed(running: RunningCity) -> None:
    ticket = ticket_of(running, taken(running, kind="waterlogging")["number"])
    beside = running.open_ticket(CELL, severity=2, matter="waterlogging")
    assert beside != ticket
    [one] = duplicates(running, ticket)
    assert (one["ticket"]["id"], one["same"], one["metres"]) == (str(beside), "category", 0.0)
    running.move(TOWN, beside, "force_close" if running.ticket(beside, A)["holder"]["region"] != TOWN else "accept")
    running.rows(
        "UPDATE incidents SET status = 'closed' WHERE id = (SELECT incident FROM tickets WHERE id = :of)", of=beside
    )
    running.rows("UPDATE tickets SET lng = lng + 500 WHERE id = :of", of=beside)
    running.move(TOWN, ticket, "file")
    assert running.open_ticket(CELL, severity=2, matter="waterlogging") == ticket


def test_a_second_report_is_filed_only_by_whoever_says_why_it_is_another_matter(running: RunningCity) -> None:
    first = ticket_of(running, taken(running)["number"])
    running.move(TOWN, first, "file")
    second = ticket_of(running, taken(running, east_m=49)["number"])
    third = ticket_of(running, taken(running, east_m=-52)["number"])
    [one] = duplicates(running, second)
    assert (one["ticket"]["id"], one["same"]) == (str(first), "small_class")
    assert 48 < one["metres"] < 50
    assert duplicates(running, third) == []
    for reason in (None, "  "):
        answer = running.console(TOWN).move(running.ticket(second, TOWN), "file", reason=reason)
        assert answer.status == 422
        assert one["ticket"]["number"] in answer.json["detail"]
    assert running.move(TOWN, second, "file", reason="东侧另一处井盖")["status"] == "filed"
    assert running.move(TOWN, third, "file")["status"] == "filed"


def test_what_is_of_another_small_class_is_no_duplicate(running: RunningCity) -> None:
    taken(running, kind="light")
    assert duplicates(running, ticket_of(running, taken(running)["number"])) == []


def test_both_reporters_follow_the_master_after_a_merge_to_its_end_and_hear_its_answer(running: RunningCity) -> None:
    first = taken(running)
    master = ticket_of(running, first["number"])
    running.move(TOWN, master, "file")
    second = taken(running, None)
    follower = ticket_of(running, second["number"])
    running.move(TOWN, follower, "merge", to=str(master))
    seen = followed(running, second["receipt"])
    assert (seen["number"], seen["merged"], seen["status"]) == (first["number"], True, "filed")
    assert [stage["status"] for stage in seen["trail"]] == ["reported", "merged", "filed"]
    own = running.console(TOWN).get(f"/api/v1/tickets/{master}/reports").json["items"]
    assert {one["ticket"] for one in own} == {str(master), str(follower)}
    holder = running.ticket(master, CITY)["holder"]["region"]
    running.move(holder, master, "accept")
    running.move(holder, master, "finish")
    running.move(CITY, master, "close", reason="已更换新井盖，感谢反映")
    for receipt in (first["receipt"], second["receipt"]):
        seen = followed(running, receipt)
        assert (seen["status"], seen["answer"]) == ("closed", "已更换新井盖，感谢反映")
    assert [stage["status"] for stage in followed(running, second["receipt"])["trail"]] == [
        "reported", "merged", "filed", "accepted", "handled", "closed",
    ]  # fmt: skip


def test_a_split_gives_the_reporter_a_ticket_of_their_own_again(running: RunningCity) -> None:
    first, second = taken(running), taken(running)
    master, follower = (ticket_of(running, one["number"]) for one in (first, second))
    running.move(TOWN, follower, "merge", to=str(master))
    running.move(TOWN, follower, "split", reason="确认是两处")
    seen = followed(running, second["receipt"])
    assert (seen["number"], seen["merged"], seen["status"]) == (second["number"], False, "filed")
    assert incident_status(running, follower) == "open"


def test_what_is_not_filed_is_answered(running: RunningCity) -> None:
    receipt = taken(running)
    running.move(TOWN, ticket_of(running, receipt["number"]), "void", reason="该处为小区内部道路，由物业负责")
    seen = followed(running, receipt["receipt"])
    assert (seen["status"], seen["answer"]) == ("void", "该处为小区内部道路，由物业负责")


def test_a_repeat_with_the_same_key_is_the_same_report_also_at_the_same_moment(running: RunningCity) -> None:
    key, before = str(uuid4()), len(running.rows("SELECT 1 FROM tickets"))
    running.console(TOWN)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: taken(running, key=key), range(8)))
    assert {one["receipt"] for one in found} == {found[0]["receipt"]}
    assert len(running.rows("SELECT 1 FROM tickets")) == before + 1
    assert taken(running, key=key, words="另一件事")["receipt"] != found[0]["receipt"]
    assert report(running, key="short").status == 422


def test_a_receipt_is_read_as_people_type_it_and_another_one_shows_nothing(running: RunningCity) -> None:
    receipt = taken(running)["receipt"]
    assert len(receipt) == 24
    for typed in (receipt.lower(), receipt.replace("-", ""), receipt.replace("0", "o").replace("-", "%20")):
        assert followed(running, typed)["number"] == followed(running, receipt)["number"]
    guess = ("1" if receipt[0] != "1" else "2") + receipt[1:]
    for wrong in (guess, "x", "0" * 20, "%00", "U" * 20):
        answer = Console(running.url).get(f"/api/v1/reports/{wrong}")
        assert (answer.status, "number" in answer.json) == (404, False)
    assert running.rows("SELECT 1 FROM reports WHERE receipt LIKE '%' || :of || '%'", of=receipt) == []


def test_a_grid_worker_says_what_was_done_on_the_spot_and_the_desk_above_closes_it(running: RunningCity) -> None:
    receipt = taken(running, CELL, handled="已用围挡隔离并通知产权单位更换")
    assert receipt["status"] == "handled"
    ticket = running.ticket(ticket_of(running, receipt["number"]), VILLAGE)
    assert (ticket["holder"]["region"], ticket["holder"]["account"]) == (CELL, running.small.username(CELL))
    assert ticket["limit"]["amount"] > 0
    assert running.move(VILLAGE, UUID(ticket["id"]), "close")["status"] == "closed"
    answer = report(running, CELL, cell=cell_code(1), handled="已处置")
    assert (answer.status, "handled" in answer.json["detail"]) == (422, True)
    assert report(running, None, handled="已处置").status == 422


def test_a_worker_may_report_what_lies_elsewhere_and_follows_it_among_their_own(running: RunningCity) -> None:
    receipt = taken(running, CELL, cell=cell_code(1))
    console = running.console(CELL)
    [own] = console.get("/api/v1/reports?mine=true&limit=1").json["items"]
    assert (own["words"], own["status"], own["channel"]) == (receipt["words"], "reported", "worker")
    assert own["id"] not in {one["id"] for one in console.get("/api/v1/reports?limit=200").json["items"]}
    assert console.get(f"/api/v1/tickets/{own['ticket']}").status == 404


def test_only_a_desk_says_through_which_channel_a_report_came(running: RunningCity) -> None:
    receipt = taken(running, TOWN, channel="hotline")
    ticket = ticket_of(running, receipt["number"])
    assert running.ticket(ticket, TOWN)["source"]["name"] == "hotline"
    for who, channel in ((CELL, "hotline"), (None, "hotline"), (TOWN, "public"), (TOWN, "pigeon")):
        assert report(running, who, channel=channel).status == 422


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "nothing"},
        {"words": " "},
        {"words": "a\x00b"},
        {"words": "x" * 1001},
        {"lng": 10.0},
        {"lat": 91},
        {"lng": float("1e400")},
        {"more": 1},
    ],
    ids=str,
)
def test_what_cannot_be_meant_is_refused_in_words_and_opens_nothing(
    running: RunningCity, wrong: dict[str, Any]
) -> None:
    before = len(running.rows("SELECT 1 FROM tickets"))
    answer = running.console(TOWN).post("/api/v1/reports", said(running) | wrong)
    assert answer.status in {400, 422}
    assert answer.json["detail"]
    assert len(running.rows("SELECT 1 FROM tickets")) == before


def test_another_county_sees_neither_the_report_nor_that_something_is_near(running: RunningCity) -> None:
    receipt = taken(running, contact="13911112222")
    ticket = ticket_of(running, receipt["number"])
    other = running.console(B)
    for path in (f"/api/v1/tickets/{ticket}/reports", f"/api/v1/tickets/{ticket}/duplicates"):
        assert other.get(path).status == 404
    assert str(ticket) not in {one["ticket"] for one in other.get("/api/v1/reports?limit=200").json["items"]}
    assert str(ticket) in {one["ticket"] for one in running.console(A).get("/api/v1/reports?limit=200").json["items"]}


def test_who_reported_is_told_to_nobody_but_the_desks(running: RunningCity) -> None:
    receipt = taken(running, contact="13911113333")
    assert running.rows("SELECT 1 FROM event_log WHERE data::text LIKE '%13911113333%'") == []
    told = str(followed(running, receipt["receipt"]))
    assert "13911113333" not in told
    assert running.small.username(TOWN) not in told


def test_the_public_pages_need_no_login_and_say_only_names_and_outlines(running: RunningCity) -> None:
    anybody = Console(running.url)
    kinds = anybody.get("/api/v1/reports/kinds").json
    assert (kinds["anonymous"], len(kinds["kinds"])) == (True, 16)
    features = anybody.get("/api/v1/reports/ground").json["features"]
    assert {f["properties"]["tier"] for f in features} == {"county", "township"}
    assert {key for f in features for key in f["properties"]} == {"code", "name", "tier"}
    assert anybody.get("/api/v1/reports").status == 401
    assert anybody.get("/api/v1/standards").status == 401


def test_every_reported_ticket_is_the_fold_of_its_steps_with_the_deadlines_that_follow(running: RunningCity) -> None:
    reported = running.rows("SELECT id FROM tickets WHERE source_kind = 'report'")
    assert len(reported) > 10
    with running.engine.connect() as connection:
        for (identity,) in reported:
            ticket = store.read_ticket(connection, identity)
            assert ticket is not None
            again = fold(ticket.place, store.load_steps(connection, identity))
            assert again == ticket
            rows = running.rows("SELECT kind, due_at FROM deadlines WHERE ticket = :of", of=identity)
            assert {row.kind: row.due_at for row in rows} == deadlines_of(ticket)


def test_one_address_cannot_send_reports_without_end(running: RunningCity) -> None:
    found = [report(running, None) for _ in range(21)]
    assert found[-1].status == 429
    assert "try again in" in found[-1].json["detail"]
    assert report(running, TOWN).status == 201
