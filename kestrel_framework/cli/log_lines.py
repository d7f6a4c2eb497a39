"""The log of kernel and plugins as plain lines on stderr."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any, Final

from kestrel_framework._plugins.kernel_log import configure_before_first_line
from kestrel_framework.cli.messages import note

BROKEN_PIPE: Final = "standard output: cannot be written: broken pipe"
"""What the log says when the reader of our results is gone, which is nobody's fault."""


def log_to_stderr() -> None:
    """Have what kernel and plugins log appear as lines like all other messages."""
    configure_before_first_line(_configure)


def _configure() -> None:
    # Not at the top: importing it takes a tenth of a second, and most runs log nothing.
    import structlog

    structlog.configure(
        processors=[structlog.processors.add_log_level, _line],
        wrapper_class=structlog.make_filtering_bound_logger("info"),
        logger_factory=_Lines,
        cache_logger_on_first_use=False,
    )


class _Lines:
    """What structlog writes to."""

    def __init__(self, *arguments: object) -> None:
        pass

    def msg(self, message: str) -> None:
        note(message)

    debug = info = warning = error = critical = exception = log = msg


def _line(logger: object, method: str, details: MutableMapping[str, Any]) -> str:
    level = details.pop("level")
    event = details.pop("event")
    if BROKEN_PIPE in (event, details.get("problem")):
        from structlog import DropEvent

        raise DropEvent
    shown = ", ".join(
        f"{name} {value}" for name, value in details.items() if value not in (None, "")
    )
    return f"kestrel: {level}: {event}{f' ({shown})' if shown else ''}"
