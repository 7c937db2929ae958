"""Coordinate datums found in Chinese data, and the way from any of them to any other.

CGCS2000 (the store's own) and WGS 84 differ by centimetres and are treated as equal. GCJ-02 is WGS 84 with a position-dependent
shift of some hundred metres that map vendors must apply inside China; BD-09 shifts GCJ-02 once more. The shifts have
closed formulas forwards only; backwards they are solved by iteration. Around Suqian GCJ-02 lies about 530 m and BD-09 about
1,220 m from the true place, so a wrong label puts an event into the wrong cell.

Every route goes over WGS 84: ``source -> WGS 84 -> target``. Outside a rectangle around China nothing is shifted. The shift
jumps at the rectangle's edge, so the way back is exact everywhere but within the shift's length of that edge.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Final

import numpy as np
import numpy.typing as npt

Degrees = npt.NDArray[np.float64]
Pair = tuple[Degrees, Degrees]

_SEMI_MAJOR_M: Final = 6378245.0  # Krasovsky 1940, which the GCJ-02 formula uses whatever the data's own ellipsoid
_ECCENTRICITY_SQUARED: Final = 0.006693421622965823
_WEST, _EAST, _SOUTH, _NORTH = 72.004, 137.8347, 0.8293, 55.8271
_BD_LNG, _BD_LAT = 0.0065, 0.006
_BD_WAVE: Final = np.pi * 3000 / 180
_SOLVED_DEG: Final = 1e-11  # about a micrometre
_ROUNDS: Final = 30  # three or four are enough inside China; the bound only ends a search that floats keep alive


class Datum(StrEnum):
    """What a longitude and latitude refer to."""

    CGCS2000 = "CGCS2000"
    WGS84 = "WGS84"
    GCJ02 = "GCJ02"
    BD09 = "BD09"


class UnknownDatum(ValueError):
    """A datum was named that the city does not know."""

    def __init__(self, name: str) -> None:
        super().__init__(f"datum {name[:40]!r} is unknown: use one of {', '.join(Datum)}")


def named(name: str) -> Datum:
    """The datum of that name; case, blanks, ``-`` and ``_`` do not matter (``gcj-02``). Raises UnknownDatum."""
    plain = name.upper().translate({ord(c): None for c in "-_ "})
    try:
        return Datum(plain)
    except ValueError:
        raise UnknownDatum(name) from None


def convert(lng: npt.ArrayLike, lat: npt.ArrayLike, source: Datum | str, target: Datum | str) -> Pair:
    """Positions in degrees from one datum to another, as two new float64 arrays of the broadcast shape.

    NaN stays NaN. The way back from GCJ-02 and BD-09 is solved to better than 1e-9 degrees (0.1 mm). Raises UnknownDatum.
    """
    start, end = _plain(named(source)), _plain(named(target))
    x, y = np.broadcast_arrays(np.asarray(lng, dtype=np.float64), np.asarray(lat, dtype=np.float64))
    if start is end:
        return x.copy(), y.copy()
    return _from_wgs84(*_to_wgs84(x, y, start), end)


def _plain(datum: Datum) -> Datum:
    return Datum.WGS84 if datum is Datum.CGCS2000 else datum


def _to_wgs84(lng: Degrees, lat: Degrees, source: Datum) -> Pair:
    if source is Datum.BD09:
        lng, lat = _inside_china(lng, lat, _unshift(_bd_shift))
    return (lng, lat) if source is Datum.WGS84 else _inside_china(lng, lat, _unshift(_gcj_shift))


def _from_wgs84(lng: Degrees, lat: Degrees, target: Datum) -> Pair:
    if target is Datum.WGS84:
        return lng.copy(), lat.copy()
    lng, lat = _inside_china(lng, lat, _shifted(_gcj_shift))
    return _inside_china(lng, lat, _shifted(_bd_shift)) if target is Datum.BD09 else (lng, lat)


def _inside_china(lng: Degrees, lat: Degrees, move: Callable[[Degrees, Degrees], Pair]) -> Pair:
    """``move`` applied to the positions inside the rectangle, copies of the others."""
    inside = (lng >= _WEST) & (lng <= _EAST) & (lat >= _SOUTH) & (lat <= _NORTH)
    moved_lng, moved_lat = np.array(lng, copy=True), np.array(lat, copy=True)
    if inside.any():
        moved_lng[inside], moved_lat[inside] = move(lng[inside], lat[inside])
    return moved_lng, moved_lat


def _shifted(shift: Callable[[Degrees, Degrees], Pair]) -> Callable[[Degrees, Degrees], Pair]:
    def move(lng: Degrees, lat: Degrees) -> Pair:
        shift_lng, shift_lat = shift(lng, lat)
        return lng + shift_lng, lat + shift_lat

    return move


def _unshift(shift: Callable[[Degrees, Degrees], Pair]) -> Callable[[Degrees, Degrees], Pair]:
    """The inverse of ``_shifted(shift)``: the place whose shifted position is the one given.

    The shift changes slowly with the place (less than one part in fifty), so taking it at the last guess gains about two
    decimal digits a round.
    """

    def move(lng: Degrees, lat: Degrees) -> Pair:
        guess_lng, guess_lat = lng, lat
        for _ in range(_ROUNDS):
            shift_lng, shift_lat = shift(guess_lng, guess_lat)
            next_lng, next_lat = lng - shift_lng, lat - shift_lat
            step = max(float(np.abs(next_lng - guess_lng).max()), float(np.abs(next_lat - guess_lat).max()))
            guess_lng, guess_lat = next_lng, next_lat
            if step < _SOLVED_DEG:
                break
        return guess_lng, guess_lat

    return move


def _gcj_shift(lng: Degrees, lat: Degrees) -> Pair:
    """From WGS 84 to GCJ-02, in degrees."""
    east, north = lng - 105.0, lat - 35.0
    root = np.sqrt(np.abs(east))
    common = 20.0 * np.sin(6.0 * east * np.pi) + 20.0 * np.sin(2.0 * east * np.pi)
    along = -100.0 + 2.0 * east + 3.0 * north + 0.2 * north**2 + 0.1 * east * north + 0.2 * root
    along += (common + _waves(north, (20.0, 1.0), (40.0, 3.0), (160.0, 12.0), (320.0, 30.0))) * 2.0 / 3.0
    across = 300.0 + east + 2.0 * north + 0.1 * east**2 + 0.1 * east * north + 0.1 * root
    across += (common + _waves(east, (20.0, 1.0), (40.0, 3.0), (150.0, 12.0), (300.0, 30.0))) * 2.0 / 3.0
    radians = np.radians(lat)
    bend = 1.0 - _ECCENTRICITY_SQUARED * np.sin(radians) ** 2
    meridian_m = _SEMI_MAJOR_M * (1.0 - _ECCENTRICITY_SQUARED) / bend**1.5
    parallel_m = _SEMI_MAJOR_M / np.sqrt(bend) * np.cos(radians)
    return np.degrees(across / parallel_m), np.degrees(along / meridian_m)


def _waves(place: Degrees, *waves: tuple[float, float]) -> Degrees:
    """Sum of sines given as (amplitude in metres, half wave length in degrees)."""
    total = np.zeros_like(place)
    for amplitude_m, half_wave_deg in waves:
        total += amplitude_m * np.sin(place * np.pi / half_wave_deg)
    return total


def _bd_shift(lng: Degrees, lat: Degrees) -> Pair:
    """From GCJ-02 to BD-09, in degrees."""
    radius = np.hypot(lng, lat) + 2e-5 * np.sin(lat * _BD_WAVE)
    angle = np.arctan2(lat, lng) + 3e-6 * np.cos(lng * _BD_WAVE)
    return radius * np.cos(angle) + _BD_LNG - lng, radius * np.sin(angle) + _BD_LAT - lat
