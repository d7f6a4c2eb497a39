from __future__ import annotations

from types import SimpleNamespace

import attrs
import pytest

from kestrel_framework._plugins.compatibility import check_plugin, missing_members
from kestrel_framework._plugins.offers import read_offers
from kestrel_framework.api_version import API_VERSION
from kestrel_framework.errors import IncompatiblePluginError, PluginError
from kestrel_framework.event import EventBatch
from kestrel_framework.hookspecs import SchemaExtension, hookimpl
from kestrel_framework.interfaces import (
    EventSource,
    NoConfiguration,
    Offer,
    PluginContext,
    RuleCompiler,
)
from kestrel_framework.testing.fakes import FakeSource


class Source:
    """A source in all its parts."""

    def __init__(self, config: NoConfiguration, context: PluginContext) -> None:
        pass

    def open(self, position: str | None) -> None:
        pass

    def read(self, max_events: int, timeout: float) -> EventBatch | None:
        return None

    def acknowledge(self, position: str) -> None:
        pass

    def close(self) -> None:
        pass


class Plugin:
    """A plugin with whatever hook a test gives it."""

    KESTREL_API = "1.0"


def plugin_with(**members: object) -> object:
    return type("Plugin", (Plugin,), members)()


def offering(result: object) -> object:
    @hookimpl
    def kestrel_event_sources(self: object) -> object:
        return result

    return plugin_with(kestrel_event_sources=kestrel_event_sources)


def problem_of(plugin: object) -> str:
    with pytest.raises(PluginError) as caught:
        read_offers(check_plugin("acme", plugin))
    assert caught.value.plugin == "acme"
    return str(caught.value)


def test_a_plugin_that_fits_hands_over_its_offers() -> None:
    offer = Offer(Source, NoConfiguration)
    checked = check_plugin("acme", offering({"audit": offer}))
    assert checked.api == API_VERSION
    assert read_offers(checked).offers == {"kestrel_event_sources": {"audit": offer}}


def test_a_plugin_without_hooks_offers_nothing() -> None:
    assert read_offers(check_plugin("acme", Plugin())).offers == {}


@pytest.mark.parametrize(
    ("version", "words"),
    [
        (None, ["malformed", "None"]),
        ("1", ["malformed", "'1'"]),
        (1.0, ["malformed", "1.0"]),
        ("01.0", ["malformed"]),
        ("1.0.0", ["malformed"]),
        ("1.1", ["needs API 1.1", "offers 1.0", "newer kestrel-framework"]),
        ("2.0", ["needs API 2.0", "newer kestrel-framework"]),
        ("0.9", ["needs API 0.9", "newer version of the plugin"]),
    ],
)
def test_a_version_that_does_not_fit_is_refused(version: object, words: list[str]) -> None:
    with pytest.raises(IncompatiblePluginError) as caught:
        check_plugin("acme", SimpleNamespace(KESTREL_API=version))
    assert all(word in str(caught.value) for word in ["plugin acme", *words])


def test_a_plugin_says_which_version_it_needs() -> None:
    with pytest.raises(IncompatiblePluginError, match=r'KESTREL_API = "1.0"'):
        check_plugin("acme", SimpleNamespace())


def test_the_version_is_looked_at_before_anything_else() -> None:
    @hookimpl
    def kestrel_no_such_hook(self: object) -> None:
        raise AssertionError

    members = {"KESTREL_API": "7.0", "kestrel_no_such_hook": kestrel_no_such_hook}
    with pytest.raises(IncompatiblePluginError):
        check_plugin("acme", plugin_with(**members))


def test_an_unknown_hook_is_refused_with_the_nearest_name() -> None:
    @hookimpl
    def kestrel_event_source(self: object) -> None:
        raise AssertionError

    problem = problem_of(plugin_with(kestrel_event_source=kestrel_event_source))
    assert "unknown hook `kestrel_event_source`; did you mean `kestrel_event_sources`?" in problem


def test_a_hook_of_a_later_version_may_be_optional() -> None:
    @hookimpl(optionalhook=True)
    def kestrel_of_tomorrow(self: object) -> None:
        raise AssertionError

    plugin = plugin_with(kestrel_of_tomorrow=kestrel_of_tomorrow)
    assert check_plugin("acme", plugin).hooks == {}


def test_a_hook_with_arguments_that_it_does_not_get_is_refused() -> None:
    @hookimpl
    def kestrel_event_sources(self: object, configuration: object) -> None:
        raise AssertionError

    problem = problem_of(plugin_with(kestrel_event_sources=kestrel_event_sources))
    assert "configuration" in problem


def test_a_wrapper_is_refused() -> None:
    @hookimpl(wrapper=True)
    def kestrel_event_sources(self: object) -> object:
        return (yield)

    problem = problem_of(plugin_with(kestrel_event_sources=kestrel_event_sources))
    assert "wrapper" in problem


def test_a_hook_without_its_decorator_is_refused() -> None:
    def kestrel_event_sources(self: object) -> object:
        return {}

    assert "@hookimpl" in problem_of(plugin_with(kestrel_event_sources=kestrel_event_sources))


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(1), MemoryError()])
def test_a_hook_that_raises_is_named(error: BaseException) -> None:
    @hookimpl
    def kestrel_rule_compilers(self: object) -> object:
        raise error

    problem = problem_of(plugin_with(kestrel_rule_compilers=kestrel_rule_compilers))
    assert "`kestrel_rule_compilers` failed" in problem
    assert type(error).__name__ in problem


@attrs.frozen
class Config:
    path: str


class NotConfig:
    pass


@pytest.mark.parametrize(
    ("result", "word"),
    [
        (None, "returned None"),
        ([Offer(Source, NoConfiguration)], "returned a list"),
        ({"audit": Source}, "is a type, not an Offer"),
        ({"audit": None}, "is None, not an Offer"),
        ({7: Offer(Source, NoConfiguration)}, "the name 7"),
        ({"": Offer(Source, NoConfiguration)}, "the name ''"),
        ({"a:b": Offer(Source, NoConfiguration)}, "no `:`"),
        ({"audit": Offer("source", NoConfiguration)}, "cannot be called"),  # type: ignore[arg-type]
        ({"audit": Offer(Source, NotConfig)}, "no attrs class"),  # type: ignore[arg-type]
        ({"audit": Offer(Source, Config("x"))}, "no attrs class"),  # type: ignore[arg-type]
    ],
)
def test_a_hook_that_returns_something_else_is_refused(result: object, word: str) -> None:
    assert word in problem_of(offering(result))


def test_a_schema_hook_returns_an_extension() -> None:
    @hookimpl
    def kestrel_schema(self: object) -> object:
        return ["process.tty"]

    assert "not a SchemaExtension" in problem_of(plugin_with(kestrel_schema=kestrel_schema))


def test_a_schema_extension_is_handed_over() -> None:
    extension = SchemaExtension()

    @hookimpl
    def kestrel_schema(self: object) -> object:
        return extension

    checked = check_plugin("acme", plugin_with(kestrel_schema=kestrel_schema))
    assert read_offers(checked).schema is extension


class WithoutClose:
    def __init__(self, config: NoConfiguration, context: PluginContext) -> None:
        pass

    open = Source.open
    read = Source.read
    acknowledge = Source.acknowledge


class WithOldRead(Source):
    def read(self, max_events: int) -> EventBatch | None:  # type: ignore[override]
        return None


def made_by_function(config: NoConfiguration, context: PluginContext) -> WithoutClose:
    return WithoutClose(config, context)


@pytest.mark.parametrize("factory", [WithoutClose, made_by_function])
def test_a_missing_method_is_named_at_load(factory: object) -> None:
    problem = problem_of(offering({"audit": Offer(factory, NoConfiguration)}))  # type: ignore[arg-type]
    assert "the source `audit` (WithoutClose) is no EventSource" in problem
    assert "lacks the method `close`" in problem


def test_a_method_with_other_arguments_is_named_at_load() -> None:
    problem = problem_of(offering({"audit": Offer(WithOldRead, NoConfiguration)}))
    assert "a method `read` that takes (max_events, timeout)" in problem


def test_what_a_factory_makes_is_not_always_known_at_load() -> None:
    def factory(config: NoConfiguration, context: PluginContext):  # type: ignore[no-untyped-def]
        return WithoutClose(config, context)

    def badly_annotated(config: NoConfiguration, context: PluginContext) -> NoSuchClass:  # type: ignore[name-defined] # noqa: F821
        return None

    for made in (factory, badly_annotated):
        read_offers(check_plugin("acme", offering({"audit": Offer(made, NoConfiguration)})))


def test_parts_of_an_object_are_checked_with_its_attributes() -> None:
    assert missing_members(FakeSource(), EventSource) == []

    class Compiler:
        suffixes = (".x",)

        def read(self, file: object) -> None: ...
        def compile(self, source: object, schema: object) -> None: ...

    assert missing_members(Compiler, RuleCompiler) == []
    assert missing_members(Compiler(), RuleCompiler) == ["the attribute `language`"]


def test_arguments_may_have_other_defaults_and_catch_alls() -> None:
    class Generous(Source):
        def read(self, *args: object, **options: object) -> EventBatch | None:
            return None

        def close(self, hurry: bool = False) -> None:
            pass

    assert missing_members(Generous, EventSource) == []
