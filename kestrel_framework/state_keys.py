"""Single keys in a state store, for plugins: each in a namespace, and with a time to live."""

from __future__ import annotations

import itertools
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from typing import Final

from kestrel_framework.errors import StateConflict, StateError
from kestrel_framework.interfaces import Change, StateStore, Versioned

_MAGIC: Final = b"KSK"
_VERSION: Final = 1
# What it is, its version, when it expires (nanoseconds since 1970, 0 for never), a checksum.
_HEADER: Final = struct.Struct(">3sBQI")
_LAST_MOMENT: Final = 2**64 - 1
_SWEPT_AT_ONCE: Final = 256


class StateKeys:
    """The keys of one namespace in a state store, read and written one at a time.

    Namespaces do not know of each other, whatever they and their keys are called, nor of what
    else is in the store. Each call but `sweep` is one commit at most. It adds no thread and no
    lock: it may be called whenever its store may.

    A key can be given a time to live. It is a way to have forgotten what nobody needs any more,
    and says nothing about when: it is counted by the clock of this machine, which can be set or
    be wrong, and not by the time of events. Do not decide by it what an alert is. What has expired
    is absent for every method, also where it still takes up room in the store; `sweep` gives the
    room back.

    Args:
        store: Where the keys are kept. It stays the caller's, who closes it.
        namespace: Whose keys these are, such as the name of the plugin.
        clock: Nanoseconds since 1970, such as `PluginContext.clock`.

    Raises:
        StateError: by every method: the store cannot be read or written. Also where a method
            reads a value that is damaged, or was not written by this class; `put` and `delete`
            do not read, so that they can mend that.

    Example:
        >>> keys = StateKeys(SqliteStateStore(context.state_directory), "geoip")
        >>> version = keys.put(b"192.0.2.1", b"NL", ttl=24 * 3600)
        >>> keys.get(b"192.0.2.1").value
        b'NL'
    """

    def __init__(
        self, store: StateStore, namespace: str, clock: Callable[[], int] = time.time_ns
    ) -> None:
        self._store = store
        self._namespace = namespace
        self._clock = clock
        name = namespace.encode("utf-8", "surrogatepass")
        # With its length before it, no namespace begins with another.
        self._prefix = b"keys/%d:%b/" % (len(name), name)

    def get(self, key: bytes) -> Versioned | None:
        """Return the value of a key and its version; None where it is absent."""
        entry = self._entry(key)
        return self._living(key, entry) if entry is not None else None

    def put(self, key: bytes, value: bytes, *, ttl: float | None = None) -> int:
        """Write a key, whatever it holds, and return its version.

        Args:
            key: Any bytes.
            value: Any bytes.
            ttl: Seconds to live. Without it the key does not expire, also if it had one before.

        Raises:
            StateError: the time to live is not positive, or beyond the year 2500.
        """
        return self._write(key, self._encoded(key, value, ttl), None)

    def delete(self, key: bytes) -> None:
        """Delete a key; one that is absent stays so."""
        self._store.commit([Change(self._stored(key), None)])

    def compare_and_set(
        self, key: bytes, expected: int | None, value: bytes, *, ttl: float | None = None
    ) -> int:
        """Write a key if it has the version that is expected, and return the new version.

        Args:
            key: Any bytes.
            expected: What `get`, `put` or this method returned; None if the key must be absent.
            value: Any bytes.
            ttl: As for `put`.

        Raises:
            StateConflict: the key has another version; its `keys` is this key. Nothing has
                changed.
        """
        encoded = self._encoded(key, value, ttl)
        entry = self._entry(key)
        living = self._living(key, entry) if entry is not None else None
        if (living.version if living is not None else None) != expected:
            raise self._conflict(key)
        # What has expired is absent here, and present in the store.
        held = entry.version if entry is not None else None
        try:
            return self._write(key, encoded, {self._stored(key): held})
        except StateConflict as conflict:
            if not conflict.keys:
                raise
            raise self._conflict(key) from conflict

    def sweep(self) -> int:
        """Delete what has expired from the store, and return how much that was.

        Reads the whole namespace. A key that somebody writes meanwhile stays.

        Raises:
            StateError: there are damaged values; all that has expired is deleted before.
        """
        damaged: list[StateError] = []
        expired = self._expired(damaged)
        swept = 0
        while batch := dict(itertools.islice(expired, _SWEPT_AT_ONCE)):
            swept += self._delete_unchanged(batch)
        if damaged:
            more = f" (and {len(damaged) - 1} more)" if len(damaged) > 1 else ""
            raise StateError(f"{damaged[0]}{more}")
        return swept

    def _expired(self, damaged: list[StateError]) -> Iterator[tuple[bytes, int]]:
        for stored, entry in self._store.scan(self._prefix):
            try:
                living = self._living(stored[len(self._prefix) :], entry)
            except StateError as error:
                damaged.append(error)
            else:
                if living is None:
                    yield stored, entry.version

    def _delete_unchanged(self, versions: dict[bytes, int]) -> int:
        """Delete those keys that still have their version, and return how many had."""
        while versions:
            try:
                self._store.commit([Change(stored, None) for stored in versions], versions)
            except StateConflict as conflict:
                changed = versions.keys() & set(conflict.keys)
                if not changed:
                    raise
                versions = {key: one for key, one in versions.items() if key not in changed}
            else:
                break
        return len(versions)

    def _stored(self, key: bytes) -> bytes:
        return self._prefix + key

    def _entry(self, key: bytes) -> Versioned | None:
        stored = self._stored(key)
        return self._store.get_many([stored]).get(stored)

    def _write(self, key: bytes, encoded: bytes, expected: dict[bytes, int | None] | None) -> int:
        stored = self._stored(key)
        return self._store.commit([Change(stored, encoded)], expected)[stored]

    def _encoded(self, key: bytes, value: bytes, ttl: float | None) -> bytes:
        expires = 0
        if ttl is not None:
            if not 0 < ttl < _LAST_MOMENT / 1e9:
                raise self._error(key, f"cannot live for {ttl} seconds; give a positive number")
            expires = self._clock() + round(ttl * 1e9)
            if not 0 < expires <= _LAST_MOMENT:
                raise self._error(key, f"cannot live for {ttl} seconds from now; give fewer")
        return _HEADER.pack(_MAGIC, _VERSION, expires, self._checksum(key, value, expires)) + value

    def _living(self, key: bytes, entry: Versioned) -> Versioned | None:
        """Return the value without its header; None where it has expired."""
        if len(entry.value) < _HEADER.size or not entry.value.startswith(_MAGIC):
            raise self._error(key, "was not written as a single key; delete it, or write it again")
        _, version, expires, checksum = _HEADER.unpack_from(entry.value)
        if version != _VERSION:
            raise self._error(
                key, f"has format {version}, and {_VERSION} is known; use the version that wrote it"
            )
        value = entry.value[_HEADER.size :]
        if checksum != self._checksum(key, value, expires):
            raise self._error(key, "is damaged; delete it, or write it again")
        if expires and self._clock() >= expires:
            return None
        return Versioned(value, entry.version)

    def _checksum(self, key: bytes, value: bytes, expires: int) -> int:
        start = b"%d %d " % (expires, len(key))
        return zlib.crc32(value, zlib.crc32(self._stored(key), zlib.crc32(start)))

    def _error(self, key: bytes, problem: str) -> StateError:
        return StateError(f"the key {key[:60]!r} of `{self._namespace}` {problem}")

    def _conflict(self, key: bytes) -> StateConflict:
        problem = f"the key {key[:60]!r} of `{self._namespace}` was changed by somebody else"
        return StateConflict(problem, (key,))
