"""What the author of a plugin writes; it only has to type-check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from kestrel_framework import (
    MISSING,
    ActionExecutor,
    ActionOutcome,
    ActionRequest,
    ActionStatus,
    Alert,
    CompiledPatterns,
    ConfigurationError,
    EventBatch,
    EventSource,
    Failure,
    FieldDefinition,
    FieldType,
    Limits,
    LoadedPredicate,
    NoConfiguration,
    Offer,
    OutputHandler,
    Pattern,
    PatternEngine,
    PluginContext,
    PredicateEvaluator,
    SchemaExtension,
    hookimpl,
)
from kestrel_framework.hookspecs import (
    ActionExecutorOffers,
    EventSourceOffers,
    OutputHandlerOffers,
    PatternEngineOffers,
    PredicateEvaluatorOffers,
)
from kestrel_framework.interfaces import FieldValue, Outcome
from kestrel_framework.rule import Condition

KESTREL_API = "1.0"


@attrs.frozen
class TickerConfig:
    every: float = attrs.field(default=1.0, metadata={"help": "Seconds between events."})


class Ticker:
    def __init__(self, config: TickerConfig, context: PluginContext) -> None:
        if config.every <= 0:
            raise ConfigurationError("must be more than 0", path="every")
        self._log = context.logger

    def open(self, position: str | None) -> None:
        self._log.info("opened", position=position)

    def read(self, max_events: int, timeout: float) -> EventBatch | None:
        return EventBatch(documents=[{"event": {"category": "host"}}] * max_events, position="1")

    def acknowledge(self, position: str) -> None: ...

    def close(self) -> None: ...


class Collecting:
    def __init__(self, config: NoConfiguration, context: PluginContext) -> None:
        self.names: list[str] = []

    def open(self) -> None: ...

    def write(self, alerts: Sequence[Alert]) -> None:
        self.names += [alert.rule.name for alert in alerts]

    def flush(self) -> None: ...

    def close(self) -> None: ...


class Refusing:
    def execute(self, request: ActionRequest) -> ActionOutcome:
        return ActionOutcome(ActionStatus.REFUSED, f"`{request.action}` is not done here")


class Present:
    def matches_many(self, rows: Sequence[Sequence[FieldValue]]) -> Sequence[Outcome]:
        return [Failure("no fields") if not row else row[0] is not MISSING for row in rows]


class PresenceRuntime:
    def load(
        self, condition: Condition, fields: Mapping[str, FieldType | None], limits: Limits
    ) -> LoadedPredicate:
        return Present()


class ExactPatterns:
    def __init__(self, patterns: Sequence[Pattern]) -> None:
        self._places = {pattern.text: place for place, pattern in enumerate(patterns)}

    def matches(self, text: str) -> Sequence[int]:
        return [self._places[text]] if text in self._places else []


class ExactPatternEngine:
    def compile(self, patterns: Sequence[Pattern]) -> CompiledPatterns:
        return CompiledPatterns(ExactPatterns(patterns), refused=frozenset(range(len(patterns))))


def exact(config: NoConfiguration, context: PluginContext) -> PatternEngine:
    return ExactPatternEngine()


def refusing(config: NoConfiguration, context: PluginContext) -> ActionExecutor:
    return Refusing()


def runtime(config: NoConfiguration, context: PluginContext) -> PredicateEvaluator:
    return PresenceRuntime()


@hookimpl
def kestrel_event_sources() -> EventSourceOffers:
    return {"ticker": Offer(Ticker, TickerConfig)}


@hookimpl
def kestrel_output_handlers() -> OutputHandlerOffers:
    return {"collecting": Offer(Collecting, NoConfiguration)}


@hookimpl
def kestrel_action_executors() -> ActionExecutorOffers:
    return {"refuse": Offer(refusing, NoConfiguration)}


@hookimpl
def kestrel_predicate_evaluators() -> PredicateEvaluatorOffers:
    return {"presence": Offer(runtime, NoConfiguration)}


@hookimpl
def kestrel_pattern_engines() -> PatternEngineOffers:
    return {"exact": Offer(exact, NoConfiguration)}


@hookimpl
def kestrel_schema() -> SchemaExtension:
    return SchemaExtension(fields=(FieldDefinition("ticker.count", FieldType.LONG),))


def as_interfaces(
    config: TickerConfig, context: PluginContext
) -> tuple[EventSource, OutputHandler]:
    return Ticker(config, context), Collecting(NoConfiguration(), context)
