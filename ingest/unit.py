"""Units of measure: by what factor and offset a value as sent becomes one in the catalogue's unit.

The ways of writing that devices use (UCUM, SenML, Chinese instruments) are brought to one first. Only names with small powers,
multiplied and divided, are units here: what a device calls its unit is never evaluated.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pint import UnitRegistry

Conversion = tuple[float, float]
"""(factor, offset): value in the wanted unit = value as sent * factor + offset."""

_AS_SENT: Final = (1.0, 0.0)
_LONGEST: Final = 24

# Explosive gas: methane burns from 5 % of volume on (100 %LEL). Shares of gas are a dimension of their own, so that a plain
# percentage never becomes one by accident; ppm is counted with them, for what else is told in ppm here is a gas too.
_OWN: Final = (
    "gas_volume_percent = [gas_share]",
    "gas_lower_explosive_limit_percent = 0.05 * gas_volume_percent",
    "gas_part_per_million = 0.0001 * gas_volume_percent",
    "gas_part_per_billion = 0.001 * gas_part_per_million",
    "sound_level = [sound_level]",
    "inhabitant = [inhabitant]",
)
_WRITTEN: Final = {
    "%vol": "gas_volume_percent",
    "vol%": "gas_volume_percent",
    "%lel": "gas_lower_explosive_limit_percent",
    "lel%": "gas_lower_explosive_limit_percent",
    "ppm": "gas_part_per_million",
    "ppmv": "gas_part_per_million",
    "ppb": "gas_part_per_billion",
    "%": "percent",
    "%rh": "percent",
    "1": "dimensionless",
    "db": "sound_level",
    "dba": "sound_level",
    "db(a)": "sound_level",
    "p": "inhabitant",
    "cel": "degC",
    "degc": "degC",
    "c": "degC",
    "degf": "degF",
    "[degf]": "degF",
    "f": "degF",
    "degk": "kelvin",
    "[ft_i]": "foot",
    "[in_i]": "inch",
    "mm[hg]": "mmHg",
    "m[h2o]": "mH2O",
    "kph": "kilometer / hour",
    "lpm": "liter / minute",
}
_SIGNS: Final = str.maketrans(
    {"µ": "u", "μ": "u", "²": "2", "³": "3", "℃": "degC", "℉": "degF", "°": "deg", "·": ".", "％": "%"}
)
_TERM: Final = re.compile(r"(%?[A-Za-z_]+)(-?[1-4])?")


class BadUnit(ValueError):
    """A unit is not known, or what it measures is not what is wanted."""


@lru_cache(maxsize=4096)
def conversion(sent: str, wanted: str) -> Conversion:
    """How a value in ``sent`` becomes one in ``wanted``. Raises BadUnit."""
    one, other = _tidy(sent), _tidy(wanted)
    if one == other:
        return _AS_SENT
    found = _converted(one, other)
    if found is None:
        raise BadUnit(f"{sent[:_LONGEST]!r} cannot become {wanted[:_LONGEST]!r}")
    return found


def _tidy(text: str) -> str:
    return "".join(text.split()).translate(_SIGNS)


@lru_cache(maxsize=4096)
def _converted(sent: str, wanted: str) -> Conversion | None:
    # Failures are kept as well: a device that sends a wrong unit sends it every minute.
    from pint import errors

    try:
        units = _registry()
        origin, step = (units.Quantity(value, _expression(sent)).to(_expression(wanted)) for value in (0.0, 1.0))
    except (errors.PintError, ValueError, AttributeError, ZeroDivisionError):
        return None
    # Twelve digits: what the steps of a calculation leave behind them is not shown to people.
    return float(f"{step.magnitude - origin.magnitude:.12g}"), float(f"{origin.magnitude:.12g}")


def _expression(unit: str) -> str:
    """A unit as the registry writes it. Raises BadUnit."""
    if not unit or len(unit) > _LONGEST:
        raise BadUnit(f"{unit[:_LONGEST]!r} is no unit")
    known = _WRITTEN.get(unit.lower())
    if known:
        return known
    found = []
    for part in unit.split("/"):
        terms = []
        for term in re.split(r"[.*]", part):
            parted = _TERM.fullmatch(term)
            if parted is None and term != "1":
                raise BadUnit(f"{unit!r} is no unit")
            name = parted[1] if parted else "1"
            terms.append(f"({_WRITTEN.get(name.lower(), name)})**({(parted and parted[2]) or 1})")
        found.append("*".join(terms))
    return "/".join(f"({part})" for part in found)


@cache
def _registry() -> UnitRegistry[Any]:
    """Made when first wanted: it takes a second, and only who converts needs it."""
    from pint import UnitRegistry

    units: UnitRegistry[Any] = UnitRegistry(on_redefinition="raise")
    for definition in _OWN:
        units.define(definition)
    return units
