"""The page about EQL names all that the language has, and nothing else."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Final

import pytest

import kestrel_eql
from kestrel_eql import Dialect, EqlCompiler, eql_file
from kestrel_eql.expectations import KEYWORDS
from kestrel_eql.foreign_words import FOREIGN_WORDS
from kestrel_eql.functions import FUNCTIONS
from kestrel_framework.errors import RuleError, SourceLocation
from kestrel_framework.rule import Rule, RuleMetadata, RuleSource, errors_in
from kestrel_framework.schema import FieldType, SchemaRegistry

PAGE: Final = Path(__file__).parents[2] / "docs" / "reference" / "eql.md"
TEXT: Final = PAGE.read_text(encoding="utf-8")
DIALECTS: Final = {"both": {"elastic", "endgame"}, "elastic": {"elastic"}, "endgame": {"endgame"}}
NAMES_IN_THE_GRAMMAR: Final = {"descendant", "child", "event", "maxspan", "runs"}
WRITTEN_AS_PATTERNS: Final = ("//", "%", "_P", "STRING", "RAW_STRING")
UNITS: Final = {"ms", "s", "m", "h", "d"}

SAYING: Final = {"error", "warn", "refuse", "remark", "ValueError", "_report"}
"""What is called with a message."""
KEPT: Final = {"problem", "hint", "instead"}
"""The variables that keep a message, or a part of one."""
READERS_OF_FILES: Final = {
    "commands.py", "compiler.py", "eql_file.py", "formatter.py", "metadata_reader.py",
    "rule_file_formatter.py", "rule_toml.py", "toml_text.py",
}  # fmt: skip
"""Modules whose messages are not about the language."""
SHORTEST_MESSAGE: Final = 8


def compiled(text: str, dialect: str = "elastic") -> Rule:
    location = SourceLocation("rule", 1, 1)
    source = RuleSource(RuleMetadata("example"), "eql", text, location, {"dialect": dialect})
    return EqlCompiler().compile(source, SchemaRegistry.ecs())


def section(title: str) -> str:
    """Return what stands under a heading, up to the next one of its level or above."""
    found = re.search(rf"^(#+) {re.escape(title)}\n", TEXT, re.MULTILINE)
    assert found is not None, title
    rest = TEXT[found.end() :]
    following = re.search(rf"^#{{1,{len(found[1])}}} ", rest, re.MULTILINE)
    return rest[: following.start()] if following else rest


def rows_under(title: str, first_column: str) -> list[list[str]]:
    """Return the rows of the table under a heading that begins with that column."""
    found = re.search(
        rf"^\| {first_column} \|.*\n\|---.*\n((?:\|.*\n)+)", section(title), re.MULTILINE
    )
    assert found is not None, title
    return [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", row.strip().strip("|"))]
        for row in found[1].splitlines()
    ]


def in_code(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_the_table_of_functions_is_that_of_the_compiler() -> None:
    shown = {
        re.split(r"\W", name)[0]: (bool(fold), DIALECTS[dialects])
        for cell, _, fold, dialects in rows_under("Functions", "function")
        for name in in_code(cell)
    }
    known = {
        function.name: (function.folds, {dialect.value for dialect in function.dialects})
        for function in FUNCTIONS.values()
    }
    assert shown == known


@pytest.mark.parametrize("name", sorted(function.name for function in FUNCTIONS.values()))
def test_every_function_has_an_example(name: str) -> None:
    assert re.search(rf"^\| `[^|]*{re.escape(name)}~?\(.*\)[^|]*` \|", TEXT, re.MULTILINE)


def test_the_page_lists_the_key_words() -> None:
    found = re.search(r"^Key words are in lower case: ((?:.*\n)+?)\n", TEXT, re.MULTILINE)
    assert found is not None
    assert sorted(in_code(found[1])) == sorted(KEYWORDS.values())


def test_the_grammar_of_the_page_has_the_words_and_signs_of_the_grammar() -> None:
    page = re.search(r"^```ebnf\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    assert page is not None
    lark = resources.files(kestrel_eql).joinpath("grammar.lark").read_text(encoding="utf-8")
    lines = [line for line in lark.splitlines() if not line.startswith(WRITTEN_AS_PATTERNS)]
    known = set(re.findall(r'(?<!\\)"([^"\\\s]+)"', "\n".join(lines)))
    shown = set(re.findall(r'"([^"]+)"', page[1])) - NAMES_IN_THE_GRAMMAR - UNITS
    of_paths = {".", "`", "$", "_", "@"}
    assert shown - of_paths == known - of_paths


def test_the_units_of_time_are_those_of_the_page() -> None:
    for unit in UNITS:
        compiled(f"sequence with maxspan=2{unit} [any where true] [any where true]")
    with pytest.raises(RuleError, match="there is ms, s, m, h and d"):
        compiled("sequence with maxspan=2w [any where true] [any where true]")


def test_the_table_of_pipes_is_that_of_the_compiler() -> None:
    shown = {in_code(cell)[0].split()[0] for cell, *_ in rows_under("Pipes", "pipe")}
    with pytest.raises(RuleError) as raised:
        compiled("any where true | nothing", "endgame")
    known = raised.value.problem.partition("there is ")[2].split(", ")
    assert shown == set(known)


ARGUMENTS: Final = {"condition": "true", "value, ...": "process.name"}


@pytest.mark.parametrize("row", rows_under("Pipes", "pipe"), ids=lambda row: row[0])
def test_a_pipe_is_in_the_dialects_and_on_the_streams_that_the_page_says(row: list[str]) -> None:
    call, _, dialects, stream = row
    pipe = in_code(call)[0]
    for shown, written in ARGUMENTS.items():
        pipe = pipe.replace(shown, written)
    for dialect in Dialect:
        if dialect.value in DIALECTS[dialects]:
            rule = compiled(f"process where true | {pipe}", dialect.value)
            assert (rule.streaming_problem is None) == (stream == "yes")
        else:
            with pytest.raises(RuleError):
                compiled(f"process where true | {pipe}", dialect.value)


def test_every_type_of_fields_is_on_the_page() -> None:
    shown = {name for cell, *_ in rows_under("Types", "type") for name in in_code(cell)}
    assert shown == {field_type.value for field_type in FieldType} | {"alias"}


def test_the_front_matter_on_the_page_has_every_key() -> None:
    page = re.search(r"^```eql file\n(.*?)\*/", TEXT, re.MULTILINE | re.DOTALL)
    assert page is not None
    shown = re.findall(r"^(\w+) = |^\[\[(\w+)\]\]|# or (\w+) =", page[1], re.MULTILINE)
    known = {*eql_file._KEYS, *eql_file._THREAT_KEYS}
    assert {name for names in shown for name in names if name} == known


# --- limits ----------------------------------------------------------------------------


BEYOND: Final = {
    "the text of a rule": "any where true" + " " * 100_000,
    "names, texts and signs of a rule": "any where " + "a and " * 10_000 + "a",
    "conditions and values of a rule, for each run anew": "sequence with maxspan=1s [any where "
    + " or ".join(f'user.id == "{number}"' for number in range(110))
    + "] with runs=100",
    "an endgame pattern with `*` and `?`": f'any where process.name == "*?{"θ" * 99_000}"',
    "brackets in each other": "any where " + "(" * 65 + "true" + ")" * 65,
    "operators in each other": "any where " + "not " * 65 + "true",
    "conditions as values in each other": "any where " + "(" * 6 + "true" + " == x)" * 6,
    "array searches in each other": "any where "
    + "_arraysearch(process.args, $x, " * 5
    + "true"
    + ")" * 5,
    "steps of a sequence, runs written out": "sequence with maxspan=1s "
    + "[any where true] with runs=100 " * 6,
    "`with runs`": "sequence with maxspan=1s [any where true] with runs=101",
    "whole numbers": "any where x == 9223372036854775809",
    "positions": "any where process.args[1234567890] == null",
    "`maxspan`": "sequence with maxspan=200000d [any where true] [any where true]",
    "counts of a repetition in a regular expression": 'any where process.name regex "a{1001}"',
    "all regular expressions of a rule, compiled": "any where process.name regex ("
    + ", ".join(f'"a{{1000}}{number}"' for number in range(250))
    + ")",
}


@pytest.mark.parametrize("row", rows_under("Limits", "what"), ids=lambda row: row[0])
def test_what_is_beyond_a_limit_is_refused_as_the_page_says(row: list[str]) -> None:
    what, _, says = row
    if says == "–":
        return
    with pytest.raises((RuleError, ExceptionGroup)) as raised:
        compiled(BEYOND[what], "endgame" if "endgame" in what else "elastic")
    assert isinstance(raised.value, (RuleError, ExceptionGroup))
    assert says in [error.problem for error in errors_in(raised.value)]


# --- messages --------------------------------------------------------------------------


def pattern_of(node: ast.expr) -> str:
    """Return a regular expression of the texts that an expression can be; "" for any."""
    match node:
        case ast.Constant(value=str() as text):
            return re.escape(text)
        case ast.JoinedStr(values=parts):
            return "".join(
                re.escape(str(part.value)) if isinstance(part, ast.Constant) else ".*"
                for part in parts
            )
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return f"{pattern_of(left) or '.*'}{pattern_of(right) or '.*'}"
        case _:
            return ""


def messages_in(path: Path) -> Iterator[tuple[str, str]]:
    """Yield where a module has a message, and a regular expression of it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=[said, *_]):
                wanted = name in SAYING
            case ast.Assign(targets=[ast.Name(id=name)], value=said):
                wanted = name in KEPT
            case ast.Return(value=ast.expr() as said):
                wanted = path.name == "slips.py"
            case _:
                continue
        for part in ast.walk(said) if isinstance(said, (ast.IfExp, ast.BoolOp)) else [said]:
            pattern = pattern_of(part) if wanted and isinstance(part, ast.expr) else ""
            if len(pattern.replace(".*", "")) >= SHORTEST_MESSAGE:
                yield f"{path.name}:{node.lineno}", pattern


def test_the_page_has_every_word_of_other_languages() -> None:
    rows = [
        (cell.strip("`").replace("\\|", "|"), remedy.replace("\\|", "|"))
        for cell, remedy in rows_under("Words of other languages", "word")
    ]
    assert dict(rows) == FOREIGN_WORDS


@pytest.mark.parametrize("word", FOREIGN_WORDS)
def test_a_word_of_another_language_is_met_with_its_remedy(word: str) -> None:
    with pytest.raises(RuleError) as raised:
        compiled(f"any where process.name {word} user.name")
    assert raised.value.problem == f"unexpected `{word}`: {FOREIGN_WORDS[word]}"


def test_every_message_of_the_compiler_is_on_the_page() -> None:
    shown = TEXT.replace("\\|", "|")
    folder = Path(str(resources.files(kestrel_eql)))
    modules = [path for path in folder.glob("*.py") if path.name not in READERS_OF_FILES]
    found = [message for path in modules for message in messages_in(path)]
    assert len(found) > 100
    assert [(place, text) for place, text in found if not re.search(text, shown)] == []
