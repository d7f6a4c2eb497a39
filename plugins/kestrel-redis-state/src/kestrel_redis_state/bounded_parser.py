"""Reads answers of a server that may be hostile: within a size and a time."""

from __future__ import annotations

import time
from socket import socket
from typing import Final, Protocol

import hiredis
import redis

_CHUNK: Final = 65_536
_UNFINISHED: Final = object()


class _Connected(Protocol):
    """The part of a connection of the package `redis` that a parser is given."""

    _sock: socket


class BoundedParser:
    """A parser for a connection of the package `redis`, which makes one for itself in this form.

    The client's own takes any size, and gives each piece of an answer the whole time again.

    Attributes:
        deadline: Until when an answer must be complete, on the monotonic clock.
        most_bytes: The largest answer that is read.
    """

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self.deadline = 0.0
        self._socket: socket | None = None
        self._reader: hiredis.Reader | None = None

    def __call__(self, socket_read_size: int) -> BoundedParser:
        """Be the parser class that a connection makes its parser from."""
        return self

    def on_connect(self, connection: _Connected, **options: object) -> None:
        """Begin to read from a new connection."""
        self._socket = connection._sock
        self._reader = hiredis.Reader(
            protocolError=redis.InvalidResponse,
            replyError=redis.ResponseError,
            notEnoughData=_UNFINISHED,
        )

    def on_disconnect(self) -> None:
        """Forget the connection."""
        self._socket = None
        self._reader = None

    def can_read(self, timeout: float = 0) -> bool:
        """Say whether something has come that nobody asked for: then the connection is unusable."""
        return self._reader is not None and bool(self._reader.has_data())

    def read_response(self, **options: object) -> object:
        """Return the next answer; one that is an error is returned, not raised.

        Raises:
            redis.ConnectionError: the server is gone, or its answer is larger than allowed.
            redis.TimeoutError: it is not complete in time.
            redis.InvalidResponse: it is none.
        """
        if self._socket is None or self._reader is None:
            raise redis.ConnectionError("the connection is closed")
        received = 0
        try:
            answer: object = self._reader.gets()
            while answer is _UNFINISHED:
                rest = self.deadline - time.monotonic()
                if rest <= 0:
                    raise redis.TimeoutError("the answer was not complete in time")
                self._socket.settimeout(rest)
                chunk = self._socket.recv(_CHUNK)
                if not chunk:
                    raise redis.ConnectionError("the server closed the connection")
                received += len(chunk)
                if received > self.most_bytes:
                    problem = f"the answer is larger than {self.most_bytes} bytes"
                    raise redis.InvalidResponse(problem)
                self._reader.feed(chunk)
                answer = self._reader.gets()
        except TimeoutError as error:
            raise redis.TimeoutError("no answer in time") from error
        except MemoryError as error:
            raise redis.InvalidResponse("the answer claims more than memory holds") from error
        return answer
