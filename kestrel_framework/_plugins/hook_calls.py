"""Calls of a plugin's hooks, and what they return for the command line.

This module imports little: `kestrel --help` waits for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from kestrel_framework._plugins.compatibility import CheckedPlugin
from kestrel_framework._plugins.faults import describe
from kestrel_framework.errors import PluginError
from kestrel_framework.hookspecs import CommandOffer, CommandOffers

_COMMANDS_HOOK: Final = "kestrel_cli_commands"


def read_commands(plugin: CheckedPlugin) -> CommandOffers:
    """Ask one plugin for its commands, and for nothing else.

    Raises:
        PluginError: its hook raises, or returns something else than offers of commands.
    """
    hook = plugin.hooks.get(_COMMANDS_HOOK)
    if hook is None:
        return {}
    returned = call_hook(plugin.name, _COMMANDS_HOOK, hook)
    checked = {}
    for name, offer in named_in(plugin.name, _COMMANDS_HOOK, returned):
        if not isinstance(offer, CommandOffer):
            problem = f"the command `{name}` is {kind_of(offer)}, not a CommandOffer(load, summary)"
            raise PluginError(plugin.name, problem)
        if not callable(offer.load) or not isinstance(offer.summary, str):
            problem = f"the command `{name}` has a `load` that cannot be called, or no summary"
            raise PluginError(plugin.name, problem)
        checked[name] = offer
    return checked


def call_hook(name: str, hook: str, function: Callable[[], object]) -> object:
    """Return what a hook returns.

    Raises:
        PluginError: it raises anything, but a `KeyboardInterrupt`.
    """
    try:
        return function()
    except KeyboardInterrupt:
        raise
    except BaseException as raised:
        problem = f"`{hook}` failed: {describe(raised)}"
        raise PluginError(name, problem, operation=hook) from raised


def named_in(plugin: str, hook: str, returned: object) -> Iterator[tuple[str, object]]:
    """Yield what a hook returned, by name.

    Raises:
        PluginError: it is no mapping, or has a name that nobody can write.
    """
    if not isinstance(returned, Mapping):
        raise PluginError(plugin, f"`{hook}` returned {kind_of(returned)}, not a mapping of offers")
    for name, offer in returned.items():
        if not isinstance(name, str) or not name or ":" in name:
            raise PluginError(plugin, f"`{hook}` offers the name {name!r}; a name has no `:`")
        yield name, offer


def kind_of(value: object) -> str:
    """Return what a value is, for a sentence."""
    return "None" if value is None else f"a {type(value).__name__}"
