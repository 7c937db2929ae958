"""How a command names a file of grids, and the ground that the grids must lie on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from config.settings import BadSetting

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

    from gis.datum import Datum
    from gis.network import Network
    from gis.network_problem import Land


def file_and_property(given: str) -> tuple[Path, str | None]:
    """FILE[:ID_PROPERTY]; a file whose name has a colon is taken at its word."""
    path, mark, id_property = given.rpartition(":")
    if not mark or Path(given).exists() or not path or not id_property or "/" in id_property:
        return Path(given), None
    return Path(path), id_property


def placed(network: Network, lands: Sequence[Land], told: Datum | None) -> Network:
    """A network on the city's ground, swapped axes put right with a notice.

    Raises BadSetting for one that lies elsewhere, or fits the regions only when it is read in another datum than it was.
    """
    import numpy as np

    from gis.datum import Datum
    from gis.misplaced import lies_apart, lies_swapped, swapped

    city = next((land.shape for land in lands if land.tier == "city"), None)
    if city is None:
        raise BadSetting("there is no city yet: import the regions first")
    ground = np.array([city], dtype=object)
    if lies_swapped(network.polygons, ground):
        notice = "latitude stood before longitude: axes exchanged"
        network = replace(network, polygons=swapped(network.polygons), notices=(notice, *network.notices))
    if lies_apart(network.polygons, ground):
        raise BadSetting(f"network {network.name} lies apart from the city: is this the right file, the right datum?")
    datum = _other_datum(network, lands, city, told or Datum.CGCS2000)
    if datum is not None:
        do = f"check --datum {told}" if told else f"pass --datum {datum}"
        raise BadSetting(f"network {network.name} looks like {datum}, held against the regions: {do}")
    return network


def _other_datum(network: Network, lands: Sequence[Land], city: BaseGeometry, told: Datum) -> Datum | None:
    """The datum that the network as it was drawn seems to be in, None when that is the one it was told to be in."""
    import numpy as np
    import shapely

    from gis.datum import Datum, convert
    from gis.misplaced import looks_like
    from gis.network_problem import outline_datum

    drawn = shapely.transform(
        network.polygons, lambda at: np.column_stack(convert(at[:, 0], at[:, 1], Datum.CGCS2000, told))
    )
    shapes = np.empty(len(lands), dtype=object)
    shapes[:] = [land.shape for land in lands]
    told = Datum.CGCS2000 if told is Datum.WGS84 else told  # the two differ by less than anything drawn
    found = looks_like(drawn, shapes, told) or outline_datum(drawn, city)
    return None if found is told else found
