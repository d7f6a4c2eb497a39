"""Lines out of blocks of bytes, with their numbers and places, in bounded memory."""

from __future__ import annotations

from collections import deque

import attrs


@attrs.define
class LineRun:
    """Lines that follow one another without a gap.

    Attributes:
        line: The number of the first, from 0.
        offset: Where the first begins, in bytes.
        too_long: How many lines just before the first were left out.
        lines: Without their line ends.
    """

    line: int
    offset: int
    too_long: int = 0
    lines: list[bytes] = attrs.field(factory=list)

    @property
    def end_line(self) -> int:
        return self.line + len(self.lines)

    @property
    def end_offset(self) -> int:
        """Where the line after the last begins. Cost: one look at every line."""
        return self.offset + sum(map(len, self.lines)) + len(self.lines)

    def cut(self, count: int) -> LineRun:
        """Take away the first `count` lines and return them as a run."""
        first = LineRun(self.line, self.offset, self.too_long, self.lines[:count])
        self.line, self.offset, self.too_long = first.end_line, first.end_offset, 0
        del self.lines[:count]
        return first


class LineSplitter:
    """Splits blocks at line ends.

    A line longer than `max_line_bytes` is never held in memory: it is passed over
    while it is read, keeps its number, and ends the run before it.

    Attributes:
        line: The number of the line that is being read, from 0.
        pending_lines: How many complete lines wait to be taken.
        pending_bytes: About how much memory they need.
    """

    def __init__(self, max_line_bytes: int, *, line: int = 0, offset: int = 0) -> None:
        self.line = line
        self.pending_lines = 0
        self.pending_bytes = 0
        self._max_line_bytes = max_line_bytes
        self._offset = offset
        self._fragment = bytearray()
        self._passed_over = 0
        self._runs: deque[LineRun] = deque()

    def feed(self, block: bytes) -> None:
        """Take the next bytes."""
        if self._passed_over:
            end = block.find(b"\n") + 1
            self._passed_over += end or len(block)
            if not end:
                return
            self._leave_out(self._passed_over)
            block = block[end:]
        lines = block.split(b"\n")
        tail = lines.pop()
        if lines:
            lines[0] = bytes(self._fragment) + lines[0]
            self._fragment.clear()
            # Only the first can be longer than a block.
            if len(block) > self._max_line_bytes or len(lines[0]) > self._max_line_bytes:
                for line in lines:
                    if len(line) > self._max_line_bytes:
                        self._leave_out(len(line) + 1)
                    else:
                        self._add([line])
            else:
                self._add(lines)
        self._fragment += tail
        if len(self._fragment) > self._max_line_bytes:
            self._passed_over = len(self._fragment)
            self._fragment.clear()

    def finish(self) -> None:
        """Hear that no more bytes come: what has no line end yet is a line too."""
        if self._passed_over:
            self._leave_out(self._passed_over)
        elif self._fragment:
            self._add([bytes(self._fragment)])
            self._fragment.clear()

    def take(self, max_lines: int) -> LineRun | None:
        """Return the next run of at most `max_lines` lines, or None.

        The run is empty only where lines were left out and none followed yet.
        """
        if not self._runs:
            return None
        run = self._runs[0]
        taken = run.cut(max_lines) if len(run.lines) > max_lines else self._runs.popleft()
        self.pending_lines -= len(taken.lines)
        self.pending_bytes -= taken.end_offset - taken.offset
        return taken

    def _add(self, lines: list[bytes]) -> None:
        if not self._runs:
            self._runs.append(LineRun(self.line, self._offset))
        self._runs[-1].lines += lines
        size = sum(map(len, lines)) + len(lines)
        self.line += len(lines)
        self._offset += size
        self.pending_lines += len(lines)
        self.pending_bytes += size

    def _leave_out(self, size: int) -> None:
        before = self._runs.pop().too_long if self._runs and not self._runs[-1].lines else 0
        self.line += 1
        self._offset += size
        self._passed_over = 0
        self._runs.append(LineRun(self.line, self._offset, before + 1))
