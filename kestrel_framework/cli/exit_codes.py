"""What the exit codes of `kestrel` mean."""

from __future__ import annotations

import enum
from typing import Final

from kestrel_framework.errors import ErrorKind, KestrelError


class ExitCode(enum.IntEnum):
    """The fixed exit codes."""

    FINE = 0
    NOT_FINE = 1
    USAGE = 2
    INPUT_OR_OUTPUT = 3


_CODES: Final = {
    ErrorKind.RULE: ExitCode.NOT_FINE,
    ErrorKind.CONFIGURATION: ExitCode.USAGE,
    ErrorKind.PLUGIN: ExitCode.USAGE,
}


def code_for(error: BaseException) -> ExitCode:
    """Return the exit code of a command that ended with `error`."""
    if isinstance(error, ExceptionGroup):
        return max(code_for(inner) for inner in error.exceptions)
    if isinstance(error, KestrelError):
        return _CODES.get(error.kind, ExitCode.INPUT_OR_OUTPUT)
    return ExitCode.INPUT_OR_OUTPUT
