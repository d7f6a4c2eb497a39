"""The rules of the how-to about writing rules compile, and its table leads to what it says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from kestrel_eql import EqlCompiler
from kestrel_framework.errors import SourceLocation
from kestrel_framework.event import Document
from kestrel_framework.query import search
from kestrel_framework.rule import RuleMetadata, RuleSource
from kestrel_framework.schema import SchemaRegistry

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "write-eql-rules.md"
TEXT = PAGE.read_text(encoding="utf-8")
RULES = re.findall(r"```eql\n(.*?)```", TEXT, re.DOTALL)
SAME = re.findall(r"^\| (`(?:name|not|match|array|list).*?) \| (`.*`) \|$", TEXT, re.MULTILINE)
FILES = re.findall(r"```text\n(.*?)```", TEXT, re.DOTALL)


def kestrel(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "kestrel_framework.cli", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "netcat-connects-out.eql").write_text(FILES[0], encoding="utf-8")
    return tmp_path


def test_every_rule_of_the_page_compiles_without_a_warning(folder: Path) -> None:
    assert len(RULES) == 2
    for number, text in enumerate(RULES):
        (folder / "rules" / f"{number}.eql").write_text(text, encoding="utf-8")
    outcome = kestrel("check", "--strict", "rules", folder=folder)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert "warning" not in outcome.stdout + outcome.stderr


def test_the_commands_of_the_page_find_what_it_is_about(folder: Path) -> None:
    (folder / "events.ndjson").write_text(
        '{"@timestamp": "2026-05-04T10:00:00Z", "event": {"category": "process", "type": "start"},'
        ' "process": {"name": "nc", "entity_id": "p"}}\n'
        '{"@timestamp": "2026-05-04T10:00:01Z", "event": {"category": "network"},'
        ' "destination": {"ip": "192.0.2.1"}, "process": {"entity_id": "p"}}\n',
        encoding="utf-8",
    )
    commands = re.findall(r"^kestrel (.*)$", TEXT, re.MULTILINE)
    assert [command.split()[0] for command in commands] == ["query", "eql", "check", "run"]
    for command in commands:
        words = re.findall(r"'([^']*)'|(\S+)", command)
        outcome = kestrel(*(quoted or plain for quoted, plain in words), folder=folder)
        assert outcome.returncode == 0, outcome.stderr
    assert '"netcat-connects-out"' in outcome.stdout


EVENTS: list[Document] = [
    {"name": "CMD.EXE", "list": ["A", "b"]},
    {"name": "abc", "list": [{"a": 1}, {"a": 2}]},
    {"name": "a"},
    {"name": "b", "list": ["c"]},
    {},
]


def found(condition: str, dialect: str) -> list[Document]:
    where = SourceLocation("rule", 1, 1)
    source = RuleSource(
        RuleMetadata("rule"), "eql", f"any where {condition}", where, {"dialect": dialect}
    )
    schema = SchemaRegistry()
    rule = EqlCompiler().compile(source, schema)
    assert rule.warnings == ()
    times = [{"@timestamp": number, **event} for number, event in enumerate(EVENTS)]
    return [dict(result.events[0] or {}) for result in search(rule, times, schema=schema)]


@pytest.mark.parametrize(("endgame", "elastic"), SAME)
def test_what_the_table_of_dialects_says_is_the_same_finds_the_same(
    endgame: str, elastic: str
) -> None:
    (elastic_condition,) = re.findall(r"`([^`]+)`", elastic)
    for condition in re.findall(r"`([^`]+)`", endgame):
        matching = found(condition, "endgame")
        assert matching == found(elastic_condition, "elastic")
        assert 0 < len(matching) < len(EVENTS)


def test_the_table_of_dialects_has_rows() -> None:
    assert len(SAME) == 7
