"""State that lives as long as its process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from threading import Lock

from kestrel_framework._builtin.memory_ownership import MemoryOwners, MemoryOwnership
from kestrel_framework._builtin.memory_watch import MemoryStateWatch
from kestrel_framework.errors import StateConflict, StateError
from kestrel_framework.interfaces import Change, Versioned


class MemoryStateStore:
    """A state store in a dictionary.

    Versions are numbers of commits, so that none ever comes again, not even for
    a key that was deleted and written again. A scan sees the keys as they were
    when it began.
    """

    def __init__(self) -> None:
        self._entries: dict[bytes, Versioned] = {}
        self._commits = 0
        self._owners = MemoryOwners()
        self._closed = False
        self._watches: tuple[MemoryStateWatch, ...] = ()
        self._watching = Lock()

    def get_many(self, keys: Sequence[bytes]) -> Mapping[bytes, Versioned]:
        self._check_open()
        return {key: self._entries[key] for key in keys if key in self._entries}

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, Versioned]]:
        self._check_open()
        found = [entry for entry in self._entries.items() if entry[0].startswith(prefix)]
        return iter(sorted(found, key=lambda entry: entry[0]))

    def commit(
        self,
        changes: Sequence[Change],
        expected: Mapping[bytes, int | None] | None = None,
        fence: int | None = None,
    ) -> Mapping[bytes, int]:
        self._check_open()
        if len({change.key for change in changes}) < len(changes):
            raise StateError("a commit has two changes of one key")
        if fence is not None:
            self._owners.check(fence)
        changed = tuple(
            key for key, version in (expected or {}).items() if self._version(key) != version
        )
        if changed:
            raise StateConflict(f"{len(changed)} keys were changed by somebody else", changed)
        if fence is not None:
            self._owners.committed(fence)
        self._commits += 1
        written: dict[bytes, int] = {}
        for change in changes:
            if change.value is None:
                self._entries.pop(change.key, None)
            else:
                self._entries[change.key] = Versioned(bytes(change.value), self._commits)
                written[change.key] = self._commits
        if self._watches and changes:
            self._tell({change.key: self._entries.get(change.key) for change in changes})
        return written

    def watch(self, prefix: bytes) -> MemoryStateWatch:
        self._check_open()
        watch = MemoryStateWatch(bytes(prefix))
        with self._watching:
            self._watches = (*self._watches, watch)
        return watch

    def own(self, owner: str, seconds: float) -> MemoryOwnership:
        self._check_open()
        return self._owners.own(owner, seconds)

    def close(self) -> None:
        self._closed = True
        self._entries.clear()
        with self._watching:
            watches, self._watches = self._watches, ()
        for watch in watches:
            watch.close()

    def _tell(self, changes: Mapping[bytes, Versioned | None]) -> None:
        for watch in self._watches:
            watch.tell(changes)
        if any(watch.is_closed for watch in self._watches):
            with self._watching:
                self._watches = tuple(each for each in self._watches if not each.is_closed)

    def _version(self, key: bytes) -> int | None:
        entry = self._entries.get(key)
        return entry.version if entry else None

    def _check_open(self) -> None:
        if self._closed:
            raise StateError("the store is closed")
