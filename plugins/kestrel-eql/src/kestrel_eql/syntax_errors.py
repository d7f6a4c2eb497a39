"""What to say of a text that does not parse.

lark is imported for that alone: a tenth of a second that texts which parse do not take.
"""

from __future__ import annotations

import re
from typing import Final

from lark import Lark
from lark.exceptions import UnexpectedInput, UnexpectedToken

from kestrel_eql.brackets import unclosed_bracket
from kestrel_eql.expectations import expected_words
from kestrel_eql.lark_parser import lark_parser
from kestrel_eql.problems import Problems
from kestrel_eql.slips import found_at, unexpected

_TEXT: Final = re.compile(r'\??"(?!"")(?:[^"\\\r\n]|\\.)*"|\??\'(?:[^\'\\\r\n]|\\.)*\'')


def report_syntax_error(text: str, problems: Problems) -> None:
    """Add what is wrong with a text that does not parse to `problems`."""
    lark = lark_parser()
    error = _syntax_error(lark, text)
    if isinstance(error, UnexpectedToken) and error.token.type == "$END":
        end = len(text.rstrip())
        unclosed = unclosed_bracket(text)
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


def _syntax_error(lark: Lark, text: str) -> UnexpectedInput:
    try:
        lark.parse(text)
    except UnexpectedInput as error:
        return error
    raise AssertionError("lark parses a text that its own table refuses")


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
