"""Codes of regions and the schemes they follow. One table says which form belongs to which scheme and where in it the parent
stands.

Statistical codes grow by tier: 6 digits for a city or county (GB/T 2260), 9 for a township, 12 for a village. Published lists
also write all of them with 12 digits, filled up with zeros; a region is kept under the short form. A cell adds a serial of
three digits. The older community standard (CJ/T 349) has 20 digits: 6 for the object, then county, street, community and a
serial of two digits that is 00 where the community is not divided. Everything else is a city's own code and says nothing
about its parent. The form is all that is judged: a zone's own code that looks statistical counts as such, and dated parentage
says where the zone's towns really belong.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

STATISTICAL: Final = "statistical"
UNIT_GRID: Final = "unit_grid"
COMMUNITY: Final = "community"
LOCAL: Final = "local"


@dataclass(frozen=True, slots=True)
class Form:
    """A form of code at a tier: ``parent`` is where the parent's digits stand in it, filled up with ``filling``."""

    scheme: str
    tier: str
    pattern: re.Pattern[str]
    parent: slice | None
    filling: str = ""


_FORMS: Final = (
    Form(STATISTICAL, "city", re.compile(r"\d{4}00"), None),
    Form(STATISTICAL, "county", re.compile(r"\d{6}"), slice(0, 4), "00"),
    Form(STATISTICAL, "township", re.compile(r"\d{9}"), slice(0, 6)),
    Form(STATISTICAL, "village", re.compile(r"\d{12}"), slice(0, 9)),
    Form(UNIT_GRID, "grid", re.compile(r"\d{15}"), slice(0, 12)),
    Form(COMMUNITY, "village", re.compile(r"\d{18}00"), slice(6, 15)),
    Form(COMMUNITY, "grid", re.compile(r"\d{20}"), slice(6, 18)),
)
_DIGITS: Final = {"city": 6, "county": 6, "township": 9}
_FULL: Final = 12
# Scopes are paths of codes compared byte by byte: a slash would end one, a byte from ~ upwards would leave its parent's range.
_USABLE: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z_.:-]{0,39}")


def is_usable(code: str) -> bool:
    """Whether a code can name a region: 1 to 40 Latin letters, digits and ``_ . : -``."""
    return _USABLE.fullmatch(code) is not None


def normal(code: str, tier: str) -> str:
    """The form under which a region is kept: a statistical code without the zeros that fill it up to 12 digits."""
    digits = _DIGITS.get(tier, _FULL)
    filled = len(code) == _FULL and code.isascii() and code.isdigit() and not code[digits:].strip("0")
    return code[:digits] if filled else code


def scheme_of(code: str, tier: str) -> str:
    """The scheme of a code in its kept form."""
    form = _form(code, tier)
    return LOCAL if form is None else form.scheme


def parent_code(code: str, tier: str) -> str | None:
    """The code of the region one tier up as the code itself says it, None where it says nothing."""
    form = _form(code, tier)
    return None if form is None or form.parent is None else code[form.parent] + form.filling


def _form(code: str, tier: str) -> Form | None:
    return next((f for f in _FORMS if f.tier == tier and code.isascii() and f.pattern.fullmatch(code)), None)
