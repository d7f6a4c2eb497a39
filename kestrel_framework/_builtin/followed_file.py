"""A file that grows, through its rotations."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

from kestrel_framework._builtin.input_blocks import FileBlocks, compression_of
from kestrel_framework.errors import InputError

POLL_SECONDS: Final = 0.1

ROTATION_QUIET_SECONDS: Final = 1.0
"""How long a renamed file must be quiet before it is left: its writer may still have it open."""

_HEAD_BYTES: Final = 512


class FollowedFile:
    """One file of those that a path names over time, from its beginning to its rotation.

    It is over when another file stands at the path (rotation by rename) or when it
    became shorter or begins otherwise (copied and truncated).

    Raises:
        FileNotFoundError: no file stands at the path now.
        InputError: what stands there cannot be followed.
    """

    def __init__(self, path: str) -> None:
        if not os.path.lexists(path):
            raise FileNotFoundError(path)
        self._path = path
        self._file = FileBlocks(path)
        self._head = b""
        self._at_end = False
        self._quiet_since: float | None = None
        self._block = b""
        self._over = False

    @property
    def consumed(self) -> int:
        return self._file.consumed

    @property
    def inode(self) -> int:
        return self._file.status().st_ino

    def seek(self, offset: int) -> bool:
        """Go on at `offset`, and say whether the file has so much."""
        self._head = self._file.head(_HEAD_BYTES)
        return self._file.seek(offset)

    def wait(self, timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        while not self._block and not self._over:
            self._look()
            ready = bool(self._block) or self._over
            remaining = deadline - time.monotonic()
            if not ready and remaining <= 0:
                return False
            if not ready:
                time.sleep(min(POLL_SECONDS, remaining))
        return True

    def next(self) -> bytes:
        """Return what was added, once `wait` says so; b"" when this file is over."""
        block, self._block = self._block, b""
        return block

    def close(self) -> None:
        self._file.close()

    def _look(self) -> None:
        before = self._file.consumed
        block = self._file.read()
        if not self._head and block:
            self._head = self._file.head(_HEAD_BYTES)
            if compression_of(self._head, self._path):
                raise InputError("is compressed, and cannot be followed while it grows")
        if (self._at_end or not block) and self._was_truncated(before):
            self._over = True
        elif block:
            self._block = block
            self._quiet_since = None
        elif self._was_replaced():
            now = time.monotonic()
            self._quiet_since = now if self._quiet_since is None else self._quiet_since
            self._over = now - self._quiet_since >= ROTATION_QUIET_SECONDS
        self._at_end = not block

    def _was_truncated(self, offset: int) -> bool:
        if self._file.status().st_size < offset:
            return True
        # It may have grown again beyond the old place between two looks.
        return not self._file.head(_HEAD_BYTES).startswith(self._head)

    def _was_replaced(self) -> bool:
        try:
            now = Path(self._path).stat()
        except OSError:
            # Renamed, and no new file yet: its writer may still be adding to it.
            return False
        mine = self._file.status()
        return (now.st_dev, now.st_ino) != (mine.st_dev, mine.st_ino)


def renamed_file(path: str, inode: int) -> str | None:
    """Return where the file with that inode is now, beside `path`, or None."""
    folder, name = os.path.split(path)
    try:
        with os.scandir(folder or ".") as entries:
            for entry in entries:
                if entry.name.startswith(name) and entry.inode() == inode and entry.is_file():
                    return entry.path
    except OSError:
        return None
    return None
