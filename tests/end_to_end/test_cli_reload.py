"""`kestrel run` reads its rules again at SIGHUP."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import signal
import termios
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Write = Callable[[str, str], Path]

SEQUENCE = 'sequence by host.id [process where process.name == "curl"] [process where {}]'
OLD = SEQUENCE.format('process.name == "sh"')
NEW = SEQUENCE.format('process.name == "nc"')
DECIDED = ("kestrel: info: the rules were replaced: ", "kestrel: the rules are as before")
NO_RULE = "process where process.name =="


def line(name: str, second: int, host: str = "h") -> str:
    return json.dumps(
        {
            "@timestamp": f"2026-01-01T00:00:{second:02}Z",
            "event": {"category": "process"},
            "host": {"id": host},
            "process": {"name": name},
        }
    )


class Live:
    """A run that follows a file."""

    def __init__(self, kestrel: Any, folder: Path, *options: str) -> None:
        self._events = folder / "events.ndjson"
        self._events.write_text("", "utf-8")
        self.process = kestrel.start(
            "run", "--rules", "rules", "--source", "jsonl", "--output", "-", "--stats", "stats",
            "--set", f"sources.jsonl.path={self._events}", "--set", "sources.jsonl.follow=true",
            "--set", "sources.jsonl.disorder=0", "--set", "engine.read_timeout=0.05", *options,
        )  # fmt: skip

    def add(self, *lines: str) -> None:
        with self._events.open("a", encoding="utf-8") as file:
            file.write("".join(f"{each}\n" for each in lines))

    def alert(self) -> Any:
        """Wait for the next alert."""
        return json.loads(self.process.stdout.readline())

    def reload(self) -> list[str]:
        """Have the rules read again, and return what is said until it is decided."""
        self.process.send_signal(signal.SIGHUP)
        said = []
        for each in self.process.stderr:
            said.append(each)
            if each.startswith(DECIDED):
                return said
        raise AssertionError(f"it ended: {said}")

    def end(self) -> Any:
        """End the run, and return its statistics."""
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=30)
        assert self.process.returncode == 0
        return json.loads((self._events.parent / "stats").read_text("utf-8"))


@pytest.fixture
def begin(kestrel: Any, tmp_path: Path, write: Write) -> Iterator[Callable[..., Live]]:
    """Start a run with one rule, that has begun its sequence."""
    runs = []

    def started(*options: str) -> Live:
        write("rules/shell.eql", 'process where process.name == "started"')
        write("rules/download.eql", OLD)
        live = Live(kestrel, tmp_path, *options)
        runs.append(live)
        live.add(line("curl", 1), line("started", 2))
        assert live.alert()["rule"]["id"] == "shell"
        return live

    yield started
    for live in runs:
        live.process.kill()


def test_what_is_under_way_goes_on_and_the_new_rule_begins(
    begin: Callable[..., Live], write: Write
) -> None:
    live = begin()
    write("rules/download.eql", NEW)
    said = live.reload()
    assert "0 added, 0 removed, 1 changed, 1 unchanged" in said[-1]
    assert "0 kept, 1 draining, 0 ended" in said[-1]
    live.add(line("sh", 3))
    old = live.alert()
    live.add(line("curl", 4), line("sh", 5), line("nc", 6))
    new = live.alert()
    assert [alert["rule"]["id"] for alert in (old, new)] == ["download", "download"]
    assert old["kestrel"]["revision"] != new["kestrel"]["revision"]
    reloads = live.end()["reloads"]
    assert (reloads["made"], reloads["failed"]) == (1, 0)
    assert reloads["longest_swap_seconds"] > 0


def test_what_is_under_way_ends_where_that_is_wanted(
    begin: Callable[..., Live], write: Write
) -> None:
    live = begin("--set", "rules.on_change=drop")
    write("rules/download.eql", NEW)
    assert "0 kept, 0 draining, 1 ended" in live.reload()[-1]
    live.add(line("sh", 3), line("curl", 4), line("nc", 5))
    assert live.alert()["event"]["start"] == "2026-01-01T00:00:04.000Z"
    assert live.end()["partial_matches"]["ended"]["rule_changed"] == 1


def test_a_rule_with_an_error_is_left_out_as_at_the_start(
    begin: Callable[..., Live], write: Write
) -> None:
    live = begin()
    write("rules/download.eql", NO_RULE)
    said = live.reload()
    assert any("download.eql" in each and "error" in each for each in said)
    assert "1 removed" in said[-1]
    assert live.end()["rules"] == {"loaded": 1, "rejected": 1}


@pytest.mark.parametrize("case", ["strict", "none is left"])
def test_the_rules_stay_where_the_new_ones_cannot_be_loaded(
    begin: Callable[..., Live], write: Write, case: str
) -> None:
    live = begin(*(["--strict"] if case == "strict" else []))
    write("rules/download.eql", NO_RULE)
    if case == "none is left":
        write("rules/shell.eql", NO_RULE)
    said = live.reload()
    assert any("download.eql" in each and "error" in each for each in said)
    assert said[-1] == "kestrel: the rules are as before\n"
    live.add(line("sh", 3))
    assert live.alert()["rule"]["id"] == "download"
    # It goes on listening.
    write("rules/download.eql", OLD)
    write("rules/shell.eql", 'process where process.name == "started"')
    assert "2 unchanged" in live.reload()[-1]
    assert live.end()["reloads"]["made"] == 1


def test_a_terminal_that_hangs_up_ends_the_run(kestrel: Any, events: Path, rule: Path) -> None:
    ours, theirs = pty.openpty()

    def have_terminal() -> None:
        os.setsid()
        fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)

    process = kestrel.start(
        "run", "--rules", rule, "--source", "jsonl", "--set", f"sources.jsonl.path={events}",
        "--set", "sources.jsonl.follow=true", "--output", "-",
        stdin=theirs, first=have_terminal,
    )  # fmt: skip
    try:
        os.close(theirs)
        assert process.stdout.readline()
        os.close(ours)
        assert process.wait(20) == 0
    finally:
        process.kill()


def test_a_process_that_ignores_hang_ups_goes_on_doing_so(
    kestrel: Any, events: Path, rule: Path
) -> None:
    process = kestrel.start(
        "run", "--rules", rule, "--source", "jsonl", "--set", f"sources.jsonl.path={events}",
        "--set", "sources.jsonl.follow=true", "--output", "-",
        first=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )  # fmt: skip
    assert process.stdout.readline()
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "replaced" not in errors
