"""The store keeps the contract, and its bounds."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis_servers import RedisServer

from kestrel_framework.errors import ConfigurationError, StateConflict, StateError
from kestrel_framework.interfaces import Change
from kestrel_framework.testing import StateStoreContract
from kestrel_redis_state import RedisStateConfig, RedisStateStore
from kestrel_redis_state import store as store_module

OpenStore = Callable[..., RedisStateStore]


class TestRedisStateStore(StateStoreContract):
    is_durable = True
    supports_watch = True
    supports_ownership = True

    @pytest.fixture
    def store(self, clean_server: RedisServer, open_store: OpenStore) -> RedisStateStore:
        return open_store(clean_server.url)

    @pytest.fixture
    def reopened(
        self, clean_server: RedisServer, open_store: OpenStore
    ) -> Callable[[], RedisStateStore]:
        return lambda: open_store(clean_server.url)


def test_two_stores_of_one_namespace_are_one(
    clean_server: RedisServer, open_store: OpenStore
) -> None:
    first, second = open_store(clean_server.url), open_store(clean_server.url)
    other = open_store(clean_server.url, "test2")
    version = first.commit([Change(b"a", b"1")])[b"a"]
    with pytest.raises(StateConflict):
        second.commit([Change(b"a", b"2")], {b"a": None})
    assert second.commit([Change(b"a", b"2")], {b"a": version})[b"a"] > version
    assert not other.get_many([b"a"])
    assert first.get_many([b"a"])[b"a"].value == b"2"


@pytest.mark.parametrize(
    ("changes", "expected", "fence", "said"),
    [
        ([Change(b"k", bytes(1001))], {}, None, "1001 bytes"),
        ([Change(bytes(65_537), b"")], {}, None, "65537 bytes"),
        ([Change(b"k", b"")], {bytes(65_537): 1}, None, "65537 bytes"),
        ([Change(b"%d" % n, b"") for n in range(20_001)], {}, None, "20002 changes"),
        ([], {b"%d" % n: None for n in range(20_001)}, None, "20001 expected"),
        ([Change(b"k", b"")], {}, 2**53, str(2**53)),
        ([Change(b"k", b"")], {}, -1, "-1"),
    ],
)
def test_what_is_too_large_is_refused_whole(
    clean_server: RedisServer,
    open_store: OpenStore,
    changes: list[Change],
    expected: dict[bytes, int | None],
    fence: int | None,
    said: str,
) -> None:
    store = open_store(clean_server.url, max_value_bytes=1000)
    with pytest.raises(StateError, match=said):
        store.commit([Change(b"small", b""), *changes], expected, fence)
    assert not list(store.scan(b""))


def test_a_commit_that_is_too_large_is_refused_whole(
    clean_server: RedisServer, open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "LARGEST_COMMIT_BYTES", 3000)
    store = open_store(clean_server.url, max_value_bytes=1000)
    with pytest.raises(StateError, match="and 3000 are allowed"):
        store.commit([Change(b"%d" % number, bytes(1000)) for number in range(3)])
    assert not list(store.scan(b""))


def test_the_largest_commits_are_made(clean_server: RedisServer, open_store: OpenStore) -> None:
    store = open_store(clean_server.url, command_timeout=20.0)
    changes = [Change(b"%05d" % number, b"value") for number in range(20_000)]
    versions = store.commit(changes, {change.key: None for change in changes})
    assert len(versions) == 20_000
    assert [key for key, _ in store.scan(b"")] == [change.key for change in changes]
    assert len(store.get_many([change.key for change in changes])) == 20_000
    store.commit([Change(key, None) for key in versions], dict(versions))
    assert not list(store.scan(b""))


def test_large_values_are_read_in_pages(clean_server: RedisServer, open_store: OpenStore) -> None:
    store = open_store(clean_server.url, command_timeout=20.0)
    for number in range(12):
        store.commit([Change(b"%02d" % number, bytes([number]) * 3_000_000)])
    found = store.get_many([b"%02d" % number for number in range(13)])
    assert {key: entry.value[0] for key, entry in found.items()} == {
        b"%02d" % number: number for number in range(12)
    }
    assert [(key, len(entry.value)) for key, entry in store.scan(b"")] == [
        (b"%02d" % number, 3_000_000) for number in range(12)
    ]


def test_a_scan_misses_and_repeats_nothing_while_others_write(
    clean_server: RedisServer, open_store: OpenStore
) -> None:
    store, other = open_store(clean_server.url), open_store(clean_server.url)
    store.commit([Change(b"%04d" % number, b"") for number in range(1000)])
    seen = []
    for position, (key, _) in enumerate(store.scan(b"")):
        seen.append(key)
        other.commit(
            [
                Change(b"%04d-between" % (position // 2), b""),
                Change(b"!%04d" % position, b""),
                Change(b"%04d" % (999 - position // 2), b"again"),
            ]
        )
    kept = [key for key in seen if len(key) == 4]
    assert kept == [b"%04d" % number for number in range(1000)]
    assert len(set(seen)) == len(seen)
    assert seen == sorted(seen)


def test_versions_of_a_new_store_are_greater_than_those_of_a_lost_one(
    clean_server: RedisServer, open_store: OpenStore
) -> None:
    before = open_store(clean_server.url).commit([Change(b"a", b"1")])[b"a"]
    with clean_server.client() as client:
        client.flushall()
    assert open_store(clean_server.url).commit([Change(b"a", b"1")])[b"a"] > before


def test_a_forked_process_is_another_writer(
    clean_server: RedisServer, open_store: OpenStore
) -> None:
    store = open_store(clean_server.url)
    store.commit([Change(b"parent", b"1")])
    child = os.fork()
    if child == 0:
        try:
            store.commit([Change(b"child", b"1")])
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    store.commit([Change(b"parent", b"2")])
    found = {key: entry.value for key, entry in store.scan(b"")}
    assert found == {b"child": b"1", b"parent": b"2"}


namespaces = st.text(max_size=70) | st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,8}", fullmatch=True)


@given(
    entries=st.dictionaries(
        st.tuples(namespaces, st.binary(max_size=20)), st.binary(max_size=20), max_size=8
    )
)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_namespaces_and_keys_never_collide(
    shared_server: RedisServer, entries: dict[tuple[str, bytes], bytes]
) -> None:
    with shared_server.client() as client:
        client.flushall()
        client.set("bystander", "untouched")
        stores: dict[str, RedisStateStore] = {}
        written: dict[str, dict[bytes, bytes]] = {}
        for (namespace, key), value in entries.items():
            if namespace not in stores:
                try:
                    config = RedisStateConfig(url=shared_server.url, namespace=namespace)
                except ConfigurationError:
                    continue
                stores[namespace] = RedisStateStore(config)
                written[namespace] = {}
            stores[namespace].commit([Change(key, value)])
            written[namespace][key] = value
        for namespace, store in stores.items():
            found = [(key, entry.value) for key, entry in store.scan(b"")]
            assert found == sorted(written[namespace].items())
            store.close()
        tags = {f"kestrel:{{{namespace}}}:".encode() for namespace in stores}
        for name in client.scan_iter():
            assert name == b"bystander" or any(name.startswith(tag) for tag in tags)
        assert client.get("bystander") == b"untouched"


@given(keys=st.sets(st.binary(max_size=4), max_size=30), prefix=st.binary(max_size=3))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_every_prefix_is_scanned(
    shared_server: RedisServer, keys: set[bytes], prefix: bytes
) -> None:
    config = RedisStateConfig(url=shared_server.url, namespace=uuid.uuid4().hex)
    store = RedisStateStore(config)
    store.commit([Change(key, key) for key in keys])
    found = [key for key, _ in store.scan(prefix)]
    assert found == sorted(key for key in keys if key.startswith(prefix))
    store.close()
