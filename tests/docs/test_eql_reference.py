"""Every example on the page about EQL runs, and the page names all there is and nothing else.

What the page can hold, apart from prose:

- a block `eql` is a rule, `eql endgame` one in that dialect, `eql schema` one that is compiled
  with the block `json schema` before it, `eql file` one with its front matter. It compiles
  without a warning, unless a block `text` follows, which says all that the compiler says of it:
  `line:column: message`;
- a block `events` after a rule: `yes {...}` and `no {...}` are events that the rule matches or
  not; `1 30s file {...}` is a numbered event, with the time since the first one and the category
  where they are not the obvious ones, and `=> 1 2` a result (`-` is a missing event);
- a table whose first column has a name in `TABLES`;
- a block `ebnf`, the grammar.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TypeAlias

import attrs
import pytest

from kestrel_eql import EqlCompiler
from kestrel_framework import Detector
from kestrel_framework import predicate as tree
from kestrel_framework.errors import RuleError, Severity, SourceLocation
from kestrel_framework.event import Document
from kestrel_framework.interfaces import RuleFile
from kestrel_framework.interpreter import values_of
from kestrel_framework.query import SearchResult, search
from kestrel_framework.rule import Rule, RuleMetadata, RuleSet, RuleSource, SampleRule, errors_in
from kestrel_framework.schema import FieldDefinition, FieldType, SchemaRegistry

PAGE: Final = Path(__file__).parents[2] / "docs" / "reference" / "eql.md"
TEXT: Final = PAGE.read_text(encoding="utf-8")
ECS: Final = SchemaRegistry.ecs()
NOTHING_KNOWN: Final = SchemaRegistry()
TABLES: Final = ("expression", "condition", "rule", "in a condition", "endgame")
START: Final = datetime.datetime(2026, 5, 4, 10, tzinfo=datetime.UTC)
SECONDS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}

Found: TypeAlias = list[tuple[int | None, ...]]

_FENCE: Final = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_EVENT: Final = re.compile(
    r"(?P<label>yes|no|\d+) +(?:(?P<time>[\d.]+)(?P<unit>ms|s|m|h|d) +)?"
    r"(?:(?P<category>[a-z_]+) +)?(?P<fields>\{.*\})"
)


@attrs.frozen
class Block:
    """A fenced block: what stands after the fence, the lines in it, and where it begins."""

    info: tuple[str, ...]
    text: str
    line: int


@attrs.frozen
class Example:
    """A rule with the blocks that say what comes of it."""

    rule: Block
    schema: SchemaRegistry
    events: Block | None = None
    messages: Block | None = None

    @property
    def dialect(self) -> str:
        return "endgame" if "endgame" in self.rule.info else "elastic"


@attrs.frozen
class Row:
    """A row of a table that runs: its cells by the names of their columns."""

    table: str
    cells: dict[str, str]
    line: int


# --- reading the page ------------------------------------------------------------------


def blocks() -> list[Block]:
    return [
        Block(tuple(found[1].split()), found[2], TEXT.count("\n", 0, found.start()) + 1)
        for found in _FENCE.finditer(TEXT)
    ]


def schema_of(block: Block) -> SchemaRegistry:
    fields = [
        FieldDefinition(path, alias_of=known["path"])
        if known["type"] == "alias"
        else FieldDefinition(path, FieldType(known["type"]), formats=tuple(known.get("format", ())))
        for path, known in json.loads(block.text)["fields"].items()
    ]
    return SchemaRegistry().extended(fields, strict=True)


def examples() -> list[Example]:
    found: list[Example] = []
    schema = NOTHING_KNOWN
    for block in blocks():
        kind, *details = block.info
        if kind == "json" and details == ["schema"]:
            schema = schema_of(block)
        elif kind == "eql":
            assert set(details) <= {"endgame", "schema", "file"}, block
            found.append(Example(block, schema if "schema" in details else ECS))
        elif kind == "events":
            assert found[-1].events is None, block
            found[-1] = attrs.evolve(found[-1], events=block)
        elif kind == "text":
            assert found[-1].messages is None, block
            found[-1] = attrs.evolve(found[-1], messages=block)
        else:
            assert kind == "ebnf", f"line {block.line}: nothing runs a block `{kind}`"
    return found


def cells_of(line: str) -> list[str]:
    cells = re.split(r"(?<!\\)\|", line.strip().strip("|"))
    return [cell.strip().replace("\\|", "|") for cell in cells]


def rows() -> Iterator[Row]:
    header: list[str] = []
    outside = _FENCE.sub(lambda found: "\n" * found[0].count("\n"), TEXT)
    for number, line in enumerate(outside.splitlines(), start=1):
        if not line.startswith("|"):
            header = []
        elif not header:
            header = cells_of(line)
        elif not line.startswith("|---") and header[0] in TABLES:
            cells = cells_of(line)
            assert len(cells) == len(header), f"line {number}"
            yield Row(header[0], dict(zip(header, cells, strict=True)), number)


def code(cell: str) -> str:
    """Return what a cell has as code, whatever number of backticks it stands in."""
    found = re.fullmatch(r"(`+) ?(.*?) ?\1", cell)
    assert found is not None, f"no code: {cell}"
    return found[2]


EXAMPLES: Final = examples()
ROWS: Final = list(rows())


def name_of(example: Example | Row) -> str:
    return f"line {example.rule.line if isinstance(example, Example) else example.line}"


def of_table(name: str) -> list[Row]:
    return [row for row in ROWS if row.table == name]


# --- running an example ----------------------------------------------------------------


def compiled(text: str, dialect: str, schema: SchemaRegistry) -> Rule:
    source = RuleSource(
        RuleMetadata("example"), "eql", text, SourceLocation("rule", 1, 1), {"dialect": dialect}
    )
    return EqlCompiler().compile(source, schema)


def messages_of(text: str, dialect: str, schema: SchemaRegistry) -> list[RuleError]:
    try:
        return list(compiled(text, dialect, schema).warnings)
    except (RuleError, ExceptionGroup) as error:
        return list(errors_in(error))


def line_of(message: RuleError) -> str:
    assert message.location is not None
    kind = "warning: " if message.severity is Severity.WARNING else ""
    return f"{message.location.line}:{message.location.column}: {kind}{message.problem}"


def document(fields: Document, number: int, seconds: float, category: str | None) -> Document:
    time = START + datetime.timedelta(seconds=seconds)
    made: dict[str, object] = {"@timestamp": time.isoformat(), "example": {"number": number}}
    if category is not None:
        made["event.category"] = category
    return {**made, **fields}


def usual_category(rule: Rule) -> str | None:
    types = {event_type for step in rule.steps for event_type in step.event_types}
    return types.pop() if len(types) == 1 else None


def number_of(event: Document | None) -> int | None:
    if event is None:
        return None
    example = event["example"]
    assert isinstance(example, dict)
    return int(example["number"])


def numbers_in(result: SearchResult) -> tuple[int | None, ...]:
    return tuple(number_of(event) for event in result.events)


def detected(rule: Rule, documents: list[Document], schema: SchemaRegistry) -> Found:
    """Return what a detector finds in the events of an example, which it takes in order."""
    ordered = sorted(documents, key=lambda event: str(event["@timestamp"]))
    detector = Detector(RuleSet([rule]), schema=schema)
    return sorted(
        (
            tuple(
                None if item is None else number_of(ordered[item.identity.offset])
                for item in alert.evidence
            )
            for alert in [*detector.feed(ordered), *detector.finish()]
        ),
        key=str,
    )


def run(example: Example, rule: Rule) -> None:
    """Search the events of an example; rules for streams go to a detector, too."""
    assert example.events is not None
    documents: list[Document] = []
    wanted: list[int] = []
    results: list[str] = []
    for line in example.events.text.splitlines():
        if line.startswith("=> "):
            results.append(line.removeprefix("=> ").strip())
            continue
        found = _EVENT.fullmatch(line.strip())
        assert found is not None, line
        number = len(documents) + 1
        assert found["label"] in ("yes", "no", str(number)), line
        if found["label"] == "yes":
            wanted.append(number)
        seconds = float(found["time"]) * SECONDS[found["unit"]] if found["time"] else number - 1
        category = found["category"] or usual_category(rule)
        documents.append(document(json.loads(found["fields"]), number, seconds, category))
    assert documents
    assert results or wanted
    results = results or [str(number) for number in wanted]
    got = search(rule, documents, schema=example.schema, size=None)
    if not rule.streaming_problem and not isinstance(rule.body, SampleRule):
        assert detected(rule, documents, example.schema) == sorted(map(numbers_in, got), key=str)
    if results == ["nothing"]:
        results = []
    assert len(got) == len(results), got
    for result, shown in zip(got, results, strict=True):
        if shown.startswith("{"):
            first = result.events[0]
            assert first is not None
            assert {name: first.get(name) for name in json.loads(shown)} == json.loads(shown)
        else:
            numbers = tuple(None if word == "-" else int(word) for word in shown.split())
            assert numbers_in(result) == numbers


@pytest.mark.parametrize("example", EXAMPLES, ids=name_of)
def test_the_example_does_what_the_page_says(example: Example) -> None:
    text = example.rule.text.rstrip("\n")
    if "file" in example.rule.info:
        (source,) = EqlCompiler().read(RuleFile("example.eql", text.encode()))
        assert source.metadata.rule_id != "example"
        text = source.text
    said = [line_of(message) for message in messages_of(text, example.dialect, example.schema)]
    assert said == (example.messages.text.splitlines() if example.messages else [])
    if example.events:
        run(example, compiled(text, example.dialect, example.schema))


# --- running the rows of tables --------------------------------------------------------


def event_in(row: Row) -> Document:
    return document(
        json.loads(code(row.cells["event"])) if "event" in row.cells else {}, 1, 0, None
    )


def finds(text: str, dialect: str, event: Document) -> bool:
    rule = compiled(text, dialect, NOTHING_KNOWN)
    return search(rule, [event], schema=NOTHING_KNOWN) != []


def dialects_of(row: Row) -> list[str]:
    named = row.cells.get("dialect", "both")
    return ["elastic", "endgame"] if named == "both" else [named]


@pytest.mark.parametrize("row", of_table("expression"), ids=name_of)
def test_the_expression_has_the_value(row: Row) -> None:
    """A value is right to its type, so that 41 is not 41.0."""
    expression, event = code(row.cells["expression"]), event_in(row)
    shown = code(row.cells["value"])
    wanted = [] if shown == "null" else json.loads(f"[{shown}]")
    for dialect in dialects_of(row):
        rule = compiled(f"any where ({expression}) == example", dialect, NOTHING_KNOWN)
        (condition,) = rule.body.conditions
        assert isinstance(condition, tree.Comparison)
        found = values_of(condition.left, event)
        assert [(type(value), value) for value in found] == [(type(v), v) for v in wanted]
        assert finds(f"any where ({expression}) == null", dialect, event) == (not wanted)


@pytest.mark.parametrize("row", of_table("condition"), ids=name_of)
def test_the_condition_holds_where_the_page_says(row: Row) -> None:
    condition, event = code(row.cells["condition"]), event_in(row)
    columns = {"elastic", "endgame"} & set(row.cells)
    expected = {dialect: row.cells[dialect] for dialect in columns}
    if "holds" in row.cells:
        expected = dict.fromkeys(dialects_of(row), row.cells["holds"])
    assert expected
    for dialect, holds in expected.items():
        if holds == "–":
            assert messages_of(f"any where {condition}", dialect, NOTHING_KNOWN)
            continue
        assert holds in ("yes", "no"), holds
        assert finds(f"any where {condition}", dialect, event) == (holds == "yes"), dialect


def row_as_rule(row: Row, column: str) -> str:
    text = code(row.cells[column])
    return text if row.table == "rule" else f"process where {text}"


@pytest.mark.parametrize("row", [*of_table("rule"), *of_table("in a condition")], ids=name_of)
def test_the_compiler_says_so_and_takes_what_to_write_instead(row: Row) -> None:
    dialect = row.cells.get("dialect", "elastic")
    severity, shown = (
        (Severity.WARNING, row.cells["warns"])
        if "warns" in row.cells
        else (Severity.ERROR, row.cells["says"])
    )
    said = messages_of(row_as_rule(row, row.table), dialect, ECS)
    assert [message.problem for message in said] == shown.split("<br>")
    assert {message.severity for message in said} == {severity}
    if row.cells["instead"] != "–":
        assert messages_of(row_as_rule(row, "instead"), dialect, ECS) == []


@pytest.mark.parametrize("row", of_table("endgame"), ids=name_of)
def test_three_values_meet_as_the_table_says(row: Row) -> None:
    for other in ("true", "false", "null"):
        condition = f"({code(row.cells['endgame'])} {other})"
        shown = code(row.cells[f"`{other}`"])
        assert finds(f"any where {condition}", "endgame", {}) == (shown == "true")
        assert finds(f"any where not {condition}", "endgame", {}) == (shown == "false")
        assert finds(f"any where {condition} == null", "endgame", {}) == (shown == "null")
