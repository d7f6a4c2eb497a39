"""The socket of the process connector: losses, senders, and clear refusals."""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kestrel_ebpf.netlink.proc_connector import Losses, ProcConnector, SequenceGaps
from kestrel_ebpf.netlink.proc_messages import Envelope, Executed
from kestrel_framework.errors import InputError


def envelope(sequence: int, cpu: int = 0) -> Envelope:
    return Envelope(0, cpu, sequence % 2**32)


def test_gaps_are_counted_for_each_processor_alone() -> None:
    gaps = SequenceGaps()
    steps = [(5, 0), (100, 1), (6, 0), (9, 0), (101, 1), (104, 1)]
    assert [gaps.missing(envelope(number, cpu)) for number, cpu in steps] == [0, 0, 0, 2, 0, 2]


def test_numbers_wrap_and_begin_again_without_a_loss() -> None:
    gaps = SequenceGaps()
    assert [gaps.missing(envelope(n)) for n in (2**32 - 1, 0, 3, 0, 1)] == [0, 0, 2, 0, 0]


def test_an_overrun_is_one_of_the_messages_of_the_gap_that_shows_it() -> None:
    gaps = SequenceGaps()
    gaps.missing(envelope(1))
    known = gaps.overrun()
    assert known + gaps.missing(envelope(5)) == 3


@given(
    lost=st.lists(st.booleans(), min_size=1, max_size=200),
    overrun_after=st.sets(st.integers(0, 199)),
    start=st.integers(0, 2**32 - 1),
)
def test_all_losses_are_counted_once(lost: list[bool], overrun_after: set[int], start: int) -> None:
    """Whatever is lost, and wherever the socket says so, the sum is right in the end."""
    gaps = SequenceGaps()
    gaps.missing(envelope(start))
    counted = 0
    for index, is_lost in enumerate(lost):
        if not is_lost:
            counted += gaps.missing(envelope(start + 1 + index))
        elif index in overrun_after:
            counted += gaps.overrun()
    counted += gaps.missing(envelope(start + 1 + len(lost)))
    assert counted == sum(lost)


class FakeSocket:
    """A socket that yields datagrams with their sender, and errors, and then nothing."""

    def __init__(self, received: Iterable[tuple[bytes, int] | OSError]) -> None:
        self._received: Iterator[tuple[bytes, int] | OSError] = iter(received)

    def recvfrom(self, _size: int) -> tuple[bytes, tuple[int, int]]:
        found = next(self._received, None)
        if found is None:
            raise BlockingIOError
        if isinstance(found, OSError):
            raise found
        return found[0], (found[1], 1)


def connector_over(*received: tuple[bytes, int] | OSError) -> ProcConnector:
    connector = ProcConnector(1024)
    connector._socket = FakeSocket(received)  # type: ignore[assignment]
    return connector


def execution(process_id: int, sequence: int) -> bytes:
    event = struct.pack("=IIQII", 0x2, 0, 0, process_id, process_id).ljust(40, b"\0")
    head = struct.pack("=IIIIHH", 1, 1, sequence, 0, len(event), 0)
    return struct.pack("=IHHII", 16 + len(head) + len(event), 3, 0, 0, 0) + head + event


def test_an_overrun_is_counted_and_reading_goes_on() -> None:
    connector = connector_over(
        (execution(1, 0), 0), OSError(errno.ENOBUFS, "no buffer"), (execution(2, 4), 0)
    )
    received = connector.receive(10, 0.0)
    assert [m.process_id for m in received if isinstance(m, Executed)] == [1, 2]
    assert connector.take_losses() == Losses(undelivered=3, overruns=1)
    assert connector.take_losses() == Losses()


def test_a_datagram_that_a_process_sent_is_no_event() -> None:
    connector = connector_over((execution(666, 0), 4711), (execution(1, 0), 0))
    assert [m.process_id for m in connector.receive(10, 0.0) if isinstance(m, Executed)] == [1]
    assert connector.take_losses() == Losses(foreign=1)


def test_an_undecodable_datagram_is_counted() -> None:
    connector = connector_over((b"nonsense", 0), (execution(1, 0), 0))
    assert len(connector.receive(10, 0.0)) == 1
    assert connector.take_losses() == Losses(undecodable=1)


def test_no_more_than_asked_for_is_taken() -> None:
    connector = connector_over(*((execution(n, n), 0) for n in range(5)))
    assert [len(connector.receive(2, 0.0)) for _ in range(4)] == [2, 2, 1, 0]


def test_a_broken_socket_is_an_input_error() -> None:
    with pytest.raises(InputError, match="the process connector failed: Bad file"):
        connector_over(OSError(errno.EBADF, "Bad file")).receive(1, 0.0)


def test_reading_what_is_not_open_is_an_input_error() -> None:
    with pytest.raises(InputError, match="not open"):
        ProcConnector(1024).receive(1, 0.0)


def test_other_systems_get_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(InputError, match=r"exists on Linux only.*jsonl"):
        ProcConnector(1024).open()


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (errno.EPERM, "needs CAP_NET_ADMIN: run as root"),
        (errno.EPROTONOSUPPORT, "CONFIG_PROC_EVENTS"),
        (errno.EMFILE, "cannot be used: Too many open files"),
    ],
)
def test_a_refusal_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, number: int, sentence: str
) -> None:
    def refuse(*_: object) -> socket.socket:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(socket, "socket", refuse)
    connector = ProcConnector(1024)
    with pytest.raises(InputError, match=sentence):
        connector.open()
    connector.close()
