"""The interfaces of state stores; `interfaces` has them with all others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol, TypeAlias, runtime_checkable

import attrs


@attrs.frozen
class Versioned:
    """A stored value and its version, which grows with every change of the key."""

    value: bytes
    version: int


@attrs.frozen
class Change:
    """One key to write, or to delete where `value` is None."""

    key: bytes
    value: bytes | None


@runtime_checkable
class StateStore(Protocol):
    """Keys and values that outlive an engine, changed in atomic commits.

    Called from the detector's thread. A commit costs what it changes, not what
    is stored.
    """

    def get_many(self, keys: Sequence[bytes]) -> Mapping[bytes, Versioned]:
        """Return the values of those keys that exist."""

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, Versioned]]:
        """Yield every key that begins with `prefix`, in the order of the keys."""

    def commit(
        self,
        changes: Sequence[Change],
        expected: Mapping[bytes, int | None] | None = None,
        fence: int | None = None,
    ) -> Mapping[bytes, int]:
        """Apply all changes, or none, and return the new versions of the written keys.

        Args:
            changes: At most one for each key.
            expected: Versions that keys must still have; None says that the key
                must not exist.
            fence: The caller's number as owner: smaller than the greatest seen is refused.

        Raises:
            StateConflict: a version was not the expected one, or the fence is too old.
            StateError: the store cannot be written; nothing was changed.
        """

    def close(self) -> None:
        """Release everything. A second call does nothing."""


@attrs.frozen
class KeyChanged:
    """A key was written, or deleted where `entry` is None.

    The entry is the one that the watch found when it looked: of several changes in quick
    succession, the last can be the only one that is told, and can be told twice.
    """

    key: bytes
    entry: Versioned | None


@attrs.frozen
class Resynchronize:
    """Changes may have been missed: read the keys again, then go on watching."""


StateChange: TypeAlias = KeyChanged | Resynchronize


@runtime_checkable
class StateWatch(Protocol):
    """Tells one reader what was committed to a state store, by whomever.

    All calls come from one thread, the reader's own, which may be another than the store's;
    `close` alone may come from any. What waits to be told is bounded: a reader that is too
    slow gets `Resynchronize` instead of what it missed. Close it before the store.
    """

    def next(self, timeout: float) -> Sequence[StateChange]:
        """Return what has changed since the last call, in the order of the changes.

        Waits up to `timeout` seconds for a first change; nothing, if there was none. The first
        change that a watch gives is `Resynchronize`: what is committed after the call that
        gave it is told, so a reader that reads the keys then misses nothing.

        A store that cannot be reached is waited for, and raises nothing: once it is back,
        `Resynchronize` is given.

        Raises:
            StateError: the watch is closed; or waiting cannot help, as where a password is wrong.
        """

    def close(self) -> None:
        """Release everything, and end a `next` that waits. A second call does nothing."""


@runtime_checkable
class SupportsWatch(Protocol):
    """A state store that tells what is committed to it.

    A commit costs little more for it, and nothing that grows with the number of watches.
    """

    def watch(self, prefix: bytes) -> StateWatch:
        """Return a watch of the keys that begin with `prefix`. Opens nothing yet. From any thread.

        Raises:
            StateError: the store is closed.
        """


@runtime_checkable
class StateOwnership(Protocol):
    """The right to write to a state store for some time, under a fence. Safe between threads.

    Whoever owns the store next has a greater fence, and from that moment on the store refuses
    commits with this one, whether its owner knows it or not: a process that was stopped for an
    hour, and wakes up in the middle of a commit, changes nothing. The time only says when
    another one may own the store; what is stored does not hang on it.
    """

    @property
    def fence(self) -> int:
        """What to commit with: greater than that of every owner before."""

    @property
    def seconds_left(self) -> float:
        """How long nobody else can own the store, at least; 0 where somebody perhaps can.

        Takes no time, and counts the time for which the process or the host was asleep.
        """

    def renew(self) -> None:
        """Own the store for the whole time again, from now on.

        Works as well after the time has run out, as long as nobody else owned the store.

        Raises:
            StateConflict: it was released, or there is another owner; this one is over.
            StateError: the store cannot be reached (transient), or refuses.
        """

    def release(self) -> None:
        """Let others own the store at once. A second call, or one when it is lost, does nothing.

        Raises:
            StateError: the store cannot be reached; others wait for the time to run out.
        """


@runtime_checkable
class SupportsOwnership(Protocol):
    """A state store that has one owner at a time, on whatever host."""

    def own(self, owner: str, seconds: float) -> StateOwnership:
        """Own the store, which is free, or whose owner let the time run out.

        Args:
            owner: Names one process and those that follow it, such as a host's name: the same
                owner gets the store again at once, and fences its former self off.
            seconds: How long others wait for an owner that does not renew. Renew after a third.

        Raises:
            StateConflict: another one owns it; the problem names the owner, and says for how long.
            StateError: the store cannot be reached (transient), or refuses.
        """
