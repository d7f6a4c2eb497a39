"""Standard streams that are closed, full, or also a file of the command."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Write = Callable[[str, str], Path]


def shell(folder: Path, arguments: str, redirections: str) -> subprocess.CompletedProcess[str]:
    """Run the program with redirections that only a shell can make."""
    return subprocess.run(
        ["sh", "-c", f'"$0" -m kestrel_framework.cli {arguments} {redirections}', sys.executable],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize(
    "arguments",
    [
        "run --rules rules --input events.ndjson --format json",
        "run --rules rules --input events.ndjson",
        "check rules",
        "--version",
    ],
)
@pytest.mark.parametrize("stdout", [">&-", ">/dev/full"])
def test_an_output_that_cannot_be_written_is_an_error(
    tmp_path: Path, events: Path, rule: Path, arguments: str, stdout: str
) -> None:
    done = shell(tmp_path, arguments, stdout)
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
    assert "bad file descriptor" in done.stderr.lower() or "no space" in done.stderr.lower()


@pytest.mark.parametrize("closed", ["2>&-", "<&-", "<&- 2>&-"])
def test_alerts_need_neither_input_nor_stderr(
    tmp_path: Path, events: Path, rule: Path, closed: str
) -> None:
    done = shell(
        tmp_path,
        "run --rules rules --input events.ndjson --format json --output jsonl:out --stats s",
        closed,
    )
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 2
    assert len((tmp_path / "out").read_text("utf-8").splitlines()) == 2
    assert json.loads((tmp_path / "s").read_text("utf-8"))["alerts"] == 2


def test_a_closed_standard_input_is_not_taken_for_another_file(tmp_path: Path, rule: Path) -> None:
    done = shell(tmp_path, "run --rules rules --input - --stats s", "<&-")
    assert done.returncode == 3
    assert "standard input:1: cannot be read: bad file descriptor" in done.stderr


def test_statistics_do_not_replace_an_input(kestrel: Any, events: Path, rule: Path) -> None:
    content = events.read_bytes()
    done = kestrel("run", "--rules", rule, "--input", events, "--stats", events)
    assert (done.code, done.out) == (2, "")
    assert done.err == f"kestrel: --stats: {events} is also an input\n"
    assert events.read_bytes() == content


def test_memory_is_that_of_the_program_itself(kestrel: Any, events: Path, rule: Path) -> None:
    ballast = b"x" * 300_000_000
    program = kestrel.start("run", "--rules", rule, "--input", events, "--stats", "stats.json")
    program.communicate(timeout=30)
    del ballast
    statistics = json.loads((kestrel.folder / "stats.json").read_text("utf-8"))
    assert 10_000_000 < statistics["rss_bytes"] < 250_000_000
