"""What works with no other plugin installed, offered through the same hooks as anything else."""

from __future__ import annotations

from kestrel_framework._builtin.console_output import ConsoleOutput, ConsoleOutputConfig
from kestrel_framework._builtin.jsonl_output import JsonlOutput, JsonlOutputConfig
from kestrel_framework._builtin.jsonl_source import JsonlSource, JsonlSourceConfig
from kestrel_framework._builtin.log_action import LogAction, LogActionConfig
from kestrel_framework._builtin.memory_state import MemoryStateStore
from kestrel_framework.errors import ConfigurationError
from kestrel_framework.hookspecs import (
    ActionExecutorOffers,
    EventSourceOffers,
    OutputHandlerOffers,
    PatternEngineOffers,
    PredicateEvaluatorOffers,
    StateStoreOffers,
    hookimpl,
)
from kestrel_framework.interfaces import (
    NoConfiguration,
    Offer,
    PatternEngine,
    PluginContext,
    PredicateEvaluator,
    StateStore,
)

KESTREL_API = "1.0"


@hookimpl
def kestrel_event_sources() -> EventSourceOffers:
    return {"jsonl": Offer(JsonlSource, JsonlSourceConfig)}


@hookimpl
def kestrel_output_handlers() -> OutputHandlerOffers:
    return {
        "console": Offer(ConsoleOutput, ConsoleOutputConfig),
        "jsonl": Offer(JsonlOutput, JsonlOutputConfig),
    }


@hookimpl
def kestrel_action_executors() -> ActionExecutorOffers:
    return {"log": Offer(LogAction, LogActionConfig)}


@hookimpl
def kestrel_state_stores() -> StateStoreOffers:
    return {
        "memory": Offer(_memory_state_store, NoConfiguration),
        "sqlite": Offer(_sqlite_state_store, NoConfiguration),
    }


@hookimpl
def kestrel_predicate_evaluators() -> PredicateEvaluatorOffers:
    return {"native": Offer(_native_evaluator, NoConfiguration)}


@hookimpl
def kestrel_pattern_engines() -> PatternEngineOffers:
    return {"native": Offer(_native_pattern_engine, NoConfiguration)}


def _memory_state_store(config: NoConfiguration, context: PluginContext) -> MemoryStateStore:
    return MemoryStateStore()


def _sqlite_state_store(config: NoConfiguration, context: PluginContext) -> StateStore:
    from kestrel_framework._builtin.sqlite_state import SqliteStateStore

    if context.state_directory is None:
        raise ConfigurationError(
            "the state store `sqlite` needs a folder: give one with `--state DIR`, "
            "or as `state.directory`"
        )
    return SqliteStateStore(context.state_directory)


def _native_evaluator(config: NoConfiguration, context: PluginContext) -> PredicateEvaluator:
    # Programs that only look at what is installed need no matcher.
    from kestrel_framework._builtin.native_evaluator import NativeEvaluator

    return NativeEvaluator()


def _native_pattern_engine(config: NoConfiguration, context: PluginContext) -> PatternEngine:
    from kestrel_framework._builtin.pattern_engine import NativePatternEngine

    return NativePatternEngine()
