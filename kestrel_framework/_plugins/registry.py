"""The registry: which plugins there are, and what can be used under which name."""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, Generic, Self, TypeAlias, TypeVar

import attrs

from kestrel_framework._plugins.compatibility import check_plugin
from kestrel_framework._plugins.contexts import InstanceCounters, instance_context
from kestrel_framework._plugins.discovery import FoundPlugin, find_plugins
from kestrel_framework._plugins.error_handling import HandlerChain
from kestrel_framework._plugins.faults import Failed, FaultBoundary, describe
from kestrel_framework._plugins.kernel_log import kernel_logger
from kestrel_framework._plugins.named_offers import NamedOffers
from kestrel_framework._plugins.offers import (
    ACTIONS,
    COMPILERS,
    EVALUATORS,
    INTERFACES,
    OUTPUTS,
    PATTERN_ENGINES,
    SOURCES,
    STATE_STORES,
    Interface,
    PluginOffers,
    read_offers,
    refuse_incomplete,
)
from kestrel_framework.api_version import ApiVersion
from kestrel_framework.config import typed_section
from kestrel_framework.errors import ConfigurationError, PluginError
from kestrel_framework.interfaces import Offer, PluginContext
from kestrel_framework.schema import SchemaRegistry

ObjectT = TypeVar("ObjectT")


class PluginState(enum.Enum):
    """Loaded: its offers can be used. Broken: they cannot. Denied: it was not even imported."""

    LOADED = "loaded"
    BROKEN = "broken"
    DENIED = "denied"


@attrs.frozen
class PluginRecord:
    """What is known of one plugin, loaded or not.

    Attributes:
        name: What configuration and messages call it.
        version: The version of its distribution, or "" where it was passed as an object.
        api: The API version it was written for, where that could be read.
        offers: Names by interface (`sources`, `compilers`, ...), without what it does not offer.
        state: Whether it can be used.
        problem: Why it is broken, or "".
        required: Whether the engine must not start without it.
    """

    name: str
    version: str
    api: ApiVersion | None
    offers: Mapping[str, tuple[str, ...]]
    state: PluginState
    problem: str = ""
    required: bool = False


@attrs.frozen(eq=False)
class Offering(Generic[ObjectT]):
    """An offer with the name it has and the plugin it is from."""

    interface: Interface[ObjectT]
    name: str
    plugin: str
    offer: Offer[Any, ObjectT]
    schema: SchemaRegistry = attrs.field(repr=False)

    def context(
        self,
        instance: str = "",
        counters: InstanceCounters | None = None,
        state_directory: Path | None = None,
    ) -> PluginContext:
        """Return the context for an instance called `instance`, by default as the offer is."""
        return instance_context(
            self.plugin,
            instance or self.name,
            self.schema,
            counters or InstanceCounters(),
            state_directory,
        )

    def create(
        self,
        options: Mapping[str, object] | None = None,
        *,
        path: str = "",
        context: PluginContext | None = None,
        boundary: FaultBoundary | None = None,
    ) -> ObjectT:
        """Return a new object of the plugin, behind its fault boundary.

        It has every part of its interface; see `guarded_io` and `guarded_rules` for
        what its methods raise.

        Args:
            options: Its section of the configuration.
            path: The dotted path of that section, for messages.
            context: What the factory gets.
            boundary: Through what the factory, and later the object, is called.

        Raises:
            ConfigurationError: the section is not right.
            PluginError: the factory failed, or made something else.
        """
        context = context or self.context()
        boundary = boundary or FaultBoundary(self.plugin, context.name)
        config = typed_section(self.offer.config, options or {}, path)

        def made() -> ObjectT:
            created = self.offer.factory(config, context)
            refuse_incomplete(self.plugin, self.interface, self.name, created)
            return self.interface.guard(created, boundary)

        result = boundary.call("create", made, HandlerChain())
        if isinstance(result, Failed):
            error = result.error
            if isinstance(error, ConfigurationError) and path:
                raise _under(path, error) from error
            raise error
        return result.value


Offers: TypeAlias = NamedOffers[Offering[ObjectT]]
"""All offers of one interface, by name."""


class PluginRegistry:
    """The plugins of one engine and what they offer. Immutable; safe between threads.

    Attributes:
        plugins: Every plugin found, also broken and denied ones.
        schema: The kernel's fields and event types with those of all loaded plugins.
        sources, compilers, evaluators, actions, outputs, state_stores, pattern_engines: The
            offers.
    """

    def __init__(
        self,
        plugins: Iterable[PluginRecord],
        schema: SchemaRegistry,
        offers: Mapping[str, PluginOffers],
    ) -> None:
        self.plugins = tuple(plugins)
        self.schema = schema
        self._offers = offers
        self.sources = self._offers_of(SOURCES)
        self.compilers = self._offers_of(COMPILERS)
        self.evaluators = self._offers_of(EVALUATORS)
        self.actions = self._offers_of(ACTIONS)
        self.outputs = self._offers_of(OUTPUTS)
        self.state_stores = self._offers_of(STATE_STORES)
        self.pattern_engines = self._offers_of(PATTERN_ENGINES)

    @classmethod
    def load(
        cls,
        plugins: Iterable[object] = (),
        *,
        discover: bool = True,
        allow: Collection[str] | None = None,
        deny: Collection[str] = (),
        schema: SchemaRegistry | None = None,
    ) -> Self:
        """Find plugins, check them, and ask them once what they offer.

        A plugin that fails is broken, and the others go on; `require_working` tells
        whether the engine may start. Arguments are those of `find_plugins`.
        """
        schema = schema or SchemaRegistry.ecs()
        records = []
        offers: dict[str, PluginOffers] = {}
        for found in find_plugins(plugins, discover=discover, allow=allow, deny=deny):
            record, offered, schema = _examined(found, schema)
            records.append(record)
            if offered is not None:
                offers[record.name] = offered
        return cls(records, schema, offers)

    def require_working(self) -> None:
        """Check that no plugin is broken that somebody named; log the other broken ones.

        Raises:
            PluginError: a required plugin is broken.
        """
        for record in self.plugins:
            if record.state is not PluginState.BROKEN:
                continue
            if record.required:
                raise PluginError(record.name, record.problem)
            kernel_logger(plugin=record.name).warning("plugin is broken", problem=record.problem)

    def _offers_of(self, interface: Interface[ObjectT]) -> Offers[ObjectT]:
        offerings = [
            Offering(interface, name, plugin, offer, self.schema)
            for plugin, offered in self._offers.items()
            for name, offer in offered.offers.get(interface.hook, {}).items()
        ]
        broken = {
            record.name: record.problem
            for record in self.plugins
            if record.state is PluginState.BROKEN
        }
        return NamedOffers(interface.noun, offerings, broken)


def _examined(
    found: FoundPlugin, schema: SchemaRegistry
) -> tuple[PluginRecord, PluginOffers | None, SchemaRegistry]:
    """Return what a plugin is, what it offers, and the schema with its part."""
    record = PluginRecord(
        found.name, found.version, None, {}, PluginState.BROKEN, found.problem, found.required
    )
    if found.denied:
        return attrs.evolve(record, state=PluginState.DENIED), None, schema
    if found.problem:
        return record, None, schema
    try:
        checked = check_plugin(found.name, found.plugin)
        record = attrs.evolve(record, api=checked.api)
        offered = read_offers(checked)
        record = attrs.evolve(record, offers=_names(offered))
        extended = schema.extended(offered.schema.fields, offered.schema.event_types)
    except KeyboardInterrupt:
        raise
    except PluginError as error:
        return attrs.evolve(record, problem=error.problem), None, schema
    except ConfigurationError as error:
        problem = f"what it adds to the schema does not fit: {error.problem}"
        return attrs.evolve(record, problem=problem), None, schema
    except BaseException as raised:  # noqa: BLE001 - attributes and mappings can be plugin code
        return attrs.evolve(record, problem=f"cannot be read: {describe(raised)}"), None, schema
    return attrs.evolve(record, state=PluginState.LOADED), offered, extended


def _names(offered: PluginOffers) -> dict[str, tuple[str, ...]]:
    names = {
        interface.plural: tuple(offered.offers[interface.hook])
        for interface in INTERFACES
        if offered.offers.get(interface.hook)
    }
    return names | ({"commands": tuple(offered.commands)} if offered.commands else {})


def _under(path: str, error: ConfigurationError) -> ConfigurationError:
    """Return a factory's error with the path of the section before the key it names."""
    if error.path.startswith(path):
        return error
    inner = f"{path}.{error.path}" if error.path else path
    return ConfigurationError(error.problem, path=inner, severity=error.severity)
