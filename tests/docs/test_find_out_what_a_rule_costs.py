"""The how-to about the cost of rules shows what the command prints."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from command_page import CommandPage, output_of

PAGE = CommandPage("find-out-what-a-rule-costs.md")
ABSENCES = re.findall(r"<!-- none: (.*?): (kestrel .*?) -->\n", PAGE.text)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return PAGE.write_files(tmp_path)


def test_every_example_is_tested() -> None:
    assert (len(PAGE.files), len(PAGE.commands), len(ABSENCES)) == (6, 2, 1)
    assert PAGE.untested == 0


@pytest.mark.parametrize(("command", "expected"), PAGE.commands)
def test_a_command_prints_what_the_page_says(command: str, expected: str, folder: Path) -> None:
    assert output_of(command, folder) == expected


@pytest.mark.parametrize(("heading", "command"), ABSENCES)
def test_the_cheaper_rules_are_dear_no_more(heading: str, command: str, folder: Path) -> None:
    before, _ = PAGE.commands[0]
    assert heading in output_of(before, folder)
    assert heading not in output_of(command, folder)
