"""A commit whose answer is lost is made once, and its outcome can be learnt."""

from __future__ import annotations

import socket

import pytest
from redis_servers import Proxy, RedisServer, wait_until

from kestrel_framework.errors import StateConflict, StateError
from kestrel_framework.interfaces import Change
from kestrel_redis_state import RedisStateStore
from store_checks import OpenStore, OwnServer, ProxyOf, assert_works, commits


def unsettled(open_store: OpenStore, proxy: Proxy) -> RedisStateStore:
    """Return a store whose second commit was made, without its knowledge."""
    store = open_store(proxy.url)
    store.commit([Change(b"a", b"1")])
    proxy.answer = lambda data: b""
    with pytest.raises(StateError, match="is not known"):
        store.commit([Change(b"a", b"2")])
    proxy.answer = lambda data: data
    return store


def test_a_paused_server_is_a_timeout_and_the_commit_is_made_once(
    own_server: OwnServer, open_store: OpenStore
) -> None:
    server = own_server()
    store = open_store(server.url, command_timeout=0.2, connect_timeout=0.2)
    store.commit([Change(b"a", b"1")])
    server.pause()
    with pytest.raises(StateError, match="whether the commit was made is not known") as raised:
        store.commit([Change(b"a", b"2")])
    assert raised.value.transient
    server.resume()
    wait_until(lambda: commits(server) == 2)
    version = store.commit([Change(b"a", b"2")])[b"a"]
    assert commits(server) == 2
    found = store.get_many([b"a"])[b"a"]
    assert (found.value, found.version) == (b"2", version)


def test_a_lost_answer_is_asked_for_again(
    clean_server: RedisServer, proxy_of: ProxyOf, open_store: OpenStore
) -> None:
    proxy = proxy_of(clean_server)
    store = open_store(proxy.url)
    version = store.commit([Change(b"a", b"1")])[b"a"]

    def lose_one(data: bytes) -> bytes:
        proxy.answer = lambda later: later
        return b""

    proxy.answer = lose_one
    # A second commit would be a conflict with the first.
    again = store.commit([Change(b"a", b"2")], {b"a": version})[b"a"]
    assert commits(clean_server) == 2
    assert store.get_many([b"a"])[b"a"].version == again


def test_a_first_commit_that_never_arrived_is_made(
    clean_server: RedisServer, proxy_of: ProxyOf, open_store: OpenStore
) -> None:
    proxy = proxy_of(clean_server)
    store = open_store(proxy.url, command_timeout=0.2)
    assert not store.get_many([b"a"])

    def lose_one(data: bytes) -> bytes:
        proxy.request = lambda later: later
        return b""

    proxy.request = lose_one
    store.commit([Change(b"a", b"1")], {b"a": None})
    assert commits(clean_server) == 1


def test_a_refusal_after_a_lost_answer_leaves_the_outcome_unknown(
    own_server: OwnServer, proxy_of: ProxyOf, open_store: OpenStore
) -> None:
    server = own_server()
    proxy = proxy_of(server)
    store = open_store(proxy.url)
    version = store.commit([Change(b"a", b"1")])[b"a"]
    with server.client() as client:

        def fill_memory(data: bytes) -> bytes:
            proxy.answer = lambda later: later
            client.config_set("maxmemory", "1mb")
            return b""

        proxy.answer = fill_memory
        with pytest.raises(StateError, match=r"memory is full.* is not known"):
            store.commit([Change(b"a", b"2")], {b"a": version})
        client.config_set("maxmemory", "0")
    store.commit([Change(b"a", b"2")], {b"a": version})
    assert commits(server) == 2


def test_the_outcome_of_a_commit_is_learnt_by_making_it_again(
    clean_server: RedisServer, proxy_of: ProxyOf, open_store: OpenStore
) -> None:
    proxy = proxy_of(clean_server)
    store = open_store(proxy.url)
    version = store.commit([Change(b"a", b"1")])[b"a"]
    proxy.answer = lambda data: b""
    with pytest.raises(StateError, match="is not known"):
        store.commit([Change(b"a", b"2")], {b"a": version})
    with pytest.raises(StateError, match="is not known"):
        store.commit([Change(b"a", b"2")], {b"a": version})
    proxy.answer = lambda data: data
    again = store.commit([Change(b"a", b"2")], {b"a": version})[b"a"]
    assert commits(clean_server) == 2
    # And it is a commit of its own once its outcome was told.
    with pytest.raises(StateConflict):
        store.commit([Change(b"a", b"2")], {b"a": version})
    store.commit([Change(b"a", b"2")], {b"a": again})
    assert commits(clean_server) == 3


def test_after_an_unknown_outcome_another_commit_can_be_made(
    clean_server: RedisServer, proxy_of: ProxyOf, open_store: OpenStore
) -> None:
    store = unsettled(open_store, proxy_of(clean_server))
    store.commit([Change(b"b", b"1")])
    assert {key: entry.value for key, entry in store.scan(b"")} == {b"a": b"2", b"b": b"1"}
    assert commits(clean_server) == 3


@pytest.mark.parametrize("how", ["reads", "commits", "scans"])
def test_a_commit_that_was_given_up_cannot_arrive_late(
    clean_server: RedisServer, proxy_of: ProxyOf, open_store: OpenStore, how: str
) -> None:
    proxy = proxy_of(clean_server)
    store = open_store(proxy.url, command_timeout=0.2, connect_timeout=0.2)
    store.commit([Change(b"a", b"1")])
    held: list[bytes] = []
    proxy.request = held.append
    with pytest.raises(StateError, match="is not known"):
        store.commit([Change(b"a", b"late")])
    proxy.request = lambda data: data
    proxy.cut()
    if how == "reads":
        assert store.get_many([b"a"])[b"a"].value == b"1"
    elif how == "scans":
        assert [entry.value for _, entry in store.scan(b"")] == [b"1"]
    else:
        store.commit([Change(b"b", b"")])
    before = commits(clean_server)
    late = [request for request in held if b"EVALSHA" in request]
    assert late
    with socket.create_connection(("127.0.0.1", clean_server.port), 10) as connection:
        for request in late:
            connection.sendall(request)
            assert connection.recv(1000) == b"*1\r\n$4\r\nlate\r\n"
    assert commits(clean_server) == before
    assert store.get_many([b"a"])[b"a"].value == b"1"


def test_a_commit_before_which_the_store_was_lost_is_refused(
    clean_server: RedisServer, proxy_of: ProxyOf, open_store: OpenStore
) -> None:
    store = unsettled(open_store, proxy_of(clean_server))
    with clean_server.client() as client:
        client.delete("kestrel:{test}:writers")
    with pytest.raises(StateError, match="cannot be known any more"):
        store.commit([Change(b"a", b"2")])
    assert store.get_many([b"a"])[b"a"].value == b"2"
    assert_works(store)
