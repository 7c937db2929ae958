"""Every region has one parent, every bad fit is told, and of all statements about a day the latest begun one holds."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry.base import BaseGeometry

from gis.merge import merge
from gis.nesting import By, NoParent, Outlines, Parentage, nest, parents_on, restated
from gis.network import Network
from gis.read_network import read_network
from tests.gis.drawn import place

DC = Path(__file__).parents[3] / "shared" / "data" / "dc"


def outlines(tier: str, shapes: dict[str, BaseGeometry]) -> Outlines:
    """Shapes in metres as regions of a tier."""
    return Outlines(tier, tuple(shapes), np.array([place(shape) for shape in shapes.values()], dtype=object))


COUNTIES = outlines("county", {"321302": shapely.box(0, 0, 1000, 1000), "321311": shapely.box(1000, 0, 2000, 1000)})


def test_a_parent_is_stated_else_known_else_in_the_code_else_by_share() -> None:
    towns = {code: shapely.box(0, 0, 900, 100) for code in ("321302001", "321302002", "321302003", "321399001", "T")}
    nested = nest(outlines("township", towns), COUNTIES, stated={"321302001": "321311"}, known={"321302002": "321311"})
    assert [(own.code, own.parent, own.by) for own in nested] == [
        ("321302001", "321311", By.FILE),
        ("321302002", "321311", By.PARENTAGE),
        ("321302003", "321302", By.CODE),
        ("321399001", "321302", By.SHARE),
        ("T", "321302", By.SHARE),
    ]
    assert [own.is_exception for own in nested] == [True, True, False, False, False]
    assert nested[0].disagrees
    assert (nested[0].share, nested[0].runner_up, round(nested[0].runner_up_share, 4)) == (0.0, "321302", 1.0)


def test_a_region_with_less_than_95_percent_in_its_parent_is_an_exception_with_its_runner_up() -> None:
    (own,) = nest(outlines("township", {"321302001": shapely.box(940, 0, 1040, 100)}), COUNTIES)
    assert (own.parent, own.by, own.runner_up, own.disagrees, own.is_exception) == (
        "321302",
        By.CODE,
        "321311",
        False,
        True,
    )
    assert own.share == pytest.approx(0.6, abs=1e-4)
    assert own.runner_up_share == pytest.approx(0.4, abs=1e-4)
    (inside,) = nest(outlines("township", {"321302001": shapely.box(903, 0, 1003, 100)}), COUNTIES)
    assert not inside.is_exception


def test_a_region_that_lies_nowhere_and_says_nothing_is_refused_by_name() -> None:
    with pytest.raises(NoParent, match=r"^T lies in no county"):
        nest(outlines("township", {"T": shapely.box(5000, 0, 5100, 100)}), COUNTIES)


def _dc(name: str, code: str | None = None) -> Network:
    path = DC / f"{name}.geojson"
    if not path.exists():
        pytest.skip(f"the real districts ../shared/data/dc/{name}.geojson are not here")
    return read_network(name, path, code)


def _tier(tier: str, network: Network) -> Outlines:
    return Outlines(tier, tuple(str(code) for code in network.ids), network.polygons)


def test_five_levels_of_washington_nest_and_the_two_badly_nested_commissions_are_told() -> None:
    wards = _tier("county", _dc("ward-2012", "WARD_ID"))
    commissions = _tier("township", _dc("advisory-neighborhood-commission-2013", "ANC_ID"))
    districts = _tier("village", _dc("single-member-district-2013", "SMD_ID"))
    city = Outlines("city", ("DC",), np.array([shapely.union_all(wards.shapes)], dtype=object))
    networks = [_dc("police-service-areas-psa"), _dc("fire-alarm-districts")]
    cells = merge(networks, villages=_dc("single-member-district-2013", "SMD_ID")).cells
    merged = Outlines(
        "grid", tuple(cell.code for cell in cells), np.array([cell.geometry for cell in cells], dtype=object)
    )
    told = {
        tier.tier: nest(tier, above) for tier, above in ((wards, city), (commissions, wards), (districts, commissions))
    }
    assert [(own.code, own.parent, own.runner_up) for own in told["township"] if own.is_exception] == [
        ("3G", "4", "3"),
        ("6D", "6", "2"),
    ]
    assert not [own for tier in ("county", "village") for own in told[tier] if own.is_exception]
    assert {own.parent for own in told["village"]} == set(commissions.codes)
    found = nest(merged, districts)
    assert len(found) == len(merged.codes)
    assert {own.parent for own in found} == set(districts.codes)
    # Two cells lie in the river, where no single-member district is.
    assert [round(own.share + own.runner_up_share, 3) for own in found if own.is_exception] == [0, 0]


def _day(n: int) -> date:
    return date.fromordinal(date(2026, 1, 1).toordinal() + n)


def test_what_began_last_holds_and_what_began_before_holds_again_after_its_end() -> None:
    rows = [
        Parentage("T", _day(0), "A"),
        Parentage("T", _day(10), "Z", _day(20)),
        Parentage("U", _day(5), "B", _day(6)),
    ]
    assert [parents_on(_day(n), rows).get("T") for n in (-1, 0, 9, 10, 19, 20)] == [None, "A", "A", "Z", "Z", "A"]
    assert [parents_on(_day(n), rows).get("U") for n in (4, 5, 6)] == [None, "B", None]


_rows = st.lists(
    st.builds(
        lambda since, length, parent: Parentage(
            "T", _day(since), parent, None if length is None else _day(since + length)
        ),
        st.integers(0, 12),
        st.one_of(st.none(), st.integers(1, 6)),
        st.sampled_from("ABCD"),
    ),
    max_size=4,
    unique_by=lambda row: row.valid_from,
)


@given(_rows, _rows)
def test_what_is_stated_anew_has_the_last_word_on_its_days_and_changes_no_other(
    standing: list[Parentage], given_rows: list[Parentage]
) -> None:
    after = restated(standing, given_rows)
    assert len({row.valid_from for row in after}) == len(after)
    for n in range(20):
        day = _day(n)
        told = parents_on(day, given_rows).get("T")
        before = parents_on(day, standing).get("T") if given_rows else None
        assert parents_on(day, after).get("T") == (told or before)
