"""Single keys: over the memory store and over SQLite."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from kestrel_framework import StateKeys
from kestrel_framework._builtin.memory_state import MemoryStateStore
from kestrel_framework._builtin.sqlite_state import SqliteStateStore
from kestrel_framework.errors import StateConflict, StateError
from kestrel_framework.interfaces import Change, StateStore, Versioned

SECOND: Final = 1_000_000_000
NAMES: Final = st.text(max_size=4) | st.text("/:0123456789", max_size=6)
KEY: Final = st.binary(max_size=4) | st.sampled_from((b"/", b":", b"1:a/", b"keys/1:a/"))


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1_000 * SECOND

    def __call__(self) -> int:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += round(seconds * SECOND)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StateStore]:
    made = MemoryStateStore() if request.param == "memory" else SqliteStateStore(tmp_path)
    yield made
    made.close()


@pytest.fixture
def keys(store: StateStore, clock: Clock) -> StateKeys:
    return StateKeys(store, "geoip", clock)


def value_of(keys: StateKeys, key: bytes) -> bytes | None:
    found = keys.get(key)
    return None if found is None else found.value


# --- reading and writing ---------------------------------------------------------


@pytest.mark.parametrize("key", [b"", b"a", b"\0", b"\xff" * 100])
def test_what_is_written_is_there_until_it_is_deleted(keys: StateKeys, key: bytes) -> None:
    assert keys.get(key) is None
    version = keys.put(key, b"")
    assert keys.get(key) == Versioned(b"", version)
    newer = keys.put(key, b"1")
    assert newer > version
    assert keys.get(key) == Versioned(b"1", newer)
    keys.delete(key)
    keys.delete(key)
    assert keys.get(key) is None
    assert keys.put(key, b"2") > newer


def test_it_is_set_only_where_it_is_as_expected(keys: StateKeys) -> None:
    version = keys.compare_and_set(b"a", None, b"1")
    for wrong in (None, version + 1, 0):
        with pytest.raises(StateConflict, match=r"b'a' of `geoip` was changed") as raised:
            keys.compare_and_set(b"a", wrong, b"2")
        assert raised.value.keys == (b"a",)
        assert keys.get(b"a") == Versioned(b"1", version)
    newer = keys.compare_and_set(b"a", version, b"2")
    assert keys.get(b"a") == Versioned(b"2", newer)
    keys.delete(b"a")
    with pytest.raises(StateConflict):
        keys.compare_and_set(b"a", newer, b"3")
    assert keys.get(b"a") is None


class Racing:
    """A store in which somebody else is a little quicker."""

    def __init__(self, store: StateStore, deed: Callable[[], object]) -> None:
        self._store = store
        self._deed: Callable[[], object] | None = deed

    def get_many(self, keys: Sequence[bytes]) -> Mapping[bytes, Versioned]:
        return self._store.get_many(keys)

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, Versioned]]:
        return self._store.scan(prefix)

    def commit(
        self,
        changes: Sequence[Change],
        expected: Mapping[bytes, int | None] | None = None,
        fence: int | None = None,
    ) -> Mapping[bytes, int]:
        if self._deed is not None:
            deed, self._deed = self._deed, None
            deed()
        return self._store.commit(changes, expected, fence)

    def close(self) -> None:
        self._store.close()


@pytest.mark.parametrize("before", ["nothing", "a value", "an expired value"])
def test_setting_is_one_commit_that_somebody_else_can_win(
    store: StateStore, keys: StateKeys, clock: Clock, before: str
) -> None:
    version = None
    if before != "nothing":
        version = keys.put(b"a", b"0", ttl=1 if before == "an expired value" else None)
        clock.pass_by(2)
    racing = StateKeys(Racing(store, lambda: keys.put(b"a", b"theirs")), "geoip", clock)
    with pytest.raises(StateConflict) as raised:
        racing.compare_and_set(b"a", version if before == "a value" else None, b"ours")
    assert raised.value.keys == (b"a",)
    assert value_of(keys, b"a") == b"theirs"


# --- namespaces ------------------------------------------------------------------


@settings(max_examples=300)
@given(st.lists(st.tuples(NAMES, KEY), min_size=2, max_size=6, unique=True))
def test_no_two_keys_are_one(pairs: list[tuple[str, bytes]]) -> None:
    store = MemoryStateStore()
    for number, (name, key) in enumerate(pairs):
        StateKeys(store, name).put(key, b"%d" % number)
    for number, (name, key) in enumerate(pairs):
        assert value_of(StateKeys(store, name), key) == b"%d" % number
    name, key = pairs[0]
    StateKeys(store, name).delete(key)
    assert [value_of(StateKeys(store, name), key) is None for name, key in pairs] == [
        True,
        *[False] * (len(pairs) - 1),
    ]


@settings(max_examples=300)
@given(NAMES, NAMES, KEY)
def test_a_sweep_stays_in_its_namespace(one: str, other: str, key: bytes) -> None:
    clock, store = Clock(), MemoryStateStore()
    StateKeys(store, one, clock).put(key, b"", ttl=1)
    clock.pass_by(2)
    assert StateKeys(store, other, clock).sweep() == (1 if one == other else 0)


def test_a_name_of_any_characters(store: StateStore) -> None:
    for name in ("", "\ud800", "é", "/"):
        keys = StateKeys(store, name)
        keys.put(b"a", name.encode("utf-8", "surrogatepass"))
        assert value_of(keys, b"a") == name.encode("utf-8", "surrogatepass")


def test_other_keys_of_the_store_are_left_alone(store: StateStore, keys: StateKeys) -> None:
    others = [b"", b"engine/detector", b"keys/", b"keys/5:geoi", b"keys/5:geoiq/a", b"z"]
    store.commit([Change(key, b"not ours") for key in others])
    keys.put(b"a", b"1")
    assert keys.sweep() == 0
    assert [key for key, entry in store.scan(b"") if entry.value == b"not ours"] == others


# --- time ------------------------------------------------------------------------


def test_what_has_expired_is_absent_for_every_method(keys: StateKeys, clock: Clock) -> None:
    version = keys.put(b"a", b"1", ttl=10)
    clock.pass_by(9.999)
    assert keys.get(b"a") == Versioned(b"1", version)
    clock.pass_by(0.001)
    assert keys.get(b"a") is None
    with pytest.raises(StateConflict):
        keys.compare_and_set(b"a", version, b"2")
    newer = keys.compare_and_set(b"a", None, b"2", ttl=10)
    assert newer > version
    assert keys.get(b"a") == Versioned(b"2", newer)


def test_a_value_without_a_time_to_live_stays(keys: StateKeys, clock: Clock) -> None:
    keys.put(b"a", b"1", ttl=1)
    keys.put(b"a", b"2")
    keys.compare_and_set(b"b", keys.put(b"b", b"1", ttl=1), b"2")
    clock.pass_by(1e9)
    assert (value_of(keys, b"a"), value_of(keys, b"b")) == (b"2", b"2")
    assert keys.sweep() == 0


@pytest.mark.parametrize("ttl", [0, -1, -0.5, float("nan"), float("inf"), 1e11, 10**400])
def test_a_time_to_live_that_is_none(keys: StateKeys, ttl: float) -> None:
    for write in (
        keys.put,
        lambda key, value, ttl: keys.compare_and_set(key, None, value, ttl=ttl),
    ):
        with pytest.raises(StateError, match=r"the key b'a' of `geoip` cannot live for"):
            write(b"a", b"1", ttl=ttl)
    assert keys.get(b"a") is None


def test_a_sweep_deletes_what_has_expired_and_nothing_else(
    store: StateStore, keys: StateKeys, clock: Clock
) -> None:
    for number in range(1000):
        keys.put(b"%d" % number, b"", ttl=1 + number % 2)
    keys.put(b"for ever", b"")
    clock.pass_by(1)
    assert keys.sweep() == 500
    assert keys.sweep() == 0
    clock.pass_by(1)
    assert keys.sweep() == 500
    assert len(list(store.scan(b""))) == 1


def test_a_sweep_leaves_what_is_written_meanwhile(
    store: StateStore, keys: StateKeys, clock: Clock
) -> None:
    for key in (b"a", b"b", b"c"):
        keys.put(key, b"old", ttl=1)
    clock.pass_by(2)
    racing = StateKeys(Racing(store, lambda: keys.put(b"b", b"new")), "geoip", clock)
    assert racing.sweep() == 2
    assert [value_of(keys, key) for key in (b"a", b"b", b"c")] == [None, b"new", None]


# --- values of others ------------------------------------------------------------------


def stored(store: StateStore) -> tuple[bytes, bytes]:
    ((key, entry),) = store.scan(b"")
    return key, entry.value


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (b"", "was not written as a single key"),
        (b"KSK", "was not written as a single key"),
        (b"something else entirely", "was not written as a single key"),
        (b"KSK\x02" + bytes(12), "has format 2, and 1 is known"),
        (b"KSK\x01" + bytes(12), "is damaged"),
    ],
)
def test_a_foreign_value_is_told_and_can_be_mended(
    store: StateStore, keys: StateKeys, clock: Clock, value: bytes, problem: str
) -> None:
    keys.put(b"a", b"1")
    keys.put(b"expired", b"", ttl=1)
    clock.pass_by(2)
    store.commit(
        [Change(stored_key, value) for stored_key, _ in store.scan(b"") if stored_key[-1:] == b"a"]
    )
    for use in (lambda: keys.get(b"a"), lambda: keys.compare_and_set(b"a", None, b"2"), keys.sweep):
        with pytest.raises(StateError, match=f"the key b'a' of `geoip` {problem}"):
            use()
    assert len(list(store.scan(b""))) == 1, "what has expired is swept all the same"
    keys.put(b"a", b"2")
    assert value_of(keys, b"a") == b"2"


@given(st.binary(max_size=20), st.none() | st.integers(1, 100), st.data())
def test_damage_anywhere_is_told(value: bytes, ttl: int | None, data: st.DataObject) -> None:
    store = MemoryStateStore()
    keys = StateKeys(store, "n", Clock())
    keys.put(b"a", value, ttl=ttl)
    key, encoded = stored(store)
    bit = data.draw(st.integers(0, len(encoded) * 8 - 1))
    damaged = bytearray(encoded)
    damaged[bit // 8] ^= 1 << bit % 8
    store.commit([Change(key, bytes(damaged))])
    with pytest.raises(StateError, match="the key b'a' of `n`"):
        keys.get(b"a")


def test_the_value_of_another_key_is_told(store: StateStore, keys: StateKeys) -> None:
    keys.put(b"a", b"1")
    key, encoded = stored(store)
    store.commit([Change(key[:-1] + b"b", encoded)])
    with pytest.raises(StateError, match="is damaged"):
        keys.get(b"b")


# --- against a model ---------------------------------------------------------------------


class KeysAgainstDictionary(RuleBasedStateMachine):
    """Both stores and a dictionary of values and times, side by side."""

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.clock = Clock()
        self.stores: list[StateStore] = [MemoryStateStore(), SqliteStateStore(self.folder)]
        self.all = [StateKeys(store, "n", self.clock) for store in self.stores]
        self.model: dict[bytes, tuple[bytes, int | None]] = {}

    def living(self, key: bytes) -> bytes | None:
        value, expires = self.model.get(key, (None, None))
        return value if expires is None or self.clock.now < expires else None

    def write(self, key: bytes, value: bytes, ttl: int | None) -> None:
        self.model[key] = (value, None if ttl is None else self.clock.now + ttl * SECOND)

    @rule(
        key=st.sampled_from((b"a", b"b")),
        value=st.binary(max_size=2),
        ttl=st.none() | st.integers(1, 3),
    )
    def put(self, key: bytes, value: bytes, ttl: int | None) -> None:
        for keys in self.all:
            keys.put(key, value, ttl=ttl)
        self.write(key, value, ttl)

    @rule(
        key=st.sampled_from((b"a", b"b")),
        value=st.binary(max_size=2),
        ttl=st.none() | st.integers(1, 3),
        right=st.booleans(),
    )
    def compare_and_set(self, key: bytes, value: bytes, ttl: int | None, right: bool) -> None:
        for keys in self.all:
            found = keys.get(key)
            if right:
                keys.compare_and_set(key, found.version if found else None, value, ttl=ttl)
            else:
                with pytest.raises(StateConflict):
                    keys.compare_and_set(key, None if found else 1, value, ttl=ttl)
        if right:
            self.write(key, value, ttl)

    @rule(key=st.sampled_from((b"a", b"b")))
    def delete(self, key: bytes) -> None:
        for keys in self.all:
            keys.delete(key)
        self.model.pop(key, None)

    @rule(seconds=st.integers(1, 2))
    def wait(self, seconds: int) -> None:
        self.clock.pass_by(seconds)

    @rule()
    def sweep(self) -> None:
        expired = [key for key in self.model if self.living(key) is None]
        assert [keys.sweep() for keys in self.all] == [len(expired)] * 2
        for key in expired:
            del self.model[key]
        for store in self.stores:
            assert len(list(store.scan(b""))) == len(self.model)

    @invariant()
    def they_agree(self) -> None:
        for key in (b"a", b"b"):
            assert [value_of(keys, key) for keys in self.all] == [self.living(key)] * 2

    def teardown(self) -> None:
        for store in self.stores:
            store.close()
        shutil.rmtree(self.folder)


TestKeysAgainstDictionary = KeysAgainstDictionary.TestCase
TestKeysAgainstDictionary.settings = settings(max_examples=40, stateful_step_count=20)
