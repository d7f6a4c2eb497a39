"""The hooks through which a plugin hands over what it offers.

Hooks wire, objects work: each hook is called once while an engine is built, never
for an event. A plugin is a module (or any object) with `KESTREL_API = "1.0"` and
some of these hooks; nothing else is required of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs
import pluggy

from kestrel_framework.interfaces import (
    ActionExecutor,
    EventSource,
    Offer,
    OutputHandler,
    PatternEngine,
    PredicateEvaluator,
    RuleCompiler,
    StateStore,
)

if TYPE_CHECKING:
    import click

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
PatternEngineOffers: TypeAlias = Mapping[str, Offer[Any, PatternEngine]]


@attrs.frozen
class SchemaExtension:
    """Fields and event types that a plugin's events have beyond the kernel's schema."""

    fields: tuple[FieldDefinition, ...] = ()
    event_types: tuple[EventType, ...] = ()


@attrs.frozen
class CommandOffer:
    """A command that a plugin adds to the command line.

    Attributes:
        load: Returns the command; `click.Group` is one, too. Called when the command is
            used or somebody asks for its help, never to list it: import what it
            needs there. What it raises is reported as a fault of the plugin.
        summary: A short sentence for `kestrel --help`.
    """

    load: Callable[[], click.Command]
    summary: str


CommandOffers: TypeAlias = Mapping[str, CommandOffer]


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

    Required: no. The kernel brings `memory` and `sqlite`.

    Called: once, while the engine is built.

    Returns:
        Store type to an `Offer` of a `StateStore`, which the engine owns and closes. Engines can
        stand by for one whose objects are a `SupportsOwnership` as well.

    Conflicts: as for sources.

    Errors: as for sources. An engine that cannot commit stops reading; where the error is
    transient, `state.outage` says whether it waits or goes on.

    Example:
        >>> @hookimpl
        ... def kestrel_state_stores():
        ...     return {"redis": Offer(RedisStateStore, RedisConfig)}

    Contract: `kestrel_framework.testing.StateStoreContract`.

    .. versionadded:: API 1.0
    """
    raise NotImplementedError


@hookspec
def kestrel_pattern_engines() -> PatternEngineOffers:
    """Offer pattern engines, by the name that `engine.pattern_engine` selects them with.

    Required: no. The kernel brings `native`.

    Called: once, while the engine is built.

    Returns:
        Engine name to an `Offer` of a `PatternEngine`. Only the one that the configuration
        names is made; its options stand in `[pattern_engines.NAME]`.

    Conflicts: as for sources.

    Errors: as for sources. `native` answers instead of a database that fails.

    Example:
        >>> @hookimpl
        ... def kestrel_pattern_engines():
        ...     return {"hyperscan": Offer(HyperscanEngine, HyperscanConfig)}

    Contract: `kestrel_framework.testing.PatternEngineContract`.

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


@hookspec
def kestrel_cli_commands() -> CommandOffers:
    """Add commands to the command line, by the name that people type after `kestrel`.

    Required: no. It is for work with what the plugin brings, such as its rule language.

    Called: once in a process that lists commands or uses one the kernel does not bring;
    never by the kernel's own commands, except `kestrel plugins`. Listing imports the
    module of each plugin, so keep that module light.

    Returns:
        Command name to a `CommandOffer`. The command returns its exit code (0 fine, 1 the
        thing checked is not fine, 2 usage or configuration, 3 an input or an output
        failed), or raises a `KestrelError`, which is printed and has a code of its own.
        It writes results to standard output and all else to standard error;
        `kestrel_framework.cli.messages`, `json_lines` and `options` do so as the kernel's
        commands do.

    Conflicts: using a command that two plugins offer is an error that names both;
    `plugin:name` says which. A command of the kernel keeps its name whatever is installed;
    the plugin's is `plugin:name`.

    Errors: a `KestrelError` of a command is for its user. Any other exception is reported
    as a fault of the plugin.

    Example:
        >>> @hookimpl
        ... def kestrel_cli_commands():
        ...     return {"eql": CommandOffer(load_command, "Print and format EQL.")}

    Contract: `kestrel_framework.testing.PluginContract`.

    .. versionadded:: API 1.0
    """
    raise NotImplementedError
