"""Databases that are kept from one process to the next, each in a file of its own.

A database decides which rules match. So it is found only under a digest of all that decides
what is in it, and used only from a folder, and a file, that nobody else can write to; and
its bytes are checked before anything reads them. Whatever is wrong, the caller compiles
again; the first problem is logged.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import platform
import stat
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Final

from kestrel_framework.cache_folder import private_cache_folder, source_digest
from kestrel_framework.interfaces import Logger, Pattern
from kestrel_hyperscan.library import library_version, processor_features

MAX_BYTES: Final = 64 * 1024 * 1024
"""How much all files may have; then those that were not used for longest go."""
MAX_FILE_BYTES: Final = 16 * 1024 * 1024
"""How large a file may be; what is larger is compiled every time."""

FORMAT: Final = "1"
"""The version of what is in a file."""

_FOLDER: Final = "kestrel-hyperscan"
_SUFFIX: Final = ".database"
_UNFINISHED: Final = ".unfinished-"
_HEADER_BYTES: Final = 40
_DAY: Final = 24 * 3600


class _UntrustedFileError(Exception):
    """A file is not what this user wrote."""


class DatabaseCache:
    """A private folder of databases, looked for when it is first used.

    Several processes can use it at the same time.

    Args:
        logger: Hears of the first problem; the logging of the standard library if left out.
    """

    def __init__(self, logger: Logger | None = None) -> None:
        origin()  # now: later, the files may be those of an update, and not what runs here
        self._logger = logger
        self._told = False

    def find(self, key: str) -> bytes | None:
        """Return what `keep` was given, perhaps in another process, if it is there unchanged."""
        folder = self._folder()
        if folder is None:
            return None
        try:
            content = _read(folder / f"{key}{_SUFFIX}")
        except FileNotFoundError:
            return None
        except (OSError, _UntrustedFileError) as error:
            self.reject(key, str(error))
            return None
        body = content[_HEADER_BYTES:]
        if content[:_HEADER_BYTES] != _header(key, body):
            self.reject(key, "a kept database is damaged")
            return None
        return body

    def keep(self, key: str, content: bytes) -> None:
        """Keep a database for `find`, unless it is too large."""
        folder = self._folder()
        if folder is None or len(content) > MAX_FILE_BYTES - _HEADER_BYTES:
            return
        try:
            _write(folder / f"{key}{_SUFFIX}", _header(key, content) + content)
            _make_room(folder)
        except OSError as error:
            self._tell(str(error))

    def reject(self, key: str, problem: str) -> None:
        """Forget a database that cannot be used."""
        self._tell(problem)
        folder = self._folder()
        if folder is not None:
            with contextlib.suppress(OSError):
                (folder / f"{key}{_SUFFIX}").unlink()

    def _folder(self) -> Path | None:
        folder = private_cache_folder(_FOLDER)
        if folder is None:
            self._tell("there is no cache folder that is private to this user")
        return folder

    def _tell(self, problem: str) -> None:
        if self._told:
            return
        self._told = True
        sentence = "patterns are compiled again"
        if self._logger is None:
            logging.getLogger(__name__).warning("%s: %s", sentence, problem)
        else:
            self._logger.warning(sentence, problem=problem)


def key_of(patterns: Sequence[Pattern]) -> str:
    """Return a digest of patterns, and of all that decides what they compile to."""
    digest = hashlib.sha256(origin().encode())
    for pattern in patterns:
        text = pattern.text.encode("utf-8", "surrogatepass")
        digest.update(f"{pattern.kind.value} {pattern.fold} {len(text)}\n".encode() + text)
    return digest.hexdigest()


@cache
def origin() -> str:
    """Return what decides what patterns compile to: this plugin, Vectorscan, the processor."""
    parts = [
        FORMAT,
        source_digest("kestrel_hyperscan"),
        *("hyperscan", library_version()),
        *(platform.system(), platform.machine()),
        *sorted(processor_features()),
    ]
    return "\n".join(parts)


def _header(key: str, body: bytes) -> bytes:
    """Return the length of a body, and a digest of it that holds for one key only."""
    return len(body).to_bytes(8, "big") + hashlib.sha256(key.encode() + body).digest()


def _read(path: Path) -> bytes:
    """Return the content of a file that only this user can write to."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags), "rb") as file:
        status = os.fstat(file.fileno())
        if (
            not stat.S_ISREG(status.st_mode)
            or status.st_uid != os.getuid()
            or stat.S_IMODE(status.st_mode) != 0o600
            or status.st_nlink > 1  # none at all: another process has replaced it meanwhile
        ):
            raise _UntrustedFileError(f"{path} is not a file of this user alone")
        if not _HEADER_BYTES <= status.st_size <= MAX_FILE_BYTES:
            raise _UntrustedFileError(f"{path} has {status.st_size} bytes")
        if time.time() - status.st_mtime > _DAY:
            with contextlib.suppress(OSError):
                os.utime(file.fileno())
        return file.read(MAX_FILE_BYTES)


def _write(path: Path, content: bytes) -> None:
    """Write a file in one step: others see all of it, or nothing."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=_UNFINISHED)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise


def _make_room(folder: Path) -> None:
    """Remove what was not used for longest, and what somebody never finished."""
    entries = sorted(_entries(folder))
    too_many = sum(size for _, size, _ in entries) - MAX_BYTES
    for used, size, path in entries:
        abandoned = path.name.startswith(_UNFINISHED) and time.time() - used > _DAY
        if too_many > 0 or abandoned:
            with contextlib.suppress(OSError):
                path.unlink()
            too_many -= size


def _entries(folder: Path) -> Iterator[tuple[float, int, Path]]:
    """Yield each file of the cache: when it was last used, its size, its path."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(_UNFINISHED) or entry.name.endswith(_SUFFIX):
                with contextlib.suppress(OSError):
                    status = entry.stat(follow_symlinks=False)
                    yield status.st_mtime, status.st_size, Path(entry.path)
