"""The life of an alert as people see it, after ISA-18.2.

A rule raises and ends an alert; people acknowledge it; and it is kept away from people for a while when they shelved it, took
its source out of service, or when it is suppressed by design (a silence, a maintenance window, a graver cause near by). The
three never overwrite each other: what state an alert is in follows from what is known of all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from rules.alert import Alert


class State(StrEnum):
    """Where an alert stands."""

    RAISED = "raised"
    ACKNOWLEDGED = "acknowledged"
    RETURNED = "returned"
    NORMAL = "normal"
    SHELVED = "shelved"
    SUPPRESSED = "suppressed"
    OUT_OF_SERVICE = "out_of_service"


class Muting(StrEnum):
    """Why an alert calls nobody."""

    SILENCE = "silence"
    MAINTENANCE = "maintenance"
    SHELVED = "shelved"
    OUT_OF_SERVICE = "out_of_service"
    INHIBITED = "inhibited"


class AlertMove(StrEnum):
    """What people do to an alert."""

    ACKNOWLEDGE = "acknowledge"
    SHELVE = "shelve"
    UNSHELVE = "unshelve"
    OUT_OF_SERVICE = "out_of_service"
    IN_SERVICE = "in_service"


class ImpossibleMove(Exception):
    """The alert does not allow this move from the state it is in."""


class TierTooLow(Exception):
    """The account may see this but stands too low to do that."""


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """Who saw an alert, and when. ``by`` is the account's user name."""

    at: datetime
    by: str
    name: str


@dataclass(frozen=True, slots=True)
class Muted:
    """What keeps an alert quiet: ``by`` is the id of the mute, or of the alert that inhibits it (which has no ``until``)."""

    kind: Muting
    by: UUID
    until: datetime | None = None
    name: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """An alert with what people and mutes made of it. ``placed_at``: when it came before people, as an incident's signal."""

    alert: Alert
    acknowledged: Acknowledged | None = None
    muted: Muted | None = None
    placed_at: datetime | None = None

    @property
    def state(self) -> State:
        muting = None if self.muted is None else self.muted.kind
        return state(self.alert.ended_at_us is not None, self.acknowledged is not None, muting)


_QUIET: Final = {
    Muting.SILENCE: State.SUPPRESSED,
    Muting.MAINTENANCE: State.SUPPRESSED,
    Muting.INHIBITED: State.SUPPRESSED,
    Muting.SHELVED: State.SHELVED,
    Muting.OUT_OF_SERVICE: State.OUT_OF_SERVICE,
}

MOVES: Final[dict[State, frozenset[AlertMove]]] = {
    State.RAISED: frozenset({AlertMove.ACKNOWLEDGE, AlertMove.SHELVE, AlertMove.OUT_OF_SERVICE}),
    State.ACKNOWLEDGED: frozenset({AlertMove.SHELVE, AlertMove.OUT_OF_SERVICE}),
    State.RETURNED: frozenset({AlertMove.ACKNOWLEDGE}),
    State.NORMAL: frozenset(),
    State.SHELVED: frozenset({AlertMove.UNSHELVE, AlertMove.OUT_OF_SERVICE}),
    State.SUPPRESSED: frozenset({AlertMove.OUT_OF_SERVICE}),
    State.OUT_OF_SERVICE: frozenset({AlertMove.IN_SERVICE}),
}
"""Which moves exist from where; a move that is not here does not exist."""

MUTING_TIERS: Final = ("city", "county", "township")
"""Whose desks may keep alerts quiet. Everybody who sees an alert may acknowledge it: that closes and hides nothing."""


def state(ended: bool, acknowledged: bool, muting: Muting | None) -> State:
    """The state that follows from whether the alert ended, was acknowledged, and what keeps it quiet.

    One that ended while it was quiet called nobody, so nobody has to acknowledge it.
    """
    if ended:
        return State.NORMAL if acknowledged or muting else State.RETURNED
    if muting is not None:
        return _QUIET[muting]
    return State.ACKNOWLEDGED if acknowledged else State.RAISED


def moves_of(standing: Standing, tier: str) -> list[AlertMove]:
    """What an account of this tier may do with an alert now, in the order of AlertMove."""
    possible = MOVES[standing.state]
    return [move for move in AlertMove if move in possible and _may(move, tier)]


def permit(standing: Standing, move: AlertMove, tier: str) -> None:
    """Raise ImpossibleMove or TierTooLow unless an account of this tier may make the move now."""
    if move not in MOVES[standing.state]:
        raise ImpossibleMove(f"the alert is {standing.state}: {move} is not possible from there")
    if not _may(move, tier):
        raise TierTooLow(f"{move} is for accounts of township, county and city: yours is of tier {tier}")


def _may(move: AlertMove, tier: str) -> bool:
    return move is AlertMove.ACKNOWLEDGE or tier in MUTING_TIERS
