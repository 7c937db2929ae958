"""Situations as people describe them, with who saw what, where and when, and which of it is one matter.

Each was written down from its situation before anything was counted: a line of signals is (matter, category, east m, north m,
minutes, source), the matter being a letter; whoever dealt with it on the spot would have said so. Sources are what saw it, and
empty for a person. Where a case is hard, it is there because it is hard, not because the software gets it right.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

Seen = tuple[str, str, float, float, float, str]


@dataclass(frozen=True)
class Case:
    """A situation in words and what was seen of it. ``kind`` groups the cases in the table."""

    name: str
    kind: str
    seen: tuple[Seen, ...]


def _case(name: str, kind: str, *seen: Seen) -> Case:
    return Case(name, kind, seen)


def _around(
    matter: str, category: str, n: int, seed: int, *, spread_m: float, minutes: float, at: tuple[float, float] = (0, 0)
) -> tuple[Seen, ...]:
    """``n`` sources scattered over a square, each once."""
    dice = random.Random(seed)
    return tuple(
        (
            matter,
            category,
            at[0] + dice.uniform(-spread_m, spread_m),
            at[1] + dice.uniform(-spread_m, spread_m),
            dice.uniform(0, minutes),
            f"{matter}-{seed}-{k}",
        )
        for k in range(n)
    )


ONE, TWO, MOVING, NOISE, STORM = (
    "one cause, several see it",
    "two causes close",
    "a cause that moves",
    "drizzle",
    "storm",
)

CASES: tuple[Case, ...] = (
    # One cause, seen by several.
    _case(
        "two gauges in one underpass", ONE, ("a", "waterlogging", 0, 0, 0, "g1"), ("a", "waterlogging", 18, 4, 3, "g2")
    ),
    _case(
        "gauge, then three citizens at its kerb",
        ONE,
        ("a", "waterlogging", 0, 0, 0, "g1"),
        ("a", "waterlogging", 12, -9, 6, ""),
        ("a", "waterlogging", -20, 5, 11, ""),
        ("a", "drain", 8, 8, 25, ""),
    ),
    _case(
        "a citizen calls the flooded kerb a blocked drain",
        ONE,
        ("a", "drain", 0, 0, 0, ""),
        ("a", "waterlogging", 15, 0, 4, "g1"),
    ),
    _case(
        "camera sees smoke, detector sees fire", ONE, ("a", "smoke", 0, 0, 0, "cam1"), ("a", "fire", 22, 10, 2, "d1")
    ),
    _case(
        "fire seen by two cameras across the street",
        ONE,
        ("a", "fire", 0, 0, 0, "cam1"),
        ("a", "fire", 38, 0, 1, "cam2"),
    ),
    _case(
        "a fire that callers place by its smoke, up to 120 m off",
        ONE,
        ("a", "fire", 0, 0, 0, "d1"),
        ("a", "smoke", 40, 20, 3, ""),
        ("a", "smoke", 110, 45, 5, ""),
    ),
    _case(
        "missing cover reported by five passers-by in a day",
        ONE,
        *(("a", "manhole", 3.0 * k, -2.0 * k, 170.0 * k, "") for k in range(5)),
    ),
    _case(
        "a leaking valve trips its sensor six times in a day",
        ONE,
        *(("a", "gas_leak", 0, 0, 200.0 * k, "v1") for k in range(6)),
    ),
    _case(
        "three gas sensors of one chamber",
        ONE,
        ("a", "gas_leak", 0, 0, 0, "v1"),
        ("a", "gas_leak", 4, 3, 1, "v2"),
        ("a", "gas_leak", 9, 0, 1, "v3"),
    ),
    _case(
        "loiterers who then climb the fence",
        ONE,
        ("a", "loitering", 0, 0, 0, "cam1"),
        ("a", "intrusion", 14, 3, 9, "cam2"),
        ("a", "group_intrusion", 20, 6, 12, "cam2"),
    ),
    _case(
        "a flooded street 160 m long, gauges every 40 m",
        ONE,
        *(("a", "waterlogging", 40.0 * k, 0, 2.0 * k, f"g{k}") for k in range(5)),
    ),
    _case(
        "the same street, told from its ends first",
        ONE,
        ("a", "waterlogging", 0, 0, 0, "g0"),
        ("a", "waterlogging", 160, 0, 1, "g4"),
        ("a", "waterlogging", 40, 0, 5, "g1"),
        ("a", "waterlogging", 120, 0, 6, "g3"),
        ("a", "waterlogging", 80, 0, 9, "g2"),
    ),
    _case(
        "a burst pipe: pressure sensor and two households",
        ONE,
        ("a", "water_supply", 0, 0, 0, "p1"),
        ("a", "water_supply", 35, 12, 14, ""),
        ("a", "water_supply", 48, 30, 31, ""),
    ),
    _case(
        "a queue before a junction, two cameras",
        ONE,
        ("a", "congestion", 0, 0, 0, "cam1"),
        ("a", "congestion", 45, 0, 4, "cam2"),
    ),
    _case(
        "an elevator stuck: sensor and the caller inside",
        ONE,
        ("a", "elevator", 0, 0, 0, "e1"),
        ("a", "elevator", 8, 0, 2, ""),
    ),
    _case(
        "a fallen tree reported with the wrong side of the street",
        ONE,
        ("a", "fallen_tree", 0, 0, 0, ""),
        ("a", "fallen_tree", 30, 25, 7, ""),
    ),
    _case(
        "a sinking road reported today and again tomorrow morning",
        ONE,
        ("a", "road_collapse", 0, 0, 0, ""),
        ("a", "road_collapse", 10, 4, 1080, ""),
    ),
    _case(
        "dust from one site, monitors at two gates", ONE, ("a", "dust", 0, 0, 0, "m1"), ("a", "dust", 44, 8, 30, "m2")
    ),
    _case(
        "a site monitor that sends late, out of order",
        ONE,
        ("a", "noise", 0, 0, 40, "m1"),
        ("a", "noise", 12, 0, 0, ""),
        ("a", "noise", 5, 9, 20, ""),
    ),
    # Two causes close together.
    _case(
        "two burst manholes 60 m apart",
        TWO,
        ("a", "manhole", 0, 0, 0, ""),
        ("b", "manhole", 60, 0, 4, ""),
        ("a", "manhole", -8, 3, 12, ""),
        ("b", "manhole", 66, -4, 20, ""),
    ),
    _case(
        "two missing covers 35 m apart, one matter to the machine",
        TWO,
        ("a", "manhole", 0, 0, 0, ""),
        ("b", "manhole", 35, 0, 30, ""),
    ),
    _case(
        "a fire next to a flooded street",
        TWO,
        *_around("a", "waterlogging", 6, 21, spread_m=20, minutes=10),
        ("b", "fire", 10, 10, 5, "d1"),
        ("b", "smoke", 20, 0, 7, "cam1"),
    ),
    _case(
        "gas and water at one road work",
        TWO,
        ("a", "gas_leak", 0, 0, 0, "v1"),
        ("b", "water_supply", 5, 5, 3, "p1"),
        ("a", "gas_leak", 8, 0, 5, "v2"),
    ),
    _case(
        "congestion beside a crowd, one event, two desks",
        TWO,
        ("a", "congestion", 0, 0, 0, "cam1"),
        ("b", "crowd", 15, 10, 3, "cam2"),
        ("b", "crowd", 25, 10, 5, "cam3"),
    ),
    _case(
        "two street lamps out, 70 m apart",
        TWO,
        ("a", "street_light", 0, 0, 0, ""),
        ("b", "street_light", 70, 0, 60, ""),
    ),
    _case(
        "the same hollow floods again two days later",
        TWO,
        ("a", "waterlogging", 0, 0, 0, "g1"),
        ("a", "waterlogging", 10, 0, 4, "g2"),
        ("b", "waterlogging", 0, 0, 2880, "g1"),
        ("b", "waterlogging", 10, 0, 2890, "g2"),
    ),
    _case(
        "two underpasses of one ring road, 400 m apart",
        TWO,
        *_around("a", "waterlogging", 5, 22, spread_m=15, minutes=20),
        *_around("b", "waterlogging", 5, 23, spread_m=15, minutes=20, at=(400, 0)),
    ),
    _case(
        "illegal parking at two gates of one school",
        TWO,
        ("a", "parking", 0, 0, 0, "cam1"),
        ("a", "parking", 20, 0, 2, ""),
        ("b", "parking", 130, 0, 1, "cam2"),
    ),
    _case(
        "litter at one bin, trading at the next stall",
        TWO,
        ("a", "litter", 0, 0, 0, ""),
        ("b", "street_trade", 6, 2, 5, ""),
    ),
    _case(
        "two fires in one old quarter, 300 m apart",
        TWO,
        *_around("a", "fire", 3, 24, spread_m=20, minutes=6),
        *_around("b", "fire", 3, 25, spread_m=20, minutes=6, at=(300, 0)),
    ),
    _case(
        "elevators of two towers, 80 m apart",
        TWO,
        ("a", "elevator", 0, 0, 0, "e1"),
        ("b", "elevator", 80, 0, 1, "e2"),
        ("b", "elevator", 84, 0, 6, ""),
    ),
    # A cause that moves.
    _case(
        "a tanker off its route, seen by cameras along the road",
        MOVING,
        *(("a", "dangerous_goods", 900.0 * k, 0, 1.0 * k, f"cam{k}") for k in range(6)),
    ),
    _case(
        "a tanker that reports itself all along",
        MOVING,
        *(("a", "dangerous_goods", 1500.0 * k, 300.0 * k, 2.0 * k, "truck-1") for k in range(5)),
    ),
    _case(
        "a tanker that stops at a lay-by",
        MOVING,
        ("a", "dangerous_goods", 0, 0, 0, "cam1"),
        ("a", "dangerous_goods", 1800, 0, 2, "cam2"),
        ("a", "dangerous_goods", 1810, 20, 45, "cam2"),
    ),
    _case(
        "two tankers on one road, half an hour apart",
        MOVING,
        *(("a", "dangerous_goods", 900.0 * k, 0, 1.0 * k, f"cam{k}x") for k in range(4)),
        *(("b", "dangerous_goods", 900.0 * k, 0, 1470 + 1.0 * k, f"cam{k}y") for k in range(4)),
    ),
    _case(
        "two tankers at two ends of the city",
        MOVING,
        ("a", "dangerous_goods", 0, 0, 0, "cam1"),
        ("b", "dangerous_goods", 9000, 0, 1, "cam9"),
        ("a", "dangerous_goods", 1000, 0, 1, "cam2"),
    ),
    _case(
        "two tankers that follow each other closely",
        MOVING,
        ("a", "dangerous_goods", 0, 0, 0, "cam1"),
        ("b", "dangerous_goods", -300, 0, 0, "cam0"),
        ("a", "dangerous_goods", 900, 0, 1, "cam2"),
        ("b", "dangerous_goods", 600, 0, 1, "cam3"),
    ),
    _case(
        "a patrol boat with a water gauge on board",
        MOVING,
        *(("a", "waterlogging", 400.0 * k, 0, 10.0 * k, "boat-1") for k in range(4)),
    ),
    # Drizzle: alarms that have nothing to do with each other.
    *(
        Case(
            f"a quiet day in a township, {categories} kinds of small matters",
            NOISE,
            tuple(
                (
                    f"n{k}",
                    random.Random(seed * 100 + k).choice(kinds),
                    dice.uniform(-3000, 3000),
                    dice.uniform(-3000, 3000),
                    dice.uniform(0, 1440),
                    f"s{seed}-{k}",
                )
                for k in range(40)
            ),
        )
        for seed, categories, kinds in (
            (31, 1, ["litter"]),
            (32, 3, ["litter", "street_light", "parking"]),
            (33, 5, ["litter", "street_light", "parking", "noise", "manhole"]),
            (34, 2, ["gas_leak", "dust"]),
        )
        for dice in (random.Random(seed),)
    ),
    _case(
        "flapping sensors of unrelated kinds in one cabinet",
        NOISE,
        ("a", "dust", 0, 0, 0, "c1"),
        ("b", "noise", 0, 0, 1, "c2"),
        ("c", "gas_leak", 0, 0, 2, "c3"),
        ("a", "dust", 0, 0, 30, "c1"),
        ("b", "noise", 0, 0, 31, "c2"),
    ),
    _case(
        "three households far apart without water, no common pipe",
        NOISE,
        ("a", "water_supply", 0, 0, 0, ""),
        ("b", "water_supply", 900, 0, 20, ""),
        ("c", "water_supply", 0, 1400, 50, ""),
    ),
    # Storms.
    _case(
        "a cloudburst floods a township: 80 gauges within a minute",
        STORM,
        *_around("a", "waterlogging", 80, 41, spread_m=2500, minutes=1),
    ),
    _case(
        "the same with a fire in its middle",
        STORM,
        *_around("a", "waterlogging", 80, 42, spread_m=2500, minutes=1),
        *_around("b", "fire", 3, 43, spread_m=15, minutes=1),
    ),
    _case(
        "a gas main breaks: 60 sensors of the network at once",
        STORM,
        *_around("a", "gas_leak", 60, 44, spread_m=1800, minutes=0.5),
    ),
    _case(
        "a storm that moves through in ten minutes",
        STORM,
        *_around("a", "waterlogging", 400, 45, spread_m=2500, minutes=10),
    ),
    _case(
        "a heavy hour in drizzle's pace: forty unrelated hollows",
        STORM,
        *(
            one
            for k in range(40)
            for one in _around(
                f"m{k}", "waterlogging", 2, 460 + k, spread_m=12, minutes=60, at=(300.0 * (k % 8), 300.0 * (k // 8))
            )
        ),
    ),
    _case(
        "a storm and, an hour later, one pool elsewhere",
        STORM,
        *_around("a", "waterlogging", 60, 47, spread_m=1500, minutes=1),
        ("b", "waterlogging", 2600, 2600, 65, "late"),
    ),
)
