from __future__ import annotations

from types import SimpleNamespace

import attrs
import pytest

from kestrel_framework._plugins.registry import PluginRegistry, PluginState
from kestrel_framework.errors import ConfigurationError, PluginError
from kestrel_framework.hookspecs import SchemaExtension, hookimpl
from kestrel_framework.interfaces import NoConfiguration, Offer, PluginContext
from kestrel_framework.schema import EventType, FieldDefinition, FieldType
from kestrel_framework.testing.fakes import FakeSource, RecordingOutput


@attrs.frozen
class Config:
    path: str
    depth: int = 1


def make_source(config: Config, context: PluginContext) -> FakeSource:
    if config.path == "refused":
        raise ConfigurationError("is not to be read", path="path")
    if config.path == "faulty":
        raise SystemExit("out")
    return FakeSource()


class Sources:
    """Offers a source under given names."""

    KESTREL_API = "1.0"

    def __init__(self, name: str, *offers: str) -> None:
        self.__name__ = name
        self._offers = offers

    @hookimpl
    def kestrel_event_sources(self) -> object:
        return {name: Offer(make_source, Config) for name in self._offers}


class Schema:
    KESTREL_API = "1.0"

    def __init__(self, name: str, *fields: FieldDefinition) -> None:
        self.__name__ = name
        self._fields = fields

    @hookimpl
    def kestrel_schema(self) -> object:
        return SchemaExtension(self._fields, (EventType("beacon", ("network",)),))


def load(*plugins: object, **options: object) -> PluginRegistry:
    return PluginRegistry.load(plugins, discover=False, **options)  # type: ignore[arg-type]


def error_of(registry: PluginRegistry, name: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        registry.sources.resolve(name, "sources.a.type")
    assert caught.value.path == "sources.a.type"
    return caught.value.problem


def test_the_kernel_brings_what_works_with_nothing_installed() -> None:
    registry = load()
    registry.require_working()
    assert "jsonl" in registry.sources
    assert "native" in registry.evaluators
    assert "log" in registry.actions
    assert {"console", "jsonl"} <= set(registry.outputs.names())
    assert "memory" in registry.state_stores
    assert "native" in registry.pattern_engines
    assert len(registry.compilers) == 0


def test_a_name_is_resolved_alone_and_with_its_plugin() -> None:
    registry = load(Sources("one", "audit"))
    assert registry.sources["audit"].plugin == "one"
    assert registry.sources["one:audit"] is registry.sources["audit"]
    assert registry.sources["builtin:jsonl"].name == "jsonl"


def test_one_name_from_two_plugins_is_an_error_only_when_it_is_used() -> None:
    registry = load(Sources("one", "audit", "solo"), Sources("two", "audit"))
    registry.require_working()
    assert registry.sources["solo"].plugin == "one"
    assert registry.sources["two:audit"].plugin == "two"
    assert "audit" not in registry.sources
    problem = error_of(registry, "audit")
    assert "the plugins `one` and `two`" in problem
    assert "`one:audit` or `two:audit`" in problem


def test_a_plugin_may_take_a_name_of_the_kernel() -> None:
    registry = load(Sources("one", "jsonl"))
    assert registry.sources["one:jsonl"].plugin == "one"
    assert "`builtin` and `one`" in error_of(registry, "jsonl")


def test_an_unknown_name_gets_the_nearest() -> None:
    registry = load(Sources("one", "audit"))
    assert error_of(registry, "adit") == "there is no source `adit`; did you mean `audit`?"
    assert "there are `audit`, `jsonl`" in error_of(registry, "zzz")
    assert "did you mean `one:audit`?" in error_of(registry, "on:audit")
    with pytest.raises(ConfigurationError, match="no plugin offers one"):
        registry.compilers.resolve("eql")


def test_an_unknown_name_that_a_broken_plugin_may_offer_says_why_it_is_broken() -> None:
    problem = error_of(load(SimpleNamespace(__name__="netflow")), "netflow")
    assert "the plugin `netflow`, which may offer it, is broken" in problem
    assert "KESTREL_API" in problem


def test_a_broken_plugin_costs_only_itself() -> None:
    class Raises(Sources):
        @hookimpl
        def kestrel_event_sources(self) -> object:
            raise ValueError("no licence")

    registry = load(Raises("broken"), Sources("fine", "audit"))
    records = {record.name: record for record in registry.plugins}
    assert records["broken"].state is PluginState.BROKEN
    assert "no licence" in records["broken"].problem
    assert str(records["broken"].api) == "1.0"
    assert records["fine"].state is PluginState.LOADED
    assert records["fine"].offers == {"sources": ("audit",)}
    assert registry.sources["audit"].plugin == "fine"


def test_a_broken_plugin_that_somebody_named_stops_the_start() -> None:
    with pytest.raises(PluginError, match=r"plugin broken: .*KESTREL_API"):
        load(SimpleNamespace(__name__="broken")).require_working()


def test_a_plugin_whose_attributes_fail_is_broken() -> None:
    class Hostile:
        def __getattribute__(self, name: str) -> object:
            if name == "KESTREL_API":
                raise SystemExit("never")
            return object.__getattribute__(self, name)

    record = load(Hostile()).plugins[1]
    assert record.state is PluginState.BROKEN
    assert "SystemExit" in record.problem


def test_a_mapping_of_offers_that_fails_is_a_broken_plugin() -> None:
    class Hostile(dict[str, object]):
        def items(self) -> object:  # type: ignore[override]
            raise RuntimeError("surprise")

    class Plugin(Sources):
        @hookimpl
        def kestrel_event_sources(self) -> object:
            return Hostile()

    assert "surprise" in load(Plugin("hostile")).plugins[1].problem


def test_a_denied_plugin_offers_nothing() -> None:
    registry = load(Sources("one", "audit"), deny=["one"])
    registry.require_working()
    assert registry.plugins[1].state is PluginState.DENIED
    assert "audit" not in registry.sources


def test_what_plugins_add_to_the_schema_is_in_every_context() -> None:
    field = FieldDefinition("acme.beacon.jitter", FieldType.DOUBLE)
    registry = load(Schema("one", field), Schema("two", field), Sources("three", "audit"))
    assert registry.schema.field("acme.beacon.jitter") == field
    assert "network" in registry.schema.with_ancestors("beacon")
    assert registry.sources["audit"].context("a").schema is registry.schema


def test_another_meaning_for_a_known_field_breaks_the_plugin() -> None:
    wrong = FieldDefinition("process.name", FieldType.LONG)
    right = FieldDefinition("acme.kind", FieldType.KEYWORD)
    registry = load(Schema("wrong", wrong), Schema("right", right))
    assert "process.name" in registry.plugins[1].problem
    assert registry.plugins[2].state is PluginState.LOADED
    assert registry.schema.field("acme.kind") == right
    known = registry.schema.field("process.name")
    assert known is not None
    assert known.type is FieldType.KEYWORD


def test_an_extension_of_garbage_breaks_the_plugin() -> None:
    record = load(Schema("garbage", "process.tty")).plugins[1]  # type: ignore[arg-type]
    assert record.state is PluginState.BROKEN


def test_an_object_is_made_from_its_section() -> None:
    source = load(Sources("one", "audit")).sources["audit"].create({"path": "x"})
    source.open(None)
    assert source.read(1, 0.0) is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"path": "x", "dpeth": 2}, "sources.a.dpeth: unknown key; did you mean `depth`?"),
        ({"path": 7}, "sources.a.path: expected a text"),
        ({}, "sources.a.path: is missing"),
        ({"path": "refused"}, "sources.a.path: is not to be read"),
    ],
)
def test_a_wrong_section_is_refused_with_its_path(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(Sources("one", "audit")).sources["audit"].create(options, path="sources.a")
    assert str(caught.value).startswith(message)


def test_a_factory_that_fails_is_a_fault_of_its_plugin() -> None:
    with pytest.raises(PluginError, match=r"plugin one: `create` .*SystemExit: out"):
        load(Sources("one", "audit")).sources["audit"].create({"path": "faulty"})


def test_a_factory_that_makes_something_else_is_found_out() -> None:
    class Wrong(Sources):
        @hookimpl
        def kestrel_event_sources(self) -> object:
            return {"audit": Offer(lambda config, context: RecordingOutput(), NoConfiguration)}

    with pytest.raises(PluginError, match="is no EventSource: it lacks the method `acknowledge`"):
        load(Wrong("one")).sources["audit"].create()


def test_a_compiler_is_for_the_language_it_is_offered_for() -> None:
    class Compiler:
        language = "sigma"
        suffixes = (".yml",)

        def __init__(self, config: NoConfiguration, context: PluginContext) -> None: ...
        def read(self, file: object) -> object: ...
        def compile(self, source: object, schema: object) -> object: ...

    class Plugin:
        KESTREL_API = "1.0"

        @hookimpl
        def kestrel_rule_compilers(self) -> object:
            return {"eql": Offer(Compiler, NoConfiguration)}

    with pytest.raises(PluginError, match="`eql` has a compiler for `sigma`"):
        load(Plugin()).compilers["eql"].create()
