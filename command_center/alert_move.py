"""A person acknowledges an alert, or keeps alerts quiet for a while: one transaction each, told as events.

The web process only says that something is to be quiet, or no longer: marking what stands under a mute, and bringing what it
held back before people, is the scheduler's, within a second. So it is done once, whatever dies in between.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import Connection

from command_center.account.account import Account
from gis.region import covers
from rules import mute_store
from rules.life import (
    MUTING_TIERS,
    Acknowledged,
    AlertMove,
    ImpossibleMove,
    Standing,
    TierTooLow,
    permit,
)
from rules.mute import BadMute, Ended, Mute, MuteKind, check, covering, mark
from rules.store import acknowledge, lock_alert, save_muted


class NoSuchAlert(LookupError):
    """There is no such alert, or the account may not know of it."""


class NoSuchMute(LookupError):
    """There is no such mute, or the account may not know of it."""


class StaleAlert(Exception):
    """The request was made looking at an older version of the alert; ``current`` is how it stands."""

    def __init__(self, current: Standing) -> None:
        super().__init__(f"the alert is at version {current.alert.version} now: look again")
        self.current = current


@dataclass(frozen=True, slots=True)
class AlertWish:
    """What is asked for: the move, until when, why, and the version of the alert that was being looked at."""

    move: AlertMove
    version: int
    until: datetime | None = None
    reason: str | None = None


_MUTES = {AlertMove.SHELVE: MuteKind.SHELVE, AlertMove.OUT_OF_SERVICE: MuteKind.OUT_OF_SERVICE}


def move_alert(connection: Connection, account: Account, identity: UUID, wish: AlertWish, now: datetime) -> Standing:
    """Make a move; returns the alert as it stands after it.

    Raises NoSuchAlert, StaleAlert, ImpossibleMove, TierTooLow or BadMute.
    """
    found = lock_alert(connection, identity)
    if found is None:
        raise NoSuchAlert(f"there is no alert {identity}")
    if found.alert.version != wish.version:
        raise StaleAlert(found)
    permit(found, wish.move, account.tier)
    if wish.move is AlertMove.ACKNOWLEDGE:
        return acknowledge(connection, identity, Acknowledged(now, account.username, account.name))
    if wish.move in _MUTES:
        mute = _mute_of(found, _MUTES[wish.move], account, wish, now)
        check(mute)
        mute_store.insert_mute(connection, mute)
        strongest = covering([*mute_store.in_force(connection, now), mute], found.alert, now) or mute
        return save_muted(connection, found, mark(strongest))
    lift(connection, account, found, wish.reason, now)
    return found


def lift(connection: Connection, account: Account, found: Standing, reason: str | None, now: datetime) -> None:
    """End what keeps an alert shelved or out of service. Raises TierTooLow or ImpossibleMove."""
    by = None if found.muted is None else found.muted.by
    mute = None if by is None else mute_store.lock_mute(connection, by)
    if mute is None:
        raise TierTooLow(
            "what keeps this alert quiet was set for a larger region: an account of that region can end it"
        )
    end(connection, account, mute, reason or "", now)


def add_mute(connection: Connection, account: Account, mute: Mute) -> None:
    """Store a new mute. Raises TierTooLow or BadMute."""
    _may_mute(account)
    check(mute)
    mute_store.insert_mute(connection, mute)


def end_mute(connection: Connection, account: Account, identity: UUID, reason: str, now: datetime) -> Mute:
    """End a mute before its time. Raises NoSuchMute, TierTooLow or ImpossibleMove."""
    mute = mute_store.lock_mute(connection, identity)
    if mute is None or not covers(account.scope, mute.scope):
        raise NoSuchMute(f"there is no mute {identity}")
    _may_mute(account)
    return end(connection, account, mute, reason, now)


def end(connection: Connection, account: Account, mute: Mute, reason: str, now: datetime) -> Mute:
    """End a locked mute. Raises ImpossibleMove when it has ended."""
    if mute.ended is not None or mute.ends_at <= now:
        raise ImpossibleMove("this mute has ended already")
    ended = Ended(now, account.username, account.name, reason.strip())
    mute_store.end_mute(connection, mute.id, ended)
    return mute_store.lock_mute(connection, mute.id) or mute


def _may_mute(account: Account) -> None:
    if account.tier not in MUTING_TIERS:
        raise TierTooLow(f"mutes are for accounts of township, county and city: yours is of tier {account.tier}")


def _mute_of(found: Standing, kind: MuteKind, account: Account, wish: AlertWish, now: datetime) -> Mute:
    if wish.until is None:
        raise BadMute(f"{kind} needs an end: say until when")
    return Mute(
        id=uuid4(),
        kind=kind,
        # Wherever the source goes within the account's region: vehicles have no cell of their own.
        region=account.region,
        scope=account.scope,
        rule=found.alert.rule,
        source=found.alert.source.id,
        starts_at=now,
        ends_at=wish.until,
        author=account.username,
        author_name=account.name,
        reason=(wish.reason or "").strip(),
        made_at=now,
    )
