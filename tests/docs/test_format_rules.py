"""The how-to about formatting says what the formatter does, and which nodes a tree has."""

from __future__ import annotations

import inspect
import re
import shlex
import subprocess
import sys
from pathlib import Path

import attrs
import pytest

from kestrel_eql import format_query, syntax
from kestrel_eql.parser import parse
from kestrel_eql.syntax_report import SyntaxReport
from kestrel_framework.errors import SourceLocation

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "format-rules.md"
TEXT = PAGE.read_text(encoding="utf-8")
EXAMPLES = re.findall(
    r"<!-- before -->\n```eql\n(.*?)```\n\n<!-- after -->\n```eql\n(.*?)```\n", TEXT, re.DOTALL
)
NODES = {
    name: re.findall(r"`(\w+)`", re.sub(r"\(.*?\)", "", parts))
    for name, parts in re.findall(r"^\| `(\w+)` \| (.*) \|$", TEXT, re.MULTILINE)
    if name != "node"
}
EVERYTHING = (
    "sequence by a with maxspan=1s [any where not (a == 1 or b in (-c, f($x.y)) and d : 'e')] "
    "[any where descendant of [any where a + 1 > 2]] until [any where true] | head 1",
    "join [any where a] [any where b]",
    "sample by a [any where b]",
)


def test_every_example_is_tested() -> None:
    assert len(EXAMPLES) == TEXT.count("<!-- before -->") == TEXT.count("<!-- after -->") == 4


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_the_formatter_does_what_the_page_says(number: int) -> None:
    before, after = EXAMPLES[number]
    assert format_query(before) == after
    assert format_query(after) == after


def test_the_tree_is_printed_as_the_page_says() -> None:
    ((command, expected),) = re.findall(
        r"<!-- command: (.*?) -->\n```text\n(.*?)```", TEXT, re.DOTALL
    )
    arguments = shlex.split(command)[1:]
    done = subprocess.run(
        [sys.executable, "-m", "kestrel_framework.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == expected


def nodes_in(value: object) -> dict[str, list[str]]:
    if isinstance(value, list):
        return {name: parts for item in value for name, parts in nodes_in(item).items()}
    if not isinstance(value, dict):
        return {}
    found = {str(value["node"]): [key for key in value if key not in ("node", "line", "column")]}
    for part in value.values():
        found |= nodes_in(part)
    return found


def test_every_node_and_each_of_its_parts_is_in_the_table() -> None:
    found: dict[str, list[str]] = {}
    for text in EVERYTHING:
        found |= nodes_in(SyntaxReport(text, SourceLocation("q", 1, 1)).as_json(parse(text)))
    assert found == NODES
    kinds = [
        kind
        for _, kind in inspect.getmembers(syntax, inspect.isclass)
        if attrs.has(kind) and kind.__module__ == syntax.__name__
    ]
    assert len(kinds) == len(NODES)
