"""The one table of a ticket's life: which moves exist, from which status, by whom, where to, and which need a reason."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from command_center.ticket.ticket import ENDED, Move, Status


class Who(StrEnum):
    """Who may make a move: whoever holds the ticket, whoever stands above the holder, a desk asked to help, the system."""

    HOLDER = "holder"
    ABOVE = "above"
    HELPER = "helper"
    SYSTEM = "system"


class Where(StrEnum):
    """Where a move takes the ticket. ``back`` is to the desk that sent it, ``up`` to one above, ``down`` to any below,
    ``below_or_here`` to any below or the holder's own, ``anywhere`` to any region's desk, ``ticket`` into another ticket,
    ``routed`` to whom the routing rules give it.
    """

    STAYS = "stays"
    DOWN = "down"
    UP = "up"
    BACK = "back"
    BELOW_OR_HERE = "below_or_here"
    ANYWHERE = "anywhere"
    TICKET = "ticket"
    ROUTED = "routed"


@dataclass(frozen=True, slots=True)
class Transition:
    """One row of the table. ``status`` None leaves it as it is."""

    status: Status | None
    who: frozenset[Who]
    where: Where = Where.STAYS
    needs_reason: bool = False


_S, _W = Status, Where
_HOLDER, _ABOVE, _HELPER = frozenset({Who.HOLDER}), frozenset({Who.ABOVE}), frozenset({Who.HELPER})
_EITHER, _SYSTEM = _HOLDER | _ABOVE, frozenset({Who.SYSTEM})
_OPEN: Final = tuple(status for status in Status if status not in ENDED)
_RUNNING: Final = tuple(status for status in _OPEN if status is not Status.SUSPENDED)
_AT_A_DESK: Final = (_S.FILED, _S.DISPATCHED, _S.ACCEPTED, _S.RETURNED)
_WAITING: Final = (_S.FILED, _S.DISPATCHED, _S.RETURNED)

_Row = tuple[Move, Iterable[Status], Status | None, frozenset[Who], Where, bool]
_ROWS: Final[tuple[_Row, ...]] = (
    (Move.VERIFY, (_S.REPORTED,), _S.VERIFYING, _HOLDER, _W.DOWN, False),
    (Move.VERIFIED, (_S.VERIFYING,), _S.REPORTED, _HOLDER, _W.BACK, True),
    (Move.FILE, (_S.REPORTED,), _S.FILED, _HOLDER, _W.ROUTED, False),
    (Move.VOID, (_S.REPORTED,), _S.VOID, _HOLDER, _W.STAYS, True),
    (Move.MERGE, (_S.REPORTED,), _S.MERGED, _EITHER, _W.TICKET, False),
    (Move.MERGE, _AT_A_DESK, _S.MERGED, _EITHER | _SYSTEM, _W.TICKET, False),
    # Only the system, when signals show that two matters are one: nobody loses work that way, the other ticket goes on.
    (Move.MERGE, (_S.ARBITRATING, _S.SUSPENDED, _S.HANDLED, _S.CHECKING), _S.MERGED, _SYSTEM, _W.TICKET, False),
    (Move.SPLIT, (_S.MERGED,), _S.FILED, _EITHER, _W.STAYS, True),
    (Move.DISPATCH, _AT_A_DESK, _S.DISPATCHED, _HOLDER, _W.DOWN, False),
    (Move.ARBITRATE, (_S.ARBITRATING,), _S.DISPATCHED, _HOLDER, _W.BELOW_OR_HERE, True),
    (Move.ACCEPT, _WAITING, _S.ACCEPTED, _HOLDER, _W.STAYS, False),
    (Move.RETURN, _AT_A_DESK, _S.RETURNED, _HOLDER, _W.BACK, True),
    (Move.HAND_UP, _AT_A_DESK, _S.DISPATCHED, _HOLDER, _W.UP, True),
    (Move.FINISH, (_S.ACCEPTED,), _S.HANDLED, _HOLDER, _W.STAYS, False),
    (Move.SELF_HANDLE, (_S.REPORTED, *_WAITING), _S.HANDLED, _HOLDER, _W.STAYS, True),
    (Move.CHECK, (_S.HANDLED,), _S.CHECKING, _ABOVE, _W.DOWN, False),
    (Move.CHECKED, (_S.CHECKING,), _S.HANDLED, _HOLDER, _W.BACK, True),
    (Move.REWORK, (_S.HANDLED,), _S.DISPATCHED, _ABOVE, _W.STAYS, True),
    (Move.CLOSE, (_S.HANDLED,), _S.CLOSED, _ABOVE, _W.STAYS, False),
    (Move.FORCE_CLOSE, _OPEN, _S.CLOSED, _ABOVE, _W.STAYS, True),
    (Move.EVALUATE, (_S.CLOSED,), _S.EVALUATED, _ABOVE, _W.STAYS, False),
    (Move.REOPEN, (_S.CLOSED, _S.EVALUATED), _S.DISPATCHED, _ABOVE, _W.STAYS, True),
    (Move.REOPEN, (_S.VOID,), _S.REPORTED, _ABOVE, _W.STAYS, True),
    (Move.ASK_EXTENSION, _AT_A_DESK, None, _HOLDER, _W.STAYS, True),
    (Move.ASK_SUSPENSION, _AT_A_DESK, None, _HOLDER, _W.STAYS, True),
    (Move.APPEAL, (_S.CLOSED, _S.EVALUATED), None, _HOLDER, _W.STAYS, True),
    (Move.GRANT, (*_AT_A_DESK, _S.CLOSED, _S.EVALUATED), None, _ABOVE, _W.STAYS, False),
    (Move.REFUSE, (*_AT_A_DESK, _S.CLOSED, _S.EVALUATED), None, _ABOVE, _W.STAYS, True),
    (Move.RESUME, (_S.SUSPENDED,), None, _EITHER | _SYSTEM, _W.STAYS, False),
    (Move.SUPERVISE, _RUNNING, None, _ABOVE | _SYSTEM, _W.STAYS, True),
    (Move.REMIND, _RUNNING, None, _ABOVE | _SYSTEM, _W.STAYS, False),
    (Move.ASSIST, (_S.ACCEPTED,), None, _HOLDER, _W.ANYWHERE, True),
    (Move.HELP_ACCEPT, _RUNNING, None, _HELPER, _W.STAYS, False),
    (Move.HELP_DONE, _RUNNING, None, _HELPER, _W.STAYS, True),
    (Move.HELP_DECLINE, _RUNNING, None, _HELPER, _W.STAYS, True),
    (Move.REPORT_UP, _OPEN, None, _EITHER, _W.STAYS, True),
    (Move.REPORT_FINAL, _OPEN, None, _EITHER, _W.STAYS, True),
    *((move, _OPEN, None, _SYSTEM, _W.STAYS, False) for move in (Move.RAISE, Move.GRAVE, Move.ABSORB, Move.RELEASE)),
    *((move, _OPEN, None, _SYSTEM, _W.STAYS, False) for move in (Move.RECOUNT, Move.REPORT_LAPSE, Move.TELL)),
    *((move, _RUNNING, None, _SYSTEM, _W.STAYS, False) for move in (Move.OVERDUE, Move.LAPSE, Move.ESCALATE)),
    (Move.HELP_LAPSE, _RUNNING, None, _SYSTEM, _W.STAYS, False),
)

TRANSITIONS: Final[dict[tuple[Status, Move], Transition]] = {
    (status, move): Transition(becomes, who, where, needs_reason)
    for move, statuses, becomes, who, where, needs_reason in _ROWS
    for status in statuses
}
