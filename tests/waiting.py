"""Waiting for a condition with a deadline: what a test does where another would sleep and hope."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")

_POLL_S = 0.02


def wait_until(condition: Callable[[], Found], timeout_s: float = 30.0, what: str = "the condition") -> Found:
    """The first true value of ``condition``; AssertionError naming ``what`` when none came within ``timeout_s``."""
    deadline = time.monotonic() + timeout_s
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() >= deadline:
            raise AssertionError(f"waited {timeout_s:g} s in vain for {what}; last value: {found!r}")
        time.sleep(_POLL_S)
