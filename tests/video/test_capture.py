"""The decoder's process, against real files and real sockets."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import pytest

from tests.video.camera_server import document, motion_jpeg, noting, redirecting, rtsp, serving, silent
from tests.video.film import (
    RECORDINGS,
    Picture,
    film,
    needs_ffmpeg,
    night_with_lamps,
    noisy,
    pictures_of,
    recording,
    street,
)
from video.capture import PictureUnavailable, check_picture, without_credentials

LOOPBACK = ["127.0.0.1"]
CODECS = {
    "mjpeg": ("-c:v", "mjpeg", "-q:v", "6", "-pix_fmt", "yuvj420p"),
    "mpeg4": ("-c:v", "mpeg4", "-q:v", "5", "-g", "12"),
    "h264": ("-c:v", "libx264", "-preset", "veryfast", "-crf", "23", "-pix_fmt", "yuv420p"),
}


def jpeg(picture: Picture) -> bytes:
    return bytes(cv2.imencode(".jpg", picture)[1])


def outcome(clip: Path) -> str:
    try:
        return "judged" if check_picture(str(clip), seconds=1, timeout_s=20).frames else ""
    except PictureUnavailable as problem:
        return problem.why


@pytest.mark.parametrize("name", RECORDINGS)
def test_a_real_recording_is_live_and_not_black(name: str) -> None:
    health = check_picture(str(recording(name)), seconds=8, timeout_s=40)
    assert (health.dark_share, health.still_s) == (0.0, 0.0)
    assert health.frames >= 15
    assert 7 <= health.span_s <= 8


@needs_ffmpeg
@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("name", RECORDINGS)
def test_one_picture_of_a_real_recording_repeated_is_still_in_every_codec(
    name: str, codec: str, tmp_path: Path
) -> None:
    (picture,) = pictures_of(recording(name), 1, skip=60)
    clip = film([picture] * 72, tmp_path / "frozen.mkv", *CODECS[codec])
    health = check_picture(str(clip), seconds=5, timeout_s=40)
    assert health.still_s >= 4.5
    assert health.dark_share == 0.0


@needs_ffmpeg
@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("name", RECORDINGS)
def test_a_real_recording_encoded_once_more_is_still_live(name: str, codec: str, tmp_path: Path) -> None:
    clip = film(pictures_of(recording(name), 72), tmp_path / "live.mkv", *CODECS[codec])
    assert check_picture(str(clip), seconds=5, timeout_s=40).still_s <= 1.0


@needs_ffmpeg
@pytest.mark.parametrize("codec", ["mjpeg", "mpeg4"])
def test_a_quiet_scene_with_a_sensors_noise_is_not_still(codec: str, tmp_path: Path) -> None:
    clip = film(noisy(street(), 60, sigma=2), tmp_path / "quiet.mkv", *CODECS[codec])
    assert check_picture(str(clip), seconds=4, timeout_s=40).still_s == 0.0


@needs_ffmpeg
@pytest.mark.parametrize("codec", CODECS)
def test_a_black_clip_is_black_and_a_night_with_lamps_is_not(codec: str, tmp_path: Path) -> None:
    black = film([(street() * 0).astype("u1")] * 40, tmp_path / "black.mkv", *CODECS[codec])
    night = film([night_with_lamps()] * 40, tmp_path / "night.mkv", *CODECS[codec])
    assert check_picture(str(black), seconds=3, timeout_s=40).dark_share == 1.0
    assert check_picture(str(night), seconds=3, timeout_s=40).dark_share == 0.0


@needs_ffmpeg
def test_a_frame_rate_that_lies_does_not_change_the_judgement(tmp_path: Path) -> None:
    clip = film([street()] * 60, tmp_path / "honest.avi")
    lie = bytearray(clip.read_bytes())
    rate_at = lie.index(b"strh") + 8 + 20  # scale, rate: four bytes each
    lie[rate_at : rate_at + 8] = (1).to_bytes(4, "little") + (90_000).to_bytes(4, "little")
    (tmp_path / "lie.avi").write_bytes(lie)
    health = check_picture(str(tmp_path / "lie.avi"), seconds=5, timeout_s=40)
    assert health.frames >= 4
    assert health.still_s == health.span_s > 1


def test_a_live_http_camera_is_timed_by_the_clock_on_the_wall() -> None:
    with serving(motion_jpeg([jpeg(p) for p in noisy(street(), 20, sigma=3)])) as port:
        health = check_picture(f"http://127.0.0.1:{port}/video", seconds=2, timeout_s=20, allowed=LOOPBACK)
    assert health.still_s == 0.0
    assert 1.4 <= health.span_s <= 3


def test_a_frozen_http_camera_is_still() -> None:
    with serving(motion_jpeg([jpeg(street())])) as port:
        health = check_picture(f"http://127.0.0.1:{port}/video", seconds=2, timeout_s=20, allowed=LOOPBACK)
    assert health.still_s == health.span_s >= 1.4


@needs_ffmpeg
@pytest.mark.parametrize("frozen", [True, False])
def test_an_rtsp_camera_is_judged(tmp_path: Path, frozen: bool) -> None:
    pictures = [street()] * 144 if frozen else list(noisy(street(), 144, sigma=4))
    h264 = film(pictures, tmp_path / "camera.h264", *CODECS["h264"], "-g", "12", "-bf", "0", "-x264-params", "slices=1")
    with serving(
        rtsp(h264, rate=12, last=48)
    ) as port:  # an encoder that has found its quality, as one that runs for days
        health = check_picture(f"rtsp://user:secret@127.0.0.1:{port}/live", 4, 30, allowed=[f"127.0.0.1:{port}"])
    assert health.frames >= 5
    assert (health.still_s >= 2.0) is frozen


def test_a_stream_that_falls_silent_is_unavailable_not_still() -> None:
    with (
        serving(motion_jpeg([jpeg(street())], stall_after=8)) as port,
        pytest.raises(PictureUnavailable, match="stopped sending"),
    ):
        check_picture(f"http://127.0.0.1:{port}/video", seconds=6, timeout_s=20, allowed=LOOPBACK)


@pytest.mark.parametrize("scheme", ["http", "rtsp"])
def test_a_camera_that_never_answers_is_given_up(scheme: str) -> None:
    started = time.monotonic()
    with serving(silent) as port, pytest.raises(PictureUnavailable, match=f"{scheme}://127.0.0.1:{port}/x"):
        check_picture(f"{scheme}://127.0.0.1:{port}/x", seconds=1, timeout_s=8, allowed=LOOPBACK)
    assert time.monotonic() - started < 12


def test_nobody_at_the_address_is_said_so() -> None:
    with serving(silent) as port:
        pass
    with pytest.raises(PictureUnavailable, match="cannot be opened"):
        check_picture(f"rtsp://127.0.0.1:{port}/x", seconds=1, timeout_s=15, allowed=LOOPBACK)


def test_a_redirect_does_not_lead_round_the_allowed_addresses() -> None:
    with (
        serving(motion_jpeg([jpeg(street())])) as inner,
        serving(redirecting(f"http://127.0.0.1:{inner}/video")) as outer,
        pytest.raises(PictureUnavailable, match="cannot be opened"),
    ):
        check_picture(f"http://127.0.0.1:{outer}/", 1, 20, allowed=[f"127.0.0.1:{outer}"])


@pytest.mark.parametrize("place", ["file", "http"])
def test_a_play_list_does_not_lead_to_another_host(place: str, tmp_path: Path) -> None:
    calls: list[bytes] = []
    with serving(noting(calls)) as inner:
        text = f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nhttp://127.0.0.1:{inner}/a.ts\n#EXT-X-ENDLIST\n"
        (tmp_path / "list.m3u8").write_text(text)
        with serving(document(text, "application/vnd.apple.mpegurl")) as outer:
            address = str(tmp_path / "list.m3u8") if place == "file" else f"http://127.0.0.1:{outer}/list.m3u8"
            with pytest.raises(PictureUnavailable, match="no video"):
                check_picture(address, 1, 20, allowed=[f"127.0.0.1:{outer}"])
    assert calls == []


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("rtsp://10.1.2.3/a", []),
        ("rtsp://10.1.2.3/a", ["10.1.2.4", "10.1.2.3:8554", "10.2.0.0/16"]),
        ("rtsp://camera.lan:8554/a", ["camera.lan:554", "lan", "10.0.0.0/8"]),
        ("http://evil.example\\@10.1.2.3/a", ["10.1.2.3"]),
        ("http://10.1.2.3@evil.example/a", ["10.1.2.3"]),
        ("http://a@b@10.1.2.3/a", ["10.1.2.3"]),
        ("http:///a", ["10.1.2.3", ""]),
        ("http://[::1]/a", ["10.0.0.0/8"]),
    ],
)
def test_a_host_that_is_not_allowed_is_refused_before_anything_is_started(address: str, allowed: list[str]) -> None:
    with pytest.raises(PictureUnavailable, match="not among the allowed"):
        check_picture(address, 1, 5, allowed, command=["/nonexistent/decoder"])


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("rtsp://u:p@10.1.2.3/a", "10.1.2.3"),
        ("rtsp://10.1.2.3/a", "10.1.2.3:554"),
        ("rtsp://10.1.2.3:9/a", "10.1.0.0/16"),
        ("https://Camera.LAN/a", "camera.lan:443"),
        ("http://[fd00::1]:80/a", "[fd00::1]:80"),
        ("http://[fd00::1]/a", "fd00::/8"),
    ],
)
def test_a_host_that_is_allowed_reaches_the_decoder(address: str, allowed: str) -> None:
    answer = '{"health":{"dark_share":0,"still_s":1,"frames":3,"span_s":1}}'
    assert check_picture(address, 1, 5, [allowed], command=["/bin/echo", answer]).frames == 3


@pytest.mark.parametrize(
    "address",
    [
        *("ftp://127.0.0.1/a", "file:///etc/passwd", "rtmp://127.0.0.1/a", "rtsp://127.0.0.1:notaport/", "http://[x/a"),
        *("concat:/a|/b", "/nowhere.mp4", "/dev/zero", "", "\0"),
    ],
)
def test_an_address_of_another_kind_is_refused_with_a_reason(address: str) -> None:
    with pytest.raises(PictureUnavailable, match="no picture from"):
        check_picture(address, 1, 5, LOOPBACK, command=["/nonexistent/decoder"])


def test_a_file_that_is_no_video_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_bytes(os.urandom(4096))
    with pytest.raises(PictureUnavailable, match="it is no video"):
        check_picture(str(tmp_path / "text.mp4"), seconds=1, timeout_s=20)


@needs_ffmpeg
def test_a_damaged_recording_gives_a_judgement_or_a_reason_and_nothing_else(tmp_path: Path) -> None:
    sound = film(noisy(street(), 24), tmp_path / "sound.avi", *CODECS["mpeg4"]).read_bytes()
    outcomes = []
    for cut in range(200, len(sound), len(sound) // 5):
        (tmp_path / "damaged.avi").write_bytes(sound[:cut] + bytes(64) + sound[cut + 300 :])
        outcomes.append(outcome(tmp_path / "damaged.avi"))
    assert all(outcomes)
    assert "judged" in outcomes


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("import os; os.abort()", r"crashed \(SIGABRT\)"),
        ("import os; os.kill(os.getpid(), 11)", r"crashed \(SIGSEGV\)"),
        ("raise SystemExit(3)", r"failed \(exit status 3\)"),
        ("print('no json')", "no readable answer"),
        ("print('{}')", "gave no reason"),
    ],
)
def test_a_decoder_that_dies_or_talks_nonsense_is_an_error_not_the_callers_death(
    code: str, why: str, tmp_path: Path
) -> None:
    (tmp_path / "clip.avi").write_bytes(b"any")
    with pytest.raises(PictureUnavailable, match=why):
        check_picture(str(tmp_path / "clip.avi"), 1, 10, command=[sys.executable, "-c", code])


def test_a_decoder_that_hangs_is_killed_at_the_deadline_with_all_it_started(tmp_path: Path) -> None:
    clip = tmp_path / "clip.avi"
    clip.write_bytes(b"any")
    hang = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"open({str(tmp_path / 'child')!r}, 'w').write(str(child.pid))\n"
        "time.sleep(60)\n"
    )
    started = time.monotonic()
    with pytest.raises(PictureUnavailable, match="no judgement within 2 s"):
        check_picture(str(clip), 1, 2, command=[sys.executable, "-c", hang])
    assert time.monotonic() - started < 5
    child = Path(f"/proc/{(tmp_path / 'child').read_text()}")
    deadline = time.monotonic() + 5
    while child.exists() and "Z" not in child.joinpath("stat").read_text().split()[2]:
        assert time.monotonic() < deadline, "the decoder's own child outlived the deadline"
        time.sleep(0.02)


def test_a_decoder_whose_caller_is_gone_is_ended_by_the_kernel(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")  # opening it waits for a writer who never comes
    request = f'{{"address":"{tmp_path}/pipe","scheme":"","seconds":0.5,"timeout_s":1}}\n'
    decoder = subprocess.Popen([sys.executable, "-m", "video.capture"], stdin=subprocess.PIPE)
    try:
        decoder.communicate(request.encode(), timeout=20)
    finally:
        decoder.kill()
    assert decoder.returncode == -signal.SIGALRM


def test_the_callers_process_never_loads_a_decoder() -> None:
    code = "import sys, video.capture, video.quality, video.decode; sys.exit('cv2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_no_credential_is_ever_shown() -> None:
    address = "rtsp://admin:s3cret@127.0.0.1:1/live?token=s3cret#s3cret"
    assert without_credentials(address) == "rtsp://127.0.0.1:1/live"
    for allowed in ([], LOOPBACK):
        with pytest.raises(PictureUnavailable) as caught:
            check_picture(address, 1, 15, allowed)
        assert "s3cret" not in f"{caught.value} {caught.value!r}"


@pytest.mark.parametrize(("seconds", "timeout_s"), [(0, 5), (5, 5), (-1, 5), (1, float("inf")), (float("nan"), 5)])
def test_a_look_must_be_shorter_than_its_deadline(seconds: float, timeout_s: float) -> None:
    with pytest.raises(ValueError, match="below timeout_s"):
        check_picture("/clip.avi", seconds, timeout_s)
