"""Logging in and out, and what stands between a stranger and the city."""

from __future__ import annotations

import http.cookies
import time
from itertools import count

import pytest

from command_center.account.store import SESSION_LIFE, save_account
from tests.console import Answer, Console, logged_in
from tests.running_city import RunningCity
from tests.small_city import CITY, COUNTIES, PASSWORD

A = COUNTIES[0]
SESSION = "/api/v1/session"
_strangers = count(1)


def log_in(running: RunningCity, username: str, password: str) -> Answer:
    return Console(running.url).post(SESSION, {"username": username, "password": password})


def is_problem(answer: Answer, status: int) -> None:
    assert answer.status == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert set(answer.json) >= {"type", "title", "status", "detail"}


def test_who_logs_in_is_told_who_he_is_and_where(running: RunningCity) -> None:
    answer = log_in(running, running.small.username(A), PASSWORD)
    assert answer.status == 201
    assert answer.json == {
        "account": {
            "username": f"u-{A}",
            "name": f"县区{A}值班员",
            "tier": "county",
            "region": A,
            "region_name": f"县区{A}",
        },
        "city": {"code": CITY, "name": "宿迁市", "time_zone": "Asia/Shanghai"},
        "modes": [],
    }
    assert running.console(A).get(SESSION).json == answer.json


def test_the_cookie_is_for_this_site_and_not_for_scripts(running: RunningCity) -> None:
    answer = log_in(running, running.small.username(A), PASSWORD)
    [morsel] = http.cookies.SimpleCookie(answer.headers["Set-Cookie"]).values()
    assert (morsel["httponly"], morsel["samesite"], morsel["path"]) == (True, "Strict", "/")
    assert int(morsel["max-age"]) == SESSION_LIFE.total_seconds()
    assert len(morsel.value) >= 32


def test_the_session_itself_is_not_stored(running: RunningCity) -> None:
    console = logged_in(running.url, running.small.username(A))
    secret = console.cookie.partition("=")[2].encode()
    digests = [bytes(row.digest) for row in running.rows("SELECT digest FROM sessions")]
    assert all(digest.startswith(b"sha256:") and secret not in digest for digest in digests)
    stored = running.rows("SELECT password FROM accounts")
    assert all(row.password.startswith("$argon2id$") for row in stored)


def test_a_wrong_password_and_an_unknown_name_get_one_answer(running: RunningCity) -> None:
    def timed(username: str) -> tuple[Answer, float]:
        began = time.monotonic()
        return log_in(running, username, "a wrong password"), time.monotonic() - began

    known = [timed(running.small.username("321302002")) for _ in range(4)]
    unknown = [timed("nobody-of-that-name") for _ in range(4)]
    for answer, _ in known + unknown:
        is_problem(answer, 401)
        assert "Set-Cookie" not in answer.headers
    assert len({answer.content for answer, _ in known + unknown}) == 1
    # Hashing takes most of the time of either: the quickest of each are of one order.
    quick, slow = sorted((min(spent for _, spent in known), min(spent for _, spent in unknown)))
    assert slow < 5 * quick + 0.05


def test_too_many_wrong_passwords_make_a_name_wait_and_no_other(running: RunningCity) -> None:
    username = running.small.username("321322001")
    for _ in range(10):
        is_problem(log_in(running, username, "guess"), 401)
    throttled = log_in(running, username, PASSWORD)
    is_problem(throttled, 429)
    assert "try again in" in throttled.json["detail"]
    assert log_in(running, running.small.username("321322002"), PASSWORD).status == 201


def test_the_right_password_forgives_the_wrong_ones(running: RunningCity) -> None:
    username = running.small.username("321322001001")
    for wrong in (9, 2):
        for _ in range(wrong):
            is_problem(log_in(running, username, "guess"), 401)
        assert log_in(running, username, PASSWORD).status == 201


@pytest.mark.parametrize("path", [SESSION, "/api/v1/tickets", "/api/v1/summary", "/api/v1/map", "/api/v1/rules",
                                  "/api/v1/regions", "/api/v1/cells", "/api/v1/sensors", "/api/v1/cameras", "/api/v1/alerts",
                                  "/api/v1/incidents", "/api/v1/readings?sensor=water-1", "/tiles/cells/v/9/423/204.mvt",
                                  "/api/v1/tickets/00000000-0000-4000-8000-000000000000"])  # fmt: skip
def test_without_a_session_there_is_nothing_to_see(running: RunningCity, path: str) -> None:
    stranger = Console(running.url)
    is_problem(stranger.get(path), 401)
    is_problem(stranger.ask("GET", path, headers={"Cookie": "cc_session=made-up"}), 401)
    is_problem(stranger.ask("GET", path, headers={"Authorization": "Bearer made-up"}), 401)


def test_the_login_page_may_know_the_citys_name(running: RunningCity) -> None:
    assert Console(running.url).get("/api/v1/city").json == {
        "code": CITY,
        "name": "宿迁市",
        "time_zone": "Asia/Shanghai",
    }


def test_logging_out_ends_this_session_and_no_other(running: RunningCity) -> None:
    leaving, staying = (logged_in(running.url, running.small.username(A)) for _ in range(2))
    secret = leaving.cookie
    assert leaving.ask("DELETE", SESSION).status == 204
    is_problem(leaving.get(SESSION), 401)
    is_problem(Console(running.url).ask("GET", SESSION, headers={"Cookie": secret}), 401)
    assert staying.get(SESSION).status == 200
    assert leaving.ask("DELETE", SESSION).status == 204, "leaving twice is no mistake"


def test_a_session_that_has_ended_opens_nothing(running: RunningCity) -> None:
    console = logged_in(running.url, running.small.username("321391"))
    assert console.get("/api/v1/summary").status == 200
    running.rows(
        "UPDATE sessions SET ends_at = now() - interval '1 s'"
        " WHERE account = (SELECT id FROM accounts WHERE username = :name)",
        name=running.small.username("321391"),
    )
    is_problem(console.get("/api/v1/summary"), 401)


def test_a_machine_comes_with_a_bearer_token(running: RunningCity) -> None:
    secret = logged_in(running.url, running.small.username(A)).cookie.partition("=")[2]
    machine = Console(running.url)
    for scheme in ("Bearer", "bearer"):
        answer = machine.ask("GET", SESSION, headers={"Authorization": f"{scheme} {secret}"})
        assert answer.json["account"]["region"] == A
    for wrong in (f"Bearer {secret}x", f"Basic {secret}", "Bearer", "Bearer "):
        is_problem(machine.ask("GET", SESSION, headers={"Authorization": wrong}), 401)


def new_account(running: RunningCity) -> str:
    username = f"new-{next(_strangers)}"
    region = running.small.region(A)
    [(stored,)] = running.rows("SELECT password FROM accounts LIMIT 1")
    with running.engine.begin() as connection:
        save_account(connection, username, "新人", stored, (region.code, region.tier, region.name, region.scope))
    return username


def test_a_disabled_account_is_out_at_once_and_cannot_come_back(running: RunningCity) -> None:
    username = new_account(running)
    console = logged_in(running.url, username)
    running.rows("UPDATE accounts SET disabled_at = now() WHERE username = :name", name=username)
    is_problem(console.get(SESSION), 401)
    is_problem(log_in(running, username, PASSWORD), 401)


def test_an_account_without_a_grant_gets_no_session(running: RunningCity) -> None:
    username = new_account(running)
    running.rows(
        "DELETE FROM account_grants WHERE account = (SELECT id FROM accounts WHERE username = :name)", name=username
    )
    answer = log_in(running, username, PASSWORD)
    is_problem(answer, 401)
    assert "Set-Cookie" not in answer.headers
    assert (
        running.rows("SELECT FROM sessions s JOIN accounts a ON a.id = s.account WHERE username = :n", n=username) == []
    )


@pytest.mark.parametrize("body", [None, {}, [], "x", 1, {"username": "u"}, {"username": "", "password": "x"},
                                  {"username": "u", "password": None}, {"username": ["u"], "password": "x"},
                                  {"username": "u" * 65, "password": "x"}, {"username": "u", "password": "x" * 257},
                                  {"username": "u\0", "password": "x"}])  # fmt: skip
def test_a_login_that_makes_no_sense_is_answered_with_a_problem(running: RunningCity, body: object) -> None:
    is_problem(Console(running.url).post(SESSION, body), 422)
