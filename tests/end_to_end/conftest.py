"""The program as people start it: a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import attrs
import pytest

SECONDS = 30


@attrs.frozen
class Finished:
    """What a run of the program gave."""

    code: int
    out: str
    err: str

    @property
    def objects(self) -> list[dict[str, object]]:
        """The lines of standard output, each of which must be a JSON object."""
        found = [json.loads(line) for line in self.out.splitlines()]
        assert all(isinstance(one, dict) for one in found)
        return found


class Program:
    """Runs `kestrel` in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("KESTREL_")},
            "NO_COLOR": "1",
        }
        self._started: list[subprocess.Popen[str]] = []

    def __call__(self, *arguments: object, input: str = "") -> Finished:  # noqa: A002
        done = subprocess.run(
            self._command(arguments),
            input=input,
            capture_output=True,
            text=True,
            cwd=self.folder,
            env=self.environment,
            timeout=SECONDS,
            check=False,
        )
        return Finished(done.returncode, done.stdout, done.stderr)

    def start(
        self, *arguments: object, stdin: IO[str] | int | None = subprocess.DEVNULL
    ) -> subprocess.Popen[str]:
        """Start it, and go on; it is ended with the test."""
        process = subprocess.Popen(
            self._command(arguments),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            env=self.environment,
        )
        self._started.append(process)
        return process

    def end(self) -> None:
        for process in self._started:
            if process.poll() is None:
                process.kill()
            process.communicate()

    def _command(self, arguments: tuple[object, ...]) -> list[str]:
        return [sys.executable, "-m", "kestrel_framework.cli", *map(str, arguments)]


@pytest.fixture
def kestrel(tmp_path: Path) -> Iterator[Program]:
    program = Program(tmp_path)
    yield program
    program.end()


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    """Write a file into the program's folder."""

    def written(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        return path

    return written


def event(name: str, second: int, **process: object) -> str:
    """Return a process event as a line of JSON."""
    return json.dumps(
        {
            "@timestamp": f"2026-01-01T00:00:{second:02}Z",
            "event": {"category": ["process"], "type": ["start"]},
            "process": {"name": name, **process},
            "host": {"id": "h"},
        }
    )


@pytest.fixture
def events(write: Callable[[str, str], Path]) -> Path:
    """Three events; two of them are of `nc`."""
    lines = [event("nc", 1, pid=1), event("sh", 2, pid=2), event("nc", 3, pid=3)]
    return write("events.ndjson", "\n".join(lines) + "\n")


@pytest.fixture
def rule(write: Callable[[str, str], Path]) -> Path:
    return write("rules/nc.eql", 'process where process.name == "nc"\n')
