"""Duplicate candidates over real tickets of another city, against what its people marked as duplicate.

The record says which tickets were closed as duplicates, not of which other ticket. So a ticket counts as found when an earlier
one of the same service lies within the distance and the time; what people saw by other means (a photo, a call) is missed.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime

import numpy as np

from rules.correlate import METRES_A_DEGREE
from tests.command_center.ticket.recorded import rows

DISTANCES_M = (10, 25, 50, 100, 200)
TIMES_H = (6, 24, 72, 168, 576)


def flagged(near_m: float, within_h: float, found: list[dict[str, str]]) -> np.ndarray:
    """Which tickets have an earlier candidate; ``found`` is in order of time."""
    flag = np.zeros(len(found), bool)
    by_service: dict[str, list[int]] = defaultdict(list)
    for n, row in enumerate(found):
        by_service[row["SERVICECODE"]].append(n)
    for members in by_service.values():
        own = np.array(members)
        at_h = np.array([datetime.fromisoformat(found[n]["ADDDATE"]).timestamp() / 3600 for n in own])
        lat = np.array([float(found[n]["LATITUDE"]) for n in own])
        lng = np.array([float(found[n]["LONGITUDE"]) for n in own]) * np.cos(np.radians(38.9))
        for k in range(1, len(own)):
            first = int(np.searchsorted(at_h, at_h[k] - within_h))
            away_m = np.hypot(lat[first:k] - lat[k], lng[first:k] - lng[k]) * METRES_A_DEGREE
            flag[own[k]] = bool((away_m <= near_m).any())
    return flag


def test_candidates_against_what_people_marked_as_duplicates_at_several_distances_and_times() -> None:
    found = sorted(rows(), key=lambda row: row["ADDDATE"])
    marked = np.array([row["SERVICEORDERSTATUS"].startswith("DUPLICATE") for row in found])
    lines = [
        f"{len(found)} tickets, {marked.sum()} marked as duplicates",
        "metres  hours  candidates  precision  recall",
    ]
    recall = {}
    for near_m in DISTANCES_M:
        for within_h in TIMES_H:
            flag = flagged(near_m, within_h, found)
            right = int((flag & marked).sum())
            recall[near_m, within_h] = right / marked.sum()
            lines.append(
                f"{near_m:>6}{within_h:>7}{flag.sum():>12}{right / max(flag.sum(), 1):>11.3f}{right / marked.sum():>8.3f}"
            )
    print("\n".join(lines))
    assert marked.sum() == 257
    # Wider finds more. That is all that such marks allow to be demanded: the file has no pairs.
    assert all(recall[a, b] <= recall[c, d] for a, b in recall for c, d in recall if a <= c and b <= d)
    assert recall[50, 24] > 0
