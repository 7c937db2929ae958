"""People at desks: they report and they move tickets, and ask again with the same key until they are answered."""

from __future__ import annotations

import http.client
import random
import threading
import urllib.error
from contextlib import suppress
from typing import Any
from uuid import UUID, uuid4

from tests.console import Answer, Console, logged_in
from tests.faults.ledger import Asked, Ledger, Step
from tests.small_city import CITY, SmallCity, cell_code

_PAUSE_S = 0.15
_AGAIN_S = 0.3
_WANTED = ("accept", "finish")


class Unanswered(Exception):
    """The line broke, or the server could not do it now."""


class Desk:
    """One person after the other, until ``finish``."""

    def __init__(self, url: str, small: SmallCity, ledger: Ledger, seed: int) -> None:
        self._url, self._small, self._ledger = url, small, ledger
        self._chance = random.Random(f"desk {seed}")
        self._consoles: dict[str, Console] = {}
        self._reported = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="desk")

    def start(self) -> Desk:
        self._thread.start()
        return self

    def finish(self) -> None:
        """Let the last request be answered and go home. Whoever is not answered then never will be."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(_PAUSE_S):
            with suppress(Unanswered):
                if self._chance.random() < 0.3:
                    self._report()
                else:
                    self._move()

    def _console(self, code: str) -> Console:
        if code not in self._consoles:
            try:
                self._consoles[code] = logged_in(self._url, self._small.username(code))
            except (OSError, http.client.HTTPException, AssertionError) as problem:
                raise Unanswered from problem
        return self._consoles[code]

    def _ask(self, code: str, method: str, path: str, body: Any = None, key: str | None = None) -> Answer:
        headers = {} if key is None else {"Idempotency-Key": key}
        try:
            answer = self._console(code).ask(method, path, body, headers)
        except (OSError, http.client.HTTPException, urllib.error.URLError) as problem:
            raise Unanswered from problem
        if answer.status >= 500 or answer.status == 429:
            raise Unanswered(answer.content)
        return answer

    def _until_answered(self, code: str, path: str, body: Any, asked: Asked) -> None:
        """The same request with the same key, until the answer says what became of it."""
        key = str(uuid4())
        for _ in range(300):
            asked.times += 1
            try:
                asked.status = self._ask(code, "POST", path, body, key).status
                return
            except Unanswered:
                threading.Event().wait(_AGAIN_S)

    def _report(self) -> None:
        self._reported += 1
        words = f"井盖缺失 {self._reported}"
        town = self._small.region(cell_code(self._chance.randrange(3))).scope.split("/")[2]
        home = self._small.region(cell_code(self._chance.randrange(3), cell=self._chance.randint(1, 4)))
        lng, lat = self._small.centre(home.code)
        body = {"kind": "manhole", "words": words, "lng": lng + self._chance.random() * 0.004, "lat": lat}
        with self._ledger.open() as ledger:
            asked = ledger.reports[words] = Asked()
        self._until_answered(town, "/api/v1/reports", body, asked)

    def _move(self) -> None:
        listed = self._ask(CITY, "GET", "/api/v1/tickets?open=true&limit=100").json["items"]
        machines = [
            ticket
            for ticket in listed
            if ticket["status"] != "reported" and UUID(ticket["id"]) not in self._ledger.timers
        ]
        if not machines:
            return
        ticket = self._chance.choice(machines)
        holder = ticket["holder"]["region"]
        own = self._ask(holder, "GET", f"/api/v1/tickets/{ticket['id']}")
        offered = {move["move"] for move in own.json.get("moves", ())}
        wish = next((move for move in _WANTED if move in offered), None)
        if wish is None:
            return
        step = Step(UUID(ticket["id"]), own.json["version"] + 1, wish)
        with self._ledger.open() as ledger:
            # Somebody else may have made it meanwhile: then it is refused, and a later wish is another entry.
            asked = ledger.moves.setdefault(step, Asked())
        body = {"move": wish, "version": own.json["version"], "reason": "已处置"}
        self._until_answered(holder, f"/api/v1/tickets/{ticket['id']}/moves", body, asked)
