"""Finding plugins: the kernel's own, those installed, and those passed as objects."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterable, Iterator
from typing import Final

import attrs
from importlib_metadata import EntryPoint, entry_points

from kestrel_framework._plugins.faults import describe
from kestrel_framework.hookspecs import ENTRY_POINT_GROUP

BUILTIN: Final = EntryPoint(
    name="builtin", value="kestrel_framework._builtin.plugin", group=ENTRY_POINT_GROUP
)
"""What works with nothing installed. It is found by its name, like any plugin."""


@attrs.frozen(eq=False)
class FoundPlugin:
    """A plugin that was found and, if all went well, imported.

    Attributes:
        name: What configuration and messages call it.
        distribution: The installed distribution it comes from, or "".
        version: The version of that distribution, or "".
        plugin: The module or object; `None` where it was denied or cannot be imported.
        denied: Whether the configuration keeps it out. Its code was not imported.
        problem: Why it cannot be imported, or "".
        required: Whether somebody named it, so that the engine must not start without it.
    """

    name: str
    distribution: str = ""
    version: str = ""
    plugin: object | None = None
    denied: bool = False
    problem: str = ""
    required: bool = False


def find_plugins(
    plugins: Iterable[object] = (),
    *,
    discover: bool = True,
    builtin: bool = True,
    origins: bool = True,
    allow: Collection[str] | None = None,
    deny: Collection[str] = (),
) -> list[FoundPlugin]:
    """Return the kernel's own plugin, the installed ones by name, then `plugins` in their order.

    Each is imported in a try of its own: whatever a plugin raises on import, also
    `SystemExit`, becomes its `problem`. A name met a second time is refused, and
    so is an object without a name of its own where it would take another's.

    Args:
        plugins: Plugin objects, which are required. One that is also installed
            is listed once, under its installed name.
        discover: Whether to look for installed plugins.
        builtin: Whether the kernel's own plugin is wanted.
        origins: Whether it is to be read which distributions they are from; that takes a while.
        allow: The installed plugins that may be loaded, or None for all of them.
            Naming one here makes it required.
        deny: Plugins that are not loaded, whatever else is said.
    """
    found: dict[str, FoundPlugin] = {}
    entry_points = [*([BUILTIN] if builtin else ()), *(_installed() if discover else ())]
    for entry_point in entry_points:
        origin = _origin(entry_point) if origins else ("", "")
        found_plugin = _loaded(entry_point, origin, allow, deny)
        _add(found, found_plugin)
    for plugin in plugins:
        same = next((f for f in found.values() if f.plugin is plugin), None)
        if same is not None:
            found[same.name] = attrs.evolve(same, required=True)
        else:
            name = plugin_name(plugin)
            denied = name in deny
            _add(found, FoundPlugin(name, plugin=plugin, denied=denied, required=not denied))
    return list(found.values())


def plugin_name(plugin: object) -> str:
    """Return what a plugin object is called: a module's or class's name, else its class's."""
    name = inspect.getattr_static(plugin, "__name__", None)
    if isinstance(name, str) and name:
        return name
    return plugin.__name__ if inspect.isclass(plugin) else type(plugin).__name__


def _installed() -> Iterator[EntryPoint]:
    """Yield the entry points by name; one whose metadata cannot be read is not there."""
    yield from sorted(
        entry_points(group=ENTRY_POINT_GROUP), key=lambda entry: (entry.name, entry.value)
    )


def _loaded(
    entry_point: EntryPoint,
    origin: tuple[str, str],
    allow: Collection[str] | None,
    deny: Collection[str],
) -> FoundPlugin:
    name = entry_point.name
    builtin = entry_point is BUILTIN
    found = FoundPlugin(
        name,
        *origin,
        required=builtin or (allow is not None and name in allow),
    )
    if name in deny or not (builtin or allow is None or name in allow):
        return attrs.evolve(found, denied=True, required=False)
    try:
        return attrs.evolve(found, plugin=entry_point.load())
    except KeyboardInterrupt:
        raise
    except BaseException as raised:  # noqa: BLE001 - a plugin's import can raise anything
        return attrs.evolve(found, problem=f"cannot be imported: {describe(raised)}")


def _origin(entry_point: EntryPoint) -> tuple[str, str]:
    distribution = entry_point.dist
    if distribution is None:
        return "", ""
    return str(distribution.name), str(distribution.version)


def _add(found: dict[str, FoundPlugin], plugin: FoundPlugin) -> None:
    first = found.get(plugin.name)
    if first is None:
        found[plugin.name] = plugin
        return
    key, number = plugin.name, 2
    while key in found:
        key, number = f"{plugin.name} ({number})", number + 1
    whose = f"the one from {first.distribution}" if first.distribution else "another"
    problem = f"there is already a plugin `{first.name}`, {whose}; give it a `__name__` of its own"
    if plugin.distribution:
        problem = (
            f"there is already a plugin `{first.name}`, {whose}; uninstall {plugin.distribution}, "
            f"or the other"
        )
    found[key] = attrs.evolve(plugin, name=key, plugin=None, problem=problem)
