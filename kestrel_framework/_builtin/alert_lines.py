"""Alerts as lines of JSON, the same bytes for the same alert."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from kestrel_framework.alert import Alert

_MAX_DEPTH: Final = 200

# In UTF-8: delete, the C1 controls, the separators of lines and paragraphs, and marks
# that turn the direction of writing. A terminal obeys some; to some readers others end
# a line, within which an event could then forge an alert.
_MISLEADING: Final = re.compile(
    rb"\x7f|\xc2[\x80-\x9f]|\xd8\x9c|\xe2\x80[\x8e\x8f\xa8-\xae]|\xe2\x81[\xa6-\xa9]"
)


def alert_line(alert: Alert, *, events: bool = False, created: bool = False) -> bytes:
    """Return an alert in canonical form: one line with its end, keys sorted.

    Characters that steer terminals or that could pass for the end of a line are escaped.

    Args:
        alert: Any alert; what JSON cannot express in it is written as text.
        events: Whether each piece of evidence brings its whole event.
        created: Whether the time of detection is added as `event.created`; the
            form is then not canonical any more.
    """
    document = alert.to_document(with_events=events)
    event = document["event"]
    if created and (time := alert.created()) is not None and isinstance(event, dict):
        event["created"] = time
    try:
        return _encode(document)
    except (TypeError, ValueError, RecursionError):
        # Lone surrogates, keys that are no text, and nesting without end.
        return _encode(_writable(document))


def _encode(document: object) -> bytes:
    line = msgspec.json.encode(document, enc_hook=_plain, order="sorted") + b"\n"
    # Beyond ASCII there is only the inside of texts, where JSON allows an escape.
    return _MISLEADING.sub(_escaped, line)


def _escaped(character: re.Match[bytes]) -> bytes:
    return b"\\u%04x" % ord(character[0].decode())


def _plain(value: object) -> object:
    return dict(value) if isinstance(value, Mapping) else str(value)


def _writable(value: object, depth: int = 0) -> object:
    """Return what JSON can say of a value."""
    if depth > _MAX_DEPTH:
        return "(nested too deep)"
    if isinstance(value, Mapping):
        return {_text(key): _writable(inner, depth + 1) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_writable(inner, depth + 1) for inner in value]
    return value if isinstance(value, (int, float, type(None))) else _text(value)


def _text(value: object) -> str:
    return str(value).encode("utf-8", "backslashreplace").decode()
