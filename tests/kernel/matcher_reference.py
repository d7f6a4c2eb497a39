"""What the matcher must say, worked out slowly from the interpreter, and what differs from it.

Nothing here uses the row decoder or the index: events are read with the `json` of the standard
library, and conditions are decided one by one.
"""

from __future__ import annotations

import codecs
import itertools
import json
import traceback
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias, TypeVar, cast

import attrs
import pytest

from kestrel_framework._builtin.pattern_engine import NativePatternEngine
from kestrel_framework._pipeline.event_matcher import EventMatcher
from kestrel_framework._pipeline.flow import Target
from kestrel_framework._pipeline.over_approximation import decided_by_event
from kestrel_framework._pipeline.rule_matcher import MatcherLimits
from kestrel_framework.event import (
    Document,
    EventBatch,
    EventSettings,
    read_path,
    unfold_dotted_keys,
)
from kestrel_framework.interfaces import CompiledPatterns, Pattern, PatternEngine
from kestrel_framework.interpreter import holds, split_path
from kestrel_framework.predicate import And, Not, Or, Predicate
from kestrel_framework.predicate_traversal import fields_of
from kestrel_framework.rule import ANY_EVENT, Condition
from kestrel_framework.schema import SchemaRegistry

SETTINGS: Final = EventSettings()
PATTERNS: Final = NativePatternEngine()

LEVELS: Final = 100
"""How deep an event may nest."""

LONGEST_INTEGER: Final = 400
"""How many characters an integer may have; a longer one is read as a float."""

ItemT = TypeVar("ItemT")
Verdicts: TypeAlias = list[list[int]]
"""For each event the numbers of the targets that hold, ascending."""


# --- events ---------------------------------------------------------------------------


def document_in(payload: bytes) -> object:
    """Return what a payload says, keys as they are written, U+FFFD for what is no character.

    Raises:
        ValueError: it is not JSON.
        RecursionError: it nests too deeply to be read.
    """
    text = payload.removeprefix(codecs.BOM_UTF8).decode("utf-8", "replace")
    return _with_scalar_texts(
        json.loads(text, parse_int=_integer, parse_constant=lambda _: None),
    )


def event_in(payload: bytes) -> Document | None:
    """Return the event in a payload, or None where it has none that can be taken."""
    try:
        return event_of(document_in(payload))
    except (ValueError, RecursionError):
        return None


def event_of(document: object) -> Document | None:
    """Return a document as it counts; None if it is no object.

    Dotted keys are unfolded, keys that are no texts are left out, and containers that
    would stand too deep are nulls.
    """
    if not isinstance(document, Mapping):
        return None
    kept = _as_it_counts(document, 1)
    assert isinstance(kept, Mapping)
    return unfold_dotted_keys(kept)


def event_types_of(
    event: Document, schema: SchemaRegistry, settings: EventSettings
) -> frozenset[str]:
    """Return the categories of an event, and all that these descend from."""
    categories = read_path(event, settings.category_field.split("."))
    return frozenset().union(
        *(schema.with_ancestors(one) for one in categories if isinstance(one, str))
    )


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= LONGEST_INTEGER else float(digits)


def _with_scalar_texts(value: object) -> object:
    """Return the value with U+FFFD for each half of a character that stands alone."""
    if isinstance(value, str):
        return "".join("\ufffd" if "\ud800" <= one <= "\udfff" else one for one in value)
    if isinstance(value, dict):
        return {_with_scalar_texts(key): _with_scalar_texts(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_scalar_texts(item) for item in value]
    return value


def _as_it_counts(value: object, level: int) -> object:
    if isinstance(value, (Mapping, list, tuple)) and level > LEVELS:
        return None
    if isinstance(value, Mapping):
        return {
            key: _as_it_counts(inner, level + 1 + key.count("."))
            for key, inner in value.items()
            if isinstance(key, str)
        }
    if isinstance(value, (list, tuple)):
        return [_as_it_counts(inner, level + 1) for inner in value]
    return value


# --- verdicts -------------------------------------------------------------------------


def satisfied(
    targets: Sequence[Target], event: Document, schema: SchemaRegistry, settings: EventSettings
) -> list[int]:
    """Return the numbers of the targets that hold for an event: the meaning of the matcher."""
    types = event_types_of(event, schema, settings)
    return [
        number
        for number, target in enumerate(targets)
        if not target.event_types or target.event_types & types
        if holds(decided_by_event(target.condition), event)
    ]


def targets_for(conditions: Iterable[Condition]) -> list[Target]:
    """Return targets that look at every event."""
    return [Target(number, 0, ANY_EVENT, one) for number, one in enumerate(conditions)]


@attrs.define
class CachedReference:
    """`satisfied` for many events, each leaf decided once for what it can see of an event.

    It takes three shortcuts, and no other:

    1. The event types are looked at first, which decides most pairs of target and event.
    2. `And`, `Or` and `Not` are taken apart here, as `interpreter.holds` does.
    3. The verdict of any other node is kept by what `sight` says of the fields that it reads:
       `interpreter.holds` learns of an event nothing but what stands along these paths.
    """

    targets: Sequence[Target]
    schema: SchemaRegistry
    settings: EventSettings
    _decide: list[Callable[[_Seen], bool]] = attrs.field(init=False)
    _leaves: dict[Predicate, Callable[[_Seen], bool]] = attrs.field(init=False, factory=dict)

    def __attrs_post_init__(self) -> None:
        self._decide = [self._compiled(decided_by_event(one.condition)) for one in self.targets]

    def satisfied(self, event: Document) -> list[int]:
        """Return the numbers of the targets that hold for an event."""
        types = event_types_of(event, self.schema, self.settings)
        seen = _Seen(event)
        return [
            number
            for number, (target, decide) in enumerate(zip(self.targets, self._decide, strict=True))
            if (not target.event_types or target.event_types & types) and decide(seen)
        ]

    def _compiled(self, predicate: Predicate) -> Callable[[_Seen], bool]:
        match predicate:
            case And(terms):
                every = [self._compiled(term) for term in terms]
                return lambda seen: all(term(seen) for term in every)
            case Or(terms):
                some = [self._compiled(term) for term in terms]
                return lambda seen: any(term(seen) for term in some)
            case Not(term):
                positive = self._compiled(term)
                return lambda seen: not positive(seen)
        if predicate not in self._leaves:
            self._leaves[predicate] = _leaf(predicate)
        return self._leaves[predicate]


class _Seen(dict[str, Hashable]):
    """What stands along paths of one event, each looked at once."""

    def __init__(self, event: Document) -> None:
        self.event = event

    def __missing__(self, path: str) -> Hashable:
        found = self[path] = sight(self.event, split_path(path))
        return found


def _leaf(predicate: Predicate) -> Callable[[_Seen], bool]:
    paths = sorted(fields_of(predicate))
    known: dict[Hashable, bool] = {}

    def decide(seen: _Seen) -> bool:
        key: Hashable = seen[paths[0]] if len(paths) == 1 else tuple([seen[p] for p in paths])
        verdict = known.get(key)
        if verdict is None:
            verdict = known[key] = holds(predicate, seen.event)
        return verdict

    return decide


def sight(value: object, parts: Sequence[str | int]) -> Hashable:
    """Return what reading a path can learn of a value; different for what reads differently.

    Lists on the way and at the end are kept as lists, with their order; what stands at the end
    is kept whole. Values of different types are different, as are 0.0 and -0.0.
    """
    if isinstance(value, (list, tuple)):
        if parts and isinstance(parts[0], int):
            found = value[parts[0]] if parts[0] < len(value) else None
            return "at", sight(found, parts[1:])
        return "list", *(sight(element, parts) for element in value)
    if not parts:
        if isinstance(value, Mapping):
            return "object", *((key, sight(inner, ())) for key, inner in value.items())
        return value if isinstance(value, str) else (type(value), repr(value))
    if isinstance(value, Mapping) and parts[0] in value:
        return "in", sight(value[parts[0]], parts[1:])
    return "nothing", value is None


# --- differences ----------------------------------------------------------------------


class RefusingEngine:
    """A pattern engine that takes no pattern at all, so that the kernel tests each by itself."""

    def compile(self, patterns: Sequence[Pattern]) -> CompiledPatterns:
        return CompiledPatterns(self, frozenset(range(len(patterns))))

    def matches(self, _: str) -> Sequence[int]:
        return ()


@attrs.frozen
class Scene:
    """Targets, and events that one matcher is given one after the other.

    Attributes:
        targets: What to match.
        events: Payloads (bytes) and documents (anything else).
        schema: What knows the event types.
        settings: Which fields say when and what an event is.
        batch: How many events the matcher is given at once, at most.
        limits: What it may remember.
        patterns: Its pattern engine.
        change: Does something to the matcher before it is given events.
    """

    targets: Sequence[Target]
    events: Sequence[object]
    schema: SchemaRegistry
    settings: EventSettings = SETTINGS
    batch: int = 16
    limits: MatcherLimits | None = None
    patterns: PatternEngine = PATTERNS
    change: Callable[[EventMatcher], object] = bool

    def expected(self) -> Verdicts:
        """Return for each event the numbers of the targets that hold, by the interpreter."""
        events = [event_in(e) if isinstance(e, bytes) else event_of(e) for e in self.events]
        return [
            [] if event is None else satisfied(self.targets, event, self.schema, self.settings)
            for event in events
        ]

    def matcher(self) -> EventMatcher:
        """Return a matcher that is new."""
        return EventMatcher(
            self.targets, self.schema, self.settings, self.patterns, limits=self.limits
        )

    def found(self) -> Verdicts:
        """Return the same by a matcher that is new."""
        matcher = self.matcher()
        self.change(matcher)
        verdicts: Verdicts = []
        for is_payload, some in itertools.groupby(self.events, lambda e: isinstance(e, bytes)):
            for events in _batched(some, self.batch):
                verdicts += _matched(matcher, events, is_payload=is_payload)
        return verdicts

    def disagreement(self) -> Disagreement | None:
        """Return the first event about which the matcher and the interpreter disagree."""
        try:
            found = self.found()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a disagreement
            return Disagreement(None, [], [], error)
        for place, (wanted, given) in enumerate(zip(self.expected(), found, strict=True)):
            if wanted != given:
                return Disagreement(place, wanted, given, None)
        return None

    def check(self) -> None:
        """Fail with the smallest example that can be found soon, if there is a disagreement."""
        __tracebackhide__ = True
        if self.disagreement() is not None:
            pytest.fail(self.narrowed().described())

    def narrowed(self) -> Scene:
        """Return a scene with fewer targets and events that still shows a disagreement."""
        scene = self
        known = scene.disagreement()
        if known is not None and known.place is not None:
            number = next(iter(set(known.expected) ^ set(known.found)))
            event, target = self.events[known.place], self.targets[number]
            one = attrs.evolve(self, targets=[target], events=[event])
            for smaller in (one, attrs.evolve(self, targets=[target])):
                if smaller.disagreement():
                    scene = smaller
                    break
        scene = scene._with_less(lambda scene: scene.events, lambda s, e: attrs.evolve(s, events=e))
        return scene._with_less(
            lambda scene: scene.targets, lambda s, t: attrs.evolve(s, targets=t)
        )

    def described(self) -> str:
        """Say what the matcher and the interpreter disagree about."""
        lines = ["the matcher and the interpreter disagree"]
        lines += [f"target {number}: {one!r}" for number, one in enumerate(self.targets)]
        lines += [f"event {place}: {one!r}" for place, one in enumerate(self.events)]
        known = self.disagreement()
        if known is not None and known.error is not None:
            lines += traceback.format_exception(known.error)
        elif known is not None:
            lines.append(
                f"about event {known.place}: {known.expected} hold, {known.found} were found"
            )
        return "\n".join(lines)

    def _with_less(
        self,
        items_of: Callable[[Scene], Sequence[ItemT]],
        with_items: Callable[[Scene, Sequence[ItemT]], Scene],
    ) -> Scene:
        """Leave out halves, quarters and so on down to single ones, while it still disagrees."""
        scene = self
        size = len(items_of(scene)) // 2
        while size:
            start = 0
            while start < len(items_of(scene)) > 1:
                kept = [*items_of(scene)]
                del kept[start : start + size]
                smaller = with_items(scene, kept)
                if smaller.disagreement():
                    scene = smaller
                else:
                    start += size
            size //= 2
        return scene


@attrs.frozen
class Disagreement:
    """What a matcher and the interpreter say of one event, or the error of the matcher."""

    place: int | None
    expected: list[int]
    found: list[int]
    error: Exception | None


def _matched(matcher: EventMatcher, events: Sequence[object], *, is_payload: bool) -> Verdicts:
    batch = (
        EventBatch(payloads=cast("Sequence[bytes]", events), stream="s", first_offset=0)
        if is_payload
        else EventBatch(documents=cast("Sequence[Document]", events), stream="s", first_offset=0)
    )
    verdicts: Verdicts = [[] for _ in events]
    matched = matcher.match(batch)
    for match in matched.matches:
        verdicts[matched.places[match.index]] = list(match.targets)
    return verdicts


def _batched(items: Iterable[ItemT], size: int) -> Iterator[list[ItemT]]:
    remaining = iter(items)
    while some := list(itertools.islice(remaining, size)):
        yield some
