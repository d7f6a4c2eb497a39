"""The log of the kernel and of its plugins: structlog, imported when there is something to say.

Importing it takes a tenth of a second, which a run without a word should not pay.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from kestrel_framework.interfaces import Logger

if TYPE_CHECKING:
    from structlog.typing import BindableLogger

_lock = threading.Lock()
_configure: Callable[[], None] | None = None


def configure_before_first_line(configure: Callable[[], None]) -> None:
    """Have `configure` called once, in whatever thread logs first, before its line is logged.

    A program that configures structlog itself does not need this.
    """
    global _configure
    with _lock:
        _configure = configure


def kernel_logger(**bindings: object) -> Logger:
    """Return a logger with `bindings`; to stderr unless the program configured structlog.

    Results go to stdout, so that a diagnosis must never go there by default. Safe
    between threads.
    """
    return _LazyLogger(bindings)


class _LazyLogger:
    def __init__(self, bindings: dict[str, object]) -> None:
        self._bindings = bindings

    def debug(self, event: str, **details: object) -> None:
        self._log("debug", event, details)

    def info(self, event: str, **details: object) -> None:
        self._log("info", event, details)

    def warning(self, event: str, **details: object) -> None:
        self._log("warning", event, details)

    def error(self, event: str, **details: object) -> None:
        self._log("error", event, details)

    def _log(self, level: str, event: str, details: dict[str, object]) -> None:
        log = getattr(_structlog().bind(**self._bindings), level)
        log(event, **details)


def _structlog() -> BindableLogger:
    global _configure
    import structlog

    with _lock:
        configure, _configure = _configure, None
        if configure is not None:
            configure()
    logger: BindableLogger = (
        structlog.get_logger()
        if structlog.is_configured()
        else structlog.wrap_logger(structlog.PrintLogger(sys.stderr))
    )
    return logger
