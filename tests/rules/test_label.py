"""Alerts against labelled windows, with every figure worked out by hand."""

from __future__ import annotations

from uuid import UUID

from rules.alert import Alert, Source
from rules.label import Window, judge

_S = 1_000_000
END_US = 1000 * _S


def alert(n: int, sensor: str, from_s: float, to_s: float | None, rule: str = "flood") -> Alert:
    return Alert(
        id=UUID(int=n),
        rule=rule,
        rule_version=1,
        source=Source("sensor", sensor, sensor, "", "", "", 0.0, 0.0),
        domain="emergency",
        category="waterlogging",
        severity=1,
        title="",
        title_en="",
        quantity="water_depth",
        unit="m",
        value=0.0,
        threshold=0.0,
        raised_at_us=round(from_s * _S),
        at_us=round(from_s * _S),
        ended_at_us=None if to_s is None else round(to_s * _S),
    )


def window(sensor: str | None, from_s: float, to_s: float, about: str | None = None) -> Window:
    return Window(sensor, round(from_s * _S), round(to_s * _S), about)


def test_precision_recall_and_delay_are_those_worked_out_by_hand() -> None:
    alerts = [
        alert(1, "a", 110, 150),  # in the first window, 10 s late
        alert(2, "a", 160, 170),  # in it too: a true alert, no second detection
        alert(3, "a", 300, 310),  # nothing true then
        alert(4, "b", 390, None),  # stood before its window and is still open
    ]
    windows = [window("a", 100, 200), window("a", 500, 600), window("b", 400, 450)]
    score = judge(alerts, windows, 0, END_US)
    assert (score.true_alerts, score.false_alerts, score.detected) == (3, 1, 2)
    assert score.missed == (windows[1],)
    assert (score.precision, score.recall) == (3 / 4, 2 / 3)
    assert score.f1 == 2 * (3 / 4) * (2 / 3) / (3 / 4 + 2 / 3)
    assert score.delays_s == (10.0, 0.0)
    assert score.median_delay_s == 5.0


def test_both_ends_of_a_window_belong_to_it() -> None:
    touching = [alert(1, "a", 50, 100), alert(2, "a", 200, 210)]
    assert judge(touching, [window("a", 100, 200)], 0, END_US).true_alerts == 2
    apart = [alert(1, "a", 50, 99), alert(2, "a", 201, 210)]
    assert judge(apart, [window("a", 100, 200)], 0, END_US).false_alerts == 2


def test_a_window_judges_only_the_rules_or_categories_it_speaks_of() -> None:
    alerts = [alert(1, "a", 110, 120, "flood"), alert(2, "a", 110, 120, "noise"), alert(3, "b", 110, 120, "noise")]
    score = judge(alerts, [window("a", 100, 200, "flood")], 0, END_US)
    assert (score.true_alerts, score.false_alerts) == (1, 0)
    score = judge(alerts, [window("a", 100, 200, "waterlogging")], 0, END_US)
    assert (score.true_alerts, score.false_alerts) == (2, 1)


def test_a_window_without_a_sensor_is_met_anywhere() -> None:
    score = judge([alert(1, "b", 110, 120)], [window(None, 100, 200)], 0, END_US)
    assert (score.precision, score.recall) == (1.0, 1.0)


def test_a_window_beside_the_readings_is_counted_apart() -> None:
    score = judge([], [window("a", 2000, 2100), window("a", 10, 20)], 0, END_US)
    assert (score.outside, len(score.missed)) == (1, 1)


def test_a_share_of_nothing_is_unknown() -> None:
    score = judge([], [window("a", 10, 20)], 0, END_US)
    assert (score.precision, score.recall, score.f1, score.median_delay_s) == (None, 0.0, None, None)
    none_true = judge([alert(1, "a", 300, 310)], [window("a", 10, 20)], 0, END_US)
    assert (none_true.precision, none_true.recall, none_true.f1) == (0.0, 0.0, 0.0)
