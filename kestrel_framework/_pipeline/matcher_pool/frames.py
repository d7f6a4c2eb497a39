"""Messages between processes, each in one piece.

A short message is a packet of the socket. A long one is in a file in memory, whose descriptor
the packet brings: whoever sends never waits for the other side, however busy that is.
"""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Sequence
from typing import Final

_LONGEST_PACKET: Final = 1 << 14
_IN_PACKET: Final = b"p"
_IN_FILE: Final = b"f"
_MOST_DESCRIPTORS: Final = 2
_GREATEST_READ: Final = 1 << 30


class FrameError(Exception):
    """What arrived is no message."""


def connected_pair() -> tuple[socket.socket, socket.socket]:
    """Return the two ends of a new connection."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def send(connection: socket.socket, message: bytes, descriptor: int | None = None) -> None:
    """Send a message, and an open descriptor if the other side should have one.

    Raises:
        OSError: the other side is gone, does not read, or there is no memory.
    """
    descriptors = [] if descriptor is None else [descriptor]
    if len(message) <= _LONGEST_PACKET:
        socket.send_fds(connection, [_IN_PACKET + message], descriptors)
        return
    file = os.memfd_create("kestrel batch", os.MFD_CLOEXEC)
    try:
        _write(file, message)
        socket.send_fds(connection, [_IN_FILE], [file, *descriptors])
    finally:
        os.close(file)


def receive(connection: socket.socket, longest: int) -> tuple[bytes, int | None] | None:
    """Return the next message and the descriptor that came with it; None at the end.

    The descriptor belongs to the caller.

    Args:
        connection: Where from.
        longest: The most bytes that the message may have.

    Raises:
        FrameError: what arrived is no message, or too long.
        OSError: the connection is broken, or nothing is there and it does not block.
    """
    packet, descriptors, flags, _ = socket.recv_fds(
        connection, _LONGEST_PACKET + 2, _MOST_DESCRIPTORS, socket.MSG_CMSG_CLOEXEC
    )
    if not packet and not descriptors:
        return None
    try:
        if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
            raise FrameError("the packet is too large")
        if packet.startswith(_IN_PACKET):
            message = packet[len(_IN_PACKET) :]
        elif packet == _IN_FILE and descriptors:
            message = _content(descriptors[0], longest)
            os.close(descriptors.pop(0))
        else:
            raise FrameError("the packet says nothing known")
        if len(message) > longest or len(descriptors) > 1:
            raise FrameError("the message is too long")
    except BaseException:
        _close(descriptors)
        raise
    return message, descriptors[0] if descriptors else None


def _write(file: int, message: bytes) -> None:
    written = 0
    while written < len(message):
        written += os.write(file, memoryview(message)[written:])


def _content(file: int, longest: int) -> bytes:
    status = os.fstat(file)
    if not stat.S_ISREG(status.st_mode) or status.st_size > longest:
        raise FrameError("the message is no file in memory, or too long")
    parts = []
    read = 0
    while read < status.st_size:
        part = os.pread(file, min(_GREATEST_READ, status.st_size - read), read)
        if not part:
            raise FrameError("the message became shorter")
        parts.append(part)
        read += len(part)
    return b"".join(parts)


def _close(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
