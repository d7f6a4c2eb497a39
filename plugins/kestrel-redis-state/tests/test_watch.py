"""Gaps that a watch must see."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import pytest
from redis_servers import PATIENCE_SECONDS, Proxy, RedisServer, wait_until

from kestrel_framework.errors import StateError
from kestrel_framework.interfaces import Change, KeyChanged, Resynchronize, StateChange, StateWatch
from kestrel_redis_state import RedisStateStore

OpenStore = Callable[..., RedisStateStore]
OwnServer = Callable[..., RedisServer]
ProxyOf = Callable[[RedisServer], Proxy]


def something(watch: StateWatch) -> Sequence[StateChange]:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        changes = watch.next(0.2)
        if changes:
            return changes
    raise AssertionError("nothing is told")


def keys(changes: Sequence[StateChange]) -> list[bytes]:
    return [change.key for change in changes if isinstance(change, KeyChanged)]


def test_a_restarted_server_is_waited_for(own_server: OwnServer, open_store: OpenStore) -> None:
    server = own_server()
    store = open_store(server.url)
    watch = store.watch(b"")
    assert something(watch) == (Resynchronize(),)
    server.kill()
    assert not watch.next(0.3)
    assert not watch.next(0)
    server.start()
    assert something(watch) == (Resynchronize(),)
    store.commit([Change(b"after", b"1")])
    assert keys(something(watch)) == [b"after"]
    watch.close()


def test_a_watch_can_begin_before_its_server(own_server: OwnServer, open_store: OpenStore) -> None:
    server = own_server()
    server.kill()
    watch = open_store(server.url).watch(b"")
    assert not watch.next(0.1)
    server.start()
    assert something(watch) == (Resynchronize(),)
    watch.close()


def test_a_cut_connection_is_a_gap(
    clean_server: RedisServer, proxy_of: ProxyOf, open_store: OpenStore
) -> None:
    proxy = proxy_of(clean_server)
    store = open_store(clean_server.url)
    watch = open_store(proxy.url).watch(b"")
    assert something(watch) == (Resynchronize(),)
    proxy.cut()
    store.commit([Change(b"missed", b"1")])
    assert something(watch) == (Resynchronize(),)
    watch.close()


def test_a_lost_stream_is_a_gap(clean_server: RedisServer, open_store: OpenStore) -> None:
    store = open_store(clean_server.url)
    watch = store.watch(b"")
    something(watch)
    store.commit([Change(b"missed", b"1")])
    with clean_server.client() as client:
        client.delete("kestrel:{test}:changes")
    assert something(watch) == (Resynchronize(),)
    store.commit([Change(b"after", b"1")])
    assert keys(something(watch)) == [b"after"]
    watch.close()


def test_many_commits_that_nobody_read_are_a_gap(
    clean_server: RedisServer, open_store: OpenStore
) -> None:
    store = open_store(clean_server.url)
    watch = store.watch(b"")
    something(watch)
    for _ in range(1500):
        store.commit([Change(b"a", b"")])
    assert something(watch) == (Resynchronize(),)
    with clean_server.client() as client:
        assert int(client.xlen("kestrel:{test}:changes")) < 1500
    watch.close()


@pytest.mark.parametrize(
    "changes",
    [
        [Change(b"%d" % number, b"") for number in range(300)],
        [Change(b"%d" % number + bytes(1000), b"") for number in range(30)],
    ],
)
def test_a_large_commit_is_told_as_a_gap(
    clean_server: RedisServer, open_store: OpenStore, changes: list[Change]
) -> None:
    store = open_store(clean_server.url)
    watch = store.watch(b"")
    something(watch)
    store.commit(changes)
    assert something(watch) == (Resynchronize(),)
    with clean_server.client() as client:
        assert int(client.memory_usage("kestrel:{test}:changes")) < 64_000
    watch.close()


def test_what_somebody_else_wrote_to_the_stream_is_a_gap(
    clean_server: RedisServer, open_store: OpenStore
) -> None:
    store = open_store(clean_server.url)
    watch = store.watch(b"")
    something(watch)
    with clean_server.client() as client:
        client.xadd("kestrel:{test}:changes", {"key": "theirs"})
    assert something(watch) == (Resynchronize(),)
    watch.close()


def test_a_store_that_was_lost_is_an_error(
    clean_server: RedisServer, open_store: OpenStore
) -> None:
    watch = open_store(clean_server.url).watch(b"")
    something(watch)
    with clean_server.client() as client:
        client.flushall()
    with pytest.raises(StateError, match="is gone"):
        something(watch)
    watch.close()


def test_values_are_those_of_now(clean_server: RedisServer, open_store: OpenStore) -> None:
    store = open_store(clean_server.url)
    watch = store.watch(b"")
    something(watch)
    store.commit([Change(b"a", b"1"), Change(b"b", bytes(5_000_000)), Change(b"c", b"1")])
    last = store.commit([Change(b"a", b"2")])
    found: list[StateChange] = []
    while len(found) < 3:
        found += something(watch)
    values = {change.key: change.entry for change in found if isinstance(change, KeyChanged)}
    assert set(values) == {b"a", b"b", b"c"}
    assert values[b"a"] is not None
    assert (values[b"a"].value, values[b"a"].version) == (b"2", last[b"a"])
    watch.close()


def test_a_closed_watch_lets_its_connection_go(
    clean_server: RedisServer, open_store: OpenStore
) -> None:
    store = open_store(clean_server.url)
    store.commit([])
    with clean_server.client() as client:

        def clients() -> int:
            return int(client.info("clients")["connected_clients"])

        before = clients()
        watch = store.watch(b"")
        something(watch)
        assert clients() == before + 1
        watch.close()
        wait_until(lambda: clients() == before)
