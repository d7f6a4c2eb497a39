"""Pages whose files and commands are tested: what a command prints is what the page says."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"


class CommandPage:
    """A page of the how-tos.

    Attributes:
        text: All of it.
        files: The files that it shows, and what is in them.
        commands: The commands that it shows, and what they print.
    """

    def __init__(self, name: str) -> None:
        self.text = (HOW_TO / name).read_text(encoding="utf-8")
        self.files: list[tuple[str, str]] = re.findall(
            r"<!-- file: (.*?) -->\n```\w+\n(.*?)```", self.text, re.DOTALL
        )
        self.commands: list[tuple[str, str]] = re.findall(
            r"<!-- command: (.*?) -->\n```text\n(.*?)```", self.text, re.DOTALL
        )

    @property
    def untested(self) -> int:
        """How many blocks are neither a file nor what a command prints."""
        return self.text.count("```") // 2 - len(self.files) - len(self.commands)

    def write_files(self, folder: Path) -> Path:
        """Write the files into a folder, and return it."""
        for name, content in self.files:
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(content, encoding="utf-8")
        return folder


def output_of(command: str, folder: Path) -> str:
    """Return what a command prints that is run in a folder."""
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
