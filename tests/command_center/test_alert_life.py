"""The life of alerts in the database: kept quiet, released once, told in groups, never two for one rule and source."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from command_center.city import Desk
from command_center.event import log
from command_center.respond import release, respond, tell_group
from command_center.schedule import begin_mutes, release_alerts, tell_groups
from config.database import worker_engine
from rules import mute_store
from rules.alert import Alert, AlertChange, Change
from rules.group_store import claim_group
from rules.life import Acknowledged, State
from rules.mute import Ended, Mute, MuteKind
from rules.store import acknowledge, alerts, claim_freed, in_state, standing_of
from tests import processes
from tests.conftest import Database
from tests.running_city import StandingCity, standing_city
from tests.small_city import CITY, cell_code
from tests.waiting import wait_until

NOW = datetime(2026, 11, 23, 2, tzinfo=UTC)
IN_TOWN, BESIDE, ELSEWHERE = cell_code(), cell_code(0, 1, 2, 1), cell_code(1)
_sources = count(1)


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


@pytest.fixture
def standing(database: Database) -> Iterator[StandingCity]:
    with standing_city(database) as found:
        yield found


def flood(standing: StandingCity, cell: str = IN_TOWN, *, severity: int = 2, category: str = "waterlogging") -> Alert:
    """An alert of a gauge that has no other."""
    alert = standing.alert(standing.small.region(cell), severity, f"gauge-{next(_sources)}", category)
    now_us = int(NOW.timestamp()) * 1_000_000
    return replace(alert, raised_at_us=now_us, at_us=now_us)


def raised(alert: Alert) -> AlertChange:
    return AlertChange(Change.RAISED, alert)


def ended(alert: Alert) -> AlertChange:
    after = replace(alert, ended_at_us=alert.at_us + 1, at_us=alert.at_us + 1, version=alert.version + 1)
    return AlertChange(Change.ENDED, after)


def grew(alert: Alert, severity: int) -> AlertChange:
    return AlertChange(Change.GREW, replace(alert, severity=severity, version=alert.version + 1))


def tell(standing: StandingCity, *changes: AlertChange, now: datetime = NOW) -> None:
    """As the worker does it."""
    with standing.engine.begin() as connection:
        log.append(connection, respond(connection, changes, standing.city, now))


def keep_quiet(standing: StandingCity, region: str, **more: Any) -> Mute:
    """A silence of a region for an hour from NOW on."""
    fields: dict[str, Any] = {
        "id": uuid4(),
        "kind": MuteKind.SILENCE,
        "region": region,
        "scope": standing.small.region(region).scope,
        "starts_at": NOW,
        "ends_at": at(3600),
        "author": "u",
        "author_name": "值班长",
        "reason": "清淤",
        "made_at": NOW,
    }
    mute = Mute(**fields | more)
    with standing.engine.begin() as connection:
        mute_store.insert_mute(connection, mute)
    return mute


def end_mute(standing: StandingCity, mute: Mute, now: datetime) -> None:
    with standing.engine.begin() as connection:
        mute_store.end_mute(connection, mute.id, Ended(now, "u", "值班长", "done"))


def desk(standing: StandingCity) -> Any:
    city = standing.city
    return lambda _: Desk(city.tree, city.dispatch, city.zone, city.inhibitions, city.grouping)


def work(standing: StandingCity, now: datetime) -> None:
    """What the scheduler does for alerts each second."""
    begin_mutes(standing.engine, now, standing.city.grouping)
    release_alerts(standing.engine, now, desk(standing))
    assert standing.city.grouping is not None
    tell_groups(standing.engine, now, standing.city.grouping)


def row(standing: StandingCity, alert: Alert) -> Any:
    return standing.rows("SELECT * FROM alerts WHERE id = :id", id=alert.id)[0]


def state(standing: StandingCity, alert: Alert) -> State:
    return standing_of(row(standing, alert)).state


def tickets(standing: StandingCity) -> int:
    return int(standing.rows("SELECT count(*) FROM tickets")[0][0])


def notices(standing: StandingCity) -> list[Any]:
    return [found.data for found in standing.rows("SELECT data FROM event_log WHERE kind = 'notice' ORDER BY n")]


def told(standing: StandingCity) -> list[tuple[str, int, int]]:
    return [(notice["kind"], notice["members"], notice["new"]) for notice in notices(standing)]


# -- kept quiet ------------------------------------------------------------------------------------------------------------


def test_a_muted_alert_is_stored_and_told_as_such_but_opens_nothing_and_gives_no_notice(standing: StandingCity) -> None:
    mute = keep_quiet(standing, IN_TOWN)
    alert, other = flood(standing), flood(standing, ELSEWHERE)
    tell(standing, raised(alert), raised(other), now=at(1))
    found = row(standing, alert)
    assert (found.muted_kind, found.muted_by, found.muted_until) == ("silence", mute.id, at(3600))
    assert (found.muted_name, found.muted_reason, found.placed_at) == ("值班长", "清淤", None)
    assert state(standing, alert) is State.SUPPRESSED
    assert [found.source for found in standing.rows("SELECT source FROM tickets")] == [other.source.id]
    assert standing.rows("SELECT count(*) FROM incident_signals")[0][0] == 1
    [event] = standing.rows("SELECT data FROM event_log WHERE kind = 'alert' AND id = :id", id=str(alert.id))
    assert (event.data["state"], event.data["muted"]["by"]) == ("suppressed", str(mute.id))
    work(standing, at(11))
    assert [notice["region"] for notice in notices(standing)] == [standing.small.region(ELSEWHERE).scope.split("/")[2]]


def test_it_grows_and_ends_in_silence_and_needs_nobody_s_acknowledgement(standing: StandingCity) -> None:
    keep_quiet(standing, IN_TOWN)
    alert = flood(standing)
    tell(standing, raised(alert), now=at(1))
    tell(standing, grew(alert, 4), now=at(2))
    assert tickets(standing) == 0
    tell(standing, ended(grew(alert, 4).alert), now=at(3))
    work(standing, at(4000))
    assert (tickets(standing), notices(standing)) == (0, [])
    assert state(standing, alert) is State.NORMAL


@pytest.mark.parametrize("by_hand", [False, True])
def test_when_the_mute_ends_what_still_stands_comes_before_people(standing: StandingCity, by_hand: bool) -> None:
    mute = keep_quiet(standing, IN_TOWN)
    alert, over = flood(standing), flood(standing)
    tell(standing, raised(alert), raised(over), now=at(1))
    tell(standing, ended(over), now=at(2))
    work(standing, at(3))
    assert tickets(standing) == 0
    over_at = 10 if by_hand else 3600
    if by_hand:
        end_mute(standing, mute, at(over_at))
    work(standing, at(over_at - 1) if not by_hand else at(over_at))
    assert tickets(standing) == (1 if by_hand else 0)
    work(standing, at(over_at))
    work(standing, at(over_at + 1))
    [ticket] = standing.rows("SELECT source, opened_at FROM tickets")
    assert (ticket.source, ticket.opened_at) == (alert.source.id, at(over_at))
    found = row(standing, alert)
    assert (found.muted_by, found.placed_at) == (None, at(over_at))
    assert state(standing, alert) is State.RAISED
    work(standing, at(over_at + 11))
    assert told(standing) == [("first", 1, 1)]


def test_under_two_mutes_it_stays_quiet_until_the_last_one_ends(standing: StandingCity) -> None:
    keep_quiet(standing, IN_TOWN)
    longer = keep_quiet(standing, CITY, category="waterlogging", ends_at=at(7200), kind=MuteKind.MAINTENANCE)
    alert = flood(standing)
    tell(standing, raised(alert), now=at(1))
    assert row(standing, alert).muted_kind == "maintenance"
    end_mute(standing, longer, at(2))
    work(standing, at(2))
    assert (row(standing, alert).muted_kind, tickets(standing)) == ("silence", 0)
    work(standing, at(3600))
    assert (row(standing, alert).muted_kind, tickets(standing)) == (None, 1)


def test_a_mute_that_begins_marks_what_stands_already_and_leaves_its_ticket(standing: StandingCity) -> None:
    alert, other = flood(standing), flood(standing, ELSEWHERE)
    tell(standing, raised(alert), raised(other))
    before = standing.rows("SELECT * FROM tickets ORDER BY id")
    keep_quiet(standing, IN_TOWN, starts_at=at(60), made_at=NOW)
    work(standing, at(59))
    assert state(standing, alert) is State.RAISED
    work(standing, at(60))
    assert state(standing, alert) is State.SUPPRESSED
    assert state(standing, other) is State.RAISED
    version = row(standing, alert).version
    work(standing, at(61))
    assert row(standing, alert).version == version == 2
    tell(standing, grew(alert, 4), now=at(70))
    assert standing.rows("SELECT * FROM tickets ORDER BY id") == before
    # When it is over, the ticket hears that its matter grew meanwhile.
    work(standing, at(3600))
    assert [found.severity for found in standing.rows("SELECT severity FROM tickets ORDER BY severity")] == [2, 4]
    assert len(standing.rows("SELECT * FROM tickets")) == 2


def test_a_release_that_is_killed_before_its_commit_is_done_again_and_once(
    standing: StandingCity, database: Database
) -> None:
    mute = keep_quiet(standing, IN_TOWN)
    tell(standing, *(raised(flood(standing)) for _ in range(5)), now=at(1))
    end_mute(standing, mute, at(2))
    doomed = worker_engine(database.worker_url)

    def die(connection: Connection) -> None:
        freed = claim_freed(connection, at(3), 100)
        assert len(freed) == 5
        log.append(connection, release(connection, freed, standing.city, at(3)))
        assert claim_in_another(standing) == [], "what one has claimed the other passes over without waiting"
        kill(standing, connection)

    with pytest.raises(OperationalError), doomed.begin() as connection:
        die(connection)
    doomed.dispose()
    assert tickets(standing) == 0
    work(standing, at(3))
    work(standing, at(4))
    # One place and category: one matter.
    assert tickets(standing) == 1
    assert standing.rows("SELECT count(*) FROM incident_signals")[0][0] == 5
    told_of = standing.rows("SELECT id FROM event_log WHERE kind = 'incident'")
    assert len(told_of) == 1


def kill(standing: StandingCity, connection: Connection) -> None:
    """End a connection as the database does when its process is gone."""
    pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
    standing.rows("SELECT pg_terminate_backend(:pid)", pid=pid)


def claim_in_another(standing: StandingCity) -> list[Any]:
    with standing.engine.begin() as connection:
        return claim_freed(connection, at(3), 100)


def test_two_schedulers_at_once_release_each_alert_once(standing: StandingCity) -> None:
    mute = keep_quiet(standing, CITY, category="waterlogging")
    cells = [code for code, spot in standing.small.spots.items() if spot.region.tier == "grid"]
    tell(standing, *(raised(flood(standing, cell)) for cell in cells), now=at(1))
    end_mute(standing, mute, at(2))
    start, failed = threading.Barrier(2), list[BaseException]()

    def free() -> None:
        try:
            start.wait()
            work(standing, at(20))
        except BaseException as problem:
            failed.append(problem)
            raise

    schedulers = [threading.Thread(target=free) for _ in range(2)]
    for scheduler in schedulers:
        scheduler.start()
    for scheduler in schedulers:
        scheduler.join()
    assert not failed
    work(standing, at(40))
    assert tickets(standing) == len(cells)
    assert standing.rows("SELECT max(version) AS v FROM alerts")[0].v == 2
    towns = {standing.small.region(cell).scope.split("/")[2] for cell in cells}
    assert sorted(notice["region"] for notice in notices(standing)) == sorted(towns)


def test_the_scheduler_process_releases_what_a_mute_held_back(standing: StandingCity, database: Database) -> None:
    now = datetime.now(UTC)
    keep_quiet(standing, IN_TOWN, starts_at=now, made_at=now, ends_at=now + timedelta(seconds=4))
    alert = flood(standing)
    tell(standing, raised(alert), now=now)
    with processes.scheduler(database.worker_url), processes.scheduler(database.worker_url):
        wait_until(lambda: tickets(standing) == 1, 20, what="the alert is released")
        wait_until(lambda: told(standing) == [("first", 1, 1)], 20, what="the group is told")
    assert tickets(standing) == 1


# -- inhibited -------------------------------------------------------------------------------------------------------------


def test_a_flooded_town_keeps_its_traffic_quiet_until_it_is_over(standing: StandingCity) -> None:
    water = flood(standing, severity=4)
    jam = flood(standing, BESIDE, category="congestion")
    far = flood(standing, ELSEWHERE, category="congestion")
    tell(standing, raised(water))
    tell(standing, raised(jam), raised(far), now=at(5))
    found = row(standing, jam)
    assert (found.muted_kind, found.muted_by, found.muted_until) == ("inhibited", water.id, None)
    assert state(standing, jam) is State.SUPPRESSED
    assert {t.source for t in standing.rows("SELECT source FROM tickets")} == {water.source.id, far.source.id}
    work(standing, at(6))
    assert state(standing, jam) is State.SUPPRESSED
    tell(standing, ended(water), now=at(7))
    work(standing, at(8))
    assert state(standing, jam) is State.RAISED
    assert jam.source.id in {t.source for t in standing.rows("SELECT source FROM tickets")}


def test_cause_and_effect_of_one_batch_meet_in_either_order(standing: StandingCity) -> None:
    water, jam = flood(standing, severity=4), flood(standing, category="congestion")
    tell(standing, raised(jam), raised(water))
    assert row(standing, jam).muted_by == water.id
    assert row(standing, water).muted_by is None


def test_a_flood_that_grows_grave_in_the_same_batch_counts_as_it_is_after_it(standing: StandingCity) -> None:
    water, jam = flood(standing, severity=2), flood(standing, category="congestion")
    tell(standing, raised(water))
    tell(standing, grew(water, 4), raised(jam))
    assert row(standing, jam).muted_by == water.id


def test_a_jam_that_has_its_incident_already_keeps_it(standing: StandingCity) -> None:
    jam, water = flood(standing, category="congestion"), flood(standing, severity=4)
    tell(standing, raised(jam))
    tell(standing, raised(water), now=at(5))
    work(standing, at(6))
    assert state(standing, jam) is State.RAISED
    assert tickets(standing) == 2


def test_a_silenced_cause_frees_its_effects_for_nobody_would_see_either(standing: StandingCity) -> None:
    water, jam = flood(standing, severity=4), flood(standing, category="congestion")
    tell(standing, raised(water))
    tell(standing, raised(jam))
    keep_quiet(standing, IN_TOWN, source=water.source.id)
    work(standing, at(1))
    assert (state(standing, water), state(standing, jam)) == (State.SUPPRESSED, State.RAISED)


def test_a_release_into_a_flood_stays_quiet_as_its_effect(standing: StandingCity) -> None:
    keep_quiet(standing, IN_TOWN, domain="emergency", category="congestion")
    jam, water = flood(standing, category="congestion"), flood(standing, severity=4)
    tell(standing, raised(jam), now=at(1))
    tell(standing, raised(water), now=at(2))
    work(standing, at(3600))
    assert (row(standing, jam).muted_kind, row(standing, jam).muted_by) == ("inhibited", water.id)
    assert tickets(standing) == 1


# -- told in groups --------------------------------------------------------------------------------------------------------


def test_alerts_of_one_category_and_town_are_told_together_and_over_at_the_end(standing: StandingCity) -> None:
    one, two, other = flood(standing), flood(standing, BESIDE), flood(standing, ELSEWHERE)
    tell(standing, raised(one))
    work(standing, at(9))
    tell(standing, raised(two), raised(other), now=at(9))
    assert notices(standing) == []
    work(standing, at(10))
    work(standing, at(11))
    [first] = notices(standing)
    assert (first["kind"], first["members"], first["new"], first["category"]) == ("first", 2, 2, "waterlogging")
    assert first["region"] == IN_TOWN[:9]
    assert first["title"].startswith("乡镇")
    assert first["title_en"].endswith("(2 alerts)")
    tell(standing, ended(one), now=at(20))
    tell(standing, ended(two), now=at(30))
    work(standing, at(69))
    assert len(notices(standing)) == 2  # the other town's first one
    work(standing, at(70))
    assert (notices(standing)[-1]["kind"], notices(standing)[-1]["members"]) == ("over", 0)
    [event] = standing.rows("SELECT version, after FROM event_log WHERE kind = 'notice' ORDER BY n DESC LIMIT 1")
    assert (event.version, event.after) == (2, [standing.small.region(IN_TOWN[:9]).scope])
    tell(standing, raised(flood(standing)), now=at(80))
    work(standing, at(90))
    assert notices(standing)[-1]["kind"] == "first"
    assert notices(standing)[-1]["id"] != first["id"]


def test_an_urgent_alert_is_told_at_once_and_repeated_until_somebody_acknowledges(standing: StandingCity) -> None:
    alert = flood(standing, severity=4)
    tell(standing, raised(alert))
    work(standing, NOW)
    assert told(standing) == [("first", 1, 1)]
    work(standing, at(1800))
    assert told(standing)[1:] == [("repeat", 1, 0)]
    with standing.engine.begin() as connection:
        acknowledge(connection, alert.id, Acknowledged(at(1900), "u", "值班员"))
    work(standing, at(3600))
    work(standing, at(9000))
    assert len(notices(standing)) == 2


def test_a_group_whose_claimant_died_is_told_by_the_next_and_once(standing: StandingCity, database: Database) -> None:
    tell(standing, raised(flood(standing, severity=4)))
    doomed = worker_engine(database.worker_url)
    grouping = standing.city.grouping
    assert grouping is not None

    def die(connection: Connection) -> None:
        group = claim_group(connection, NOW)
        assert group is not None
        log.append(connection, tell_group(connection, group, grouping, NOW))
        work(standing, NOW)  # the other passes over it without waiting
        kill(standing, connection)

    with pytest.raises(OperationalError), doomed.begin() as connection:
        die(connection)
    doomed.dispose()
    assert notices(standing) == []
    work(standing, NOW)
    work(standing, NOW)
    assert told(standing) == [("first", 1, 1)]


def test_alerts_that_fall_quiet_leave_their_group(standing: StandingCity) -> None:
    tell(standing, raised(flood(standing)))
    work(standing, at(10))
    keep_quiet(standing, IN_TOWN, starts_at=at(20), made_at=NOW)
    work(standing, at(20))
    work(standing, at(70))
    assert told(standing) == [("first", 1, 1), ("over", 0, 0)]


# -- one for one -----------------------------------------------------------------------------------------------------------


def test_of_one_rule_and_source_one_alert_stands_the_newest(standing: StandingCity) -> None:
    old = flood(standing)
    new = replace(old, id=uuid4(), raised_at_us=old.raised_at_us + 5)
    tell(standing, raised(old))
    tell(standing, raised(new))
    assert [r.id for r in standing.rows("SELECT id FROM alerts WHERE ended_at IS NULL")] == [new.id]
    assert row(standing, old).why["by"] == str(new.id)
    assert tickets(standing) == 1, "the same matter"
    # Nor in one batch, and what is said of the old one later changes nothing.
    newest = [replace(old, id=uuid4(), raised_at_us=old.raised_at_us + n) for n in (6, 7)]
    tell(standing, *map(raised, newest), grew(old, 4))
    assert [r.id for r in standing.rows("SELECT id FROM alerts WHERE ended_at IS NULL")] == [newest[1].id]
    assert row(standing, old).severity == 2


def test_an_alert_that_ends_in_the_batch_that_raises_its_successor_keeps_its_own_end(standing: StandingCity) -> None:
    old = flood(standing)
    new = replace(old, id=UUID(int=0), raised_at_us=old.raised_at_us + 500)
    tell(standing, raised(old))
    tell(standing, ended(old), raised(new))
    assert (row(standing, old).ended_at - row(standing, old).raised_at).microseconds == 1
    assert row(standing, new).ended_at is None


def test_a_camera_may_have_several_alerts_of_one_rule(standing: StandingCity) -> None:
    one = flood(standing)
    camera = replace(one, source=replace(one.source, kind="camera"))
    tell(standing, raised(camera), raised(replace(camera, id=uuid4())))
    assert len(standing.rows("SELECT id FROM alerts WHERE ended_at IS NULL")) == 2


def test_the_database_itself_forbids_a_second_one(standing: StandingCity) -> None:
    tell(standing, raised(flood(standing)))
    with pytest.raises(Exception, match="uq_alerts_open"):
        standing.rows(
            "INSERT INTO alerts SELECT (jsonb_populate_record(a, jsonb_build_object('id', gen_random_uuid()))).*"
            " FROM alerts a"
        )


def test_the_path_never_overwrites_what_people_set_and_versions_only_rise(standing: StandingCity) -> None:
    alert = flood(standing)
    tell(standing, raised(alert))
    with standing.engine.begin() as connection:
        acknowledge(connection, alert.id, Acknowledged(at(5), "u", "值班员"))
    tell(standing, grew(alert, 3))
    found = row(standing, alert)
    assert (found.acknowledged_at, found.acknowledged_by, found.severity, found.version) == (at(5), "u", 3, 3)
    tell(standing, ended(grew(alert, 3).alert))
    found = row(standing, alert)
    assert (found.acknowledged_name, found.version, state(standing, alert)) == ("值班员", 4, State.NORMAL)
    assert [e.version for e in standing.rows("SELECT version FROM event_log WHERE kind = 'alert' ORDER BY n")] == [
        1,
        3,
        4,
    ]
    # A replay of what came before its end.
    tell(standing, grew(alert, 4))
    assert (row(standing, alert).version, row(standing, alert).severity) == (4, 3)


def test_why_and_the_published_level_are_kept_and_no_number_stops_the_batch(standing: StandingCity) -> None:
    alert = replace(flood(standing), warning_level=2, why={"mean": 3.5, "spread": float("nan"), "since": NOW})
    tell(standing, raised(alert))
    found = row(standing, alert)
    assert found.warning_level == 2
    assert found.why == {"mean": 3.5, "spread": None, "since": "2026-11-23T02:00:00Z"}
    with standing.engine.connect() as connection:
        loaded = standing_of(connection.execute(alerts.select()).one()).alert
    assert (loaded.warning_level, loaded.why["mean"]) == (2, 3.5)


def test_the_database_names_the_same_state_as_the_table_of_states(standing: StandingCity) -> None:
    base = flood(standing)
    kinds = [None, "silence", "maintenance", "shelved", "out_of_service", "inhibited"]
    for over in (False, True):
        for seen in (False, True):
            for kind in kinds:
                alert = replace(flood(standing), id=uuid4(), ended_at_us=base.at_us if over else None)
                tell(standing, raised(alert))
                standing.rows(
                    "UPDATE alerts SET acknowledged_at = :seen, acknowledged_by = 'u', acknowledged_name = 'n',"
                    " muted_kind = :kind, muted_by = :by WHERE id = :id",
                    id=alert.id,
                    seen=NOW if seen else None,
                    kind=kind,
                    by=uuid4() if kind else None,
                )
    with standing.engine.connect() as connection:
        rows = connection.execute(alerts.select()).all()
        for wanted in State:
            found = connection.execute(alerts.select().where(in_state(wanted))).all()
            assert {r.id for r in found} == {r.id for r in rows if standing_of(r).state is wanted}
            assert found, wanted
