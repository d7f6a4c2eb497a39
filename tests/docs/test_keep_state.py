"""The commands of the how-to about state do what it says, and its messages are those there are."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

DOCUMENT = Path(__file__).parents[2] / "docs" / "how-to" / "keep-state.md"
TEXT = DOCUMENT.read_text(encoding="utf-8")
FILES = re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```\n", TEXT, re.DOTALL)
RUNS = re.findall(r"<!-- run -->\n```sh\n(.*?)```\n\n```text\n(.*?)```\n", TEXT, re.DOTALL)
MESSAGES = [
    message
    for row in re.findall(r"^\| (`.*?`) \|", TEXT, re.MULTILINE)
    for message in re.findall(r"`([^`]+)`", row)
]


def test_nothing_is_left_out() -> None:
    hosts = TEXT.count("<!-- host: ")  # see test_failover.py
    assert len(FILES) + 2 * len(RUNS) + hosts == TEXT.count("\n```\n") == 17
    assert len(MESSAGES) > 12


def test_the_commands_print_what_the_document_says(tmp_path: Path) -> None:
    for name, content in FILES:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    programs = str(Path(sys.executable).parent)
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}
    assert shutil.which("kestrel", path=environment["PATH"]) is not None
    for commands, expected in RUNS:
        done = subprocess.run(
            ["sh", "-eu", "-c", commands],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, expected, "")


@pytest.mark.parametrize("message", MESSAGES)
def test_the_messages_are_those_of_the_store(message: str) -> None:
    sources = files("kestrel_framework._builtin") / "state_file.py"
    text = re.sub(r'"\s+f?"', "", sources.read_text(encoding="utf-8"))
    assert message in re.sub(r"\{.*?\}", "", text) or message in text
