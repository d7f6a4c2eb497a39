"""What all users of one store know of it: that it is still the same store."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from threading import Lock
from typing import Final

from kestrel_framework.errors import StateError
from kestrel_redis_state.config import RedisStateConfig
from kestrel_redis_state.connection import RedisConnection
from kestrel_redis_state.failures import ServerAway
from kestrel_redis_state.layout import FORMAT, Layout
from kestrel_redis_state.scripts import Script, script

_MICROSECONDS: Final = 1_000_000
_WRITERS_KEPT_SECONDS: Final = 7 * 24 * 60 * 60


class Session:
    """The generation of a store and the greatest version seen in it, shared by its connections.

    A store that was lost or went back in time is refused from then on, by the object that knew it:
    what an engine has in memory does not fit to it any more. Safe between threads.
    """

    def __init__(self, config: RedisStateConfig) -> None:
        self.config = config
        self.layout = Layout(config.namespace)
        self._lock = Lock()
        self._generation = b""
        self._known = 0
        self._refused: str | None = None

    def run(
        self, connection: RedisConnection, name: str, arguments: Sequence[bytes]
    ) -> list[bytes | None]:
        """Run a script on this store, and return its answer with how it went in front.

        All scripts but `commit` do no harm when they are run twice: an answer that was lost, as
        with a connection that an outage had ended, is asked for once more.

        Raises:
            ServerAway: there is no answer.
            StateError: the store is not the one that it was, or damaged; nothing was changed.
        """
        self._open(connection)
        generation, known = self._generation, self._known
        made, arguments = script(name), [generation, b"%d" % known, *arguments]
        try:
            answer = self._answer(connection, made, arguments)
        except ServerAway as error:
            if name == "commit" or not error.was_sent:
                raise
            answer = self._answer(connection, made, arguments)
        self._refuse_failures(connection.place, answer)
        return answer

    def saw(self, version: int) -> None:
        """Hear of a version of this store: none before it can be current again."""
        with self._lock:
            self._known = max(self._known, version)

    def _open(self, connection: RedisConnection) -> None:
        with self._lock:
            if self._refused is not None:
                raise StateError(self._refused)
            if self._generation:
                return
            answer = self._answer(
                connection,
                script("open"),
                [
                    b"%d" % FORMAT,
                    secrets.token_hex(16).encode("ascii"),
                    b"%d" % (_WRITERS_KEPT_SECONDS * _MICROSECONDS),
                ],
            )
            self._refuse_failures(connection.place, answer)
            generation, version = fields(answer, 2)
            self._known = whole(version)
            self._generation = generation

    def _answer(
        self, connection: RedisConnection, made: Script, arguments: Sequence[bytes]
    ) -> list[bytes | None]:
        answer: list[bytes | None] = []
        for part in connection.run(made, self.layout.keys, arguments):
            if part is not None and not isinstance(part, bytes):
                raise _not_ours(connection.place)
            answer.append(part)
        return answer

    def _refuse_failures(self, place: str, answer: Sequence[bytes | None]) -> None:
        shown = [(part or b"").decode("utf-8", "replace")[:200] for part in answer[1:3]] + ["", ""]
        match answer[0]:
            case b"wrong type":
                raise StateError(
                    f"{place}: `{shown[0]}` is a {shown[1]} that somebody else wrote; choose "
                    "another namespace, or delete that key"
                )
            case b"damaged":
                raise StateError(
                    f"{place}: `{shown[0]}` does not fit to the rest: keys were evicted or changed "
                    "by somebody else; restore them, or delete all keys of the namespace to begin "
                    "again (and set `maxmemory-policy noeviction`)"
                )
            case b"format":
                raise StateError(
                    f"{place}: was written in format {shown[0]!r}, and this version of "
                    f"kestrel-redis-state knows {FORMAT}"
                )
            case b"lost":
                self._refused = (
                    f"{place}: the state that this engine knew is gone: the server was restarted "
                    "without its data, or emptied; restore it, or start the engine again with what "
                    "is there"
                )
            case b"rewound":
                self._refused = (
                    f"{place}: the server has gone back to an older state, as after a crash or "
                    "with a replica that was behind; start the engine again with what is there"
                )
            case _:
                return
        raise StateError(self._refused)


def fields(answer: Sequence[bytes | None], count: int) -> list[bytes]:
    """Return the first `count` parts after how it went.

    Raises:
        StateError: they are not there.
    """
    found = [part for part in answer[1 : count + 1] if part is not None]
    if answer[0] != b"done" or len(found) != count:
        raise _not_ours("redis")
    return found


def whole(text: bytes) -> int:
    """Return a number that a script gave.

    Raises:
        StateError: it is none.
    """
    if not text.isdigit() or len(text) > 18:
        raise _not_ours("redis")
    return int(text)


def _not_ours(place: str) -> StateError:
    return StateError(f"{place}: its answer is not that of a script; is it Redis?")
