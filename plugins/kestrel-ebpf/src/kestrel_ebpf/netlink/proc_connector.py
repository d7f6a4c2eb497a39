"""The socket on which the kernel says which processes begin, change and end."""

from __future__ import annotations

import errno
import os
import secrets
import select
import socket
import sys
import time
from collections.abc import Iterable
from typing import Final

import attrs

from kestrel_ebpf.netlink.proc_messages import (
    IGNORE,
    LISTEN,
    Acknowledged,
    Envelope,
    ProcMessage,
    ProcMessageError,
    decode,
    encode_command,
)
from kestrel_framework.errors import InputError

_PROTOCOL: Final = 11  # NETLINK_CONNECTOR
_GROUP: Final = 1  # CN_IDX_PROC
_RECEIVE_BUFFER_FORCE: Final = 33  # SO_RCVBUFFORCE, which the socket module leaves out
_DATAGRAM_BYTES: Final = 4096
_ANSWER_SECONDS: Final = 2.0


@attrs.define
class Losses:
    """What did not come through.

    Attributes:
        undelivered: Messages that the kernel made and could not hand over.
        undecodable: Datagrams of the kernel that could not be read to their end.
        overruns: How often the receive buffer ran over; its messages are in `undelivered`.
        foreign: Datagrams that another process had sent, which are no events.
    """

    undelivered: int = 0
    undecodable: int = 0
    overruns: int = 0
    foreign: int = 0


class SequenceGaps:
    """Counts messages that were made and never arrived, by the numbers of each processor.

    After the socket has said that its buffer ran over, the first missing message
    is already known; a gap seen later includes it.
    """

    def __init__(self) -> None:
        self._next: dict[int, int] = {}
        self._counted_ahead = 0

    def overrun(self) -> int:
        """Hear that the buffer ran over; return the number of messages known lost: one."""
        self._counted_ahead += 1
        return 1

    def missing(self, envelope: Envelope) -> int:
        """Return how many messages are newly known to be missing before this one."""
        expected = self._next.get(envelope.cpu, envelope.sequence)
        self._next[envelope.cpu] = (envelope.sequence + 1) % 2**32
        gap = (envelope.sequence - expected) % 2**32
        if gap >= 2**31:  # the numbers began again
            return 0
        known = min(gap, self._counted_ahead)
        self._counted_ahead -= known
        return gap - known


class ProcConnector:
    """A subscription to the process connector. Used by one thread."""

    def __init__(self, receive_buffer_bytes: int) -> None:
        self._receive_buffer_bytes = receive_buffer_bytes
        self._socket: socket.socket | None = None
        self._gaps = SequenceGaps()
        self._losses = Losses()

    def open(self) -> None:
        """Subscribe, and wait until the kernel has agreed.

        Raises:
            InputError: this is not Linux, the kernel has no process connector or
                does not serve this namespace, or the right to listen is missing.
        """
        if not sys.platform.startswith("linux"):
            raise InputError(
                f"the process connector exists on Linux only, and this is {sys.platform}: "
                "record on a Linux host, and read the capture here with the source `jsonl`"
            )
        try:
            self._socket = socket.socket(
                socket.AF_NETLINK, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, _PROTOCOL
            )
            self._widen_buffer(self._socket)
            self._socket.bind((0, _GROUP))
            self._socket.setblocking(False)
            self._command(LISTEN)
        except OSError as error:
            self.close()
            raise _explained(error) from error
        except InputError:
            self.close()
            raise

    def receive(self, max_messages: int, timeout: float) -> list[ProcMessage]:
        """Return what has arrived, at most about `max_messages`, in the order of the kernel.

        Waits up to `timeout` seconds for a first message. Cost: one system call and about
        5 µs for each message.

        Raises:
            InputError: the socket failed.
        """
        received: list[ProcMessage] = []
        while len(received) < max_messages:
            datagram = self._datagram(0.0 if received else timeout)
            if datagram is None:
                break
            try:
                for message in decode(datagram):
                    self._losses.undelivered += self._gaps.missing(message.envelope)
                    received.append(message)
            except ProcMessageError:
                self._losses.undecodable += 1
        return received

    def take_losses(self) -> Losses:
        """Return what was lost since the last call."""
        taken, self._losses = self._losses, Losses()
        return taken

    def close(self) -> None:
        """Unsubscribe. A second call does nothing."""
        connected, self._socket = self._socket, None
        if connected is None:
            return
        try:
            connected.send(encode_command(IGNORE, 0, connected.getsockname()[0]))
        except OSError:
            pass  # the kernel unsubscribes whoever closes
        finally:
            connected.close()

    def _command(self, command: int) -> None:
        """Send a command and wait for its answer, keeping no event that comes before it."""
        connected = self._connected()
        token = secrets.randbits(32)
        connected.send(encode_command(command, token, connected.getsockname()[0]))
        deadline = time.monotonic() + _ANSWER_SECONDS
        while (remaining := deadline - time.monotonic()) > 0:
            answer = _answer(self.receive(1, remaining), token)
            if answer is None:
                continue
            if answer.error:
                raise OSError(answer.error, os.strerror(answer.error))
            return
        raise InputError(
            "the process connector does not answer: it serves the first pid, user and network "
            "namespace of a host only. Run on the host, or start the container with the host's "
            "namespaces (docker: --pid=host --network=host --userns=host)"
        )

    def _widen_buffer(self, connected: socket.socket) -> None:
        """Ask for the whole buffer; without CAP_NET_ADMIN the system's maximum must do."""
        try:
            connected.setsockopt(
                socket.SOL_SOCKET, _RECEIVE_BUFFER_FORCE, self._receive_buffer_bytes
            )
        except PermissionError:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_buffer_bytes)

    def _datagram(self, timeout: float) -> bytes | None:
        """Return the next datagram that the kernel itself sent, or None if none has come."""
        connected = self._connected()
        while True:
            try:
                datagram, (sender, _groups) = connected.recvfrom(_DATAGRAM_BYTES)
            except BlockingIOError:
                if timeout <= 0 or not select.select([connected], [], [], timeout)[0]:
                    return None
                timeout = 0.0
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise InputError(f"the process connector failed: {error.strerror}") from error
                self._losses.overruns += 1
                self._losses.undelivered += self._gaps.overrun()
            else:
                if sender == 0:
                    return datagram
                self._losses.foreign += 1

    def _connected(self) -> socket.socket:
        if self._socket is None:
            raise InputError("the process connector is not open")
        return self._socket


def _answer(messages: Iterable[ProcMessage], token: int) -> Acknowledged | None:
    for message in messages:
        if isinstance(message, Acknowledged) and message.token == token:
            return message
    return None


def _explained(error: OSError) -> InputError:
    if error.errno in (errno.EPERM, errno.EACCES):
        return InputError(
            "listening to the process connector needs CAP_NET_ADMIN: run as root, "
            "or give the right with `setpriv` or a systemd unit (AmbientCapabilities=CAP_NET_ADMIN)"
        )
    if error.errno in (errno.EPROTONOSUPPORT, errno.EAFNOSUPPORT, errno.ECONNREFUSED):
        return InputError(
            "there is no process connector here: the kernel lacks CONFIG_PROC_EVENTS, or this is "
            "not the host's network namespace. Run on the host's network, or use another source"
        )
    return InputError(f"the process connector cannot be used: {error.strerror}")
