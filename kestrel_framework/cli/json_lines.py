"""JSON lines on stdout."""

from __future__ import annotations

import json

from kestrel_framework._builtin.standard_output import result_stream


def print_json(value: object) -> None:
    """Print one JSON object as a line of ASCII, which is safe for pipes and terminals."""
    result_stream().write(json.dumps(value, ensure_ascii=True, separators=(",", ":")) + "\n")


def print_text(text: str) -> None:
    """Print a line, whatever the encoding of stdout can show."""
    stream = result_stream()
    encoding = stream.encoding or "utf-8"
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
