"""The rule files under a path: found, read and replaced with care."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import attrs

from kestrel_eql.toml_text import MAX_FILE_BYTES
from kestrel_framework.errors import InputError, OutputError

SUFFIXES: Final = (".eql", ".toml")


@attrs.frozen
class FileContent:
    """A file as it was when it was read.

    Attributes:
        path: What messages call it.
        real_path: Where it is, without links.
        content: What is in it; one byte more than `MAX_FILE_BYTES` where it is too large.
        status: What the system said of it.
    """

    path: str
    real_path: Path
    content: bytes = attrs.field(repr=False)
    status: os.stat_result = attrs.field(repr=False)


def rule_paths(paths: Iterable[str]) -> Iterator[Path | InputError]:
    """Yield the rule files among and under `paths`, each once, and what is wrong with others.

    Folders are searched, except hidden ones, and links to folders are not followed. A link
    is only taken if it leads to a place in the same folder, or under it.
    """
    seen: set[Path] = set()
    for name in paths:
        for found in _under(Path(name)):
            if isinstance(found, InputError):
                yield found
            elif (real := _target(found)) not in seen:
                seen.add(real)
                yield found


def read_file(path: Path) -> FileContent:
    """Return a file's content.

    Raises:
        InputError: it cannot be read, or is no plain file.
    """
    try:
        real_path = path.resolve(strict=True)
        # Opening a pipe or a device could wait for ever.
        descriptor = os.open(real_path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise InputError(f"{path}: is no plain file")
            return FileContent(str(path), real_path, file.read(MAX_FILE_BYTES + 1), status)
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(f"{path}: cannot be read: {_reason(error)}") from error


def replace_file(old: FileContent, content: bytes) -> None:
    """Replace a file at once: it has the old content or the new, whatever happens.

    Its mode stays, and its owner where the system lets us.

    Raises:
        OutputError: it cannot be written, or is not any more what was read.
    """
    path = old.real_path
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                _take_over(file.fileno(), old.status)
                os.fsync(file.fileno())
            if _version(path.lstat()) != _version(old.status):
                raise OutputError(f"{old.path}: changed while it was formatted; it was left alone")
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise OutputError(f"{old.path}: cannot be written: {_reason(error)}") from error


def _take_over(descriptor: int, status: os.stat_result) -> None:
    own = os.fstat(descriptor)
    if (own.st_uid, own.st_gid) != (status.st_uid, status.st_gid):
        os.fchown(descriptor, status.st_uid, status.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(status.st_mode))


def _version(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size


def _under(path: Path) -> Iterator[Path | InputError]:
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        yield InputError(f"{path}: cannot be read: {_reason(error)}")
        return
    if path.is_symlink() and not _target(path).is_relative_to(path.parent.resolve()):
        yield _leads_out(path, path.parent)
    elif stat.S_ISDIR(mode):
        yield from _in_folder(path)
    elif not stat.S_ISREG(mode):
        yield InputError(f"{path}: is neither a plain file nor a folder")
    elif path.suffix.lower() not in SUFFIXES:
        yield InputError(f"{path}: is no rule file; those end in {' or '.join(SUFFIXES)}")
    else:
        yield path


def _in_folder(root: Path) -> Iterator[Path | InputError]:
    problems: list[OSError] = []
    real_root = root.resolve()
    for folder, folders, files in os.walk(root, onerror=problems.append):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = Path(folder, name)
            if name.startswith(".") or path.suffix.lower() not in SUFFIXES:
                continue
            if path.is_symlink() and not _target(path).is_relative_to(real_root):
                yield _leads_out(path, root)
            elif path.is_file():
                yield path
            else:
                yield InputError(f"{path}: is no plain file")
    for error in problems:
        yield InputError(f"{error.filename}: cannot be read: {_reason(error)}")


def _leads_out(path: Path, folder: Path) -> InputError:
    return InputError(
        f"{path}: is a link that leads out of {folder}, to {_target(path)}; name that file itself"
    )


def _target(path: Path) -> Path:
    """Return where a path leads; of links that lead round in a circle, the first."""
    try:
        return path.resolve()
    except (OSError, RuntimeError):
        return path.parent.resolve() / path.name


def _reason(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
