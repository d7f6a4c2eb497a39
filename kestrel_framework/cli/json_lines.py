"""JSON lines on stdout."""

from __future__ import annotations

import json
import sys


def print_json(value: object) -> None:
    """Print one JSON object as a line of ASCII, which is safe for pipes and terminals."""
    sys.stdout.write(json.dumps(value, ensure_ascii=True, separators=(",", ":")) + "\n")


def print_text(text: str) -> None:
    """Print a line, whatever the encoding of stdout can show."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
