"""Messages of the process connector, on bytes that the tests build."""

from __future__ import annotations

import contextlib
import errno
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kestrel_ebpf.netlink import proc_messages
from kestrel_ebpf.netlink.proc_messages import (
    Acknowledged,
    Envelope,
    Executed,
    Exited,
    Forked,
    GroupChanged,
    ProcMessage,
    ProcMessageError,
    Renamed,
    SessionBegun,
    Unregarded,
    UserChanged,
    decode,
    encode_command,
)

ENVELOPE = Envelope(monotonic_ns=987_654_321_012, cpu=3, sequence=77)
DATA_BYTES = 24


def datagram(what: int, *words: int, tail: bytes = b"", ack: int = 0, index: int = 1) -> bytes:
    data = (struct.pack(f"={len(words)}I", *words) + tail).ljust(DATA_BYTES, b"\0")
    event = struct.pack("=IIQ", what, ENVELOPE.cpu, ENVELOPE.monotonic_ns) + data
    connector = struct.pack("=IIIIHH", index, 1, ENVELOPE.sequence, ack, len(event), 0)
    size = 16 + len(connector) + len(event)
    return struct.pack("=IHHII", size, 3, 0, 0, 0) + connector + event


@pytest.mark.parametrize(
    ("encoded", "message"),
    [
        (datagram(0x1, 10, 11, 20, 21), Forked(ENVELOPE, 11, 20, 21)),
        (datagram(0x2, 30, 31), Executed(ENVELOPE, 31)),
        (datagram(0x4, 40, 41, 1000, 0), UserChanged(ENVELOPE, 41, 1000, 0)),
        (datagram(0x40, 40, 41, 100, 5), GroupChanged(ENVELOPE, 41, 100, 5)),
        (datagram(0x80, 50, 51), SessionBegun(ENVELOPE, 51)),
        (
            datagram(0x200, 60, 61, tail=b"kworker/0:1\0\0\0\0\0"),
            Renamed(ENVELOPE, 60, 61, b"kworker/0:1"),
        ),
        (
            datagram(0x200, 60, 61, tail=b"exactly16bytes!!"),
            Renamed(ENVELOPE, 60, 61, b"exactly16bytes!!"),
        ),
        (datagram(0x8000_0000, 70, 71, 0x0300, 17, 1, 1), Exited(ENVELOPE, 70, 71, 0x0300)),
        (datagram(0x0, errno.EPERM, ack=6), Acknowledged(ENVELOPE, errno.EPERM, 5)),
        (datagram(0x100, 80, 81), Unregarded(ENVELOPE)),
        (datagram(0x4000_0000, 80, 81), Unregarded(ENVELOPE)),
    ],
)
def test_each_kind_of_event_is_decoded(encoded: bytes, message: ProcMessage) -> None:
    assert list(decode(encoded)) == [message]


def test_several_messages_in_one_datagram_come_in_order() -> None:
    encoded = datagram(0x2, 1, 1) + datagram(0x2, 2, 2)
    assert list(decode(encoded)) == [Executed(ENVELOPE, 1), Executed(ENVELOPE, 2)]


def test_messages_of_other_connectors_and_types_are_left_out() -> None:
    other_type = struct.pack("=IHHII", 16, 2, 0, 0, 0)
    assert list(decode(datagram(0x2, 1, 1, index=9) + other_type)) == []


@pytest.mark.parametrize("length", range(1, len(datagram(0x1, 1, 2, 3, 4))))
def test_a_message_cut_anywhere_is_an_error(length: int) -> None:
    with pytest.raises(ProcMessageError):
        list(decode(datagram(0x1, 1, 2, 3, 4)[:length]))


def test_what_comes_before_a_broken_message_is_not_lost() -> None:
    decoded = decode(datagram(0x2, 1, 1) + b"\xff" * 20)
    assert next(decoded) == Executed(ENVELOPE, 1)
    with pytest.raises(ProcMessageError):
        next(decoded)


def test_a_short_event_that_claims_to_be_whole_is_an_error() -> None:
    event = struct.pack("=IIQ", 0x1, 0, 0)
    connector = struct.pack("=IIIIHH", 1, 1, 0, 0, len(event), 0)
    header = struct.pack("=IHHII", 16 + len(connector) + len(event), 3, 0, 0, 0)
    with pytest.raises(ProcMessageError, match="0x1 is cut short"):
        list(decode(header + connector + event))


@given(st.binary(max_size=300))
def test_random_bytes_are_decoded_or_refused(encoded: bytes) -> None:
    with contextlib.suppress(ProcMessageError):
        list(decode(encoded))


@given(
    base=st.sampled_from([datagram(0x1, 1, 2, 3, 4), datagram(0x8000_0000, 1, 1, 0, 17, 1, 1)]),
    position=st.integers(0, 75),
    byte=st.integers(0, 255),
)
def test_a_damaged_message_is_decoded_or_refused(base: bytes, position: int, byte: int) -> None:
    damaged = bytearray(base)
    damaged[position] = byte
    with contextlib.suppress(ProcMessageError):
        assert len(list(decode(damaged))) <= 1


def test_a_command_has_the_layout_of_the_kernel() -> None:
    encoded = encode_command(proc_messages.LISTEN, token=7, port=4321)
    assert struct.unpack("=IHHII IIIIHH I", encoded) == (40, 3, 0, 0, 4321, 1, 1, 0, 7, 4, 0, 1)
