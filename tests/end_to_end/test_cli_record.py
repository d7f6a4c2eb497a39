"""`kestrel record`: captures of a live source."""

from __future__ import annotations

import json
import signal
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Write = Callable[[str, str], Path]


def live(path: Path) -> tuple[str, ...]:
    """A file that grows is a live source."""
    return (
        "--source", "jsonl", "--set", f"sources.jsonl.path={path}",
        "--set", "sources.jsonl.follow=true",
    )  # fmt: skip


def test_a_recording_ends_with_its_duration_and_can_be_run(
    kestrel: Any, events: Path, rule: Path, tmp_path: Path
) -> None:
    done = kestrel("record", *live(events), "--duration", "0.5", "--output", "capture.ndjson")
    assert (done.code, done.out) == (0, "")
    assert "3 events written to capture.ndjson" in done.err
    capture = tmp_path / "capture.ndjson"
    assert capture.read_bytes() == events.read_bytes()
    assert stat.S_IMODE(capture.stat().st_mode) == 0o600
    assert len(kestrel("run", "--rules", rule, "--input", capture, "--output", "-").objects) == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_it_with_everything_written(
    kestrel: Any, events: Path, tmp_path: Path, number: signal.Signals
) -> None:
    process = kestrel.start("record", *live(events), "--output", "capture.ndjson")
    capture = tmp_path / "capture.ndjson"
    deadline = time.monotonic() + 20
    while not (capture.exists() and capture.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    assert process.wait(20) == 0
    assert len([json.loads(line) for line in capture.read_text("utf-8").splitlines()]) == 3


def test_a_source_that_ends_ends_the_recording(kestrel: Any, events: Path) -> None:
    done = kestrel(
        "record", "--source", "jsonl", "--set", f"sources.jsonl.path={events}", "--output", "-"
    )
    assert (done.code, len(done.objects)) == (0, 3)


def test_what_is_lost_is_said(kestrel: Any, write: Write) -> None:
    path = write("long", '{"a": 1}\n{"a": "' + "x" * 200 + '"}\n')
    done = kestrel(
        "record", "--source", "jsonl", "--set", f"sources.jsonl.path={path}",
        "--set", "sources.jsonl.max_line_bytes=100", "--output", "-",
    )  # fmt: skip
    assert (done.code, len(done.objects)) == (0, 1)
    assert "1 events lost: line_too_long" in done.err


def test_a_source_that_cannot_be_opened_leaves_an_old_capture_alone(
    kestrel: Any, write: Write
) -> None:
    old = write("capture", "old\n")
    done = kestrel(
        "record", "--source", "jsonl", "--set", "sources.jsonl.path=nowhere", "--output", old
    )
    assert done.code == 3
    assert "nowhere: cannot be read" in done.err
    assert old.read_text("utf-8") == "old\n"


@pytest.mark.parametrize("output", ["/dev/full", "no/where"])
def test_an_output_that_fails(kestrel: Any, events: Path, output: str) -> None:
    done = kestrel("record", *live(events), "--duration", "5", "--output", output)
    assert done.code == 3
    assert f"{output}: cannot be written: " in done.err


def test_an_output_that_is_a_link_is_refused(
    kestrel: Any, events: Path, write: Write, tmp_path: Path
) -> None:
    target = write("target", "precious")
    (tmp_path / "link").symlink_to(target)
    done = kestrel("record", *live(events), "--duration", "1", "--output", "link")
    assert done.code == 3
    assert target.read_text("utf-8") == "precious"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--output", "x"], "--source"),
        (["--source", "jsonl"], "--output"),
        (["--source", "nothing", "--output", "x"], "there is no source `nothing`"),
        (["--source", "jsonl", "--output", "x"], "exactly one of `path` and `paths`"),
        (["--source", "jsonl", "--output", "x.gz"], "compress it when it is finished"),
        (["--source", "jsonl", "--output", "x", "--duration", "0"], "--duration"),
    ],
)
def test_wrong_usage(kestrel: Any, arguments: list[str], sentence: str) -> None:
    done = kestrel("record", *arguments)
    assert (done.code, done.out) == (2, "")
    assert sentence in done.err
