"""What becomes of a store while its server is away, lost or full, and afterwards."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

import pytest
from redis_servers import Proxy, RedisServer, wait_until

from kestrel_framework.errors import StateConflict, StateError
from kestrel_framework.interfaces import Change
from kestrel_redis_state import RedisStateConfig, RedisStateStore
from kestrel_redis_state.connection import RedisConnection

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
    proxy = proxy_of(clean_server)
    store = open_store(proxy.url)
    store.commit([Change(b"a", b"1")])
    proxy.answer = lambda data: b""
    with pytest.raises(StateError, match="is not known"):
        store.commit([Change(b"a", b"2")])
    proxy.answer = lambda data: data
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
    proxy = proxy_of(clean_server)
    store = open_store(proxy.url)
    store.commit([Change(b"a", b"1")])
    proxy.answer = lambda data: b""
    with pytest.raises(StateError, match="is not known"):
        store.commit([Change(b"a", b"2")])
    proxy.answer = lambda data: data
    with clean_server.client() as client:
        client.delete("kestrel:{test}:writers")
    with pytest.raises(StateError, match="cannot be known any more"):
        store.commit([Change(b"a", b"2")])
    assert store.get_many([b"a"])[b"a"].value == b"2"
    assert_works(store)


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


# --- what others did to the keys ---------------------------------------------------------


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("is_open", [False, True])
def test_what_somebody_else_keeps_at_a_key_is_left_alone(
    clean_server: RedisServer, open_store: OpenStore, part: str, is_open: bool
) -> None:
    store = open_store(clean_server.url)
    if is_open:
        store.commit([Change(b"a", b"1")])
    with clean_server.client() as client:
        client.set(f"kestrel:{{test}}:{part}", "theirs")
        before = {name: client.dump(name) for name in client.scan_iter()}
        for error in refusals_of(store):
            assert not error.transient
            assert f"kestrel:{{test}}:{part}" in str(error)
            assert "choose another namespace" in str(error)
        assert {name: client.dump(name) for name in client.scan_iter()} == before


@pytest.mark.parametrize("part", ["values", "keys", "values keys", "control"])
def test_evicted_keys_are_noticed(
    clean_server: RedisServer, open_store: OpenStore, part: str
) -> None:
    store = open_store(clean_server.url)
    store.commit([Change(b"a", b"1")])
    with clean_server.client() as client:
        client.delete(*(f"kestrel:{{test}}:{each}" for each in part.split()))
    said = "is gone" if part == "control" else "evicted"
    for each in (store, store):
        for error in refusals_of(each):
            assert said in str(error)
    if part == "control":  # nor does it become an empty store for others
        assert "evicted" in str(refusals_of(open_store(clean_server.url))[0])
        with clean_server.client() as client:
            assert not client.exists(CONTROL)


@pytest.mark.parametrize(
    ("part", "field", "value"),
    [
        ("values", "a", "no version"),
        ("values", "a", "-1:v"),
        ("control", "version", "many"),
        ("control", "entries", "7"),
        ("control", "format", "2"),
    ],
)
def test_changed_content_is_noticed(
    clean_server: RedisServer, open_store: OpenStore, part: str, field: str, value: str
) -> None:
    store = open_store(clean_server.url)
    store.commit([Change(b"a", b"1")])
    with clean_server.client() as client:
        client.hset(f"kestrel:{{test}}:{part}", field, value)
    reader = open_store(clean_server.url)
    with pytest.raises(StateError):
        reader.get_many([b"a"])
    with pytest.raises(StateError):
        list(reader.scan(b""))


def test_a_stream_that_somebody_else_wrote_to_stops_commits_whole(
    clean_server: RedisServer, open_store: OpenStore
) -> None:
    store = open_store(clean_server.url)
    store.commit([Change(b"a", b"1")])
    with clean_server.client() as client:
        client.xadd("kestrel:{test}:changes", {"theirs": "1"})
    with pytest.raises(StateError, match="changes` does not fit"):
        store.commit([Change(b"a", b"2"), Change(b"b", b"2")])
    assert {key: entry.value for key, entry in store.scan(b"")} == {b"a": b"1"}


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
