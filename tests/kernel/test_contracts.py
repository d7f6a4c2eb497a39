"""The base of all contracts and that of plugins: nothing is dropped, what is wrong fails."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import attrs
import click
import pytest

from kestrel_framework.hookspecs import CommandOffer, CommandOffers, EventSourceOffers, hookimpl
from kestrel_framework.interfaces import (
    EventSource,
    Offer,
    PluginContext,
)
from kestrel_framework.testing import (
    Contract,
    EventSourceContract,
    FakeSource,
    PluginContract,
    make_context,
)


def fails(test: Callable[..., None], *arguments: object) -> bool:
    """Say whether a contract test finds something wrong."""
    try:
        test(*arguments)
    except (AssertionError, TypeError, KeyError, pytest.fail.Exception):
        return True
    return False


# --- plugins ---------------------------------------------------------------------------------


@attrs.frozen
class Undocumented:
    """A configuration whose key nobody explains."""

    start: int = 0


def plugin_module(**parts: object) -> ModuleType:
    module = ModuleType("wrong_plugin")
    for name, part in ({"KESTREL_API": "1.0"} | parts).items():
        setattr(module, name, part)
    return module


@hookimpl
def kestrel_event_sources() -> EventSourceOffers:
    def made(config: Undocumented, context: PluginContext) -> EventSource:
        return FakeSource()

    return {"Number Source": Offer(made, Undocumented)}


@hookimpl
def kestrel_event_source() -> EventSourceOffers:
    return {}


def test_wrong_plugins_fail(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    contract = PluginContract()
    loads = contract.test_loads
    record_of = PluginContract.record.__wrapped__  # type: ignore[attr-defined]
    for wrong in (
        plugin_module(KESTREL_API="2.0"),
        plugin_module(KESTREL_API=1.0),
        plugin_module(kestrel_event_source=kestrel_event_source),
    ):
        assert fails(loads, record_of(contract, wrong))
    assert fails(
        contract.test_documents_its_configuration,
        plugin_module(kestrel_event_sources=kestrel_event_sources),
    )
    assert fails(
        contract.test_names_have_the_usual_form,
        plugin_module(kestrel_event_sources=kestrel_event_sources),
    )
    for name, text, test in (
        ("curious", "from kestrel_framework._plugins import registry", "uses_only_public_modules"),
        ("chatty", "import warnings; warnings.warn('hello')", "loads_alone"),
        ("clingy", "import kestrel_eql", "loads_alone"),
        ("broken", "1 / 0", "loads_alone"),
        ("unknown", "", "is_found_when_installed"),
    ):
        (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.setattr(PluginContract, "plugin", name, raising=False)
        assert fails(getattr(contract, f"test_{test}")), name


@pytest.mark.parametrize(
    ("name", "summary", "text", "inner"),
    [
        ("run", "Run.", "Run it.", None),
        ("Greet", "Greet.", "Greet.", None),
        ("greet", "", "Greet.", None),
        ("greet", "Greet", "Greet.", None),
        ("greet", "Greet.\nTwice.", "Greet.", None),
        ("greet", "Greet.", "", None),
        ("greet", "Greet.", "Greet.", click.Command("loudly")),
    ],
)
def test_commands_that_are_hard_to_use_fail(
    name: str, summary: str, text: str, inner: click.Command | None
) -> None:
    command = click.Group(name, help=text)
    if inner:
        command.add_command(inner)

    @hookimpl
    def kestrel_cli_commands() -> CommandOffers:
        return {name: CommandOffer(lambda: command, summary)}

    test = PluginContract().test_its_commands_can_be_loaded_and_explain_themselves
    assert fails(test, plugin_module(kestrel_cli_commands=kestrel_cli_commands))


def test_commands_that_are_right_pass_and_those_loaded_for_a_list_fail(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    contract = PluginContract()
    light = "from kestrel_framework.hookspecs import CommandOffer\n"
    light += "def kestrel_cli_commands():\n    return {'greet': CommandOffer(load, 'Greet.')}\n"
    light += "def load():\n    import click\n    return click.Command('greet', help='Greet.')\n"
    for name, text, wrong in (
        ("commands_light", light, False),
        ("commands_heavy", "import click\n" + light, True),
    ):
        (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.setattr(PluginContract, "plugin", name, raising=False)
        module = importlib.import_module(name)
        contract.test_its_commands_can_be_loaded_and_explain_themselves(module)
        assert fails(contract.test_listing_its_commands_does_not_load_them, module) is wrong


# --- the base of all contracts ---------------------------------------------------------------


class Small(Contract, contract=True):
    fancy: ClassVar[bool] = False

    def test_works(self) -> None:
        """It works."""


def test_a_contract_test_cannot_be_overridden_in_silence() -> None:
    with pytest.raises(TypeError, match=r"Dropped overrides the contract's `test_works`.*xfail"):
        type("Dropped", (Small,), {"test_works": lambda self: None})
    with pytest.raises(TypeError, match="test_works"):
        type("Removed", (Small,), {"test_works": None})
    mixin = type("Mixin", (), {"test_works": lambda self: None})
    with pytest.raises(TypeError, match="test_works"):
        type("Mixed", (mixin, Small), {})

    @pytest.mark.xfail
    def without_reason(self: object) -> None: ...

    with pytest.raises(TypeError, match="test_works"):
        type("Unexplained", (Small,), {"test_works": without_reason})

    @pytest.mark.xfail(reason="the server cannot do that yet")
    def explained(self: object) -> None: ...

    type("Explained", (Small,), {"test_works": explained})


def test_what_is_not_supported_has_no_test() -> None:
    plain: Any = type("Plain", (EventSourceContract,), {})
    fancy: Any = type("Fancy", (plain,), {"supports_positions": True})
    live: Any = type("Live", (EventSourceContract,), {"is_live": True})
    assert not callable(plain.test_goes_on_after_each_position)
    assert callable(fancy.test_goes_on_after_each_position)
    assert callable(plain.test_stays_at_its_end)
    assert not callable(live.test_stays_at_its_end)
    assert callable(live.test_a_quiet_source_returns_in_time)
    assert not callable(plain.test_refuses_bad_configurations)


def test_bad_configurations_must_be_refused() -> None:
    def factory(config: int, context: PluginContext) -> object:
        return config

    careless: Any = type(
        "Careless", (Small,), {"offer": Offer(factory, int), "bad_configurations": (1,)}
    )
    assert fails(careless.test_refuses_bad_configurations, careless(), make_context())


AUTHOR = """
import pytest
from kestrel_framework.testing import FakeSource, EventSourceContract, make_process_event

class TestMine(EventSourceContract):
    @pytest.fixture
    def source(self, kestrel_context):
        assert kestrel_context.state_directory.is_dir()
        return FakeSource([make_process_event(), make_process_event()])

class TestForgotten(EventSourceContract):
    pass

def test_registry(kestrel_plugins):
    assert [record.name for record in kestrel_plugins().plugins] == ["builtin"]
"""


def test_an_author_sees_what_is_wrong(tmp_path: Path) -> None:
    """In a run of its own, as an author runs it, with the fixtures and readable assertions."""
    (tmp_path / "test_mine.py").write_text(AUTHOR)
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "--rootdir",
            str(tmp_path),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "TestMine::test_hands_over_no_more_than_asked_for" in result.stdout
    assert "assert 2 <= 1" in result.stdout
    assert "define a fixture `source` that returns your source" in result.stdout
    assert "test_registry" not in result.stdout
