"""A value that is larger than stores take: in pieces, of which those that changed are written."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from kestrel_framework.errors import StateError
from kestrel_framework.interfaces import Change, StateStore

_PIECE_BYTES: Final = 4 * 1024 * 1024
"""Stores bound their values, and a million partial matches take hundreds of megabytes."""


class _Header(msgspec.Struct, array_like=True, frozen=True):
    pieces: int
    digest: bytes


class PiecewiseValue:
    """The pieces of one value, and which of them are written as they are.

    A header says what the value consists of. It is for whoever writes the value to keep, in the
    same commit.

    Args:
        store: Where the pieces are.
        key: What their keys begin with.
        name: What the value is called in errors.
    """

    def __init__(self, store: StateStore, key: bytes, name: str) -> None:
        self._store = store
        self._key = key
        self._name = name
        self._digests: Sequence[bytes | None] = ()  # of what is stored; None where nobody knows
        self._next_digests: Sequence[bytes] = ()

    def written(self, value: bytes) -> tuple[bytes, list[Change]]:
        """Return the header of a value, and what has to change in the store.

        Call `settle` when that is committed; until then, nobody knows what is in the store.
        """
        pieces = [
            value[start : start + _PIECE_BYTES] for start in range(0, len(value), _PIECE_BYTES)
        ]
        digests = [hashlib.sha256(piece).digest() for piece in pieces]
        changes = [
            Change(self._piece_key(number), piece)
            for number, piece in enumerate(pieces)
            if digests[number] not in self._digests[number : number + 1]
        ]
        surplus = range(len(pieces), len(self._digests))
        changes += [Change(self._piece_key(number), None) for number in surplus]
        self._next_digests = digests
        self._digests = [None] * max(len(pieces), len(self._digests))
        return msgspec.msgpack.encode(_Header(len(pieces), _digest_of(digests))), changes

    def settle(self) -> None:
        """Hear that what `written` returned last is in the store."""
        self._digests = self._next_digests

    def read(self, header: bytes) -> bytes:
        """Return the value that a header stands for.

        Raises:
            StateError: a piece is missing, or something is damaged.
        """
        try:
            known = msgspec.msgpack.decode(header, type=_Header)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise StateError(f"{self._name} is damaged: {error}") from error
        pieces = []
        for number in range(known.pieces):
            key = self._piece_key(number)
            found = self._store.get_many([key])
            if key not in found:
                raise StateError(f"{self._name} lacks piece {number} of {known.pieces}")
            pieces.append(found[key].value)
        digests = [hashlib.sha256(piece).digest() for piece in pieces]
        self._digests = digests
        if _digest_of(digests) != known.digest:
            raise StateError(f"{self._name} is damaged: its digest is wrong")
        return b"".join(pieces)

    def _piece_key(self, number: int) -> bytes:
        return b"%b/%06d" % (self._key, number)


def _digest_of(digests: Iterable[bytes]) -> bytes:
    return hashlib.sha256(b"".join(digests)).digest()
