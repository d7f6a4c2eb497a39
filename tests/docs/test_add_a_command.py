"""The plugin of the how-to about commands works, and keeps the contract."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "add-a-command.md"
TEXT = PAGE.read_text(encoding="utf-8")
FILES = re.findall(r"<!-- file: (\S+) -->\n```python\n(.*?)```\n", TEXT, re.DOTALL)
COMMANDS = re.findall(r"<!-- command: kestrel (.*?) -->\n```text\n(.*?)```\n", TEXT, re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Install what the page shows, without pip."""
    for name, content in FILES:
        (tmp_path / name).write_text(content, encoding="utf-8")
    distribution = tmp_path / "flights-1.0.dist-info"
    distribution.mkdir()
    (distribution / "METADATA").write_text("Metadata-Version: 2.1\nName: flights\nVersion: 1.0\n")
    entry_points = "[kestrel.plugins]\nflights = flights_plugin\n"
    (distribution / "entry_points.txt").write_text(entry_points)
    (tmp_path / "flights.txt").write_text("over the field\nto the tower\n")
    return tmp_path


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_nothing_is_left_out() -> None:
    assert (len(FILES), len(COMMANDS)) == (3, 1)
    assert len(FILES) + len(COMMANDS) == TEXT.count("\n```\n")


def test_the_command_prints_what_the_page_says(folder: Path) -> None:
    for command, expected in COMMANDS:
        done = run(folder, "-m", "kestrel_framework.cli", *command.split())
        assert (done.returncode, done.stdout, done.stderr) == (0, expected, "")
    done = run(folder, "-m", "kestrel_framework.cli", "flights", "none.txt")
    assert (done.returncode, done.stdout) == (3, "")
    assert (
        "flights     List the flights of a kestrel."
        in run(folder, "-m", "kestrel_framework.cli", "--help").stdout
    )


def test_the_plugin_keeps_the_contract(folder: Path) -> None:
    done = run(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_flights.py")
    assert done.returncode == 0, done.stdout
