"""What others do to the keys of a store is noticed, and left alone."""

from __future__ import annotations

import pytest
from redis_servers import RedisServer

from kestrel_framework.errors import StateError
from kestrel_framework.interfaces import Change
from store_checks import CONTROL, PARTS, OpenStore, refusals_of


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
