"""Measure what Kestrel does of its job in a second, and write docs/reference/benchmarks.md.

Each case runs in processes of its own, so that memory is its own and nothing is warm by
accident; medians of all runs are reported, and every run of a case must find the same alerts.
A case whose input is not here is left out, and the report says so.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Final

import attrs
from generated_stream import generated_lines

from kestrel_eql import EqlCompiler
from kestrel_framework import Detector, EventBatch, load_rules

ROOT: Final = Path(__file__).parents[1]
REPORT: Final = ROOT / "docs" / "reference" / "benchmarks.md"
BATCH: Final = 1000
PROCESSES: Final = 3
PASSES: Final = 2
SINGLES: Final = 5000
_METHOD: Final = f"""
- One thread of one process decodes JSON lines in batches of {BATCH:,} and gives the alerts
  (`Detector.feed`). Reading the file and writing alerts are not part of it.
- Times are CPU time of that process, so that other work on the machine counts little.
- Each case runs in {PROCESSES} fresh processes with different hash seeds. Each makes a first
  pass and {PASSES} warm ones over all events; shown are medians. All passes of all processes
  must find the same alerts, or there is no report.
- For the time of an event that comes alone, the first {SINGLES:,} events are fed one by one to
  a detector that has seen nothing.
- The public rules and events are third-party test data that is not part of the project. The
  generated events (`benchmarks/generated_stream.py`) are the same everywhere; two in five have
  a command line or a path that never occurs again.
- Memory is the peak of the process less the bytes of the events it holds.
"""


@attrs.frozen
class Case:
    """Rules and events that are measured together.

    Attributes:
        name: For the command line.
        title: For the report.
        rules: Rule files, folders or archives.
        lines: Gives the events, one JSON object each.
        missing: What has to be there, and is not; "" where everything is.
    """

    name: str
    title: str
    rules: tuple[Path, ...]
    lines: Callable[[], Iterator[bytes]]
    missing: str = ""


@attrs.frozen
class Measurement:
    """What one process measured; times in seconds, memory in bytes."""

    rules: int
    rejected: int
    load: float
    build: float
    events: int
    size: int
    first: float
    warm: list[float]
    p50: float
    p99: float
    rss: int
    alerts: int
    digest: str


def cases() -> list[Case]:
    """Return all cases, also those that cannot be measured here."""
    place = os.environ.get("KESTREL_CORPUS")
    corpus = Path(place) if place else Path()
    missing = "" if place else "KESTREL_CORPUS is not set"
    archives = tuple(
        corpus / "rules" / f"{name}.tar.gz" for name in ("elastic-detection", "elastic-protections")
    )
    pack = ROOT / "examples" / "rules"
    windows = (corpus / "windows" / "mordor_60k.ndjson.gz",)
    linux = tuple(corpus / "linux" / f"{n}.gz" for n in ("k8s.ndjson", "scap.ndjson"))
    return [
        Case("windows", "public rules, Windows events", archives, _files(windows), missing),
        Case("linux", "public rules, Linux events", archives, _files(linux), missing),
        Case("generated", "the example pack, generated events", (pack,), _generated),
    ]


def _files(paths: Sequence[Path]) -> Callable[[], Iterator[bytes]]:
    def lines() -> Iterator[bytes]:
        for path in paths:
            with gzip.open(path) as file:
                yield from (line.rstrip(b"\n") for line in file)

    return lines


def _generated() -> Iterator[bytes]:
    return generated_lines(60_000)


def measure(case: Case) -> Measurement:
    """Load, build, and run the events several times, in this process."""
    lines = list(case.lines())
    batches = [
        EventBatch(payloads=lines[start : start + BATCH], stream="bench", first_offset=start)
        for start in range(0, len(lines), BATCH)
    ]
    started = time.process_time()
    loaded = load_rules(*case.rules, compilers=[EqlCompiler()])
    load = time.process_time() - started
    started = time.process_time()
    detector = Detector(loaded)
    build = time.process_time() - started
    empty = detector.snapshot()
    times, digests = [], set()
    alerts = 0
    for _ in range(PASSES + 1):
        detector.restore(empty)
        found: list[str] = []
        started = time.process_time()
        for batch in batches:
            found += [alert.alert_id for alert in detector.feed(batch)]
        found += [alert.alert_id for alert in detector.finish()]
        times.append(time.process_time() - started)
        alerts = len(found)
        digests.add(hashlib.sha256("\n".join(found).encode()).hexdigest())
    if len(digests) != 1:
        raise SystemExit(f"{case.name}: two passes over the same events found different alerts")
    latencies = sorted(_latencies(Detector(loaded), lines[:SINGLES]))
    return Measurement(
        rules=len(loaded.rules),
        rejected=len({error.location.path for error in loaded.errors if error.location}),
        load=load,
        build=build,
        events=len(lines),
        size=sum(map(len, lines)),
        first=times[0],
        warm=times[1:],
        p50=latencies[len(latencies) // 2],
        p99=latencies[len(latencies) * 99 // 100],
        rss=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - sum(map(len, lines)),
        alerts=alerts,
        digest=digests.pop(),
    )


def _latencies(detector: Detector, lines: Sequence[bytes]) -> Iterator[float]:
    """Yield the seconds each event takes when it comes alone, to a detector that is not warm."""
    for offset, line in enumerate(lines):
        batch = EventBatch(payloads=(line,), stream="single", first_offset=offset)
        started = time.process_time()
        detector.feed(batch)
        yield time.process_time() - started


def measured(case: Case) -> list[Measurement]:
    """Return what several processes measured."""
    results = []
    for number in range(PROCESSES):
        print(f"{case.name}: process {number + 1} of {PROCESSES}", file=sys.stderr)
        outcome = subprocess.run(
            [sys.executable, __file__, "--case", case.name],
            check=True,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONHASHSEED": str(number)},
        )
        results.append(Measurement(**json.loads(outcome.stdout)))
    if len({result.digest for result in results}) != 1:
        raise SystemExit(f"{case.name}: two processes found different alerts in the same events")
    return results


def start_up(arguments: Sequence[str]) -> float:
    """Return the median seconds that a command takes from start to end."""
    times = []
    for _ in range(7):
        started = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "kestrel_framework.cli", *arguments],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        times.append(time.perf_counter() - started)
    return median(times)


def report(results: dict[str, list[Measurement]]) -> str:
    """Return the page for the documentation."""
    header = ["| | " + " | ".join(case.title for case in cases()) + " |"]
    header.append("|---|" + "--:|" * len(cases()))
    rows: dict[str, Callable[[list[Measurement]], str]] = {
        "rules (and files that do not compile)": lambda m: f"{m[0].rules} ({m[0].rejected})",
        "events": lambda m: f"{m[0].events:,}",
        "bytes an event": lambda m: f"{m[0].size / m[0].events:,.0f}",
        "alerts": lambda m: f"{m[0].alerts:,}",
        "**events a second**, bytes to verdict, warm": lambda m: (
            f"**{m[0].events / _warm(m):,.0f}**"
        ),
        "µs an event, warm": lambda m: f"{_warm(m) / m[0].events * 1e6:.1f}",
        "µs an event, first pass": lambda m: f"{_mid(m, 'first') / m[0].events * 1e6:.1f}",
        "µs for an event that comes alone, P50 / P99": lambda m: (
            f"{_mid(m, 'p50') * 1e6:.0f} / {_mid(m, 'p99') * 1e6:.0f}"
        ),
        "seconds to load the rules": lambda m: f"{_mid(m, 'load'):.2f}",
        "seconds to build the detector": lambda m: f"{_mid(m, 'build'):.2f}",
        "resident memory without the events, MB": lambda m: f"{_mid(m, 'rss') / 1e6:,.0f}",
    }
    table = header + [
        f"| {name} | "
        + " | ".join(cell(results[c.name]) if c.name in results else "–" for c in cases())
        + " |"
        for name, cell in rows.items()
    ]
    left_out = [f"- {case.title}: {case.missing}" for case in cases() if case.missing]
    with tempfile.NamedTemporaryFile(suffix=".ndjson") as empty:
        version, run = (
            start_up(["--version"]),
            start_up(["run", "--input", empty.name, "--rules", str(ROOT / "examples" / "rules")]),
        )
    return "\n".join(
        [
            "<!-- Written by `make bench`. -->",
            "",
            "# Benchmarks",
            "",
            *table,
            "",
            *(["Left out:", "", *left_out, ""] if left_out else []),
            f"Start to end: `kestrel --version` {version:.2f} s, `kestrel run` with the example "
            f"pack on an empty input {run:.2f} s.",
            "",
            f"Measured on {_machine()}.",
            "",
            "## How it is measured",
            "",
            *_METHOD.strip().splitlines(),
            "",
        ]
    )


def _mid(results: list[Measurement], name: str) -> float:
    return float(median(getattr(result, name) for result in results))


def _warm(results: list[Measurement]) -> float:
    return median(seconds for result in results for seconds in result.warm)


def _machine() -> str:
    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        if line.startswith("model name")
    ]
    model = models[0] if models else platform.machine()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{model}, {os.cpu_count()} virtual cores, {memory:.0f} GB, Linux, "
        f"{platform.python_implementation()} {platform.python_version()}"
    )


def main() -> None:
    """Measure everything and write the report; or, for a child, one case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", choices=[case.name for case in cases()])
    chosen = parser.parse_args().case
    if chosen is not None:
        case = next(case for case in cases() if case.name == chosen)
        print(json.dumps(attrs.asdict(measure(case))))
        return
    results = {case.name: measured(case) for case in cases() if not case.missing}
    for case in cases():
        if case.missing:
            print(f"left out: {case.title}: {case.missing}", file=sys.stderr)
    page = report(results)
    REPORT.write_text(page, encoding="utf-8")
    print(page)


if __name__ == "__main__":
    main()
