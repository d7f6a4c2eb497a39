"""The alerts that were found and that not every output has yet, kept with the state.

Alerts are numbered in the order in which they are found. Each output has a cursor: the number of
the first alert that it may not have. What is before all cursors is forgotten; the rest is
committed with the state that it was found with, so that a kill, or an output that is away when the
engine ends, loses nothing: the next run delivers it again, first of all.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping, Sequence
from typing import Final, Protocol

import msgspec

from kestrel_framework._alert_encoding import decode_alert, encode_alert
from kestrel_framework.alert import Alert
from kestrel_framework.errors import StateError
from kestrel_framework.interfaces import Change, StateStore

MOST_KEPT: Final = 10_000
"""How many alerts are committed at most; with more, there is no commit until outputs have some."""
_AT_ONCE: Final = 500


class Recipient(Protocol):
    """An output that is given alerts in order."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def delivered_in_order(self) -> int:
        """How many of the alerts that it was given it has, before the first that it lacks."""


class _Header(msgspec.Struct, array_like=True, frozen=True):
    following: int
    cursors: dict[str, int]


class Outbox:
    """The outbox of one engine. For the thread of the engine.

    Args:
        store: Where it is kept.
        place: What its keys begin with.
        outputs: Who is given all alerts.
    """

    def __init__(self, store: StateStore, place: bytes, outputs: Collection[Recipient]) -> None:
        self._store = store
        self._place = place
        self._outputs = outputs
        self._began_at: dict[str, int] = {}
        self._kept: deque[tuple[int, Alert]] = deque()
        self._next = 0
        self._stored: range = range(0)
        self._next_stored: range = range(0)

    @property
    def is_full(self) -> bool:
        """Whether outputs lack so much that nothing may be committed."""
        self._forget()
        return len(self._kept) > MOST_KEPT

    def load(self) -> Mapping[str, Sequence[Alert]]:
        """Return the alerts that each output is to be given before all others.

        An output that is new gets those that are found from now on.

        Raises:
            StateError: the store cannot be read, or what it has is damaged.
        """
        found = self._store.get_many([self._place])
        header = _read(found[self._place].value) if self._place in found else _Header(0, {})
        self._next = header.following
        self._began_at = {
            output.name: header.cursors.get(output.name, self._next) for output in self._outputs
        }
        self._stored = range(min(header.cursors.values(), default=self._next), self._next)
        numbers = range(min(self._began_at.values(), default=self._next), self._next)
        for start in range(numbers.start, numbers.stop, _AT_ONCE):
            self._kept += self._loaded(range(start, min(start + _AT_ONCE, numbers.stop)))
        return {
            name: [alert for number, alert in self._kept if number >= began]
            for name, began in self._began_at.items()
        }

    def add(self, alerts: Sequence[Alert]) -> None:
        """Hear of alerts that were found; every output is given them."""
        for alert in alerts:
            self._kept.append((self._next, alert))
            self._next += 1

    def changes(self) -> list[Change]:
        """Return what is to be committed; call `settle` after it.

        Raises:
            StateError: an event of an alert holds what is no JSON value.
        """
        self._forget()
        cursors = self._cursors()
        first = min(cursors.values(), default=self._next)
        changes = [
            Change(self._key(number), encode_alert(alert))
            for number, alert in self._kept
            if number >= max(first, self._stored.stop)
        ]
        gone = range(self._stored.start, min(first, self._stored.stop))
        changes += [Change(self._key(number), None) for number in gone]
        header = _Header(self._next, cursors)
        changes.append(Change(self._place, msgspec.msgpack.encode(header)))
        self._next_stored = range(first, self._next)
        return changes

    def settle(self) -> None:
        """Hear that what `changes` returned last is committed."""
        self._stored = self._next_stored

    def _cursors(self) -> dict[str, int]:
        return {
            output.name: self._began_at[output.name] + output.delivered_in_order
            for output in self._outputs
        }

    def _forget(self) -> None:
        first = min(self._cursors().values(), default=self._next)
        while self._kept and self._kept[0][0] < first:
            self._kept.popleft()

    def _loaded(self, numbers: range) -> list[tuple[int, Alert]]:
        keys = {number: self._key(number) for number in numbers}
        found = self._store.get_many(list(keys.values()))
        alerts = []
        for number, key in keys.items():
            if key not in found:
                raise StateError(f"the stored state lacks the alert {number}, not delivered yet")
            alerts.append((number, decode_alert(found[key].value)))
        return alerts

    def _key(self, number: int) -> bytes:
        return b"%b/%016d" % (self._place, number)


def _read(encoded: bytes) -> _Header:
    try:
        header = msgspec.msgpack.decode(encoded, type=_Header)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise StateError(f"the stored outbox is damaged: {error}") from error
    if any(not 0 <= cursor <= header.following for cursor in header.cursors.values()):
        raise StateError("the stored outbox is damaged: a cursor is beyond all alerts")
    return header
