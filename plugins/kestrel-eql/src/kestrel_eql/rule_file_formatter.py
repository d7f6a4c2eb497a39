"""Formats the query in a rule file, and leaves all else in the file as it is."""

from __future__ import annotations

import re
import tomllib
from typing import Final

from kestrel_eql.eql_file import read_eql_file
from kestrel_eql.formatter import format_query
from kestrel_eql.rule_toml import read_rule_toml
from kestrel_eql.toml_text import file_text, parse_toml
from kestrel_framework.errors import RuleError, SourceLocation
from kestrel_framework.interfaces import RuleFile

_QUERY: Final = ("rule", "query")
_LITERAL: Final = re.compile(r"'''\n?((?:(?!''')(?s:.))*'{0,2})'''")
_BASIC: Final = re.compile(r'"""\n?((?:\\(?s:.)|(?!""")[^\\])*"{0,2})"""')


def format_rule_file(file: RuleFile) -> bytes:
    """Return the content of a rule file with its query in the usual layout.

    Front matter, and what TOML has besides the query, stay as they are, and so do the line
    ends of the file. A TOML file without an EQL rule is returned as it is.

    Raises:
        RuleError: the rule is wrong, or the file is written so that the query cannot be
            replaced without touching more than it; an `ExceptionGroup` of them where there
            are several.
    """
    text = file_text(file)
    if file.path.lower().endswith(".toml"):
        result = _formatted_toml(file, text)
    else:
        result = _formatted_eql(file, text)
    if result == text:
        return file.content
    return _in_style_of(file, result)


def _formatted_eql(file: RuleFile, text: str) -> str:
    source = read_eql_file(file)
    query = format_query(source.text, source.location)
    before = text[: len(text) - len(source.text)]
    front_matter = before.rstrip()
    if not front_matter:
        return query
    has_gap = before.count("\n", len(front_matter)) > 1
    return front_matter + ("\n\n" if has_gap else "\n") + query


def _formatted_toml(file: RuleFile, text: str) -> str:
    sources = [source for source in read_rule_toml(file) if source.language == "eql"]
    if not sources:
        return text
    (source,) = sources
    query = format_query(source.text, source.location)
    place = parse_toml(file.path, text).places.get(_QUERY)
    if query.strip() == source.text.strip():
        return text
    start = place.value if place else 0
    start -= text.startswith("\n", start - 1)
    literal, basic = _LITERAL.match(text, start - 3), _BASIC.match(text, start - 3)
    if place is not None and literal and literal[1] == source.text:
        found, spelled = literal, query
        possible = "'''" not in query
    elif place is not None and basic and basic[1] == _escaped(source.text):
        found, spelled = basic, _escaped(query)
        possible = True
    else:
        possible = False
    if not possible:
        problem = (
            "the query cannot be formatted where it is, because its spelling in TOML would have "
            "to change; write it as `query = '''...'''`"
        )
        raise RuleError(problem, source.location)
    result = f"{text[: found.start() + 3]}\n{spelled}{text[found.end() - 3 :]}"
    if not _differ_in_query_alone(text, result, query):
        raise RuleError("the query cannot be replaced in this file; please report it")
    return result


def _escaped(text: str) -> str:
    """Return a text as it is usually written between three double quotes."""
    return text.replace("\\", "\\\\").replace('"""', '""\\"')


def _differ_in_query_alone(text: str, result: str, query: str) -> bool:
    old, new = tomllib.loads(text), tomllib.loads(result)
    old["rule"]["query"] = query
    return old == new


def _in_style_of(file: RuleFile, text: str) -> bytes:
    """Return a text with the line ends and the byte-order mark that the file has.

    Raises:
        RuleError: the file has line ends of both kinds.
    """
    content = file.content
    windows, all_ends = content.count(b"\r\n"), content.count(b"\n")
    if 0 < windows < all_ends:
        problem = "the file has line ends of two kinds; give it those of one kind first"
        raise RuleError(problem, SourceLocation(file.path))
    if windows:
        text = text.replace("\n", "\r\n")
    encoded = text.encode()
    return b"\xef\xbb\xbf" + encoded if content.startswith(b"\xef\xbb\xbf") else encoded
