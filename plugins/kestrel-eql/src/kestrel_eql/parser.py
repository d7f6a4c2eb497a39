"""From the text of a rule to its syntax tree.

Whatever the text is, the outcome is a tree or an error with a place: limits on
size and nesting are checked before the parser sees a text.
"""

from __future__ import annotations

from functools import cache
from typing import Final

from kestrel_eql import syntax
from kestrel_eql.brackets import bracket_too_deep
from kestrel_eql.dialect import Dialect
from kestrel_eql.parser_table import read_table
from kestrel_eql.problems import Problems, TextPlaces
from kestrel_eql.table_parser import TableParser, TooManyTokensError
from kestrel_eql.tree_builder import Token, TreeBuilder
from kestrel_framework.errors import SourceLocation

MAX_CHARACTERS: Final = 100_000
"""How long the text of a rule may be."""
MAX_TOKENS: Final = 10_000
"""How many names, texts and signs a rule may have."""
MAX_NESTING: Final = 64
"""How deep brackets, and operators in a tree, may nest."""


@cache
def _parser() -> TableParser:
    return TableParser(read_table())


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
    found: list[tuple[str, int]] = []
    builder = TreeBuilder(lambda *problem: found.append(problem), dialect)
    try:
        query = _parser().parse(text, builder, MAX_TOKENS, tokens)
    except TooManyTokensError as error:
        problems.error(
            f"the rule is too long: {MAX_TOKENS:,} names, texts and signs are the limit",
            error.offset,
        )
        return None
    if query is None:
        from kestrel_eql.syntax_errors import report_syntax_error

        report_syntax_error(text, problems)
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
    deep = bracket_too_deep(text, MAX_NESTING)
    if deep is not None:
        problems.error(f"brackets nest deeper than {MAX_NESTING} levels", deep)
    return deep is None
