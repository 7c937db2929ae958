"""A code says what scheme it follows, and in some schemes whose part the region is."""

from __future__ import annotations

import pytest

from gis.region_code import COMMUNITY, LOCAL, STATISTICAL, UNIT_GRID, is_usable, normal, parent_code, scheme_of


@pytest.mark.parametrize(
    ("code", "tier", "scheme", "parent"),
    [
        ("321300", "city", STATISTICAL, None),
        ("321302", "county", STATISTICAL, "321300"),
        ("321302001", "township", STATISTICAL, "321302"),
        ("321302001003", "village", STATISTICAL, "321302001"),
        ("321302001003017", "grid", UNIT_GRID, "321302001003"),
        ("01020332130200100300", "village", COMMUNITY, "321302001"),
        ("01020332130200100307", "grid", COMMUNITY, "321302001003"),
        ("01020332130200100307", "village", LOCAL, None),
        ("321302", "city", LOCAL, None),
        ("321302001", "county", LOCAL, None),
        ("32130200100301", "grid", LOCAL, None),
        ("ANC-3G", "township", LOCAL, None),
        ("３２１３０２", "county", LOCAL, None),
    ],
)
def test_the_form_of_a_code_tells_scheme_and_parent(code: str, tier: str, scheme: str, parent: str | None) -> None:
    assert (scheme_of(code, tier), parent_code(code, tier)) == (scheme, parent)


@pytest.mark.parametrize(
    ("code", "tier", "kept"),
    [
        ("321300000000", "city", "321300"),
        ("321302000000", "county", "321302"),
        ("321302001000", "township", "321302001"),
        ("321302001003", "village", "321302001003"),
        ("321302001000", "county", "321302001000"),
        ("321302001003", "township", "321302001003"),
        ("321302", "county", "321302"),
        ("W0000000000", "county", "W0000000000"),
    ],
)
def test_zeros_that_fill_a_code_up_are_dropped_and_no_others(code: str, tier: str, kept: str) -> None:
    assert normal(code, tier) == kept


@pytest.mark.parametrize("code", ["", "a/b", "a~", "网格1", "a b", "-a", "x" * 41, "a\n"])
def test_a_code_that_would_break_a_scope_is_not_usable(code: str) -> None:
    assert not is_usable(code)
    assert is_usable("ANC_3G.1:a-b")
