"""The how-to about explanations shows what the command prints."""

from __future__ import annotations

from pathlib import Path

import pytest

from command_page import CommandPage, output_of

PAGE = CommandPage("find-out-why-a-rule-found-nothing.md")


def test_every_example_is_tested() -> None:
    assert (len(PAGE.files), len(PAGE.commands)) == (4, 3)
    assert PAGE.untested == 0


@pytest.mark.parametrize(("command", "expected"), PAGE.commands)
def test_a_command_prints_what_the_page_says(command: str, expected: str, tmp_path: Path) -> None:
    assert output_of(command, PAGE.write_files(tmp_path)) == expected
