"""The contract kit: tests that every implementation of an interface must pass, and fakes.

Subclass the contract of what you wrote, and give it your object in a fixture:

    class TestCountdown(EventSourceContract):
        @pytest.fixture
        def source(self, kestrel_context):
            return Countdown(CountdownConfig(start=3), kestrel_context)

`pip install kestrel-framework[testing]` brings what it needs. Its pytest plugin gives
the fixtures `kestrel_context`, `kestrel_plugins` and `kestrel_engine`. For tests alone:
nothing else may import this package.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kestrel_framework.testing.action_executor_contract import ActionExecutorContract
    from kestrel_framework.testing.contract import Contract, if_supported
    from kestrel_framework.testing.event_source_contract import EventSourceContract
    from kestrel_framework.testing.fakes import (
        CountingMetrics,
        FailingAction,
        FailingOutput,
        FailingSource,
        FakeClock,
        FakeSource,
        RecordingAction,
        RecordingLogger,
        RecordingOutput,
        make_action_request,
        make_alert,
        make_context,
        make_process_event,
    )
    from kestrel_framework.testing.output_handler_contract import OutputHandlerContract
    from kestrel_framework.testing.pattern_engine_contract import PatternEngineContract
    from kestrel_framework.testing.plugin_contract import PluginContract
    from kestrel_framework.testing.predicate_evaluator_contract import PredicateEvaluatorContract
    from kestrel_framework.testing.rule_compiler_contract import RuleCompilerContract
    from kestrel_framework.testing.state_store_contract import StateStoreContract

_CONTRACTS = {
    "action_executor_contract": ("ActionExecutorContract",),
    "event_source_contract": ("EventSourceContract",),
    "output_handler_contract": ("OutputHandlerContract",),
    "pattern_engine_contract": ("PatternEngineContract",),
    "plugin_contract": ("PluginContract",),
    "predicate_evaluator_contract": ("PredicateEvaluatorContract",),
    "rule_compiler_contract": ("RuleCompilerContract",),
    "state_store_contract": ("StateStoreContract",),
}
_PARTS = {"state_store_contract": ("state_ownership_contract",)}
_EXPORTS = _CONTRACTS | {
    "contract": ("Contract", "if_supported"),
    "fakes": (
        "CountingMetrics",
        "FailingAction",
        "FailingOutput",
        "FailingSource",
        "FakeClock",
        "FakeSource",
        "RecordingAction",
        "RecordingLogger",
        "RecordingOutput",
        "make_action_request",
        "make_alert",
        "make_context",
        "make_process_event",
    ),
}
_HOMES = {name: module for module, names in _EXPORTS.items() for name in names}

__all__ = [
    "ActionExecutorContract",
    "Contract",
    "CountingMetrics",
    "EventSourceContract",
    "FailingAction",
    "FailingOutput",
    "FailingSource",
    "FakeClock",
    "FakeSource",
    "OutputHandlerContract",
    "PatternEngineContract",
    "PluginContract",
    "PredicateEvaluatorContract",
    "RecordingAction",
    "RecordingLogger",
    "RecordingOutput",
    "RuleCompilerContract",
    "StateStoreContract",
    "if_supported",
    "make_action_request",
    "make_alert",
    "make_context",
    "make_process_event",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = _HOMES[name]
    if module in _CONTRACTS:
        import pytest

        # Before the import: without it, a failing contract shows a bare AssertionError.
        for part in (module, *_PARTS.get(module, ())):
            pytest.register_assert_rewrite(f"{__name__}.{part}")
    value: object = getattr(importlib.import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
