"""The encoding of a tracker's state: versioned, checked, without pickle.

The outside is MessagePack: a name, a version, a checksum, and the content as bytes.
Inside, each event is stored once, and what comes from events is packed piece by piece.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

import attrs
import msgspec

from kestrel_framework._pipeline.sequence_tracker.held_events import HeldEvents, HeldState
from kestrel_framework._pipeline.sequence_tracker.keys import key_of, key_values
from kestrel_framework._pipeline.sequence_tracker.partials import (
    LeadingHits,
    Partial,
    SequenceState,
    WatchedPartial,
)
from kestrel_framework._pipeline.sequence_tracker.step_events import RestoredEvent, StepEvent
from kestrel_framework._pipeline.stored_pieces import pack, unpack
from kestrel_framework.errors import StateError
from kestrel_framework.event import Event, EventIdentity

_NAME: Final = "kestrel-sequences"
_VERSION: Final = 1

MachineState: TypeAlias = SequenceState | HeldState


@attrs.frozen
class TrackerState:
    """The state of a tracker, taken apart from its rules.

    Attributes:
        machines: What is remembered, by (rule id, semantic hash).
        ended: The counters of ends, by the name of the reason.
        keys_left_out: As in `TrackerStatistics`.
    """

    machines: Mapping[tuple[str, str], MachineState]
    ended: Mapping[str, int]
    keys_left_out: int


class _Envelope(msgspec.Struct, array_like=True, frozen=True):
    name: str
    version: int
    checksum: int
    content: bytes


class _Machine(msgspec.Struct, array_like=True, frozen=True):
    rule_id: str
    semantic_hash: str
    partials: list[bytes] = []
    leading_hits: list[bytes] = []
    held: list[bytes] | None = None


class _Content(msgspec.Struct, array_like=True, frozen=True):
    events: list[bytes]
    machines: list[_Machine]
    ended: dict[str, int]
    keys_left_out: int


_KeyValues: TypeAlias = list[bool | int | float | str | None]


class _Event(msgspec.Struct, array_like=True, frozen=True):
    stream: str
    offset: int
    timestamp: int
    tiebreaker: int | float | str | None
    document: dict[str, object]


class _Watch(msgspec.Struct, array_like=True, frozen=True):
    contradicted: bool
    gap_hit: int | None
    leading_hit: int | None


class _Partial(msgspec.Struct, array_like=True, frozen=True):
    stage: int
    key: _KeyValues
    events: list[int]
    watch: _Watch | None


class _LeadingHits(msgspec.Struct, array_like=True, frozen=True):
    key: _KeyValues
    latest: int
    previous: int | None


class _Held(msgspec.Struct, array_like=True, frozen=True):
    key: _KeyValues
    choices: list[list[int]]


def encode(state: TrackerState) -> bytes:
    """Return `state` as bytes.

    Raises:
        StateError: a document holds what is no JSON value.
    """
    events = _EventTable()
    machines = []
    for (rule_id, semantic_hash), remembered in state.machines.items():
        if isinstance(remembered, SequenceState):
            partials = [
                pack(_partial_piece(stage, partial, events))
                for stage, partial in remembered.partials
            ]
            leading = [
                pack(_LeadingHits(list(key_values(hits.key)), hits.latest, hits.previous))
                for hits in remembered.leading_hits
            ]
            machines.append(_Machine(rule_id, semantic_hash, partials, leading))
        else:
            pieces = [pack(_held_piece(held, events)) for held in remembered.held]
            machines.append(_Machine(rule_id, semantic_hash, held=pieces))
    content = msgspec.msgpack.encode(
        _Content(events.packed, machines, dict(state.ended), state.keys_left_out)
    )
    return msgspec.msgpack.encode(_Envelope(_NAME, _VERSION, zlib.crc32(content), content))


def decode(snapshot: bytes) -> TrackerState:
    """Return what `encode` was given.

    Raises:
        StateError: the bytes are damaged, or of another version.
    """
    try:
        envelope = msgspec.msgpack.decode(snapshot, type=_Envelope)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise StateError(f"the snapshot of the sequences is damaged: {error}") from error
    if envelope.name != _NAME:
        raise StateError("this is no snapshot of sequences")
    if envelope.version != _VERSION:
        raise StateError(
            f"the snapshot of the sequences has version {envelope.version}; "
            f"this kernel reads version {_VERSION}"
        )
    if zlib.crc32(envelope.content) != envelope.checksum:
        raise StateError("the snapshot of the sequences is damaged: its checksum is wrong")
    try:
        return _decoded(msgspec.msgpack.decode(envelope.content, type=_Content))
    except (msgspec.MsgspecError, ValueError, IndexError, RecursionError) as error:
        raise StateError(f"the snapshot of the sequences is damaged: {error}") from error


class _EventTable:
    """Gives each event a number, and packs it once."""

    def __init__(self) -> None:
        self.packed: list[bytes] = []
        self._numbers: dict[int, int] = {}

    def numbers(self, events: Sequence[StepEvent]) -> list[int]:
        return [self._number(event) for event in events]

    def _number(self, event: StepEvent) -> int:
        number = self._numbers.get(id(event))
        if number is None:
            number = self._numbers[id(event)] = len(self.packed)
            self.packed.append(
                pack(
                    [
                        event.stream,
                        event.offset,
                        event.timestamp,
                        event.tiebreaker,
                        event.document,
                    ]
                )
            )
        return number


def _partial_piece(stage: int, partial: Partial, events: _EventTable) -> _Partial:
    watch = None
    if isinstance(partial, WatchedPartial):
        watch = _Watch(partial.contradicted, partial.gap_hit, partial.leading_hit)
    key = list(key_values(partial.key))
    return _Partial(stage, key, events.numbers(partial.events), watch)


def _held_piece(held: HeldEvents, events: _EventTable) -> _Held:
    choices = [events.numbers(choice) for choice in held.choices]
    return _Held(list(key_values(held.key)), choices)


def _decoded(content: _Content) -> TrackerState:
    events = [_event(piece) for piece in content.events]
    machines: dict[tuple[str, str], MachineState] = {}
    for machine in content.machines:
        state: MachineState
        if machine.held is None:
            state = SequenceState(
                [_partial(unpack(piece, _Partial), events) for piece in machine.partials],
                [_hits(unpack(piece, _LeadingHits)) for piece in machine.leading_hits],
            )
        else:
            state = HeldState([_held(unpack(piece, _Held), events) for piece in machine.held])
        machines[machine.rule_id, machine.semantic_hash] = state
    return TrackerState(machines, content.ended, content.keys_left_out)


def _event(piece: bytes) -> StepEvent:
    event = unpack(piece, _Event)
    identity = EventIdentity(event.stream, event.offset)
    return RestoredEvent(Event(identity, event.timestamp, event.document, event.tiebreaker))


def _partial(piece: _Partial, events: Sequence[StepEvent]) -> tuple[int, Partial]:
    if len(set(piece.events)) != len(piece.events):
        raise ValueError("a partial match has an event twice")
    first, *rest = _chosen(piece.events, events)
    key = key_of(piece.key)
    if piece.watch is None:
        partial = Partial(key, first, first)
        for event in rest:
            partial.add(event)
    else:
        watched = partial = WatchedPartial(key, first, first, (), piece.watch.leading_hit)
        for event in rest:
            partial.add(event)
        watched.contradicted = piece.watch.contradicted
        watched.gap_hit = piece.watch.gap_hit
    return piece.stage, partial


def _hits(piece: _LeadingHits) -> LeadingHits:
    return LeadingHits(key_of(piece.key), piece.latest, piece.previous)


def _held(piece: _Held, events: Sequence[StepEvent]) -> HeldEvents:
    choices = [_chosen(numbers, events) for numbers in piece.choices]
    return HeldEvents(key_of(piece.key), choices)


def _chosen(numbers: Sequence[int], events: Sequence[StepEvent]) -> list[StepEvent]:
    if any(number < 0 for number in numbers):
        raise ValueError("an event has a negative number")
    return [events[number] for number in numbers]
