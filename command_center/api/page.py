"""The pages: one application built by ``frontend/``, the same file for every address a person opens."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

from flask import Blueprint, Response, redirect, send_from_directory
from werkzeug.wrappers import Response as Answer

blueprint = Blueprint("page", __name__)

BUILT = Path(str(files("frontend"))) / "dist"
_MISSING = "The pages are not built yet: run `make setup`, then reload.\n"


@blueprint.get("/")
def start() -> Answer:
    """To the login page, which knows where an account belongs."""
    return redirect("/login")


@blueprint.get("/login")
@blueprint.get("/wall")
@blueprint.get("/county")
@blueprint.get("/worker")
@blueprint.get("/admin")
@blueprint.get("/report")
@blueprint.get("/report/<receipt>")
def page(receipt: str | None = None) -> Response:
    """The application; it reads the receipt out of its own address."""
    del receipt
    if not (BUILT / "index.html").is_file():
        return Response(_MISSING, 503, content_type="text/plain; charset=utf-8")
    response = send_from_directory(BUILT, "index.html")
    response.headers["Cache-Control"] = "no-cache"
    return response


@blueprint.get("/assets/<path:name>")
def asset(name: str) -> Response:
    """Built files carry a hash of what is in them in their name, so a browser may keep those for ever."""
    response = send_from_directory(BUILT / "assets", name)
    hashed = re.search(r"-[\w-]{8}\.\w+$", name) is not None
    response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if hashed else "no-cache"
    return response
