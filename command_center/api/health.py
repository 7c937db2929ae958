"""``/healthz``, ``/readyz`` and ``/metrics``: for load balancers, service managers and Prometheus."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flask import Blueprint, Response, jsonify
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from sqlalchemy.exc import SQLAlchemyError

from command_center.api.asking import now, server
from command_center.api.summary import AWAY_S
from command_center.heartbeat import figures_of, last_beat
from ingest.silence import OFFLINE, ONLINE, SILENT, UNKNOWN

blueprint = Blueprint("health", __name__)

_REJECTED = "rejected_"


@blueprint.get("/healthz")
def healthz() -> dict[str, str]:
    """The process answers."""
    return {"status": "alive"}


@blueprint.get("/readyz")
def readyz() -> tuple[Response, int]:
    """200 when the database, the worker, the scheduler and the broker are there; else 503 and which is away since when."""
    parts = _parts()
    ready = all(part["state"] == "ready" for part in parts.values())
    return jsonify({"status": "ready" if ready else "waiting", "parts": parts}), 200 if ready else 503


def _parts() -> dict[str, dict[str, Any]]:
    try:
        with server().engine.connect() as connection:
            beats = {name: last_beat(connection, name) for name in ("worker", "scheduler")}
            broker = figures_of(connection, "worker").get("broker", "away")
    except SQLAlchemyError:
        return {"database": {"state": "away"}}
    parts: dict[str, dict[str, Any]] = {"database": {"state": "ready"}}
    for name, beat in beats.items():
        alive = beat.at is not None and (now() - beat.at).total_seconds() <= AWAY_S
        parts[name] = {"state": "ready" if alive else "away", "beat_at": beat.at.isoformat() if beat.at else None}
    worker_alive = parts["worker"]["state"] == "ready"
    state = "ready" if worker_alive and broker == "connected" else "away"
    parts["broker"] = {"state": state, "worker_says": broker if worker_alive else "nothing: the worker is away"}
    return parts


class _Collector:
    """Reads the workers' counters from their heartbeats and the consoles' from the push door, when asked."""

    def collect(self) -> Iterator[Metric]:
        with server().engine.connect() as connection:
            figures = figures_of(connection, "worker")
            beat = last_beat(connection, "worker")
        counts: dict[str, int] = figures.get("counts", {})
        handled = CounterMetricFamily("cc_handled", "What the worker handled since it started", labels=["what"])
        rejected = CounterMetricFamily("cc_quarantined", "Messages put into quarantine, by reason", labels=["reason"])
        for name, count in sorted(counts.items()):
            if name.startswith(_REJECTED):
                rejected.add_metric([name.removeprefix(_REJECTED)], count)
            else:
                handled.add_metric([name], count)
        yield handled
        yield rejected
        for what, number in sorted(figures.get("waiting", {}).items()):
            yield GaugeMetricFamily(f"cc_waiting_{what}", f"In the worker's buffer: {what} that wait", value=number)
        if beat.at is not None:
            age_s = (now() - beat.at).total_seconds()
            yield GaugeMetricFamily("cc_worker_beat_age_seconds", "Since the worker last said it lives", value=age_s)
        yield from _presence(figures)
        consoles = server().consoles
        if consoles is not None:
            yield GaugeMetricFamily("cc_consoles", "Live connections", value=consoles.connections)
            yield CounterMetricFamily(
                "cc_consoles_cut", "Connections cut because they were too slow", value=consoles.cut
            )


def _presence(figures: dict[str, Any]) -> Iterator[Metric]:
    """Sensors by state; of each county whether its link is there, and for how long it has not been."""
    sensors = GaugeMetricFamily("cc_sensors", "Sensors by state", labels=["state"])
    for state in (ONLINE, SILENT, OFFLINE, UNKNOWN):
        sensors.add_metric([state], figures.get("sensors", {}).get(state, 0))
    up = GaugeMetricFamily("cc_link_up", "Whether anything is heard of a county", labels=["county"])
    away = GaugeMetricFamily("cc_link_away_seconds", "For how long nothing is heard of a county", labels=["county"])
    for county, (state, since) in sorted(figures.get("links", {}).items()):
        up.add_metric([county], float(state == ONLINE))
        gone_s = 0.0 if state == ONLINE or since is None else now().timestamp() - since
        away.add_metric([county], gone_s)
    stations = GaugeMetricFamily(
        "cc_stations", "HJ 212 stations: connections now, and what was counted", labels=["what"]
    )
    for what, count in sorted(figures.get("stations", {}).items()):
        stations.add_metric([what], count)
    yield from (sensors, up, away, stations)


@blueprint.get("/metrics")
def metrics() -> Response:
    """Prometheus text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector())
    return Response(generate_latest(registry), content_type="text/plain; version=0.0.4; charset=utf-8")
