"""TOML as rule files use it: parsed within limits, with the places of its keys.

`tomli` (the `tomllib` of Python, compiled: three times as fast) gives values without places. For
messages that point somewhere, this module finds keys and values in the text again, when somebody
asks where they are; it only looks, and never decides what a value is.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time
from functools import cache, cached_property
from typing import Final, TypeAlias

import attrs
import tomli

from kestrel_framework.errors import RuleError, SourceLocation
from kestrel_framework.interfaces import RuleFile

MAX_FILE_BYTES: Final = 1024 * 1024
"""How large a rule file may be."""
_MAX_KEY_PARTS: Final = 16
_MAX_DEPTH: Final = 32

Path: TypeAlias = tuple[str, ...]

_LONG_TEXT: Final = (
    r'"""(?:[^"\\]++|\\(?s:.)|"(?!""))*+(?:"{3,5}|\\?\Z)'
    r"|'''(?:[^']++|'(?!''))*+(?:'{3,5}|\Z)"
)
_OPAQUE: Final = re.compile(
    rf'{_LONG_TEXT}|"(?:[^"\\\n]++|\\.)*+"?'
    r"|'[^'\n]*+'?"
    r"|#[^\n]*+"
)
"""Texts and comments. A text that is never closed ends with its line or the file: looking for
its end again from each quote inside it would take quadratic time."""
_TOKEN: Final = re.compile(rf"{_OPAQUE.pattern}|[\[\]{{}}=\n]|[^\s\[\]{{}}=\"'#]+")
_LONG_KEY: Final = re.compile(rf"(?<![\w-])(?:[\w-]++[ \t]*+\.[ \t]*+){{{_MAX_KEY_PARTS}}}")
_BLANK: Final = re.compile(r"(?:\s++|#[^\n]*+)*+")
_BARE_KEY: Final = re.compile(r"([A-Za-z0-9_-]++)[ \t]*+=[ \t]*+")
_TEXT: Final = r'"(?!"")(?:[^"\\\n]++|\\.)*+"'
_SIMPLE_PAIR: Final = re.compile(
    rf"([A-Za-z0-9_-]++)[ \t]*+=[ \t]*+"
    rf"({_LONG_TEXT}|{_TEXT}|[0-9.]++|true|false|\[(?:[\s,]++|{_TEXT})*+\])[ \t]*+(?=\n)"
)
"""What most lines are: a bare key, and a value that ends with its line. A list is one of texts."""
_BRACKET: Final = re.compile(r"[\[\]{}]")
_SPACES: Final = re.compile(r"[ \t]*+")
_PART: Final = re.compile(r'"((?:\\.|[^"\\])*)"|\'([^\']*)\'|([A-Za-z0-9_-]+)')
_count_dots: Final = operator.methodcaller("count", ".")
_WHERE: Final = re.compile(r"\(at line (\d+), column (\d+)\)$")


@attrs.frozen
class KeyPlace:
    """Where a key begins, and where the content of its value does (after an opening quote)."""

    key: int
    value: int


@attrs.frozen(slots=False)
class TomlText:
    """A TOML text: its values, and where they are.

    `offset` is where the text begins in the whole file.
    """

    path: str
    whole: str
    offset: int
    text: str = attrs.field(repr=False)
    values: Mapping[str, object] = attrs.field(repr=False)

    @cached_property
    def places(self) -> Mapping[Path, KeyPlace]:
        """Where the keys are; of one that is there twice, the first place."""
        places: dict[Path, KeyPlace] = {}
        for key, place, _ in _find_places(self.text):
            places.setdefault(key, place)
        return places

    def location(self, path: Path) -> SourceLocation:
        """Return the place of a key, or of the nearest table around it that has one."""
        while path and path not in self.places:
            path = path[:-1]
        if not path:
            return SourceLocation(self.path)
        return SourceLocation.in_text(self.path, self.whole, self.offset + self.places[path].key)

    def value_location(self, path: Path) -> SourceLocation:
        """Return where the content of a value begins; line 1 where it cannot be found."""
        others = _other_pairs(path[-1])
        places = _find_places(self.text, others)
        place = next((place for key, place, _ in places if key == path), None)
        offset = 0 if place is None else self.offset + place.value
        return SourceLocation.in_text(self.path, self.whole, offset)


def file_text(file: RuleFile) -> str:
    """Return the text of a rule file, with a single line feed at the end of every line.

    Raises:
        RuleError: it is too large, or is not UTF-8.
    """
    if len(file.content) > MAX_FILE_BYTES:
        problem = f"the file has {len(file.content):,} bytes; the limit is {MAX_FILE_BYTES:,}"
        raise RuleError(problem, SourceLocation(file.path))
    try:
        return file.text().replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = file.content.count(b"\n", 0, error.start) + 1
        raise RuleError("the file is not UTF-8", SourceLocation(file.path, line)) from error


def parse_toml(path: str, whole: str, start: int = 0, end: int | None = None) -> TomlText:
    """Parse a TOML text, which may be a part of a file.

    Raises:
        RuleError: it is not TOML, or nests deeper than a rule file needs.
    """
    text = whole[start:end]
    deepest = _find_deep_value(text)
    if deepest is None:
        deepest = _find_long_key(text)
    if deepest is not None:
        location = SourceLocation.in_text(path, whole, start + deepest)
        raise RuleError("the TOML nests too deeply", location)
    try:
        values = tomli.loads(text)
    except RecursionError:
        raise RuleError("the TOML nests too deeply", SourceLocation(path)) from None
    except ValueError as error:
        raise _toml_error(error, path, whole, start, text) from None
    return TomlText(path, whole, start, text, values)


def plain(value: object) -> object:
    """Return a TOML value as data that JSON has: dates become texts."""
    if isinstance(value, dict):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return value.isoformat() if isinstance(value, (datetime, date, time)) else value


def _toml_error(error: ValueError, path: str, whole: str, start: int, text: str) -> RuleError:
    message = str(error)
    where = _WHERE.search(message)
    if where is not None:
        lines = text.split("\n")
        before = sum(len(line) + 1 for line in lines[: int(where[1]) - 1])
        offset = start + before + int(where[2]) - 1
    else:
        offset = start + len(text.rstrip()) if "end of document" in message else start
    problem = _WHERE.sub("", message).removesuffix("(at end of document)").strip()
    location = SourceLocation.in_text(path, whole, offset)
    return RuleError(f"this is not TOML: {problem[:1].lower()}{problem[1:]}", location)


@cache
def _other_pairs(key: str) -> re.Pattern[str]:
    """Return what matches simple pairs, as many as there are, with other keys than this one."""
    other = rf"(?!{re.escape(key)}[ \t=]){_SIMPLE_PAIR.pattern}"
    return re.compile(rf"(?:{_BLANK.pattern}{other})*+")


def _find_places(
    text: str, skipped: re.Pattern[str] | None = None
) -> Iterator[tuple[Path, KeyPlace, int]]:
    """Yield each key with its place, and how deep its value nests, in their order.

    Pairs that `skipped` matches are left out.
    """
    table: Path = ()
    position = 0
    while position < len(text):
        if skipped is not None:
            position = _past(skipped, text, position)
        start = position = _past(_BLANK, text, position)
        if position >= len(text):
            break
        if text[position] == "[":
            end = text.find("\n", position)
            end = len(text) if end < 0 else end
            table = _key_path(text[position:end].strip("[] \t"))
            yield table, KeyPlace(start, start), 0
            position = end
            continue
        simple = _SIMPLE_PAIR.match(text, position)
        if simple is not None:
            position, value = simple.end(), simple.start(2)
            place = KeyPlace(start, _content_start(text, value))
            yield (*table, simple[1]), place, int(text[value] == "[")
            continue
        bare = _BARE_KEY.match(text, position)
        if bare is not None:
            key, value = (*table, bare[1]), bare.end()
        else:
            equals = _find_equals(text, position)
            if equals is None:
                break
            key = table + _key_path(text[position:equals])
            value = _past(_SPACES, text, equals + 1)
        position, depth = _value_end(text, value)
        yield key, KeyPlace(start, _content_start(text, value)), depth


def _find_deep_value(text: str) -> int | None:
    """Return where the key of a value is that nests too deeply, if there is one."""
    if text.count("[") + text.count("{") <= _MAX_DEPTH:
        return None
    depth = 0
    for bracket in _BRACKET.findall(_OPAQUE.sub("", text)):
        depth = depth + 1 if bracket in "[{" else max(depth - 1, 0)
        if depth > _MAX_DEPTH:  # or the brackets do not match: one has to look closely
            places = _find_places(text)
            return next((place.key for _, place, deep in places if deep > _MAX_DEPTH), None)
    return None


def _find_long_key(text: str) -> int | None:
    """Return where a key with very many dots is: `tomli` takes quadratic time for one."""
    if max(map(_count_dots, text.split("\n"))) < _MAX_KEY_PARTS:
        return None
    bare = _OPAQUE.sub(lambda found: "_" * len(found[0]), text)
    found = _LONG_KEY.search(bare)
    return None if found is None else found.start()


def _past(pattern: re.Pattern[str], text: str, position: int) -> int:
    found = pattern.match(text, position)
    return position if found is None else found.end()


def _find_equals(text: str, position: int) -> int | None:
    for token in _TOKEN.finditer(text, position):
        if token[0] == "=":
            return token.start()
        if token[0] == "\n":
            return None
    return None


def _content_start(text: str, value: int) -> int:
    for quote in ('"""', "'''"):
        if text.startswith(quote, value):
            start = value + len(quote)
            return start + 1 if text.startswith("\n", start) else start
    return value + 1 if text.startswith(('"', "'"), value) else value


def _value_end(text: str, position: int) -> tuple[int, int]:
    """Return where a value ends, and how deep it nested."""
    depth = deepest = 0
    for token in _TOKEN.finditer(text, position):
        kind = token[0]
        if kind in ("[", "{"):
            depth += 1
            deepest = max(deepest, depth)
        elif kind in ("]", "}"):
            depth -= 1
        elif kind == "\n" and depth <= 0:
            return token.start(), deepest
    return len(text), deepest


def _key_path(text: str) -> Path:
    return tuple(a or b or c for a, b, c in _PART.findall(text))
