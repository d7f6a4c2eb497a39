"""An engine with its state in Redis."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from redis_servers import RedisServer

from kestrel_framework.config import (
    Configuration,
    EngineConfig,
    SectionConfig,
    SourceConfig,
    StateConfig,
)
from kestrel_framework.engine import Engine, EngineReport, ExitStatus
from kestrel_framework.hookspecs import OutputHandlerOffers, hookimpl
from kestrel_framework.interfaces import NoConfiguration, Offer
from kestrel_framework.predicate import Comparison, ComparisonOperator, Field, Literal
from kestrel_framework.rule import EventRule, Rule, RuleMetadata, RuleSet
from kestrel_framework.testing import RecordingOutput, make_process_event
from kestrel_redis_state import plugin

SHELL = Rule(
    RuleMetadata("shell"),
    EventRule(
        frozenset({"process"}),
        Comparison(ComparisonOperator.EQUAL, Field("process.name"), Literal("sh")),
    ),
)


class Recorder:
    """A plugin with an output that remembers its alerts."""

    KESTREL_API = "1.0"

    def __init__(self) -> None:
        self.output = RecordingOutput()

    @hookimpl
    def kestrel_output_handlers(self) -> OutputHandlerOffers:
        return {"recorder": Offer(lambda config, context: self.output, NoConfiguration)}


@pytest.fixture
def events(tmp_path: Path) -> Path:
    return tmp_path / "events.ndjson"


def append(path: Path, seconds: int) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(make_process_event("sh", seconds=seconds)) + "\n")


def run(server: RedisServer, events: Path, recorder: Recorder) -> EngineReport:
    options = {"url": server.url, "namespace": "engine", "command_timeout": 2.0}
    configuration = Configuration(
        sources={"file": SourceConfig("jsonl", {"path": str(events)})},
        outputs={"recorder": SectionConfig("recorder")},
        state=StateConfig(type="redis", options=options),
        engine=EngineConfig(read_timeout=0.05),
    )
    return Engine.build(
        configuration, plugins=[plugin, recorder], discover=False, rules=RuleSet((SHELL,))
    ).run()


def test_another_engine_goes_on_where_the_first_one_stopped(
    clean_server: RedisServer, events: Path
) -> None:
    append(events, 0)
    append(events, 1)
    recorder = Recorder()
    assert run(clean_server, events, recorder).exit_status is ExitStatus.FINE
    append(events, 2)
    later = Recorder()
    assert run(clean_server, events, later).exit_status is ExitStatus.FINE
    identities = [
        [str(alert.events[0].identity) for alert in each.output.alerts]
        for each in (recorder, later)
    ]
    assert [len(each) for each in identities] == [2, 1]
    assert len({*identities[0], *identities[1]}) == 3


def test_an_engine_whose_state_is_somebody_elses_does_not_start(
    clean_server: RedisServer, events: Path
) -> None:
    append(events, 0)
    with clean_server.client() as client:
        client.set("kestrel:{engine}:control", "theirs")
    recorder = Recorder()
    report = run(clean_server, events, recorder)
    assert report.exit_status is ExitStatus.OUTPUT_FAILED
    assert "choose another namespace" in str(report.failures[0])
    assert not recorder.output.alerts
