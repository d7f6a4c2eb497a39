"""Pieces of a stored state that hold what comes from events, packed one by one.

Documents, keys and times may be what MessagePack cannot say, such as half a surrogate pair or an
integer of 100 bits; such a piece is packed as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TypeVar

import msgspec

from kestrel_framework.errors import StateError

PieceT = TypeVar("PieceT")


def pack(piece: object) -> bytes:
    """Return a piece as bytes.

    Raises:
        StateError: it holds what is no JSON value, or nests too deep.
    """
    try:
        return b"m" + msgspec.msgpack.encode(piece, enc_hook=_plain)
    except (OverflowError, UnicodeEncodeError):
        plain = msgspec.to_builtins(piece, enc_hook=_plain)
        return b"j" + json.dumps(plain, ensure_ascii=True).encode()
    except RecursionError as error:
        raise StateError("an event nests too deep to be stored") from error


def unpack(piece: bytes, kind: type[PieceT]) -> PieceT:
    """Return what `pack` was given.

    Raises:
        MsgspecError, ValueError, RecursionError: the bytes are damaged.
    """
    if piece[:1] == b"j":
        return msgspec.convert(json.loads(piece[1:]), type=kind)
    return msgspec.msgpack.decode(piece[1:], type=kind)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise StateError(f"an event holds a {type(value).__name__}, which is no JSON value")
