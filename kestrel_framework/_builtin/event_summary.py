"""An event in a few words: who did what."""

from __future__ import annotations

from typing import Final

from kestrel_framework._builtin.safe_text import safe_text
from kestrel_framework.event import Document, read_path

_ACTORS: Final = (
    "process.command_line",
    "process.args",
    "process.executable",
    "process.name",
)
_OBJECTS: Final = (
    "file.path",
    "dll.path",
    "registry.path",
    "dns.question.name",
    "url.full",
    "destination.domain",
    "destination.ip",
)
_LONGEST: Final = 160


def event_summary(document: Document) -> str:
    """Return, for a terminal, what an event says, or "" where it names no process.

    The command line, after the parent's name (`nginx > sh -c id`); where the event is
    about something else than the process, then action and object (`curl: open /etc/passwd`).
    """
    actor = _first(document, _ACTORS)
    if not actor:
        return ""
    thing = _first(document, _OBJECTS)
    if thing:
        name = _first(document, ("process.name",)) or actor
        action = _first(document, ("event.action", "event.type"))
        return f"{name}: {action} {thing}" if action else f"{name}: {thing}"
    parent = _first(document, ("process.parent.name",))
    return f"{parent} > {actor}" if parent else actor


def _first(document: Document, paths: tuple[str, ...]) -> str:
    """Return the values at the first of these paths that has any."""
    for path in paths:
        values = [value for value in read_path(document, path.split(".")) if value != ""]
        if values:
            return safe_text(" ".join(map(str, values)), _LONGEST)
    return ""
