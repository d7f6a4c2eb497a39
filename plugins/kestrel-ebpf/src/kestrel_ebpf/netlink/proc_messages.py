"""The messages of the kernel's process connector, decoded from bytes.

A datagram holds netlink messages; each of ours holds a connector message
(`struct cn_msg`), which holds one event (`struct proc_event`). The kernel packs
them in the byte order of the machine, without padding between the layers.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, TypeAlias

import attrs

LISTEN: Final = 1
IGNORE: Final = 2

_NETLINK_HEADER: Final = struct.Struct("=IHHII")  # length, type, flags, sequence, sender
_CONNECTOR_HEADER: Final = struct.Struct("=IIIIHH")  # idx, val, sequence, ack, length, flags
_EVENT_HEADER: Final = struct.Struct("=IIQ")  # what, cpu, timestamp
_TWO: Final = struct.Struct("=II")
_FOUR: Final = struct.Struct("=IIII")
_SIX: Final = struct.Struct("=IIIIII")
_ERROR: Final = struct.Struct("=I")
_COMMAND: Final = struct.Struct("=I")

_DONE: Final = 3  # NLMSG_DONE: the type of every connector message
_PROC_INDEX: Final = 1  # CN_IDX_PROC
_PROC_VALUE: Final = 1  # CN_VAL_PROC
_COMM_BYTES: Final = 16


class ProcMessageError(ValueError):
    """A datagram is not what the process connector sends."""


@attrs.frozen
class Envelope:
    """What every message says besides its event.

    Attributes:
        monotonic_ns: When it happened, on CLOCK_MONOTONIC.
        cpu: The processor it happened on.
        sequence: Its number among the messages of that processor, modulo 2**32.
    """

    monotonic_ns: int
    cpu: int
    sequence: int


@attrs.frozen
class Acknowledged:
    """The kernel's answer to a command of any listener: `error` is an errno, or 0.

    `token` is the number that the command carried.
    """

    envelope: Envelope
    error: int
    token: int


@attrs.frozen
class Forked:
    """A thread began; it is a process where `thread_id` is `process_id`.

    `parent_id` is the process that the kernel gives it as a parent.
    """

    envelope: Envelope
    parent_id: int
    thread_id: int
    process_id: int


@attrs.frozen
class Executed:
    """A process runs another program now."""

    envelope: Envelope
    process_id: int


@attrs.frozen
class UserChanged:
    """A thread has other user ids now."""

    envelope: Envelope
    process_id: int
    real: int
    effective: int


@attrs.frozen
class GroupChanged:
    """A thread has other group ids now."""

    envelope: Envelope
    process_id: int
    real: int
    effective: int


@attrs.frozen
class SessionBegun:
    """A process leads a new session now."""

    envelope: Envelope
    process_id: int


@attrs.frozen
class Renamed:
    """A thread gave itself, or was given, another short name (`comm`)."""

    envelope: Envelope
    thread_id: int
    process_id: int
    comm: bytes


@attrs.frozen
class Exited:
    """A thread ended. `status` is what wait(2) returns to the parent."""

    envelope: Envelope
    thread_id: int
    process_id: int
    status: int


@attrs.frozen
class Unregarded:
    """An event of a kind that is not decoded (ptrace, core dump, or a later kernel's)."""

    envelope: Envelope


ProcMessage: TypeAlias = (
    Acknowledged
    | Forked
    | Executed
    | UserChanged
    | GroupChanged
    | SessionBegun
    | Renamed
    | Exited
    | Unregarded
)


def encode_command(command: int, token: int, port: int) -> bytes:
    """Return the datagram that starts (`LISTEN`) or stops (`IGNORE`) the events."""
    payload = _COMMAND.pack(command)
    connector = _CONNECTOR_HEADER.pack(_PROC_INDEX, _PROC_VALUE, 0, token, len(payload), 0)
    size = _NETLINK_HEADER.size + len(connector) + len(payload)
    return _NETLINK_HEADER.pack(size, _DONE, 0, 0, port) + connector + payload


def decode(datagram: bytes | bytearray | memoryview) -> Iterator[ProcMessage]:
    """Yield the messages of one datagram, leaving out those of other connectors.

    Raises:
        ProcMessageError: it is cut short or contradicts itself; the messages
            before that place have been yielded.
    """
    start = 0
    while start < len(datagram):
        if len(datagram) - start < _NETLINK_HEADER.size:
            raise ProcMessageError(f"{len(datagram) - start} bytes are no netlink message")
        size, kind, _flags, _sequence, _sender = _NETLINK_HEADER.unpack_from(datagram, start)
        if not _NETLINK_HEADER.size <= size <= len(datagram) - start:
            raise ProcMessageError(f"a netlink message cannot be {size} bytes long here")
        if kind == _DONE:
            message = _decode_connector(datagram, start + _NETLINK_HEADER.size, start + size)
            if message is not None:
                yield message
        start += (size + 3) & ~3


def _decode_connector(
    datagram: bytes | bytearray | memoryview, start: int, end: int
) -> ProcMessage | None:
    body = start + _CONNECTOR_HEADER.size
    if body > end:
        raise ProcMessageError("a connector message is cut short")
    index, value, sequence, ack, size, _flags = _CONNECTOR_HEADER.unpack_from(datagram, start)
    if (index, value) != (_PROC_INDEX, _PROC_VALUE):
        return None
    data = body + _EVENT_HEADER.size
    if data > end or body + size > end:
        raise ProcMessageError("a process event is cut short")
    what, cpu, timestamp = _EVENT_HEADER.unpack_from(datagram, body)
    envelope = Envelope(timestamp, cpu, sequence)
    try:
        return _decode_event(what, envelope, datagram[:end], data, ack)
    except struct.error as error:
        raise ProcMessageError(f"process event {what:#x} is cut short") from error


def _decode_event(
    what: int, envelope: Envelope, datagram: bytes | bytearray | memoryview, at: int, ack: int
) -> ProcMessage:
    match what:
        case 0x0000_0001:
            _, parent, thread, process = _FOUR.unpack_from(datagram, at)
            return Forked(envelope, parent, thread, process)
        case 0x0000_0002:
            _, process = _TWO.unpack_from(datagram, at)
            return Executed(envelope, process)
        case 0x0000_0004:
            _, process, real, effective = _FOUR.unpack_from(datagram, at)
            return UserChanged(envelope, process, real, effective)
        case 0x0000_0040:
            _, process, real, effective = _FOUR.unpack_from(datagram, at)
            return GroupChanged(envelope, process, real, effective)
        case 0x0000_0080:
            _, process = _TWO.unpack_from(datagram, at)
            return SessionBegun(envelope, process)
        case 0x0000_0200:
            thread, process = _TWO.unpack_from(datagram, at)
            name = at + _TWO.size
            comm = bytes(datagram[name : name + _COMM_BYTES]).split(b"\0", 1)[0]
            return Renamed(envelope, thread, process, comm)
        case 0x8000_0000:
            thread, process, status, _signal, _, _ = _SIX.unpack_from(datagram, at)
            return Exited(envelope, thread, process, status)
        case 0x0000_0000:
            (error,) = _ERROR.unpack_from(datagram, at)
            return Acknowledged(envelope, error, (ack - 1) % 2**32)
        case _:
            return Unregarded(envelope)
