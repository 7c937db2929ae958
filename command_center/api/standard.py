"""``/api/v1/standards``: the filing conditions that a report may be filed under."""

from __future__ import annotations

from typing import Any

from flask_openapi3 import APIBlueprint, Tag
from pydantic import BaseModel, Field

from command_center.api.asking import sight, today
from command_center.standard.store import numbered_on

blueprint = APIBlueprint("standards", __name__, url_prefix="/api/v1", abp_tags=[Tag(name="standards")])


class StandardQuery(BaseModel):
    """Which filing conditions."""

    small_class: str | None = Field(None, max_length=40, description="code of the small class")


@blueprint.get("/standards", summary="Filing conditions in force today")
def list_standards(query: StandardQuery) -> dict[str, Any]:
    """In the order of the sheet, each with the number that ``file`` takes."""
    with sight() as connection:
        found = numbered_on(connection, today(), query.small_class)
    names = ("big_code", "big_name", "small_code", "small_name", "condition", "close_condition", "limit_text")
    items = [
        {"n": n, **{name: getattr(one, name) for name in names}, "handling_unit": one.handling_unit} for n, one in found
    ]
    return {"items": items, "next": None}
