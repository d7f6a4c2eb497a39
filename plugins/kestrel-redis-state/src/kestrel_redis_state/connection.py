"""One connection to a server: connected when needed, and again after an outage."""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Callable, Sequence
from socket import socket
from typing import Final, Protocol, cast

import redis

from kestrel_framework.errors import StateError
from kestrel_redis_state.bounded_parser import BoundedParser
from kestrel_redis_state.config import RedisStateConfig
from kestrel_redis_state.failures import ServerAway, refused_by_server
from kestrel_redis_state.password_file import read_password
from kestrel_redis_state.scripts import Script

_OVERHEAD_BYTES: Final = 16 * 1024 * 1024


class _Client(Protocol):
    """What is used of a connection of the package `redis`."""

    _sock: socket

    def connect(self) -> None: ...
    def send_command(self, *arguments: bytes | str | int, check_health: bool) -> None: ...
    def read_response(self) -> object: ...
    def disconnect(self) -> None: ...


class RedisConnection:
    """Sends one command at a time, and reads its answer within a time and a size.

    It never sends a command twice: who does, must know what the first one has done. For one
    thread at a time; a process that was forked has a connection of its own.
    """

    def __init__(self, config: RedisStateConfig) -> None:
        self._config = config
        self._timeout = config.command_timeout
        self._parser: BoundedParser
        self._connection: _Client | None = None
        self._process = os.getpid()
        self.place = f"{config.address}, namespace `{config.namespace}`"

    def command(self, *arguments: bytes | str | int, waits: float = 0.0) -> object:
        """Return the answer to a command that may wait `waits` seconds by itself.

        Raises:
            ServerAway: there is none; the next command connects again.
            StateError: the server refused.
        """
        connection = self._connected()
        self._parser.deadline = time.monotonic() + self._timeout + waits
        try:
            connection.send_command(*arguments, check_health=False)
            return connection.read_response()
        except redis.ResponseError as error:
            raise refused_by_server(self.place, str(error)) from error
        except redis.InvalidResponse as error:
            self.close()
            raise ServerAway(f"{self.place}: {error}", was_sent=True) from error
        except (redis.RedisError, OSError) as error:
            self.close()
            raise ServerAway(f"{self.place}: no answer: {error}", was_sent=True) from error

    def run(
        self, script: Script, keys: Sequence[bytes], arguments: Sequence[bytes]
    ) -> list[object]:
        """Run a script, and return its answer, a list that begins with how it went.

        Raises:
            ServerAway: there is no answer.
            StateError: the server refused; nothing was changed.
        """
        rest: list[bytes | str | int] = [len(keys), *keys, *arguments]
        try:
            answer = self.command(b"EVALSHA", script.digest, *rest)
        except StateError as error:
            if not _is_unknown_script(error):
                raise
            answer = self.command(b"EVAL", script.text, *rest)
        if not isinstance(answer, list) or not answer or not isinstance(answer[0], bytes):
            self.close()
            raise StateError(f"{self.place}: its answer is none of a script; is it Redis?")
        return answer

    def close(self) -> None:
        """Disconnect; the next command connects again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.disconnect()

    def _connected(self) -> _Client:
        if self._process != os.getpid():
            self._process, self._connection = os.getpid(), None  # it is the parent's
        if self._connection is not None and self._parser.can_read():
            self.close()  # what came unasked would be taken for the next answer
        if self._connection is not None:
            return self._connection
        # A parser for each connection: one that is dropped resets its own, some time later.
        self._parser = BoundedParser(self._config.max_value_bytes + _OVERHEAD_BYTES)
        connection = self._made()
        self._parser.deadline = time.monotonic() + self._config.connect_timeout
        try:
            connection.connect()
        except redis.ResponseError as error:
            raise refused_by_server(self.place, str(error)) from error
        except StateError:
            connection.disconnect()
            raise
        except (redis.RedisError, OSError) as error:
            connection.disconnect()
            problem = f"{self.place}: cannot be reached: {error}"
            if self._config.address.tls and _waiting_is_in_vain(error):
                raise StateError(problem) from error
            raise ServerAway(problem, was_sent=False) from error
        self._connection = connection
        return connection

    def _made(self) -> _Client:
        config, address = self._config, self._config.address
        options: dict[str, object] = {
            "socket_timeout": config.command_timeout,
            "socket_connect_timeout": config.connect_timeout,
            "parser_class": self._parser,
            "protocol": 2,
            "redis_connect_func": self._log_in,
        }
        make = cast(Callable[..., _Client], redis.Connection)
        if address.socket_path:
            make = cast(Callable[..., _Client], redis.UnixDomainSocketConnection)
            return make(path=address.socket_path, **options)
        options |= {"host": address.host, "port": address.port, "socket_keepalive": True}
        if address.tls:
            make = cast(Callable[..., _Client], redis.SSLConnection)
            options |= {
                "ssl_ca_certs": _text(config.tls_ca_file),
                "ssl_certfile": _text(config.tls_certificate_file),
                "ssl_keyfile": _text(config.tls_key_file),
                "ssl_cert_reqs": "required" if config.tls_verify else "none",
                "ssl_check_hostname": config.tls_verify,
            }
        return make(**options)

    def _log_in(self, connection: _Client) -> None:
        """Do what a new connection begins with; the client's own way needs more rights."""
        self._parser.on_connect(connection)
        config = self._config
        password = config.password
        if config.password_file is not None:
            password = read_password(config.password_file)
        if password is not None:
            user = () if config.username is None else (config.username,)
            connection.send_command("AUTH", *user, password, check_health=False)
            connection.read_response()
        if config.address.database:
            connection.send_command("SELECT", config.address.database, check_health=False)
            connection.read_response()


def _waiting_is_in_vain(error: BaseException | None) -> bool:
    """Say whether TLS failed by what is configured: certificates, or files that are not there."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError | FileNotFoundError | PermissionError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _text(path: object) -> str | None:
    return None if path is None else str(path)


def _is_unknown_script(error: StateError) -> bool:
    return isinstance(error.__cause__, redis.ResponseError) and str(error.__cause__).startswith(
        "NOSCRIPT"
    )
