"""The rules as the web process knows them: those of the packs, and those in force."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from command_center.api.asking import server, today
from command_center.city import rule_packs
from rules import rulebook
from rules.rulebook import Rulebook
from rules.version import InForce, State, in_force
from rules.version_store import load_versions, rule_mark


@dataclass
class _Kept:
    """What was read of the rules last, and from which state of things."""

    packed: tuple[tuple[Any, ...], Rulebook] | None = None
    standing: tuple[tuple[Any, ...], InForce] | None = None


_KEPT = _Kept()


def packed_rules() -> Rulebook:
    """The rules of the packs, read again when the day or the catalogue is another."""
    key = (id(server()), server().mark, today())
    if _KEPT.packed is None or _KEPT.packed[0] != key:
        _KEPT.packed = key, rulebook.read(rule_packs(server().settings.city), known_quantities(), today())
    return _KEPT.packed[1]


def rules_in_force(connection: Connection) -> InForce:
    """The rules in force as this transaction sees them, read again when the packs or the published versions are others."""
    packed = packed_rules()
    key = (today(), rule_mark(connection))
    if _KEPT.standing is None or _KEPT.standing[0] != key or _KEPT.standing[1].packed is not packed:
        versions = load_versions(connection, states=(State.PUBLISHED,))
        _KEPT.standing = key, in_force(packed, versions, known_quantities(), today())
    return _KEPT.standing[1]


def known_quantities() -> frozenset[str]:
    """The names of all quantities of the catalogue."""
    return frozenset(server().catalogue.quantities)
