"""A look at a camera: the only file that lets a video decoder near the outside.

Decoders crash, hang and read lies. So the decoding happens in a process of its own (``python -m video.capture``), which gets
one request as a JSON line on its standard input (never as an argument: an address may hold a password, and arguments are
public on the machine), answers with one JSON line and is killed at the deadline. The caller never loads a decoder.

Where the decoder may connect is decided before it starts: schemes and hosts are allow-listed. What could lead it elsewhere is
switched off: HTTP redirects, proxies and play lists (so an HLS address is refused; cameras speak RTSP or plain HTTP). One way
stays open: FFmpeg follows the redirect of an allowed RTSP server, though to another RTSP server only. A network that must
exclude that too needs a firewall round this process.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

import msgspec

from video.quality import SAMPLE_INTERVAL_S, Grey, NoPicture, PictureHealth, judge, thin

DECODER: Final = (sys.executable, "-P", "-m", "video.capture")
_PORTS: Final = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}
_FILE_FORMATS: Final = "avi,mov,mp4,matroska,webm,mpegts,mpeg,flv,h264,hevc,mjpeg,asf,dhav,ogg"
_STREAM_FORMATS: Final = f"rtsp,rtp,mpjpeg,{_FILE_FORMATS}"
_OPTIONS: Final = {
    "": f"protocol_whitelist;file|format_whitelist;{_FILE_FORMATS}",
    "rtsp": "protocol_whitelist;rtsp,rtp,tcp|rtsp_transport;tcp",
    "rtsps": "protocol_whitelist;rtsps,rtsp,rtp,tcp,tls|rtsp_transport;tcp",
    "http": f"protocol_whitelist;http,tcp|max_redirects;0|format_whitelist;{_STREAM_FORMATS}",
    "https": f"protocol_whitelist;https,http,tls,tcp|max_redirects;0|format_whitelist;{_STREAM_FORMATS}",
}
_OPEN_TIMEOUT_S: Final = 4.0
_READ_TIMEOUT_S: Final = 3.0
_MOST_FRAMES_PER_S: Final = 125
_LONGEST_STEP_S: Final = 10.0
_MEMORY_BYTES: Final = 4 * 1024**3  # address space: decoder threads map much more than they use


class PictureUnavailable(Exception):
    """No judgement of a picture was possible. The address in it carries no credentials."""

    def __init__(self, address: str, why: str) -> None:
        super().__init__(f"no picture from {address}: {why}")
        self.address = address
        self.why = why


class _Request(msgspec.Struct, frozen=True):
    address: str
    scheme: str
    seconds: float
    timeout_s: float


class _Answer(msgspec.Struct, frozen=True):
    health: PictureHealth | None = None
    why: str | None = None


def check_picture(
    address: str,
    seconds: float,
    timeout_s: float,
    allowed: Collection[str] = (),
    command: Sequence[str] = DECODER,
) -> PictureHealth:
    """Watch a file or stream for ``seconds`` and judge its picture, in at most ``timeout_s`` (which must be longer).

    ``address`` is rtsp, rtsps, http, https or the path of a file. ``allowed`` names the hosts that may be connected to, each as
    ``host``, ``host:port`` or a network such as ``10.1.0.0/16`` (which covers literal addresses only: a name could resolve
    into it today and elsewhere tomorrow); none by default. ``command`` starts the decoder. Raises PictureUnavailable.
    """
    if not 0 < seconds < timeout_s < math.inf:
        raise ValueError(f"seconds ({seconds}) must be above zero and below timeout_s ({timeout_s})")
    shown = without_credentials(address)
    try:
        target, scheme = _target(address, allowed)
        output = _ask(command, _Request(target, scheme, seconds, timeout_s))
        answer = msgspec.json.decode(output, type=_Answer)
    except _Refused as refusal:
        raise PictureUnavailable(shown, str(refusal)) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise PictureUnavailable(shown, "the decoder gave no readable answer") from None
    if answer.health is None:
        raise PictureUnavailable(shown, answer.why or "the decoder gave no reason")
    return answer.health


def without_credentials(address: str) -> str:
    """The address without user, password, query and fragment, any of which may hold a secret."""
    try:
        parts = urlsplit(address)
        if "://" not in address:
            return address[:200]
        return f"{parts.scheme}://{_host_and_port(parts)}{parts.path}"[:200]
    except ValueError:
        return "(an address that cannot be read)"


class _Refused(Exception):
    """The question was not put to the decoder, or it did not answer."""


def _target(address: str, allowed: Collection[str]) -> tuple[str, str]:
    """What the decoder is to open, and its scheme ("" for a file). Raises _Refused."""
    if not address.isprintable():
        raise _Refused("the address holds characters that cannot be printed")
    if "://" not in address:
        path = Path(address).resolve()
        if not path.is_file():
            raise _Refused("there is no such file")
        return str(path), ""
    try:
        parts = urlsplit(address)
        is_allowed = may_connect(parts, allowed)
    except ValueError:
        raise _Refused("the address cannot be read: give it as scheme://host:port/path") from None
    if parts.scheme not in _PORTS:
        raise _Refused(f"scheme {parts.scheme[:20]!r} is not accepted: use {', '.join(_PORTS)} or the path of a file")
    if not is_allowed:
        raise _Refused(f"host {_host_and_port(parts)} is not among the allowed addresses: allow it first")
    # The remainder is kept as written: cameras are particular about their paths.
    return f"{parts.scheme}://{address.split('://', 1)[1]}", parts.scheme


def may_connect(parts: SplitResult, allowed: Collection[str]) -> bool:
    """Whether the host of an address is covered by one of the patterns (see ``check_picture``). Raises ValueError."""
    host, port = (parts.hostname or "").rstrip("."), parts.port or _PORTS.get(parts.scheme)
    # What follows a backslash or a second @ is host to one reader and path or password to another.
    if not host or "\\" in parts.netloc or parts.netloc.count("@") > 1:
        return False
    literal = _literal(host)
    return any(_covers(pattern.strip().lower(), host, port, literal) for pattern in allowed)


def _covers(
    pattern: str, host: str, port: int | None, literal: ipaddress.IPv4Address | ipaddress.IPv6Address | None
) -> bool:
    if "/" in pattern:
        return literal is not None and literal in ipaddress.ip_network(pattern, strict=False)
    plain = f"[{host}]" if ":" in host else host
    return pattern in (host, plain, f"{plain}:{port}")


def _literal(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _host_and_port(parts: SplitResult) -> str:
    return parts.netloc.rpartition("@")[2]


def _ask(command: Sequence[str], request: _Request) -> bytes:
    """The decoder's answer. Its process, and whatever it started, is gone when this returns. Raises _Refused."""
    process = subprocess.Popen(
        list(command),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # decoders print addresses, passwords included
        env=_environment(request.scheme),
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(msgspec.json.encode(request), timeout=request.timeout_s)
    except subprocess.TimeoutExpired:
        raise _Refused(f"no judgement within {request.timeout_s:g} s") from None
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
    if process.returncode < 0:
        raise _Refused(f"the decoder crashed ({_signal_name(-process.returncode)})")
    if process.returncode > 0:
        raise _Refused(f"the decoder failed (exit status {process.returncode})")
    return output


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _environment(scheme: str) -> dict[str, str]:
    """Only what the decoder needs: no proxy that would lead round the allow-list, no secret of ours."""
    return {
        "PATH": os.defpath,
        "LC_ALL": "C.UTF-8",
        "PYTHONPATH": str(Path(__file__).resolve().parent.parent),
        "OPENCV_FFMPEG_CAPTURE_OPTIONS": _OPTIONS[scheme],
        "OPENCV_LOG_LEVEL": "OFF",
    }


# From here on: inside the decoder's process.


def main() -> None:
    """Answer one request."""
    request = msgspec.json.decode(sys.stdin.buffer.readline(), type=_Request)
    _bound(request.timeout_s)
    try:
        answer: dict[str, Any] = {"health": asdict(judge(_frames(request)))}
    except (_Refused, NoPicture) as problem:
        answer = {"why": str(problem)}
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
    # Leaving at once: a decoder's threads may hang or crash on the way out, after the answer is known.
    os._exit(0)


def _bound(timeout_s: float) -> None:
    """Let the kernel end this process even if its caller is gone: at the deadline, or when it wants too much memory."""
    import resource

    signal.setitimer(signal.ITIMER_REAL, timeout_s + 1)  # SIGALRM is not handled, so it ends even a hung native call
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _frames(request: _Request) -> Iterator[tuple[float, Grey]]:
    """Thinned frames about SAMPLE_INTERVAL_S apart, over the requested seconds. Raises _Refused."""
    import cv2  # only here: the caller's process must never load a decoder

    cv2.setNumThreads(1)
    open_timeout_s = min(_OPEN_TIMEOUT_S, request.timeout_s)
    capture = cv2.VideoCapture(
        request.address,
        cv2.CAP_FFMPEG,
        [
            *(cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, round(open_timeout_s * 1000)),
            *(cv2.CAP_PROP_READ_TIMEOUT_MSEC, round(_READ_TIMEOUT_S * 1000)),
        ],
    )
    if not capture.isOpened():
        raise _Refused(
            "it cannot be opened: there is no video, or nobody answers" if request.scheme else "it is no video"
        )
    source = (
        _file_frames(capture, request.seconds) if request.scheme == "" else _stream_frames(capture, request.seconds)
    )
    for at, frame in source:
        yield at, thin(frame)


def _stream_frames(capture: Any, seconds: float) -> Iterator[tuple[float, Any]]:
    """A stream by the wall clock, whatever it says of itself. Raises _Refused when it stalls."""
    started = sampled = None
    asked = time.monotonic()
    while capture.grab():
        now = asked = time.monotonic()
        started = now if started is None else started
        if sampled is None or now - sampled >= SAMPLE_INTERVAL_S:
            sampled = now
            yield from _retrieved(capture, now - started)
        if now - started >= seconds:
            return
    waited_s = time.monotonic() - asked
    if waited_s >= _READ_TIMEOUT_S * 0.9:
        raise _Refused(f"it stopped sending: no picture for {waited_s:.0f} s")


def _file_frames(capture: Any, seconds: float) -> Iterator[tuple[float, Any]]:
    """A file by the positions of its frames; a position that stands still or leaps is replaced by a step of its frame rate."""
    import cv2

    rate = float(capture.get(cv2.CAP_PROP_FPS))
    step_s = 1 / rate if 1 <= rate <= _MOST_FRAMES_PER_S else 1 / 25
    at, position, sampled = 0.0, None, -math.inf
    for _ in range(round(seconds * _MOST_FRAMES_PER_S) + 1):
        if not capture.grab():
            return
        stated = float(capture.get(cv2.CAP_PROP_POS_MSEC)) / 1000
        if position is not None:
            step = stated - position
            at += step if 1 / _MOST_FRAMES_PER_S <= step <= _LONGEST_STEP_S else step_s
        position = stated
        if at > seconds:
            return
        if at - sampled >= SAMPLE_INTERVAL_S - 1e-6:
            sampled = at
            yield from _retrieved(capture, at)


def _retrieved(capture: Any, at: float) -> Iterator[tuple[float, Any]]:
    """The grabbed frame, none when it cannot be decoded: one damaged frame is no reason to give up."""
    readable, frame = capture.retrieve()
    if readable and frame is not None and frame.size:
        yield at, frame


if __name__ == "__main__":
    main()
