"""The pytest plugin that comes with `kestrel-framework[testing]`.

It is loaded in every run of pytest where the kernel is installed, and therefore only
defines fixtures, and imports nothing before one is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from kestrel_framework._plugins.registry import PluginRegistry
    from kestrel_framework.config import Configuration
    from kestrel_framework.engine import Engine
    from kestrel_framework.interfaces import PluginContext


@pytest.fixture
def kestrel_context(tmp_path: Path) -> PluginContext:
    """What a factory gets besides its configuration: all fakes, and a state folder."""
    from kestrel_framework.testing.fakes import make_context

    folder = tmp_path / "kestrel-state"
    folder.mkdir()
    return make_context(state_directory=folder)


@pytest.fixture
def kestrel_plugins() -> Callable[..., PluginRegistry]:
    """Loads the given plugins, the builtin ones, and none that merely happen to be installed."""
    from kestrel_framework._plugins.registry import PluginRegistry

    def load(*plugins: object) -> PluginRegistry:
        registry = PluginRegistry.load(plugins, discover=False)
        registry.require_working()
        return registry

    return load


@pytest.fixture
def kestrel_engine() -> Iterator[Callable[..., Engine]]:
    """Builds engines with the given plugins and the builtin ones, and stops them in the end."""
    from kestrel_framework.engine import Engine

    engines: list[Engine] = []

    def build(configuration: Configuration, *plugins: object) -> Engine:
        engine = Engine.build(configuration, plugins=plugins, discover=False)
        engines.append(engine)
        return engine

    yield build
    for engine in engines:
        engine.stop()
