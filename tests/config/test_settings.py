"""Settings from the environment: a wrong one stops the start with one clear line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.settings import BadSetting, from_environment

NEEDED = {"CC_DATABASE_URL": "postgresql://cc_web:secret@127.0.0.1:5432/city"}


def test_all_but_the_database_has_a_default() -> None:
    found = from_environment(NEEDED)
    assert (found.http_host, found.http_port, found.city, found.var) == ("127.0.0.1", 8321, "suqian", Path("var"))
    assert (found.secure_cookie, found.time_zone, found.worker_name) == (False, "Asia/Shanghai", "worker")
    assert (found.batch_messages, found.linger_ms, found.mqtt_url) == (2000, 5, None)


def test_everything_can_be_set() -> None:
    found = from_environment(
        {
            "CC_DATABASE_URL": "postgresql://u@db/c",
            "CC_MQTT_URL": "mqtts://u:p@broker:8883",
            "CC_HTTP_HOST": "::",
            "CC_HTTP_PORT": "0",
            "CC_CITY": "elsewhere",
            "CC_VAR": "/srv/a folder",
            "CC_SECURE_COOKIE": "Yes",
            "CC_TIME_ZONE": "UTC",
            "CC_WORKER_NAME": "worker_2",
            "CC_STREAM_HOSTS": "10.0.0.0/8, nvr:554,",
            "CC_BATCH_MESSAGES": "100000",
            "CC_LINGER_MS": "2.5",
            "CC_BUFFER_MESSAGES": "1",
            "CC_BUFFER_MB": "1000",
            "CC_HJ212": "[::]:2120",
        }
    )
    assert (found.database_url, found.require_mqtt()) == ("postgresql://u@db/c", "mqtts://u:p@broker:8883")
    assert (found.http_host, found.http_port, found.city, found.var) == ("::", 0, "elsewhere", Path("/srv/a folder"))
    assert (found.secure_cookie, found.time_zone, found.worker_name) == (True, "UTC", "worker_2")
    assert (found.batch_messages, found.linger_ms) == (100_000, 2.5)
    assert (found.buffer_messages, found.buffer_mb) == (1, 1000)
    assert found.hj212 == ("::", 2120)
    assert found.stream_hosts == ("10.0.0.0/8", "nvr:554")


BAD = [
    ("CC_DATABASE_URL", ""),
    ("CC_DATABASE_URL", "city"),
    ("CC_DATABASE_URL", "sqlite:///city.db"),
    ("CC_DATABASE_URL", "postgresql:///city"),
    ("CC_DATABASE_URL", "postgresql://u:p@host:port/city"),
    ("CC_DATABASE_URL", "postgresql://u:p@host:99999/city"),
    ("CC_DATABASE_URL", "postgresql://[::1/city"),
    ("CC_MQTT_URL", "localhost:1883"),
    ("CC_MQTT_URL", "http://localhost:1883"),
    ("CC_MQTT_URL", "mqtt://"),
    ("CC_HTTP_PORT", "http"),
    ("CC_HTTP_PORT", "-1"),
    ("CC_HTTP_PORT", "65536"),
    ("CC_HTTP_PORT", "80.5"),
    ("CC_HTTP_PORT", "nan"),
    ("CC_BATCH_MESSAGES", "0"),
    ("CC_BATCH_MESSAGES", "100001"),
    ("CC_BATCH_MESSAGES", "1.5"),
    ("CC_BATCH_MESSAGES", "many"),
    ("CC_LINGER_MS", "-0.1"),
    ("CC_BUFFER_MESSAGES", "0"),
    ("CC_BUFFER_MB", "0.5"),
    ("CC_HJ212", "2120"),
    ("CC_HJ212", "0.0.0.0:0"),
    ("CC_HJ212", "0.0.0.0:http"),
    ("CC_MQTT_URL", "mqtts://broker?ca=/nowhere/ca.crt"),
    ("CC_LINGER_MS", "1001"),
    ("CC_LINGER_MS", "inf"),
    ("CC_LINGER_MS", "5 ms"),
    ("CC_SECURE_COOKIE", "perhaps"),
    ("CC_TIME_ZONE", "Asia/Suqian"),
    ("CC_TIME_ZONE", "../etc/passwd"),
    ("CC_CITY", "../elsewhere"),
    ("CC_CITY", "Suqian"),
    ("CC_CITY", "a\nb"),
    ("CC_CITY", "suqian\n"),
    ("CC_WORKER_NAME", "worker 1"),
    ("CC_WORKER_NAME", "w" * 41),
    ("CC_WORKER_NAME", "工人"),
]


@pytest.mark.parametrize(("name", "value"), BAD)
def test_a_wrong_value_is_one_clear_line_that_names_its_variable(name: str, value: str) -> None:
    with pytest.raises(BadSetting) as refused:
        from_environment(NEEDED | {name: value})
    told = str(refused.value)
    assert name in told
    assert len(told) > len(name) + 10
    assert "\n" not in told
    assert [other for other in NEEDED | dict(BAD) if other != name and other in told] == []


def test_a_missing_database_is_named_and_a_missing_broker_only_where_it_is_needed() -> None:
    with pytest.raises(BadSetting, match="CC_DATABASE_URL is not set"):
        from_environment({})
    with pytest.raises(BadSetting, match="CC_MQTT_URL is not set"):
        from_environment(NEEDED).require_mqtt()


@pytest.mark.parametrize("name", [name for name in dict(BAD) if name != "CC_DATABASE_URL"] + ["CC_HTTP_HOST", "CC_VAR"])
def test_an_empty_setting_counts_as_not_set(name: str) -> None:
    assert from_environment(NEEDED | {name: ""}) == from_environment(NEEDED)


def test_a_wrong_address_is_told_without_its_password() -> None:
    for url in ("mysql://cc:hush@host/city", "postgresql://cc:hush@host:port/city", "postgresql://cc:hush@/city"):
        with pytest.raises(BadSetting) as refused:
            from_environment({"CC_DATABASE_URL": url})
        assert "hush" not in str(refused.value)


@given(st.sampled_from(sorted(dict(BAD))), st.text(max_size=30))
def test_whatever_is_set_is_taken_or_refused_by_name_and_never_anything_else(name: str, value: str) -> None:
    try:
        from_environment(NEEDED | {name: value})
    except BadSetting as refused:
        assert name in str(refused)  # noqa: PT017
        assert "\n" not in str(refused)  # noqa: PT017
