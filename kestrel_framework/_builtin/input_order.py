"""Which input is read after which: a list of them, or one path through its rotations."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Sequence
from typing import Protocol

import attrs

from kestrel_framework._builtin.followed_file import FollowedFile, renamed_file
from kestrel_framework._builtin.input_blocks import (
    STANDARD_INPUT,
    Blocks,
    DecompressedBlocks,
    FileBlocks,
    StandardInput,
)
from kestrel_framework._builtin.line_input import stream_at
from kestrel_framework._builtin.line_position import LinePosition
from kestrel_framework._builtin.stream_names import same_start
from kestrel_framework.errors import InputError
from kestrel_framework.interfaces import Logger


@attrs.frozen(eq=False)
class OpenedInput:
    """An input ready to be read.

    Attributes:
        path: Where it is, or `-`.
        inode: Its number in the file system, or 0.
        blocks: Its bytes, from `start` on.
        start: Where an earlier run stopped in it, or `None`.
    """

    path: str
    inode: int
    blocks: Blocks
    start: LinePosition | None = None


class InputOrder(Protocol):
    """Opens one input after the other."""

    @property
    def exhausted(self) -> bool:
        """Whether no further input will ever come."""

    def check(self) -> None:
        """Look at everything that is there.

        Raises:
            InputError: something of it cannot be read.
        """

    def resume(self, position: LinePosition) -> None:
        """Begin at `position` instead of the beginning.

        Raises:
            InputError: the place is not there any more.
        """

    def next(self) -> OpenedInput | None:
        """Return the next input, or `None` if there is none now.

        Raises:
            InputError: it cannot be read.
        """

    def progress(self) -> tuple[int, int] | None:
        """Return bytes read and bytes in all, where that means something."""


class ListedInputs:
    """Files, and standard input, in the order they were named."""

    def __init__(self, paths: Sequence[str], max_line_bytes: int) -> None:
        self._paths = paths
        self._max_line_bytes = max_line_bytes
        self._waiting = deque(paths)
        self._start: LinePosition | None = None
        self._total = 0
        self._done = 0
        self._current: FileBlocks | None = None

    @property
    def exhausted(self) -> bool:
        return not self._waiting

    def check(self) -> None:
        for path in self._paths:
            if path != STANDARD_INPUT:
                blocks = FileBlocks(path)
                self._total += blocks.status().st_size
                blocks.close()

    def resume(self, position: LinePosition) -> None:
        if position.file not in self._waiting:
            raise InputError(f"{position.file}: the stored position is in a file that is not read")
        while self._waiting[0] != position.file:
            self._done += _size(self._waiting.popleft())
        if not same_start(position.stream, stream_at(position.file, self._max_line_bytes)):
            raise InputError(f"{position.file}: is not the file that was read before")
        self._start = position

    def next(self) -> OpenedInput | None:
        if self._current is not None:
            self._done += self._current.consumed
            self._current = None
        if not self._waiting:
            return None
        path = self._waiting.popleft()
        start, self._start = self._start, None
        if path == STANDARD_INPUT:
            return OpenedInput(path, 0, DecompressedBlocks(StandardInput(), path))
        file = FileBlocks(path)
        blocks = DecompressedBlocks(file, path)
        if start is not None and not blocks.seek(start.offset):
            blocks.close()
            raise InputError(f"{path}: is shorter than it was when it was read before")
        self._current = file
        return OpenedInput(path, file.status().st_ino, blocks, start)

    def progress(self) -> tuple[int, int] | None:
        if STANDARD_INPUT in self._paths:
            return None
        current = self._current
        return self._done + (current.consumed if current else 0), self._total


class FollowedInput:
    """What stands at one path, over time."""

    def __init__(self, path: str, max_line_bytes: int, logger: Logger) -> None:
        self._path = path
        self._max_line_bytes = max_line_bytes
        self._logger = logger
        self._rest: OpenedInput | None = None
        self._start: LinePosition | None = None

    @property
    def exhausted(self) -> bool:
        return False

    def check(self) -> None:
        if os.path.lexists(self._path):
            FileBlocks(self._path).close()

    def resume(self, position: LinePosition) -> None:
        if position.file != self._path:
            raise InputError(f"{position.file}: the stored position is in a file that is not read")
        if self._holds(self._path, position):
            self._start = position
        elif (renamed := renamed_file(self._path, position.inode)) and self._holds(
            renamed, position
        ):
            blocks = DecompressedBlocks(FileBlocks(renamed), renamed)
            blocks.seek(position.offset)
            self._rest = OpenedInput(self._path, position.inode, blocks, position)
        else:
            self._logger.warning(
                "The followed file was replaced while nobody read it; its last lines may be lost",
                origin=self._path,
                line=position.line + 1,
            )

    def next(self) -> OpenedInput | None:
        if self._rest is not None:
            rest, self._rest = self._rest, None
            return rest
        try:
            file = FollowedFile(self._path)
        except FileNotFoundError:
            return None
        start, self._start = self._start, None
        if start is not None:
            file.seek(start.offset)
        return OpenedInput(self._path, file.inode, file, start)

    def progress(self) -> tuple[int, int] | None:
        return None

    def _holds(self, path: str, position: LinePosition) -> bool:
        return (
            os.path.lexists(path)
            and _size(path) >= position.offset
            and same_start(position.stream, stream_at(path, self._max_line_bytes))
        )


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size  # noqa: PTH116 - a path from a user may be any text
    except (OSError, ValueError):
        return 0
