"""The health of a camera's picture: is it black, does it stand still.

Frames are thinned, not averaged, to a grid of about 160 points across (``thin``): averaging would take away the noise of the
sensor, and noise is what tells a live but quiet street from a frozen picture. Frames are compared about half a second apart.

**Black.** The grid is cut into tiles of 8 x 8 points. A frame is black when its mean is at most 20 of 255 (black is 0, or 16
where a video range is read as full range) and no tile's mean is more than 10 above the median tile. Means of tiles forget the
noise of a covered lens; one lamp of four bright points lifts its tile past the limit, so a night street with lamps is not
black. A clock burnt into a black picture is a light like any other.

**Still.** Two frames differ when the mean absolute difference over the grid is above 0.15, or, for small far-away motion, when
the mean of some tile has moved by more than 4. A tile that has moved by more than 4 since the picture began to stand still is
a change too: dawn is too slow to show between two frames. Measured on three real recordings (320x240 to 768x432) and on
clips made of them with H.264, H.265, MPEG-4 and Motion JPEG. *Frozen* repeats one real frame, *quiet* repeats it with fresh
noise of sigma 1 to 4 each time, as a sensor sees a street where nothing moves:

    ==========================================================  ==================  ===============================
    picture                                                     median mean change  longest stillness
    ==========================================================  ==================  ===============================
    the recordings as they are                                  2.9 to 8.5          none up to the end
    re-encoded, down to 200 kbit/s and CRF 35                   2.9 to 8.9          none up to the end
    quiet: Motion JPEG, MPEG-4, H.264 at 0.4 and 1 Mbit/s       0.19 to 2.9         none up to the end
    quiet: H.264 CRF 18 to 28, a key frame each 1 to 4 s        0.4 to 2.8          3.5 s: under a key frame's gap
    quiet: H.264 CRF 23 or more, H.265, no key frame in 6 s     0 to 0.07           all 6 s: looks frozen
    frozen: fixed quality, all codecs; H.264 at 1 Mbit/s        0 to 0.14           all but the first 0 to 8 s
    frozen: H.264 starved to 200 and 400 kbit/s, 2 s key frame  0.01 to 0.8         0.5 s to all: may look alive
    ==========================================================  ==================  ===============================

The largest tile change of any frozen picture was 2.8. The first seconds of a frozen clip are an encoder finding its quality.
Between two key frames an encoder may iron out all noise, so a look should last several key frame intervals (20 s is a good
look) and a rule should ask for more stillness than the longest interval (8 s). What remains cannot be told apart by the
picture: an encoder without key frames before a quiet scene, and a starved encoder that keeps repainting a frozen one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Grey = npt.NDArray[np.uint8]

DARK_SHARE: Final = "picture_dark_share"
STILL_S: Final = "picture_still_s"

POINTS_ACROSS: Final = 160
SAMPLE_INTERVAL_S: Final = 0.5
_TILE: Final = 8
_BLACK_MEAN: Final = 20.0
_BLACK_SPREAD: Final = 10.0
_STILL_CHANGE: Final = 0.15
_STILL_TILE_CHANGE: Final = 4.0


class NoPicture(ValueError):
    """There was no frame to judge."""


@dataclass(frozen=True, slots=True)
class PictureHealth:
    """What a look at a camera showed.

    ``dark_share`` is the share of the sampled frames that are black (0 to 1). ``still_s`` is how long, up to the last frame,
    the picture has not changed (seconds, at most ``span_s``). ``span_s`` lies between the first and the last of ``frames``.
    """

    dark_share: float
    still_s: float
    frames: int
    span_s: float


def judge(frames: Iterable[tuple[float, Grey]]) -> PictureHealth:
    """Judge frames in time order: (time in seconds from any origin, grey picture as uint8 of shape (height, width)).

    Frames should be about ``SAMPLE_INTERVAL_S`` apart, thinned by ``thin``. A time that runs backwards or is no number counts
    as no time passed. A frame of another size than the one before is a change. Raises NoPicture.
    """
    dark = count = 0
    first_at = last_at = still_since = -math.inf
    earlier = resting = None
    for at, frame in frames:
        count += 1
        last_at = max(last_at, at) if math.isfinite(at) else max(last_at, 0.0)
        if earlier is None:
            first_at = last_at
        if earlier is None or resting is None or has_changed(earlier, frame) or has_moved(resting, frame):
            still_since, resting = last_at, frame
        dark += is_black(frame)
        earlier = frame
    if earlier is None:
        raise NoPicture("the source gave no picture")
    return PictureHealth(dark / count, last_at - still_since, count, last_at - first_at)


def thin(frame: npt.NDArray[np.uint8]) -> Grey:
    """A frame of shape (height, width) or (height, width, 3: blue, green, red) thinned to about ``POINTS_ACROSS`` grey points.

    Grey is the luma of BT.601, as in the video itself.
    """
    step = max(1, round(max(frame.shape[:2]) / POINTS_ACROSS))
    top, left = (min(step, size) // 2 for size in frame.shape[:2])
    sparse = frame[top::step, left::step]
    if sparse.ndim == 2:
        return sparse.copy()
    luma: Grey = np.rint(sparse @ np.array([0.114, 0.587, 0.299])).astype(np.uint8)
    return luma


def is_black(frame: Grey) -> bool:
    """Whether a thinned frame shows nothing but black."""
    tiles = _tile_means(frame)
    return bool(frame.mean() <= _BLACK_MEAN and tiles.max() - np.median(tiles) <= _BLACK_SPREAD)


def has_changed(earlier: Grey, later: Grey) -> bool:
    """Whether two thinned frames differ by more than the encoding of one and the same picture."""
    if earlier.shape != later.shape:
        return True
    change = np.abs(later.astype(np.int16) - earlier).mean()
    return bool(change > _STILL_CHANGE) or has_moved(earlier, later)


def has_moved(earlier: Grey, later: Grey) -> bool:
    """Whether some tile of two thinned frames differs by more than noise and encoding explain."""
    if earlier.shape != later.shape:
        return True
    return bool(np.abs(_tile_means(later.astype(np.int16) - earlier)).max() > _STILL_TILE_CHANGE)


def to_payload(health: PictureHealth, at: float, camera_id: str) -> dict[str, Any]:
    """The health as a native reading payload; ``at`` is epoch seconds. The id is the same for the same look at a camera."""
    at_ms = round(at * 1000)
    return {
        "id": f"{camera_id}-picture-{at_ms}",
        "at": at_ms,
        "values": {DARK_SHARE: round(health.dark_share, 4), STILL_S: round(health.still_s, 3)},
    }


def _tile_means(frame: npt.NDArray[np.uint8] | npt.NDArray[np.int16]) -> npt.NDArray[np.float64]:
    """Means over tiles of 8 x 8 points, those at the right and lower edge cut off where they do not fit."""
    height, width = frame.shape
    rows, columns = np.arange(0, height, _TILE), np.arange(0, width, _TILE)
    sums = np.add.reduceat(np.add.reduceat(frame.astype(np.float64), rows, axis=0), columns, axis=1)
    heights = np.diff(np.append(rows, height))
    widths = np.diff(np.append(columns, width))
    return np.asarray(sums / np.outer(heights, widths))
