"""`kestrel run --workers`: the same bytes as without, whatever happens to the processes."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PACK = EXAMPLES / "rules/linux-behaviour"
CAPTURES = sorted((EXAMPLES / "captures").glob("*.ndjson.gz"))
CORPUS = os.environ.get("KESTREL_CORPUS")
PATIENCE = 30.0
UNLIKE = ("seconds", "events_per_second", "rss_bytes", "workers")

SEQUENCE = """sequence by host.id with maxspan=1m
  [process where process.name == "sh"]
  [process where process.name == "nc"]
"""

Write = Callable[[str, str], Path]


def alike(path: Path) -> dict[str, object]:
    """Return the statistics that have to be the same whatever the number of workers."""
    statistics = json.loads(path.read_text("utf-8"))
    return {name: value for name, value in statistics.items() if name not in UNLIKE}


def children(pid: int) -> list[int]:
    """Return the processes that a process started, and those that these started, and so on."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            found += [int(child), *children(int(child))]
    return found


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def wait_for(condition: Callable[[], bool], problem: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, problem
        time.sleep(0.005)


@pytest.fixture
def rules(write: Write) -> Path:
    write("rules/nc.eql", 'process where process.name == "nc"\n')
    write("rules/steps.eql", SEQUENCE)
    return write("rules/below.eql", "process where descendant of [process where true]\n").parent


@pytest.fixture
def stream(tmp_path: Path) -> Path:
    """Enough events for a run of some time; a few are odd."""
    random = Random(1)
    path = tmp_path / "stream.ndjson"
    with path.open("w", encoding="utf-8") as file:
        for number in range(10_000):
            if random.random() < 0.01:
                file.write(random.choice(("{\n", "\n", '{"process": {"name": "nc"}}\n')))
                continue
            event = {
                "@timestamp": 1767225600000 + number * 10,
                "event": {"category": ["process"], "type": ["start"]},
                "process": {
                    "name": random.choice(("sh", "nc", *["ls"] * 40)),
                    "entity_id": f"p{random.randrange(999)}",
                    "parent": {"entity_id": f"p{random.randrange(999)}"},
                },
                "host": {"id": random.choice("ab")},
            }
            file.write(json.dumps(event) + "\n")
    return path


@pytest.mark.parametrize("size", ["7", "1000"])
def test_captures_give_the_same_bytes(kestrel: Any, tmp_path: Path, size: str) -> None:
    found = []
    for workers in ("1", "2", "3"):
        done = kestrel(
            "run", "--rules", PACK, "--input", *CAPTURES, "--output", "-", "--workers", workers,
            "--stats", "stats.json", "--set", f"engine.batch_size={size}",
        )  # fmt: skip
        assert done.code == 0
        found.append((done.out, alike(tmp_path / "stats.json")))
        counted = json.loads((tmp_path / "stats.json").read_text("utf-8"))["workers"]
        assert (counted["number"], counted["restarts"]) == (int(workers), 0)
        if workers == "1":
            assert counted["memory_bytes"] == 0
    assert len(found[0][0].splitlines()) > 3
    assert found[0] == found[1] == found[2]


def test_standard_input_gives_the_same_bytes(kestrel: Any, rules: Path, stream: Path) -> None:
    text = stream.read_text("utf-8")[:150_000]
    options = ("run", "--rules", rules, "--input", "-", "--output", "-", "--workers")
    one, two = kestrel(*options, "1", input=text), kestrel(*options, "2", input=text)
    assert len(one.objects) > 20
    assert (two.code, two.out) == (0, one.out)


def test_an_alert_does_not_wait_for_more_input(kestrel: Any, rules: Path) -> None:
    process = kestrel.start(
        "run", "--rules", rules, "--input", "-", "--output", "-", "--workers", "2",
        stdin=subprocess.PIPE,
    )  # fmt: skip
    event = {"event": {"category": "process"}, "process": {"name": "nc"}}
    process.stdin.write(json.dumps({**event, "@timestamp": "2026-01-01T00:00:00Z"}) + "\n")
    process.stdin.flush()
    assert json.loads(process.stdout.readline())["rule"]["id"] == "nc"
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 0


@pytest.mark.parametrize("workers", ["0", "65", "-1", "two"])
def test_a_wrong_number_is_told(kestrel: Any, rules: Path, stream: Path, workers: str) -> None:
    done = kestrel("run", "--rules", rules, "--input", stream, "--workers", workers)
    assert done.code == 2
    assert "workers" in done.err


@pytest.fixture
def expected(kestrel: Any, rules: Path, stream: Path, tmp_path: Path) -> tuple[str, Any]:
    """What one process finds in the stream."""
    done = kestrel(
        "run", "--rules", rules, "--input", stream, "--output", "-", "--stats", "expected.json"
    )
    assert done.code == 0
    return done.out, alike(tmp_path / "expected.json")


def start(kestrel: Any, rules: Path, stream: Path, *more: object) -> subprocess.Popen[str]:
    process: subprocess.Popen[str] = kestrel.start(
        "run", "--rules", rules, "--input", stream, "--workers", "2", "--stats", "stats.json",
        "--set", "engine.batch_size=100", *more,
    )  # fmt: skip
    return process


def test_killing_workers_changes_nothing(
    kestrel: Any, rules: Path, stream: Path, tmp_path: Path, expected: tuple[str, Any]
) -> None:
    random = Random(1)

    def restarts_with_kills() -> int:
        (tmp_path / "alerts.ndjson").unlink(missing_ok=True)
        process = start(kestrel, rules, stream, "--output", "jsonl:alerts.ndjson")
        while process.poll() is None:
            # The first child starts the others.
            for pid in random.sample(workers := children(process.pid)[1:], min(1, len(workers))):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(random.uniform(0.03, 0.1))
        assert process.returncode == 0
        assert (tmp_path / "alerts.ndjson").read_text("utf-8") == expected[0]
        assert alike(tmp_path / "stats.json") == expected[1]
        counted = json.loads((tmp_path / "stats.json").read_text("utf-8"))["workers"]
        return int(counted["restarts"])

    # On a busy machine the main process may have matched everything before a worker was missed.
    assert any(restarts_with_kills() > 1 for _ in range(5))


def test_killing_the_process_that_starts_them_changes_nothing(
    kestrel: Any, rules: Path, stream: Path, tmp_path: Path, expected: tuple[str, Any]
) -> None:
    process = start(kestrel, rules, stream, "--output", "jsonl:alerts.ndjson")
    wait_for(lambda: len(children(process.pid)) == 3, "the workers did not start")
    time.sleep(0.3)
    os.kill(children(process.pid)[0], signal.SIGKILL)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert "the main one matches" in err
    assert (tmp_path / "alerts.ndjson").read_text("utf-8") == expected[0]
    assert alike(tmp_path / "stats.json") == expected[1]


def test_nothing_is_left_of_a_killed_engine_and_it_goes_on(
    kestrel: Any, rules: Path, stream: Path, tmp_path: Path, expected: tuple[str, Any]
) -> None:
    output = ("--output", "jsonl:alerts.ndjson")
    process = start(kestrel, rules, stream, *output)
    wait_for(lambda: len(children(process.pid)) == 3, "the workers did not start")
    pids = children(process.pid)
    os.kill(pids[1], signal.SIGSTOP)
    process.kill()
    process.wait()
    wait_for(lambda: not any(map(runs, pids)), "processes are left")
    (tmp_path / "alerts.ndjson").unlink(missing_ok=True)
    again = start(kestrel, rules, stream, *output)
    assert again.wait(PATIENCE) == 0
    assert (tmp_path / "alerts.ndjson").read_text("utf-8") == expected[0]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_all_processes_finishes_what_was_read(
    kestrel: Any, rules: Path, number: signal.Signals
) -> None:
    process = subprocess.Popen(
        kestrel._command(
            ("run", "--rules", rules, "--input", "-", "--output", "-", "--workers", 2)
        ),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=kestrel.folder,
        env=kestrel.environment,
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    event = {"event": {"category": "process"}, "process": {"name": "nc"}}
    process.stdin.write(json.dumps(event) + "\n")
    process.stdin.flush()
    process.stdout.readline()
    pids = children(process.pid)
    assert len(pids) == 3
    os.killpg(process.pid, number)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    assert "1 events, 1 alert" in err or "1 event, 1 alert" in err
    assert "died" not in err
    assert not any(map(runs, pids))


def test_a_private_folder_makes_no_difference(
    kestrel: Any, rules: Path, stream: Path, expected: tuple[str, Any]
) -> None:
    done = kestrel(
        "run", "--rules", rules, "--input", stream, "--output", "-", "--workers", "2",
        "--state", "state",
    )  # fmt: skip
    assert (done.code, done.out) == (0, expected[0])


@pytest.mark.slow
@pytest.mark.skipif(CORPUS is None, reason="KESTREL_CORPUS names no folder of recorded attacks")
@pytest.mark.parametrize("capture", ["windows/mordor_60k", "linux/scap", "linux/k8s"])
def test_recorded_attacks_and_public_rules_give_the_same_bytes(
    kestrel: Any, tmp_path: Path, capture: str
) -> None:
    corpus = Path(CORPUS or "")
    events = tmp_path / "events.ndjson"
    events.write_bytes(gzip.decompress((corpus / f"{capture}.ndjson.gz").read_bytes()))
    found = []
    for workers in ("1", "2", "3"):
        output = tmp_path / f"alerts-{workers}.ndjson"
        process = kestrel.start(
            "run", "--rules", *sorted((corpus / "rules").glob("*.tar.gz")), "--input", events,
            "--output", f"jsonl:{output}", "--workers", workers, "--stats", "stats.json",
        )  # fmt: skip
        threading.Thread(target=process.stderr.read, daemon=True).start()
        assert process.wait(600) == 0
        found.append((output.read_bytes(), alike(tmp_path / "stats.json")))
    assert found[0] == found[1] == found[2]
