from __future__ import annotations

import math
import struct
from importlib.resources import files

import pytest

from ingest import profile
from ingest.decode import Memory, decode
from ingest.profile import BadProfiles
from ingest.quarantine import SENTINEL
from ingest.reading import OUT_OF_RANGE
from ingest.sensor import Catalogue, Quantity
from tests.ingest.wire import catalogue, depth, message, sensor

PACK = """
profiles:
  - id: gauge
    title: {zh-CN: 水位计, en: Gauge}
    interval_s: 60
    quantities:
      water_depth: {low: 0, high: 2, sentinels: [-999, 327.67]}
"""


def _gauges(pack: str = PACK) -> Catalogue:
    known = catalogue()
    sensors = [sensor(profile="gauge"), sensor(2, "gauge-2")]
    return Catalogue.of(sensors, known.quantities.values(), profile.read(pack, known.quantities))


def _single(number: float) -> float:
    return float(struct.unpack("f", struct.pack("f", number))[0])


@pytest.mark.parametrize("sent", [-999, -999.0, 327.67, _single(327.67)])
def test_a_number_by_which_a_device_says_that_it_has_no_value_is_no_reading(sent: float) -> None:
    found = decode([message(depth(sent))], _gauges(), Memory())
    assert len(found.batch) == 0
    [rejection] = found.rejections
    assert rejection.reason == SENTINEL
    assert "gauge" in rejection.detail


def test_what_the_same_message_says_of_other_quantities_is_taken() -> None:
    found = decode([message({"values": {"water_depth": -999, "noise": 55}})], _gauges(), Memory())
    assert found.batch.value.tolist() == [55]
    assert [rejection.reason for rejection in found.rejections] == [SENTINEL]


@pytest.mark.parametrize(("value", "odd"), [(2.0, False), (2.01, True), (-0.01, True), (0.0, False)])
def test_the_range_of_the_model_is_asked_before_that_of_the_quantity(value: float, odd: bool) -> None:
    found = decode([message(depth(value))], _gauges(), Memory())
    assert bool(found.batch.flags[0] & OUT_OF_RANGE) is odd


def test_a_sensor_of_no_known_model_is_judged_by_the_quantity_alone() -> None:
    topic = message({}).topic.replace("gauge-1", "gauge-2")
    found = decode([message(depth(2.5), topic), message(depth(-999), topic)], _gauges(), Memory())
    assert found.batch.value.tolist() == [2.5, -999]
    assert (found.batch.flags & OUT_OF_RANGE).astype(bool).tolist() == [False, True]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("profiles: [", "not YAML"),
        ("profiles: 3", "array"),
        (PACK.replace("water_depth", "no_such"), "no quantity 'no_such'"),
        (PACK.replace("low: 0", "low: 3"), "from 3 to 2"),
        (PACK.replace("high: 2", "high: .nan"), "Expected `float`"),
        (PACK.replace("interval_s: 60", "interval_s: 0"), ">= 1"),
        (PACK.replace("id: gauge", "id: 'a gauge'"), "matching regex"),
        (PACK.replace("high: 2", "hihg: 2"), "hihg"),
        (PACK + PACK.replace("profiles:", ""), "twice"),
    ],
)
def test_a_pack_that_cannot_be_meant_is_refused_with_the_reason(text: str, said: str) -> None:
    with pytest.raises(BadProfiles, match=said):
        profile.read(text, catalogue().quantities)


def test_the_shipped_pack_reads_and_names_quantities_of_the_city() -> None:
    import yaml

    folder = files("config").joinpath("suqian")
    stated = yaml.safe_load(folder.joinpath("quantities.yaml").read_text("utf-8"))["quantities"]
    known = {q["name"]: Quantity(q["n"], q["name"], q["unit"], "", "", q["low"], q["high"]) for q in stated}
    found = profile.read(folder.joinpath("profiles.yaml").read_text("utf-8"), known)
    assert found
    for model in found:
        for name, own in model.plausible.items():
            assert known[name].low <= own.low <= own.high <= known[name].high, (model.id, name)
            assert all(math.isfinite(number) for number in own.sentinels)
