"""Standard output, below Python's own buffer."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol, TextIO

from kestrel_framework._builtin.input_blocks import error_reason
from kestrel_framework.errors import OutputError

STANDARD_OUTPUT: Final = "-"


class Sink(Protocol):
    """What takes bytes, perhaps not all at once."""

    def write(self, data: bytes, /) -> int | None: ...
    def close(self) -> None: ...


class _Results:
    """Where results go while `stdout_for_results` keeps a stream for them."""

    stream: TextIO | None = None


@contextmanager
def stdout_for_results() -> Iterator[None]:
    """Keep standard output for results: what plugins print goes to stderr meanwhile."""
    stream = sys.stdout
    _Results.stream, sys.stdout = stream, sys.stderr
    try:
        yield
    finally:
        _Results.stream, sys.stdout = None, stream


def result_stream() -> TextIO:
    """Return standard output as results are written to it."""
    return _Results.stream or sys.stdout


def standard_output() -> Sink:
    """Return standard output without its buffer.

    What stands in the buffer after a failure would be tried again at the end of the
    process, and would spoil its exit code.

    Raises:
        OutputError: there is none, or what was printed before cannot be written.
    """
    stream = result_stream()
    if stream is None:
        raise OutputError("standard output: is closed")
    try:
        stream.flush()
    except (OSError, ValueError) as error:
        raise output_error("standard output", error) from error
    buffer = stream.buffer
    sink: Sink = getattr(buffer, "raw", buffer)
    return sink


def output_error(name: str, error: OSError | ValueError, *, transient: bool = False) -> OutputError:
    """Return what happened as the error of an output."""
    reason = error_reason(error) if isinstance(error, OSError) else str(error)
    return OutputError(f"{name}: cannot be written: {reason}", transient=transient)
