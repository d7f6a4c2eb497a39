"""What every plugin must do, whatever it offers."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import ClassVar, Final

import attrs
import click
import pytest

from kestrel_framework._plugins.registry import PluginRecord, PluginRegistry, PluginState
from kestrel_framework.api_version import API_VERSION, ApiVersion
from kestrel_framework.cli import OWN_COMMANDS
from kestrel_framework.hookspecs import ENTRY_POINT_GROUP, CommandOffer, CommandOffers
from kestrel_framework.interfaces import Offer
from kestrel_framework.testing.contract import Contract, if_supported

_HOOKS_WITH_OFFERS: Final = (
    "kestrel_event_sources",
    "kestrel_rule_compilers",
    "kestrel_predicate_evaluators",
    "kestrel_action_executors",
    "kestrel_output_handlers",
    "kestrel_state_stores",
    "kestrel_pattern_engines",
)
_IMPORT_SECONDS: Final = 30
_LOADED_ALONE: Final = """
import importlib, sys
importlib.import_module(sys.argv[1])
loaded = {name.partition(".")[0] for name in sys.modules}
print("\\n".join(sorted(loaded & set(sys.argv[2:]))))
"""
_LISTED_ALONE: Final = """
import importlib, sys
importlib.import_module(sys.argv[1]).kestrel_cli_commands()
print(*{"click"} & set(sys.modules))
"""


class PluginContract(Contract, contract=True):
    """Give it the name of the plugin's module.

    Attributes:
        plugin: The module, as the entry point names it.
        is_installed: Its distribution has an entry point for it.
        uses_only_public_modules: It imports nothing of the kernel with a leading underscore.
    """

    plugin: ClassVar[str]
    is_installed: ClassVar[bool] = True
    uses_only_public_modules: ClassVar[bool] = True

    @pytest.fixture
    def module(self) -> ModuleType:
        """Return the plugin's module."""
        return importlib.import_module(self.plugin)

    @pytest.fixture
    def record(self, module: ModuleType) -> PluginRecord:
        """Return what a kernel that has no other plugin makes of it."""
        registry = PluginRegistry.load([] if _is_builtin(module) else [module], discover=False)
        return next(
            record
            for record in registry.plugins
            if (record.name == "builtin") == _is_builtin(module)
        )

    def test_states_the_api_it_needs(self, module: ModuleType) -> None:
        """`KESTREL_API` is a version that this kernel runs."""
        assert API_VERSION.runs(ApiVersion.parse(getattr(module, "KESTREL_API", None)))

    def test_loads(self, record: PluginRecord) -> None:
        """The kernel finds nothing wrong with it: hooks, offers, fields."""
        assert record.state is PluginState.LOADED, record.problem

    def test_loads_alone(self) -> None:
        """In a fresh interpreter, it brings no other plugin with it."""
        others = _other_plugins(self.plugin)
        result = subprocess.run(
            [sys.executable, "-c", _LOADED_ALONE, self.plugin, *others],
            capture_output=True,
            text=True,
            timeout=_IMPORT_SECONDS,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        assert not result.stdout.split(), "it imports another plugin"
        assert not result.stderr, "it prints while it is imported"

    def test_documents_its_configuration(self, module: ModuleType) -> None:
        """Each key has a help text: it is the reference of the configuration."""
        for name, offer in _offers(module):
            assert attrs.has(offer.config), f"the configuration of {name} is no attrs class"
            assert offer.config.__doc__, f"the configuration of {name} has no docstring"
            for attribute in attrs.fields(offer.config):
                help_text = attribute.metadata.get("help")
                assert help_text, f"`{attribute.name}` of {name} has no metadata['help']"
                assert help_text.endswith("."), f"the help of `{attribute.name}` is no sentence"

    def test_names_have_the_usual_form(self, module: ModuleType) -> None:
        """Names in a configuration are lower case, with hyphens."""
        for name, _ in _offers(module):
            assert name == name.lower()
            assert name.replace("-", "").isalnum(), f"{name!r} is hard to write in a configuration"

    def test_its_commands_can_be_loaded_and_explain_themselves(self, module: ModuleType) -> None:
        """Each has a summary of one line and a help text, as have those in a group."""
        for name, offer in _commands(module):
            assert name == name.lower(), f"the command {name!r} is hard to type"
            assert name not in OWN_COMMANDS, f"the kernel has a command {name!r} of its own"
            assert name.replace("-", "").isalnum(), f"the command {name!r} is hard to type"
            assert offer.summary, f"the command {name} has no summary"
            assert "\n" not in offer.summary, f"the summary of {name} has more than one line"
            assert offer.summary.endswith("."), f"the summary of {name} is no sentence"
            _check_command(name, offer.load())

    def test_listing_its_commands_does_not_load_them(self, module: ModuleType) -> None:
        """In a fresh interpreter, asking for them imports neither them nor `click`."""
        if next(_commands(module), None) is None:
            return
        result = subprocess.run(
            [sys.executable, "-c", _LISTED_ALONE, self.plugin],
            capture_output=True,
            text=True,
            timeout=_IMPORT_SECONDS,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        assert not result.stdout.split(), "import `click`, and what needs it, in `load`"

    @if_supported("is_installed")
    def test_is_found_when_installed(self) -> None:
        """The distribution's `pyproject.toml` has the entry point."""
        found = [
            entry.value.partition(":")[0]
            for entry in metadata.entry_points(group=ENTRY_POINT_GROUP)
        ]
        assert found.count(self.plugin) == 1, f"no entry point in {ENTRY_POINT_GROUP!r} names it"

    @if_supported("uses_only_public_modules")
    def test_uses_only_public_modules(self) -> None:
        """What has a leading underscore may change at any time."""
        private = [
            f"{path.name}:{line}: {name}"
            for path in _files_of(self.plugin)
            for line, name in _imports(path)
            if name.startswith("kestrel_framework.") and "._" in name
        ]
        assert not private


def _is_builtin(module: ModuleType) -> bool:
    return module.__name__.startswith("kestrel_framework.")


def _offers(module: ModuleType) -> Iterator[tuple[str, Offer[object, object]]]:
    for hook in _HOOKS_WITH_OFFERS:
        implementation = getattr(module, hook, None)
        if implementation is not None:
            offers: Mapping[str, Offer[object, object]] = implementation()
            yield from offers.items()


def _commands(module: ModuleType) -> Iterator[tuple[str, CommandOffer]]:
    implementation = getattr(module, "kestrel_cli_commands", None)
    if implementation is not None:
        offers: CommandOffers = implementation()
        yield from offers.items()


def _check_command(name: str, command: object) -> None:
    assert isinstance(command, click.Command), f"{name} is no click.Command"
    assert command.help, f"{name} has no help text"
    if isinstance(command, click.Group):
        context = click.Context(command)
        for inner in command.list_commands(context):
            _check_command(f"{name} {inner}", command.get_command(context, inner))


def _other_plugins(plugin: str) -> list[str]:
    own = plugin.partition(".")[0]
    entries = metadata.entry_points(group=ENTRY_POINT_GROUP)
    packages = {entry.value.partition(":")[0].partition(".")[0] for entry in entries}
    return sorted(packages - {own, "kestrel_framework"})


def _files_of(plugin: str) -> Iterator[Path]:
    spec = importlib.util.find_spec(plugin.partition(".")[0])
    assert spec is not None
    for folder in spec.submodule_search_locations or ():
        yield from sorted(Path(folder).rglob("*.py"))
    if not spec.submodule_search_locations and spec.origin:
        yield Path(spec.origin)


def _imports(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_bytes(), str(path))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)
