"""What one plugin offers: its hooks called, and their results checked."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Final, Generic, TypeVar

import attrs

from kestrel_framework._plugins.compatibility import (
    CheckedPlugin,
    class_made_by,
    missing_members,
)
from kestrel_framework._plugins.faults import FaultBoundary
from kestrel_framework._plugins.guarded_io import (
    GuardedAction,
    GuardedOutput,
    GuardedSource,
)
from kestrel_framework._plugins.guarded_patterns import GuardedPatternEngine
from kestrel_framework._plugins.guarded_rules import GuardedCompiler, GuardedEvaluator
from kestrel_framework._plugins.guarded_state import guarded_state_store
from kestrel_framework._plugins.hook_calls import call_hook, kind_of, named_in, read_commands
from kestrel_framework.errors import PluginError
from kestrel_framework.hookspecs import CommandOffers, SchemaExtension
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

T = TypeVar("T")


@attrs.frozen
class Interface(Generic[T]):
    """One thing that plugins offer.

    Attributes:
        hook: The hook that hands it over.
        noun: What one is called in messages.
        plural: What many are called, in listings.
        protocol: What its objects must be.
        guard: Puts an object behind its fault boundary.
    """

    hook: str
    noun: str
    plural: str
    protocol: type[T]
    guard: Callable[[T, FaultBoundary], T]


# Protocols are classes that nothing instantiates, which is all that `type[T]` is asked for here.
SOURCES: Final = Interface[EventSource](
    "kestrel_event_sources",
    "source",
    "sources",
    EventSource,  # type: ignore[type-abstract]
    GuardedSource,
)
COMPILERS: Final = Interface[RuleCompiler](
    "kestrel_rule_compilers",
    "rule language",
    "compilers",
    RuleCompiler,  # type: ignore[type-abstract]
    GuardedCompiler,
)
EVALUATORS: Final = Interface[PredicateEvaluator](
    "kestrel_predicate_evaluators",
    "runtime",
    "evaluators",
    PredicateEvaluator,  # type: ignore[type-abstract]
    GuardedEvaluator,
)
ACTIONS: Final = Interface[ActionExecutor](
    "kestrel_action_executors",
    "action",
    "actions",
    ActionExecutor,  # type: ignore[type-abstract]
    GuardedAction,
)
OUTPUTS: Final = Interface[OutputHandler](
    "kestrel_output_handlers",
    "output",
    "outputs",
    OutputHandler,  # type: ignore[type-abstract]
    GuardedOutput,
)
STATE_STORES: Final = Interface[StateStore](
    "kestrel_state_stores",
    "state store",
    "state_stores",
    StateStore,  # type: ignore[type-abstract]
    guarded_state_store,
)
PATTERN_ENGINES: Final = Interface[PatternEngine](
    "kestrel_pattern_engines",
    "pattern engine",
    "pattern_engines",
    PatternEngine,  # type: ignore[type-abstract]
    GuardedPatternEngine,
)
INTERFACES: Final[tuple[Interface[Any], ...]] = (
    SOURCES,
    COMPILERS,
    EVALUATORS,
    ACTIONS,
    OUTPUTS,
    STATE_STORES,
    PATTERN_ENGINES,
)
SCHEMA_HOOK: Final = "kestrel_schema"


@attrs.frozen
class PluginOffers:
    """Everything one plugin offers.

    Attributes:
        offers: By hook and name.
        schema: What it adds to the schema.
        commands: By name.
    """

    offers: Mapping[str, Mapping[str, Offer[Any, Any]]]
    schema: SchemaExtension
    commands: CommandOffers


def read_offers(plugin: CheckedPlugin) -> PluginOffers:
    """Call the hooks of one plugin, and check what they return.

    Raises:
        PluginError: a hook raises or returns something else than offers, or an offered
            class lacks a part of its interface, which is named.
    """
    offers = {}
    for interface in INTERFACES:
        hook = plugin.hooks.get(interface.hook)
        if hook is not None:
            returned = call_hook(plugin.name, interface.hook, hook)
            offers[interface.hook] = _checked_offers(plugin.name, interface, returned)
    return PluginOffers(offers, _schema_extension(plugin), read_commands(plugin))


def _schema_extension(plugin: CheckedPlugin) -> SchemaExtension:
    hook = plugin.hooks.get(SCHEMA_HOOK)
    if hook is None:
        return SchemaExtension()
    returned = call_hook(plugin.name, SCHEMA_HOOK, hook)
    if not isinstance(returned, SchemaExtension):
        problem = f"`{SCHEMA_HOOK}` returned {kind_of(returned)}, not a SchemaExtension"
        raise PluginError(plugin.name, problem, operation=SCHEMA_HOOK)
    return returned


def _checked_offers(
    plugin: str, interface: Interface[Any], returned: object
) -> dict[str, Offer[Any, Any]]:
    checked = {}
    for name, offer in named_in(plugin, interface.hook, returned):
        what = f"the {interface.noun} `{name}`"
        if not isinstance(offer, Offer):
            raise PluginError(plugin, f"{what} is {kind_of(offer)}, not an Offer(factory, config)")
        if not callable(offer.factory):
            raise PluginError(plugin, f"{what} has a factory that cannot be called")
        if not (inspect.isclass(offer.config) and attrs.has(offer.config)):
            raise PluginError(plugin, f"{what} has a configuration that is no attrs class")
        made = class_made_by(offer.factory)
        if made is not None and made is not interface.protocol:
            refuse_incomplete(plugin, interface, name, made)
        checked[name] = offer
    return checked


def refuse_incomplete(plugin: str, interface: Interface[Any], name: str, candidate: object) -> None:
    """Check that an object, or the class of it, has every part of its interface.

    Raises:
        PluginError: it lacks some; they are named.
    """
    missing = missing_members(candidate, interface.protocol)
    if missing:
        kind = candidate if inspect.isclass(candidate) else type(candidate)
        raise PluginError(
            plugin,
            f"the {interface.noun} `{name}` ({kind.__name__}) is no {interface.protocol.__name__}: "
            f"it lacks {', '.join(missing)}",
        )
    if inspect.isclass(candidate) or not isinstance(candidate, RuleCompiler):
        return
    if candidate.language != name:
        problem = f"the rule language `{name}` has a compiler for `{candidate.language}`"
        raise PluginError(plugin, problem)
