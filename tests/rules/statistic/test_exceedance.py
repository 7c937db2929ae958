from __future__ import annotations

from typing import Any

import pytest

from rules.statistic.exceedance import Exceedance
from tests.rules.statistic.fed import DAY_S, ZONE, fed


def test_readings_beyond_the_limit_are_counted_from_local_midnight_on() -> None:
    readings = [
        (60.0, 81.0),
        (120.0, 80.0),
        (180.0, 90.0),
        (180.0, 90.0),
        (DAY_S - 1, 99.0),
        (DAY_S, 70.0),
        (DAY_S + 1, 81.0),
    ]
    # At the limit is within it; the reading that came twice counts once; midnight begins anew.
    assert fed(Exceedance(80, 1, None, ZONE), readings) == [1, 1, 2, 2, 3, 0, 1]


def test_below_a_limit_counts_on_the_other_side() -> None:
    assert fed(Exceedance(0.14, -1, None, ZONE), [(60.0, 0.2), (120.0, 0.14), (180.0, 0.13)]) == [0, 0, 1]


def test_a_mean_counts_once_a_reading_of_a_later_interval_comes() -> None:
    # Means of 15 min: [0, 900) is 90, [900, 1800) is 80 and within the limit, [2700, 3600) is 81.
    readings = [
        (0.0, 100.0),
        (600.0, 80.0),
        (900.0, 60.0),
        (1700.0, 100.0),
        (2700.0, 81.0),
        (3599.0, 81.0),
        (3600.0, 0.0),
    ]
    assert fed(Exceedance(80, 1, 900, ZONE), readings) == [0, 0, 1, 1, 1, 1, 2]


def test_the_mean_of_a_days_last_interval_counts_for_its_own_day() -> None:
    exceedance = Exceedance(80, 1, 900, ZONE)
    assert fed(exceedance, [(DAY_S - 1000, 90.0), (DAY_S - 100, 90.0), (DAY_S + 1, 0.0)]) == [0, 1, 0]
    assert exceedance.why()["day_before"] == 2
    fed(exceedance, [(3 * DAY_S, 0.0)])
    assert exceedance.why()["day_before"] == 0


def test_a_count_says_since_when() -> None:
    exceedance = Exceedance(80, 1, None, ZONE)
    fed(exceedance, [(60.0, 81.0)])
    assert exceedance.why() == {
        "limit": 80.0,
        "count": 1,
        "day_before": 0,
        "from": "2026-05-31T16:00:00Z",
        "to": "2026-05-31T16:01:00Z",
    }


def test_forgotten_exceedances_are_gone() -> None:
    exceedance = Exceedance(80, 1, None, ZONE)
    fed(exceedance, [(60.0, 81.0)])
    exceedance.forget()
    assert fed(exceedance, [(120.0, 81.0)]) == [1]


@pytest.mark.parametrize("frozen", [[], [1], ["a", 0, 0, 0, 0, "0", 0], [1, 0, 0, 0, 0, "x", 0], "text"])
def test_what_is_no_frozen_count_is_refused(frozen: Any) -> None:
    with pytest.raises(ValueError, match=r"exceedances|invalid literal"):
        Exceedance(80, 1, None, ZONE).thaw(frozen)
