from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs
import pytest

from kestrel_framework._builtin.pattern_engine import NativePatternEngine
from kestrel_framework.action import ActionStatus
from kestrel_framework.alert import Alert
from kestrel_framework.config import (
    ActionConfig,
    Configuration,
    EngineConfig,
    RulesConfig,
    SectionConfig,
    StateConfig,
)
from kestrel_framework.engine import Engine, EngineReport, ExitStatus
from kestrel_framework.errors import (
    ConfigurationError,
    InputError,
    KestrelError,
    OutputError,
    PluginError,
    RuleError,
    StateError,
)
from kestrel_framework.event import Document, EventBatch
from kestrel_framework.hookspecs import hookimpl
from kestrel_framework.interfaces import (
    Change,
    CompiledPatterns,
    Failure,
    FieldValue,
    NoConfiguration,
    Offer,
    Outcome,
    Pattern,
    RuleFile,
    Versioned,
)
from kestrel_framework.predicate import Comparison, ComparisonOperator, Field, Literal, Wildcard
from kestrel_framework.rule import (
    ANY_EVENT,
    EventRule,
    JoinKey,
    Program,
    Rule,
    RuleMetadata,
    RuleSet,
    RuleSource,
    SequenceRule,
    Step,
)
from kestrel_framework.schema import SchemaRegistry
from kestrel_framework.testing.fakes import (
    FailingOutput,
    FailingSource,
    FakeSource,
    RecordingAction,
    RecordingOutput,
    make_process_event,
)

PATIENCE = 20.0
PROCESS = frozenset({"process"})


def named(name: str) -> Comparison:
    return Comparison(ComparisonOperator.EQUAL, Field("process.name"), Literal(name))


def event_rule(name: str, *actions: str) -> Rule:
    metadata = RuleMetadata(f"found-{name}", actions=actions)
    return Rule(metadata, EventRule(PROCESS, named(name)))


HOST = (JoinKey(Field("host.id")),)
SHELL = event_rule("sh")
ABSENT = Rule(
    RuleMetadata("no-sh-after-curl"),
    SequenceRule(
        (
            Step(PROCESS, named("curl"), HOST),
            Step(PROCESS, named("sh"), HOST, missing=True),
        ),
        maxspan=60_000_000_000,
    ),
)
RULES = RuleSet((SHELL,))


def event(name: str = "sh", seconds: float = 0) -> Document:
    return make_process_event(name, seconds=seconds)


class Parts:
    """A plugin that offers the objects of a test, each under its own name."""

    KESTREL_API = "1.0"

    def __init__(
        self,
        sources: Mapping[str, object] | None = None,
        outputs: Mapping[str, object] | None = None,
        actions: Mapping[str, object] | None = None,
        stores: Mapping[str, object] | None = None,
        compilers: Mapping[str, object] | None = None,
        evaluators: Mapping[str, object] | None = None,
        pattern_engines: Mapping[str, object] | None = None,
    ) -> None:
        self.sources = sources or {}
        self.outputs = outputs or {}
        self._offers = {
            "actions": actions or {},
            "stores": stores or {},
            "compilers": compilers or {},
            "evaluators": evaluators or {},
            "pattern_engines": pattern_engines or {},
        }

    @hookimpl
    def kestrel_event_sources(self) -> object:
        return offers(self.sources)

    @hookimpl
    def kestrel_output_handlers(self) -> object:
        return offers(self.outputs)

    @hookimpl
    def kestrel_action_executors(self) -> object:
        return offers(self._offers["actions"])

    @hookimpl
    def kestrel_state_stores(self) -> object:
        return offers(self._offers["stores"])

    @hookimpl
    def kestrel_rule_compilers(self) -> object:
        return offers(self._offers["compilers"])

    @hookimpl
    def kestrel_predicate_evaluators(self) -> object:
        return offers(self._offers["evaluators"])

    @hookimpl
    def kestrel_pattern_engines(self) -> object:
        return offers(self._offers["pattern_engines"])


def offers(objects: Mapping[str, object]) -> dict[str, object]:
    return {
        name: Offer(lambda config, context, made=made: made, NoConfiguration)  # type: ignore[misc]
        for name, made in objects.items()
    }


def build(parts: Parts, rule_set: RuleSet | None = RULES, **changes: object) -> Engine:
    """Return an engine with one instance of each source and output that a plugin offers."""
    configuration = Configuration(
        sources={name: SectionConfig(name) for name in parts.sources},
        outputs={name: SectionConfig(name) for name in parts.outputs},
        engine=EngineConfig(read_timeout=0.05, close_timeout=PATIENCE),
    )
    configuration = attrs.evolve(configuration, **changes)  # type: ignore[arg-type]
    return Engine.build(configuration, plugins=[parts], discover=False, rules=rule_set)


def impatient() -> EngineConfig:
    return EngineConfig(read_timeout=0.05, close_timeout=0.3)


class InThread:
    """An engine that runs in a thread of its own."""

    def __init__(self, engine: Engine) -> None:
        self._reports: list[EngineReport] = []
        self._thread = threading.Thread(
            target=lambda: self._reports.append(engine.run()), daemon=True
        )
        self._thread.start()

    def report(self) -> EngineReport:
        self._thread.join(PATIENCE)
        assert self._reports, "the engine did not end"
        return self._reports[0]


def wait_for_events(engine: Engine, number: int) -> None:
    """Wait until the engine has looked at so many events."""
    deadline = time.monotonic() + PATIENCE
    while engine.statistics["events"] != number:
        assert time.monotonic() < deadline, "the events did not arrive"


class LiveSource(FakeSource):
    """A source that gives what a test puts into it, and beats while it is empty."""

    def __init__(self, *batches: EventBatch | Sequence[Document]) -> None:
        super().__init__(*batches)
        self.beating = threading.Event()

    def read(self, max_events: int, timeout: float) -> EventBatch | None:
        batch = super().read(max_events, timeout)
        if batch is not None:
            return batch
        self.beating.set()
        threading.Event().wait(0.001)
        return EventBatch()


class FiniteSource(FakeSource):
    live = False


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


# --- what can go wrong -----------------------------------------------------------------


@pytest.mark.parametrize("error", [InputError("gone"), ValueError("a bug"), SystemExit(1)])
def test_a_source_that_cannot_be_opened_stops_the_engine(error: BaseException) -> None:
    failing, live = FailingSource(open=error), LiveSource([event()])
    output = RecordingOutput()
    report = build(Parts({"bad": failing, "live": live}, {"siem": output})).run()
    assert report.exit_status is ExitStatus.INPUT_FAILED
    assert isinstance(report.failures[0], InputError)
    assert failing.calls["close"] == 1
    assert output.closed == 1


def test_a_source_that_ends_with_an_error_leaves_what_it_gave() -> None:
    class Damaged(FakeSource):
        def read(self, max_events: int, timeout: float) -> EventBatch | None:
            batch = super().read(max_events, timeout)
            if batch is None:
                raise InputError("the archive is cut off")
            return batch

    output = RecordingOutput()
    fine = FakeSource([event()])
    report = build(
        Parts({"bad": Damaged([event()]), "fine": fine}, {"siem": output}),
        RuleSet((SHELL, ABSENT)),
    ).run()
    assert report.exit_status is ExitStatus.INPUT_FAILED
    assert "cut off" in str(report.failures[0])
    assert len(output.alerts) == 2


def test_a_source_that_keeps_failing_ends_and_the_others_go_on() -> None:
    output = RecordingOutput()
    failing = FailingSource(read=ValueError("a bug"))
    report = build(Parts({"bad": failing, "fine": FakeSource([event()])}, {"siem": output})).run()
    assert report.exit_status is ExitStatus.INPUT_FAILED
    assert len(output.alerts) == 1
    faults = report.statistics["errors_by_cause"]
    assert isinstance(faults, dict)
    assert faults["fault: sources.bad"] >= 5
    assert failing.calls["close"] == 1


def test_malformed_events_are_skipped_and_counted() -> None:
    output = RecordingOutput()
    good = json.dumps(event()).encode()
    batch = EventBatch(payloads=[b"{", b"[1]", good, b"\xff", b"", good])
    report = build(Parts({"audit": FakeSource(batch)}, {"siem": output})).run()
    assert len(output.alerts) == 2
    assert report.statistics["skipped"] == 3
    assert report.exit_status is ExitStatus.FINE


def test_an_output_that_cannot_be_opened_keeps_the_engine_from_starting() -> None:
    source, fine = FakeSource([event()]), RecordingOutput()
    bad = FailingOutput(open=OutputError("read-only"))
    report = build(Parts({"audit": source}, {"fine": fine, "bad": bad})).run()
    assert report.exit_status is ExitStatus.OUTPUT_FAILED
    assert "read-only" in str(report.failures[0])
    assert source.opened_at == []
    assert (fine.closed, bad.calls["close"]) == (1, 1)


@pytest.mark.parametrize("method", ["write", "flush"])
@pytest.mark.parametrize("error", [OutputError("disk full"), ValueError("bug"), SystemExit(1)])
def test_an_output_that_fails_shows_at_the_end_and_the_others_go_on(
    method: str, error: BaseException
) -> None:
    fine, bad = RecordingOutput(), FailingOutput(**{method: error})
    report = build(
        Parts({"audit": FakeSource([event()], [event()])}, {"bad": bad, "fine": fine})
    ).run()
    assert report.exit_status is ExitStatus.OUTPUT_FAILED
    assert len(fine.alerts) == 2
    assert report.statistics["outputs"] == {
        "bad": {"delivered": 0, "undelivered": 2},
        "fine": {"delivered": 2, "undelivered": 0},
    }
    assert bad.calls["close"] == 1


def test_a_full_disk_is_an_output_that_failed() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")

    class OnFullDisk(RecordingOutput):
        def flush(self) -> None:
            try:
                with Path("/dev/full").open("wb", buffering=0) as device:
                    device.write(b"alert\n")
            except OSError as error:
                raise OutputError(f"cannot be written: {error.strerror}") from error

    report = build(Parts({"audit": FakeSource([event()])}, {"siem": OnFullDisk()})).run()
    assert report.exit_status is ExitStatus.OUTPUT_FAILED
    assert "No space left on device" in str(report.failures[0])


@pytest.mark.parametrize("method", ["acknowledge", "close"])
def test_a_source_whose_last_words_fail_does_no_harm(method: str) -> None:
    inner = FakeSource(EventBatch(documents=[event()], position="0"))
    source = FailingSource(inner, **{method: ValueError("a bug")})
    report = build(Parts({"audit": source})).run()
    assert report.exit_status is ExitStatus.FINE
    assert source.calls[method] == 1
    assert report.statistics["errors"] == 1


def test_what_hangs_on_close_is_left_behind() -> None:
    release = threading.Event()

    class Source(FakeSource):
        def close(self) -> None:
            release.wait(PATIENCE)

    class Output(RecordingOutput):
        def close(self) -> None:
            release.wait(PATIENCE)

    fine = RecordingOutput()
    engine = build(
        Parts({"stuck": Source([event()])}, {"fine": fine, "slow": Output()}), engine=impatient()
    )
    report = engine.run()
    release.set()
    problems = " ".join(map(str, report.failures))
    assert "the source `stuck` did not close within 0.3 s" in problems
    assert "the output `slow` did not close within 0.3 s" in problems
    assert report.exit_status is ExitStatus.OUTPUT_FAILED
    assert len(fine.alerts) == 1
    assert fine.closed == 1


def test_a_source_that_hangs_in_read_can_be_stopped() -> None:
    release, reading = threading.Event(), threading.Event()

    class Source(FakeSource):
        def read(self, max_events: int, timeout: float) -> EventBatch | None:
            reading.set()
            release.wait(PATIENCE)
            return None

    engine = build(Parts({"stuck": Source()}), engine=impatient())
    running = InThread(engine)
    assert reading.wait(PATIENCE)
    engine.stop()
    report = running.report()
    release.set()
    assert "did not close" in str(report.failures[0])


def test_an_output_that_hangs_can_be_stopped_and_the_loss_is_counted() -> None:
    release, writing = threading.Event(), threading.Event()

    class Output(RecordingOutput):
        def write(self, alerts: Sequence[Alert]) -> None:
            writing.set()
            release.wait(PATIENCE)

    settings = EngineConfig(read_timeout=0.05, close_timeout=0.3, queue_alerts=1)
    source = LiveSource([event()] * 50, [event()] * 50)
    engine = build(Parts({"audit": source}, {"stuck": Output()}), engine=settings)
    running = InThread(engine)
    assert writing.wait(PATIENCE)
    engine.stop()
    report = running.report()
    release.set()
    assert report.exit_status is ExitStatus.OUTPUT_FAILED
    outputs = report.statistics["outputs"]
    assert isinstance(outputs, dict)
    assert outputs["stuck"]["delivered"] == 0
    assert outputs["stuck"]["undelivered"] >= 50


def test_a_fault_of_the_kernel_itself_is_not_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    output = RecordingOutput()
    engine = build(Parts({"audit": FakeSource([event()], [event()])}, {"siem": output}))
    feed = engine._detector.feed
    calls = []

    def failing_once(batch: EventBatch) -> list[Alert]:
        calls.append(batch)
        if len(calls) == 1:
            raise ZeroDivisionError
        return feed(batch)

    monkeypatch.setattr(engine._detector, "feed", failing_once)
    report = engine.run()
    assert len(output.alerts) == 1
    assert report.exit_status is ExitStatus.INPUT_FAILED
    assert report.statistics["lost_by_cause"] == {"not_processed": 1}


# --- building ----------------------------------------------------------------------------


def test_what_is_not_there_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError) as caught:
        build(Parts(), sources={"audit": SectionConfig("jsnol", {})})
    assert caught.value.path == "sources.audit.type"
    assert "did you mean `jsonl`?" in str(caught.value)
    for section in ("compilers", "evaluators", "pattern_engines"):
        with pytest.raises(ConfigurationError, match=rf"{section}\.lua"):
            build(Parts(), RULES, **{section: {"lua": {}}})
    with pytest.raises(ConfigurationError, match=r"evaluators\.native\.speed: unknown key"):
        build(Parts(), RULES, evaluators={"native": {"speed": 9}})
    with pytest.raises(ConfigurationError, match=r"engine\.runtime"):
        build(Parts(), engine=EngineConfig(runtime="wasm"))
    with pytest.raises(ConfigurationError, match=r"pattern_engines\.native\.speed: unknown key"):
        build(Parts(), RULES, pattern_engines={"native": {"speed": 9}})
    with pytest.raises(ConfigurationError, match=r"engine\.pattern_engine"):
        build(Parts(), engine=EngineConfig(pattern_engine="natvie"))
    with pytest.raises(ConfigurationError, match=r"state\.type"):
        build(Parts(), state=StateConfig(type="redis"))


def test_a_broken_plugin_that_was_passed_stops_the_start() -> None:
    with pytest.raises(PluginError):
        Engine.build(Configuration(), plugins=[object()], discover=False)


class Compiler:
    """Each line of a file is the name of a process, or an error."""

    language = "names"
    suffixes = (".names",)

    def read(self, file: RuleFile) -> Sequence[RuleSource]:
        from kestrel_framework.errors import SourceLocation

        return [
            RuleSource(RuleMetadata(line), "names", line, SourceLocation(file.path, number))
            for number, line in enumerate(file.text().splitlines(), 1)
        ]

    def compile(self, source: RuleSource, schema: SchemaRegistry) -> Rule:
        if source.text == "wrong":
            raise RuleError("is wrong", source.location)
        if source.text == "bug":
            raise ValueError("a bug")
        return Rule(source.metadata, EventRule(PROCESS, named(source.text)))


def with_rules(tmp_path: Path, text: str, *, strict: bool = False) -> Engine:
    path = tmp_path / "rules.names"
    path.write_text(text)
    parts = Parts({"audit": FakeSource([event()])}, {}, compilers={"names": Compiler()})
    return build(parts, None, rules=RulesConfig((path,), strict=strict))


def test_rules_are_loaded_and_wrong_ones_do_not_stop_the_others(tmp_path: Path) -> None:
    engine = with_rules(tmp_path, "sh\nwrong\nbug\n")
    wrong, bug = map(str, engine.load_report.errors)
    assert wrong.endswith(":2: is wrong")
    assert "plugin Parts" in bug
    report = engine.run()
    assert report.statistics["alerts_by_rule"] == {"sh": 1}
    assert report.statistics["rules"] == {"loaded": 1, "rejected": 1}


def test_a_strict_engine_does_not_start_with_a_wrong_rule(tmp_path: Path) -> None:
    with pytest.raises(RuleError, match="is wrong"):
        with_rules(tmp_path, "sh\nwrong\n", strict=True)
    with pytest.raises(ExceptionGroup):
        with_rules(tmp_path, "wrong\nbug\n", strict=True)


def test_a_language_of_two_plugins_fails_the_rules_that_need_it(tmp_path: Path) -> None:
    class Other(Parts):
        pass

    path = tmp_path / "rules.names"
    path.write_text("sh\n")
    configuration = Configuration(rules=RulesConfig((path,)))
    plugins = [kind(compilers={"names": Compiler()}) for kind in (Parts, Other)]
    engine = Engine.build(configuration, plugins=plugins, discover=False)
    assert "offered by the plugins `Parts` and `Other`" in str(engine.load_report.errors[0])


class Runtime:
    """A runtime whose programs answer with the one byte they are made of."""

    def load(self, condition: object, fields: object, limits: object) -> Runtime:
        assert isinstance(condition, Program)
        if condition.payload == b"refused":
            raise RuleError("no such instruction")
        self.payload = condition.payload
        return self

    def matches_many(self, rows: Sequence[Sequence[FieldValue]]) -> Sequence[Outcome]:
        if self.payload == b"raise":
            raise SystemExit(1)
        return [Failure("overrun") if self.payload == b"f" else True for _ in rows]


def program_rule(payload: bytes) -> Rule:
    body = EventRule(ANY_EVENT, Program("toy", payload, {}))
    return Rule(RuleMetadata(payload.decode()), body)


@pytest.mark.parametrize(
    ("payload", "alerts", "failures"),
    [(b"t", 2, {}), (b"f", 1, {"f": 1}), (b"raise", 1, {"raise": 1})],
)
def test_programs_run_in_their_runtime_and_a_failure_is_no_match(
    payload: bytes, alerts: int, failures: dict[str, int]
) -> None:
    parts = Parts({"audit": FakeSource([event()])}, evaluators={"toy": Runtime()})
    report = build(parts, RuleSet((SHELL, program_rule(payload)))).run()
    assert report.statistics["alerts"] == alerts
    assert report.statistics["failures_by_rule"] == failures


def test_actions_are_requested_for_alerts() -> None:
    executor = RecordingAction()
    parts = Parts({"audit": FakeSource([event()])}, actions={"kill": executor})
    report = build(
        parts,
        RuleSet((event_rule("sh", "kill", "reboot"),)),
        actions={"stop": ActionConfig("kill", {}, dry_run=False)},
    ).run()
    assert len(executor.done) == 1
    assert report.statistics["actions"] == {
        ActionStatus.DONE.value: 1,
        ActionStatus.REFUSED.value: 1,
    }


@pytest.mark.parametrize("works", [True, False])
def test_the_pattern_engine_that_is_configured_finds_patterns(works: bool) -> None:
    engine = CountingPatterns(works)
    source = {"audit": FakeSource([event("bash"), event("zsh")])}
    parts = Parts(source, pattern_engines={"toy": engine})
    ends_with_sh = Wildcard(Field("process.name"), ("*sh",))
    rules = RuleSet((Rule(RuleMetadata("shell"), EventRule(PROCESS, ends_with_sh)),))
    assert build(parts, rules).run().statistics["alerts"] == 2
    assert not engine.asked
    configured = EngineConfig(pattern_engine="toy", read_timeout=0.05, close_timeout=PATIENCE)
    parts.sources = {"audit": FakeSource([event("bash"), event("zsh")])}
    assert build(parts, rules, engine=configured).run().statistics["alerts"] == 2
    assert engine.asked == (["", "bash", "zsh"] if works else [""])


class CountingPatterns(NativePatternEngine):
    """The kernel's own engine, which keeps what it was asked about, and may fail."""

    def __init__(self, works: bool) -> None:
        self.asked: list[str] = []
        self.works = works

    def compile(self, patterns: Sequence[Pattern]) -> CompiledPatterns:
        self.database = super().compile(patterns).database
        return CompiledPatterns(self)

    def matches(self, text: str) -> Sequence[int]:
        self.asked.append(text)
        if not self.works:
            raise RuntimeError("out of order")
        return self.database.matches(text)


# --- rules and state -----------------------------------------------------------------------


def test_rules_are_replaced_between_two_batches() -> None:
    source, output = LiveSource([event("ls")]), RecordingOutput()
    engine = build(Parts({"audit": source}, {"siem": output}))
    running = InThread(engine)
    wait_for_events(engine, 1)
    engine.replace_rules(RuleSet((event_rule("ls"), SHELL))).result(PATIENCE)
    source._batches.append(EventBatch(documents=[event("ls")]))
    wait_for_events(engine, 2)
    engine.stop()
    report = running.report()
    assert [alert.rule.rule_id for alert in output.alerts] == ["found-ls"]
    assert report.statistics["rules"] == {"loaded": 2, "rejected": 0}
    with pytest.raises(KestrelError, match="has ended"):
        engine.replace_rules(RULES).result(PATIENCE)


def test_rules_that_cannot_be_loaded_replace_nothing() -> None:
    source = LiveSource([event()])
    engine = build(Parts({"audit": source}))
    running = InThread(engine)
    with pytest.raises(RuleError):
        engine.replace_rules(RuleSet((program_rule(b"t"),))).result(PATIENCE)
    engine.stop()
    assert running.report().statistics["rules"] == {"loaded": 1, "rejected": 0}


class Store:
    """A state store in a dictionary that outlives the engine."""

    def __init__(self) -> None:
        self.values: dict[bytes, Versioned] = {}
        self.failing: BaseException | None = None
        self.closed = 0

    def get_many(self, keys: Sequence[bytes]) -> Mapping[bytes, Versioned]:
        return {key: self.values[key] for key in keys if key in self.values}

    def scan(self, prefix: bytes) -> object:
        return iter(())

    def commit(
        self,
        changes: Sequence[Change],
        expected: Mapping[bytes, int | None] | None = None,
        fence: int | None = None,
    ) -> Mapping[bytes, int]:
        if self.failing is not None:
            raise self.failing
        for change in changes:
            assert change.value is not None
            self.values[change.key] = Versioned(change.value, 1)
        return {change.key: 1 for change in changes}

    def close(self) -> None:
        self.closed += 1


def stateful(store: Store, source: FakeSource, output: object, rules: RuleSet) -> Engine:
    parts = Parts({"audit": source}, {"siem": output}, stores={"dictionary": store})
    return build(parts, rules, state=StateConfig(type="dictionary"))


def test_another_run_goes_on_where_the_first_one_stopped() -> None:
    rules = RuleSet(
        (
            Rule(
                RuleMetadata("both"),
                SequenceRule(
                    (Step(PROCESS, named("curl"), HOST), Step(PROCESS, named("sh"), HOST))
                ),
            ),
        )
    )
    store, output = Store(), RecordingOutput()
    first = LiveSource(EventBatch(documents=[event("curl")], position="after curl"))
    engine = stateful(store, first, output, rules)
    running = InThread(engine)
    assert first.beating.wait(PATIENCE)
    engine.stop()
    running.report()
    assert store.closed == 1
    second = FakeSource([event("sh", 1)])
    report = stateful(store, second, output, rules).run()
    assert second.opened_at == ["after curl"]
    assert [alert.rule.rule_id for alert in output.alerts] == ["both"]
    assert [str(one.identity) for one in output.alerts[0].events] == ["audit#0", "audit#1"]
    assert report.exit_status is ExitStatus.FINE


def test_a_store_that_cannot_commit_stops_the_reading() -> None:
    store = Store()
    store.failing = StateError("the disk is full")
    source = FakeSource(EventBatch(documents=[event()], position="0"))
    report = stateful(store, source, RecordingOutput(), RULES).run()
    assert report.exit_status is ExitStatus.OUTPUT_FAILED
    assert "the disk is full" in str(report.failures[0])
    assert source.acknowledged == []
    assert store.closed == 1


def test_a_damaged_state_keeps_the_engine_from_starting() -> None:
    store = Store()
    store.values[b"engine/detector"] = Versioned(b"damaged", 1)
    source = FakeSource([event()])
    report = stateful(store, source, RecordingOutput(), RULES).run()
    assert report.exit_status is ExitStatus.OUTPUT_FAILED
    assert isinstance(report.failures[0], StateError)
    assert source.opened_at == []


def test_an_instance_has_a_private_folder_where_state_is_kept(tmp_path: Path) -> None:
    build(Parts({"audit": FakeSource()}), state=StateConfig(directory=tmp_path / "state"))
    folder = tmp_path / "state" / "sources.audit"
    assert folder.is_dir()
    assert folder.stat().st_mode & 0o077 == 0


# --- many times ----------------------------------------------------------------------------


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        lines = [json.dumps(event("sh" if n % 3 else "ls", n)) for n in range(500)]
        (tmp_path / f"{name}.ndjson").write_text("\n".join(lines))

    def run(number: int, batch_size: int) -> bytes:
        output = tmp_path / f"alerts-{number}.ndjson"
        configuration = Configuration(
            sources={
                name: SectionConfig("jsonl", {"path": str(tmp_path / f"{name}.ndjson")})
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
