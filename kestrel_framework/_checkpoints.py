"""The state of an engine in a store: that of its detector, where sources go on, and the outbox."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

import attrs

from kestrel_framework._outbox import Outbox, Recipient
from kestrel_framework._piecewise_value import PiecewiseValue
from kestrel_framework.alert import Alert
from kestrel_framework.interfaces import Change, StateStore

_DETECTOR: Final = b"detector"
_OUTBOX: Final = b"outbox"
_POSITION: Final = b"position/"


@attrs.frozen
class Checkpoint:
    """What an engine goes on from.

    Attributes:
        snapshot: The state of the detector, if there is one.
        positions: Where each source goes on that has a position.
        undelivered: What each output is to be given before all other alerts.
    """

    snapshot: bytes | None
    positions: Mapping[str, str]
    undelivered: Mapping[str, Sequence[Alert]] = attrs.field(factory=dict)


class Checkpoints:
    """Reads and writes the checkpoints of one engine. For the thread of the engine.

    A checkpoint is one commit, so that a kill leaves the one before or this one. Pieces that did
    not change are not written again.

    Args:
        store: Where they are.
        place: What their keys begin with.
        outputs: Who is given all alerts.

    Attributes:
        outbox: The alerts that not every output has.
    """

    def __init__(
        self,
        store: StateStore,
        place: bytes = b"engine/",
        outputs: Collection[Recipient] = (),
    ) -> None:
        self._store = store
        self._place = place
        self._key = place + _DETECTOR
        self._detector = PiecewiseValue(store, self._key, "the stored state of the detector")
        self.outbox = Outbox(store, place + _OUTBOX, outputs)

    def load(self, sources: Iterable[str]) -> Checkpoint:
        """Return the last checkpoint.

        Args:
            sources: Whose positions are wanted.

        Raises:
            StateError: the store cannot be read, or what it has is damaged.
        """
        keys = {self._position_key(source): source for source in sources}
        stored = self._store.get_many([self._key, *keys])
        positions = {
            source: stored[key].value.decode() for key, source in keys.items() if key in stored
        }
        undelivered = self.outbox.load()
        if self._key not in stored:
            return Checkpoint(None, positions, undelivered)
        snapshot = self._detector.read(stored[self._key].value)
        return Checkpoint(snapshot, positions, undelivered)

    def save(self, snapshot: bytes, positions: Mapping[str, str], fence: int | None = None) -> None:
        """Write a checkpoint.

        Args:
            snapshot: The state of the detector.
            positions: Where sources go on; those that are not in it go on where they did.
            fence: The number of the engine as owner of the store, where it has owners.

        Raises:
            StateConflict: there is a newer owner; the last checkpoint holds.
            StateError: the store cannot be written; the last checkpoint holds, or this one.
        """
        self._store.commit(self.changes(snapshot, positions), fence=fence)
        self.settle()

    def changes(self, snapshot: bytes, positions: Mapping[str, str]) -> list[Change]:
        """Return what `save` would commit, for a commit of more; call `settle` after it."""
        header, changes = self._detector.written(snapshot)
        changes.append(Change(self._key, header))
        changes += [
            Change(self._position_key(source), position.encode())
            for source, position in positions.items()
        ]
        return changes + self.outbox.changes()

    def settle(self) -> None:
        """Hear that what `changes` returned last is committed."""
        self._detector.settle()
        self.outbox.settle()

    def _position_key(self, source: str) -> bytes:
        return self._place + _POSITION + source.encode()
