"""The public rules find the same alerts however the events are handed over and matched.

    KESTREL_CORPUS=FOLDER .venv/bin/python -m pytest -q -m slow \
        tests/end_to_end/test_matcher_same_alerts.py
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from kestrel_eql import EqlCompiler
from kestrel_framework import Alert, Detector, EventBatch, load_rules

CORPUS = os.environ.get("KESTREL_CORPUS")
FOLDER = Path(CORPUS or "")
ARCHIVES = [FOLDER / "rules" / f"elastic-{name}.tar.gz" for name in ("detection", "protections")]
RECORDINGS = [
    FOLDER / name
    for name in ("windows/mordor_60k.ndjson.gz", "linux/k8s.ndjson.gz", "linux/scap.ndjson.gz")
]
SECONDS = 600

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CORPUS is None, reason="KESTREL_CORPUS names no folder with recordings"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("alerts")


@pytest.fixture(scope="module")
def events(folder: Path) -> Path:
    """Return a file with all recorded events."""
    path = folder / "events.ndjson"
    path.write_bytes(b"".join(gzip.decompress(one.read_bytes()) for one in RECORDINGS))
    return path


@pytest.fixture(scope="module")
def expected(folder: Path, events: Path) -> str:
    """Return the digest of what the usual run finds; it fills an empty cache of rules."""
    return alerts_of_run(folder, "--input", events)


def alerts_of_run(
    folder: Path, *arguments: object, hash_seed: int = 0, cache: str = "cache", stdin: bytes = b""
) -> str:
    """Return a digest of the alerts that a process of its own writes."""
    command = [sys.executable, "-m", "kestrel_framework.cli", "run", "--format", "json"]
    command += ["--rules", *map(str, ARCHIVES), "--output", "jsonl:-", *map(str, arguments)]
    environment = {name: value for name, value in os.environ.items() if "KESTREL" not in name}
    environment["PYTHONHASHSEED"] = str(hash_seed)
    environment["XDG_CACHE_HOME"] = str(folder / cache)
    finished = subprocess.run(
        command, input=stdin, env=environment, capture_output=True, timeout=SECONDS
    )
    assert finished.returncode == 0, finished.stderr.decode()[-2000:]
    lines = finished.stdout.splitlines()
    assert len(lines) > 100
    return digest(_found(json.loads(line)) for line in lines)


def _found(alert: dict[str, object]) -> Sequence[object]:
    """Return what an alert says, but for the name of the input that its events come from."""
    kestrel, rule = alert["kestrel"], alert["rule"]
    assert isinstance(kestrel, dict)
    assert isinstance(rule, dict)
    offsets = [one and one.get("offset") for one in kestrel["evidence"]]
    return rule["id"], kestrel["revision"], offsets, kestrel.get("join_keys"), alert["@timestamp"]


def digest(found: Iterable[Sequence[object]]) -> str:
    lines = [json.dumps(one) for one in found]
    return f"{len(lines)} {hashlib.sha256(chr(10).join(lines).encode()).hexdigest()}"


@pytest.mark.parametrize("hash_seed", [1, 2, 4_294_967_295])
def test_hash_seeds(folder: Path, events: Path, expected: str, hash_seed: int) -> None:
    assert alerts_of_run(folder, "--input", events, hash_seed=hash_seed) == expected


@pytest.mark.parametrize("size", [1, 7, 64, 100_000])
def test_batch_sizes(folder: Path, events: Path, expected: str, size: int) -> None:
    option = f"engine.batch_size={size}"
    assert alerts_of_run(folder, "--input", events, "--set", option, hash_seed=size) == expected


def test_compressed_input(folder: Path, events: Path, expected: str) -> None:
    compressed = folder / "events.ndjson.gz"
    compressed.write_bytes(gzip.compress(events.read_bytes(), 1))
    assert alerts_of_run(folder, "--input", compressed) == expected


def test_standard_input(folder: Path, events: Path, expected: str) -> None:
    assert alerts_of_run(folder, "--input", "-", stdin=events.read_bytes()) == expected


def test_two_workers(folder: Path, events: Path, expected: str) -> None:
    assert alerts_of_run(folder, "--input", events, "--workers", 2) == expected


def test_without_a_cache(folder: Path, events: Path, expected: str) -> None:
    option = "compilers.eql.cache=false"
    run = alerts_of_run(folder, "--input", events, "--set", option, cache="empty")
    assert run == expected


def test_payloads_and_documents(events: Path, expected: str) -> None:
    rules = load_rules(*ARCHIVES, compilers=[EqlCompiler()])
    lines = events.read_bytes().splitlines()
    by_payload, by_document = Detector(rules), Detector(rules)
    payload_alerts: list[Alert] = []
    document_alerts: list[Alert] = []
    for start in range(0, len(lines), 1000):
        some = lines[start : start + 1000]
        documents = [json.loads(line) for line in some]
        payload_alerts += by_payload.feed(EventBatch(payloads=some, stream="s", first_offset=start))
        document_alerts += by_document.feed(
            EventBatch(documents=documents, stream="s", first_offset=start)
        )
    payload_alerts += by_payload.finish()
    document_alerts += by_document.finish()
    assert payload_alerts == document_alerts
    assert str(len(payload_alerts)) == expected.split()[0]
