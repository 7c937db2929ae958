"""`python -m tests.fuzz FORMAT SECONDS`: atheris on one decoder, begun with its stored corpus. Ends with 0 when nothing broke.

What it finds on the way stays in a temporary folder; what breaks a decoder is written into the working folder as `crash-…` and
belongs into the corpus once the decoder is mended.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["ingest"]):
    from tests.fuzz.target import TARGETS, corpus, strike


def main(name: str, seconds: str) -> None:
    assert name in TARGETS, f"one of {', '.join(TARGETS)}"
    folder = Path(tempfile.mkdtemp(prefix=f"fuzz-{name}-"))
    for number, payload in enumerate(corpus(name)):
        (folder / f"{number}").write_bytes(payload)
    limits = [
        f"-max_total_time={seconds}",
        "-max_len=4096",
        "-timeout=10",
        "-rss_limit_mb=2048",
        "-print_final_stats=1",
    ]
    atheris.Setup(["fuzz", *limits, str(folder)], lambda data: strike(name, data))
    atheris.Fuzz()


main(*sys.argv[1:3])
