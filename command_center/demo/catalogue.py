"""What reports in the demo city: sensors, cameras and the accounts of people, placed by a seed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import shapely
from shapely.geometry import Point
from shapely.geometry.base import BaseGeometry

from command_center.demo.city import DemoCity, Place
from gis.region import SEPARATOR, Region
from ingest.sensor import CONDITIONAL, UNCONDITIONAL, WITHHELD, Sensor
from video.camera import Camera

KNOWN_GAUGE: Final = "demo-water-001"
KNOWN_GAUGE_TOWN: Final = "321302002"  # 宿城区 项里街道
PICTURE_QUANTITIES: Final = ("picture_dark_share", "picture_still_s")
CAMERAS: Final = 300
PICTURE_CAMERAS: Final = 3

_ON_LINE_M = 60.0  # a river gauge or a traffic sensor stands about this far from the drawn line
_METRES_PER_DEGREE = 111_195.0


@dataclass(frozen=True, slots=True)
class SensorKind:
    """A kind of sensor: how many, what it measures, where it likes to stand (``along`` a kind of drawn line or in town).

    ``pairs``: each two in a row stand in one cell, to be compared. ``moves``: a vehicle, whose cell is only its home.
    """

    name: str
    title: str
    domain: str
    quantities: tuple[str, ...]
    count: int
    interval_s: float
    urban: float = 1.0
    along: str | None = None
    pairs: bool = False
    moves: bool = False


_FIRST_KINDS: Final = (
    SensorKind("water", "积水监测", "emergency", ("water_depth",), 260, 60, urban=4),
    SensorKind("rain", "雨量站", "emergency", ("rain_1h", "rain_3h", "rain"), 150, 300, urban=0),
    SensorKind("river", "水位站", "emergency", ("river_level",), 60, 300, along="river"),
    SensorKind("gas", "燃气监测", "emergency", ("gas_concentration",), 220, 60, urban=6),
    SensorKind(
        "dust", "扬尘噪声", "urban_management", ("pm10", "pm25", "pm10_24h", "pm25_24h", "noise"), 200, 300, urban=3
    ),
    SensorKind("pressure", "供水压力", "urban_management", ("water_pressure",), 180, 120, urban=3),
    SensorKind("bridge", "桥梁监测", "urban_management", ("bridge_strain",), 80, 60, along="river"),
    SensorKind("elevator", "电梯监测", "urban_management", ("elevator_trapped_s",), 200, 120, urban=8),
    SensorKind("manhole", "井盖监测", "urban_management", ("manhole_tilt",), 180, 300, urban=6),
    SensorKind("crowd", "人群密度", "public_order", ("crowd_density",), 120, 60, urban=8),
    SensorKind("visitor", "景区客流", "public_order", ("visitor_load",), 30, 300, urban=1),
    SensorKind("speed", "路段车速", "traffic", ("link_speed",), 160, 120, urban=3, along="road"),
    SensorKind("traffic", "拥堵指数", "traffic", ("traffic_index",), 60, 300, urban=5),
    SensorKind("parking", "停车场", "traffic", ("parking_occupancy",), 100, 120, urban=8),
)
# Placed and numbered after everything else, so that what stood there before keeps its place and number.
_LATER_KINDS: Final = (
    SensorKind("main", "供水干管", "urban_management", ("water_pressure",), 6, 60, urban=3, pairs=True),
    SensorKind("level", "闸站水位", "emergency", ("river_level",), 4, 300, along="river", pairs=True),
    SensorKind("site", "工地扬尘", "urban_management", ("tsp",), 24, 60, urban=3),
    SensorKind("shaft", "有限空间", "emergency", ("oxygen", "hydrogen_sulfide", "carbon_monoxide"), 12, 60, urban=6),
    SensorKind("ride", "游乐设施", "urban_management", ("ride_stuck_s",), 3, 60),
    SensorKind("hazmat", "危险货物运输车", "traffic", ("hazmat_speed",), 6, 30, moves=True),
)
# The model of device and the department of each kind.
_MODEL: Final = {
    "water": ("water-depth-gauge", "市城市管理局"),
    "rain": ("rain-gauge", "市水利局"),
    "river": ("radar-level-gauge", "市水利局"),
    "gas": ("methane-detector", "市城市管理局"),
    "dust": ("dust-station", "市生态环境局"),
    "pressure": ("pipe-pressure-gauge", "市水务集团"),
    "bridge": ("strain-gauge", "市住房和城乡建设局"),
    "elevator": ("", "市市场监督管理局"),
    "manhole": ("tilt-cover", "市城市管理局"),
    "crowd": ("", "市公安局"),
    "visitor": ("", "市文化广电和旅游局"),
    "speed": ("", "市公安局交通警察支队"),
    "traffic": ("", "市公安局交通警察支队"),
    "parking": ("", "市城市管理局"),
    "main": ("pipe-pressure-gauge", "市水务集团"),
    "level": ("radar-level-gauge", "市水利局"),
    "site": ("tsp-station", "市住房和城乡建设局"),
    "shaft": ("confined-space-station", "市城市管理局"),
    "ride": ("", "市市场监督管理局"),
    "hazmat": ("", "市交通运输局"),
}
SENSOR_KINDS: Final = (*_FIRST_KINDS, *_LATER_KINDS)
# Digits 9 and 10 of a GB/T 28181 code, and how cameras are shared out between domains.
_CAMERA_INDUSTRY: Final = {"public_order": "00", "traffic": "04", "urban_management": "08", "emergency": "43"}
_CAMERA_SHARE: Final = {"public_order": 120, "traffic": 90, "urban_management": 60, "emergency": 30}
_CAMERA_TITLE: Final = {"public_order": "治安", "traffic": "路口", "urban_management": "街面", "emergency": "防汛"}


@dataclass(frozen=True, slots=True)
class DemoAccount:
    """Somebody to log in as. ``region`` is the code of the region whose subtree the account sees."""

    username: str
    name: str
    tier: str
    region: str


@dataclass(frozen=True, slots=True)
class DemoCatalogue:
    """``sensors`` are numbered from 1 without gaps; some are cameras whose pictures are checked, some vehicles."""

    sensors: tuple[Sensor, ...]
    cameras: tuple[Camera, ...]
    accounts: tuple[DemoAccount, ...]


class _Ground:
    """Where things may stand: dry cells, how urban each is, and the drawn lines in it."""

    def __init__(self, city: DemoCity, rng: np.random.Generator) -> None:
        self.city = city
        self.rng = rng
        self.towns = {place.region.code: place.region for place in city.regions if place.region.tier == "township"}
        lakes = shapely.union_all([feature.geometry for feature in city.water if feature.kind == "lake"])
        self.cells = [place for place in city.cells if not place.geometry.intersects(lakes)]
        size = np.sqrt([place.geometry.area for place in self.cells])
        self.urban = np.median(size) / size
        self.lines = {
            kind: shapely.union_all([f.geometry for f in city.water if f.kind == kind and f.rank == 1])
            for kind in ("river", "road")
        }
        polygons = np.array([place.geometry for place in self.cells])
        self.touched = {kind: shapely.intersects(polygons, line) for kind, line in self.lines.items()}

    def choose(self, kind: SensorKind) -> list[Place]:
        """A cell for each sensor of a kind, different ones as far as there are enough."""
        weight = self.urban**2 * kind.urban + 1.0
        if kind.along is not None:
            weight = weight * self.touched[kind.along]
        places = kind.count // 2 if kind.pairs else kind.count
        enough = int((weight > 0).sum()) >= places
        chosen = self.rng.choice(len(self.cells), places, replace=not enough, p=weight / weight.sum())
        return [self.cells[n] for n in (np.repeat(chosen, 2) if kind.pairs else chosen)]

    def town(self, cell: Region) -> Region:
        return self.towns[cell.scope.split(SEPARATOR)[2]]

    def position(self, place: Place, along: str | None = None) -> tuple[float, float]:
        """A point strictly inside the cell, near the drawn line where one is asked for."""
        polygon = place.geometry
        shapely.prepare(polygon)
        if along is not None:
            line: BaseGeometry = polygon.intersection(self.lines[along])
            near = line.interpolate(float(self.rng.uniform(0.2, 0.8)), normalized=True)
            if (found := _inside(polygon, near, self._offsets())) is not None:
                return found
        middle = polygon.point_on_surface()
        reach = np.sqrt(polygon.area) / 4
        offsets = [(float(x), float(y)) for x, y in self.rng.normal(0, reach, (40, 2))]
        found = _inside(polygon, middle, [*offsets, (0.0, 0.0)])
        if found is None:
            raise AssertionError(f"no point found inside {place.region.code}")
        return found

    def _offsets(self) -> list[tuple[float, float]]:
        return [(float(x), float(y)) for x, y in self.rng.normal(0, _ON_LINE_M / _METRES_PER_DEGREE, (10, 2))]


def _inside(
    polygon: BaseGeometry, start: BaseGeometry, offsets: Iterable[tuple[float, float]]
) -> tuple[float, float] | None:
    """The first of the offset points that is strictly inside, to six decimals."""
    if not isinstance(start, Point) or start.is_empty:
        return None
    for x, y in offsets:
        lng, lat = round(start.x + x, 6), round(start.y + y, 6)
        if shapely.contains_xy(polygon, lng, lat):
            return lng, lat
    return None


def make_catalogue(city: DemoCity, seed: int = 20260102) -> DemoCatalogue:
    """Sensors, cameras and accounts of the city, the same for the same seed."""
    ground = _Ground(city, np.random.default_rng(seed))
    placed = [row for kind in _FIRST_KINDS for row in _placed(ground, kind)]
    cameras = tuple(_cameras(ground))
    sensors = list(_sensors(placed, first_n=1))
    sensors += _picture_sensors(_checked(cameras, placed), first_n=len(sensors) + 1)
    later = [row for kind in _LATER_KINDS for row in _placed(ground, kind)]
    sensors += _sensors(later, first_n=len(sensors) + 1)
    return DemoCatalogue(tuple(sensors), cameras, demo_accounts(city))


@dataclass(frozen=True, slots=True)
class _Placed:
    kind: SensorKind
    serial: int
    town: Region
    cell: Region
    lng: float
    lat: float


def _placed(ground: _Ground, kind: SensorKind) -> Iterator[_Placed]:
    cells = ground.choose(kind)
    if kind.name == "water":
        cells[0] = known_gauge_cell(ground.city)
    for serial, place in enumerate(cells, start=1):
        lng, lat = ground.position(place, kind.along)
        yield _Placed(kind, serial, ground.town(place.region), place.region, lng, lat)


def _sensors(placed: Sequence[_Placed], first_n: int) -> Iterator[Sensor]:
    seen: Counter[tuple[str, str]] = Counter()
    for n, row in enumerate(placed, start=first_n):
        seen[row.kind.name, row.town.code] += 1
        yield Sensor(
            n=n,
            id=f"demo-{row.kind.name}-{row.serial:03d}",
            name=f"{row.town.name} {row.kind.title} {seen[row.kind.name, row.town.code]}",
            county=row.cell.scope.split(SEPARATOR)[1],
            region=row.cell.parent or row.cell.code,
            cell=row.cell.code,
            scope=row.cell.scope,
            domain=row.kind.domain,
            quantities=row.kind.quantities,
            lng=None if row.kind.moves else row.lng,
            lat=None if row.kind.moves else row.lat,
            interval_s=row.kind.interval_s,
            profile=_MODEL[row.kind.name][0],
            owner=_MODEL[row.kind.name][1],
            # What a department in law may not pass on as it likes; the rest of a city's gauges is open to the others.
            sharing=CONDITIONAL if row.kind.domain == "public_order" else UNCONDITIONAL,
        )


def _cameras(ground: _Ground) -> Iterator[Camera]:
    seen: Counter[tuple[str, str]] = Counter()
    serial: Counter[str] = Counter()
    for domain, count in _CAMERA_SHARE.items():
        along = {"traffic": "road", "emergency": "river"}.get(domain)
        for place in ground.choose(SensorKind(domain, "", domain, (), count, 0, urban=6, along=along)):
            town, cell = ground.town(place.region), place.region
            seen[domain, town.code] += 1
            prefix = _camera_prefix(town, domain)
            serial[prefix] += 1
            lng, lat = ground.position(place, along)
            yield Camera(
                id=f"{prefix}{serial[prefix]:06d}",
                name=f"{town.name} {_CAMERA_TITLE[domain]}摄像机 {seen[domain, town.code]}",
                county=cell.scope.split(SEPARATOR)[1],
                region=cell.parent or cell.code,
                cell=cell.code,
                scope=cell.scope,
                domain=domain,
                lng=lng,
                lat=lat,
                direction=float(ground.rng.integers(0, 72) * 5),
                field_of_view=float(ground.rng.choice([60, 75, 90, 110])),
            )


def _camera_prefix(town: Region, domain: str) -> str:
    """Centre (the published county code, two zeros), industry, type 132 (network camera), network 6 (government extranet)."""
    return f"{town.code[:6]}00{_CAMERA_INDUSTRY[domain]}1326"


def _checked(cameras: Sequence[Camera], placed: Sequence[_Placed]) -> list[Camera]:
    """The cameras whose pictures are checked: public-order ones with the most crowd sensors around, in different towns."""
    crowds = np.array([(row.lng, row.lat) for row in placed if row.kind.name == "crowd"])
    reach = 4_000 / _METRES_PER_DEGREE

    def company(camera: Camera) -> int:
        return int((np.hypot(*(crowds - (camera.lng, camera.lat)).T) < reach).sum())

    found: dict[str, Camera] = {}
    for camera in sorted(cameras, key=lambda c: (-company(c), c.id)):
        if camera.domain == "public_order" and KNOWN_GAUGE_TOWN not in camera.scope:
            found.setdefault(camera.scope.split(SEPARATOR)[2], camera)
    return list(found.values())[:PICTURE_CAMERAS]


def _picture_sensors(cameras: Iterable[Camera], first_n: int) -> Iterator[Sensor]:
    for n, camera in enumerate(cameras, start=first_n):
        yield Sensor(
            n=n,
            id=camera.id,
            name=f"{camera.name} 画面",
            county=camera.county,
            region=camera.region,
            cell=camera.cell,
            scope=camera.scope,
            domain=camera.domain,
            quantities=PICTURE_QUANTITIES,
            lng=camera.lng,
            lat=camera.lat,
            interval_s=60,
            owner="市公安局",
            sharing=WITHHELD,
        )


def known_gauge_cell(city: DemoCity) -> Place:
    """The cell of demo-water-001: the first of its town."""
    in_town = (place for place in city.cells if KNOWN_GAUGE_TOWN in place.region.scope.split(SEPARATOR))
    return min(in_town, key=lambda place: place.region.code)


def demo_accounts(city: DemoCity) -> tuple[DemoAccount, ...]:
    """Two accounts for the city, one for each county-level centre, and in every county one chain down to a grid.

    The chain of the known gauge's county ends at that gauge's cell; others at the first cell of their county.
    """
    regions = {place.region.code: place.region for place in city.places}
    first: dict[str, Region] = {}
    for place in [known_gauge_cell(city), *sorted(city.cells, key=lambda p: p.region.code)]:
        first.setdefault(place.region.scope.split(SEPARATOR)[1], place.region)
    counties = [place.region for place in city.regions if place.region.tier == "county"]
    found = [DemoAccount("city", f"{city.regions[0].region.name}指挥中心", "city", city.regions[0].region.code)]
    found += [DemoAccount(f"county-{c.code}", f"{c.name}指挥中心", "county", c.code) for c in counties]
    for county in counties:
        found += _chain(regions, first[county.code])
    # The one who publishes what the first one wrote.
    found.append(DemoAccount("city-2", f"{city.regions[0].region.name}值班长", "city", city.regions[0].region.code))
    return tuple(found)


def _chain(regions: dict[str, Region], cell: Region) -> list[DemoAccount]:
    path = [regions[code] for code in cell.scope.split(SEPARATOR)[2:] if code]
    names = [region.name for region in path]
    return [
        DemoAccount(
            f"{region.tier}-{region.code}", " ".join(names[: depth + 1]) + _ROLE[region.tier], region.tier, region.code
        )
        for depth, region in enumerate(path)
    ]


_ROLE: Final = {"township": "指挥中心", "village": "", "grid": " 网格员"}
