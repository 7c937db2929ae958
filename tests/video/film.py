"""Pictures and clips for tests: real recordings where they are at hand, made ones otherwise."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

Picture = npt.NDArray[np.uint8]

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
RECORDINGS = ("bgs_video.avi", "bgs_video02.avi", "car-detection.mp4")
RATE = 12

needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")


def recording(name: str) -> Path:
    """A real recording; the test skips where it is not at hand."""
    path = DATA / "video" / name
    if not path.is_file():
        pytest.skip(f"the real recording ../shared/data/video/{name} is not here")
    return path


def pictures_of(path: Path, count: int, skip: int = 0) -> list[Picture]:
    """Colour pictures of a clip, ``skip`` left out at its start."""
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    found = [capture.read()[1] for _ in range(skip + count)]
    capture.release()
    return [np.asarray(picture, dtype=np.uint8) for picture in found[skip:] if picture is not None]


def street(seed: int = 1) -> Picture:
    """A colour picture of 320 x 240 with soft shapes and edges, light and dark."""
    rough = np.random.default_rng(seed).integers(20, 230, (12, 16, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(rough, (320, 240), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


def noisy(picture: Picture, count: int, sigma: float = 2.0) -> Iterator[Picture]:
    """The same view again and again, as a live sensor sees it: never twice the same."""
    random = np.random.default_rng(7)
    for _ in range(count):
        yield np.clip(picture + random.normal(0, sigma, picture.shape) + 0.5, 0, 255).astype(np.uint8)


def night_with_lamps() -> Picture:
    """A nearly black street with three small lamps."""
    dark = (street() * 0.05).astype(np.uint8)
    for x, y in ((60, 50), (170, 60), (280, 72)):
        cv2.circle(dark, (x, y), 4, (190, 220, 250), -1)
    return dark


def film(pictures: Iterator[Picture] | list[Picture], path: Path, *codec: str) -> Path:
    """Encode pictures of equal size with ffmpeg at RATE pictures a second."""
    frames = list(pictures)
    height, width = frames[0].shape[:2]
    codec = codec or ("-c:v", "mjpeg", "-q:v", "3", "-pix_fmt", "yuvj420p")
    raw = ["-f", "rawvideo", "-pix_fmt", "bgr24", "-s", f"{width}x{height}", "-r", str(RATE), "-i", "-"]
    subprocess.run(
        ["ffmpeg", "-loglevel", "error", "-y", *raw, *codec, str(path)],
        input=b"".join(frame.tobytes() for frame in frames),
        check=True,
        timeout=60,
    )
    return path
