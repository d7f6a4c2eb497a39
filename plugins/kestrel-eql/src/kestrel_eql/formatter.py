"""Formats rules: the same meaning and the same comments, in lines that are easy to read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from kestrel_eql import syntax
from kestrel_eql.parser import MAX_CHARACTERS, parse_into
from kestrel_eql.pieces import comments_between, pieces_of
from kestrel_eql.problems import Problems, TextPlaces
from kestrel_eql.rule_layout import layout_of
from kestrel_eql.rule_printer import printed
from kestrel_eql.tree_builder import Token
from kestrel_framework.errors import SourceLocation

_MOST_ROUNDS: Final = 4
_LINE_END: Final = re.compile(r"\r\n?")


def format_query(text: str, begin: SourceLocation | None = None) -> str:
    """Return an EQL text in the usual layout, with a line feed at the end.

    Pure: formatting what was formatted changes nothing. The result is parsed again, and
    is only returned if it means the same and has the same comments. Cost: about ten times
    that of parsing.

    Args:
        text: EQL in any dialect, without front matter.
        begin: Where it begins in its file, for messages.

    Raises:
        RuleError: the text is not EQL; an `ExceptionGroup` of them where several
            things are wrong with it.
    """
    text = _LINE_END.sub("\n", text)
    problems = Problems(TextPlaces(text, begin or SourceLocation("<rule>", 1, 1)))
    query, tokens = _parsed(text, problems)
    pieces = pieces_of(text, tokens)
    result = printed(pieces, layout_of(pieces))
    if any(comments_between(text, tokens)):
        result = _settled(result, problems)
    if len(result) > MAX_CHARACTERS:
        problem = f"formatted, the rule would have {len(result):,} characters"
        problems.error(f"{problem}; the limit is {MAX_CHARACTERS:,}", 0)
        problems.throw()
    if result != text:
        again, new_tokens = _parsed(result, problems)
        same_comments = comments_between(text, tokens) == comments_between(result, new_tokens)
        if again != query or not same_comments:
            problems.error("the formatter would change what this rule says; please report it", 0)
            problems.throw()
    return result


def _settled(result: str, problems: Problems) -> str:
    """Return what printing once more does not change: comments may have moved between lines."""
    for _ in range(_MOST_ROUNDS):
        _, tokens = _parsed(result, problems)
        pieces = pieces_of(result, tokens)
        again = printed(pieces, layout_of(pieces))
        if again == result:
            break
        result = again
    return result


def _parsed(text: str, problems: Problems) -> tuple[syntax.Query, Sequence[Token]]:
    tokens: list[Token] = []
    query = parse_into(text, problems, tokens=tokens)
    if query is None or problems:
        problems.throw()
    return query, tokens
