"""Makes the parser's table from the grammar: `python -m kestrel_eql.table_generator`.

lark computes it. What it makes of the same grammar is numbered anew each time; here states, rules
and scanners have the numbers in which they are met, so that the same grammar gives the same file.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import msgspec
from lark import Lark
from lark.grammar import Rule as LarkRule
from lark.grammar import Terminal
from lark.lexer import AbstractBasicLexer, BasicLexer, UnlessCallback
from lark.parsers.lalr_analysis import Shift

from kestrel_eql.lark_parser import lark_parser
from kestrel_eql.parser_table import FILE, ParserTable, Rule, Scanner, State
from kestrel_eql.tree_builder import TreeBuilder


def table_of(lark: Lark) -> ParserTable:
    """Return the table of a parser that was made with the rule `query` as its start."""
    frontend = lark.parser
    table = frontend.parser.parser.parse_table
    terminals = frontend.lexer_conf.terminals_by_name
    start: int = table.start_states["query"]
    numbers = {start: 0}
    scanners: list[Scanner] = []
    rules: dict[LarkRule, int] = {}
    states: list[State] = []
    waiting = [start]
    for number in waiting:
        shifts: dict[str, int] = {}
        reductions: dict[str, int] = {}
        for name, (action, target) in sorted(table.states[number].items()):
            if action is Shift:
                if target not in numbers:
                    numbers[target] = len(numbers)
                    waiting.append(target)
                shifts[name] = numbers[target]
            else:
                reductions[name] = rules.setdefault(target, len(rules))
        scanner = _scanner(frontend.lexer.lexers[number], frontend.lexer_conf.ignore)
        if scanner not in scanners:
            scanners.append(scanner)
        states.append(State(scanners.index(scanner), shifts, reductions))
    return ParserTable(
        "|".join(terminals[name].pattern.to_regexp() for name in frontend.lexer_conf.ignore),
        numbers[table.end_states["query"]],
        tuple(scanners),
        tuple(map(_rule, rules)),
        tuple(states),
    )


def _rule(rule: LarkRule) -> Rule:
    origin = str(rule.origin.name)
    kept = tuple(
        (index, not symbol.is_term and symbol.name.startswith("_"))
        for index, symbol in enumerate(rule.expansion)
        if not (isinstance(symbol, Terminal) and symbol.filter_out)
    )
    name = rule.alias or origin
    build = None if origin.startswith("_") or not hasattr(TreeBuilder, name) else name
    return Rule(
        origin, len(rule.expansion), kept, build, bool(rule.options.expand1) and not rule.alias
    )


def _scanner(lexer: AbstractBasicLexer, ignored: Collection[str]) -> Scanner:
    assert isinstance(lexer, BasicLexer)
    alternatives = (
        f"(?P<{terminal.name}>{terminal.pattern.to_regexp()})"
        for terminal in lexer.scanner.terminals
        if terminal.name not in ignored
    )
    words = {
        name: _words(unless)
        for name, unless in sorted(lexer.callback.items())
        if isinstance(unless, UnlessCallback)
    }
    return Scanner("|".join(alternatives), words)


def _words(unless: UnlessCallback) -> dict[str, str]:
    words = {word.pattern.value: word.name for word in unless.scanner.terminals}
    return dict(sorted(words.items()))


def written(table: ParserTable) -> str:
    """Return a table as JSON, with a line for each scanner, rule and state."""
    members = [
        f'"{name}": {_lines(getattr(table, name))}' for name in ParserTable.__struct_fields__
    ]
    return "{\n" + ",\n".join(members) + "\n}\n"


def _lines(value: object) -> str:
    if not isinstance(value, tuple):
        return msgspec.json.encode(value).decode()
    return "[\n" + ",\n".join(msgspec.json.encode(row).decode() for row in value) + "\n]"


if __name__ == "__main__":
    Path(str(FILE)).write_text(written(table_of(lark_parser())), encoding="utf-8")
