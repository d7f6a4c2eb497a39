"""JSON lines from files, from standard input, and from files that grow."""

from __future__ import annotations

import time
from typing import Final

import attrs

from kestrel_framework._builtin.input_blocks import STANDARD_INPUT
from kestrel_framework._builtin.input_order import (
    FollowedInput,
    InputOrder,
    ListedInputs,
    OpenedInput,
)
from kestrel_framework._builtin.line_input import LineInput
from kestrel_framework._builtin.line_position import LinePosition
from kestrel_framework._builtin.line_splitter import LineRun, LineSplitter
from kestrel_framework._builtin.stream_names import StreamNames
from kestrel_framework.errors import ConfigurationError, InputError
from kestrel_framework.event import MAX_PAYLOAD_BYTES, NOTHING_LOST, EventBatch
from kestrel_framework.interfaces import PluginContext
from kestrel_framework.timestamps import NANOSECONDS

LINE_TOO_LONG: Final = "line_too_long"
"""The cause under which lines over the limit are counted as lost."""

_APPEARANCE_SECONDS: Final = 0.1


_DISORDER: Final = 5 * NANOSECONDS
"""What writes files often does so from several threads, and now and then."""


@attrs.frozen
class JsonlSourceConfig:
    """Which files to read, and how."""

    path: str = attrs.field(
        default="", metadata={"help": "The file to read; `-` is standard input."}
    )
    paths: tuple[str, ...] = attrs.field(
        default=(), metadata={"help": "Several files, read one after the other, instead of `path`."}
    )
    follow: bool = attrs.field(
        default=False,
        metadata={"help": "Go on with what is added to the file, through its rotations."},
    )
    max_line_bytes: int = attrs.field(
        default=MAX_PAYLOAD_BYTES,
        metadata={"help": "Longer lines are skipped, counted and reported."},
    )

    def __attrs_post_init__(self) -> None:
        if bool(self.path) == bool(self.paths):
            raise ConfigurationError("exactly one of `path` and `paths` is needed", path="path")
        if not all(self.inputs):
            raise ConfigurationError("a file name is empty", path="paths")
        if self.inputs.count(STANDARD_INPUT) > 1:
            raise ConfigurationError("standard input can be read only once", path="paths")
        if self.follow and (len(self.inputs) > 1 or STANDARD_INPUT in self.inputs):
            problem = "follows exactly one file; use one source for each file"
            raise ConfigurationError(problem, path="follow")
        if not 1 <= self.max_line_bytes <= MAX_PAYLOAD_BYTES:
            problem = f"must be from 1 to {MAX_PAYLOAD_BYTES}, the largest event that is read"
            raise ConfigurationError(problem, path="max_line_bytes")

    @property
    def inputs(self) -> tuple[str, ...]:
        """All that is read, in order."""
        return self.paths or (self.path,)


class JsonlSource:
    """Hands over lines as they are, undecoded, with their numbers as offsets.

    A damaged file does not hold up the files after it: it is logged at once, and
    raised when all are read.
    """

    def __init__(self, config: JsonlSourceConfig, context: PluginContext) -> None:
        self._follow = config.follow
        self._max_line_bytes = config.max_line_bytes
        self._logger = context.logger
        self._order: InputOrder = (
            FollowedInput(config.inputs[0], config.max_line_bytes, context.logger)
            if config.follow
            else ListedInputs(config.inputs, config.max_line_bytes)
        )
        self._names = StreamNames()
        self._opened: OpenedInput | None = None
        self._lines: LineInput | None = None
        self._position: str | None = None
        self._problems: list[InputError] = []

    @property
    def live(self) -> bool:
        """A followed file has no end; a pipe ends when its writer does."""
        return self._follow

    def open(self, position: str | None) -> None:
        self._order.check()
        if position is not None:
            place = LinePosition.from_token(position)
            self._order.resume(place)
            self._names = StreamNames(place.seen)
            self._position = position

    def read(self, max_events: int, timeout: float) -> EventBatch | None:
        deadline = time.monotonic() + timeout
        while True:
            try:
                lines = self._lines or self._open_next()
                if lines is not None:
                    run = lines.take(max_events, deadline, self._names)
                    if run is not None:
                        return self._batch(lines, run)
                    if lines.over:
                        self._leave()
                        continue
            except InputError as problem:
                self._note(problem)
                continue
            if lines is None and self._order.exhausted:
                self._raise_problems()
                return None
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return EventBatch(position=self._position)
            if lines is None:
                time.sleep(min(_APPEARANCE_SECONDS, remaining))

    def acknowledge(self, position: str) -> None:
        """Do nothing: a file keeps what was read."""

    def progress(self) -> tuple[int, int] | None:
        return self._order.progress()

    def close(self) -> None:
        lines, self._lines = self._lines, None
        if lines is not None:
            lines.close()

    def _open_next(self) -> LineInput | None:
        opened = self._order.next()
        if opened is None:
            return None
        start = opened.start
        splitter = LineSplitter(
            self._max_line_bytes,
            line=start.line if start else 0,
            offset=start.offset if start else 0,
        )
        origin = "standard input" if opened.path == STANDARD_INPUT else opened.path
        self._opened = opened
        self._lines = LineInput(opened.blocks, origin, splitter, start.stream if start else None)
        return self._lines

    def _batch(self, lines: LineInput, run: LineRun) -> EventBatch:
        if run.too_long:
            self._logger.warning(
                "Lines longer than the limit were skipped",
                origin=lines.origin,
                line=run.line - run.too_long + 1,
                lines=run.too_long,
                max_line_bytes=self._max_line_bytes,
            )
        if self._opened is not None and self._opened.inode and lines.stream is not None:
            self._position = LinePosition(
                file=self._opened.path,
                inode=self._opened.inode,
                stream=lines.stream,
                line=run.end_line,
                offset=run.end_offset,
                seen=dict(self._names.seen),
            ).to_token()
        return EventBatch(
            payloads=run.lines,
            position=self._position,
            lost={LINE_TOO_LONG: run.too_long} if run.too_long else NOTHING_LOST,
            stream=lines.stream,
            first_offset=run.line if lines.stream is not None else None,
            origin=lines.origin,
            disorder=_DISORDER,
        )

    def _leave(self) -> None:
        problem = self._lines.problem if self._lines else None
        self.close()
        if problem is not None:
            self._note(problem)

    def _note(self, problem: InputError) -> None:
        """Keep a problem until everything else is read; where that never is, raise it."""
        self.close()
        self._logger.error("An input cannot be read to its end", problem=str(problem))
        if self._follow:
            raise problem
        self._problems.append(problem)

    def _raise_problems(self) -> None:
        problems, self._problems = self._problems, []
        if len(problems) > 1:
            raise InputError("\n".join(map(str, problems)))
        if problems:
            raise problems[0]
