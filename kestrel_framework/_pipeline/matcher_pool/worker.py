"""A worker: matches what it is sent until nobody sends any more."""

from __future__ import annotations

import os
import socket

from kestrel_framework._pipeline.event_matcher import EventMatcher
from kestrel_framework._pipeline.flow import MatchedBatch
from kestrel_framework._pipeline.matcher_pool import frames
from kestrel_framework._pipeline.matcher_pool.answers import decode_request, encode_answer
from kestrel_framework.event import EventBatch

LONGEST_MESSAGE = 1 << 40
"""What the main process sends is limited by what it can hold."""


def serve(connection: socket.socket, matcher: EventMatcher) -> None:
    """Say which process this is, and match until the connection ends.

    Raises:
        OSError: the main process is gone.
    """
    frames.send(connection, os.getpid().to_bytes(8))
    while (received := frames.receive(connection, LONGEST_MESSAGE)) is not None:
        number, payloads = decode_request(received[0])
        frames.send(connection, encode_answer(number, _matched(matcher, payloads)))


def _matched(matcher: EventMatcher, payloads: list[bytes]) -> MatchedBatch | None:
    try:
        return matcher.match(EventBatch(payloads=payloads, first_offset=0))
    except Exception:  # noqa: BLE001 - the main process will meet the same fault, and report it
        return None
