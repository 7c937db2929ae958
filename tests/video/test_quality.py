from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as np_st

from tests.video.film import night_with_lamps, noisy, street
from video.quality import Grey, NoPicture, PictureHealth, is_black, judge, thin, to_payload

BLACK = np.zeros((240, 320, 3), dtype=np.uint8)


def half_seconds(pictures: list[Grey]) -> list[tuple[float, Grey]]:
    return [(index * 0.5, thin(picture)) for index, picture in enumerate(pictures)]


def test_a_live_scene_in_which_nothing_moves_is_not_still() -> None:
    health = judge(half_seconds(list(noisy(street(), 12, sigma=1.0))))
    assert health == PictureHealth(dark_share=0.0, still_s=0.0, frames=12, span_s=5.5)


def test_the_same_picture_over_and_over_is_still_for_the_whole_look() -> None:
    assert judge(half_seconds([street()] * 12)) == PictureHealth(0.0, 5.5, 12, 5.5)


def test_stillness_counts_from_the_last_change_up_to_the_end() -> None:
    live = list(noisy(street(), 6))
    assert judge(half_seconds([*live, *[live[-1]] * 4])).still_s == 2.0
    assert judge(half_seconds([*[live[0]] * 6, *live])).still_s == 0.0


def test_a_small_walker_far_away_in_a_noiseless_picture_is_life() -> None:
    pictures = [street() for _ in range(8)]
    for index, picture in enumerate(pictures):
        picture[100:112, 20 + 16 * index : 26 + 16 * index] = 255
    assert judge(half_seconds(pictures)).still_s == 0.0


def test_a_dawn_too_slow_for_two_frames_is_life() -> None:
    steps = [np.clip(street().astype(np.int16) + index // 8, 0, 255).astype(np.uint8) for index in range(80)]
    assert judge(half_seconds(steps[:8])).still_s == 3.5
    fading = [thin(steps[0])]
    while (
        len(fading) < 120
    ):  # one point in eight brightens by one from frame to frame: below the limit between two frames
        brighter = fading[-1].copy()
        brighter.reshape(-1)[len(fading) % 8 :: 8] += brighter.reshape(-1)[len(fading) % 8 :: 8] < 250
        fading.append(brighter)
    assert judge((index * 0.5, frame) for index, frame in enumerate(fading)).still_s < 30


def test_a_picture_that_changes_its_size_has_changed() -> None:
    frames = [(0.0, thin(street())), (0.5, thin(street()[:100])), (1.0, thin(street()[:100]))]
    assert judge(frames).still_s == 0.5


@pytest.mark.parametrize("level", [0, 16])
def test_black_is_black_in_both_video_ranges(level: int) -> None:
    assert judge(half_seconds([BLACK + np.uint8(level)] * 4)).dark_share == 1.0


def test_a_covered_lens_is_black_for_all_its_noise() -> None:
    assert judge(half_seconds(list(noisy(BLACK + np.uint8(6), 4, sigma=5)))).dark_share == 1.0


def test_a_night_street_with_lamps_is_not_black() -> None:
    night = night_with_lamps()
    assert night.mean() < 20
    assert judge(half_seconds([night] * 4)).dark_share == 0.0


def test_dark_share_is_the_share_of_black_frames() -> None:
    assert judge(half_seconds([street(), BLACK, BLACK, street()])).dark_share == 0.5


def test_a_bright_even_wall_is_not_black() -> None:
    assert not is_black(np.full((90, 160), 21, dtype=np.uint8))


@pytest.mark.parametrize("lies", [[5.0, 4.0, 3.0], [0.0, math.nan, 0.0], [0.0, math.inf, 0.5], [math.nan] * 3])
def test_times_that_lie_never_give_a_negative_or_endless_span(lies: list[float]) -> None:
    health = judge((at, thin(street())) for at in lies)
    assert 0 <= health.still_s <= health.span_s <= 5
    assert health.frames == 3


def test_nothing_to_judge_is_said_so() -> None:
    with pytest.raises(NoPicture):
        judge([])


@given(np_st.arrays(np.uint8, st.tuples(st.integers(1, 300), st.integers(1, 300), st.just(3))))
def test_a_picture_of_any_size_is_judged(picture: Grey) -> None:
    health = judge([(0.0, thin(picture)), (0.5, thin(picture))])
    assert health.still_s == health.span_s == 0.5
    assert health.dark_share in (0.0, 1.0)


def test_thinning_keeps_the_noise_that_averaging_would_take_away() -> None:
    quiet = np.full((720, 1280, 3), 90, dtype=np.uint8)
    (frame,) = noisy(quiet, 1, sigma=4)
    assert max(thin(frame).shape) == 160
    assert thin(frame).std() > 2


def test_the_reading_has_the_native_shape_and_names_the_look() -> None:
    payload = to_payload(PictureHealth(0.25, 3.0004, 8, 4.0), 1_795_000_000.25, "demo-camera-001")
    assert payload == {
        "id": "demo-camera-001-picture-1795000000250",
        "at": 1_795_000_000_250,
        "values": {"picture_dark_share": 0.25, "picture_still_s": 3.0},
    }
