"""Names of users and groups, from the host's own files.

Read directly, because a look-up through the name service can wait for a
directory server. Numbers are those of the host, whatever container a process is in.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

_CHECK_SECONDS: Final = 1.0
_MAX_BYTES: Final = 16 * 1024 * 1024


class AccountNames:
    """The names in one file of the form of `/etc/passwd` or `/etc/group`.

    The file is looked at once a second at most, and read again when it has changed.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._checked = float("-inf")
        self._version: tuple[int, int, int] | None = None
        self._names: dict[int, str] = {}

    def name(self, number: int) -> str | None:
        """Return the first name for `number`, or None if the file has none."""
        now = self._clock()
        if now - self._checked >= _CHECK_SECONDS:
            self._checked = now
            self._refresh()
        return self._names.get(number)

    def _refresh(self) -> None:
        try:
            status = self._path.stat()
            version = (status.st_ino, status.st_mtime_ns, status.st_size)
            if version == self._version:
                return
            with self._path.open("rb") as file:
                content = file.read(_MAX_BYTES)
        except OSError:
            self._version, self._names = None, {}
            return
        self._version, self._names = version, _parse(content)


def _parse(content: bytes) -> dict[int, str]:
    names: dict[int, str] = {}
    for line in content.splitlines():
        fields = line.split(b":")
        if len(fields) >= 3 and fields[0] and fields[2].isdigit():
            names.setdefault(int(fields[2]), fields[0].decode("utf-8", "replace"))
    return names
