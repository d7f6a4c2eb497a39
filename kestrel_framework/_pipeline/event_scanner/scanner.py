"""Gives the native scanner what it needs of a decoder and a matcher, and answers its questions."""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias, cast

import msgspec

from kestrel_framework._pipeline.event_decoder import EventDecoder, KeysOfObject
from kestrel_framework._pipeline.rule_matcher import (
    FieldState,
    Node,
    RuleMatcher,
    Verdict,
)
from kestrel_framework.event import MAX_PAYLOAD_BYTES
from kestrel_framework.interpreter import split_path

if TYPE_CHECKING:
    from kestrel_framework._pipeline.event_scanner._native import Scanner, Step
else:
    try:
        from kestrel_framework._pipeline.event_scanner._native import Scanner, Step
    except ImportError:  # it was not compiled: matching is slower, and the same
        Scanner = Step = None

Scanned: TypeAlias = tuple[Verdict, int, tuple[object, ...]]
"""What the fields of an event decide, its time in nanoseconds, and the values wanted of it."""

_Step: TypeAlias = "Step[Node, Verdict]"
_Levels: TypeAlias = tuple[tuple[bool, tuple[tuple[bytes, int, int], ...]], ...]

_PASSED_OVER: Final = 0
_FIELD: Final = 1
_OBJECT: Final = 2
_MOST_FIELDS: Final = 60_000


def is_available() -> bool:
    """Say whether the scanner was compiled when the kernel was installed."""
    return Scanner is not None


class EventScanner:
    """Scans payloads of JSON, and says of each what views and a matcher would.

    Args:
        decoder: Decodes what is left to it.
        matcher: Whose decision graph is walked.
        wanted: Paths of views whose values are wanted of every event.
        walks: Whether to find a verdict; without, it is that nothing holds.

    Attributes:
        scan: Returns what it finds in an event, or None: then it is odd, and for the decoder.
            Not by two threads at once. Cost: about a microsecond; a value or a combination not
            seen lately costs as much more as it does the matcher.
    """

    scan: Callable[[bytes], Scanned | None]

    def __init__(
        self,
        decoder: EventDecoder,
        matcher: RuleMatcher,
        wanted: Sequence[str] = (),
        *,
        walks: bool = True,
    ) -> None:
        self._types = decoder.types
        self._times = decoder.parsed_times
        self._graph = matcher.graph
        self._engines = self._graph.fields
        self._numbers = {
            tuple(split_path(engine.path)): number for number, engine in enumerate(self._engines)
        }
        self._learned = self._types.times_learned
        scanner: Scanner[Node, Verdict] = Scanner(
            levels=self._levels(),
            root=self._step(self._graph.root if walks else Node(0)),
            time_field=self._number(decoder.timestamp_field),
            wanted=tuple(map(self._number, wanted)),
            plain=tuple(n for n, engine in enumerate(self._engines) if not engine.leaves),
            absent_value=msgspec.UNSET,
            absent_states=tuple(engine.absent for engine in self._engines),
            look_up=self._look_up,
            follow=self._follow,
            read_time=self._read_time,
            most_bytes=MAX_PAYLOAD_BYTES,
            seed=secrets.randbits(64),
        )
        self._scanner = scanner
        self.scan = scanner.scan

    def learn(self) -> None:
        """Pass over the keys that the decoder has learned to pass over."""
        if self._types.times_learned != self._learned:
            self._learned = self._types.times_learned
            self._scanner.learn(self._levels())

    def _number(self, path: str) -> int:
        return self._numbers[tuple(split_path(path))]

    def _levels(self) -> _Levels:
        levels: list[tuple[bool, tuple[tuple[bytes, int, int], ...]]] = []
        waiting: deque[tuple[tuple[str, ...], KeysOfObject]] = deque([((), self._types.keys)])
        numbered = 1
        while waiting:
            way, keys = waiting.popleft()
            entries = [(key, _FIELD, self._numbers[(*way, key)]) for key in keys.read]
            for key, inner in keys.objects.items():
                entries.append((key, _OBJECT, numbered))
                waiting.append(((*way, key), inner))
                numbered += 1
            entries += [(key, _PASSED_OVER, 0) for key in keys.passed_over]
            encoded = [(key.encode(), kind, number) for key, kind, number in entries]
            levels.append((keys.learns, tuple(encoded)))
        return tuple(levels)

    def _look_up(self, field: int, raw: bytes) -> tuple[object, FieldState] | None:
        try:
            value = self._types.decode_value(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        return value, self._engines[field].state_of(value)

    def _follow(self, step: _Step, states: tuple[object, ...]) -> _Step:
        node = step.node
        after = self._graph.followed_by_states(
            node, step.fields, cast("tuple[FieldState, ...]", states)
        )
        if step.fields != node.fields:
            step.fields = node.fields  # they were too many
        return self._step(after)

    def _step(self, node: Node) -> _Step:
        if node.step is None:
            node.step = Step(node, node.fields) if node.fields else Step(node, (), node.verdict)
        return cast("_Step", node.step)

    def _read_time(self, raw: bytes) -> int | None:
        try:
            return self._times[self._types.decode_value(raw)]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError, TypeError):
            return None


def event_scanner(
    decoder: EventDecoder, matcher: RuleMatcher, wanted: Sequence[str]
) -> EventScanner | None:
    """Return a scanner; None if there is none, or what it is to read is not for it."""
    paths = [engine.path for engine in matcher.graph.fields]
    if Scanner is None or len(paths) > _MOST_FIELDS:
        return None
    if not set(paths).issuperset((decoder.timestamp_field, *wanted)):
        return None
    return EventScanner(decoder, matcher, wanted)
