"""Where a store has what in Redis."""

from __future__ import annotations

from typing import Final

import attrs

FORMAT: Final = 1
"""Of the layout; a store refuses what was written in another."""


@attrs.frozen
class Layout:
    """The keys of one store, which a cluster keeps in one slot, that of `{NAMESPACE}`.

    The keys of the state itself are fields of a hash, so that whatever bytes they are, they can
    neither collide with these nor leave the namespace.

    Attributes:
        namespace: What a configuration allows: it has no `}` and nothing that a pattern knows.
    """

    namespace: str

    def key(self, part: str) -> bytes:
        """Return the name of a part of the store."""
        return f"kestrel:{{{self.namespace}}}:{part}".encode("ascii")

    @property
    def keys(self) -> tuple[bytes, ...]:
        """All keys, in the order in which the scripts expect them.

        `control` (a hash): generation, version, counts, fence and lease. `values` (a hash): each
        key of the state, with its version and value. `keys` (a sorted set): those keys, in order.
        `changes` (a stream): which keys each of the last commits changed; its ids are the numbers
        of the commits. `writers` (a hash): the last commit of each writer.
        """
        return tuple(self.key(part) for part in ("control", "values", "keys", "changes", "writers"))

    @property
    def changes(self) -> bytes:
        """The stream that watches read."""
        return self.key("changes")
