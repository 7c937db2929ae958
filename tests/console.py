"""A person's side of the HTTP interface: an account that is logged in."""

from __future__ import annotations

import http.cookiejar
import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

from tests.small_city import PASSWORD


@dataclass(frozen=True)
class Answer:
    """What the server said."""

    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)


class Console:
    """Requests with the cookie of one session."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._jar = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self._jar))

    @property
    def cookie(self) -> str:
        """The session as a Cookie header."""
        return "; ".join(f"{cookie.name}={cookie.value}" for cookie in self._jar)

    def ask(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
        """One request; an error status is an answer, not an exception. Bytes go out as they are, all else as JSON."""
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(
            self.url + path, content, {"Content-Type": "application/json", **(headers or {})}, method=method
        )
        try:
            with self._opener.open(request, timeout=15) as answer:
                return Answer(answer.status, dict(answer.headers), answer.read())
        except urllib.error.HTTPError as error:
            return Answer(error.code, dict(error.headers), error.read())

    def get(self, path: str) -> Answer:
        return self.ask("GET", path)

    def post(self, path: str, body: Any, headers: dict[str, str] | None = None) -> Answer:
        return self.ask("POST", path, body, headers)

    def move(self, ticket: dict[str, Any], move: str, **more: Any) -> Answer:
        """Move a ticket as it was last seen."""
        body = {"move": move, "version": ticket["version"], **more}
        return self.post(f"/api/v1/tickets/{ticket['id']}/moves", body)


def logged_in(url: str, username: str, password: str = PASSWORD) -> Console:
    """A console with a session."""
    console = Console(url)
    answer = console.post("/api/v1/session", {"username": username, "password": password})
    assert answer.status == 201, answer.content
    return console
