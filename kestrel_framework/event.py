"""Events: how sources hand them over, and what a match points to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final, Literal

import attrs

Document = Mapping[str, object]
"""One event: a nested mapping in the Elastic Common Schema, read-only by contract.

Values are str, int, float, bool, None, list or mapping.
"""

MAX_PAYLOAD_BYTES: Final = 8 * 1024 * 1024
"""The largest undecoded event; decoding can take fifty times its memory."""

NOTHING_LOST: Final[Mapping[str, int]] = MappingProxyType({})


@attrs.frozen
class EventBatch:
    """What a source hands over: events in the order it saw them.

    Exactly one of `documents` and `payloads` is used; both empty is a
    heartbeat, which says that the source lives and has nothing.

    Attributes:
        documents: Decoded events.
        payloads: Events not decoded yet, one object each, in `payload_format`;
            the fast way, since the kernel decodes only what rules look at. A
            blank payload is no event, but takes an offset.
        payload_format: The encoding of `payloads`; the kernel knows "json".
        position: Where to go on after this batch: the token that
            `EventSource.open` takes back. Opaque to the kernel. `None` from a
            source that cannot go back.
        lost: How many events are known lost just before this batch, by cause.
        watermark: The source's promise that no later event is older than this,
            in nanoseconds since 1970; `None` makes no promise.
        stream: The name of the numbering that `first_offset` belongs to. It
            changes whenever offsets start again (another file, boot, pipe). The
            engine names streams for sources that leave it out.
        first_offset: The offset of the first event; the others follow on
            without gaps. The engine counts for sources that leave it out.
        origin: What to call the input in messages to people, such as a file name.
        source: Which source it is from; the engine says it. Time goes on as far as all
            sources have come.
        disorder: How far an event of the source may come after a later one, in nanoseconds
            of event time. 0: events come in order. What comes later still is late: sequences
            do not see it, which is counted. Sequences are found that much later.
    """

    documents: Sequence[Document] = ()
    payloads: Sequence[bytes] = ()
    payload_format: str = "json"
    position: str | None = None
    lost: Mapping[str, int] = NOTHING_LOST
    watermark: int | None = None
    stream: str | None = None
    first_offset: int | None = None
    origin: str = ""
    source: str = ""
    disorder: int = 0

    def __attrs_post_init__(self) -> None:
        if self.documents and self.payloads:
            raise ValueError("a batch has documents or payloads, not both")
        if self.disorder < 0:
            raise ValueError("the disorder of a source is not below 0")

    def __len__(self) -> int:
        return len(self.payloads) or len(self.documents)


TimestampUnit = Literal["iso", "s", "ms", "us", "ns", "filetime"]
"""How a timestamp field counts: ISO 8601, or a number of units since 1970 (FILETIME: 1601).

`iso` takes numbers, and texts of digits, as milliseconds since 1970. Whatever the unit, a text
in ISO 8601 is understood.
"""


@attrs.frozen
class EventSettings:
    """Which fields of an event say when it was, what it is, and what comes first.

    Attributes:
        timestamp_field: Event time.
        timestamp_unit: How that field counts.
        category_field: The event's type or types, which rules name before `where`.
        tiebreaker_field: What orders events of one timestamp, or `None`.
    """

    timestamp_field: str = "@timestamp"
    timestamp_unit: TimestampUnit = "iso"
    category_field: str = "event.category"
    tiebreaker_field: str | None = None


@attrs.frozen
class TimeSettings:
    """Which event times are believed.

    One event dated 2099 must not make all others late. So an event whose time is far from the
    greatest one seen of its source is kept out of sequences until others, one after the
    other, are as far; if the next event is not, its time was no time.

    Attributes:
        largest_jump: How far is too far, in seconds.
        believed_after: How many such events in a row are believed, when they are near each other.
    """

    largest_jump: float = attrs.field(
        default=86_400.0,
        validator=[attrs.validators.gt(0.0), attrs.validators.le(1e9)],
        metadata={
            "help": "Seconds from the greatest time seen of a source from which on an event is "
            "kept out of sequences until others agree with it."
        },
    )
    believed_after: int = attrs.field(
        default=10,
        validator=[attrs.validators.ge(1), attrs.validators.le(10_000)],
        metadata={"help": "How many events in a row have to agree."},
    )


@attrs.frozen(order=True)
class EventIdentity:
    """Which event: the offset in a stream. Two different events never share one."""

    stream: str
    offset: int

    def __str__(self) -> str:
        return f"{self.stream}#{self.offset}"


@attrs.frozen(eq=False)
class Event:
    """An event that matched something. Made for matches only.

    Attributes:
        identity: Which event.
        timestamp: Event time in nanoseconds since 1970.
        document: The whole event.
        tiebreaker: What orders events of one timestamp before their identity
            does: the value of the tiebreaker field. Absent sorts last.
    """

    identity: EventIdentity
    timestamp: int
    document: Document
    tiebreaker: int | float | str | None = None


def read_path(
    document: object, parts: Sequence[str | int], *, nulls: bool = False
) -> Iterator[object]:
    """Yield every value at a path, in order, with lists flattened and nulls left out.

    A path through a list of objects yields the values of all of them; a number in
    the path goes on with one element of the list that stands there. A mapping
    at the end of the path is yielded as it is. With `nulls`, an explicit null at
    the end is yielded as None. Dotted keys are not looked for: sources unfold
    them (`unfold_dotted_keys`).
    """
    value = document
    for depth, part in enumerate(parts):
        if isinstance(part, int):
            if not isinstance(value, (list, tuple)) or part >= len(value):
                return
            value = value[part]
            continue
        if isinstance(value, (list, tuple)):
            for element in value:
                yield from read_path(element, parts[depth:], nulls=nulls)
            return
        if not isinstance(value, Mapping) or part not in value:
            return
        value = value[part]
    if isinstance(value, (list, tuple)):
        for element in value:
            yield from read_path(element, (), nulls=nulls)
    elif value is not None or nulls:
        yield value


def unfold_dotted_keys(document: Document) -> Document:
    """Return `document` with keys such as `"process.name"` made into nested objects.

    A document without dotted keys is returned as it is; a key with an empty part (`".a"`) stays
    one key, which no path leads to. Where a dotted and a
    nested key give the same path two values, the field has both values; nothing
    is lost. Cost: linear in the document.
    """
    if not _has_dotted_key(document):
        return document
    unfolded: dict[str, object] = {}
    _unfold_into(unfolded, document)
    return unfolded


def _has_dotted_key(value: object) -> bool:
    if isinstance(value, Mapping):
        return any("." in key or _has_dotted_key(inner) for key, inner in value.items())
    if isinstance(value, (list, tuple)):
        return any(_has_dotted_key(inner) for inner in value)
    return False


def _unfold_into(target: dict[str, object], document: Document) -> None:
    for key, value in document.items():
        parts = key.split(".")
        *way, last = parts if all(parts) else [key]
        place = target
        for part in way:
            inner = place.get(part)
            if not isinstance(inner, dict):
                inner = {}
                _add(place, part, inner)
            place = inner
        _add(place, last, _unfolded_copy(value))


def _unfolded_copy(value: object) -> object:
    if isinstance(value, Mapping):
        copy: dict[str, object] = {}
        _unfold_into(copy, value)
        return copy
    if isinstance(value, (list, tuple)):
        return [_unfolded_copy(inner) for inner in value]
    return value


def _add(target: dict[str, object], key: str, value: object) -> None:
    """Give a field one more value; every container in `target` may be changed."""
    if key not in target:
        target[key] = value
        return
    known = target[key]
    values = value if isinstance(value, list) else [value]
    if isinstance(known, dict) and isinstance(value, dict):
        for inner_key, inner in value.items():
            _add(known, inner_key, inner)
    elif isinstance(known, list):
        known.extend(values)
    else:
        target[key] = [known, *values]
