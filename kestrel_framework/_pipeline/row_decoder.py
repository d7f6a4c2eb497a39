"""From what sources hand over to the rows that the matcher reads."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeGuard

import attrs
import msgspec

from kestrel_framework._pipeline.flow import Problem, Row
from kestrel_framework.errors import InputError
from kestrel_framework.event import (
    MAX_PAYLOAD_BYTES,
    Document,
    EventBatch,
    EventSettings,
    read_path,
    unfold_dotted_keys,
)
from kestrel_framework.schema import SchemaRegistry
from kestrel_framework.values import parse_timestamp

MAX_NESTING: Final = 100
"""How deep the objects and lists of an event may nest, dotted keys unfolded."""

_LONGEST_INTEGER: Final = 400
_MOST_CATEGORIES_KEPT: Final = 1024
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


class RowDecoder:
    """Decodes batches into rows, and reports what cannot be taken as it is.

    An event without a usable timestamp is not thrown away, which would be a way to
    hide: it takes the greatest event time seen so far, and is reported.

    Args:
        settings: Which fields say when and what an event is.
        schema: Knows which event types are also others.
        report: Called with each problem, in the order of the events.

    Attributes:
        greatest_timestamp: The greatest event time seen, in nanoseconds since
            1970; `None` before the first event.
    """

    def __init__(
        self,
        settings: EventSettings,
        schema: SchemaRegistry,
        report: Callable[[Problem], None],
    ) -> None:
        self.greatest_timestamp: int | None = None
        self._unit = settings.timestamp_unit
        self._timestamp_field = settings.timestamp_field
        self._timestamp_path = settings.timestamp_field.split(".")
        self._category_path = settings.category_field.split(".")
        tiebreaker = settings.tiebreaker_field
        self._tiebreaker_path = tiebreaker.split(".") if tiebreaker is not None else None
        self._schema = schema
        self._report = report
        self._decode = msgspec.json.Decoder().decode
        self._types_of_category: dict[str, frozenset[str]] = {}

    def rows(self, batch: EventBatch) -> list[Row]:
        """Return a row for each event that can be read, in order.

        Raises:
            InputError: the payloads are in a format that is not known.
        """
        if batch.payloads and batch.payload_format != "json":
            raise InputError(
                f'payloads in the format "{batch.payload_format}" cannot be read; only "json" can'
            )
        stream, offset = batch.stream or "", batch.first_offset or 0
        found = []
        for payload in batch.payloads:
            if payload and not payload.isspace():
                place = _Place(batch.origin, offset + 1)
                try:
                    document = self._document(payload, place)
                except _MalformedError as malformed:
                    self._refuse(malformed, place)
                else:
                    found.append(self._row(document, stream, offset, place))
            offset += 1
        for given in batch.documents:
            place = _Place(batch.origin, None)
            try:
                document = _checked(given)
            except _MalformedError as malformed:
                self._refuse(malformed, place)
            else:
                found.append(self._row(document, stream, offset, place))
            offset += 1
        return found

    def snapshot(self) -> int | None:
        """Return what `restore` needs: the greatest event time."""
        return self.greatest_timestamp

    def restore(self, snapshot: int | None) -> None:
        """Go on where `snapshot` was taken."""
        self.greatest_timestamp = snapshot

    def _document(self, payload: bytes, place: _Place) -> Document:
        if len(payload) > MAX_PAYLOAD_BYTES:
            raise _MalformedError(
                "too_long", f"the event has {len(payload)} bytes, more than {MAX_PAYLOAD_BYTES}"
            )
        if payload.startswith(_BYTE_ORDER_MARK):
            payload = payload[len(_BYTE_ORDER_MARK) :]
        try:
            document = self._decode(payload)
        except UnicodeDecodeError as error:
            raise _MalformedError("invalid_utf8", "the event is not UTF-8") from error
        except RecursionError as error:
            raise _too_deep() from error
        except msgspec.DecodeError as error:
            document = _decode_leniently(payload, error)
            message = "a lone surrogate, NaN or immense number in the event is replaced"
            self._report(Problem("odd_json", message, place.origin, place.line, skipped=False))
        return document if _is_plain(document, payload) else _checked(document)

    def _row(self, document: Document, stream: str, offset: int, place: _Place) -> Row:
        return Row(
            document,
            self._event_types(document),
            self._timestamp(document, place),
            stream,
            offset,
            self._tiebreaker(document),
        )

    def _event_types(self, document: Document) -> frozenset[str]:
        """Return the categories and all they descend from; they compare exactly."""
        found: frozenset[str] = frozenset()
        for category in read_path(document, self._category_path):
            if isinstance(category, str):
                types = self._with_ancestors(category)
                found = found | types if found else types
        return found

    def _with_ancestors(self, category: str) -> frozenset[str]:
        types = self._types_of_category.get(category)
        if types is None:
            types = self._schema.with_ancestors(category)
            if len(self._types_of_category) < _MOST_CATEGORIES_KEPT:
                self._types_of_category[category] = types
        return types

    def _timestamp(self, document: Document, place: _Place) -> int:
        value = next(read_path(document, self._timestamp_path), None)
        greatest = self.greatest_timestamp
        if value is None:
            self._mistimed("missing_timestamp", f"there is no `{self._timestamp_field}`", place)
            return greatest or 0
        try:
            timestamp = parse_timestamp(value, self._unit)
        except ValueError as error:
            self._mistimed("bad_timestamp", f"`{self._timestamp_field}`: {error}", place)
            return greatest or 0
        if greatest is None or timestamp > greatest:
            self.greatest_timestamp = timestamp
        return timestamp

    def _mistimed(self, cause: str, problem: str, place: _Place) -> None:
        message = f"{problem}; the event takes the greatest time seen so far"
        self._report(Problem(cause, message, place.origin, place.line, skipped=False))

    def _tiebreaker(self, document: Document) -> int | float | str | None:
        if self._tiebreaker_path is None:
            return None
        value = next(read_path(document, self._tiebreaker_path), None)
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            return None
        return None if isinstance(value, float) and math.isnan(value) else value

    def _refuse(self, malformed: _MalformedError, place: _Place) -> None:
        self._report(Problem(malformed.cause, malformed.message, place.origin, place.line))


@attrs.frozen
class _Place:
    origin: str
    line: int | None


class _MalformedError(Exception):
    """An event that cannot be read at all."""

    def __init__(self, cause: str, message: str) -> None:
        super().__init__(message)
        self.cause = cause
        self.message = message


def _too_deep() -> _MalformedError:
    return _MalformedError("too_deep", f"the event nests deeper than {MAX_NESTING} levels")


def _decode_leniently(payload: bytes, error: msgspec.DecodeError) -> object:
    """Read what is JSON but for a lone surrogate, a NaN, or a number beyond all measure.

    A program can have such a name or argument: refusing the event would let it hide.
    Lone surrogates become U+FFFD, NaN and Infinity null, an immense number infinite.
    """
    try:
        document: object = json.loads(
            payload.decode(), parse_int=_integer, parse_constant=lambda _: None
        )
    except RecursionError as deep:
        raise _too_deep() from deep
    except UnicodeDecodeError as other:
        raise _MalformedError("invalid_utf8", "the event is not UTF-8") from other
    except ValueError:
        problem = str(error).removeprefix("JSON is malformed: ")
        raise _MalformedError("malformed_json", f"the event is not JSON: {problem}") from error
    return _without_surrogates(_checked(document))


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
    """Say whether `_checked` has nothing to do for a decoded payload: the quick way."""
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


def _checked(document: object) -> Document:
    """Return the document with dotted keys unfolded.

    Raises:
        _MalformedError: it is no object, has keys that are no texts, or nests too deeply.
    """
    if not isinstance(document, Mapping):
        raise _MalformedError(
            "not_an_object",
            f"the event is {_NAMES.get(type(document), 'something else')}, not an object",
        )
    if _has_dotted_key(document):
        return unfold_dotted_keys(document)
    return document


_LEAF_TYPES: Final = frozenset((str, int, float, bool, type(None)))

_NAMES: Final[Mapping[type, str]] = {
    list: "a list",
    str: "a text",
    int: "a number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}


def _has_dotted_key(document: Document) -> bool:
    """Say whether any key has a dot; looks at the document level by level.

    Raises:
        _MalformedError: as for `_checked`.
    """
    dotted = False
    depth = 0
    level: list[object] = [document]
    while level:
        depth += 1
        if depth > MAX_NESTING:
            raise _too_deep()
        inner: list[object] = []
        for container in level:
            values: Iterable[object] = ()
            if isinstance(container, (list, tuple)):
                values = container
            elif isinstance(container, Mapping):
                values = container.values()
                for key in container:
                    if not isinstance(key, str):
                        kind = type(key).__name__
                        raise _MalformedError("bad_key", f"a key of the event is of type {kind}")
                    if "." in key:
                        dotted = True
            inner.extend([value for value in values if type(value) not in _LEAF_TYPES])
        level = inner
    if dotted:
        _check_unfolded_depth(document)
    return dotted


def _check_unfolded_depth(document: Document) -> None:
    waiting: list[tuple[object, int]] = [(document, 1)]
    while waiting:
        container, depth = waiting.pop()
        if depth > MAX_NESTING:
            raise _too_deep()
        if isinstance(container, Mapping):
            waiting.extend((value, depth + 1 + key.count(".")) for key, value in container.items())
        elif isinstance(container, (list, tuple)):
            waiting.extend((value, depth + 1) for value in container)
