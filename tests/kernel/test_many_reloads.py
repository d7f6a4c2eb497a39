"""Very many changes of rules during a run: no alert is lost or doubled."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Iterator, Sequence
from random import Random

import pytest
from engine_parts import (
    HOST,
    PATIENCE,
    PROCESS,
    InThread,
    LiveSource,
    Parts,
    build,
    event_rule,
    named,
    program_rule,
)

from kestrel_framework.alert import Alert
from kestrel_framework.config import EngineConfig
from kestrel_framework.engine import Engine
from kestrel_framework.event import EventBatch
from kestrel_framework.predicate import And, Comparison, ComparisonOperator, Field, Literal, Not
from kestrel_framework.reload import MOST_DRAINING, ReloadReport
from kestrel_framework.rule import Rule, RuleMetadata, RuleSet, SequenceRule, Step
from kestrel_framework.testing.fakes import RecordingOutput, make_process_event

_LAG = 2
"""How many changes of rules a sequence of a rule that changes lives through at least."""
_LONG = 50
"""The same for one that does not change."""


def chain(rule_id: str, first: str, last: str, serial: int = 0) -> Rule:
    """Return a sequence; each serial number is another revision, which finds the same."""
    odd = Not(Comparison(ComparisonOperator.EQUAL, Field("process.pid"), Literal(-1 - serial)))
    steps = (
        Step(PROCESS, named(first), HOST),
        Step(PROCESS, And((named(last), odd)), HOST),
    )
    return Rule(RuleMetadata(rule_id), SequenceRule(steps))


def rules(serial: int) -> RuleSet:
    """Return one rule set of many; the order is another one each time."""
    every = [
        event_rule("sh"),
        chain("stays", "curl", "sh"),
        chain("changes", "wget", "nc", serial),
        chain("comes and goes", "never", "nc") if serial % 2 else event_rule("ls"),
    ]
    Random(serial).shuffle(every)
    return RuleSet(every)


def batch(number: int) -> EventBatch:
    """Return the events between two changes: they begin sequences, and end earlier ones."""
    parts = [("curl", number), ("wget", number), ("nc", number - _LAG), ("sh", number - _LONG)]
    documents = [
        make_process_event(name, seconds=number + place / 10, host=f"host-{host}")
        for place, (name, host) in enumerate(parts)
        if host >= 0
    ]
    return EventBatch(payloads=[json.dumps(document).encode() for document in documents])


def found(alerts: Sequence[Alert]) -> Iterator[tuple[str, list[int]]]:
    for alert in alerts:
        offsets = [item.identity.offset for item in alert.evidence if item is not None]
        yield alert.rule.rule_id, offsets


def begun(workers: int) -> tuple[Engine, LiveSource, RecordingOutput]:
    source, output = LiveSource(), RecordingOutput()
    settings = EngineConfig(read_timeout=0.05, close_timeout=PATIENCE, workers=workers)
    parts = Parts({"live": source}, {"kept": output})
    return build(parts, rules(0), engine=settings), source, output


def reloaded(workers: int, changes: int) -> tuple[list[ReloadReport], list[Alert], Engine]:
    """Run with so many changes of rules; batches and changes are under way together."""
    engine, source, output = begun(workers)
    running = InThread(engine)
    reports = []
    for number in range(changes):
        source._batches.append(batch(number))
        reports.append(engine.replace_rules(rules(number + 1)).result(PATIENCE))
        # A batch may be looked at under the rules of the next change, not much later ones.
        wait_for(engine, sum(len(batch(n)) for n in range(number)))
    wait_for(engine, sum(len(batch(n)) for n in range(changes)))
    engine.stop()
    running.report()
    return reports, output.alerts, engine


def wait_for(engine: Engine, events: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while engine._detector.statistics.events < events:
        assert time.monotonic() < deadline, "the events did not arrive"
        time.sleep(0.0005)


def lose_nothing(workers: int, changes: int) -> None:
    """Compare a run with changes of rules to one without, and print how long they took."""
    assert _LAG + 1 < MOST_DRAINING
    reports, alerts, engine = reloaded(workers, changes)
    alone, source, output = begun(1)
    source._batches.extend(map(batch, range(changes)))
    running = InThread(alone)
    wait_for(alone, sum(len(batch(n)) for n in range(changes)))
    alone.stop()
    running.report()
    assert list(found(alerts)) == list(found(output.alerts))
    assert len(alerts) == 3 * changes - _LAG - 2 * _LONG
    partial = engine._detector.partial_matches
    assert "rule_changed" not in partial.ended
    assert partial.ended["completed"] == 2 * changes - _LAG - _LONG
    assert partial.live == _LAG + _LONG
    assert engine.statistics["reloads"]["made"] == changes  # type: ignore[index]
    assert all(report.kept.number <= _LONG + 2 for report in reports)
    pauses = sorted(report.seconds * 1000 for report in reports)
    shares = ", ".join(
        f"{name} {pauses[min(int(len(pauses) * share), len(pauses) - 1)]:.2f}"
        for name, share in (("P50", 0.5), ("P99", 0.99), ("longest", 1.0))
    )
    print(f"{changes} changes with {workers} workers, milliseconds of a swap: {shares}")


@pytest.mark.parametrize(("workers", "changes"), [(1, 150), (2, 60)])
def test_many_changes(workers: int, changes: int) -> None:
    lose_nothing(workers, changes)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_thousand_changes(workers: int) -> None:
    lose_nothing(workers, 1000)


def test_changes_asked_for_at_once_are_made_in_their_order() -> None:
    engine, source, output = begun(1)
    running = InThread(engine)
    source._batches.append(batch(0))
    wait_for(engine, len(batch(0)))
    asked = [engine.replace_rules(rules(serial)) for serial in range(1, 6)]
    reports = [each.result(PATIENCE) for each in asked]
    assert [report.draining.number for report in reports] == [1, 1, 1, 1, 1]
    for first, second in itertools.pairwise(reports):
        assert first.changed == second.changed == ("changes",)
    source._batches.append(batch(_LAG))
    wait_for(engine, len(batch(0)) + len(batch(_LAG)))
    engine.stop()
    running.report()
    assert [(alert.rule.rule_id, alert.revision) for alert in output.alerts] == [
        ("changes", chain("changes", "wget", "nc", 0).revision)
    ]


def test_workers_begin_nothing_of_old_revisions() -> None:
    engine, source, output = begun(2)
    running = InThread(engine)
    source._batches.append(batch(0))
    wait_for(engine, len(batch(0)))
    engine.replace_rules(rules(1)).result(PATIENCE)
    pool = engine._feed.pool
    assert pool is not None
    deadline = time.monotonic() + PATIENCE
    while len(pool.pids) < 2:
        assert time.monotonic() < deadline, "the workers did not begin"
        time.sleep(0.001)
    source._batches.extend([batch(1), batch(1 + _LAG)])
    wait_for(engine, sum(len(batch(number)) for number in (0, 1, 1 + _LAG)))
    engine.stop()
    running.report()
    assert [alert.revision for alert in output.alerts] == [
        chain("changes", "wget", "nc", 1).revision
    ]


class Runtime:
    """Notes in which threads programs are loaded."""

    def __init__(self) -> None:
        self.threads: list[str] = []

    def load(self, *_: object) -> object:
        self.threads.append(threading.current_thread().name)
        return self

    def matches_many(self, rows: Sequence[object]) -> Sequence[bool]:
        return [False] * len(rows)


def test_nothing_is_compiled_in_the_thread_of_the_engine() -> None:
    runtime, source = Runtime(), LiveSource()
    parts = Parts({"live": source}, evaluators={"toy": runtime})
    engine = build(parts, RuleSet((program_rule(b"0"),)))
    running = InThread(engine)
    asked = [engine.replace_rules(RuleSet((program_rule(b"%d" % n),))) for n in range(1, 5)]
    for each in asked:
        each.result(PATIENCE)
    engine.stop()
    running.report()
    assert len(runtime.threads) == 5
    assert set(runtime.threads[1:]) == {"rule preparation"}
