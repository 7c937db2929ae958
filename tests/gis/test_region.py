"""The scope path: who lies under whom, in Python and in the database alike."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from config.database import scoped, web_engine, within
from gis.region import TIERS, Region, RegionTree, ancestors, code_of, covers, tier_below
from tests.conftest import Database
from tests.small_city import CITY, cell_code, spots

TREE = RegionTree.of(spot.region for spot in spots())
codes = st.text("019AZaz-_.:", min_size=1, max_size=4)
paths = st.lists(codes, min_size=1, max_size=5).map(lambda found: "".join(f"{code}/" for code in found))
related = paths.flatmap(lambda path: st.tuples(st.just(path), paths | paths.map(lambda tail: path + tail)))


@pytest.fixture(scope="module")
def engine(module_database: Database) -> Iterator[Engine]:
    made = web_engine(module_database.web_url)
    yield made
    made.dispose()


def seen_from(engine: Engine, scope: str, rows: list[str]) -> list[bool]:
    """What the row-level policies' condition says of each path."""
    with scoped(engine, scope) as connection:
        found = connection.execute(
            text(
                f"SELECT {within('path')} FROM unnest(CAST(:rows AS text[])) WITH ORDINALITY AS r(raw, n),"
                ' LATERAL (SELECT raw COLLATE "C" AS path) AS p ORDER BY n'
            ),
            {"rows": rows},
        )
        return [seen is True for (seen,) in found]


@settings(max_examples=100, deadline=None)
@given(pairs=st.lists(related, min_size=1, max_size=10))
def test_the_database_lets_see_what_the_scope_covers_and_nothing_else(
    engine: Engine, pairs: list[tuple[str, str]]
) -> None:
    scope = pairs[0][0]
    rows = [other for pair in pairs for other in pair]
    assert seen_from(engine, scope, rows) == [covers(scope, other) for other in rows]


def test_a_code_that_begins_like_another_is_not_under_it(engine: Engine) -> None:
    rows = ["3213/", "32130/", "3213/02/", "3213.02/"]
    assert seen_from(engine, "3213/", rows) == [covers("3213/", row) for row in rows] == [True, False, True, False]


def test_an_ended_scope_sees_nothing(engine: Engine) -> None:
    assert seen_from(engine, "", ["3213/", "3213/02/"]) == [False, False]


@given(paths)
def test_the_ancestors_of_a_path_are_all_that_cover_it_from_the_city_down(path: str) -> None:
    found = ancestors(path)
    assert found[-1] == path
    assert all(covers(above, path) for above in found)
    assert [len(above.split("/")) for above in found] == list(range(2, path.count("/") + 2))
    assert [code_of(above) for above in found] == path.rstrip("/").split("/")


@given(related)
def test_one_path_covers_another_when_it_is_among_its_ancestors(pair: tuple[str, str]) -> None:
    one, other = pair
    assert covers(one, other) == (one in ancestors(other))


def test_below_each_tier_comes_the_next_and_nothing_below_the_grid() -> None:
    assert [tier_below(tier) for tier in TIERS] == ["county", "township", "village", "grid", None]


def test_a_tree_knows_its_root_its_children_and_the_path_to_each_region() -> None:
    cell = cell_code(2, 1, 2, 3)
    assert TREE.root.code == CITY
    assert [region.tier for region in TREE.path(cell)] == list(TIERS)
    assert "".join(f"{region.code}/" for region in TREE.path(cell)) == TREE[cell].scope
    for code, children in TREE.children.items():
        assert [child.code for child in children] == sorted(child.code for child in children)
        assert {child.parent for child in children} == {code}
    assert sum(map(len, TREE.children.values())) == len(TREE.regions) - 1


def test_a_zone_s_towns_lie_under_the_zone_whatever_their_codes_begin_with() -> None:
    town = TREE.path(cell_code(2))[2]
    assert town.code.startswith("321302")
    assert covers(TREE["321391"].scope, town.scope)
    assert not covers(TREE["321302"].scope, town.scope)


def test_a_region_that_is_not_there_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        TREE["999999"]
    assert RegionTree.of([Region("1", "市", "city", None, "1/")]).children == {}
