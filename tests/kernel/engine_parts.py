"""An engine of parts that a test can look at, for the tests of the engine."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence

import attrs

from kestrel_framework.config import (
    Configuration,
    EngineConfig,
    SectionConfig,
    SourceConfig,
)
from kestrel_framework.engine import Engine, EngineReport
from kestrel_framework.event import Document, EventBatch
from kestrel_framework.hookspecs import hookimpl
from kestrel_framework.interfaces import (
    NoConfiguration,
    Offer,
)
from kestrel_framework.predicate import Comparison, ComparisonOperator, Field, Literal
from kestrel_framework.rule import (
    ANY_EVENT,
    EventRule,
    JoinKey,
    Program,
    Rule,
    RuleMetadata,
    RuleSet,
    SequenceRule,
    Step,
)
from kestrel_framework.testing.fakes import (
    FakeSource,
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
CURL_AND_SHELL = Rule(
    RuleMetadata("sh-after-curl"),
    SequenceRule((Step(PROCESS, named("curl"), HOST), Step(PROCESS, named("sh"), HOST))),
)
RULES = RuleSet((SHELL,))


def program_rule(payload: bytes) -> Rule:
    body = EventRule(ANY_EVENT, Program("toy", payload, {}))
    return Rule(RuleMetadata(payload.decode()), body)


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
        sources={name: SourceConfig(name) for name in parts.sources},
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
