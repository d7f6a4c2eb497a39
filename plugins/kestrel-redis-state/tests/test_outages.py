"""What becomes of a store while its server is away, lost or full, and afterwards."""

from __future__ import annotations

import threading

import pytest
from redis_servers import RedisServer, wait_until

from kestrel_framework.errors import StateConflict, StateError
from kestrel_framework.interfaces import Change
from kestrel_redis_state import RedisStateConfig
from kestrel_redis_state.connection import RedisConnection
from store_checks import PARTS, OpenStore, OwnServer, ProxyOf, assert_works, refusals_of


def test_a_server_that_is_not_there_is_waited_for(
    own_server: OwnServer, open_store: OpenStore
) -> None:
    server = own_server()
    store = open_store(server.url)
    server.kill()
    for error in refusals_of(store):
        assert error.transient
        assert not isinstance(error, StateConflict)
        assert "cannot be reached" in str(error)
    server.start()
    assert_works(store)


def test_a_killed_server_comes_back_with_its_data(
    own_server: OwnServer, open_store: OpenStore
) -> None:
    server = own_server()
    store = open_store(server.url)
    version = store.commit([Change(b"a", b"1")], fence=3)[b"a"]
    server.restart()
    assert store.get_many([b"a"])[b"a"].version == version
    with pytest.raises(StateConflict):
        store.commit([Change(b"a", b"2")], fence=2)
    assert store.commit([Change(b"a", b"2")])[b"a"] > version


def test_a_server_without_its_data_is_no_empty_store(
    own_server: OwnServer, open_store: OpenStore
) -> None:
    server = own_server()
    store = open_store(server.url)
    store.commit([Change(b"a", b"1")])
    server.restart(without_data=True)
    for _ in range(2):
        for error in refusals_of(store):
            assert not error.transient
            assert "the state that this engine knew is gone" in str(error)
        # Also when another engine has begun again there.
        open_store(server.url).commit([Change(b"b", b"1")])
    assert [key for key, _ in open_store(server.url).scan(b"")] == [b"b"]


def test_a_store_that_went_back_in_time_is_refused(
    clean_server: RedisServer, open_store: OpenStore
) -> None:
    store = open_store(clean_server.url)
    store.commit([Change(b"a", b"1")])
    with clean_server.client() as client:
        saved = {part: client.dump(f"kestrel:{{test}}:{part}") for part in PARTS}
        lost = store.commit([Change(b"a", b"2")])[b"a"]
        for part, content in saved.items():
            client.restore(f"kestrel:{{test}}:{part}", 0, content, replace=True)
    for error in refusals_of(store):
        assert "gone back to an older state" in str(error)
    later = open_store(clean_server.url)
    assert later.get_many([b"a"])[b"a"].value == b"1"
    # The version that was lost is not given to anything else.
    assert later.commit([Change(b"a", b"3")])[b"a"] > lost


def test_cut_connections_are_made_again(
    clean_server: RedisServer, proxy_of: ProxyOf, open_store: OpenStore
) -> None:
    proxy = proxy_of(clean_server)
    store = open_store(proxy.url)
    for _ in range(3):
        store.commit([Change(b"works", b"")])
        proxy.cut()
    assert_works(store)


def test_scripts_that_the_server_forgot_are_sent_again(
    clean_server: RedisServer, open_store: OpenStore
) -> None:
    store = open_store(clean_server.url)
    assert_works(store)
    with clean_server.client() as client:
        client.script_flush()
    assert_works(store)


def test_full_memory_is_said_and_changes_nothing(
    own_server: OwnServer, open_store: OpenStore
) -> None:
    server = own_server()
    store = open_store(server.url)
    store.commit([Change(b"a", b"1")])
    with server.client() as client:
        client.config_set("maxmemory", "1mb")
        with pytest.raises(StateError, match="its memory is full") as raised:
            store.commit([Change(b"a", b"2"), Change(b"b", b"2")])
        assert raised.value.transient
        assert {key: entry.value for key, entry in store.scan(b"")} == {b"a": b"1"}
        client.config_set("maxmemory", "0")
    assert_works(store)


def test_memory_that_fills_up_leaves_whole_commits(
    own_server: OwnServer, open_store: OpenStore
) -> None:
    server = own_server()
    store = open_store(server.url)
    with server.client() as client:
        used = int(client.info("memory")["used_memory"])
        client.config_set("maxmemory", str(used + 2_000_000))
    made = 0
    with pytest.raises(StateError, match="its memory is full"):
        while True:
            store.commit([Change(b"%d/%d" % (made, part), bytes(10_000)) for part in range(20)])
            made += 1
    assert made
    assert len(list(store.scan(b""))) == 20 * made


def test_a_replica_is_read_only_until_it_is_promoted(
    own_server: OwnServer, open_store: OpenStore
) -> None:
    server = own_server()
    store = open_store(server.url)
    store.commit([Change(b"a", b"1")])
    with server.client() as client:
        client.replicaof("127.0.0.1", 1)
        with pytest.raises(StateError, match="read-only replica") as raised:
            store.commit([Change(b"a", b"2")])
        assert raised.value.transient
        assert store.get_many([b"a"])[b"a"].value == b"1"
        client.replicaof("NO", "ONE")
    assert_works(store)


def test_a_busy_server_and_a_killed_script_are_said(
    own_server: OwnServer, open_store: OpenStore
) -> None:
    server = own_server("--busy-reply-threshold", "1")
    store = open_store(server.url)
    assert_works(store)
    killed: list[StateError] = []

    def loop() -> None:
        connection = RedisConnection(RedisStateConfig(namespace="test", url=server.url))
        with pytest.raises(StateError) as raised:
            connection.command("EVAL", "while true do end", "0")
        connection.close()
        killed.append(raised.value)

    thread = threading.Thread(target=loop)
    thread.start()

    def is_busy() -> bool:
        try:
            store.get_many([])
        except StateError as error:
            return error.transient and "busy with a script" in str(error)
        return False

    wait_until(is_busy)
    with server.client() as client:
        client.script_kill()
    thread.join()
    assert "somebody ended the script" in str(killed[0])
    assert killed[0].transient
    assert_works(store)


@pytest.mark.parametrize(
    ("answer", "said", "transient"),
    [
        (b"-LOADING Redis is loading the dataset in memory\r\n", "is loading", True),
        (b"-MISCONF Redis is configured to save RDB snapshots\r\n", "its disk", True),
        (b"-MASTERDOWN Link with MASTER is down\r\n", "lost its master", True),
        (b"-CLUSTERDOWN The cluster is down\r\n", "its cluster is down", True),
        (b"-MOVED 1234 192.0.2.1:6379\r\n", "name that one", False),
        (b"-ERR max number of clients reached\r\n", "too many clients", True),
        (b"-ERR user_script:1: unexpected symbol near '#'\r\n", "Redis 7 or newer", False),
        (b"-ERR something else\r\n", "something else", False),
    ],
)
def test_what_servers_refuse_with_is_explained(
    clean_server: RedisServer,
    proxy_of: ProxyOf,
    open_store: OpenStore,
    answer: bytes,
    said: str,
    transient: bool,
) -> None:
    proxy = proxy_of(clean_server)
    store = open_store(proxy.url)
    assert_works(store)
    proxy.answer = lambda data: answer
    for error in refusals_of(store):
        assert said in str(error)
        assert error.transient is transient
    proxy.answer = lambda data: data
    assert_works(store)


def test_two_engines_that_begin_at_once_begin_one_store(
    clean_server: RedisServer, open_store: OpenStore
) -> None:
    stores = [open_store(clean_server.url) for _ in range(8)]
    together = threading.Barrier(len(stores))
    failures: list[BaseException] = []

    def begin(number: int) -> None:
        try:
            together.wait()
            stores[number].commit([Change(b"%d" % number, b"")])
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=begin, args=(number,)) for number in range(len(stores))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(list(stores[0].scan(b""))) == len(stores)


def test_what_was_acknowledged_outlives_a_killed_server(
    own_server: OwnServer, open_store: OpenStore
) -> None:
    server = own_server()
    store = open_store(server.url)
    acknowledged = 0
    under_way = threading.Event()

    def write() -> None:
        nonlocal acknowledged
        with pytest.raises(StateError):
            while True:
                value = b"%d" % (acknowledged + 1)
                store.commit([Change(b"left", value), Change(value, b""), Change(b"right", value)])
                acknowledged += 1
                if acknowledged == 20:
                    under_way.set()

    writer = threading.Thread(target=write)
    writer.start()
    assert under_way.wait(10)
    server.kill()
    writer.join()
    server.start()
    found = {key: entry.value for key, entry in open_store(server.url).scan(b"")}
    assert found[b"left"] == found[b"right"]
    assert int(found[b"left"]) in (acknowledged, acknowledged + 1)
    assert len(found) == 2 + int(found[b"left"])
