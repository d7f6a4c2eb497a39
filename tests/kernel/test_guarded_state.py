from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from kestrel_framework._builtin.memory_state import MemoryStateStore
from kestrel_framework._plugins.breaker import Breaker, BreakerSettings
from kestrel_framework._plugins.faults import FaultBoundary
from kestrel_framework._plugins.guarded_state import GuardedStateStore, guarded_state_store
from kestrel_framework.errors import StateConflict, StateError
from kestrel_framework.interfaces import (
    Change,
    KeyChanged,
    Resynchronize,
    StateOwnership,
    StateWatch,
    SupportsOwnership,
    SupportsWatch,
    Versioned,
)

ACCIDENT = ValueError("a bug")


def boundary() -> FaultBoundary:
    """A boundary whose waits take no time."""
    return FaultBoundary(
        "acme", breaker=Breaker(BreakerSettings(failures=5)), wait=lambda seconds: False
    )


class FailingStore:
    """A store all of whose methods raise."""

    def __init__(self, error: BaseException) -> None:
        self.error = error
        self.calls = 0

    def get_many(self, keys: Sequence[bytes]) -> Mapping[bytes, Versioned]:
        self.calls += 1
        raise self.error

    def scan(self, prefix: bytes) -> object:
        self.calls += 1
        raise self.error

    def commit(self, *arguments: object) -> Mapping[bytes, int]:
        self.calls += 1
        raise self.error

    def close(self) -> None:
        raise self.error


@pytest.mark.parametrize("error", [ACCIDENT, StateError("gone"), SystemExit(1)])
def test_a_store_raises_state_errors_alone(error: BaseException) -> None:
    store = GuardedStateStore(FailingStore(error), boundary())  # type: ignore[arg-type]
    with pytest.raises(StateError):
        store.get_many([b"k"])
    with pytest.raises(StateError):
        list(store.scan(b""))
    with pytest.raises(StateError):
        store.commit([Change(b"k", b"v")])
    store.close()


def test_reads_are_tried_again_and_commits_are_not() -> None:
    inner = FailingStore(StateError("timeout", transient=True))
    store = GuardedStateStore(inner, boundary())  # type: ignore[arg-type]
    with pytest.raises(StateError) as raised:
        store.commit([Change(b"k", b"v")])
    assert raised.value.transient
    assert inner.calls == 1
    with pytest.raises(StateError):
        store.get_many([b"k"])
    assert inner.calls > 2


def test_a_store_that_is_away_is_called_again_and_again() -> None:
    inner = FailingStore(StateError("timeout", transient=True))
    store = GuardedStateStore(inner, boundary())  # type: ignore[arg-type]
    for _ in range(20):
        with pytest.raises(StateError, match="timeout"):
            store.commit([Change(b"k", b"v")])
    assert inner.calls == 20


def test_a_conflict_is_handed_on_and_not_retried() -> None:
    inner = FailingStore(StateConflict("fenced off"))
    store = GuardedStateStore(inner, boundary())  # type: ignore[arg-type]
    with pytest.raises(StateConflict):
        store.commit([Change(b"k", b"v")], fence=1)
    assert inner.calls == 1


class WatchableStore(MemoryStateStore):
    """A store whose watch gives what it is told to."""

    def __init__(self, given: object) -> None:
        super().__init__()
        self.given = given

    def watch(self, prefix: bytes) -> StateWatch:  # type: ignore[override]
        return self.given  # type: ignore[return-value]


class GivingWatch:
    """A watch that gives one answer, or raises it."""

    def __init__(self, answer: object) -> None:
        self.answer = answer

    def next(self, timeout: float) -> object:
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer

    def close(self) -> None:
        raise ACCIDENT


def test_a_store_can_be_watched_if_it_could_without_a_guard() -> None:
    plain = guarded_state_store(FailingStore(ACCIDENT), boundary())  # type: ignore[arg-type]
    assert not isinstance(plain, SupportsWatch)
    store = guarded_state_store(MemoryStateStore(), boundary())
    assert isinstance(store, SupportsWatch)
    watch = store.watch(b"a")
    assert watch.next(0) == (Resynchronize(),)
    versions = store.commit([Change(b"a", b"1"), Change(b"b", b"1")])
    assert watch.next(0) == [KeyChanged(b"a", Versioned(b"1", versions[b"a"]))]
    watch.close()


@pytest.mark.parametrize(
    "answer", [None, [None], iter(()), ACCIDENT, StateError("gone"), SystemExit(1)]
)
def test_a_watch_raises_state_errors_alone(answer: object) -> None:
    store = guarded_state_store(WatchableStore(GivingWatch(answer)), boundary())
    assert isinstance(store, SupportsWatch)
    watch = store.watch(b"")
    with pytest.raises(StateError):
        watch.next(0)
    watch.close()


def test_what_is_no_watch_is_refused() -> None:
    store = guarded_state_store(WatchableStore(object()), boundary())
    assert isinstance(store, SupportsWatch)
    with pytest.raises(StateError):
        store.watch(b"")


class OwnableStore:
    """A store whose ownership is what it is told to; it cannot be watched."""

    def __init__(self, given: object) -> None:
        self._inner = MemoryStateStore()
        self.get_many = self._inner.get_many
        self.scan = self._inner.scan
        self.commit = self._inner.commit
        self.close = self._inner.close
        self.given = given

    def own(self, owner: str, seconds: float) -> StateOwnership:
        return self.given  # type: ignore[return-value]


class FailingOwnership:
    """An ownership all of whose methods raise."""

    fence = 7

    def __init__(self, error: BaseException) -> None:
        self.error = error

    @property
    def seconds_left(self) -> float:
        raise self.error

    def renew(self) -> None:
        raise self.error

    def release(self) -> None:
        raise self.error


class OddFence(FailingOwnership):
    seconds_left = 1.0
    fence = "first"  # type: ignore[assignment]


def test_a_store_can_be_owned_if_it_could_without_a_guard() -> None:
    plain = guarded_state_store(FailingStore(ACCIDENT), boundary())  # type: ignore[arg-type]
    assert not isinstance(plain, SupportsOwnership)
    owned = guarded_state_store(OwnableStore(None), boundary())
    assert isinstance(owned, SupportsOwnership)
    assert not isinstance(owned, SupportsWatch)
    store = guarded_state_store(MemoryStateStore(), boundary())
    assert isinstance(store, SupportsOwnership)
    assert isinstance(store, SupportsWatch)
    ownership = store.own("host", 60)
    assert isinstance(ownership, StateOwnership)
    assert 0 < ownership.seconds_left <= 60
    ownership.renew()
    with pytest.raises(StateConflict, match="host"):
        store.own("other", 60)
    store.commit([Change(b"a", b"1")], fence=ownership.fence)
    ownership.release()
    assert store.own("other", 60).fence > ownership.fence


@pytest.mark.parametrize("error", [ACCIDENT, StateError("gone"), SystemExit(1)])
def test_an_ownership_raises_state_errors_alone(error: BaseException) -> None:
    class Ownership(FailingOwnership):
        asked = False

        @property
        def seconds_left(self) -> float:
            if self.asked:
                raise self.error
            self.asked = True  # when it is checked
            return 1.0

    store = guarded_state_store(OwnableStore(Ownership(error)), boundary())
    assert isinstance(store, SupportsOwnership)
    ownership = store.own("host", 60)
    assert ownership.fence == 7
    assert ownership.seconds_left == 0
    for call in (ownership.renew, ownership.release):
        with pytest.raises(StateError):
            call()


@pytest.mark.parametrize("given", [None, object(), OddFence(ACCIDENT)])
def test_what_is_no_ownership_is_refused(given: object) -> None:
    store = guarded_state_store(OwnableStore(given), boundary())
    assert isinstance(store, SupportsOwnership)
    with pytest.raises(StateError):
        store.own("host", 60)
