"""The program as people start it: a process of its own."""

from __future__ import annotations

import contextlib
import functools
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import IO, NoReturn

import attrs
import pytest

from kestrel_framework.cli import main

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
    """Runs `kestrel` in a folder of its own.

    A call is a process forked from this one, which has imported everything already;
    `start` is a program of its own, as people start it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("KESTREL_")},
            "NO_COLOR": "1",
        }
        self._started: list[subprocess.Popen[str]] = []

    def __call__(self, *arguments: object, input: str = "") -> Finished:  # noqa: A002
        _import_all()
        with (
            tempfile.TemporaryFile() as given,
            tempfile.TemporaryFile() as out,
            tempfile.TemporaryFile() as err,
        ):
            given.write(input.encode())
            given.seek(0)
            with warnings.catch_warnings():
                # Other tests may have left threads that hang on purpose; the child has none.
                warnings.simplefilter("ignore", DeprecationWarning)
                pid = os.fork()
            if pid == 0:
                self._become(arguments, given.fileno(), out.fileno(), err.fileno())
            code = _wait(pid)
            texts = []
            for file in (out, err):
                file.seek(0)
                texts.append(file.read().decode())
        return Finished(code, *texts)

    def _become(self, arguments: tuple[object, ...], *descriptors: int) -> NoReturn:
        """Be the program, in the child."""
        code = 99
        try:
            warnings.simplefilter("ignore")
            for target, descriptor in enumerate(descriptors):
                os.dup2(descriptor, target)
            sys.stdin, sys.stdout, sys.stderr = (
                open(0, closefd=False, encoding="utf-8"),  # noqa: SIM115
                open(1, "w", closefd=False, encoding="utf-8"),  # noqa: SIM115
                open(2, "w", closefd=False, encoding="utf-8"),  # noqa: SIM115
            )
            os.chdir(self.folder)
            os.environ.clear()
            os.environ.update(self.environment)
            sys.path[:0] = filter(None, [self.environment.get("PYTHONPATH")])
            importlib.invalidate_caches()
            sys.argv = ["kestrel", *map(str, arguments)]
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 98
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(OSError):
                    stream.flush()
        finally:
            os._exit(code)

    def start(
        self,
        *arguments: object,
        stdin: IO[str] | int = subprocess.DEVNULL,
        stdout: IO[str] | int = subprocess.PIPE,
        first: Callable[[], object] | None = None,
    ) -> subprocess.Popen[str]:
        """Start it, and go on; it is ended with the test. `first` is called in its process."""
        process = subprocess.Popen(
            self._command(arguments),
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            env=self.environment,
            preexec_fn=first,
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


@functools.cache
def _import_all() -> None:
    """Import what a call needs, so that each call need not."""
    for name in ("check", "debug", "plugins", "query", "record", "run", "completion"):
        importlib.import_module(f"kestrel_framework.cli.{name}")
    for entry in entry_points(group="kestrel.plugins"):
        with contextlib.suppress(Exception):
            entry.load()


def _wait(pid: int) -> int:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    pytest.fail(f"kestrel did not end within {SECONDS} s")


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
