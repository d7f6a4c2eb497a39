"""Streams made to hurt: memory stays bounded, no event takes long, and answers stay right.

The large streams, and the time of the worst event, are among the slow tests:

    .venv/bin/python -m pytest -q -m slow tests/kernel/test_matcher_memory.py
"""

from __future__ import annotations

import gc
import itertools
import json
import os
import time
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from random import Random

import pytest

from kestrel_framework._pipeline.event_matcher import EventMatcher
from kestrel_framework._pipeline.flow import Target
from kestrel_framework._pipeline.rule_matcher import MatcherLimits
from kestrel_framework._pipeline.rule_matcher.memo_budget import MemoBudget
from kestrel_framework.event import EventBatch
from kestrel_framework.predicate import (
    And,
    Comparison,
    ComparisonOperator,
    Field,
    IsNull,
    Literal,
    Membership,
    Not,
    Or,
    Predicate,
    Regex,
    Wildcard,
)
from kestrel_framework.schema import FieldType
from matcher_crowds import SCHEMA
from matcher_reference import SETTINGS, Scene

LITTLE = MatcherLimits(entries=300, size=200_000)
RULES = 60
BATCH = 20
MEGABYTE = 1024 * 1024

KEYWORD, LONG = FieldType.KEYWORD, FieldType.LONG
NAME, LINE = Field("process.name", KEYWORD), Field("process.command_line", KEYWORD)
ARGS, PARENT = Field("process.args", KEYWORD), Field("process.parent.name", KEYWORD)
PID, PATH = Field("process.pid", LONG), Field("file.path")


def targets() -> list[Target]:
    """Return rules of the kinds that there are most of."""
    return [
        Target(n, 0, frozenset({"process"}), And((_program(n), *_details(n)))) for n in range(RULES)
    ]


def _program(n: int) -> Predicate:
    if n % 4 == 0:
        return Not(IsNull(NAME))
    return Wildcard(NAME, (f"p{n % 50}", f"p{n % 30}*"))


def _details(n: int) -> Iterator[Predicate]:
    yield Or((Wildcard(LINE, (f"* -x{n % 40}*",)), Wildcard(ARGS, (f"-x{n % 40}*", f"--y{n}"))))
    yield Not(Membership(PARENT, (Literal(f"q{n % 20}"), Literal(f"Q{n}")), fold=n % 2 == 0))
    if n % 3 == 0:
        yield Comparison(ComparisonOperator.GREATER, PID, Literal(n))
    if n % 5 == 0:
        yield Or(
            (
                Regex(PATH, (f"/tmp/[a-z]{n % 9}.*",)),
                Comparison(ComparisonOperator.EQUAL, NAME, PARENT),
            )
        )


# --- streams ------------------------------------------------------------------------------


def event(n: int, process: Mapping[str, object], **others: object) -> bytes:
    known = {"event": {"category": ["process"]}, "process": {"name": f"p{n % 60}", **process}}
    return json.dumps({**known, **others}).encode()


def every_value_is_new() -> Iterator[bytes]:
    for n in itertools.count():
        process = {
            "name": f"p{n}", "command_line": f"run -x{n} {n}", "args": [f"-x{n}", str(n)], "pid": n,
            "parent": {"name": f"q{n}"},
        }  # fmt: skip
        yield event(n, process, file={"path": f"/tmp/{n}"})


def huge_texts() -> Iterator[bytes]:
    for n in itertools.count():
        yield event(
            n, {"command_line": f"{n:010} -x{n % 50} " * 4_000, "args": [f"{n:010}" * 6_400]}
        )


def texts_as_long_as_are_kept() -> Iterator[bytes]:
    for n in itertools.count():
        yield event(n, {"command_line": f"{n:010}" + "x" * 4_000, "args": [f"-x{n:010}" * 500]})


def every_shape_is_new() -> Iterator[bytes]:
    for n in itertools.count():
        process = {f"k{n}": 1, "parent": {f"name{n}": 1, "name": "q1"}, "args": {f"a{n}": 1}}
        yield event(n, process, **{f"key{n}": 1, f"dotted.key{n}": 1, f"object{n}": {"x": [n]}})


def every_set_of_conditions_is_new() -> Iterator[bytes]:
    random = Random(1)
    while True:
        args = [f"-x{number}" for number in range(40) if random.random() < 0.5]
        words = [f" -x{number}y" for number in range(40) if random.random() < 0.5]
        yield event(random.randrange(60), {"args": args, "command_line": "".join(words)})


def numbers_that_collide() -> Iterator[bytes]:
    for n in itertools.count():
        yield event(n, {"pid": n * (2**61 - 1), "args": [(n + 1) * (2**61 - 1), n * 2**61]})


def odd_events() -> Iterator[bytes]:
    for n in itertools.count():
        yield event(n, {"command_line": "\ud800" + str(n), "args": [[[str(n)]], {"a": n}, 1e300]})
        yield b'{"event":{"category":"process"},"process":[{"name":"p%d"},{"args":["-x%d"]}]}' % (
            n,
            n,
        )
        yield b'{"event.category":"process","process.name":"p%d","k%d.x":1}' % (n, n)
        yield b'{"process":{"name":"p%d"},"process":%d,"z":"\xff"}' % (n, n)
        yield event(n, {"name": {f"x{n}": n}}, event={"category": [f"odd{n}", "process"]})


STREAMS: list[Callable[[], Iterator[bytes]]] = [
    every_value_is_new,
    huge_texts,
    texts_as_long_as_are_kept,
    every_shape_is_new,
    every_set_of_conditions_is_new,
    numbers_that_collide,
    odd_events,
]
MANY = {every_shape_is_new: 1_000_000, huge_texts: 10_000, numbers_that_collide: 20_000}
"""How many events of a stream a slow test takes, if not 200,000."""


def fed(matcher: EventMatcher, stream: Iterator[bytes], count: int) -> None:
    """Give a matcher some events of a stream."""
    for _ in range(0, count, BATCH):
        matcher.match(EventBatch(payloads=list(itertools.islice(stream, BATCH))))


def new_matcher(limits: MatcherLimits | None = None) -> EventMatcher:
    return Scene(targets(), (), SCHEMA, SETTINGS, limits=limits).matcher()


# --- tests --------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", STREAMS)
def test_answers_stay_right(stream: Callable[[], Iterator[bytes]]) -> None:
    usual = [event(n, {"args": [f"-x{n}"], "pid": n}) for n in range(0, RULES, 7)]
    hostile = list(itertools.islice(stream(), 20))
    events = [*usual, *hostile[:15], *usual, *hostile]
    for limits in (LITTLE, MatcherLimits(entries=20)):
        Scene(targets(), events, SCHEMA, batch=10, limits=limits).check()


@pytest.mark.parametrize("stream", STREAMS)
def test_little_is_remembered(stream: Callable[[], Iterator[bytes]]) -> None:
    assert traced_growth(stream()) < MEGABYTE // 2


def test_what_is_not_forgotten_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MemoBudget, "take", lambda self, size: None)
    monkeypatch.setattr(MemoBudget, "make_room", lambda self, memo, size: None)
    assert traced_growth(every_value_is_new()) > MEGABYTE // 2


def traced_growth(stream: Iterator[bytes]) -> int:
    """Return by how many bytes a matcher with little memory grows after some events."""
    matcher = new_matcher(LITTLE)
    first = next(stream)
    count = 1_200 if len(first) < 10_000 else 40
    fed(matcher, stream, count // 2)
    gc.collect()
    tracemalloc.start()
    try:
        fed(matcher, stream, count)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


@pytest.mark.slow
@pytest.mark.parametrize("stream", STREAMS)
def test_memory_stays_bounded(stream: Callable[[], Iterator[bytes]]) -> None:
    matcher = new_matcher()
    events = stream()
    fed(matcher, events, min(MANY.get(stream, 200_000), 100_000) // 2)
    before = resident()
    fed(matcher, events, MANY.get(stream, 200_000))
    assert resident() - before < 48 * MEGABYTE


def resident() -> int:
    """Return how many bytes of this process are in memory."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.slow
@pytest.mark.parametrize("stream", STREAMS)
def test_no_event_takes_long(stream: Callable[[], Iterator[bytes]]) -> None:
    """A millisecond on a quiet machine, but for huge events; here with room for a busy one."""
    count, most = (20_000, 0.01) if stream is not huge_texts else (1_000, 0.05)
    assert min(longest_seconds(stream(), count) for _ in range(2)) < most


def longest_seconds(stream: Iterator[bytes], count: int) -> float:
    """Return how long the slowest event takes that comes alone, in CPU time."""
    matcher = new_matcher()
    fed(matcher, stream, 1_000)
    times = []
    gc.disable()
    for payload in itertools.islice(stream, count):
        batch = EventBatch(payloads=(payload,))
        started = time.thread_time()
        matcher.match(batch)
        times.append(time.thread_time() - started)
    gc.enable()
    return max(times)
