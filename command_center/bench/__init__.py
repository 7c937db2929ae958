"""Every figure that the documentation quotes, measured again: one file per benchmark, each with ``run() -> list[Figure]``."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from pathlib import Path
from typing import Final

from command_center.bench.figure import Figure

_PARTS: Final = frozenset({"feeder", "figure", "ingest_worker", "loop", "nab"})
"""Modules here that benchmarks are made of."""


class UnknownBenchmark(ValueError):
    """A benchmark was named that is not there."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no benchmark {name[:40]!r}: choose one of {', '.join(names())}")


def names() -> list[str]:
    """The benchmarks that can be run."""
    found = (module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)]))
    return sorted(name for name in found if name not in _PARTS)


def run(name: str) -> list[Figure]:
    """Run one benchmark. Raises UnknownBenchmark."""
    if name not in names():
        raise UnknownBenchmark(name)
    figures: list[Figure] = import_module(f"{__name__}.{name}").run()
    return figures
