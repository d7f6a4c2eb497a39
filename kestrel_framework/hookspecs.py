"""The hooks through which a plugin hands over what it offers.

Hooks wire, objects work: each hook is called once while an engine is built, never
for an event. A plugin is a module (or any object) with `KESTREL_API = "1.0"` and
some of these hooks; nothing else is required of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import attrs
import pluggy

from kestrel_framework.interfaces import (
    ActionExecutor,
    EventSource,
    Offer,
    OutputHandler,
    PredicateEvaluator,
    RuleCompiler,
    StateStore,
)
from kestrel_framework.schema import EventType, FieldDefinition

PROJECT: Final = "kestrel"
ENTRY_POINT_GROUP: Final = "kestrel.plugins"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

# An Offer is invariant in its configuration class, which only its own plugin knows.
EventSourceOffers: TypeAlias = Mapping[str, Offer[Any, EventSource]]
RuleCompilerOffers: TypeAlias = Mapping[str, Offer[Any, RuleCompiler]]
PredicateEvaluatorOffers: TypeAlias = Mapping[str, Offer[Any, PredicateEvaluator]]
ActionExecutorOffers: TypeAlias = Mapping[str, Offer[Any, ActionExecutor]]
OutputHandlerOffers: TypeAlias = Mapping[str, Offer[Any, OutputHandler]]
StateStoreOffers: TypeAlias = Mapping[str, Offer[Any, StateStore]]


@attrs.frozen
class SchemaExtension:
    """Fields and event types that a plugin's events have beyond the kernel's schema."""

    fields: tuple[FieldDefinition, ...] = ()
    event_types: tuple[EventType, ...] = ()


@hookspec
def kestrel_event_sources() -> EventSourceOffers:
    """Offer event sources, by the type name that a configuration selects them with.

    Required: no. A plugin that brings no source leaves this hook out.

    Called: once, while the engine is built, before any rule is compiled.

    Returns:
        Source type (lower case, such as `"jsonl"`) to an `Offer`. Its factory
        returns an unopened `EventSource`, which the engine owns and closes.

    Conflicts: using a type that two plugins offer is a `ConfigurationError` that
    names both; `plugin:type` says which.

    Errors: a factory rejects a bad section with `ConfigurationError`. Any other
    exception is reported as a fault of the plugin.

    Example:
        >>> @hookimpl
        ... def kestrel_event_sources():
        ...     return {"jsonl": Offer(JsonlSource, JsonlSourceConfig)}

    Contract: `kestrel_framework.testing.EventSourceContract`.

    .. versionadded:: API 1.0
    """
    raise NotImplementedError


@hookspec
def kestrel_rule_compilers() -> RuleCompilerOffers:
    """Offer rule languages, by the name that rules and `--language` call them.

    Required: no.

    Called: once, while the engine is built, before any rule is read.

    Returns:
        Language name (such as `"eql"`) to an `Offer` of a `RuleCompiler` whose
        `language` is that name.

    Conflicts: two compilers for one language, or for one file suffix, are a
    `ConfigurationError` that names both as soon as a rule needs it.

    Errors: as for sources.

    Example:
        >>> @hookimpl
        ... def kestrel_rule_compilers():
        ...     return {"eql": Offer(EqlCompiler.from_config, EqlConfig)}

    Contract: `kestrel_framework.testing.RuleCompilerContract`.

    .. versionadded:: API 1.0
    """
    raise NotImplementedError


@hookspec
def kestrel_predicate_evaluators() -> PredicateEvaluatorOffers:
    """Offer runtimes, by the name that `--runtime` and rule packages call them.

    Required: no. The kernel brings `native`.

    Called: once, while the engine is built, before any rule is compiled.

    Returns:
        Runtime name to an `Offer` of a `PredicateEvaluator`.

    Conflicts: as for sources.

    Errors: as for sources. A condition that a runtime cannot load is an error of its rule.

    Example:
        >>> @hookimpl
        ... def kestrel_predicate_evaluators():
        ...     return {"lua": Offer(LuaEvaluator, LuaConfig)}

    Contract: `kestrel_framework.testing.PredicateEvaluatorContract`.

    .. versionadded:: API 1.0
    """
    raise NotImplementedError


@hookspec
def kestrel_action_executors() -> ActionExecutorOffers:
    """Offer actions, by the type name that rules ask for and the operator allows.

    Required: no. The kernel brings `log`.

    Called: once, while the engine is built.

    Returns:
        Action type to an `Offer` of an `ActionExecutor`.

    Conflicts: as for sources.

    Errors: as for sources. A failing action never holds up alerts.

    Example:
        >>> @hookimpl
        ... def kestrel_action_executors():
        ...     return {"kill": Offer(KillExecutor, KillConfig)}

    Contract: `kestrel_framework.testing.ActionExecutorContract`.

    .. versionadded:: API 1.0
    """
    raise NotImplementedError


@hookspec
def kestrel_output_handlers() -> OutputHandlerOffers:
    """Offer outputs, by the type name that a configuration selects them with.

    Required: no. The kernel brings `console` and `jsonl`.

    Called: once, while the engine is built.

    Returns:
        Output type to an `Offer` of an unopened `OutputHandler`, which the engine
        owns and closes.

    Conflicts: as for sources.

    Errors: as for sources.

    Example:
        >>> @hookimpl
        ... def kestrel_output_handlers():
        ...     return {"syslog": Offer(SyslogOutput, SyslogConfig)}

    Contract: `kestrel_framework.testing.OutputHandlerContract`.

    .. versionadded:: API 1.0
    """
    raise NotImplementedError


@hookspec
def kestrel_state_stores() -> StateStoreOffers:
    """Offer state stores, by the type name that a configuration selects them with.

    Required: no. The kernel brings `memory`.

    Called: once, while the engine is built.

    Returns:
        Store type to an `Offer` of a `StateStore`, which the engine owns and closes.

    Conflicts: as for sources.

    Errors: as for sources. An engine that cannot commit stops reading.

    Example:
        >>> @hookimpl
        ... def kestrel_state_stores():
        ...     return {"redis": Offer(RedisStateStore, RedisConfig)}

    Contract: `kestrel_framework.testing.StateStoreContract`.

    .. versionadded:: API 1.0
    """
    raise NotImplementedError


@hookspec
def kestrel_schema() -> SchemaExtension:
    """Add fields and event types that this plugin's events have.

    Required: no.

    Called: once, before any factory, so that every `PluginContext` has the
    finished schema.

    Returns:
        A `SchemaExtension`. Defining again what is defined the same way is fine.

    Conflicts: another meaning for a known name makes this plugin broken.

    Errors: as for sources.

    Example:
        >>> @hookimpl
        ... def kestrel_schema():
        ...     return SchemaExtension(fields=(FieldDefinition("process.tty", KEYWORD),))

    Contract: `kestrel_framework.testing.PluginContract`.

    .. versionadded:: API 1.0
    """
    raise NotImplementedError
