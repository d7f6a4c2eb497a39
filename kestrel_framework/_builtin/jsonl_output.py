"""Alerts into a file or to standard output, one line of JSON for each."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import io
import os
import stat
import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

import attrs
import msgspec

from kestrel_framework._builtin.alert_lines import alert_line
from kestrel_framework._builtin.line_splitter import LineSplitter
from kestrel_framework._builtin.standard_output import (
    STANDARD_OUTPUT,
    Sink,
    output_error,
    standard_output,
)
from kestrel_framework.alert import Alert
from kestrel_framework.errors import OutputError
from kestrel_framework.interfaces import PluginContext

_BUFFER_BYTES: Final = 1 << 20
_SYNC_SECONDS: Final = 1.0
_KNOWN_ALERTS: Final = 1_000_000
_READ_BYTES: Final = 1 << 20
_MAX_LINE_BYTES: Final = 1 << 28
_START_OF_ALERT: Final = b'{"@timestamp":"'
_TRANSIENT: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EAGAIN, errno.EINTR})
# An agent with rights must not be led elsewhere by a link, nor wait for a pipe.
_OPEN_FLAGS: Final = (
    os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
)


@attrs.frozen
class JsonlOutputConfig:
    """Where alerts are written, and what of them."""

    path: str = attrs.field(
        default=STANDARD_OUTPUT,
        metadata={"help": "The file that alerts are added to; `-` is standard output."},
    )
    events: bool = attrs.field(
        default=False, metadata={"help": "Write the whole events, not only the fields of the rule."}
    )
    created: bool = attrs.field(
        default=False,
        metadata={"help": "Add the time of detection; two runs then differ in it."},
    )


class JsonlOutput:
    """Adds each alert once to a file, as a whole line.

    The file is private to its owner, locked against a second writer, and only ever
    added to. Alerts that it has already, among the latest million, are not written
    again; a line that a crash cut off is taken away first. What holds anything but
    alerts is refused.

    `flush` hands lines to the operating system, and at most once a second, as
    `close` does, to the disk. After a failure the lines stay in memory: the next
    `flush` tries them again.
    """

    def __init__(self, config: JsonlOutputConfig, context: PluginContext) -> None:
        self._config = config
        self._name = "standard output" if config.path == STANDARD_OUTPUT else config.path
        self._sink: Sink | None = None
        self._file: int | None = None
        self._buffer = bytearray()
        self._cut_off = 0
        self._known: OrderedDict[bytes, None] = OrderedDict()
        self._synced = 0.0

    def open(self) -> None:
        if self._config.path == STANDARD_OUTPUT:
            self._sink = standard_output()
            return
        try:
            descriptor = os.open(self._config.path, _OPEN_FLAGS, 0o600)
        except (OSError, ValueError) as error:
            raise self._error(error) from error
        self._sink = io.FileIO(descriptor, "r+")
        try:
            mode = os.fstat(descriptor).st_mode
            if stat.S_ISREG(mode):
                self._file = descriptor
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._read_known(descriptor)
            elif not stat.S_ISCHR(mode):
                raise OutputError(f"{self._name}: is neither a file nor a device")
        except BlockingIOError as error:
            self._release()
            raise OutputError(f"{self._name}: another process is writing to it") from error
        except OSError as error:
            self._release()
            raise self._error(error) from error
        except OutputError:
            self._release()
            raise

    def write(self, alerts: Sequence[Alert]) -> None:
        for alert in alerts:
            if len(self._buffer) >= _BUFFER_BYTES:
                self._drain()
            key = alert.alert_id.encode()
            if key not in self._known:
                self._buffer += alert_line(
                    alert, events=self._config.events, created=self._config.created
                )
                self._remember(key)

    def flush(self) -> None:
        self._drain()
        if time.monotonic() - self._synced >= _SYNC_SECONDS:
            self._sync()

    def close(self) -> None:
        if self._sink is None:
            return
        try:
            self._drain()
            self._sync()
        finally:
            self._release()

    def _drain(self) -> None:
        if self._sink is None:
            raise OutputError(f"{self._name}: is not open")
        while self._buffer:
            try:
                # The copy lets the buffer shrink while a view of it would forbid that.
                written = self._sink.write(bytes(self._buffer)) or 0
            except (OSError, ValueError) as error:
                raise self._error(error) from error
            if not written:
                raise OutputError(f"{self._name}: takes no more just now", transient=True)
            end_of_line = self._buffer.rfind(b"\n", 0, written)
            self._cut_off = written - end_of_line - 1 + (self._cut_off if end_of_line < 0 else 0)
            del self._buffer[:written]

    def _sync(self) -> None:
        if self._file is not None:
            try:
                os.fdatasync(self._file)
            except OSError as error:
                raise self._error(error) from error
            self._synced = time.monotonic()

    def _release(self) -> None:
        sink, self._sink = self._sink, None
        file, self._file = self._file, None
        if file is not None and self._cut_off:
            with contextlib.suppress(OSError):
                os.ftruncate(file, os.fstat(file).st_size - self._cut_off)
        self._cut_off = 0
        if sink is not None and self._config.path != STANDARD_OUTPUT:
            sink.close()

    def _remember(self, key: bytes) -> None:
        self._known[key] = None
        if len(self._known) > _KNOWN_ALERTS:
            self._known.popitem(last=False)

    def _read_known(self, descriptor: int) -> None:
        splitter = LineSplitter(_MAX_LINE_BYTES)
        size = 0
        while block := os.pread(descriptor, _READ_BYTES, size):
            size += len(block)
            splitter.feed(block)
            while run := splitter.take(splitter.pending_lines):
                for number, line in enumerate(run.lines, run.line + 1):
                    self._remember(self._alert_id(line, number))
                if run.too_long:
                    raise self._foreign(run.line)
        splitter.finish()
        last = splitter.take(1)
        if last is None:
            return
        if not last.lines:
            raise self._foreign(last.line)
        if _is_cut_off(last.lines[0]):
            os.ftruncate(descriptor, last.offset)
        else:
            self._remember(self._alert_id(last.lines[0], last.end_line))
            self._buffer += b"\n"

    def _alert_id(self, line: bytes, number: int) -> bytes:
        try:
            return msgspec.json.decode(line, type=_WrittenAlert).kestrel.alert_id.encode()
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            raise self._foreign(number) from error

    def _foreign(self, line: int) -> OutputError:
        return OutputError(
            f"{self._name}:{line}: is not an alert; alerts are only added to a file of alerts"
        )

    def _error(self, error: OSError | ValueError) -> OutputError:
        code = error.errno if isinstance(error, OSError) else None
        if code == errno.ELOOP:
            return OutputError(f"{self._name}: is a symbolic link; name the file it leads to")
        return output_error(self._name, error, transient=code in _TRANSIENT)


class _WrittenIdentity(msgspec.Struct):
    alert_id: str


class _WrittenAlert(msgspec.Struct):
    kestrel: _WrittenIdentity


def _is_cut_off(line: bytes) -> bool:
    """Say whether a line begins as alerts do and does not end as JSON does."""
    if not _START_OF_ALERT.startswith(line[: len(_START_OF_ALERT)]):
        return False
    try:
        msgspec.json.decode(line)
    except (msgspec.DecodeError, RecursionError):
        return True
    return False
