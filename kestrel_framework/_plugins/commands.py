"""The commands of plugins, found without asking the plugins for anything else."""

from __future__ import annotations

from collections.abc import Collection

import attrs

from kestrel_framework._plugins.compatibility import check_plugin
from kestrel_framework._plugins.discovery import FoundPlugin, find_plugins
from kestrel_framework._plugins.faults import describe
from kestrel_framework._plugins.hook_calls import read_commands
from kestrel_framework._plugins.named_offers import NamedOffers
from kestrel_framework.errors import PluginError
from kestrel_framework.hookspecs import CommandOffer


@attrs.frozen(eq=False)
class PluginCommand:
    """A command as a plugin offers it."""

    plugin: str
    name: str
    offer: CommandOffer


def find_commands(
    own: Collection[str], allow: Collection[str] | None = None, deny: Collection[str] = ()
) -> NamedOffers[PluginCommand]:
    """Import the installed plugins, and return their commands. A broken plugin has none.

    Args:
        own: The names of the kernel's own commands, which no plugin can take.
        allow: The plugins that may be imported, or None for all of them.
        deny: Those that are not.
    """
    commands: list[PluginCommand] = []
    broken: dict[str, str] = {}
    for found in find_plugins(builtin=False, origins=False, allow=allow, deny=deny):
        if found.denied:
            continue
        try:
            commands += _commands_of(found)
        except KeyboardInterrupt:
            raise
        except PluginError as error:
            broken[found.name] = error.problem
        except BaseException as raised:  # noqa: BLE001 - attributes and mappings can be plugin code
            broken[found.name] = f"cannot be read: {describe(raised)}"
    return NamedOffers("command", commands, broken, own)


def _commands_of(found: FoundPlugin) -> list[PluginCommand]:
    if found.problem:
        raise PluginError(found.name, found.problem)
    offers = read_commands(check_plugin(found.name, found.plugin))
    return [PluginCommand(found.name, name, offer) for name, offer in offers.items()]
