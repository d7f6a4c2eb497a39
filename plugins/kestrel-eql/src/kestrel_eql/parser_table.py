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
import sys
import tempfile
from importlib.resources import files
from pathlib import Path
from typing import Final

import lark
from lark import Lark
from lark.grammar import Rule
from lark.lexer import TerminalDef

from kestrel_framework.cache_folder import private_cache_folder

_MAX_TABLE_BYTES: Final = 4 * 1024 * 1024


def load_parser() -> Lark:
    """Return the parser: from a table where one can be trusted, else built, and then stored."""
    grammar = files("kestrel_eql").joinpath("grammar.lark").read_text(encoding="utf-8")
    folder = private_cache_folder("kestrel-eql")
    if folder is None:
        return _built(grammar)
    table = folder / f"{_fingerprint(grammar)}.json"
    return _restored(table) or _stored(_built(grammar), table)


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
