"""The programs of the how-to about embedding run, and print what it says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCUMENT = Path(__file__).parents[2] / "docs" / "how-to" / "embed.md"
TEXT = DOCUMENT.read_text(encoding="utf-8")
FILES = re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```\n", TEXT, re.DOTALL)
PROGRAMS = re.findall(
    r"<!-- program -->\n```python\n(.*?)```\n\n```text\n(.*?)```\n", TEXT, re.DOTALL
)


def test_nothing_is_left_out() -> None:
    assert len(PROGRAMS) == TEXT.count("```python") == 4
    assert len(FILES) + 2 * len(PROGRAMS) == TEXT.count("\n```\n")


@pytest.mark.parametrize("number", range(len(PROGRAMS)))
def test_the_program_prints_what_the_document_says(tmp_path: Path, number: int) -> None:
    for name, content in FILES:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    program, expected = PROGRAMS[number]
    outcome = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout == expected
    assert not outcome.stderr


def test_the_shortest_programs_are_short() -> None:
    for program, _ in PROGRAMS[:2]:
        lines = [line for line in program.splitlines() if line.strip()]
        assert len(lines) <= 18
