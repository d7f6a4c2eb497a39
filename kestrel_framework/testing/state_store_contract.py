"""What every state store must do."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import ClassVar, Final

import pytest

from kestrel_framework.errors import StateConflict, StateError
from kestrel_framework.interfaces import (
    Change,
    KeyChanged,
    Resynchronize,
    StateChange,
    StateStore,
    StateWatch,
    SupportsWatch,
)
from kestrel_framework.testing.contract import if_supported
from kestrel_framework.testing.state_ownership_contract import StateOwnershipContract

_KEYS: Final = (b"", b"a", b"a\x00", b"a\xff", b"ab", b"b", b"b/1", b"b/2", b"\x00", b"\xff\xff")
_RANDOM_COMMITS: Final = 200
_PATIENCE_SECONDS: Final = 10.0
_END: Final = b"a/end"


class StateStoreContract(StateOwnershipContract, contract=True):
    """Give it an empty `store`.

    Attributes:
        is_durable: What is committed is there in another object on the same data; needs
            the fixture `reopened`.
        supports_watch: It tells what is committed to it.
        supports_ownership: It has one owner at a time.
    """

    is_durable: ClassVar[bool] = False
    supports_watch: ClassVar[bool] = False

    @pytest.fixture
    def store(self) -> StateStore:
        """Return an empty store."""
        raise NotImplementedError("define a fixture `store` that returns your store")

    @pytest.fixture
    def reopened(self) -> Callable[[], StateStore]:
        """Return a callable that opens the data of `store`, which is closed by then, again."""
        raise NotImplementedError("define a fixture `reopened`")

    def test_is_a_state_store(self, store: StateStore) -> None:
        """It has all methods of the interface."""
        assert isinstance(store, StateStore)

    def test_returns_what_was_written(self, store: StateStore) -> None:
        """Any bytes are a key and a value; keys that do not exist are left out."""
        for key in _KEYS:
            versions = store.commit([Change(key, b"value of " + key)])
            assert set(versions) == {key}
        found = store.get_many([*_KEYS, b"not there"])
        assert {key: entry.value for key, entry in found.items()} == {
            key: b"value of " + key for key in _KEYS
        }
        store.commit([Change(b"empty", b""), Change(b"large", bytes(range(256)) * 4096)])
        assert store.get_many([b"empty"])[b"empty"].value == b""
        assert store.get_many([b"large"])[b"large"].value == bytes(range(256)) * 4096

    def test_versions_are_those_that_commit_returned(self, store: StateStore) -> None:
        """The version of a key is known without reading it back."""
        versions = store.commit([Change(b"a", b"1"), Change(b"b", b"1")])
        found = store.get_many([b"a", b"b"])
        assert {key: entry.version for key, entry in found.items()} == dict(versions)

    def test_versions_never_come_again(self, store: StateStore) -> None:
        """A version grows with every change, also over a deletion, so that no change is missed."""
        seen = []
        for value in (b"1", b"1", None, b"1", None, b"2"):
            versions = store.commit([Change(b"key", value)])
            if value is None:
                assert b"key" not in versions
            else:
                seen.append(versions[b"key"])
        assert seen == sorted(set(seen))

    def test_deletes(self, store: StateStore) -> None:
        """A deleted key is gone; deleting what is not there is fine."""
        store.commit([Change(b"a", b"1"), Change(b"b", b"1")])
        store.commit([Change(b"a", None), Change(b"never there", None)])
        assert set(store.get_many([b"a", b"b", b"never there"])) == {b"b"}
        assert [key for key, _ in store.scan(b"")] == [b"b"]

    def test_scans_a_prefix_in_order(self, store: StateStore) -> None:
        """Keys come in the order of their bytes, those of the prefix alone."""
        store.commit([Change(key, key) for key in reversed(_KEYS)])
        assert [key for key, _ in store.scan(b"")] == sorted(_KEYS)
        assert [key for key, _ in store.scan(b"a")] == [b"a", b"a\x00", b"ab", b"a\xff"]
        assert [key for key, _ in store.scan(b"b/")] == [b"b/1", b"b/2"]
        assert [key for key, _ in store.scan(b"\xff")] == [b"\xff\xff"]
        assert not list(store.scan(b"nothing"))
        assert all(entry.value == key for key, entry in store.scan(b""))

    def test_commits_while_a_scan_is_under_way(self, store: StateStore) -> None:
        """Deleting what a scan found, one after the other, works and misses nothing."""
        store.commit([Change(b"%03d" % number, b"") for number in range(300)])
        deleted = 0
        for key, _ in store.scan(b""):
            store.commit([Change(key, None)])
            deleted += 1
        assert deleted == 300
        assert not list(store.scan(b""))

    def test_refuses_another_version_than_expected(self, store: StateStore) -> None:
        """A commit whose expectation does not hold changes nothing, and names the keys."""
        versions = store.commit([Change(b"a", b"1"), Change(b"b", b"1")])
        before = dict(store.scan(b""))
        for expected in (
            {b"a": versions[b"a"] + 1},
            {b"a": None},
            {b"absent": 1},
            {b"a": versions[b"a"], b"b": None},
        ):
            with pytest.raises(StateConflict) as raised:
                store.commit([Change(b"a", b"2"), Change(b"c", b"2")], expected)
            assert set(raised.value.keys) <= set(expected)
            assert raised.value.keys, "name the keys that differ"
            assert dict(store.scan(b"")) == before

    def test_commits_where_the_versions_are_as_expected(self, store: StateStore) -> None:
        """Compare-and-set is one commit; also a key that is not written can be expected."""
        versions = store.commit([Change(b"a", b"1"), Change(b"b", b"1")], {b"a": None})
        store.commit([Change(b"a", b"2")], {b"a": versions[b"a"], b"b": versions[b"b"]})
        store.commit([Change(b"a", None)])
        store.commit([Change(b"a", b"3")], {b"a": None})
        assert store.get_many([b"a"])[b"a"].value == b"3"

    def test_refuses_a_version_of_before_a_deletion(self, store: StateStore) -> None:
        """A key written again is not the key it was."""
        version = store.commit([Change(b"a", b"1")])[b"a"]
        store.commit([Change(b"a", None)])
        store.commit([Change(b"a", b"1")])
        with pytest.raises(StateConflict):
            store.commit([Change(b"a", b"2")], {b"a": version})

    def test_refuses_an_owner_that_was_fenced_off(self, store: StateStore) -> None:
        """Once a newer owner has committed, an older one cannot; the same one can."""
        store.commit([Change(b"a", b"first")], fence=1)
        store.commit([Change(b"a", b"second")], fence=2)
        with pytest.raises(StateConflict):
            store.commit([Change(b"a", b"late")], fence=1)
        assert store.get_many([b"a"])[b"a"].value == b"second"
        store.commit([Change(b"a", b"third")], fence=2)
        assert store.get_many([b"a"])[b"a"].value == b"third"

    def test_refuses_two_changes_of_one_key(self, store: StateStore) -> None:
        """Which of them would count is nobody's guess."""
        with pytest.raises(StateError):
            store.commit([Change(b"a", b"1"), Change(b"a", b"2")])
        assert not list(store.scan(b""))

    def test_an_empty_commit_changes_nothing(self, store: StateStore) -> None:
        """It can still check expectations and fences."""
        version = store.commit([Change(b"a", b"1")])[b"a"]
        assert not store.commit([])
        assert not store.commit([], {b"a": version}, fence=3)
        with pytest.raises(StateConflict):
            store.commit([], {b"a": version + 1})
        with pytest.raises(StateConflict):
            store.commit([], fence=2)

    def test_behaves_as_a_dictionary_does(self, store: StateStore) -> None:
        """Random commits, right and wrong, leave what they would leave in a dictionary."""
        chance = random.Random(20270115)
        values: dict[bytes, bytes] = {}
        versions: dict[bytes, int] = {}
        for _ in range(_RANDOM_COMMITS):
            keys = chance.sample(_KEYS, chance.randint(0, 4))
            changes = [
                Change(
                    key, None if chance.random() < 0.3 else chance.randbytes(chance.randint(0, 9))
                )
                for key in keys
            ]
            expected = {key: versions.get(key) for key in chance.sample(_KEYS, 2)}
            wrong = chance.random() < 0.2
            if wrong:
                key = next(iter(expected))
                expected[key] = (versions.get(key) or 0) + 1
                with pytest.raises(StateConflict):
                    store.commit(changes, expected)
            else:
                written = store.commit(changes, expected)
                for change in changes:
                    values.pop(change.key, None)
                    versions.pop(change.key, None)
                    if change.value is not None:
                        values[change.key] = change.value
                        versions[change.key] = written[change.key]
            found = {key: (entry.value, entry.version) for key, entry in store.scan(b"")}
            assert found == {key: (value, versions[key]) for key, value in values.items()}

    def test_closes_twice(self, store: StateStore) -> None:
        """A second close does nothing; a commit after it is an error, not a success."""
        store.commit([Change(b"a", b"1")])
        store.close()
        store.close()
        with pytest.raises(StateError):
            store.commit([Change(b"a", b"2")])

    @if_supported("is_durable")
    def test_keeps_what_was_committed(
        self, store: StateStore, reopened: Callable[[], StateStore]
    ) -> None:
        """Values, versions and fences outlive the object."""
        store.commit([Change(b"a", b"1"), Change(b"gone", b"1")], fence=7)
        last = store.commit([Change(b"gone", None), Change(b"b", b"2")], fence=7)
        before = dict(store.scan(b""))
        store.close()
        again = reopened()
        assert dict(again.scan(b"")) == before
        with pytest.raises(StateConflict):
            again.commit([Change(b"a", b"2")], fence=6)
        assert again.commit([Change(b"b", b"3")])[b"b"] > last[b"b"]
        again.close()

    @if_supported("supports_watch")
    def test_a_watch_begins_with_a_resynchronization(self, store: StateStore) -> None:
        """A reader reads first; what is committed after that is told."""
        store.commit([Change(b"a/before", b"1")])
        watch = _watch(store, b"a/")
        assert _first(watch) == [Resynchronize()]
        versions = store.commit([Change(b"a/after", b"1")])
        changes = _until(watch, b"a/after")
        assert [change.key for change in changes] == [b"a/after"]
        assert changes[0].entry is not None
        assert (changes[0].entry.value, changes[0].entry.version) == (b"1", versions[b"a/after"])
        watch.close()

    @if_supported("supports_watch")
    def test_a_watch_tells_writes_and_deletions_in_order(self, store: StateStore) -> None:
        """Each change of a key with the prefix is told, and no other."""
        store.commit([Change(b"a/1", b"old")])
        watch = _watch(store, b"a/")
        _first(watch)
        store.commit([Change(b"a/1", None), Change(b"b/1", b"other")])
        store.commit([Change(b"a/\x00\xff", b"2"), Change(b"a", b"not of the prefix")])
        store.commit([Change(_END, b"")])
        found = {change.key: change.entry and change.entry.value for change in _until(watch)}
        assert found == {b"a/1": None, b"a/\x00\xff": b"2", _END: b""}
        assert list(found) == [b"a/1", b"a/\x00\xff", _END]
        watch.close()

    @if_supported("supports_watch")
    def test_a_watch_tells_nothing_of_refused_commits(self, store: StateStore) -> None:
        """What was not committed did not happen; a quiet watch returns nothing, in time."""
        watch = _watch(store, b"")
        _first(watch)
        with pytest.raises(StateConflict):
            store.commit([Change(b"a/refused", b"1")], {b"a/refused": 1})
        assert not watch.next(0)
        assert not watch.next(0.01)
        store.commit([Change(_END, b"")])
        assert [change.key for change in _until(watch)] == [_END]
        watch.close()

    @if_supported("supports_watch")
    def test_watches_do_not_know_each_other(self, store: StateStore) -> None:
        """Each tells its own prefix; closing one leaves the other."""
        first, second = _watch(store, b"a/"), _watch(store, b"")
        _first(first)
        _first(second)
        store.commit([Change(b"b", b"1"), Change(_END, b"1")])
        assert [change.key for change in _until(first)] == [_END]
        first.close()
        store.commit([Change(_END, b"2")])
        seen = [*_until(second)]
        while seen[-1].entry is None or seen[-1].entry.value != b"2":
            seen += _until(second)
        assert b"b" in {change.key for change in seen}
        second.close()

    @if_supported("supports_watch")
    def test_a_slow_reader_is_told_to_read_again(self, store: StateStore) -> None:
        """What waits is bounded; nothing of it is lost without a word."""
        watch = _watch(store, b"")
        _first(watch)
        keys = {b"slow/%05d" % number for number in range(10_000)}
        for _ in range(2):
            for start in range(0, 10_000, 100):
                block = sorted(keys)[start : start + 100]
                store.commit([Change(key, b"") for key in block])
        store.commit([Change(_END, b"")])
        changes: list[StateChange] = []
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not any(change == Resynchronize() or _is_end(change) for change in changes):
            assert time.monotonic() < deadline, "neither the last change nor a resynchronization"
            changes += watch.next(0.1)
        told = {change.key for change in changes if isinstance(change, KeyChanged)}
        assert Resynchronize() in changes or told == keys | {_END}
        store.commit([Change(b"later", b"")])
        assert b"later" in {change.key for change in _until(watch, b"later")}
        watch.close()

    @if_supported("supports_watch")
    def test_a_closed_watch_says_so(self, store: StateStore) -> None:
        """A second close does nothing; a `next` that waits ends."""
        watch = _watch(store, b"")
        _first(watch)
        closer = threading.Timer(0.05, watch.close)
        closer.start()
        with pytest.raises(StateError):
            watch.next(_PATIENCE_SECONDS)
        closer.join()
        watch.close()
        with pytest.raises(StateError):
            watch.next(0)


def _watch(store: StateStore, prefix: bytes) -> StateWatch:
    assert isinstance(store, SupportsWatch), "it has no `watch`"
    watch = store.watch(prefix)
    assert isinstance(watch, StateWatch)
    return watch


def _first(watch: StateWatch) -> list[StateChange]:
    """Return what comes first, which the watch may need some time for."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        changes = list(watch.next(0.5))
        if changes:
            return changes
    raise AssertionError("a watch begins with a resynchronization")


def _until(watch: StateWatch, last: bytes = _END) -> list[KeyChanged]:
    """Return the changes up to that of the key `last`; there may be no resynchronization."""
    found: list[KeyChanged] = []
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        for change in watch.next(0.5):
            assert isinstance(change, KeyChanged), "there was no gap"
            found.append(change)
        if any(change.key == last for change in found):
            return found
    raise AssertionError(f"the change of {last!r} is not told")


def _is_end(change: StateChange) -> bool:
    return isinstance(change, KeyChanged) and change.key == _END
