"""The builtins are a plugin like any other."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kestrel_framework._builtin.native_evaluator import NativeEvaluator
from kestrel_framework._plugins.registry import PluginRegistry
from kestrel_framework.interfaces import (
    ActionExecutor,
    EventSource,
    OutputHandler,
    PatternEngine,
    PredicateEvaluator,
    StateStore,
)
from kestrel_framework.testing import PluginContract, PredicateEvaluatorContract


class TestBuiltinPlugin(PluginContract):
    plugin = "kestrel_framework._builtin.plugin"
    is_installed = False
    uses_only_public_modules = False

    def test_offers_what_works_without_any_plugin(
        self, kestrel_plugins: Callable[..., PluginRegistry]
    ) -> None:
        (record,) = kestrel_plugins().plugins
        assert record.name == "builtin"
        assert record.offers == {
            "sources": ("jsonl",),
            "evaluators": ("native",),
            "actions": ("log",),
            "outputs": ("console", "jsonl"),
            "state_stores": ("memory", "sqlite"),
            "pattern_engines": ("native",),
        }

    @pytest.mark.parametrize(
        ("interface", "name", "options", "protocol"),
        [
            ("sources", "jsonl", {"path": "-"}, EventSource),
            ("evaluators", "native", {}, PredicateEvaluator),
            ("actions", "log", {}, ActionExecutor),
            ("outputs", "console", {"form": "table"}, OutputHandler),
            ("outputs", "jsonl", {"path": "alerts.jsonl"}, OutputHandler),
            ("state_stores", "memory", {}, StateStore),
            ("pattern_engines", "native", {}, PatternEngine),
        ],
    )
    def test_each_offer_makes_its_object(
        self,
        kestrel_plugins: Callable[..., PluginRegistry],
        interface: str,
        name: str,
        options: dict[str, object],
        protocol: type,
    ) -> None:
        made = getattr(kestrel_plugins(), interface)[name].create(options)
        assert isinstance(made, protocol)


class TestNativeEvaluatorContract(PredicateEvaluatorContract):
    @pytest.fixture
    def evaluator(self) -> NativeEvaluator:
        return NativeEvaluator()
