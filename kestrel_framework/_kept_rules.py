"""Rules that were read and compiled, kept from one start to the next: one file for each pack.

A file of the pack is found again by its name and content (in an archive: by that of the archive),
and only where everything else is the same that decides what it compiles to: how the pack is
called, the schema, the compilers, and the source of the kernel. What is found is the same as
reading and compiling again would give; what has errors is not kept.

The files lie in the private folder of the kernel, and decide what rules mean: so they are used
only where nobody else can write to them, nothing in them is run, and all of it is checked when it
is read. They may vanish or be damaged at any time: then the rules are compiled again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from kestrel_framework._collector_pause import collector_paused
from kestrel_framework._kept_rules_format import KeptDocument, KeptFile, decode_kept, encode_kept
from kestrel_framework._rule_files import ArchiveListings
from kestrel_framework.cache_folder import private_cache_folder, source_digest
from kestrel_framework.interfaces import KeepableRuleCompiler, RuleCompiler
from kestrel_framework.schema import SchemaRegistry

MAX_FILE_BYTES: Final = 64 * 1024 * 1024
"""How large what is kept of one pack may be; a larger pack is compiled every time."""
MAX_FOLDER_BYTES: Final = 192 * 1024 * 1024
"""How large all of it may get; then what was not used for longest goes."""

_FOLDER: Final = "kestrel-framework"
_SUFFIX: Final = ".rules"
_TEMPORARY: Final = ".rules-"
_WEEK: Final = 7 * 24 * 3600
_DIGEST_BYTES: Final = 32

# Now: later, the files may be those of an update, and not what runs here.
_ORIGIN: Final = f"{sys.version} {msgspec.__version__} {source_digest('kestrel_framework')}"


class KeptRules:
    """Finds and keeps what some compilers make of the files of packs."""

    def __init__(self, compilers: Sequence[RuleCompiler], schema: SchemaRegistry) -> None:
        fingerprints = [(c.language, tuple(c.suffixes), fingerprint_of(c)) for c in compilers]
        self._on = any(fingerprint is not None for *_, fingerprint in fingerprints)
        self._key = repr((_ORIGIN, schema.fingerprint, fingerprints)) if self._on else ""

    def pack(self, path: str) -> KeptPack:
        """Return what is kept of the pack that messages call so."""
        folder = private_cache_folder(_FOLDER) if self._on else None
        if folder is None:
            return KeptPack(None, b"")
        key = hashlib.sha256(f"{self._key}\n{path!r}".encode()).digest()
        return KeptPack(folder / f"{key.hex()}{_SUFFIX}", key)


def fingerprint_of(compiler: RuleCompiler) -> str | None:
    """Return what stands for all that decides what a compiler makes of a file, if it says so."""
    return compiler.fingerprint if isinstance(compiler, KeepableRuleCompiler) else None


class KeptPack:
    """What is kept of one pack.

    Args:
        path: The file; without one, nothing is found and nothing is kept.
        key: What decides what the files of the pack compile to, besides themselves.

    Attributes:
        archives: The listings of the archives in it, by their digests.
    """

    def __init__(self, path: Path | None, key: bytes) -> None:
        self._path = path
        self._key = key
        found = None if path is None else _read(path, key)
        document = found or KeptDocument({}, ())
        self.archives: ArchiveListings = document.archives
        self._found = {(file.names, file.digest): file for file in document.files}
        self._used: list[KeptFile] = []
        self._news = False

    def find(self, names: Sequence[str], digest: bytes) -> KeptFile | None:
        """Return what was kept of some files of the pack with that content."""
        file = self._found.get((tuple(names), digest))
        if file is not None:
            self._used.append(file)
        return file

    def add(self, file: KeptFile) -> None:
        """Keep what was made of some files, when `save` is called."""
        if self._path is not None:
            self._used.append(file)
            self._news = True

    def save(self, archives: ArchiveListings) -> None:
        """Write down what was found and added, if it is not what is there already."""
        if self._path is None or not self._news:
            return
        content = encode_kept(KeptDocument(archives, tuple(self._used)))
        if len(content) + _DIGEST_BYTES <= MAX_FILE_BYTES:
            with contextlib.suppress(OSError):
                _make_room(self._path.parent, len(content))
                _write(self._path, _digest(self._key, content), content)


def _digest(key: bytes, content: bytes | memoryview) -> bytes:
    digest = hashlib.sha256(key)
    digest.update(content)
    return digest.digest()


def _read(path: Path, key: bytes) -> KeptDocument | None:
    """Return what a file has, if it is private, whole and right."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not _is_private(status):
                return None
            whole = memoryview(file.read(status.st_size))
        if time.time() - status.st_mtime > _WEEK:
            os.utime(path)
    except OSError:
        return None
    content = whole[_DIGEST_BYTES:]
    if whole[:_DIGEST_BYTES] != _digest(key, content):
        return None
    try:
        with collector_paused():
            return decode_kept(content)
    except ValueError:
        return None


def _is_private(status: os.stat_result) -> bool:
    return (
        stat.S_ISREG(status.st_mode)
        and status.st_uid == os.getuid()
        and stat.S_IMODE(status.st_mode) == 0o600
        and status.st_nlink <= 1  # none at all: another process has replaced it meanwhile
        and status.st_size <= MAX_FILE_BYTES
    )


def _write(path: Path, *contents: bytes) -> None:
    """Replace the file at once: whoever reads it has the old content or the new."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=_TEMPORARY)
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines(contents)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _make_room(folder: Path, wanted: int) -> None:
    """Remove what was not used for longest, and what died processes left, to stay in bounds."""
    kept: dict[Path, os.stat_result] = {}
    for path in folder.iterdir():
        with contextlib.suppress(OSError):
            status = path.lstat()
            if path.name.endswith(_SUFFIX):
                kept[path] = status
            elif path.name.startswith(_TEMPORARY) and time.time() - status.st_mtime > _WEEK:
                path.unlink()
    total = wanted + sum(status.st_size for status in kept.values())
    for path in sorted(kept, key=lambda path: (kept[path].st_mtime, path.name)):
        if total <= MAX_FOLDER_BYTES:
            break
        path.unlink(missing_ok=True)
        total -= kept[path].st_size
