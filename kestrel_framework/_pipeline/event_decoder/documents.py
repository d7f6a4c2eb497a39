"""From what sources hand over to whole documents; slow next to a view, and exact."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeGuard

import msgspec

from kestrel_framework.event import (
    MAX_PAYLOAD_BYTES,
    Document,
    unfold_dotted_keys,
)

MAX_NESTING: Final = 100
"""How deep the objects and lists of an event may nest, dotted keys unfolded."""

_LONGEST_INTEGER: Final = 400
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"

_decode: Final[Callable[[bytes], object]] = msgspec.json.Decoder().decode


def document_of_payload(payload: bytes, note: Callable[[str, str], None]) -> Document:
    """Return the document that a line of JSON holds, with dotted keys unfolded.

    Args:
        payload: One event.
        note: Told the cause and the sentence of what is odd, and read all the same.

    Raises:
        MalformedEventError: it holds none.
    """
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise MalformedEventError(
            "too_long", f"the event has {len(payload)} bytes, more than {MAX_PAYLOAD_BYTES}"
        )
    if payload.startswith(_BYTE_ORDER_MARK):
        payload = payload[len(_BYTE_ORDER_MARK) :]
    try:
        document = _decode(payload)
    except RecursionError as error:
        raise _too_deep() from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        document = _decode_leniently(payload, error, note)
        note("odd_json", "bad UTF-8, a lone surrogate, NaN or immense number is replaced")
    return document if _is_plain(document, payload) else checked_document(document, note)


class MalformedEventError(Exception):
    """An event that cannot be read at all."""

    def __init__(self, cause: str, message: str) -> None:
        super().__init__(message)
        self.cause = cause
        self.message = message


def _too_deep() -> MalformedEventError:
    return MalformedEventError("too_deep", f"the event nests deeper than {MAX_NESTING} levels")


def _decode_leniently(payload: bytes, error: Exception, note: Callable[[str, str], None]) -> object:
    """Read what is JSON but for bad UTF-8, a lone surrogate, a NaN, or an immense number.

    A program can have such a name or argument: refusing the event would let it hide.
    What is no character becomes U+FFFD, NaN and Infinity null, an immense number infinite.
    """
    try:
        document: object = json.loads(
            payload.decode("utf-8", "replace"), parse_int=_integer, parse_constant=lambda _: None
        )
    except RecursionError as deep:
        raise _too_deep() from deep
    except ValueError:
        problem = str(error).removeprefix("JSON is malformed: ")
        raise MalformedEventError("malformed_json", f"the event is not JSON: {problem}") from error
    return _without_surrogates(checked_document(document, note))


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _LONGEST_INTEGER else float(digits)


def _without_surrogates(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, Mapping):
        return {_without_surrogates(key): _without_surrogates(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_surrogates(item) for item in value]
    return value


def _is_plain(document: object, payload: bytes) -> TypeGuard[dict[str, object]]:
    """Say whether `checked_document` has nothing to do for a decoded payload: the quick way."""
    return (
        type(document) is dict
        and payload.count(b"{") + payload.count(b"[") <= MAX_NESTING
        and _has_plain_keys(document)
    )


def _has_plain_keys(container: dict[str, object] | list[object]) -> bool:
    values: Iterable[object] = container
    if type(container) is dict:
        if "." in "".join(container):
            return False
        values = container.values()
    for value in values:
        if (type(value) is dict or type(value) is list) and not _has_plain_keys(value):
            return False
    return True


def checked_document(document: object, note: Callable[[str, str], None]) -> Document:
    """Return the document with dotted keys unfolded, without what no field can have.

    What nests deeper than `MAX_NESTING` is cut off, and keys that are no texts are left out;
    both are noted. Refusing the event would let it hide.

    Raises:
        MalformedEventError: it is no object.
    """
    if not isinstance(document, Mapping):
        raise MalformedEventError(
            "not_an_object",
            f"the event is {_NAMES.get(type(document), 'something else')}, not an object",
        )
    if not _is_odd(document):
        return document
    repair = _Repair()
    repaired = repair.mapping(document, 1)
    for cause, message in repair.notes.items():
        note(cause, message)
    return unfold_dotted_keys(repaired)


_LEAF_TYPES: Final = frozenset((str, int, float, bool, type(None)))

_NAMES: Final[Mapping[type, str]] = {
    list: "a list",
    str: "a text",
    int: "a number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}


def _is_odd(document: Document) -> bool:
    """Say whether a key is dotted or no text, or the document nests too deeply.

    Looks at the document level by level.
    """
    depth = 0
    level: list[object] = [document]
    while level:
        depth += 1
        if depth > MAX_NESTING:
            return True
        inner: list[object] = []
        for container in level:
            values: Iterable[object] = ()
            if isinstance(container, (list, tuple)):
                values = container
            elif isinstance(container, Mapping):
                values = container.values()
                if any(not isinstance(key, str) or "." in key for key in container):
                    return True
            inner.extend([value for value in values if type(value) not in _LEAF_TYPES])
        level = inner
    return False


class _Repair:
    """Copies a document without what is too deep or has no name.

    Attributes:
        notes: What was left out: cause to sentence.
    """

    def __init__(self) -> None:
        self.notes: dict[str, str] = {}

    def mapping(self, container: Mapping[object, object], depth: int) -> dict[str, object]:
        copy: dict[str, object] = {}
        for key, value in container.items():
            if not isinstance(key, str):
                kind = type(key).__name__
                self.notes["bad_key"] = f"a key of the event is of type {kind}; it is left out"
            else:
                copy[key] = self._value(value, depth + 1 + key.count("."))
        return copy

    def _value(self, value: object, depth: int) -> object:
        if not isinstance(value, (Mapping, list, tuple)):
            return value
        if depth > MAX_NESTING:
            self.notes["too_deep"] = f"what nests deeper than {MAX_NESTING} levels is cut off"
            return None
        if isinstance(value, Mapping):
            return self.mapping(value, depth)
        return [self._value(inner, depth + 1) for inner in value]
