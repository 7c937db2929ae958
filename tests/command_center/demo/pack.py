"""The shipped data pack, as plain YAML."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import yaml

DOMAINS = ("emergency", "public_order", "urban_management", "traffic")


def pack(*path: str) -> Any:
    return yaml.safe_load(files("config").joinpath("suqian", *path).read_text(encoding="utf-8"))


def rules() -> list[dict[str, Any]]:
    return [rule for domain in DOMAINS for rule in pack("rules", f"{domain}.yaml")["rules"]]


def threshold_rules() -> list[dict[str, Any]]:
    return [rule for rule in rules() if rule["kind"] == "threshold"]


def crosses(rule: dict[str, Any], value: float) -> int:
    """The severity that a value reaches, 0 for none."""
    above = rule.get("direction", "above") == "above"
    reached = [
        level["severity"] for level in rule["levels"] if (value >= level["at"] if above else value <= level["at"])
    ]
    return max(reached, default=0)
