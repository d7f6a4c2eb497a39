"""The commands that plugins add. They are looked for only where the kernel's do not suffice."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache

import click

from kestrel_framework._plugins.commands import PluginCommand, find_commands
from kestrel_framework._plugins.faults import describe
from kestrel_framework._plugins.named_offers import NamedOffers
from kestrel_framework.errors import PluginError


@cache
def plugin_commands(own: tuple[str, ...]) -> NamedOffers[PluginCommand]:
    """Return the commands of the installed plugins that the configuration lets in.

    Args:
        own: The names of the kernel's own commands.

    Raises:
        ConfigurationError: the configuration, of the environment, is not right.
    """
    if not any(name.startswith("KESTREL_") for name in os.environ):
        return find_commands(own)
    from kestrel_framework.cli.options import read_configuration

    plugins = read_configuration(None, ()).plugins
    return find_commands(own, plugins.allow, plugins.deny)


def shown_names(commands: NamedOffers[PluginCommand]) -> Iterator[tuple[str, PluginCommand]]:
    """Yield each command with what people have to type for it: its name, if nobody else has it."""
    for one in commands:
        yield (one.name if one.name in commands else f"{one.plugin}:{one.name}"), one


def load_command(found: PluginCommand) -> click.Command:
    """Return the command itself, which imports what it needs.

    Raises:
        PluginError: it cannot be had.
    """
    try:
        command = found.offer.load()
    except KeyboardInterrupt:
        raise
    except BaseException as raised:
        problem = f"the command `{found.name}` cannot be loaded: {describe(raised)}"
        raise PluginError(found.plugin, problem) from raised
    if not isinstance(command, click.Command):
        kind = type(command).__name__
        problem = f"the command `{found.name}` is of the type {kind}, not a click.Command"
        raise PluginError(found.plugin, problem)
    return command
