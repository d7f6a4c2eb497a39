"""Where rule files lie: single files, folders and archives, with limits against hostile ones.

Nothing is ever written to disk. A folder or archive is listed first and read file by file. An
archive whose listing is known by its digest is not unpacked before one of its files is read.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import stat
import tarfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Final, Protocol, Self, TypeAlias

import attrs

from kestrel_framework.errors import RuleError, SourceLocation
from kestrel_framework.interfaces import RuleFile

MAX_FILE_BYTES: Final = 16 * 1024 * 1024
MAX_ARCHIVE_BYTES: Final = 512 * 1024 * 1024
MAX_ARCHIVE_MEMBERS: Final = 100_000
MAX_FOLDER_FILES: Final = 1_000_000
_MORE_BYTES: Final = 64 * 1024
"""How much is read at a time of a file that has more than it said."""
ARCHIVE_SUFFIXES: Final = (".tar.gz", ".tgz")

_BROKEN_ARCHIVE: Final = (
    tarfile.TarError,
    OSError,
    EOFError,
    zlib.error,
    ValueError,
    ArithmeticError,
    LookupError,
    RecursionError,
)

Wanted = Callable[[str], bool]
"""Says by a file's name whether it may hold a rule, so that its content is needed."""


ArchiveListings: TypeAlias = Mapping[bytes, tuple[str, ...]]
"""The names of the files that may hold rules, sorted, in archives without problems, by the digests
of the archives."""


@attrs.frozen
class FoundFile:
    """A file that may hold rules.

    Attributes:
        digest: Another one for every other content of the file.
        read: Returns the file with that very content, or raises a `RuleError`.
    """

    digest: bytes
    read: Callable[[], RuleFile]


class RuleTree(Protocol):
    """The files that may hold rules under one path.

    Attributes:
        names: Relative paths with `/`, sorted; "" stands for the path itself.
        problems: What could not be listed or read.
        archives: The listings of those archives that have no problems.
    """

    names: list[str]
    problems: list[RuleError]
    archives: dict[bytes, tuple[str, ...]]

    def label(self, name: str) -> str:
        """Return what messages call a file."""

    def find(self, name: str) -> FoundFile:
        """Return a file.

        Raises:
            RuleError: it cannot be read, or is too large.
        """


def rule_tree(path: Path, wanted: Wanted, known: ArchiveListings | None = None) -> RuleTree:
    """List what lies under a file, folder or archive. A path that cannot be read is a problem.

    Args:
        path: The file, folder or archive.
        wanted: Which files may hold rules.
        known: The listings of archives for the same `wanted`.
    """
    known = known or {}
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        return _Unreadable([_problem(path, f"cannot be read: {_reason(error)}")])
    if stat.S_ISDIR(mode):
        return _Folder(path, wanted, known)
    if not stat.S_ISREG(mode):
        return _Unreadable([_problem(path, "is neither a file nor a folder")])
    if path.name.endswith(ARCHIVE_SUFFIXES):
        return _Archive(path, wanted, known)
    return _SingleFile(path)


@attrs.define
class _Unreadable:
    """A path under which nothing can be read."""

    problems: list[RuleError]
    names: list[str] = attrs.field(factory=list)
    archives: dict[bytes, tuple[str, ...]] = attrs.field(factory=dict)

    def label(self, name: str) -> str:
        return name

    def find(self, name: str) -> FoundFile:
        raise _problem(name, "cannot be read")


class _SingleFile:
    """A file that was named."""

    def __init__(self, path: Path) -> None:
        self.names = [""]
        self.problems: list[RuleError] = []
        self.archives: dict[bytes, tuple[str, ...]] = {}
        self._path = path

    def label(self, name: str) -> str:
        return str(self._path)

    def find(self, name: str) -> FoundFile:
        return _found_file(str(self._path))


class _Folder:
    """A folder with all its folders, except hidden ones, and the archives in it.

    Links are followed; a folder that was already visited, under whatever name,
    is not visited again, so that a loop of links ends.
    """

    def __init__(self, path: Path, wanted: Wanted, known: ArchiveListings) -> None:
        self.names: list[str] = []
        self.problems: list[RuleError] = []
        self.archives: dict[bytes, tuple[str, ...]] = {}
        self._path = path
        self._prefix = str(path / "x")[:-1]
        self._inside: dict[str, _Archive] = {}
        ignored = 0
        visited: set[tuple[int, int]] = set()
        for folder, folders, files in os.walk(path, onerror=self._note, followlinks=True):
            status = Path(folder).stat()
            if (status.st_dev, status.st_ino) in visited:
                folders.clear()
                continue
            visited.add((status.st_dev, status.st_ino))
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            inside = Path(folder).relative_to(path)
            prefix = "" if inside == Path() else f"{inside.as_posix()}/"
            for name in sorted(files):
                relative = f"{prefix}{name}"
                if name.startswith("."):
                    ignored += 1
                elif name.endswith(ARCHIVE_SUFFIXES):
                    self._add_archive(relative, wanted, known)
                elif wanted(name):
                    self.names.append(relative)
                else:
                    ignored += 1
            if len(self.names) + ignored > MAX_FOLDER_FILES:
                self.problems.append(_problem(path, f"holds more than {MAX_FOLDER_FILES} files"))
                break
        self.names.sort(key=_sort_key)

    def label(self, name: str) -> str:
        return f"{self._prefix}{name}"

    def find(self, name: str) -> FoundFile:
        for path, archive in self._inside.items():
            if name.startswith(f"{path}/"):
                return archive.find(name.removeprefix(f"{path}/"))
        return _found_file(self.label(name))

    def _add_archive(self, name: str, wanted: Wanted, known: ArchiveListings) -> None:
        path = self._path / name
        if not path.is_file():
            self.problems.append(_problem(path, "is no plain file"))
            return
        archive = _Archive(path, wanted, known)
        self._inside[name] = archive
        self.archives |= archive.archives
        self.names += [f"{name}/{member}" for member in archive.names]
        self.problems += archive.problems

    def _note(self, error: OSError) -> None:
        where = error.filename or self._path
        self.problems.append(_problem(where, f"cannot be read: {_reason(error)}"))


class _Archive:
    """A `.tar.gz`, held in memory: packed, and its rule files, once somebody asks for one."""

    def __init__(self, path: Path, wanted: Wanted, known: ArchiveListings) -> None:
        self.problems: list[RuleError] = []
        self.archives: dict[bytes, tuple[str, ...]] = {}
        self._path = path
        self._wanted = wanted
        self._contents: dict[str, bytes] | None = None
        self._packed = self._read()
        self._digest = hashlib.sha256(self._packed).digest()
        names = known.get(self._digest)
        self.names = sorted(self._unpacked(), key=_sort_key) if names is None else list(names)
        if not self.problems:
            self.archives[self._digest] = tuple(self.names)

    def label(self, name: str) -> str:
        return f"{self._path}/{name}"

    def find(self, name: str) -> FoundFile:
        digest = hashlib.sha256(self._digest + name.encode(errors="surrogateescape")).digest()
        return FoundFile(digest, lambda: self._file(name))

    def _file(self, name: str) -> RuleFile:
        contents = self._unpacked() if self._contents is None else self._contents
        content = contents.get(name)
        if content is None:
            raise _problem(self.label(name), "is not in the archive")
        return RuleFile(self.label(name), content)

    def _read(self) -> bytes:
        try:
            with self._path.open("rb") as file:
                content = _read_at_most(file.fileno(), MAX_ARCHIVE_BYTES + 1)
        except OSError as error:
            self._refuse_whole(error)
            return b""
        if len(content) > MAX_ARCHIVE_BYTES:
            self._refuse_whole(f"is larger than {MAX_ARCHIVE_BYTES} bytes")
            return b""
        return content

    def _unpacked(self) -> dict[str, bytes]:
        self._contents = {}
        if not self.problems:
            try:
                with _LimitedGzipFile(fileobj=io.BytesIO(self._packed)) as unpacked:
                    self._read_members(unpacked, self._wanted, self._contents)
            except _ArchiveLimitError as error:
                self._refuse_whole(str(error))
            except _BROKEN_ARCHIVE as error:
                self._refuse_whole(error)
        return self._contents

    def _refuse_whole(self, problem: str | BaseException) -> None:
        if isinstance(problem, BaseException):
            problem = f"is damaged or no archive: {_reason(problem)}"
        self.problems.append(_problem(self._path, problem))

    def _read_members(
        self, unpacked: _LimitedGzipFile, wanted: Wanted, contents: dict[str, bytes]
    ) -> None:
        with tarfile.open(fileobj=unpacked, mode="r|", tarinfo=_CheckedMember) as archive:
            for number, member in enumerate(archive):
                if number >= MAX_ARCHIVE_MEMBERS:
                    raise _ArchiveLimitError(f"has more than {MAX_ARCHIVE_MEMBERS} entries")
                self._read_member(archive, member, wanted, contents)
                archive.members.clear()  # type: ignore[attr-defined]  # it would keep them all

    def _read_member(
        self,
        archive: tarfile.TarFile,
        member: tarfile.TarInfo,
        wanted: Wanted,
        contents: dict[str, bytes],
    ) -> None:
        name = "/".join(part for part in member.name.split("/") if part not in ("", "."))
        hidden = any(part.startswith(".") for part in name.split("/"))
        if member.isdir():
            return
        if hidden or not wanted(PurePosixPath(name).name):
            return
        if not member.isreg() or member.issparse():
            self._refuse(name, "is a link or a device; an archive may hold plain files only")
        elif member.size > MAX_FILE_BYTES:
            self._refuse(name, f"is larger than {MAX_FILE_BYTES} bytes")
        elif name in contents:
            self._refuse(name, "is in the archive twice; the first one is read")
        else:
            content = archive.extractfile(member)
            contents[name] = content.read() if content else b""

    def _refuse(self, name: str, problem: str) -> None:
        self.problems.append(_problem(self.label(name), problem))


class _ArchiveLimitError(Exception):
    """An archive reached a limit."""


class _LimitedGzipFile(gzip.GzipFile):
    """Unpacks up to the limit, whatever a header claims."""

    _unpacked = 0

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self._unpacked += len(data)
        if self._unpacked > MAX_ARCHIVE_BYTES:
            raise _ArchiveLimitError(f"unpacks to more than {MAX_ARCHIVE_BYTES} bytes")
        return data


class _CheckedMember(tarfile.TarInfo):
    """An entry whose header is damaged is an error, not the end of the archive."""

    @classmethod
    def fromtarfile(cls, tarfile_: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(tarfile_)
        except tarfile.HeaderError as error:
            if type(error).__name__ in ("EOFHeaderError", "EmptyHeaderError"):
                raise
            raise tarfile.ReadError(f"an entry has a broken header: {error}") from error


def _found_file(path: str) -> FoundFile:
    file = _read_file(path)
    return FoundFile(hashlib.sha256(file.content).digest(), lambda: file)


def _read_file(path: str) -> RuleFile:
    try:
        # Opening a pipe or a device could wait for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise _problem(path, "is no plain file")
            content = _read_at_most(descriptor, MAX_FILE_BYTES + 1)
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as error:
        raise _problem(path, f"cannot be read: {_reason(error)}") from error
    if len(content) > MAX_FILE_BYTES:
        raise _problem(path, f"is larger than {MAX_FILE_BYTES} bytes")
    return RuleFile(path, content)


def _read_at_most(descriptor: int, limit: int) -> bytes:
    """Return the content up to a limit, without asking for memory that is not needed.

    Without a file object, which takes as long as reading the file of a rule.
    """
    wanted = min(os.fstat(descriptor).st_size + 1, limit)
    parts: list[bytes] = []
    while limit > 0 and (part := os.read(descriptor, wanted)):
        parts.append(part)
        limit -= len(part)
        wanted = min(limit, _MORE_BYTES)
    return b"".join(parts)


def _sort_key(name: str) -> tuple[str, ...]:
    return tuple(name.split("/"))


def _problem(path: object, problem: str) -> RuleError:
    return RuleError(problem, SourceLocation(str(path)))


def _reason(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
