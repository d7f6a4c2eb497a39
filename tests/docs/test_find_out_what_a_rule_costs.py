"""The how-to about the cost of rules shows what the command prints."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "find-out-what-a-rule-costs.md"
TEXT = PAGE.read_text(encoding="utf-8")
FILES = re.findall(r"<!-- file: (.*?) -->\n```\w+\n(.*?)```", TEXT, re.DOTALL)
COMMANDS = re.findall(r"<!-- command: (.*?) -->\n```text\n(.*?)```", TEXT, re.DOTALL)
ABSENCES = re.findall(r"<!-- none: (.*?): (kestrel .*?) -->\n", TEXT)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in FILES:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return tmp_path


def output_of(command: str, folder: Path) -> str:
    program, *arguments = shlex.split(command)
    assert program == "kestrel"
    done = subprocess.run(
        [sys.executable, "-m", "kestrel_framework.cli", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout


def test_every_example_is_tested() -> None:
    assert (len(FILES), len(COMMANDS), len(ABSENCES)) == (6, 2, 1)
    assert TEXT.count("```") == 2 * (len(FILES) + len(COMMANDS))


@pytest.mark.parametrize(("command", "expected"), COMMANDS)
def test_a_command_prints_what_the_page_says(command: str, expected: str, folder: Path) -> None:
    assert output_of(command, folder) == expected


@pytest.mark.parametrize(("heading", "command"), ABSENCES)
def test_the_cheaper_rules_are_dear_no_more(heading: str, command: str, folder: Path) -> None:
    before, _ = COMMANDS[0]
    assert heading in output_of(before, folder)
    assert heading not in output_of(command, folder)
