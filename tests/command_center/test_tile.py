"""A tile's address holds what its version names, for this account, and for ever: or it does not answer."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text

from command_center.api.kept_tile import KeptTile, KeptTiles
from gis.tiles import mark_stale, redraw_stale
from tests.console import Answer
from tests.gis.decoded_tile import decode
from tests.running_city import RunningCity
from tests.small_city import CITY

A, B = "321302", "321322"
PLACE = "9/423/204"


def versions(running: RunningCity, code: str = CITY) -> dict[str, Any]:
    return {name: layer["version"] for name, layer in running.console(code).get("/api/v1/map").json["layers"].items()}


def ask(running: RunningCity, layer: str, version: str, code: str = CITY, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return running.console(code).ask("GET", f"/tiles/{layer}/{version}/{PLACE}.mvt", headers=named)


def is_gone(answer: Answer) -> bool:
    return (
        answer.status == 404
        and answer.headers["Content-Type"] == "application/problem+json"
        and "/api/v1/map" in answer.json["detail"]
        and "immutable" not in answer.headers.get("Cache-Control", "")
    )


def test_a_tile_may_be_kept_for_ever_and_is_known_by_its_digest(running: RunningCity) -> None:
    version = versions(running)["cells"]
    first, again = ask(running, "cells", version), ask(running, "cells", version)
    assert first.status == 200
    assert first.headers["Cache-Control"] == "private, max-age=31536000, immutable"
    assert first.headers["ETag"] == again.headers["ETag"]
    assert first.headers["ETag"].startswith('"'), "strong"
    assert first.content == again.content
    assert len(decode(first.content)["cells"]) == 48
    unchanged = ask(running, "cells", version, If_None_Match=first.headers["ETag"])
    assert (unchanged.status, unchanged.content) == (304, b"")
    assert unchanged.headers["ETag"] == first.headers["ETag"]
    assert ask(running, "cells", version, If_None_Match='"another"').status == 200


def test_a_packed_tile_is_the_same_tile_with_a_digest_of_its_own(running: RunningCity) -> None:
    version = versions(running)["cells"]
    plain, packed = ask(running, "cells", version), ask(running, "cells", version, Accept_Encoding="br, gzip")
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert plain.headers["Vary"] == packed.headers["Vary"] == "Accept-Encoding"
    assert gzip.decompress(packed.content) == plain.content
    assert len(packed.content) < len(plain.content)
    assert packed.headers["ETag"] != plain.headers["ETag"]
    assert ask(running, "cells", version, Accept_Encoding="gzip", If_None_Match=packed.headers["ETag"]).status == 304
    assert ask(running, "cells", version, If_None_Match=packed.headers["ETag"]).status == 200
    assert ask(running, "cells", version, Accept_Encoding="gzip;q=0").content == plain.content


@pytest.mark.parametrize("layer", ["regions", "cells", "water", "county", "township", "village"])
def test_every_layer_that_the_map_names_answers(running: RunningCity, layer: str) -> None:
    assert ask(running, layer, versions(running)[layer]).status == 200


def test_a_version_of_another_account_does_not_answer(running: RunningCity) -> None:
    assert ask(running, "cells", versions(running, A)["cells"], A).status == 200
    assert is_gone(ask(running, "cells", versions(running, A)["cells"], B))
    assert is_gone(ask(running, "cells", "v", A))


def test_a_version_ends_when_its_layer_is_drawn_anew(running: RunningCity) -> None:
    before = versions(running)
    old = ask(running, "county", before["county"])
    with running.engine.begin() as connection:
        connection.execute(text("UPDATE regions SET name = '宿城新区' WHERE code = :code"), {"code": A})
        mark_stale(connection, "regions")
    assert ask(running, "county", before["county"]).content == old.content, "until it is drawn, the old one is shown"
    redraw_stale(running.engine, datetime.now(UTC))
    assert is_gone(ask(running, "county", before["county"]))
    after = versions(running)
    assert after["cells"] == before["cells"]
    assert ask(running, "cells", before["cells"]).status == 200
    names = {drawn.properties["name"] for drawn in decode(ask(running, "county", after["county"]).content)["county"]}
    assert "宿城新区" in names


def test_kept_tiles_never_hold_more_than_their_bytes_and_forget_the_longest_unasked() -> None:
    tiles = KeptTiles(3000)
    addresses = [("scope/", "cells", "1", 9, n, 0) for n in range(4)]
    tile = KeptTile.of(b"x" * 250)
    for _ in range(2):
        for address in addresses:
            tiles.keep(address, tile)
    assert tiles.nbytes == 4 * tile.nbytes == 1000
    tiles.find(addresses[0])
    tiles.keep(("scope/", "cells", "1", 9, 9, 9), KeptTile.of(bytes(range(250)) * 8))
    assert tiles.nbytes <= 3000
    assert tiles.find(addresses[0]) is tile
    assert tiles.find(addresses[1]) is None
    tiles.keep(addresses[1], KeptTile.of(b"y" * 4000))
    assert (tiles.nbytes, tiles.find(addresses[1])) == (0, None)


def test_kept_tiles_tell_scopes_apart() -> None:
    tiles = KeptTiles(3000)
    tiles.keep(("a/", "cells", "1", 0, 0, 0), KeptTile.of(b"a"))
    assert tiles.find(("b/", "cells", "1", 0, 0, 0)) is None
