"""Which units become which, and which do not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.unit import BadUnit, conversion
from tests.small_city import quantities


@pytest.mark.parametrize(
    ("value", "sent", "wanted", "expected"),
    [
        (5, "%VOL", "%LEL", 100),  # methane burns from 5 % of volume on
        (1000, "ppm", "%LEL", 2),
        (0.035, "mg/m3", "ug/m3", 35),
        (0.035, "mg/m³", "µg/m³", 35),
        (10, "ft", "m", 3.048),
        (10, "[ft_i]", "m", 3.048),
        (212, "°F", "°C", 100),
        (-40, "F", "Cel", -40),
        (20, "℃", "degC", 20),
        (1013.25, "hPa", "kPa", 101.325),
        (760, "mm[Hg]", "kPa", 101.325),
        (10, "m/s", "km/h", 36),
        (3.6, "m3/h", "L/s", 1),
        (55, "dB(A)", "dB", 55),
        (50, "%", "1", 0.5),
        (60, "%RH", "%", 60),
        (2, "min", "s", 120),
    ],
)
def test_a_value_becomes_one_in_the_wanted_unit(value: float, sent: str, wanted: str, expected: float) -> None:
    factor, offset = conversion(sent, wanted)
    assert value * factor + offset == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("sent", "wanted"),
    [
        ("m", "s"),
        ("%", "%LEL"),  # of what? a share of gas is said as such
        ("mg/m3", "ppm"),  # needs the gas and its temperature
        ("mm/h", "mm"),
        ("furlongs?", "m"),
        ("", "m"),
        ("unit", "m"),
        ("m**99999999", "m"),
        ("10**10**10", "1"),
        ("__import__", "1"),
        ("m" * 1000, "m"),
    ],
)
def test_an_impossible_conversion_is_refused(sent: str, wanted: str) -> None:
    with pytest.raises(BadUnit):
        conversion(sent, wanted)


def test_every_unit_of_the_catalogue_is_understood() -> None:
    related = {"p/m2": "p/cm2"}
    for unit in {quantity.unit for quantity in quantities()}:
        assert conversion(unit, related.get(unit, unit))


@given(st.text(alphabet="mskgLVOEA%/.*0123456789-^() _[]µ°", max_size=30))
def test_whatever_a_device_calls_its_unit_ends_at_once(text: str) -> None:
    try:
        factor, offset = conversion(text, "m")
    except BadUnit:
        return
    assert abs(factor) < 1e30
    assert abs(offset) < 1e30
