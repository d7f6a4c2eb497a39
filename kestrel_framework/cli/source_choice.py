"""Which of the configured sources a command reads."""

from __future__ import annotations

from collections.abc import Mapping

from kestrel_framework.config import Configuration, SourceConfig


def sources_of_type(configuration: Configuration, source_type: str) -> Mapping[str, SourceConfig]:
    """Return the configured sources of a type; a new one without options where there is none.

    The new one is called as its type, without the plugin's name before it, so that
    `--set sources.TYPE.key=value` reaches it.
    """
    chosen = {
        name: section
        for name, section in configuration.sources.items()
        if section.type == source_type
    }
    return chosen or {instance_name(source_type): SourceConfig(source_type)}


def instance_name(type_name: str) -> str:
    """Return what an instance is called that the command line makes."""
    return type_name.rpartition(":")[2]


def source_settings(source_type: str | None, assignments: tuple[str, ...]) -> dict[str, object]:
    """Return what `--source` sets: the type of the instance that `--set` gives options to.

    Without `--set` for that instance nothing is set, so that a configured instance
    of the same name but another type is left alone.
    """
    if source_type is None:
        return {}
    name = instance_name(source_type)
    if any(assignment.startswith(f"sources.{name}.") for assignment in assignments):
        return {f"sources.{name}.type": source_type}
    return {}
