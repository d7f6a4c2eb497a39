"""The encoding of what the order of event time remembers: versioned, checked, without pickle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, TypeAlias

import attrs
import msgspec

from kestrel_framework._pipeline.event_time.waiting_matches import WaitingMatch
from kestrel_framework._pipeline.flow import ordinal_of
from kestrel_framework._pipeline.stored_pieces import pack, unpack
from kestrel_framework.errors import StateError
from kestrel_framework.predicate import Lineage

_VERSION: Final = 1

StepName: TypeAlias = tuple[str, str, int]
"""What a step is called in a state: the id and the semantic hash of its rule, and its number."""


@attrs.frozen
class SourceState:
    """What is remembered of the time of one source; see `SourceClock`."""

    disorder: int
    greatest: int | None
    promised: int | None
    doubted: Sequence[int]
    left_out: bool


@attrs.frozen
class MatchState:
    """A match without the numbers of a rule set.

    Attributes:
        match: The match; its targets and its lineage mean nothing.
        aside_of: The source it is aside of; None where it waits.
        steps: What it satisfies.
        lineage: For each of these, the places of the nodes that hold among its `Lineage` nodes.
    """

    match: WaitingMatch
    aside_of: str | None
    steps: Sequence[StepName]
    lineage: Sequence[Sequence[int]]


@attrs.frozen
class TimeState:
    """The state of an `EventTime`."""

    watermark: int | None = None
    sources: Mapping[str, SourceState] = attrs.field(factory=dict)
    matches: Sequence[MatchState] = ()


class _Source(msgspec.Struct, array_like=True, frozen=True):
    name: str
    disorder: int
    left_out: bool
    times: bytes


class _Match(msgspec.Struct, array_like=True, frozen=True):
    aside_of: str | None
    steps: list[StepName]
    lineage: list[list[int]]
    event: bytes


class _State(msgspec.Struct, array_like=True, frozen=True):
    version: int
    watermark: bytes
    sources: list[_Source]
    matches: list[_Match]


class _Watermark(msgspec.Struct, array_like=True, frozen=True):
    time: int | None


class _Times(msgspec.Struct, array_like=True, frozen=True):
    greatest: int | None
    promised: int | None
    doubted: list[int]


class _Event(msgspec.Struct, array_like=True, frozen=True):
    timestamp: int
    tiebreaker: int | float | str | None
    stream: str
    offset: int
    document: dict[str, object]


def encode_time(state: TimeState) -> bytes:
    """Return a state as bytes.

    Raises:
        StateError: a document holds what is no JSON value.
    """
    sources = [
        _Source(
            name,
            source.disorder,
            source.left_out,
            pack(_Times(source.greatest, source.promised, list(source.doubted))),
        )
        for name, source in state.sources.items()
    ]
    matches = [
        _Match(each.aside_of, list(each.steps), list(map(list, each.lineage)), _packed(each.match))
        for each in state.matches
    ]
    return msgspec.msgpack.encode(
        _State(_VERSION, pack(_Watermark(state.watermark)), sources, matches)
    )


def decode_time(data: bytes, serials: Iterator[int]) -> TimeState:
    """Return what `encode_time` was given.

    Raises:
        StateError: the bytes are damaged, or of another version.
    """
    try:
        state = msgspec.msgpack.decode(data, type=_State)
        if state.version != _VERSION:
            raise StateError(f"the stored event time has the unknown version {state.version}")
        sources = {source.name: _source(source) for source in state.sources}
        matches = [_match(each, sources, next(serials)) for each in state.matches]
        watermark = unpack(state.watermark, _Watermark).time
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise StateError(f"the stored event time is damaged: {error}") from error
    return TimeState(watermark, sources, matches)


def _source(source: _Source) -> SourceState:
    times = unpack(source.times, _Times)
    return SourceState(
        source.disorder, times.greatest, times.promised, times.doubted, source.left_out
    )


def _match(each: _Match, sources: Mapping[str, SourceState], serial: int) -> MatchState:
    if each.aside_of is not None and each.aside_of not in sources:
        raise ValueError("an event is aside of a source that is not there")
    if len(each.steps) != len(each.lineage) or not each.steps:
        raise ValueError("an event has no steps, or other lineage than steps")
    event = unpack(each.event, _Event)
    ordinal = ordinal_of(event.timestamp, event.tiebreaker, event.stream, event.offset)
    match = WaitingMatch(*ordinal, serial, (), None, event.document, frozenset[Lineage]())
    return MatchState(match, each.aside_of, each.steps, each.lineage)


def _packed(match: WaitingMatch) -> bytes:
    row = match.candidate().row
    return pack([row.timestamp, row.tiebreaker, row.stream, row.offset, row.document])
