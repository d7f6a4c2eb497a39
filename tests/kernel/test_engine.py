"""The engine: events go in, alerts come out, and it ends as it should."""

from __future__ import annotations

import json
import signal
import threading
from pathlib import Path

import pytest
from engine_parts import (
    ABSENT,
    CURL_AND_SHELL,
    PATIENCE,
    RULES,
    FiniteSource,
    InThread,
    LiveSource,
    Parts,
    build,
    event,
    wait_for_events,
)

from kestrel_framework.config import (
    Configuration,
    EngineConfig,
    SectionConfig,
    SourceConfig,
)
from kestrel_framework.engine import Engine, ExitStatus
from kestrel_framework.errors import (
    KestrelError,
    OutputError,
)
from kestrel_framework.event import EventBatch
from kestrel_framework.rule import (
    RuleSet,
)
from kestrel_framework.testing.fakes import (
    FailingOutput,
    FakeSource,
    RecordingOutput,
)


def test_events_go_in_and_alerts_come_out() -> None:
    source, output = FakeSource([event("ls"), event()], [event()]), RecordingOutput()
    report = build(Parts({"audit": source}, {"siem": output})).run()
    assert [alert.rule.rule_id for alert in output.alerts] == ["found-sh", "found-sh"]
    assert [str(alert.events[0].identity) for alert in output.alerts] == ["audit#1", "audit#2"]
    assert all(alert.detected_at is not None for alert in output.alerts)
    assert report.exit_status is ExitStatus.FINE
    assert report.failures == ()
    assert report.statistics["events"] == 3
    assert report.statistics["alerts"] == 2
    assert report.statistics["alerts_by_rule"] == {"found-sh": 2}
    assert report.statistics["outputs"] == {"siem": {"delivered": 2, "undelivered": 0}}
    assert report.statistics["rules"] == {"loaded": 1, "rejected": 0}
    assert (source.closed, output.closed) == (1, 1)


def test_statistics_can_be_written_as_json() -> None:
    report = build(Parts({"audit": FakeSource([event()])})).run()
    assert json.loads(json.dumps(dict(report.statistics)))["events"] == 1


def test_the_end_of_all_input_completes_what_waited_for_an_absence() -> None:
    source, output = FakeSource([event("curl")]), RecordingOutput()
    build(Parts({"audit": source}, {"siem": output}), RuleSet((ABSENT,))).run()
    assert [alert.rule.rule_id for alert in output.alerts] == ["no-sh-after-curl"]


def test_stopping_is_not_the_end_of_the_input() -> None:
    source, output = LiveSource([event("curl")]), RecordingOutput()
    engine = build(Parts({"audit": source}, {"siem": output}), RuleSet((ABSENT,)))
    running = InThread(engine)
    assert source.beating.wait(PATIENCE)
    engine.stop()
    engine.stop()
    report = running.report()
    assert output.alerts == []
    assert report.exit_status is ExitStatus.FINE
    assert report.statistics["events"] == 1
    assert (source.closed, output.closed) == (1, 1)


def test_an_engine_that_is_stopped_first_reads_nothing() -> None:
    source, output = LiveSource([event()]), RecordingOutput()
    engine = build(Parts({"audit": source}, {"siem": output}))
    engine.stop()
    assert engine.run().statistics["events"] == 0
    assert source.opened_at == []


def test_an_engine_runs_once() -> None:
    engine = build(Parts({"audit": FakeSource()}))
    engine.run()
    with pytest.raises(KestrelError, match="runs once"):
        engine.run()


def test_a_signal_may_stop_it() -> None:
    source = LiveSource([event()])
    engine = build(Parts({"audit": source}))
    before = signal.signal(signal.SIGUSR1, lambda number, frame: engine.stop())

    def interrupt() -> None:
        assert source.beating.wait(PATIENCE)
        for _ in range(5):
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

    interrupter = threading.Thread(target=interrupt, daemon=True)
    interrupter.start()
    try:
        report = engine.run()
        interrupter.join(PATIENCE)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert report.exit_status is ExitStatus.FINE
    assert source.closed == 1


def test_an_interrupt_closes_everything() -> None:
    class Interrupting(FakeSource):
        def read(self, max_events: int, timeout: float) -> EventBatch | None:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            return EventBatch()

    source, output = Interrupting(), RecordingOutput()
    engine = build(Parts({"audit": source}, {"siem": output}))
    # A shell has what it starts in the background ignore interrupts.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            engine.run()
    finally:
        signal.signal(signal.SIGINT, before)
    assert (source.closed, output.closed) == (1, 1)


def test_sources_that_end_are_read_one_after_the_other() -> None:
    for _ in range(20):
        output = RecordingOutput()
        sources = {
            "second": FiniteSource([event()], [event()]),
            "first": FiniteSource([event()], [event()]),
        }
        build(Parts(sources, {"siem": output})).run()
        assert [str(alert.events[0].identity) for alert in output.alerts] == [
            "second#0",
            "second#1",
            "first#0",
            "first#1",
        ]


def test_a_live_source_does_not_wait_for_others() -> None:
    live, output = LiveSource([event()]), RecordingOutput()
    engine = build(
        Parts(
            {"live": live, "ends": FiniteSource([event()]), "also": FiniteSource([event()])},
            {"siem": output},
        )
    )
    running = InThread(engine)
    assert live.beating.wait(PATIENCE)
    wait_for_events(engine, 3)
    engine.stop()
    running.report()
    assert len(output.alerts) == 3


def test_two_sources_with_the_same_stream_are_told_apart() -> None:
    output = RecordingOutput()
    batch = EventBatch(documents=[event()], stream="file", first_offset=7)
    build(Parts({"a": FakeSource(batch), "b": FakeSource(batch)}, {"siem": output})).run()
    assert sorted(str(alert.events[0].identity) for alert in output.alerts) == [
        "a/file#7",
        "b/file#7",
    ]
    assert len({alert.alert_id for alert in output.alerts}) == 2


def test_the_least_watermark_rules() -> None:
    promise = 10**20
    output = RecordingOutput()
    quick = LiveSource(EventBatch(documents=[event("curl")], watermark=promise))
    slow = LiveSource([event("ls")])
    engine = build(Parts({"quick": quick, "slow": slow}, {"siem": output}), RuleSet((ABSENT,)))
    running = InThread(engine)
    assert quick.beating.wait(PATIENCE)
    assert slow.beating.wait(PATIENCE)
    engine.stop()
    running.report()
    assert output.alerts == []


def test_the_watermark_of_a_single_source_lets_time_go_on() -> None:
    output = RecordingOutput()
    source = LiveSource(EventBatch(documents=[event("curl")], watermark=10**20))
    engine = build(Parts({"audit": source}, {"siem": output}), RuleSet((ABSENT,)))
    running = InThread(engine)
    assert source.beating.wait(PATIENCE)
    engine.stop()
    running.report()
    assert len(output.alerts) == 1


def test_lost_events_are_accounted() -> None:
    batch = EventBatch(documents=[event()], lost={"ring_full": 7})
    report = build(Parts({"audit": FakeSource(batch)})).run()
    assert report.statistics["lost"] == 7
    assert report.statistics["lost_by_cause"] == {"ring_full": 7}


def test_what_is_done_is_acknowledged() -> None:
    batches = [EventBatch(documents=[event()], position=str(n)) for n in range(3)]
    source = FakeSource(*batches)
    build(Parts({"audit": source}, {"siem": RecordingOutput()})).run()
    assert source.acknowledged == ["2"]


def test_what_is_not_delivered_is_not_acknowledged() -> None:
    source = FakeSource(EventBatch(documents=[event()], position="0"))
    parts = Parts({"audit": source}, {"siem": FailingOutput(write=OutputError("gone"))})
    build(parts).run()
    assert source.acknowledged == []


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        lines = [json.dumps(event("sh" if n % 3 else "ls", n)) for n in range(500)]
        (tmp_path / f"{name}.ndjson").write_text("\n".join(lines))

    def run(number: int, batch_size: int) -> bytes:
        output = tmp_path / f"alerts-{number}.ndjson"
        configuration = Configuration(
            sources={
                name: SourceConfig("jsonl", {"path": str(tmp_path / f"{name}.ndjson")})
                for name in ("b", "a")
            },
            outputs={"file": SectionConfig("jsonl", {"path": str(output)})},
            engine=EngineConfig(batch_size=batch_size),
        )
        Engine.build(configuration, discover=False, rules=RULES).run()
        return output.read_bytes()

    first = run(0, 1000)
    assert first.count(b"\n") == 666
    assert run(1, 1000) == first
    assert run(2, 7) == first


@pytest.mark.slow
def test_a_thousand_runs_leave_no_thread() -> None:
    parts = Parts()
    before = set(threading.enumerate())
    for number in range(1000):
        output = RecordingOutput()
        parts.sources = {"audit": FakeSource([event()]), "live": LiveSource()}
        parts.outputs = {"siem": output}
        engine = build(parts)
        stopper = threading.Thread(target=engine.stop)
        stopper.start()
        if number % 2:
            stopper.join(PATIENCE)
        assert engine.run().exit_status is ExitStatus.FINE
        assert output.closed == 1
        stopper.join(PATIENCE)
    assert set(threading.enumerate()) == before


def test_a_stop_loses_nothing_that_waits_where_no_state_is_kept() -> None:
    output = RecordingOutput()
    source = LiveSource(EventBatch(documents=[event("curl"), event("sh", 1)], disorder=10**12))
    engine = build(Parts({"audit": source}, {"siem": output}), RuleSet((CURL_AND_SHELL,)))
    running = InThread(engine)
    assert source.beating.wait(PATIENCE)
    assert output.alerts == []
    engine.stop()
    running.report()
    assert len(output.alerts) == 1


def test_untimely_events_are_in_the_statistics() -> None:
    source = FakeSource([event("ls", 9), event("curl", 1)])
    report = build(Parts({"audit": source}), RuleSet((CURL_AND_SHELL,))).run()
    assert report.statistics["untimely_by_cause"] == {"late": 1}
