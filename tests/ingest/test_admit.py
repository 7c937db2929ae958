"""What is sorted out before anything is decoded: words of links, and what the broker kept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.admit import Word, admit
from ingest.link import Link
from ingest.message import Message
from ingest.silence import OFFLINE, ONLINE, SILENT, UNKNOWN
from tests.ingest.wire import COUNTY, NOW, depth, message

STATE = f"cc/v1/{COUNTY}/gauge-1/state"
LINK = f"cc/v1/{COUNTY}/$link/state"


def reasons(*messages: Message) -> list[tuple[int, str]]:
    return [(found.message, found.reason) for found in admit(messages, {COUNTY}).rejections]


def test_a_reading_that_the_broker_kept_is_refused_and_one_beside_it_goes_on() -> None:
    kept, fresh = message(depth(), retained=True), message(depth())
    found = admit([kept, fresh], {COUNTY})
    assert found.messages == [fresh]
    assert reasons(kept, fresh) == [(0, "retained")]
    assert (found.rejections[0].county, found.rejections[0].source) == (COUNTY, "gauge-1")
    assert reasons(message(b"x", f"cc/v1/{COUNTY}/nvr/raw/frigate/events", retained=True)) == [(0, "retained")]


def test_a_kept_offline_counts_and_a_kept_online_says_nothing_of_now() -> None:
    gone = message(b"offline", STATE, retained=True)
    found = admit([gone, message(b"online", STATE, retained=True), message(b"1", LINK, retained=True)], {COUNTY})
    assert (found.messages, found.words, found.rejections, found.stale) == ([gone], [], [], 2)
    assert admit([message(b"online", STATE)], {COUNTY}).messages == [message(b"online", STATE)]


def test_a_topic_of_others_may_keep_what_it_likes() -> None:
    foreign = message(b"{}", "zigbee2mqtt/door", retained=True)
    assert admit([foreign], {COUNTY}).messages == [foreign]


@pytest.mark.parametrize(("payload", "online"), [(b"online", True), (b"1", True), (b"offline", False), (b"0", False)])
def test_a_link_speaks_for_itself(payload: bytes, online: bool) -> None:
    found = admit([message(payload, LINK)], {COUNTY})
    assert (found.messages, found.words) == ([], [Word(COUNTY, online, NOW)])


def test_what_no_link_may_say_is_refused_with_its_reason() -> None:
    assert reasons(message(b"maybe", LINK)) == [(0, "wrong_type")]
    assert reasons(message(b"online", f"cc/v1/{COUNTY}/$link/reading")) == [(0, "bad_topic")]
    assert reasons(message(b"online", "cc/v1/999999/$link/state")) == [(0, "wrong_county")]


@given(st.lists(st.sampled_from(["heard", "online", "offline", "silent"]), max_size=12))
def test_a_links_own_offline_stands_until_it_says_otherwise_and_silence_ends_when_anybody_speaks(
    course: list[str],
) -> None:
    link, own = Link(COUNTY), UNKNOWN
    for at, what in enumerate(course, start=1):
        if what == "heard":
            link = link.heard(at)
            assert link.state == (OFFLINE if own == OFFLINE else ONLINE)
        elif what == "silent":
            before, link = link, link.fell_silent(at - 1)
            assert link.state == (OFFLINE if own == OFFLINE else SILENT)
            if before.state in (SILENT, OFFLINE):
                assert link == before, "said once"
        else:
            own = link.told(what == "online", at).state
            link = link.told(what == "online", at)
            assert link.state == what
    assert (link.since is None) == (link.state == UNKNOWN)
