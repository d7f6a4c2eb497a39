"""From the text of a rule to its syntax tree.

Whatever the text is, the outcome is a tree or an error with a place: limits on
size and nesting are checked before the parser sees a text.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final

from lark import Lark
from lark.exceptions import UnexpectedInput, UnexpectedToken

from kestrel_eql import syntax
from kestrel_eql.dialect import Dialect
from kestrel_eql.expectations import expected_words
from kestrel_eql.parser_table import load_parser
from kestrel_eql.problems import Problems, TextPlaces
from kestrel_eql.slips import found_at, unexpected
from kestrel_eql.table_parser import TableParser, TooManyTokensError
from kestrel_eql.tree_builder import Token, TreeBuilder
from kestrel_framework.errors import SourceLocation

MAX_CHARACTERS: Final = 100_000
"""How long the text of a rule may be."""
MAX_TOKENS: Final = 10_000
"""How many names, texts and signs a rule may have."""
MAX_NESTING: Final = 64
"""How deep brackets, and operators in a tree, may nest."""

_NESTING: Final = re.compile(
    r'"""[^\r\n]*?"{3,5}(?!")'
    r'|"(?:[^"\\\r\n]|\\.)*+"?'
    r"|'(?:[^'\\\r\n]|\\.)*+'?"
    r"|`[^`\r\n]*`"
    r"|//[^\r\n]*"
    r"|/\*(?s:.)*?(?:\*/|\Z)"
    r"|(?P<open>[(\[])|(?P<close>[)\]])"
)

_TEXT: Final = re.compile(r'\??"(?!"")(?:[^"\\\r\n]|\\.)*"|\??\'(?:[^\'\\\r\n]|\\.)*\'')


@cache
def _parsers() -> tuple[Lark, TableParser]:
    lark = load_parser()
    return lark, TableParser(lark)


def parse(text: str, *, path: str = "<rule>") -> syntax.Query:
    """Return the syntax tree of an EQL text.

    Raises:
        RuleError: the text is not EQL; an `ExceptionGroup` of them where several
            things are wrong with it.
    """
    problems = Problems(TextPlaces(text, SourceLocation(path, 1, 1)))
    tree = parse_into(text, problems)
    if tree is None or problems:
        problems.throw()
    return tree


def parse_into(
    text: str,
    problems: Problems,
    dialect: Dialect | None = None,
    tokens: list[Token] | None = None,
) -> syntax.Query | None:
    """Return the syntax tree, with what is wrong added to `problems`.

    `None` where the text has no structure at all. A tree may come with errors,
    so that more of them can be found. Without a `dialect`, what any of them can write is right.
    The tokens are added to `tokens`, if they are wanted; what is between two is a blank or a
    comment.
    """
    if not _within_limits(text, problems):
        return None
    lark, table_parser = _parsers()
    found: list[tuple[str, int]] = []
    builder = TreeBuilder(lambda *problem: found.append(problem), dialect)
    try:
        query = table_parser.parse(text, builder, MAX_TOKENS, tokens)
    except TooManyTokensError as error:
        problems.error(
            f"the rule is too long: {MAX_TOKENS:,} names, texts and signs are the limit",
            error.offset,
        )
        return None
    if query is None:
        _report(_syntax_error(lark, text), lark, text, problems)
        return None
    for problem, offset in found:
        problems.error(problem, offset)
    for expression in syntax.expressions_of(query):
        deep = syntax.too_deep(expression, MAX_NESTING)
        if deep is not None:
            problems.error(f"operators nest deeper than {MAX_NESTING} levels", deep.position)
            return None
    return query


def _within_limits(text: str, problems: Problems) -> bool:
    if len(text) > MAX_CHARACTERS:
        problems.error(f"the rule has {len(text):,} characters; the limit is {MAX_CHARACTERS:,}", 0)
        return False
    if text.count("(") + text.count("[") <= MAX_NESTING:
        return True
    depth = 0
    for token in _NESTING.finditer(text):
        if token["open"]:
            depth += 1
        elif token["close"]:
            depth -= 1
        if depth > MAX_NESTING:
            problems.error(f"brackets nest deeper than {MAX_NESTING} levels", token.start())
            return False
    return True


# --- what to say of a text that does not parse ----------------------------------


def _syntax_error(lark: Lark, text: str) -> UnexpectedInput:
    try:
        lark.parse(text)
    except UnexpectedInput as error:
        return error
    raise AssertionError("lark parses a text that its own table refuses")


def _report(error: UnexpectedInput, lark: Lark, text: str, problems: Problems) -> None:
    if isinstance(error, UnexpectedToken) and error.token.type == "$END":
        end = len(text.rstrip())
        unclosed = _unclosed_bracket(text)
        if not text.strip():
            problems.error("the rule is empty", 0)
        elif unclosed is not None:
            problems.error(f"`{text[unclosed]}` is never closed", unclosed)
        else:
            words = expected_words(error.accepts or error.expected)
            problems.error(f"the rule ends too early: expected {words}", end)
        return
    offset = error.pos_in_stream or 0
    problem = _broken_token(text, offset)
    if problem is None:
        accepted = _accepted(error, lark, text[:offset])
        found, offset = found_at(text, offset)
        problem = unexpected(found, accepted, text[:offset])
    problems.error(problem, offset)


def _accepted(error: UnexpectedInput, lark: Lark, before: str) -> set[str]:
    if isinstance(error, UnexpectedToken):
        return set(error.accepts or error.expected)
    try:
        parser = lark.parse_interactive(before)
        parser.exhaust_lexer()
        return set(parser.accepts())  # type: ignore[no-untyped-call]
    except UnexpectedInput:
        return set()


def _broken_token(text: str, offset: int) -> str | None:
    if _TEXT.match(text, offset):
        return None
    rest = text[offset : offset + 3]
    if rest.startswith('"""'):
        return '`"""` is never closed on its line'
    if rest.startswith(('"', "'")) or rest[:2] in ('?"', "?'"):
        return f"the text that begins with `{rest[0]}` is never closed on its line"
    if rest.startswith("/*") or text[max(offset - 1, 0) : offset + 1] == "/*":
        return "the comment `/*` is never closed"
    if rest.startswith("`"):
        return "the name that begins with a backtick is never closed"
    return None


def _unclosed_bracket(text: str) -> int | None:
    waiting: list[int] = []
    for token in _NESTING.finditer(text):
        if token["open"]:
            waiting.append(token.start())
        elif token["close"] and waiting:
            waiting.pop()
    return waiting[-1] if waiting else None
