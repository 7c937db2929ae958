"""A rule as text for people: as YAML, and what differs between two, field by field."""

from __future__ import annotations

from typing import Any

import msgspec
import yaml

from rules.rule import Rule


def written(rule: Rule) -> str:
    """A rule as YAML that reads back as the same rule. Defaults are left out, and so is the version, which nobody writes."""
    return yaml.safe_dump(_plain(rule), allow_unicode=True, sort_keys=False, width=120)


def fields(rule: Rule | None) -> dict[str, Any]:
    """A rule's fields as plain JSON values, defaults left out; nothing of no rule."""
    found: dict[str, Any] = {} if rule is None else msgspec.to_builtins(_plain(rule))
    return found


def differences(before: Rule | None, after: Rule | None) -> list[dict[str, Any]]:
    """``{path, before, after}`` for every field that differs, in the order of the rule; None where there is none."""
    found: list[dict[str, Any]] = []
    _compare("", fields(before), fields(after), found)
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, msgspec.Struct):
        config = value.__struct_config__
        found = {} if config.tag_field is None else {config.tag_field: config.tag}
        for field in msgspec.structs.fields(value):
            content = getattr(value, field.name)
            if field.name != "version" and content != field.default:
                found[field.encode_name] = _plain(content)
        return found
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value


def _compare(path: str, before: Any, after: Any, found: list[dict[str, Any]]) -> None:
    if before == after:
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for key in [*before, *(key for key in after if key not in before)]:
            _compare(f"{path}.{key}" if path else key, before.get(key), after.get(key), found)
    elif isinstance(before, list) and isinstance(after, list):
        for place in range(max(len(before), len(after))):
            one, other = (items[place] if place < len(items) else None for items in (before, after))
            _compare(f"{path}[{place}]", one, other, found)
    else:
        found.append({"path": path, "before": before, "after": after})
