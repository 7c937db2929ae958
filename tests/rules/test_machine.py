"""The machine that all kinds share, by hand: what is raised, when, and when it ends. Times in seconds."""

from __future__ import annotations

from datetime import UTC, date
from typing import Any

import pytest
from shapely import box

from ingest.reading import AHEAD, LATE, NO_TIME
from ingest.sensor import Catalogue
from rules.alert import alert_id
from rules.rule import (
    AreaRule,
    CombinationRule,
    Damping,
    DifferenceRule,
    Pair,
    RateRule,
    SensorRule,
    Site,
    ThresholdRule,
    When,
    Where,
    WindowRule,
)
from rules.situation import Situation
from rules.slots import lay_out
from tests.ingest.wire import sensor
from tests.rules.located import (
    ANY_TIME,
    CITY,
    FOUND,
    NOISE,
    SECOND,
    SPEED,
    WATER,
    WORDS,
    Row,
    Station,
    fields_of,
    rule,
    water,
)

HOUR = 3600
AREAS = {"old-town": box(118.0, 33.0, 119.0, 34.5)}


def deep(**more: Any) -> ThresholdRule:
    """Water above 1, ends below 0.5."""
    return rule("deep", "water_depth", [(2, 1.0)], 0.5, **{"gap": "hold", "damping": None} | more)


def readings(at: dict[float, float], sensor: int = 1) -> list[Row]:
    """Values by the second."""
    return [Row(sensor, WATER, value, round(s * SECOND), round(s * SECOND), key=int(s)) for s, value in at.items()]


@pytest.mark.parametrize("many", [1, 10**9])
@pytest.mark.parametrize(
    ("one", "at", "said"),
    [
        pytest.param(deep(for_s=60), {0: 1, 59: 1}, [], id="not before its time"),
        pytest.param(deep(for_s=60), {0: 1, 60: 1}, [("raised", 2, 60)], id="exactly at its time"),
        pytest.param(deep(for_s=60), {0: 1, 30: 0.9, 60: 1, 119: 1}, [], id="a dip below the level begins anew"),
        pytest.param(deep(for_s=60), {0: 1, 100: 0.1}, [], id="nobody was there when it was over"),
        pytest.param(
            deep(), {0: 1, 1: 0.5, 2: 0.49}, [("raised", 2, 0), ("ended", 2, 2)], id="at the clear value it stays"
        ),
        pytest.param(
            deep(clear_for_s=10),
            {0: 1, 1: 0.4, 10: 0.4, 11: 0.4},
            [("raised", 2, 0), ("ended", 2, 11)],
            id="the good side must hold",
        ),
        pytest.param(
            deep(clear_for_s=10),
            {0: 1, 1: 0.4, 5: 0.5, 6: 0.4, 15: 0.4},
            [("raised", 2, 0)],
            id="what leaves the good side begins anew",
        ),
        pytest.param(
            rule("ladder", "water_depth", [(1, 1, 60), (2, 2, 30), (4, 3, 0)], 0.5, gap="hold", damping=None),
            {0: 2, 30: 2, 31: 1.5, 60: 1.5, 61: 3, 62: 0.1},
            [("raised", 2, 30), ("grew", 4, 61), ("ended", 4, 62)],
            id="each rung has its own time, and needs not that of the rungs below",
        ),
        pytest.param(
            rule("low", "water_depth", [(1, 1), (3, 0.5)], 1.5, direction="below", for_s=5, gap="hold", damping=None),
            {0: 1, 5: 0.4, 9: 0.4, 10: 0.4, 11: 1.5, 12: 1.6},
            [("raised", 1, 5), ("grew", 3, 10), ("ended", 3, 12)],
            id="downwards",
        ),
        pytest.param(
            deep(for_s=60, gap="hold", gap_after_s=100),
            {0: 1, 30: 1, 131: 1, 160: 1, 161: 1},
            [("raised", 2, 161)],
            id="hold: the time of a silence does not count",
        ),
        pytest.param(
            deep(clear_for_s=60, gap="hold", gap_after_s=100),
            {0: 1, 1: 0, 31: 0, 132: 0, 161: 0, 162: 0},
            [("raised", 2, 0), ("ended", 2, 162)],
            id="hold: nor for the end",
        ),
        pytest.param(
            deep(for_s=60, gap="hold", gap_after_s=100),
            {0: 1, 100: 1},
            [("raised", 2, 100)],
            id="a pause is no silence",
        ),
        pytest.param(
            deep(for_s=60, gap="reset", gap_after_s=100),
            {0: 1, 30: 1, 131: 1, 190: 1, 191: 1},
            [("raised", 2, 191)],
            id="reset: a duration begins anew",
        ),
        pytest.param(
            deep(gap="reset", gap_after_s=100),
            {0: 1, 30: 0.9, 131: 0.9, 132: 1},
            [("raised", 2, 0), ("ended", 2, 130), ("raised", 2, 132)],
            id="reset: an alert ends when silence begins",
        ),
        pytest.param(
            deep(for_s=60, gap="fire", gap_after_s=100),
            {0: 1, 30: 1, 131: 0.1},
            [("raised", 2, 130), ("ended", 2, 131)],
            id="fire: what was on its way is there when silence begins",
        ),
        pytest.param(
            deep(for_s=150, gap="fire", gap_after_s=100),
            {0: 1, 101: 1, 149: 1, 150: 1},
            [("raised", 2, 150)],
            id="fire: durations go on through the silence",
        ),
        pytest.param(
            deep(for_s=60, gap="fire", gap_after_s=100),
            {0: 0.1, 159: 1, 160: 1},
            [("raised", 2, 160)],
            id="fire: from quiet the first rung holds from when silence begins",
        ),
        pytest.param(
            rule("f", "water_depth", [(1, 1, 10), (3, 2, 150)], 0.5, gap="fire", gap_after_s=100, damping=None),
            {0: 2, 400: 0.1},
            [("raised", 1, 100), ("grew", 3, 150), ("ended", 3, 400)],
            id="fire: up to the rung last met, each in its time",
        ),
        pytest.param(
            rule("f", "water_depth", [(1, 1), (3, 2)], 0.5, gap="fire", gap_after_s=100, damping=None),
            {0: 0.1, 101: 0.1, 102: 0.1},
            [("raised", 1, 100), ("ended", 1, 101)],
            id="fire: ends as usual when readings return",
        ),
    ],
)
def test_by_readings(one: ThresholdRule, at: dict[float, float], said: list[tuple[str, int, float]], many: int) -> None:
    assert Station([one]).take(readings(at), many).said == said


@pytest.mark.parametrize(
    ("one", "at", "ticks", "said"),
    [
        (deep(gap="hold", gap_after_s=100), {0: 1}, [500], [("raised", 2, 0)]),
        (deep(gap="reset", gap_after_s=100), {0: 1}, [100], [("raised", 2, 0)]),
        (deep(gap="reset", gap_after_s=100), {0: 1}, [101, 200], [("raised", 2, 0), ("ended", 2, 100)]),
        (deep(for_s=60, gap="fire", gap_after_s=100), {0: 0.1}, [159], []),
        (deep(for_s=60, gap="fire", gap_after_s=100), {0: 0.1}, [159, 160, 161, 500], [("raised", 2, 160)]),
        (deep(for_s=60, gap="fire", gap_after_s=100), {0: 1}, [100], []),
        (deep(for_s=60, gap="fire", gap_after_s=100), {0: 1}, [500], [("raised", 2, 100)]),
        (
            rule("f", "water_depth", [(1, 1, 10), (3, 2, 150)], 0.5, gap="fire", gap_after_s=100, damping=None),
            {0: 2},
            [101, 149, 150, 151],
            [("raised", 1, 100), ("grew", 3, 150)],
        ),
    ],
)
def test_by_the_clock(
    one: ThresholdRule, at: dict[float, float], ticks: list[float], said: list[tuple[str, int, float]]
) -> None:
    station = Station([one]).take(readings(at))
    for now_s in ticks:
        station.tick(now_s)
    assert station.said == said


def test_an_alert_explains_itself() -> None:
    [raised] = Station([deep(for_s=60)]).take(readings({0: 1, 70: 1})).changes
    assert raised.alert.why == {
        "kind": "threshold",
        "for_s": 60.0,
        "since": "1970-01-01T00:00:00Z",
        "held_s": 70.0,
    }


def test_an_alert_of_silence_says_so_and_has_an_id_that_follows_from_its_last_reading() -> None:
    [raised] = Station([deep(gap="fire", gap_after_s=100)]).take(readings({7: 0.1})).tick(200).changes
    assert (raised.alert.why["gap"], raised.alert.why["silent_since"]) == ("fire", "1970-01-01T00:00:07Z")
    assert raised.alert.id == alert_id("deep", "gauge-1", f"gap\0{7 * SECOND}")
    assert raised.alert.title_en == "Flood, no data: word"
    [_, ended] = Station([deep(gap="reset", gap_after_s=100)]).take(readings({7: 1})).tick(200).changes
    assert ended.alert.why["ended_by"] == "gap"


def test_silence_is_counted_from_when_somebody_listened() -> None:
    station = Station([deep(gap="fire", gap_after_s=100)]).take(readings({0: 0.1}))
    station.memory.listening(1000 * SECOND)
    assert station.tick(1100).said == []
    assert station.tick(1101).said == [("raised", 2, 100)]


def test_a_slow_link_does_not_make_a_silence() -> None:
    """A device whose readings are an hour on their way is not silent for an hour."""
    slow = [row._replace(received_us=row.at_us + HOUR * SECOND) for row in readings({0: 0.1, 60: 0.1})]
    station = Station([deep(gap="fire", gap_after_s=100)]).take(slow)
    assert station.tick(HOUR + 160).said == []
    assert station.tick(HOUR + 161).said == [("raised", 2, 160)]


def test_what_flaps_ends_only_once_it_has_settled() -> None:
    flapping = deep(damping=Damping(raises=2, within_s=100, settle_s=20))
    station = Station([flapping]).take(readings({0: 1, 1: 0, 2: 1, 3: 0, 4: 1, 5: 0, 24: 0, 25: 0}))
    assert station.said == [("raised", 2, 0), ("ended", 2, 1), ("raised", 2, 2), ("ended", 2, 25)]
    assert station.changes[2].alert.why["damped"] == {"raises": 2, "settle_s": 20.0}
    # Long after, it is an alert like every other.
    later = station.take(readings({200: 1, 201: 0})).said
    assert later[4:] == [("raised", 2, 200), ("ended", 2, 201)]


@pytest.mark.parametrize("many", [1, 10**9])
def test_one_sensor_s_own_numbers_win(many: int) -> None:
    own = rule("own", "water_depth", [(4, 5.0)], 4.0)
    sited = deep(sites=(Site("gauge-2", own.levels, own.clear, FOUND),))
    rows = [Row(n, WATER, value, at) for at, value in enumerate([2.0, 5.0, 3.9, 0.1]) for n in (1, 2)]
    found = [(c.alert.source.id, str(c.change), c.alert.severity) for c in Station([sited]).take(rows, many).changes]
    assert found == [
        ("gauge-1", "raised", 2),
        ("gauge-2", "raised", 4),
        ("gauge-2", "ended", 4),
        ("gauge-1", "ended", 2),
    ]


@pytest.mark.parametrize(
    ("where", "sensors"),
    [
        (Where(), {1, 2}),
        (Where(sensors=("gauge-2",)), {2}),
        (Where(not_sensors=("gauge-2",)), {1}),
        (Where(regions=("321302",)), {1, 2}),
        (Where(regions=("3213",)), set()),
        (Where(inside="old-town"), {1, 2}),
        (Where(outside="old-town"), set()),
    ],
)
def test_a_rule_is_for_the_sensors_that_it_says(where: Where, sensors: set[int]) -> None:
    slots = lay_out([deep(where=where)], CITY, zone=UTC, areas=AREAS)
    assert set(slots.sensor.tolist()) == sensors


SPEEDING = rule("fast", "speed", [(3, 60.0)], 55.0, where=Where(inside="old-town"), gap="hold")
FORBIDDEN = AreaRule(**fields_of("forbidden", "speed", [(4, 1.0)], 0.5), inside="old-town")
IN, OUT = (118.5, 34.0), (120.0, 34.0)


def drive(*legs: tuple[float, tuple[float, float]]) -> list[Row]:
    """Speed and position, one a second."""
    return [Row(4, SPEED, speed, s * SECOND, s * SECOND, s, 0, *at) for s, (speed, at) in enumerate(legs)]


def test_what_moves_is_asked_for_its_position_with_each_reading() -> None:
    station = Station([SPEEDING], areas=AREAS).take(drive((80, OUT), (80, IN), (70, OUT), (70, (float("nan"),) * 2)))
    assert station.said == [("raised", 3, 1), ("ended", 3, 2)]
    assert (station.changes[0].alert.source.lng, station.changes[0].alert.source.cell) == (118.5, "cell-1")


def test_an_area_is_forbidden_from_the_first_reading_in_it_to_the_first_outside() -> None:
    rows = drive((30, OUT), (30, IN), (30, (float("nan"),) * 2), (0, IN), (30, OUT))
    station = Station([FORBIDDEN], areas=AREAS).take(rows)
    assert station.said == [("raised", 4, 1), ("ended", 4, 4)]
    assert station.changes[0].alert.title_en == "Flood: word"


def night(**more: Any) -> ThresholdRule:
    """Only from 22:00 to 06:00."""
    return deep(when=When(hours=("22:00-06:00",)), gap_after_s=8 * HOUR, **more)


@pytest.mark.parametrize(
    ("one", "at", "said"),
    [
        (night(), {21.9: 1, 21.99: 1}, []),
        (night(), {21.9: 1, 22: 1, 22.5: 0}, [("raised", 2, 22), ("ended", 2, 22.5)]),
        (night(for_s=HOUR), {21.5: 1, 22: 1, 22.9: 1, 23: 1}, [("raised", 2, 23)]),
        (night(), {23: 1, 28: 1, 30: 1, 31: 1}, [("raised", 2, 23), ("ended", 2, 30)]),
        (night(), {29: 1, 32: 1}, [("raised", 2, 29), ("ended", 2, 30)]),
        # Silent over the day: the clock would have ended it, so the next evening's reading does.
        (night(), {29: 1, 47: 1}, [("raised", 2, 29), ("ended", 2, 30), ("raised", 2, 47)]),
    ],
)
def test_outside_its_hours_a_rule_is_suppressed_by_design(
    one: ThresholdRule, at: dict[float, float], said: list[tuple[str, int, float]]
) -> None:
    rows = readings({hour * HOUR: value for hour, value in at.items()})
    found = Station([one]).take(rows).said
    assert found == [(what, severity, hour * HOUR) for what, severity, hour in said]


def test_the_clock_ends_an_alert_whose_hours_are_over() -> None:
    station = Station([night()]).take(readings({29 * HOUR: 1})).tick(30 * HOUR - 1)
    assert station.said == [("raised", 2, 29 * HOUR)]
    station.tick(30 * HOUR + 5)
    assert station.said[1:] == [("ended", 2, 30 * HOUR)]
    assert station.changes[-1].alert.why["ended_by"] == "when"


def test_silence_fires_only_within_the_hours_and_once() -> None:
    watch = deep(when=When(hours=("22:00-06:00",)), gap="fire", gap_after_s=HOUR)
    ticking, still = (Station([watch]).take(readings({20 * HOUR: 0.1})) for _ in range(2))
    for hour in range(21, 60):
        ticking.tick(hour * HOUR + 1)
    assert ticking.said == [("raised", 2, 22 * HOUR), ("ended", 2, 30 * HOUR)]
    assert still.tick(60 * HOUR).said == ticking.said


def test_a_silence_cut_short_by_the_end_of_the_hours_is_not_told_again_the_next_night() -> None:
    watch = deep(when=When(hours=("22:00-06:00",)), gap="fire", gap_after_s=HOUR)
    ticking, still = (Station([watch]).take(readings({23 * HOUR: 1})) for _ in range(2))
    for hour in range(24, 60):
        ticking.tick(hour * HOUR + 1)
    assert ticking.said == [("raised", 2, 23 * HOUR), ("ended", 2, 30 * HOUR)]
    assert still.tick(60 * HOUR).said == ticking.said


def test_a_rule_may_ask_for_workdays_or_wartime() -> None:
    holiday = Situation(UTC, is_workday=lambda day: day != date(1970, 1, 1))
    off = deep(when=When(calendar="day_off"))
    assert Station([off], situation=holiday).take(readings({0: 1, 86_400: 1})).said == [
        ("raised", 2, 0),
        ("ended", 2, 86_400),
    ]
    war = deep(when=When(mode="wartime"))
    at_war = Situation(UTC, wartime={"321300/321302/": frozenset({"emergency"})})
    station = Station([war], situation=at_war).take(readings({0: 1}))
    assert station.said == [("raised", 2, 0)]
    station.situation = ANY_TIME
    assert station.tick(1).said[1:] == [("ended", 2, 1)]


@pytest.mark.parametrize("delta_s", [3600, -3600])
def test_no_timer_runs_early_when_the_server_s_clock_steps(delta_s: int) -> None:
    def timeless(at_s: float, value: float = 1.0) -> Row:
        return Row(1, WATER, value, round(at_s * SECOND), round(at_s * SECOND), key=int(at_s), flags=NO_TIME)

    station = Station([deep(for_s=60)]).take([timeless(10_000)])
    station.memory.clock_stepped(delta_s * SECOND)
    station.take([timeless(10_059 + delta_s)])
    assert station.said == []
    assert station.take([timeless(10_060 + delta_s)]).said == [("raised", 2, 10_060 + delta_s)]


def test_a_step_of_the_clock_makes_no_silence() -> None:
    station = Station([deep(gap="fire", gap_after_s=100)]).take(readings({0: 0.1}))
    station.memory.clock_stepped(3600 * SECOND)
    assert station.tick(3700).said == []
    assert station.tick(3701).said == [("raised", 2, 100)]


def test_a_statistic_s_time_never_goes_back_when_the_clock_does() -> None:
    rain = WindowRule(
        **fields_of("rain", "water_depth", [(2, 25.0)], 5.0), statistic="sum", over_s=600, least_share=0, gap="hold"
    )
    station = Station([rain]).take([Row(1, WATER, 10.0, s * SECOND, s * SECOND, s, NO_TIME) for s in (4000, 4060)])
    station.memory.clock_stepped(-30 * SECOND)
    station.take([Row(1, WATER, 1.0, 4050 * SECOND, 4050 * SECOND, 9, NO_TIME)])
    assert station.said == []
    station.memory.clock_stepped(-3600 * SECOND)
    assert station.take([Row(1, WATER, 10.0, 500 * SECOND, 500 * SECOND, 9, NO_TIME)]).said == []


def test_a_replayed_historical_reading_never_alerts() -> None:
    rows = [row._replace(flags=LATE) for row in readings({0: 9, 60: 9, 3600: 9})]
    assert Station([deep(), deep(id="slow", for_s=10), deep(id="fires", gap="fire")]).take(rows).tick(9999).said == []


def test_ahead_counts_as_of_its_receipt() -> None:
    rows = [Row(1, WATER, 1.0, 10**15 + s, received_us=s * SECOND, key=s, flags=AHEAD) for s in (0, 59, 60)]
    assert Station([deep(for_s=60)]).take(rows).said == [("raised", 2, 60)]


def test_statistics_meet_the_same_machine() -> None:
    rising = RateRule(
        **fields_of("rising", "water_depth", [(2, 1.0), (3, 4.0)], 0.5),
        over_s=60,
        per_s=60,
        gap="reset",
        gap_after_s=200,
    )
    station = Station([rising]).take(readings({0: 0, 60: 1, 120: 5, 180: 5, 400: 9, 460: 9.1}))
    assert station.said == [("raised", 2, 60), ("grew", 3, 120), ("ended", 3, 180)]
    raised = station.changes[0].alert
    assert (raised.value, raised.unit, raised.why["kind"], raised.why["over_s"]) == (1.0, "m/min", "rate", 60.0)


def test_two_sensors_are_compared_whatever_order_their_readings_come_in() -> None:
    drop = DifferenceRule(
        **fields_of("drop", "water_depth", [(2, 1.0)], 0.5), pairs=(Pair("gauge-1", "gauge-2"),), gap="hold"
    )
    rows = [Row(2, WATER, 1.0, 3 * SECOND), Row(1, WATER, 1.5, 1 * SECOND), Row(1, WATER, 2.5, 2 * SECOND)]
    station = Station([drop]).take(rows)
    [raised] = station.changes
    assert (raised.alert.source.id, raised.alert.value, raised.alert.at_us) == ("gauge-1", 1.5, 3 * SECOND)
    assert raised.alert.why["against"] == "gauge-2"
    assert station.take([Row(2, WATER, 2.2, 4 * SECOND)]).said[1:] == [("ended", 2, 4)]


BOTH = CombinationRule(
    id="both",
    domain="emergency",
    category="waterlogging",
    title=WORDS,
    source=FOUND,
    quantity="water_depth",
    condition={"all": [{"quantity": "water_depth", "above": 1.0}, {"quantity": "noise", "above": 80.0}]},
    severity=3,
    action=WORDS,
    gap="hold",
)


def test_a_combination_holds_at_each_anchor_among_the_sensors_of_its_cell() -> None:
    rows = [Row(2, WATER, 1.0, 1 * SECOND), Row(1, NOISE, 90.0, 2 * SECOND), Row(2, WATER, 0.2, 3 * SECOND)]
    found = [(str(c.change), c.alert.source.id, c.alert.at_us // SECOND) for c in Station([BOTH]).take(rows).changes]
    assert found == [
        ("raised", "gauge-1", 2),
        ("raised", "gauge-2", 2),
        ("ended", "gauge-1", 3),
        ("ended", "gauge-2", 3),
    ]


def test_a_radius_reaches_as_far_as_it_says() -> None:
    """A thousandth of a degree of latitude is 111.2 m."""
    line = Catalogue.of(
        [sensor(n, f"g{n}", lat=34.0 + n / 1000, cell=f"c{n}") for n in range(1, 6)], CITY.quantities.values()
    )
    fields = {name: getattr(BOTH, name) for name in BOTH.__struct_fields__}
    for radius_m, near in ((111.0, ["g3"]), (112.0, ["g2", "g3", "g4"]), (None, ["g3"])):
        reach = type(BOTH.reach)(radius_m)
        slots = lay_out([CombinationRule(**fields | {"reach": reach})], line, zone=UTC)
        [slot] = slots.find("both", "g3")
        assert slots.inputs[slot].sensors == (*near, *near)


def test_a_rule_that_measures_nothing_here_has_no_slots() -> None:
    gone: list[SensorRule] = [
        DifferenceRule(**fields_of("d", "water_depth", [(2, 1.0)], 0.5), pairs=(Pair("gauge-1", "gone"),)),
        rule("p", "no_such_quantity", [(1, 1.0)], 0.0),
    ]
    assert len(lay_out(gone, CITY, zone=UTC)) == 0
    assert Station(gone).take(water([9.0])).tick(9).said == []
