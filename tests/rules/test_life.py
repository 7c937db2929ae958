"""ISA-18.2: every state an alert can be in, and every move from each."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import product
from uuid import UUID

import pytest

from rules.life import (
    Acknowledged,
    AlertMove,
    ImpossibleMove,
    Muted,
    Muting,
    Standing,
    State,
    TierTooLow,
    moves_of,
    permit,
    state,
)
from tests.command_center.ticket.opened import alert

NOW = datetime(2026, 11, 23, 2, tzinfo=UTC)
NOBODY = None

# (ended, acknowledged, what keeps it quiet) -> state
STATES = {
    (False, False, NOBODY): State.RAISED,
    (False, True, NOBODY): State.ACKNOWLEDGED,
    (True, False, NOBODY): State.RETURNED,
    (True, True, NOBODY): State.NORMAL,
    (False, False, Muting.SHELVED): State.SHELVED,
    (False, True, Muting.SHELVED): State.SHELVED,
    (False, False, Muting.OUT_OF_SERVICE): State.OUT_OF_SERVICE,
    (False, True, Muting.OUT_OF_SERVICE): State.OUT_OF_SERVICE,
    **{(False, seen, quiet): State.SUPPRESSED for seen in (False, True)
       for quiet in (Muting.SILENCE, Muting.MAINTENANCE, Muting.INHIBITED)},
    # It ended while it was quiet: nobody was called, so nobody has to acknowledge it.
    **{(True, seen, quiet): State.NORMAL for seen in (False, True) for quiet in Muting},
}  # fmt: skip

ALLOWED = {
    (State.RAISED, AlertMove.ACKNOWLEDGE),
    (State.RAISED, AlertMove.SHELVE),
    (State.RAISED, AlertMove.OUT_OF_SERVICE),
    (State.ACKNOWLEDGED, AlertMove.SHELVE),
    (State.ACKNOWLEDGED, AlertMove.OUT_OF_SERVICE),
    (State.RETURNED, AlertMove.ACKNOWLEDGE),
    (State.SHELVED, AlertMove.UNSHELVE),
    (State.SHELVED, AlertMove.OUT_OF_SERVICE),
    (State.SUPPRESSED, AlertMove.OUT_OF_SERVICE),
    (State.OUT_OF_SERVICE, AlertMove.IN_SERVICE),
}


def standing(wanted: State) -> Standing:
    """An alert in a state."""
    ended, seen, quiet = next(key for key, found in STATES.items() if found is wanted)
    return Standing(
        alert(ended_at_us=1 if ended else None),
        Acknowledged(NOW, "u", "值班员") if seen else None,
        None if quiet is NOBODY else Muted(quiet, UUID(int=1)),
    )


def test_the_table_of_states_is_the_whole_product() -> None:
    assert set(STATES) == set(product((False, True), (False, True), (NOBODY, *Muting)))
    assert {state(*key) for key in STATES} == set(State)


@pytest.mark.parametrize(("known", "expected"), STATES.items())
def test_the_state_follows_from_what_is_known(known: tuple[bool, bool, Muting | None], expected: State) -> None:
    assert state(*known) is expected


@pytest.mark.parametrize(("from_state", "move"), list(product(State, AlertMove)))
def test_of_the_whole_product_of_states_and_moves_only_those_in_the_table_exist(
    from_state: State, move: AlertMove
) -> None:
    if (from_state, move) in ALLOWED:
        permit(standing(from_state), move, "township")
    else:
        with pytest.raises(ImpossibleMove, match=str(from_state)):
            permit(standing(from_state), move, "city")


@pytest.mark.parametrize("tier", ["city", "county", "township", "village", "grid"])
@pytest.mark.parametrize("from_state", State)
def test_everybody_may_acknowledge_but_only_townships_and_above_keep_quiet(from_state: State, tier: str) -> None:
    one = standing(from_state)
    offered = moves_of(one, tier)
    below = tier in {"village", "grid"}
    expected = [m for m in AlertMove if (from_state, m) in ALLOWED and (m is AlertMove.ACKNOWLEDGE or not below)]
    assert offered == expected
    for move in AlertMove:
        if move in offered:
            permit(one, move, tier)
        elif (from_state, move) in ALLOWED:
            with pytest.raises(TierTooLow, match=tier):
                permit(one, move, tier)
