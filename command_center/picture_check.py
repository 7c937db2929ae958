"""One look at a camera, sent down the same path as every other reading."""

from __future__ import annotations

import json
import time
from typing import Any

from config.database import worker_engine
from config.settings import Settings
from ingest.mqtt import deliver
from ingest.store import load_catalogue
from video.capture import check_picture
from video.quality import DARK_SHARE, PictureHealth, to_payload
from video.store import load_cameras

_RECEIPT_S = 15.0
_GRACE_S = 10.0


class NotAPictureSource(ValueError):
    """The camera cannot be judged: it is unknown, has no address, or its readings would not be taken."""


def check(settings: Settings, camera: str, address: str | None, seconds: float) -> tuple[PictureHealth, dict[str, Any]]:
    """Look, publish, wait for the receipt. Returns the health and the receipt.

    A camera whose picture is judged is also a sensor of the catalogue, with the same id: that is where its readings hang.
    Raises NotAPictureSource, PictureUnavailable or NotDelivered.
    """
    url = settings.require_mqtt()
    engine = worker_engine(settings.database_url, pool_size=1)
    with engine.connect() as connection:
        known = load_cameras(connection).get(camera)
        sensor = load_catalogue(connection).sensors.get(camera)
    engine.dispose()
    if sensor is None or DARK_SHARE not in sensor.quantities:
        what = "is not in the catalogue" if known is None else f"has no sensor entry that measures {DARK_SHARE}"
        raise NotAPictureSource(f"camera {camera} {what}: its readings would be refused")
    where = address or (known.stream if known is not None else None)
    if where is None:
        raise NotAPictureSource(f"camera {camera} has no stream address: give one as the second argument")
    health = check_picture(where, seconds, seconds + _GRACE_S, settings.stream_hosts)
    payload = to_payload(health, time.time(), camera) | {"ack": True}
    topic = f"cc/v1/{sensor.county}/{camera}"
    receipt = deliver(url, f"{topic}/reading", json.dumps(payload).encode(), f"{topic}/ack", _RECEIPT_S)
    found: dict[str, Any] = json.loads(receipt)
    return health, found
