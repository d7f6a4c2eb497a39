"""The tutorial shows the files of the example plugin, and its commands print what it says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "kestrel-countdown"
TEXT = (ROOT / "docs" / "tutorial" / "first-plugin.md").read_text(encoding="utf-8")
FILES = re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```\n", TEXT, re.DOTALL)
CONSOLES = re.findall(r"```console\n(.*?)```\n", TEXT, re.DOTALL)
COMMANDS = [
    (command, output)
    for console in CONSOLES
    for command, output in re.findall(r"\$ (.*)\n((?:(?!\$ ).*\n)*)", console)
]
INSTALLED_ALREADY = "pip install -e ."


def test_nothing_is_left_out() -> None:
    assert len(FILES) == 4
    assert len(FILES) + len(CONSOLES) == TEXT.count("\n```\n")
    assert sum(command == INSTALLED_ALREADY for command, _ in COMMANDS) == 1


@pytest.mark.parametrize(("name", "content"), FILES)
def test_shows_the_files_of_the_example(name: str, content: str) -> None:
    assert content == (EXAMPLE / name).read_text(encoding="utf-8")


def test_shows_every_file_of_the_example() -> None:
    shown = {name for name, _ in FILES}
    there = {
        path.relative_to(EXAMPLE).as_posix()
        for path in EXAMPLE.rglob("*")
        if path.is_file() and not {"__pycache__", ".pytest_cache"} & set(path.parts)
    }
    assert there - shown <= {"README.md", "src/kestrel_countdown/py.typed"}


@pytest.mark.parametrize(
    ("command", "output"), [pair for pair in COMMANDS if pair[0] != INSTALLED_ALREADY]
)
def test_commands_print_what_the_tutorial_says(tmp_path: Path, command: str, output: str) -> None:
    folder = tmp_path / "kestrel-countdown"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    program, *arguments = command.split()
    module = {"kestrel": "kestrel_framework.cli", "pytest": "pytest"}[program]
    outcome = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    printed = outcome.stdout + outcome.stderr
    # Columns are as wide as what else is installed needs.
    rows = [line.split() for line in printed.splitlines()]
    for line in filter(None, output.splitlines()):
        assert line in printed or line.split() in rows
