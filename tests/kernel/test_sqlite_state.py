"""State in SQLite: the contract, what it does beyond the memory store, and its limits."""

from __future__ import annotations

import itertools
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kestrel_framework._builtin import sqlite_state
from kestrel_framework._builtin.memory_state import MemoryStateStore
from kestrel_framework._builtin.plugin import kestrel_state_stores
from kestrel_framework._builtin.sqlite_state import MAX_ENTRY_BYTES, SqliteStateStore
from kestrel_framework._builtin.state_file import StateFile
from kestrel_framework._plugins.contexts import InstanceCounters, instance_context
from kestrel_framework.errors import ConfigurationError, StateConflict, StateError
from kestrel_framework.interfaces import Change, NoConfiguration, StateStore, Versioned
from kestrel_framework.schema import SchemaRegistry
from kestrel_framework.testing import StateStoreContract

KEYS: Final = (b"", b"a", b"a\0", b"a\xff", b"b", b"\xff\xff")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "state"
    made.mkdir(mode=0o700)
    return made


@pytest.fixture
def store(folder: Path) -> Iterator[SqliteStateStore]:
    store = SqliteStateStore(folder)
    yield store
    store.close()


class TestSqliteStateStore(StateStoreContract):
    is_durable = True

    @pytest.fixture
    def store(self, folder: Path) -> Iterator[SqliteStateStore]:
        store = SqliteStateStore(folder)
        yield store
        store.close()

    @pytest.fixture
    def reopened(self, folder: Path) -> Callable[[], SqliteStateStore]:
        return lambda: SqliteStateStore(folder)


@attrs.frozen
class Commit:
    """A commit to make, whose expectations are right, wrong, or that a key is absent."""

    changes: dict[bytes, bytes | None]
    expected: dict[bytes, str]
    fence: int | None
    reopen: bool


COMMITS: Final = st.lists(
    st.builds(
        Commit,
        st.dictionaries(st.sampled_from(KEYS), st.none() | st.binary(max_size=6), max_size=4),
        st.dictionaries(
            st.sampled_from(KEYS),
            st.sampled_from(("right", "right", "wrong", "absent")),
            max_size=2,
        ),
        st.none() | st.integers(0, 3),
        st.booleans(),
    ),
    max_size=12,
)


class Attempts:
    """A store under test, and the versions that it gave out."""

    def __init__(self, store: StateStore) -> None:
        self.store = store
        self.greatest = 0

    def make(self, commit: Commit) -> object:
        """Return what became of a commit, without the numbers of versions."""
        current = {key: entry.version for key, entry in self.store.get_many(KEYS).items()}
        expected = {
            key: {"right": current.get(key), "wrong": self.greatest + 1, "absent": None}[kind]
            for key, kind in commit.expected.items()
        }
        changes = [Change(key, value) for key, value in commit.changes.items()]
        try:
            written = self.store.commit(changes, expected, commit.fence)
        except StateConflict as conflict:
            return set(conflict.keys), str(conflict)
        assert all(version > self.greatest for version in written.values())
        self.greatest = max([self.greatest, *written.values()])
        return set(written)

    def content(self) -> list[tuple[bytes, bytes]]:
        return [(key, entry.value) for key, entry in self.store.scan(b"")]


@settings(max_examples=100)
@given(COMMITS)
def test_it_does_what_the_memory_store_does(commits: list[Commit]) -> None:
    folder = Path(tempfile.mkdtemp())
    tried, model = Attempts(SqliteStateStore(folder)), Attempts(MemoryStateStore())
    try:
        for commit in commits:
            assert tried.make(commit) == model.make(commit)
            if commit.reopen:
                tried.store.close()
                tried.store = SqliteStateStore(folder)
            assert tried.content() == model.content()
    finally:
        tried.store.close()
        shutil.rmtree(folder)


def test_without_a_folder_it_says_how_to_give_one() -> None:
    offer = kestrel_state_stores()["sqlite"]
    context = instance_context("builtin", "state", SchemaRegistry.ecs(), InstanceCounters())
    with pytest.raises(ConfigurationError, match=r"--state DIR.*state\.directory"):
        offer.factory(NoConfiguration(), context)


def test_nothing_is_opened_before_it_is_needed(folder: Path) -> None:
    store = SqliteStateStore(folder)
    assert list(folder.iterdir()) == []
    store.close()
    assert list(folder.iterdir()) == []
    with pytest.raises(StateError, match="is closed"):
        store.get_many([])


def test_a_closed_store_is_one_file(store: SqliteStateStore, folder: Path) -> None:
    store.commit([Change(b"a", bytes(100_000))])
    assert {path.name for path in folder.iterdir()} > {"state.sqlite", "state.sqlite-wal"}
    store.close()
    assert [path.name for path in folder.iterdir()] == ["state.sqlite"]


def test_many_keys_are_found_at_once(store: SqliteStateStore) -> None:
    """More than SQLite takes as variables of one statement."""
    keys = [b"%06d" % number for number in range(40_000)]
    store.commit([Change(key, key) for key in keys])
    found = store.get_many([*keys, b"absent"] * 2)
    assert list(found) == keys
    assert all(entry.value == key for key, entry in found.items())


def test_what_is_too_long_is_refused_and_nothing_else_is_lost(store: SqliteStateStore) -> None:
    store.commit([Change(b"a", b"1")])
    before = dict(store.scan(b""))
    with pytest.raises(StateError, match=r"b'long' and its value are 268435457 bytes"):
        store.commit([Change(b"b", b""), Change(b"long", bytes(MAX_ENTRY_BYTES - 3))])
    with pytest.raises(StateError, match="divide"):
        store.commit([Change(bytes(MAX_ENTRY_BYTES + 1), None)])
    assert dict(store.scan(b"")) == before


@pytest.mark.slow
def test_the_longest_value_is_kept(store: SqliteStateStore) -> None:
    value = bytes(MAX_ENTRY_BYTES - 1)
    store.commit([Change(b"k", value)])
    assert store.get_many([b"k"])[b"k"].value == value


@pytest.mark.parametrize("fence", [2**63, -(2**63) - 1, 10**30])
def test_a_fence_beyond_what_is_kept_is_refused(store: SqliteStateStore, fence: int) -> None:
    store.commit([], fence=2**63 - 1)
    with pytest.raises(StateError, match="64 bits"):
        store.commit([Change(b"a", b"1")], fence=fence)
    assert not list(store.scan(b""))


def test_an_expected_version_may_be_any_number(store: SqliteStateStore) -> None:
    store.commit([Change(b"a", b"1")])
    with pytest.raises(StateConflict):
        store.commit([], {b"a": 10**30})


def test_what_is_no_key_is_refused_with_all_that_came_with_it(store: SqliteStateStore) -> None:
    before = store.commit([Change(b"a", b"1")])
    for wrong in (Change("text", b""), Change(b"b", "text"), Change(3, b"")):  # type: ignore[arg-type]
        with pytest.raises((StateError, TypeError)):
            store.commit([Change(b"a", b"2"), Change(b"c", b""), wrong])
        assert dict(store.scan(b"")) == {b"a": Versioned(b"1", before[b"a"])}
    assert store.commit([Change(b"a", b"2")]) == {b"a": 2}


def test_a_scan_passes_over_no_key(store: SqliteStateStore) -> None:
    """Each of these keys is the very next after the one before it."""
    keys = [bytes(length) for length in range(600)]
    store.commit([Change(key, b"") for key in keys])
    assert [key for key, _ in store.scan(b"")] == keys


def test_a_scan_goes_on_past_what_is_committed_meanwhile(store: SqliteStateStore) -> None:
    keys = [b"k%04d" % number for number in range(1000)]
    store.commit([Change(key, b"old") for key in keys])
    store.commit([Change(b"l", b"another prefix")])
    seen = []
    for number, (key, _) in enumerate(store.scan(b"k")):
        seen.append(key)
        assert number < 3000
        behind, ahead = Change(b"j%04d" % number, b""), Change(b"k%04d+" % number, b"")
        store.commit([Change(key, b"new"), behind, ahead])
    assert [key for key in seen if not key.endswith(b"+")] == keys
    assert seen == sorted(set(seen))


def test_a_scan_reads_no_further_than_it_must(
    store: SqliteStateStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.commit([Change(b"%d" % number, bytes(1 << 19)) for number in range(8)])
    reads: list[bytes] = []
    checked = sqlite_state._checked

    def noted(file: StateFile, key: bytes, *row: object) -> Versioned:
        reads.append(key)
        return checked(file, key, *row)

    monkeypatch.setattr(sqlite_state, "_checked", noted)
    assert next(iter(store.scan(b"")))[0] == b"0"
    assert reads == [b"0", b"1"]


def test_a_scan_ends_with_the_store(store: SqliteStateStore) -> None:
    store.commit([Change(b"%04d" % number, b"") for number in range(1000)])
    scan = store.scan(b"")
    next(scan)
    store.close()
    with pytest.raises(StateError, match="is closed"):
        list(scan)
    with pytest.raises(StateError, match="is closed"):
        store.scan(b"")


def test_another_thread_can_go_on(store: SqliteStateStore) -> None:
    store.commit([Change(b"a", b"1")])
    written: list[Mapping[bytes, int]] = []

    def work() -> None:
        written.append(store.commit([Change(b"a", b"2")]))
        store.close()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert written == [{b"a": 2}]


def test_a_commit_waits_for_the_disk_if_none_has_for_a_second(
    store: SqliteStateStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.get_many([])
    assert store._file is not None
    statements: list[str] = []
    store._file.connection.set_trace_callback(statements.append)
    waited = []
    for time in (100.0, 100.5, 100.9, 101.1, 102.0, 102.2):
        monkeypatch.setattr("time.monotonic", itertools.repeat(time).__next__)
        store.commit([Change(b"a", b"1")])
        kinds = [text for text in statements if "synchronous" in text]
        waited.append(kinds == ["PRAGMA synchronous = FULL"])
        statements.clear()
    assert waited == [True, False, False, True, False, True]
