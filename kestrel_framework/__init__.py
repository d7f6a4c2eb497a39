"""Kestrel: a plugin-first endpoint-detection framework.

Everything promised is importable from here or from a module without a leading
underscore; what begins with an underscore may change at any time.

Names are loaded when they are first used, so that importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kestrel_framework._builtin.sqlite_state import SqliteStateStore
    from kestrel_framework.action import ActionOutcome, ActionRequest, ActionStatus
    from kestrel_framework.alert import Alert, Evidence
    from kestrel_framework.api_version import API_VERSION, ApiVersion
    from kestrel_framework.config import Configuration, SectionConfig, SourceConfig
    from kestrel_framework.detector import (
        Detector,
        DetectorStatistics,
        PartialMatches,
        PreparedRules,
        RememberedProcesses,
        RevisionState,
    )
    from kestrel_framework.engine import Engine, EngineReport
    from kestrel_framework.errors import (
        ConfigurationError,
        IncompatiblePluginError,
        InputError,
        KestrelError,
        OutputError,
        PluginError,
        ResourceLimitError,
        RuleError,
        SourceLocation,
        StateConflict,
        StateError,
    )
    from kestrel_framework.event import (
        Document,
        Event,
        EventBatch,
        EventIdentity,
        EventSettings,
        TimeSettings,
    )
    from kestrel_framework.hookspecs import CommandOffer, SchemaExtension, hookimpl
    from kestrel_framework.interfaces import (
        MISSING,
        ActionExecutor,
        Change,
        CompiledPatterns,
        EventSource,
        Failure,
        KeyChanged,
        Limits,
        LoadedPredicate,
        NoConfiguration,
        Offer,
        OutputHandler,
        Pattern,
        PatternDatabase,
        PatternEngine,
        PatternKind,
        PluginContext,
        PredicateEvaluator,
        Resynchronize,
        RuleCompiler,
        RuleFile,
        StateChange,
        StateOwnership,
        StateStore,
        StateWatch,
        SupportsOwnership,
        SupportsWatch,
        Versioned,
    )
    from kestrel_framework.iterable_source import source_from_iterable
    from kestrel_framework.query import SearchResult, search
    from kestrel_framework.reload import CarriedMatches, OnRuleChange, ReloadReport
    from kestrel_framework.rule import (
        EventRule,
        JoinRule,
        LoadReport,
        Rule,
        RuleMetadata,
        RuleSet,
        RuleSource,
        SampleRule,
        SequenceRule,
        Step,
    )
    from kestrel_framework.rule_loading import load_rules
    from kestrel_framework.schema import EventType, FieldDefinition, FieldType, SchemaRegistry
    from kestrel_framework.state_keys import StateKeys

_EXPORTS = {
    "_builtin.sqlite_state": ("SqliteStateStore",),
    "action": ("ActionOutcome", "ActionRequest", "ActionStatus"),
    "alert": ("Alert", "Evidence"),
    "api_version": ("API_VERSION", "ApiVersion"),
    "config": ("Configuration", "SectionConfig", "SourceConfig"),
    "detector": (
        "Detector",
        "DetectorStatistics",
        "PartialMatches",
        "PreparedRules",
        "RememberedProcesses",
        "RevisionState",
    ),
    "engine": ("Engine", "EngineReport"),
    "errors": (
        "ConfigurationError",
        "IncompatiblePluginError",
        "InputError",
        "KestrelError",
        "OutputError",
        "PluginError",
        "ResourceLimitError",
        "RuleError",
        "SourceLocation",
        "StateConflict",
        "StateError",
    ),
    "event": (
        "Document",
        "Event",
        "EventBatch",
        "EventIdentity",
        "EventSettings",
        "TimeSettings",
    ),
    "hookspecs": ("CommandOffer", "SchemaExtension", "hookimpl"),
    "interfaces": (
        "MISSING",
        "ActionExecutor",
        "Change",
        "CompiledPatterns",
        "EventSource",
        "Failure",
        "KeyChanged",
        "Limits",
        "LoadedPredicate",
        "NoConfiguration",
        "Offer",
        "OutputHandler",
        "Pattern",
        "PatternDatabase",
        "PatternEngine",
        "PatternKind",
        "PluginContext",
        "PredicateEvaluator",
        "Resynchronize",
        "RuleCompiler",
        "RuleFile",
        "StateChange",
        "StateOwnership",
        "StateStore",
        "StateWatch",
        "SupportsOwnership",
        "SupportsWatch",
        "Versioned",
    ),
    "iterable_source": ("source_from_iterable",),
    "query": ("SearchResult", "search"),
    "reload": ("CarriedMatches", "OnRuleChange", "ReloadReport"),
    "rule": (
        "EventRule",
        "LoadReport",
        "Rule",
        "RuleMetadata",
        "RuleSet",
        "RuleSource",
        "JoinRule",
        "SampleRule",
        "SequenceRule",
        "Step",
    ),
    "rule_loading": ("load_rules",),
    "schema": ("EventType", "FieldDefinition", "FieldType", "SchemaRegistry"),
    "state_keys": ("StateKeys",),
}
_HOMES = {name: module for module, names in _EXPORTS.items() for name in names}

__all__ = [
    "API_VERSION",
    "MISSING",
    "ActionExecutor",
    "ActionOutcome",
    "ActionRequest",
    "ActionStatus",
    "Alert",
    "ApiVersion",
    "CarriedMatches",
    "Change",
    "CommandOffer",
    "CompiledPatterns",
    "Configuration",
    "ConfigurationError",
    "Detector",
    "DetectorStatistics",
    "Document",
    "Engine",
    "EngineReport",
    "Event",
    "EventBatch",
    "EventIdentity",
    "EventRule",
    "EventSettings",
    "EventSource",
    "EventType",
    "Evidence",
    "Failure",
    "FieldDefinition",
    "FieldType",
    "IncompatiblePluginError",
    "InputError",
    "JoinRule",
    "KestrelError",
    "KeyChanged",
    "Limits",
    "LoadReport",
    "LoadedPredicate",
    "NoConfiguration",
    "Offer",
    "OnRuleChange",
    "OutputError",
    "OutputHandler",
    "PartialMatches",
    "Pattern",
    "PatternDatabase",
    "PatternEngine",
    "PatternKind",
    "PluginContext",
    "PluginError",
    "PredicateEvaluator",
    "PreparedRules",
    "ReloadReport",
    "RememberedProcesses",
    "ResourceLimitError",
    "Resynchronize",
    "RevisionState",
    "Rule",
    "RuleCompiler",
    "RuleError",
    "RuleFile",
    "RuleMetadata",
    "RuleSet",
    "RuleSource",
    "SampleRule",
    "SchemaExtension",
    "SchemaRegistry",
    "SearchResult",
    "SectionConfig",
    "SequenceRule",
    "SourceConfig",
    "SourceLocation",
    "SqliteStateStore",
    "StateChange",
    "StateConflict",
    "StateError",
    "StateKeys",
    "StateOwnership",
    "StateStore",
    "StateWatch",
    "Step",
    "SupportsOwnership",
    "SupportsWatch",
    "TimeSettings",
    "Versioned",
    "hookimpl",
    "load_rules",
    "search",
    "source_from_iterable",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
