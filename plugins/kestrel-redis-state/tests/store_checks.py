"""What tests ask of a store, whatever has happened to its server."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from redis_servers import Proxy, RedisServer

from kestrel_framework.errors import StateError
from kestrel_framework.interfaces import Change
from kestrel_redis_state import RedisStateStore

OpenStore = Callable[..., RedisStateStore]
OwnServer = Callable[..., RedisServer]
ProxyOf = Callable[[RedisServer], Proxy]

CONTROL = "kestrel:{test}:control"
PARTS = ("control", "values", "keys", "changes", "writers")


def commits(server: RedisServer) -> int:
    with server.client() as client:
        return int(client.hget(CONTROL, "commits") or 0)


def assert_works(store: RedisStateStore) -> None:
    version = store.commit([Change(b"works", b"1")])[b"works"]
    assert store.get_many([b"works"])[b"works"].version == version
    assert b"works" in dict(store.scan(b""))


def refusals_of(store: RedisStateStore) -> list[StateError]:
    """Return how it refuses to read, to scan and to commit."""
    found = []
    for call in (
        lambda: store.get_many([b"a"]),
        lambda: list(store.scan(b"")),
        lambda: store.commit([Change(b"a", b"2")]),
    ):
        with pytest.raises(StateError) as raised:
            call()
        found.append(raised.value)
    return found
