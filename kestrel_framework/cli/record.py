"""`kestrel record`: write a live source to a capture file."""

from __future__ import annotations

import json
import os
import stat
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Final, TypeVar

import click
import msgspec

from kestrel_framework._builtin.standard_output import result_stream, stdout_for_results
from kestrel_framework._plugins.error_handling import HandlerChain
from kestrel_framework._plugins.faults import Failed, FaultBoundary
from kestrel_framework.cli.exit_codes import ExitCode
from kestrel_framework.cli.languages import load_registry
from kestrel_framework.cli.log_lines import log_to_stderr
from kestrel_framework.cli.messages import note, print_error
from kestrel_framework.cli.options import configuration_options, read_configuration
from kestrel_framework.cli.progress import Progress, progress
from kestrel_framework.cli.signals import on_interrupt
from kestrel_framework.cli.source_choice import source_settings, sources_of_type
from kestrel_framework.config import Configuration
from kestrel_framework.errors import ConfigurationError, OutputError
from kestrel_framework.event import EventBatch
from kestrel_framework.interfaces import EventSource

_STANDARD_OUTPUT: Final = "-"
_COMPRESSED: Final = (".gz", ".zst")

T = TypeVar("T")


@click.command("record")
@click.option("--source", "source_type", required=True, metavar="TYPE", help="What to record.")
@click.option(
    "--duration",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="How long. Default: until interrupted, or until the source ends.",
)
@click.option(
    "--output",
    required=True,
    metavar="FILE",
    help="Where to write JSON lines; - is standard output. A file is replaced, and "
    "readable by its owner only.",
)
@configuration_options
@stdout_for_results()
def command(
    source_type: str,
    duration: float | None,
    output: str,
    config_file: Path | None,
    assignments: tuple[str, ...],
) -> int:
    """Write a live source to a capture of JSON lines.

    SIGINT and SIGTERM end the recording as its duration does. What was written
    and what the source lost is said on stderr.
    """
    types = source_settings(source_type, assignments)
    configuration = read_configuration(
        config_file, assignments, {key: ("--source", value) for key, value in types.items()}
    )
    if output.endswith(_COMPRESSED):
        problem = f"{output}: a capture is written as it is; compress it when it is finished"
        raise ConfigurationError(problem)
    log_to_stderr()
    boundary, source = _source(configuration, source_type)
    stop = threading.Event()
    recording = _Recording(source, boundary, configuration, stop)
    with on_interrupt(stop.set), progress("recording", "events") as show:
        try:
            recording.run(output, duration, show)
        finally:
            recording.close()
    for cause, count in sorted(recording.lost.items()):
        note(f"kestrel: {count} events lost: {cause}")
    note(f"kestrel: {recording.written} events written to {output}")
    return ExitCode.INPUT_OR_OUTPUT if recording.failed else ExitCode.FINE


class _Recording:
    """Reads a source to its end, or until told to stop, and writes what it hands over."""

    def __init__(
        self,
        source: EventSource,
        boundary: FaultBoundary,
        configuration: Configuration,
        stop: threading.Event,
    ) -> None:
        self.written = 0
        self.lost: Counter[str] = Counter()
        self.failed = False
        self._source = source
        self._boundary = boundary
        self._engine = configuration.engine
        self._stop = stop
        self._opened = False

    def run(self, output: str, duration: float | None, show: Progress) -> None:
        """Record; the file is complete on disk when this returns."""
        # The source first: one that cannot be opened must not cost an older capture.
        self._opened = True
        self._call("open", lambda: self._source.open(None))
        with _CaptureFile(output) as file:
            deadline = None if duration is None else time.monotonic() + duration
            while not self._stop.is_set():
                timeout = self._engine.read_timeout
                if deadline is not None:
                    timeout = min(timeout, deadline - time.monotonic())
                    if timeout <= 0:
                        break
                batch = self._read(timeout)
                if batch is None:
                    break
                self.lost.update(batch.lost)
                for line in _lines(batch):
                    file.write(line)
                    self.written += 1
                file.flush()
                show(self.written, None)

    def close(self) -> None:
        """Close the source; one that hangs is left behind."""
        if not self._opened:
            return
        self._opened = False
        closing = threading.Thread(target=self._close, name="close the source", daemon=True)
        closing.start()
        closing.join(self._engine.close_timeout)
        if closing.is_alive():
            note(f"kestrel: plugin {self._boundary.plugin}: does not close; it is left behind")

    def _read(self, timeout: float) -> EventBatch | None:
        """Return a batch; where the source fails, report that and end."""
        result = self._boundary.call(
            "read",
            lambda: self._source.read(self._engine.batch_size, timeout),
            HandlerChain(),
        )
        if isinstance(result, Failed):
            print_error(result.error)
            self.failed = True
            return None
        return result.value

    def _close(self) -> None:
        result = self._boundary.call("close", self._source.close, HandlerChain())
        if isinstance(result, Failed):
            print_error(result.error)

    def _call(self, operation: str, function: Callable[[], T]) -> T:
        result = self._boundary.call(operation, function, HandlerChain())
        if isinstance(result, Failed):
            raise result.error
        return result.value


def _source(configuration: Configuration, source_type: str) -> tuple[FaultBoundary, EventSource]:
    sources = sources_of_type(configuration, source_type)
    if len(sources) > 1:
        names = ", ".join(sources)
        raise ConfigurationError(f"several sources are of the type `{source_type}`: {names}")
    registry = load_registry(configuration)
    ((name, section),) = sources.items()
    offering = registry.sources.resolve(source_type)
    source = offering.create(
        section.options, path=f"sources.{name}", context=offering.context(name)
    )
    return FaultBoundary(offering.plugin, name), source


def _lines(batch: EventBatch) -> Iterator[bytes]:
    for payload in batch.payloads:
        if payload and not payload.isspace():
            # A line break can stand between the parts of a JSON text, never in a part.
            yield payload.replace(b"\n", b" ").replace(b"\r", b" ") + b"\n"
    for document in batch.documents:
        try:
            yield msgspec.json.encode(document) + b"\n"
        except UnicodeEncodeError:  # a lone surrogate in a file name
            yield json.dumps(document).encode() + b"\n"


class _CaptureFile:
    """The output as a file that turns what the system refuses into `OutputError`."""

    def __init__(self, output: str) -> None:
        self._name = output
        self._file: IO[bytes] = (
            result_stream().buffer if output == _STANDARD_OUTPUT else _private_file(output)
        )

    def __enter__(self) -> _CaptureFile:
        return self

    def write(self, data: bytes) -> None:
        self._do(lambda: self._file.write(data))

    def flush(self) -> None:
        self._do(self._file.flush)

    def __exit__(self, *exception: object) -> None:
        if self._name != _STANDARD_OUTPUT:
            self._do(self._file.close)

    def _do(self, work: Callable[[], object]) -> None:
        try:
            work()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OutputError(f"{self._name}: cannot be written: {error.strerror}") from error


def _private_file(path: str) -> IO[bytes]:
    """Return an empty file that only its owner can read; a link or a device is refused."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o600)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise OutputError(f"{path}: cannot be written: {reason}") from error
    try:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.fchmod(descriptor, 0o600)
            os.ftruncate(descriptor, 0)
        return os.fdopen(descriptor, "wb")
    except OSError as error:
        os.close(descriptor)
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from error
