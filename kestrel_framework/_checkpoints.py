"""The state of an engine in a store: that of its detector, in pieces, and where sources go on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Final

import attrs
import msgspec

from kestrel_framework.errors import StateError
from kestrel_framework.interfaces import Change, StateStore

_HEADER_KEY: Final = b"engine/detector"
_POSITION_KEY: Final = b"engine/position/"
_PIECE_BYTES: Final = 4 * 1024 * 1024
"""Stores bound their values, and a million partial matches take hundreds of megabytes."""


class _Header(msgspec.Struct, array_like=True, frozen=True):
    pieces: int
    digest: bytes


@attrs.frozen
class Checkpoint:
    """What an engine goes on from.

    Attributes:
        snapshot: The state of the detector, if there is one.
        positions: Where each source goes on that has a position.
    """

    snapshot: bytes | None
    positions: Mapping[str, str]


class Checkpoints:
    """Reads and writes the checkpoints of one engine. For the thread of the engine.

    A checkpoint is one commit, so that a kill leaves the one before or this one. Pieces that did
    not change are not written again.

    Args:
        store: Where they are.
    """

    def __init__(self, store: StateStore) -> None:
        self._store = store
        self._digests: list[bytes | None] = []  # of what is stored; None where nobody knows

    def load(self, sources: Iterable[str]) -> Checkpoint:
        """Return the last checkpoint.

        Args:
            sources: Whose positions are wanted.

        Raises:
            StateError: the store cannot be read, or what it has is damaged.
        """
        keys = {_position_key(source): source for source in sources}
        stored = self._store.get_many([_HEADER_KEY, *keys])
        positions = {
            source: stored[key].value.decode() for key, source in keys.items() if key in stored
        }
        if _HEADER_KEY not in stored:
            return Checkpoint(None, positions)
        return Checkpoint(self._snapshot(stored[_HEADER_KEY].value), positions)

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
        pieces = [
            snapshot[start : start + _PIECE_BYTES]
            for start in range(0, len(snapshot), _PIECE_BYTES)
        ]
        digests = [hashlib.sha256(piece).digest() for piece in pieces]
        header = _Header(len(pieces), _digest_of(digests))
        changes = [Change(_HEADER_KEY, msgspec.msgpack.encode(header))]
        changes += [
            Change(_piece_key(number), piece)
            for number, piece in enumerate(pieces)
            if digests[number] not in self._digests[number : number + 1]
        ]
        surplus = range(len(pieces), len(self._digests))
        changes += [Change(_piece_key(number), None) for number in surplus]
        changes += [
            Change(_position_key(source), position.encode())
            for source, position in positions.items()
        ]
        self._digests = [None] * max(len(pieces), len(self._digests))
        self._store.commit(changes, fence=fence)
        self._digests = [*digests]

    def _snapshot(self, encoded: bytes) -> bytes:
        try:
            header = msgspec.msgpack.decode(encoded, type=_Header)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise StateError(f"the stored state of the detector is damaged: {error}") from error
        pieces = []
        for number in range(header.pieces):
            key = _piece_key(number)
            found = self._store.get_many([key])
            if key not in found:
                raise StateError(
                    f"the stored state of the detector lacks piece {number} of {header.pieces}"
                )
            pieces.append(found[key].value)
        digests = [hashlib.sha256(piece).digest() for piece in pieces]
        self._digests = [*digests]
        if _digest_of(digests) != header.digest:
            raise StateError("the stored state of the detector is damaged: its digest is wrong")
        return b"".join(pieces)


def _digest_of(digests: Iterable[bytes]) -> bytes:
    return hashlib.sha256(b"".join(digests)).digest()


def _piece_key(number: int) -> bytes:
    return b"%b/%06d" % (_HEADER_KEY, number)


def _position_key(source: str) -> bytes:
    return _POSITION_KEY + source.encode()
