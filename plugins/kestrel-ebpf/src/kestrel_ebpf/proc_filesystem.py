"""Processes as /proc shows them.

Everything here was written by the processes themselves and is hostile: names with
parentheses and line ends, arguments that are no UTF-8, megabytes of them. What is no
UTF-8 becomes U+FFFD, the replacement character, one for each invalid byte.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import attrs

from kestrel_ebpf.control_group import container_id

_DELETED: Final = " (deleted)"
_SMALL_FILE_BYTES: Final = 64 * 1024


@attrs.frozen
class ProcessStat:
    """What `/proc/<pid>/stat` says.

    Attributes:
        comm: The short name, at most 15 bytes.
        state: One letter; `Z` is a process that ended and was not waited for.
        terminal: The device number of the controlling terminal, or 0.
        start_ticks: When it began, in clock ticks since the host did.
    """

    comm: str
    state: str
    parent_id: int
    terminal: int
    start_ticks: int


@attrs.frozen
class Credentials:
    """Real and effective ids of user and group."""

    user: int
    effective_user: int
    group: int
    effective_group: int


@attrs.frozen
class Image:
    """The program that a process runs. Shared by all that were forked from it.

    Attributes:
        executable: The path of the program, without ` (deleted)`; None for a kernel
            thread and a process that has ended.
        name: The file name of the executable; the short name where that is unknown.
        args: The arguments, the program's name first; empty where unknown.
        truncated: Whether there were more bytes of arguments than are read.
    """

    executable: str | None
    name: str | None
    args: tuple[str, ...] = ()
    truncated: bool = False

    @property
    def command_line(self) -> str | None:
        """The arguments with a space between, not quoted; None where they are unknown."""
        return " ".join(self.args) if self.args else None


UNKNOWN_IMAGE: Final = Image(None, None)


@attrs.frozen
class Observation:
    """A process at one moment. Parts that could not be read any more are None."""

    stat: ProcessStat
    image: Image
    credentials: Credentials | None
    container: str | None
    working_directory: str | None


class ProcFilesystem:
    """Reads processes from a mounted /proc.

    Each process is read through one open directory, which the kernel ties to that
    process: a number that is given to another process meanwhile yields nothing, never
    the other one's data.
    """

    def __init__(self, root: Path = Path("/proc"), max_command_line_bytes: int = 128 * 1024):
        self._root = root
        self._max_command_line_bytes = max_command_line_bytes

    def process_ids(self) -> list[int]:
        """Return the numbers of the processes that exist, ascending."""
        return sorted(_numbers(self._root))

    def thread_ids(self, process_id: int) -> frozenset[int]:
        """Return the numbers of the threads of a process; none if it is gone."""
        try:
            return frozenset(_numbers(self._root / str(process_id) / "task"))
        except OSError:
            return frozenset()

    def stat(self, process_id: int) -> ProcessStat | None:
        """Return the identity of a process, or None if it is gone. Cost: about 25 µs."""
        with self._directory(process_id) as directory:
            return None if directory is None else _read_stat(directory)

    def observe(self, process_id: int) -> Observation | None:
        """Return what can be read of a process, or None if it is gone. Cost: about 90 µs.

        What lives shortest is read first.
        """
        with self._directory(process_id) as directory:
            if directory is None:
                return None
            command_line = _read(directory, "cmdline", self._max_command_line_bytes + 1)
            executable = _read_link(directory, "exe")
            stat = _read_stat(directory)
            if stat is None:
                return None
            return Observation(
                stat=stat,
                image=self._image(executable, command_line, stat.comm),
                working_directory=_read_link(directory, "cwd"),
                credentials=_parse_credentials(_read(directory, "status", _SMALL_FILE_BYTES)),
                container=container_id(_text(_read(directory, "cgroup", _SMALL_FILE_BYTES))),
            )

    def _image(self, executable: str | None, command_line: bytes, comm: str) -> Image:
        limit = self._max_command_line_bytes
        return Image(
            executable=executable,
            name=executable.rsplit("/", 1)[-1] if executable else comm,
            args=parse_command_line(command_line[:limit]),
            truncated=len(command_line) > limit,
        )

    @contextmanager
    def _directory(self, process_id: int) -> Iterator[int | None]:
        try:
            directory = os.open(self._root / str(process_id), os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            yield None
            return
        try:
            yield directory
        finally:
            os.close(directory)


def parse_stat(content: bytes) -> ProcessStat | None:
    """Read `/proc/<pid>/stat`, whose second field may itself hold spaces and parentheses."""
    _, opened, rest = content.partition(b"(")
    comm, closed, numbers = rest.rpartition(b")")
    fields = numbers.split()
    if not (opened and closed and len(fields) >= 20):
        return None
    try:
        return ProcessStat(
            comm=_text(comm),
            state=_text(fields[0]),
            parent_id=int(fields[1]),
            terminal=int(fields[4]) % 2**32,
            start_ticks=int(fields[19]),
        )
    except ValueError:
        return None


def parse_command_line(content: bytes) -> tuple[str, ...]:
    """Split `/proc/<pid>/cmdline` into arguments.

    Empty arguments at the end are left out: a process that overwrote its arguments
    with a title looks the same.
    """
    stripped = content.rstrip(b"\0")
    return tuple(_text(argument) for argument in stripped.split(b"\0")) if stripped else ()


def _parse_credentials(status: bytes) -> Credentials | None:
    users = _ids(status, b"Uid:")
    groups = _ids(status, b"Gid:")
    if users is None or groups is None:
        return None
    return Credentials(users[0], users[1], groups[0], groups[1])


def _ids(status: bytes, label: bytes) -> tuple[int, int] | None:
    """Return (real, effective) from the line that begins with `label`.

    The first line, `Name:`, is the only one a process can write to, and the kernel
    escapes line ends in it.
    """
    for line in status.splitlines():
        if line.startswith(label):
            real, effective = line.split()[1:3]
            return int(real), int(effective)
    return None


def _read_stat(directory: int) -> ProcessStat | None:
    return parse_stat(_read(directory, "stat", _SMALL_FILE_BYTES))


def _read(directory: int, name: str, limit: int) -> bytes:
    """Return at most `limit` bytes of a file, or none if it cannot be read any more."""
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)
    except OSError:
        return b""
    parts: list[bytes] = []
    try:
        while limit > 0 and (part := os.read(descriptor, min(limit, _SMALL_FILE_BYTES))):
            parts.append(part)
            limit -= len(part)
    except OSError:
        pass  # it ended while being read
    finally:
        os.close(descriptor)
    return b"".join(parts)


def _read_link(directory: int, name: str) -> str | None:
    try:
        target = os.readlink(name, dir_fd=directory)
    except OSError:
        return None
    return _text(os.fsencode(target)).removesuffix(_DELETED)


def _text(content: bytes) -> str:
    return content.decode("utf-8", "replace")


def _numbers(folder: Path) -> Iterator[int]:
    for entry in os.scandir(folder):
        if entry.name.isascii() and entry.name.isdigit():
            yield int(entry.name)
