"""What workers say is believed only as far as it can be right."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from attrs import asdict
from hypothesis import given
from hypothesis import strategies as st

from kestrel_framework._matched_feed import MatchedFeed
from kestrel_framework._pipeline.matcher_pool import frames
from kestrel_framework._pipeline.matcher_pool.answers import (
    AnswerError,
    check,
    decode_answer,
    decode_request,
    encode_answer,
    encode_request,
    joined,
)
from kestrel_framework.event import EventBatch
from pool_streams import ODD_LINES, detector_of, lines

MATCHER = MatchedFeed(detector_of()).matcher
BATCH = EventBatch(payloads=lines(1, 60), origin="here", first_offset=100)
SENT = EventBatch(payloads=BATCH.payloads, first_offset=0)
PLACES, TIMES, TIEBREAKERS, PROBLEMS, PROCESSES, MATCHED, SETS, SET_OF = range(8)


def answered() -> list[Any]:
    """Return a right answer as plain data."""
    plain: list[Any] = msgspec.msgpack.decode(encode_answer(7, MATCHER.match(SENT)))
    return plain


def accept(plain: object) -> None:
    answer = decode_answer(msgspec.msgpack.encode(plain))
    check(answer, len(BATCH.payloads), MATCHER)
    if answer.found is not None:
        joined([(0, answer)], BATCH)


def test_an_answer_says_what_the_main_process_would() -> None:
    answer = decode_answer(encode_answer(7, MATCHER.match(SENT)))
    check(answer, 60, MATCHER)
    assert answer.number == 7
    assert asdict(joined([(0, answer)], BATCH)) == asdict(MATCHER.match(BATCH))


def test_parts_say_together_what_the_whole_says() -> None:
    parts = []
    for start in range(0, 60, 13):
        part = EventBatch(payloads=BATCH.payloads[start : start + 13], first_offset=0)
        parts.append((start, decode_answer(encode_answer(1, MATCHER.match(part)))))
    assert asdict(joined(parts, BATCH)) == asdict(MATCHER.match(BATCH))


@pytest.mark.parametrize("line", ODD_LINES)
def test_what_cannot_be_sent_is_left_to_the_main_process(line: bytes) -> None:
    batch = EventBatch(payloads=[line], first_offset=0)
    answer = decode_answer(encode_answer(1, MATCHER.match(batch)))
    check(answer, 1, MATCHER)
    if b"9" * 30 in line or b"123456789012345678901234567890" in line:
        assert answer.found is None
    else:
        assert asdict(joined([(0, answer)], batch)) == asdict(MATCHER.match(batch))


WRONG: list[Callable[[list[Any]], object]] = [
    lambda found: found[PLACES].append(60),
    lambda found: found[PLACES].insert(0, found[PLACES][0]),
    lambda found: found[PLACES].reverse(),
    lambda found: found[TIMES].pop(),
    lambda found: found[TIMES].__setitem__(0, "now"),
    lambda found: found[TIEBREAKERS].clear(),
    lambda found: found[TIEBREAKERS].__setitem__(0, [1]),
    lambda found: found[PROBLEMS].append(["cause", "message", 61, True]),
    lambda found: found[PROBLEMS].append(["cause", "message", -1, True]),
    lambda found: found[PROCESSES].pop(),
    lambda found: found[PROCESSES][0][0].pop(),
    lambda found: found[PROCESSES][0][1].append(60),
    lambda found: found[MATCHED].pop(),
    lambda found: found[MATCHED].__setitem__(-1, 60),
    lambda found: found[SET_OF].__setitem__(0, 1000),
    lambda found: found[SET_OF].__setitem__(0, -1),
    lambda found: found[SETS].__setitem__(0, []),
    lambda found: found[SETS].__setitem__(0, [1000]),
    lambda found: found[SETS].__setitem__(0, [1, 1]),
    lambda found: found.pop(),
]


@pytest.mark.parametrize("spoil", WRONG)
def test_an_answer_that_cannot_be_right_is_refused(spoil: Callable[[list[Any]], object]) -> None:
    plain = answered()
    accept(plain)
    spoil(plain[1])
    with pytest.raises(AnswerError):
        accept(plain)


@given(st.binary(max_size=200))
def test_other_bytes_are_refused(message: bytes) -> None:
    try:
        answer = decode_answer(message)
    except AnswerError:
        return
    if answer.found is not None:
        check(answer, 0, MATCHER)


@given(st.data())
def test_a_changed_byte_is_refused_or_harmless(data: st.DataObject) -> None:
    message = bytearray(encode_answer(7, MATCHER.match(SENT)))
    place = data.draw(st.integers(0, len(message) - 1))
    message[place] = data.draw(st.integers(0, 255))
    try:
        answer = decode_answer(bytes(message))
        check(answer, 60, MATCHER)
    except AnswerError:
        return
    if answer.found is not None:
        joined([(0, answer)], BATCH)


def test_requests_arrive_as_they_are() -> None:
    assert decode_request(encode_request(5, BATCH.payloads)) == (5, list(BATCH.payloads))


class TestFrames:
    @pytest.mark.parametrize("size", [0, 1, 1 << 14, (1 << 14) + 1, 5_000_000])
    def test_messages_arrive_whole_with_their_descriptor(self, size: int) -> None:
        ours, theirs = frames.connected_pair()
        with ours, theirs, open(os.devnull, "rb") as file:  # noqa: PTH123
            frames.send(ours, b"x" * size, file.fileno())
            frames.send(ours, b"second")
            received = frames.receive(theirs, 5_000_000)
            assert received is not None
            message, descriptor = received
            assert message == b"x" * size
            assert descriptor is not None
            os.close(descriptor)
            assert frames.receive(theirs, 10) == (b"second", None)
            ours.close()
            assert frames.receive(theirs, 10) is None

    def test_a_message_that_is_too_long_is_refused(self) -> None:
        ours, theirs = frames.connected_pair()
        with ours, theirs:
            for size in (11, 100_000):
                frames.send(ours, b"x" * size)
                with pytest.raises(frames.FrameError):
                    frames.receive(theirs, 10)

    def test_what_is_no_message_is_refused(self) -> None:
        ours, theirs = frames.connected_pair()
        read, write = os.pipe()
        with ours, theirs:
            ours.send(b"?")
            ours.send(b"f")
            ours.send(b"p" + b"x" * (1 << 15))
            socket.send_fds(ours, [b"f"], [read])
            for _ in range(4):
                with pytest.raises(frames.FrameError):
                    frames.receive(theirs, 1 << 20)
        os.close(read)
        os.close(write)
