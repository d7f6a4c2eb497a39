"""One input being read: lines with numbers, the name of its stream, and its end."""

from __future__ import annotations

import math
import time
from typing import Final

from kestrel_framework._builtin.input_blocks import (
    Blocks,
    DecompressedBlocks,
    FileBlocks,
    error_reason,
)
from kestrel_framework._builtin.line_splitter import LineRun, LineSplitter
from kestrel_framework._builtin.stream_names import StreamNames
from kestrel_framework.errors import InputError

BATCH_BYTES: Final = 4 << 20
"""Reading stops for a batch that has so many bytes, however few lines they are."""

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_UTF_16_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")


class LineInput:
    """Reads one input to its end.

    Attributes:
        origin: How messages name it.
        stream: The name of its stream, or `None` before its first line that is not blank.
        problem: Why it ended too early, or `None`. The lines before count.
    """

    def __init__(
        self, blocks: Blocks, origin: str, splitter: LineSplitter, stream: str | None = None
    ) -> None:
        self.origin = origin
        self.stream = stream
        self.problem: InputError | None = None
        self._blocks = blocks
        self._splitter = splitter
        self._ended = False

    @property
    def over(self) -> bool:
        """Whether no more lines will come after those taken."""
        return self._ended and not self._splitter.pending_lines

    def take(self, max_lines: int, deadline: float, names: StreamNames) -> LineRun | None:
        """Return the next lines, or `None` if none come before `deadline` (monotonic).

        A run without lines says that some were left out.
        """
        self._fill(max_lines, deadline)
        while run := self._splitter.take(max_lines):
            if run.line == 0 and run.lines:
                self._check_start(run)
            if self.stream is None:
                self._name_stream(run, names)
            if run.lines or run.too_long:
                return run
        return None

    def close(self) -> None:
        self._blocks.close()

    def _fill(self, max_lines: int, deadline: float) -> None:
        splitter = self._splitter
        while (
            not self._ended
            and splitter.pending_lines < max_lines
            and splitter.pending_bytes < BATCH_BYTES
        ):
            remaining = 0.0 if splitter.pending_lines else deadline - time.monotonic()
            try:
                if not self._blocks.wait(max(0.0, remaining)):
                    return
                block = self._blocks.next()
            except OSError as error:
                self._end_early(f"cannot be read: {error_reason(error)}")
            except InputError as error:
                self._end_early(error.problem)
            else:
                if block:
                    splitter.feed(block)
                else:
                    splitter.finish()
                    self._ended = True
                # A line without an end must not hold up the heartbeat.
                if not splitter.pending_lines and time.monotonic() >= deadline:
                    return

    def _end_early(self, problem: str) -> None:
        self._ended = True
        line = self._splitter.line + 1
        kept = f"; the {line - 1} lines before were read" if line > 1 else ""
        self.problem = InputError(f"{self.origin}:{line}: {problem}{kept}")

    def _check_start(self, run: LineRun) -> None:
        start = run.lines[0]
        if start.startswith(_BYTE_ORDER_MARK):
            run.lines[0] = start.removeprefix(_BYTE_ORDER_MARK)
            run.offset += len(_BYTE_ORDER_MARK)
        elif start.startswith(_UTF_16_MARKS):
            raise InputError(f"{self.origin}: is UTF-16 text; convert it to UTF-8")

    def _name_stream(self, run: LineRun, names: StreamNames) -> None:
        """Take blank lines off the start: they must not name the stream."""
        too_long = run.too_long
        blank = next((i for i, line in enumerate(run.lines) if line.strip()), len(run.lines))
        run.cut(blank)
        run.too_long = too_long
        if run.lines:
            self.stream = names.name(run.lines[0])


def stream_at(path: str, max_line_bytes: int) -> str | None:
    """Return the name that the file at `path` would get first; `None` without any line.

    Raises:
        InputError: it cannot be read.
    """
    blocks = DecompressedBlocks(FileBlocks(path), path)
    reader = LineInput(blocks, path, LineSplitter(max_line_bytes))
    names = StreamNames()
    try:
        while reader.stream is None and reader.take(1, math.inf, names):
            pass
    finally:
        reader.close()
    return reader.stream
