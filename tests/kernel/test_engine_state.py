"""The engine and what outlives a batch: rules that are replaced, and kept state."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from engine_parts import (
    HOST,
    PATIENCE,
    PROCESS,
    RULES,
    SHELL,
    InThread,
    LiveSource,
    Parts,
    build,
    event,
    event_rule,
    named,
    program_rule,
    wait_for_events,
)

from kestrel_framework.alert import Alert
from kestrel_framework.config import (
    StateConfig,
)
from kestrel_framework.engine import Engine, ExitStatus
from kestrel_framework.errors import (
    KestrelError,
    OutputError,
    RuleError,
    StateError,
)
from kestrel_framework.event import EventBatch
from kestrel_framework.interfaces import (
    Change,
    Versioned,
)
from kestrel_framework.rule import (
    Rule,
    RuleMetadata,
    RuleSet,
    SequenceRule,
    Step,
)
from kestrel_framework.testing.fakes import (
    FakeSource,
    RecordingOutput,
)


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
    statistics = running.report().statistics
    assert statistics["rules"] == {"loaded": 1, "rejected": 0}
    assert statistics["reloads"] == {"made": 0, "failed": 1, "longest_swap_seconds": 0.0}


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
            if change.value is None:
                self.values.pop(change.key, None)
            else:
                self.values[change.key] = Versioned(change.value, 1)
        return {change.key: 1 for change in changes}

    def close(self) -> None:
        self.closed += 1


def stateful(store: Store, source: FakeSource, output: object, rules: RuleSet) -> Engine:
    parts = Parts({"audit": source}, {"siem": output}, stores={"dictionary": store})
    return build(parts, rules, state=StateConfig(type="dictionary"))


class FailingOutput(RecordingOutput):
    """An output that is away."""

    def write(self, alerts: Sequence[Alert]) -> None:
        raise OutputError("nobody is there")


@pytest.mark.parametrize("alerts", [1, 700])
def test_what_an_output_did_not_get_is_delivered_by_the_next_run(alerts: int) -> None:
    store = Store()
    documents = [event("sh", second) for second in range(alerts)]
    first = FakeSource(EventBatch(documents=documents, position="after all"))
    report = stateful(store, first, FailingOutput(), RULES).run()
    assert report.exit_status is ExitStatus.OUTPUT_FAILED
    second, output = FakeSource(), RecordingOutput()
    report = stateful(store, second, output, RULES).run()
    assert report.exit_status is ExitStatus.FINE
    assert second.opened_at == ["after all"]
    offsets = [alert.events[0].identity.offset for alert in output.alerts]
    assert offsets == list(range(alerts))
    assert report.statistics["events"] == 0
    third = RecordingOutput()
    stateful(store, FakeSource(), third, RULES).run()
    assert third.alerts == []


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


def test_the_folder_for_state_is_private_as_a_whole(tmp_path: Path) -> None:
    configuration = StateConfig(directory=tmp_path / "state")
    before = os.umask(0)
    try:
        build(Parts({"audit": FakeSource([event()])}), state=configuration).run()
    finally:
        os.umask(before)
    made = [tmp_path / "state", *(tmp_path / "state").rglob("*")]
    assert tmp_path / "state" / "state" / "state.sqlite" in made
    assert [path for path in made if path.stat().st_mode & 0o077] == []
