"""Rules and streams of events for the tests of several processes."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from random import Random
from typing import Final

import attrs

from kestrel_framework._builtin.pattern_engine import NativePatternEngine
from kestrel_framework._matched_feed import MatchedFeed
from kestrel_framework._pipeline.flow import Problem
from kestrel_framework._pipeline.matcher_pool import Job, MatcherPool
from kestrel_framework.alert import Alert
from kestrel_framework.detector import Detector
from kestrel_framework.event import EventBatch, EventSettings
from kestrel_framework.interfaces import CompiledPatterns, Pattern, PatternDatabase
from kestrel_framework.predicate import (
    ALWAYS,
    Comparison,
    ComparisonOperator,
    Field,
    Lineage,
    LineageRelation,
    Literal,
    Predicate,
    Wildcard,
)
from kestrel_framework.rule import (
    ANY_EVENT,
    EventRule,
    JoinKey,
    Rule,
    RuleMetadata,
    RuleSet,
    SequenceRule,
    Step,
)

PROCESS: Final = frozenset({"process"})
NAMES: Final = ("sh", "curl", "ls", "cat", "nc")
HOST: Final = (JoinKey(Field("host.id")),)


def named(name: str) -> Predicate:
    return Comparison(ComparisonOperator.EQUAL, Field("process.name"), Literal(name))


def under(name: str) -> Predicate:
    """Return a condition on what an ancestor did."""
    fields = (Field("process.entity_id"), Field("process.parent.entity_id"))
    return Lineage(LineageRelation.DESCENDANT, PROCESS, named(name), *fields)


RULES: Final = RuleSet(
    (
        Rule(RuleMetadata("shell"), EventRule(PROCESS, named("sh"))),
        Rule(RuleMetadata("like"), EventRule(ANY_EVENT, Wildcard(Field("file.path"), ("*evil*",)))),
        Rule(RuleMetadata("below-curl"), EventRule(PROCESS, under("curl"))),
        Rule(
            RuleMetadata("curl-nc"),
            SequenceRule(
                (Step(PROCESS, named("curl"), HOST), Step(PROCESS, named("nc"), HOST)),
                maxspan=60_000_000_000,
            ),
        ),
        Rule(
            RuleMetadata("no-cat"),
            SequenceRule(
                (
                    Step(PROCESS, named("ls"), HOST),
                    Step(PROCESS, named("cat"), HOST, missing=True),
                ),
                maxspan=1_000_000_000,
            ),
        ),
    )
)

OTHER_RULES: Final = RuleSet((Rule(RuleMetadata("all"), EventRule(ANY_EVENT, ALWAYS)), *RULES))

SETTINGS: Final = EventSettings(tiebreaker_field="event.sequence")

ODD_LINES: Final = (
    b"",
    b"   ",
    b"{",
    b"[1, 2]",
    b"null",
    b'{"process": {"name": "sh"}}',
    b'{"event": {"category": "process"}, "process": {"name": "sh"}, "@timestamp": "yesterday"}',
    b'{"event.category": "process", "process.name": "sh", "@timestamp": 1767225600000}',
    b'{"event": {"category": ["process"]}, "process": [{"name": "sh"}, {"name": "nc"}]}',
    b'{"event": {"category": ["process"]}, "process": "sh", "host": null}',
    b'\xef\xbb\xbf{"event": {"category": "process"}, "process": {"name": "sh"}}',
    b'{"event": {"category": "process"}, "process": {"name": "sh", "title": "\xff"}}',
    b'{"event": {"category": "process"}, "process": {"name": "\xff"}, "other": "\xff"}',
    b'{"event": {"category": "process"}, "process": {"name": "\\ud800"}}',
    b'{"event": {"category": "process", "sequence": 1e999}, "process": {"name": "sh"}}',
    b'{"event": {"category": "process", "sequence": 123456789012345678901234567890}}',
    b'{"event": {"category": "process"}, "process": {"name": "nc", "entity_id": {"a": ["b"]}}}',
    b'{"event": {"category": "process"}, "process": {"name": "nc", "entity_id": '
    + b"9" * 30
    + b"}}",
    b'{"event": {"category": "process"}, "deep": ' + b"[" * 200 + b"]" * 200 + b"}",
    b'{"file": {"path": "' + b"long " * 5_000 + b'evil"}}',
    b'{"unread": ' + b"[" * 5_000 + b"]" * 5_000 + b"}",
)
"""Lines that are no event, or one that is not as most are."""


def lines(seed: int, number: int, odd: float = 0.1) -> list[bytes]:
    """Return so many lines of JSON: events of a few hosts and processes, and odd ones."""
    random = Random(seed)
    found = []
    second = 0.0
    for _ in range(number):
        if random.random() < odd:
            found.append(random.choice(ODD_LINES))
            continue
        second += random.choice((0, 0, 0.25, 2))
        process = {
            "name": random.choice(NAMES),
            "entity_id": f"p{random.randrange(40)}",
            "parent": {"entity_id": f"p{random.randrange(40)}"},
        }
        event = {
            "@timestamp": 1767225600000 + round(1000 * second) - random.choice((0, 0, 0, 500)),
            "event": {"category": [random.choice(("process", "file"))], "sequence": len(found)},
            "host": {"id": random.choice(("a", "b"))},
            "process": process,
            "file": {"path": random.choice(("/tmp/evil.sh", "/etc/passwd"))},
            random.choice(("other", "more", "tags")): random.choice((1, [1], {"a": None})),
        }
        found.append(json.dumps(event).encode())
    return found


def batches(found: Sequence[bytes], size: int) -> list[EventBatch]:
    """Return lines as a source hands them over: batches, losses, heartbeats, other shapes."""
    made = []
    for number, start in enumerate(range(0, len(found), size)):
        some = found[start : start + size]
        batch = EventBatch(payloads=some, origin=f"input \udcff {number % 3}", stream="s")
        if number % 7 == 3:
            batch = attrs.evolve(batch, lost={"full": number}, watermark=1767225600000000000)
        if number % 5 == 1:
            made.append(EventBatch(stream="s"))
        if number % 11 == 2:
            document = {"event": {"category": "process"}, "process": {"name": "sh"}}
            made.append(EventBatch(documents=[document], stream="s"))
        made.append(batch)
    return made


@attrs.frozen
class Found:
    """Everything that a detector gave."""

    alerts: list[bytes]
    problems: list[Problem]
    statistics: dict[str, object]


class Collector:
    """A detector, and what it gave."""

    def __init__(self, detector: Detector) -> None:
        self.detector = detector
        self._alerts: list[bytes] = []
        self._problems: list[Problem] = []
        detector.on_problem = self._problems.append

    def take(self, alerts: Sequence[Alert]) -> None:
        self._alerts += [
            json.dumps(alert.to_document(with_events=True), sort_keys=True).encode()
            for alert in alerts
        ]

    def found(self) -> Found:
        self.take(self.detector.finish())
        statistics = {
            **attrs.asdict(self.detector.statistics),
            "partial": attrs.asdict(self.detector.partial_matches),
            "processes": attrs.asdict(self.detector.processes),
        }
        return Found(self._alerts, self._problems, statistics)


def detector_of(rules: RuleSet = RULES, settings: EventSettings = SETTINGS) -> Detector:
    return Detector(rules, settings=settings, lineage_processes=30)


def found_alone(given: Sequence[EventBatch], detector: Detector | None = None) -> Found:
    """Return what one process finds."""
    collector = Collector(detector or detector_of())
    for batch in given:
        collector.take(collector.detector.feed(batch))
    return collector.found()


def found_together(
    given: Sequence[EventBatch],
    pool: MatcherPool,
    detector: Detector,
    disturb: Callable[[int], None] = lambda number: None,
) -> Found:
    """Return what a pool finds that is kept busy; `disturb` is called before each batch."""
    collector = Collector(detector)
    feed = MatchedFeed(detector)
    under_way: list[tuple[EventBatch, Job | None]] = []
    coming = iter(enumerate(given))
    while True:
        while len(under_way) < pool.in_flight and (item := next(coming, None)) is not None:
            disturb(item[0])
            under_way.append((item[1], pool.submit(item[1])))
        if not under_way:
            return collector.found()
        batch, job = under_way.pop(0)
        while job is not None and not job.is_done:
            pool.wait()
        if job is None:
            collector.take(detector.feed(batch))
            continue
        if job.given_up:
            batch = attrs.evolve(batch, lost={"killed_workers": job.given_up})
        collector.take(feed.feed(batch, partial(job.matched, matcher=feed.matcher)))


def pool_of(detector: Detector, number: int, seconds: float = 30.0) -> MatcherPool:
    feed = MatchedFeed(detector)
    return MatcherPool(number, feed.matcher, feed.matcher_of, batch_seconds=seconds)


class Dangerous:
    """A pattern engine that is fatal, or never comes back, in a process that is not the first.

    Args:
        deadly: Texts that end the process, as a fault in compiled code does.
        endless: Texts that it does not come back from.
    """

    def __init__(self, deadly: str = "", endless: str = "") -> None:
        self._deadly = deadly
        self._endless = endless
        self._home = os.getpid()

    def compile(self, patterns: Sequence[Pattern]) -> CompiledPatterns:
        compiled = NativePatternEngine().compile(patterns)
        return attrs.evolve(compiled, database=_Database(self, compiled.database))

    def strike(self, text: str) -> None:
        if os.getpid() == self._home:
            return
        if self._deadly and self._deadly in text:
            os.kill(os.getpid(), signal.SIGKILL)
        if self._endless and self._endless in text:
            threading.Event().wait()


class _Database:
    def __init__(self, engine: Dangerous, database: PatternDatabase) -> None:
        self._engine = engine
        self._database = database

    def matches(self, text: str) -> Sequence[int]:
        self._engine.strike(text)
        return self._database.matches(text)


def files_named(paths: Sequence[str]) -> Iterator[bytes]:
    """Yield events of files at these paths."""
    for second, path in enumerate(paths):
        event = {
            "@timestamp": 1767225600000 + 1000 * second,
            "event": {"category": "file"},
            "file": {"path": path},
        }
        yield json.dumps(event).encode()
