"""Runs of characters that every match of a regular expression contains.

Only what is beyond doubt is read: characters that stand for themselves, one after another,
outside of what may be absent. Whatever is not known to be read as RE2 does ends the reading,
and then nothing is required.
"""

from __future__ import annotations

import re
from typing import Final

_REPETITION: Final = re.compile(r"\{(?:0|[1-9]\d{0,3})(?:,(?:0|[1-9]\d{0,3})?)?\}", re.ASCII)
_OPTIONAL: Final = re.compile(r"[*?]|\{0[,}]")
_REPEATED: Final = re.compile(r"[*+?]|" + _REPETITION.pattern, re.ASCII)
_FLAGS: Final = re.compile(r"\(\?([imsU]*)(?:-[imsU]+)?([:)])")
_BEGIN_OF_GROUP: Final = re.compile(r"\((?!\?)|\(\?P?<\w+>", re.ASCII)
_CLASS_NAME: Final = re.compile(r"\[:\^?\w+:\]", re.ASCII)
_DEEPEST: Final = 50


class _DoubtError(Exception):
    """Something cannot be read without doubt."""


def required_runs(pattern: str, *, fold: bool) -> tuple[list[str], bool]:
    """Return runs of characters that a matching text contains, and whether case can differ.

    Args:
        pattern: A regular expression that RE2 takes; it is not checked.
        fold: Whether case makes no difference in all of it.
    """
    reader = _Reader(pattern, fold)
    try:
        return reader.alternatives(0), reader.fold
    except _DoubtError:
        return [], reader.fold


class _Reader:
    def __init__(self, pattern: str, fold: bool) -> None:
        self._pattern: Final = pattern
        self._place = 0
        self.fold = fold

    def alternatives(self, depth: int) -> list[str]:
        """Read to the end of a group, or of everything."""
        if depth > _DEEPEST:
            raise _DoubtError
        runs = self._sequence(depth)
        several = False
        while self._next() == "|":
            self._place += 1
            several = True
            self._sequence(depth)
        if depth == 0 and self._place < len(self._pattern):
            raise _DoubtError
        return [] if several else runs

    def _next(self) -> str:
        return self._pattern[self._place : self._place + 1]

    def _sequence(self, depth: int) -> list[str]:
        runs: list[str] = []
        run = ""
        while self._next() not in ("", "|", ")"):
            character, inner = self._one(depth)
            optional, repeated = self._repetition()
            if character and not optional:
                run += character
            if not character or optional or repeated:
                runs.append(run)
                run = ""
            if not optional:
                runs += inner
        runs.append(run)
        return [run for run in runs if run]

    def _one(self, depth: int) -> tuple[str, list[str]]:
        """Read one item: the character that it is, or "", and what it requires inside."""
        character = self._next()
        if character == "\\":
            return self._escape(), []
        if character == "[":
            self._class()
            return "", []
        if character == "(":
            return "", self._group(depth)
        if character in "*+?{":
            raise _DoubtError
        self._place += 1
        return "" if character in ".^$" else character, []

    def _escape(self) -> str:
        escaped = self._pattern[self._place + 1 : self._place + 2]
        self._place += 2
        if escaped.isascii() and escaped.isprintable() and not escaped.isalnum() and escaped != "_":
            return escaped
        if escaped and escaped in "dDsSwWbBAzafnrtv":
            return ""
        raise _DoubtError

    def _class(self) -> None:
        """Read `[...]`."""
        self._place += 1
        if self._next() == "^":
            self._place += 1
        first = True
        while first or self._next() != "]":
            first = False
            name = _CLASS_NAME.match(self._pattern, self._place)
            if name:
                self._place = name.end()
            else:
                self._place += 2 if self._next() == "\\" else 1
            if self._place >= len(self._pattern):
                raise _DoubtError
        self._place += 1

    def _group(self, depth: int) -> list[str]:
        flags = _FLAGS.match(self._pattern, self._place)
        begin = flags or _BEGIN_OF_GROUP.match(self._pattern, self._place)
        if not begin:
            raise _DoubtError
        self._place = begin.end()
        if flags:
            # Wherever the flag holds: case then makes no difference in what is looked for.
            self.fold = self.fold or "i" in flags[1]
            if flags[2] == ")":
                return []
        runs = self.alternatives(depth + 1)
        if self._next() != ")":
            raise _DoubtError
        self._place += 1
        return runs

    def _repetition(self) -> tuple[bool, bool]:
        """Read what says how often an item comes: whether it may be absent, or come again."""
        optional = repeated = False
        while found := _REPEATED.match(self._pattern, self._place):
            repeated = True
            optional = optional or _OPTIONAL.match(found[0]) is not None
            self._place = found.end()
        return optional, repeated
