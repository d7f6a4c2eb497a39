"""Measure the program `kestrel` as people start it: memory, speed and start-up by the clock."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Final

import attrs

from benchmarks.children import ChildError
from benchmarks.rule_sets import rule_paths
from benchmarks.streams import Stream

_STARTS: Final = 7
_PACK: Final = Path(__file__).parents[1] / "examples" / "rules"


@attrs.frozen
class ProgramRun:
    """What `kestrel run --stats` said of one run; wall seconds, and the most memory in bytes."""

    events: int
    alerts: int
    seconds: float
    rss_bytes: int


def program_run(stream: Stream, events: int) -> ProgramRun:
    """Run the program with all real rules on a file of events, and write the alerts to a file."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "events.ndjson").write_bytes(b"\n".join(stream.first(events)) + b"\n")
        arguments = ["run", "--rules", *map(str, rule_paths()), "--input", "events.ndjson"]
        _run([*arguments, "--output", "jsonl:alerts.ndjson", "--stats", "stats.json"], place)
        statistics = json.loads((place / "stats.json").read_bytes())
    return ProgramRun(**{field.name: statistics[field.name] for field in attrs.fields(ProgramRun)})


def start_up_seconds() -> tuple[float, float]:
    """Return the wall seconds, from start to end, of `--version` and of a run without events."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "empty.ndjson").touch()
        empty = ["run", "--input", "empty.ndjson", "--rules", str(_PACK)]
        return _median_seconds(["--version"], place), _median_seconds(empty, place)


def _median_seconds(arguments: Sequence[str], folder: Path) -> float:
    times = []
    for _ in range(_STARTS):
        started = time.perf_counter()
        _run(arguments, folder)
        times.append(time.perf_counter() - started)
    return median(times)


def _run(arguments: Sequence[str], folder: Path) -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "kestrel_framework.cli", *arguments],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if finished.returncode != 0:
        raise ChildError(f"`kestrel {' '.join(arguments)}` failed: {finished.stderr.strip()}")
