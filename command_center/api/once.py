"""A write that people ask for: one transaction, told as events, done once however often it is sent."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Response, jsonify
from pydantic import BaseModel, Field
from sqlalchemy import Connection

from command_center.api.asking import account, now, sight
from command_center.event import log
from command_center.event.event import Event
from command_center.idempotency import earlier_answer, keep_answer
from command_center.level_move import VersionMissing


class OnceHeader(BaseModel):
    """``Idempotency-Key`` makes a repeat harmless."""

    idempotency_key: str | None = Field(None, alias="Idempotency-Key", max_length=128)


class MatchHeader(BaseModel):
    """``If-Match``: the version of the object that was being looked at."""

    if_match: str | None = Field(None, alias="If-Match", max_length=32)

    def version(self) -> int:
        """The number in it. Raises VersionMissing."""
        plain = (self.if_match or "").strip().removeprefix("W/").strip('"')
        # Nine digits are what an integer column holds.
        if not (plain.isascii() and plain.isdigit() and len(plain) <= 9):
            raise VersionMissing("say which version was being looked at: If-Match with its number")
        return int(plain)


@dataclass(frozen=True, slots=True)
class Made:
    """What came of a request: the answer, and the events that tell it."""

    answer: dict[str, Any]
    events: Sequence[Event] = ()
    status: int = 200


def once(key: str | None, request: str, work: Callable[[Connection], Made]) -> Response:
    """Do the work, unless this account's ``key`` came before: then the answer it got. Raises KeyReused."""
    who = account()
    digest = hashlib.sha256(request.encode()).hexdigest()
    with sight() as connection:
        if key is not None and (earlier := earlier_answer(connection, who.username, key, digest)) is not None:
            return _answer(*earlier)
        made = work(connection)
        if key is not None:
            keep_answer(connection, who.username, key, digest, made.status, made.answer, now())
        log.append(connection, made.events)
    return _answer(made.status, made.answer)


def _answer(status: int, body: dict[str, Any]) -> Response:
    answer = jsonify(body)
    answer.status_code = status
    return answer
