"""The parser's table is the one that lark makes of the grammar."""

from __future__ import annotations

from kestrel_eql.lark_parser import lark_parser
from kestrel_eql.parser_table import FILE
from kestrel_eql.table_generator import table_of, written


def test_the_table_is_that_of_the_grammar() -> None:
    assert FILE.read_text(encoding="utf-8") == written(table_of(lark_parser())), (
        "the grammar changed: python -m kestrel_eql.table_generator"
    )
