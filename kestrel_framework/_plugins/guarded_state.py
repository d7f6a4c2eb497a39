"""State stores, their watches and their ownership behind the fault boundary of the store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, TypeVar

from kestrel_framework._plugins.error_handling import (
    Decision,
    HandlerChain,
    RetryTransient,
    always,
    translated,
)
from kestrel_framework._plugins.faults import Failed, FaultBoundary, Returned
from kestrel_framework.errors import StateError
from kestrel_framework.interfaces import (
    Change,
    KeyChanged,
    Resynchronize,
    StateChange,
    StateOwnership,
    StateStore,
    StateWatch,
    SupportsOwnership,
    SupportsWatch,
    Versioned,
)

KeyT = TypeVar("KeyT")
T = TypeVar("T")

_CONTINUE: Final = HandlerChain(always(Decision.CONTINUE))
_READ: Final = HandlerChain(RetryTransient())
# Whoever commits, owns or watches decides by itself whether to wait for a store that is away.
_ONCE: Final = HandlerChain()


class GuardedStateStore:
    """A `StateStore` behind its boundary; raises `StateError` alone.

    Reads are tried again where the error is transient; commits are not.
    """

    def __init__(self, store: StateStore, boundary: FaultBoundary) -> None:
        self._store = store
        self._boundary = boundary

    def get_many(self, keys: Sequence[bytes]) -> Mapping[bytes, Versioned]:
        return self._call("get_many", lambda: _checked_mapping(self._store.get_many(keys)), _READ)

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, Versioned]]:
        yield from self._call("scan", lambda: list(self._store.scan(prefix)), _READ)

    def commit(
        self,
        changes: Sequence[Change],
        expected: Mapping[bytes, int | None] | None = None,
        fence: int | None = None,
    ) -> Mapping[bytes, int]:
        return self._call(
            "commit", lambda: _checked_mapping(self._store.commit(changes, expected, fence)), _ONCE
        )

    def close(self) -> None:
        self._boundary.call("close", self._store.close, _CONTINUE, in_any_case=True)

    def _call(self, operation: str, function: Callable[[], T], handlers: HandlerChain) -> T:
        return _value(self._boundary.call(operation, function, handlers, idempotent=True))


class GuardedWatchableStore(GuardedStateStore):
    """A `StateStore` that tells what is committed to it, behind its boundary."""

    def __init__(self, store: StateStore, watched: SupportsWatch, boundary: FaultBoundary) -> None:
        super().__init__(store, boundary)
        self._watched = watched

    def watch(self, prefix: bytes) -> StateWatch:
        made = self._call("watch", lambda: _checked_watch(self._watched.watch(prefix)), _ONCE)
        return GuardedStateWatch(made, self._boundary)


class GuardedOwnableStore(GuardedStateStore):
    """A `StateStore` that has one owner at a time, behind its boundary."""

    def __init__(
        self, store: StateStore, owned: SupportsOwnership, boundary: FaultBoundary
    ) -> None:
        super().__init__(store, boundary)
        self._owned = owned

    def own(self, owner: str, seconds: float) -> StateOwnership:
        made = self._call("own", lambda: _checked_ownership(self._owned.own(owner, seconds)), _ONCE)
        return GuardedStateOwnership(made, self._boundary)


class GuardedWatchableOwnableStore(GuardedWatchableStore, GuardedOwnableStore):
    """A `StateStore` with both, behind its boundary."""

    def __init__(
        self,
        store: StateStore,
        watched: SupportsWatch,
        owned: SupportsOwnership,
        boundary: FaultBoundary,
    ) -> None:
        GuardedStateStore.__init__(self, store, boundary)
        self._watched = watched
        self._owned = owned


class GuardedStateWatch:
    """A `StateWatch` behind the boundary of its store; raises `StateError` alone."""

    def __init__(self, watch: StateWatch, boundary: FaultBoundary) -> None:
        self._watch = watch
        self._boundary = boundary

    def next(self, timeout: float) -> Sequence[StateChange]:
        return _value(
            self._boundary.call("next", lambda: _checked_changes(self._watch.next(timeout)), _ONCE)
        )

    def close(self) -> None:
        self._boundary.call("close", self._watch.close, _CONTINUE, in_any_case=True)


class GuardedStateOwnership:
    """A `StateOwnership` behind the boundary of its store; raises `StateError` alone."""

    def __init__(self, ownership: StateOwnership, boundary: FaultBoundary) -> None:
        self._ownership = ownership
        self._boundary = boundary
        self.fence = ownership.fence

    @property
    def seconds_left(self) -> float:
        result = self._boundary.call(
            "seconds_left", lambda: float(self._ownership.seconds_left), _CONTINUE
        )
        return 0.0 if isinstance(result, Failed) else result.value

    def renew(self) -> None:
        _value(self._boundary.call("renew", self._ownership.renew, _ONCE))

    def release(self) -> None:
        _value(self._boundary.call("release", self._ownership.release, _ONCE, in_any_case=True))


def guarded_state_store(store: StateStore, boundary: FaultBoundary) -> StateStore:
    """Return a store behind its boundary, which supports of the optional what the store does."""
    if isinstance(store, SupportsWatch) and isinstance(store, SupportsOwnership):
        return GuardedWatchableOwnableStore(store, store, store, boundary)
    if isinstance(store, SupportsWatch):
        return GuardedWatchableStore(store, store, boundary)
    if isinstance(store, SupportsOwnership):
        return GuardedOwnableStore(store, store, boundary)
    return GuardedStateStore(store, boundary)


def _value(result: Returned[T] | Failed) -> T:
    if isinstance(result, Failed):
        raise translated(StateError, result.error)
    return result.value


def _checked_mapping(value: Mapping[KeyT, T]) -> Mapping[KeyT, T]:
    if not isinstance(value, Mapping):
        raise TypeError(f"it returned a {type(value).__name__}, not a mapping")
    return value


def _checked_watch(value: object) -> StateWatch:
    if not isinstance(value, StateWatch):
        raise TypeError(f"it returned a {type(value).__name__}, not a StateWatch")
    return value


def _checked_ownership(value: object) -> StateOwnership:
    if not isinstance(value, StateOwnership) or type(value.fence) is not int:
        raise TypeError(f"it returned a {type(value).__name__}, not a StateOwnership")
    return value


def _checked_changes(value: Sequence[StateChange]) -> Sequence[StateChange]:
    if not isinstance(value, Sequence):
        raise TypeError(f"it returned a {type(value).__name__}, not a sequence")
    for change in value:
        if not isinstance(change, KeyChanged | Resynchronize):
            raise TypeError(f"it returned a {type(change).__name__} among the changes")
    return value
