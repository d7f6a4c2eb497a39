"""Rules that were read and compiled, kept from one process to the next.

A rule is found again by everything that decides what it compiles to: its text, the dialect, the
schema, and the source of this compiler and of the kernel; what was read from a file, by the file's
name and content. What is found is the same as reading and compiling again would give. What
has errors is not kept.

The cache may fail in any way, and is then not used: it never fails a rule. It lies in the
private folder of the plugin, and decides what rules mean; so it is used only where nobody
else can write to it, nothing in it is run, and every entry is checked when it is read.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import stat
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final, TypeVar

import attrs
import lark
import msgspec

from kestrel_eql.dialect import Settings
from kestrel_framework.cache_folder import private_cache_folder
from kestrel_framework.interfaces import RuleFile
from kestrel_framework.rule import Pipe, RuleBody, RuleSource
from kestrel_framework.rule_encoding import decode_body, decode_pipes, encode_body, encode_pipes
from kestrel_framework.schema import SchemaRegistry

MAX_BYTES: Final = 64 * 1024 * 1024
"""How large the file may get; then the entries that were not used for longest go."""
MAX_ENTRY_BYTES: Final = 1024 * 1024
"""How large an entry may be; a rule that needs more is compiled every time."""

_FILE: Final = "rules.sqlite"
_PAGE_BYTES: Final = 4096
_SECONDS_TO_WAIT: Final = 0.25
_WEEK: Final = 7 * 24 * 3600
_DAMAGED: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_TABLE: Final = """
    CREATE TABLE IF NOT EXISTS entries
    (key BLOB PRIMARY KEY, digest BLOB NOT NULL, content BLOB NOT NULL, week INTEGER NOT NULL)
"""
_FORGET_A_QUARTER: Final = """
    DELETE FROM entries WHERE rowid IN (
        SELECT rowid FROM entries ORDER BY week, rowid LIMIT (SELECT count(*) / 4 + 1 FROM entries)
    )
"""
_PRAGMAS: Final = (
    "journal_mode = TRUNCATE",
    "synchronous = OFF",
    f"max_page_count = {MAX_BYTES // _PAGE_BYTES}",
    "trusted_schema = OFF",
    "cell_size_check = ON",
)
_COMPILED: Final = msgspec.msgpack.Decoder(tuple[bytes, bytes, tuple[tuple[str, int], ...]])
_SOURCES: Final = msgspec.msgpack.Decoder(list[RuleSource])

_T = TypeVar("_T")


@attrs.frozen
class CompiledText:
    """What compiling a text gave. A remark is a warning, and the offset of its place."""

    body: RuleBody
    pipes: tuple[Pipe, ...]
    remarks: tuple[tuple[str, int], ...]


class CompileCache:
    """A file with compiled rules, opened when it is first used. Can be shared by threads.

    Several processes can use one file at the same time. A process that has to wait for longer
    than a quarter of a second goes on without it, and so does a forked one.
    """

    def __init__(self) -> None:
        _origin()  # now: later, the files may be those of an update, and not what runs here
        self._lock = threading.Lock()
        self._process = os.getpid()
        self._path: Path | None = None
        self._connection: sqlite3.Connection | None = None
        self._off = False

    def find(self, text: str, settings: Settings, schema: SchemaRegistry) -> CompiledText | None:
        """Return what `keep` was given for a text, perhaps in another process, if it is there."""
        content = self._find(_key_of_text(text, settings, schema))
        if content is None:
            return None
        try:
            body, pipes, remarks = _COMPILED.decode(content)
            return CompiledText(decode_body(body), decode_pipes(pipes), remarks)
        except (msgspec.MsgspecError, ValueError):
            return None

    def keep(
        self, text: str, settings: Settings, schema: SchemaRegistry, compiled: CompiledText
    ) -> None:
        """Keep what a text was compiled to, unless it is too large."""
        with contextlib.suppress(ValueError):
            content = (encode_body(compiled.body), encode_pipes(compiled.pipes), compiled.remarks)
            key = _key_of_text(text, settings, schema)
            self._keep(key, msgspec.msgpack.encode(content))

    def find_sources(self, file: RuleFile) -> Sequence[RuleSource] | None:
        """Return what `keep_sources` was given for a file, if it is there."""
        content = self._find(_key_of_file(file))
        try:
            return None if content is None else _SOURCES.decode(content)
        except (msgspec.MsgspecError, ValueError):
            return None

    def keep_sources(self, file: RuleFile, sources: Sequence[RuleSource]) -> None:
        """Keep the rules that were read from a file, unless they are too large."""
        with contextlib.suppress(ValueError, OverflowError, TypeError):
            self._keep(_key_of_file(file), msgspec.msgpack.encode(sources))

    def close(self) -> None:
        """Close the file; the cache finds and keeps nothing any more."""
        with self._lock:
            self._stop()

    def _find(self, key: bytes) -> bytes | None:
        def found(connection: sqlite3.Connection) -> bytes | None:
            select = "SELECT digest, content, week FROM entries WHERE key = ?"
            digest, content, week = connection.execute(select, (key,)).fetchone() or (None,) * 3
            if not isinstance(content, bytes) or digest != _digest(key, content):
                return None
            if week != _week():
                update = "UPDATE entries SET week = ? WHERE key = ?"
                connection.execute(update, (_week(), key))
            return content

        return self._with_file(found)

    def _keep(self, key: bytes, content: bytes) -> None:
        if len(content) > MAX_ENTRY_BYTES:
            return
        entry = (key, _digest(key, content), content, _week())

        def kept(connection: sqlite3.Connection) -> None:
            insert = "INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?)"
            try:
                connection.execute(insert, entry)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
                    raise
                connection.execute(_FORGET_A_QUARTER)
                connection.execute(insert, entry)

        self._with_file(kept)

    def _with_file(self, use: Callable[[sqlite3.Connection], _T]) -> _T | None:
        if os.getpid() != self._process:
            return None
        with self._lock:
            try:
                if self._connection is None and not self._off:
                    self._connection = self._opened()
                return None if self._connection is None else use(self._connection)
            except (sqlite3.Error, OSError, ValueError) as error:
                self._stop()
                # Of a damaged file, even the message can be damaged, and is then no text.
                damaged = isinstance(error, UnicodeDecodeError)
                if damaged or getattr(error, "sqlite_errorcode", None) in _DAMAGED:
                    self._remove()
                return None

    def _opened(self) -> sqlite3.Connection | None:
        """Return the file if it is private; else the cache is off."""
        self._off = True
        folder = private_cache_folder("kestrel-eql")
        if folder is None:
            return None
        self._path = folder / _FILE
        with contextlib.suppress(FileExistsError):
            os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        # Opening and closing it here would give up the locks of other connections.
        status = self._path.lstat()
        if (
            not stat.S_ISREG(status.st_mode)
            or status.st_uid != os.getuid()
            or stat.S_IMODE(status.st_mode) != 0o600
            or status.st_nlink != 1
        ):
            return None
        connection = sqlite3.connect(
            self._path,
            timeout=_SECONDS_TO_WAIT,
            isolation_level=None,
            check_same_thread=False,
        )
        self._connection = connection
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")
        connection.execute(_TABLE)
        self._off = False
        return connection

    def _stop(self) -> None:
        self._off = True
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _remove(self) -> None:
        """Remove a damaged file, for the next process to begin a new one."""
        if self._path is not None:
            with contextlib.suppress(OSError):
                self._path.unlink()


def _key_of_text(text: str, settings: Settings, schema: SchemaRegistry) -> bytes:
    return _key("text", schema.fingerprint, settings.dialect.value, settings.fold, text)


def _key_of_file(file: RuleFile) -> bytes:
    return _key("file", file.path, file.content)


def _key(*parts: str | bool | bytes) -> bytes:
    return hashlib.sha256(repr((_origin(), *parts)).encode()).digest()


def _digest(key: bytes, content: bytes) -> bytes:
    return hashlib.sha256(key + content).digest()


def _week() -> int:
    return int(time.time() / _WEEK)


@cache
def _origin() -> str:
    """Return a digest of what compiles: this plugin, the kernel, and what they stand on."""
    digest = hashlib.sha256(f"{sys.version}\n{lark.__version__}\n".encode())
    for package in ("kestrel_eql", "kestrel_framework"):
        for file in sorted(files(package).iterdir(), key=lambda file: file.name):
            if file.name.endswith((".py", ".lark")):
                content = file.read_bytes()
                digest.update(f"{package}/{file.name}:{len(content)}\n".encode() + content)
    return digest.hexdigest()
