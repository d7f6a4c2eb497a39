"""The parser, built from the grammar, or from the table that an earlier process left.

Building costs about 90 ms, loading a table about 12 ms, and nothing else depends on
it: where no private folder can be had, or a table is damaged, the parser is built.
Tables are JSON, so that reading one runs no code. Yet a table decides what rules
mean; so it is read only from a folder that nobody but this user can write to.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import sys
import tempfile
from importlib.resources import files
from pathlib import Path
from typing import Final

import lark
from lark import Lark
from lark.grammar import Rule
from lark.lexer import TerminalDef

_FOLDER: Final = "kestrel-eql"
_MAX_TABLE_BYTES: Final = 4 * 1024 * 1024


def load_parser() -> Lark:
    """Return the parser: from a table where one can be trusted, else built, and then stored."""
    grammar = files("kestrel_eql").joinpath("grammar.lark").read_text(encoding="utf-8")
    folder = private_cache_folder()
    if folder is None:
        return _built(grammar)
    table = folder / f"{_fingerprint(grammar)}.json"
    return _restored(table) or _stored(_built(grammar), table)


def private_cache_folder() -> Path | None:
    """Return the folder for tables, made if need be; `None` where it would not be private.

    It is `kestrel-eql` under `XDG_CACHE_HOME` (or `~/.cache`), a real directory that
    belongs to this user, with mode 0700.
    """
    if not hasattr(os, "getuid"):
        return None
    configured = os.environ.get("XDG_CACHE_HOME", "")
    try:
        base = Path(configured) if configured else Path.home() / ".cache"
        if not base.is_absolute():
            return None
        folder = base / _FOLDER
        base.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        status = folder.lstat()
    except (OSError, RuntimeError, ValueError):
        return None
    private = (
        stat.S_ISDIR(status.st_mode)
        and status.st_uid == os.getuid()
        and stat.S_IMODE(status.st_mode) == 0o700
    )
    return folder if private else None


def _fingerprint(grammar: str) -> str:
    versions = f"{lark.__version__}\n{sys.version_info[:2]}\n"
    return hashlib.sha256((versions + grammar).encode()).hexdigest()[:32]


def _built(grammar: str) -> Lark:
    return Lark(
        grammar,
        parser="lalr",
        lexer="contextual",
        start="query",
        maybe_placeholders=False,
    )


def _restored(table: Path) -> Lark | None:
    try:
        with os.fdopen(os.open(table, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            content = file.read(_MAX_TABLE_BYTES)
        data = _with_integer_keys(json.loads(content))
        parser: Lark = Lark.__new__(Lark)._load(data)
        parser.parse("any where true")
    except Exception:  # noqa: BLE001 - a damaged table can fail in any way, and is then ignored
        return None
    return parser


def _stored(parser: Lark, table: Path) -> Lark:
    data, memo = parser.memo_serialize([TerminalDef, Rule])
    content = json.dumps({"data": data, "memo": memo}, separators=(",", ":"))
    with contextlib.suppress(OSError):
        handle, name = tempfile.mkstemp(dir=table.parent, prefix=".table-")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(content)
            Path(name).replace(table)
        except OSError:
            Path(name).unlink()
            raise
    return parser


def _with_integer_keys(data: object) -> object:
    """JSON has only text keys; the table's states and symbols are numbers."""
    if isinstance(data, dict):
        return {
            int(key) if key.isdigit() else key: _with_integer_keys(value)
            for key, value in data.items()
        }
    if isinstance(data, list):
        return [_with_integer_keys(item) for item in data]
    return data
