"""What `make demo` shows, on the captures that are in the repository."""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "examples/rules/linux-behaviour"
CAPTURES = ROOT / "examples/captures"
KESTREL = Path(sys.executable).with_name("kestrel")


def alerts_over(capture: str) -> Counter[str]:
    ran = subprocess.run(
        [KESTREL, "run", "--rules", RULES, "--input", CAPTURES / capture, "--format", "json"],
        capture_output=True,
        check=True,
        timeout=60,
    )
    alerts = [json.loads(line) for line in ran.stdout.splitlines()]
    return Counter(alert["rule"]["id"] for alert in alerts)


def test_every_rule_fires_on_the_recorded_attack() -> None:
    alerts = alerts_over("rehearsal.ndjson.gz")
    assert set(alerts) == {path.stem for path in RULES.glob("*.eql")}
    assert alerts.total() < 50, "an analyst reads them all"


def test_ordinary_work_is_quiet() -> None:
    assert alerts_over("ordinary-work.ndjson.gz") == {}


@pytest.mark.parametrize("capture", ["rehearsal.ndjson.gz", "ordinary-work.ndjson.gz"])
def test_a_capture_is_of_processes_and_names_no_real_host(capture: str) -> None:
    text = gzip.decompress((CAPTURES / capture).read_bytes()).decode()
    events = [json.loads(line) for line in text.splitlines()]
    assert len(events) > 300
    assert {event["host"]["name"] for event in events} == {"demo-host"}
    assert {event["event"]["dataset"] for event in events} == {"proc-events"}
    actions = Counter(event["event"]["action"] for event in events)
    assert actions["fork"] == actions["exit"], "every process that began has ended"
    folders = {path.split("/")[1] for path in re.findall(r'(?<=")/[a-z]+/[^" ]*', text)}
    known = {"bin", "dev", "etc", "home", "opt", "proc", "root", "srv", "tmp", "usr", "var"}
    assert folders <= known


def test_the_demo_shows_its_command_the_alerts_and_what_is_next() -> None:
    ran = subprocess.run(
        [sys.executable, ROOT / "examples/demo.py"],
        capture_output=True,
        check=True,
        text=True,
        timeout=60,
        env={**os.environ, "COLUMNS": "160"},
    )
    command, _, rest = ran.stdout.partition("\n")
    assert command.startswith("$ ")
    assert "kestrel run --rules examples/rules/linux-behaviour" in command
    table, _, following = rest.partition("That was a capture.")
    assert "Downloaded file is executed" in table
    assert "/tmp/.cache/updater" in table
    assert "run --source proc-events" in following
