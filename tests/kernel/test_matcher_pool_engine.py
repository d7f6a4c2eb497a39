"""An engine with workers does what an engine without them does."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from random import Random

import attrs
import pytest

from kestrel_framework.alert import Alert
from kestrel_framework.config import (
    Configuration,
    EngineConfig,
    SectionConfig,
    SourceConfig,
    StateConfig,
)
from kestrel_framework.engine import Engine, EngineReport, ExitStatus
from kestrel_framework.event import EventBatch
from kestrel_framework.hookspecs import hookimpl
from kestrel_framework.interfaces import Change, NoConfiguration, Offer, Versioned
from kestrel_framework.rule import RuleSet
from kestrel_framework.testing.fakes import FakeSource, RecordingOutput
from pool_streams import OTHER_RULES, RULES, SETTINGS, batches, files_named, lines

PATIENCE = 30.0
UNLIKE = ("seconds", "events_per_second", "rss_bytes", "workers")


class Sources:
    """A plugin with the sources of a test and one output."""

    KESTREL_API = "1.0"

    def __init__(self, sources: Mapping[str, object], store: object = None) -> None:
        self.sources = sources
        self.store = store
        self.output = RecordingOutput()

    @hookimpl
    def kestrel_event_sources(self) -> object:
        return {name: _offer(source) for name, source in self.sources.items()}

    @hookimpl
    def kestrel_state_stores(self) -> object:
        return {"kept": _offer(self.store)} if self.store else {}

    @hookimpl
    def kestrel_output_handlers(self) -> object:
        return {"kept": _offer(self.output)}


def _offer(made: object) -> object:
    return Offer(lambda config, context: made, NoConfiguration)


class FiniteSource(FakeSource):
    live = False


class GatedSource(FakeSource):
    """A live source that hands over a batch when it is let, and beats while it is not."""

    def __init__(self, *given: EventBatch) -> None:
        super().__init__(*given)
        self.allowed = threading.Semaphore(0)

    def read(self, max_events: int, timeout: float) -> EventBatch | None:
        if not self._batches:
            return None
        if not self.allowed.acquire(timeout=0.01):
            return EventBatch()
        return super().read(max_events, timeout)


def build(plugin: Sources, workers: int, rules: RuleSet = RULES, **changes: object) -> Engine:
    engine = EngineConfig(read_timeout=0.05, close_timeout=PATIENCE, workers=workers)
    configuration = Configuration(
        sources={name: SourceConfig(name) for name in plugin.sources},
        outputs={"kept": SectionConfig("kept")},
        engine=attrs.evolve(engine, **changes),  # type: ignore[arg-type]
        events=SETTINGS,
        state=StateConfig(type="kept" if plugin.store else "memory"),
    )
    return Engine.build(configuration, plugins=[plugin], discover=False, rules=rules)


def documents(alerts: Sequence[Alert]) -> list[object]:
    return [alert.to_document(with_events=True) for alert in alerts]


def like(report: EngineReport) -> dict[str, object]:
    """Return the statistics that have to be the same whatever the number of workers."""
    return {name: value for name, value in report.statistics.items() if name not in UNLIKE}


class Running:
    """An engine in a thread."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._reports: list[EngineReport] = []
        self._thread = threading.Thread(
            target=lambda: self._reports.append(engine.run()), daemon=True
        )
        self._thread.start()

    def report(self) -> EngineReport:
        self._thread.join(PATIENCE)
        assert self._reports, "the engine did not end"
        return self._reports[0]

    def wait_for_events(self, number: int) -> None:
        deadline = time.monotonic() + PATIENCE
        while self.engine.statistics["events"] != number:
            assert time.monotonic() < deadline, "the events did not arrive"
            time.sleep(0.001)


def finite(size: int = 30, number: int = 900) -> dict[str, object]:
    return {f"file-{seed}": FiniteSource(*batches(lines(seed, number), size)) for seed in range(3)}


@pytest.mark.parametrize(("workers", "size"), [(2, 1), (3, 30), (2, 1000)])
def test_sources_that_end_give_the_same(workers: int, size: int) -> None:
    number = 900 if size > 1 else 150
    alone, together = Sources(finite(size, number)), Sources(finite(size, number))
    expected, report = build(alone, 1).run(), build(together, workers).run()
    assert len(alone.output.alerts) > number // 2
    assert documents(together.output.alerts) == documents(alone.output.alerts)
    assert like(report) == like(expected)
    assert report.exit_status is ExitStatus.FINE
    assert expected.statistics["workers"] == {
        "number": 1,
        "restarts": 0,
        "batches_done_again": 0,
        "memory_bytes": 0,
    }
    workers_counted = report.statistics["workers"]
    assert isinstance(workers_counted, dict)
    assert workers_counted["number"] == workers


def test_a_live_source_gives_the_same_and_is_not_held_up() -> None:
    given = batches(lines(1, 200), 10)
    alone = Sources({"live": FakeSource(*given)})
    build(alone, 1).run()
    source = GatedSource(*given)
    together = Sources({"live": source})
    running = Running(build(together, 2))
    done = 0
    for batch in given:
        # Each batch arrives although none follows it.
        source.allowed.release()
        done += len(batch)
        if len(batch) > 1:
            deadline = time.monotonic() + PATIENCE
            while _seen(running.engine) < done:
                assert time.monotonic() < deadline, "a batch was held up"
                time.sleep(0.001)
    running.report()
    assert documents(together.output.alerts) == documents(alone.output.alerts)


def _seen(engine: Engine) -> int:
    """Return how many events were looked at, with those that are none or were skipped."""
    blank = sum(1 for line in lines(1, 200) if not line.strip())
    statistics = engine.statistics
    events, skipped = statistics["events"], statistics["skipped"]
    assert isinstance(events, int)
    assert isinstance(skipped, int)
    return events + skipped + blank


def test_rules_are_replaced_while_batches_are_under_way() -> None:
    given = batches(lines(1, 2000), 10)
    source = GatedSource(*given)
    plugin = Sources({"live": source})
    running = Running(build(plugin, 2))
    random = Random(1)
    rules: list[RuleSet] = []
    for _ in range(6):
        for _ in range(random.randrange(1, 60)):
            source.allowed.release()
        rules.append(random.choice((RULES, OTHER_RULES)))
        running.engine.replace_rules(rules[-1]).result(PATIENCE)
    for _ in given:
        source.allowed.release()
    report = running.report()
    # Each event was matched once, by one of the rule sets.
    alone = Sources({"live": FakeSource(*given)})
    expected = build(alone, 1).run()
    assert report.statistics["events"] == expected.statistics["events"]
    shells = [a.alert_id for a in plugin.output.alerts if a.rule.rule_id == "shell"]
    assert shells == [a.alert_id for a in alone.output.alerts if a.rule.rule_id == "shell"]
    if rules[-1] is OTHER_RULES:
        assert plugin.output.alerts[-1].rule.rule_id in {rule.rule_id for rule in OTHER_RULES}


def test_rules_are_in_force_for_the_batch_that_comes_next() -> None:
    first, second = list(files_named(["plain", "plain"]))
    source = GatedSource(EventBatch(payloads=[first]), EventBatch(payloads=[second]))
    plugin = Sources({"live": source})
    running = Running(build(plugin, 2))
    source.allowed.release()
    running.wait_for_events(1)
    running.engine.replace_rules(OTHER_RULES).result(PATIENCE)
    source.allowed.release()
    running.report()
    assert [alert.rule.rule_id for alert in plugin.output.alerts] == ["all"]


def restarts_with_kills(random: Random) -> int:
    """Compare an engine whose workers are killed with one alone; return the restarts it needed."""
    alone, together = Sources(finite(number=3000)), Sources(finite(number=3000))
    expected = build(alone, 1).run()
    engine = build(together, 2)
    pool = engine._feed.pool
    assert pool is not None
    over = threading.Event()

    def kill_now_and_then() -> None:
        while not over.wait(random.uniform(0.01, 0.1)):
            for pid in pool.pids[:1]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill_now_and_then)
    killer.start()
    try:
        report = engine.run()
    finally:
        over.set()
        killer.join()
    assert documents(together.output.alerts) == documents(alone.output.alerts)
    assert like(report) == like(expected)
    return pool.statistics.restarts


def test_workers_that_die_cost_nothing_but_time() -> None:
    # On a busy machine the main process may have matched everything before a worker was missed.
    random = Random(1)
    assert any(restarts_with_kills(random) for _ in range(5))


def test_positions_are_acknowledged_after_their_batches() -> None:
    given = [
        attrs.evolve(batch, position=str(number))
        for number, batch in enumerate(batches(lines(1, 600), 20))
    ]
    source = FiniteSource(*given)
    build(Sources({"file": source}), 2).run()
    assert source.acknowledged == [str(len(given) - 1)]


class Positioned(GatedSource):
    """A source that goes on where it is told to."""

    live = False

    def __init__(self, *given: EventBatch) -> None:
        placed = [attrs.evolve(b, position=str(n)) for n, b in enumerate(given, 1)]
        super().__init__(*placed)

    def open(self, position: str | None) -> None:
        super().open(position)
        del self._batches[: int(position or 0)]


class Store:
    """A state store that outlives the engine."""

    def __init__(self) -> None:
        self.values: dict[bytes, Versioned] = {}

    def get_many(self, keys: Sequence[bytes]) -> Mapping[bytes, Versioned]:
        return {key: self.values[key] for key in keys if key in self.values}

    def scan(self, prefix: bytes) -> object:
        return iter(())

    def commit(self, changes: Sequence[Change], *more: object) -> Mapping[bytes, int]:
        for change in changes:
            assert change.value is not None
            self.values[change.key] = Versioned(change.value, 1)
        return {change.key: 1 for change in changes}

    def close(self) -> None:
        pass


def test_a_state_goes_on_where_a_stop_left_it() -> None:
    # Without a stream of their own, the engine numbers them, and has to go on with the numbers.
    given = [attrs.evolve(batch, stream=None) for batch in batches(lines(1, 1000), 10)]
    alone = Sources({"file": FiniteSource(*given)})
    build(alone, 1).run()
    store, found = Store(), []
    for allowed in (0, 5, 31, 60, len(given)):
        source = Positioned(*given)
        plugin = Sources({"file": source}, store)
        running = Running(build(plugin, 2))
        for _ in range(allowed):
            source.allowed.release()
        if allowed < len(given):
            time.sleep(0.05)
            running.engine.stop()
        running.report()
        found += documents(plugin.output.alerts)
    assert found == documents(alone.output.alerts)


def test_an_engine_with_a_hung_worker_stops_in_time() -> None:
    source = GatedSource(*batches(lines(1, 4000), 20))
    plugin = Sources({"live": source})
    engine = build(plugin, 2, close_timeout=4.0)
    pool = engine._feed.pool
    assert pool is not None
    running = Running(engine)
    source.allowed.release()
    deadline = time.monotonic() + PATIENCE
    while not pool.pids:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    for pid in pool.pids:
        os.kill(pid, signal.SIGSTOP)
    for _ in range(20):
        source.allowed.release()
    time.sleep(0.1)
    began = time.monotonic()
    engine.stop()
    report = running.report()
    assert time.monotonic() - began < 30
    outputs = report.statistics["outputs"]
    assert outputs == {"kept": {"delivered": len(plugin.output.alerts), "undelivered": 0}}
    assert "not_taken_in_time" not in str(report.statistics["lost_by_cause"])
    assert report.exit_status is ExitStatus.FINE


def test_an_engine_that_is_built_and_left_leaves_no_process() -> None:
    engine = build(Sources(finite()), 2)
    pool = engine._feed.pool
    assert pool is not None
    nursery = pool.nursery_pid
    assert nursery is not None
    del engine, pool
    gc.collect()
    with pytest.raises(ProcessLookupError):
        os.kill(nursery, 0)
