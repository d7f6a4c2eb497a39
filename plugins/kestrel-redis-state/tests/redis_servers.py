"""Real servers for the tests, each in a folder of its own, and what disturbs connections."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

PATIENCE_SECONDS = 20.0


def server_program() -> str:
    """Return where `redis-server` is; skip the test where it is not, fail where it must be."""
    found = shutil.which("redis-server")
    if found is None:
        problem = "`redis-server` is not installed (Debian: apt-get install redis-server)"
        if os.environ.get("CI"):
            pytest.fail(problem)
        pytest.skip(problem)
    return found


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.005)


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
        return port


class RedisServer:
    """A server on 127.0.0.1 with a port of its own; `tls` in place of plain connections."""

    def __init__(self, folder: Path, *options: str, tls: bool = False) -> None:
        self.folder = folder
        self.port = free_port()
        self.tls = tls
        self.options = options
        self.process: subprocess.Popen[bytes] | None = None
        folder.mkdir(exist_ok=True)
        self.start()

    @property
    def url(self) -> str:
        return f"redis{'s' if self.tls else ''}://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        port = ("0", "--tls-port", str(self.port)) if self.tls else (str(self.port),)
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    server_program(),
                    *("--port", *port, "--bind", "127.0.0.1", "--dir", str(self.folder)),
                    *("--save", "", "--appendonly", "yes", "--appendfsync", "always"),
                    *self.options,
                ],
                stdout=log,
                stderr=log,
            )
        wait_until(self._answers)

    def _answers(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError((self.folder / "log").read_text(errors="replace")[-2000:])
        if self.tls:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                return False
            return True
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.AuthenticationError:
            return True
        except (redis.RedisError, OSError):
            return False

    def client(self, **options: object) -> redis.Redis:
        made: Callable[..., redis.Redis] = redis.Redis
        return made(
            port=self.port,
            socket_timeout=PATIENCE_SECONDS,
            retry=Retry(NoBackoff(), 0),
            **options,
        )

    def pause(self) -> None:
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(PATIENCE_SECONDS)

    def restart(self, *, without_data: bool = False) -> None:
        self.kill()
        if without_data:
            shutil.rmtree(self.folder / "appendonlydir")
        self.start()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.resume()
            self.kill()

    def _signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)


class Proxy:
    """Stands between a client and a server, and does to their bytes what a test says.

    Attributes:
        answer: What becomes of bytes from the server; an empty result closes the connection.
        request: What becomes of bytes from the client; `None` leaves them out.
    """

    def __init__(self, port: int) -> None:
        self._server_port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.answer: Callable[[bytes], bytes | None] = lambda data: data
        self.request: Callable[[bytes], bytes | None] = lambda data: data
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def close(self) -> None:
        # A blocked `accept` is only ended by a shutdown.
        for each in (self._listener, *self._sockets):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def cut(self) -> None:
        """End all connections there are."""
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    server = socket.create_connection(("127.0.0.1", self._server_port))
                except OSError:
                    client.close()
                    continue
                self._sockets += (client, server)
                for source, target, change in (
                    (client, server, lambda data: self.request(data)),
                    (server, client, lambda data: self.answer(data)),
                ):
                    threading.Thread(
                        target=self._pass_on, args=(source, target, change), daemon=True
                    ).start()

    def _pass_on(
        self,
        source: socket.socket,
        target: socket.socket,
        change: Callable[[bytes], bytes | None],
    ) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                changed = change(data)
                if changed == b"":
                    break
                if changed is not None:
                    target.sendall(changed)
        for each in (source, target):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
