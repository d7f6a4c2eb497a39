"""The two hosts of the how-to about state do what it says of them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis_servers import PATIENCE_SECONDS, RedisServer, wait_until

DOCUMENT = Path(__file__).parents[2] / "docs" / "how-to" / "keep-state.md"
TEXT = DOCUMENT.read_text(encoding="utf-8")
HOSTS = dict(re.findall(r"<!-- host: (\S+) -->\n```toml\n(.*?)```\n", TEXT, re.DOTALL))
RULE = re.findall(r"<!-- file: (rules/\S+) -->\n```eql\n(.*?)```\n", TEXT, re.DOTALL)


class Hosts:
    """Runs the configurations of the document, with a server and a file that are there."""

    def __init__(self, server: RedisServer, folder: Path) -> None:
        self.folder = folder
        self.events = folder / "shared.ndjson"
        self.events.touch()
        self._minute = 0
        self._processes: list[subprocess.Popen[bytes]] = []
        for name, content in RULE:
            (folder / name).parent.mkdir()
            (folder / name).write_text(content)
        for name, content in HOSTS.items():
            there = content.replace("redis://127.0.0.1:6379/0", server.url)
            there = there.replace("/mnt/shared/events.ndjson", str(self.events))
            assert there != content
            (folder / name).write_text(there)

    def start(self, name: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [Path(sys.executable).parent / "kestrel", "run", "--config", f"{name}.toml"],
                cwd=self.folder,
                env={**os.environ, "KESTREL_STATE__LEASE": "1"},
                stderr=log,
            )
        self._processes.append(process)
        return process

    def attack(self, host: str) -> None:
        """Have two events come that the rule looks for, and a later one that ends the waiting."""
        with self.events.open("a") as file:
            for name in ("curl", "nc", "true"):
                self._minute += 1
                event = {
                    "@timestamp": f"2026-05-04T10:{self._minute:02}:00Z",
                    "event": {"category": "process"},
                    "host": {"id": host},
                    "process": {"name": name},
                }
                file.write(json.dumps(event) + "\n")

    def wait_for_line(self, name: str, text: str, times: int = 1) -> None:
        log = self.folder / f"{name}.log"
        wait_until(lambda: log.read_text().count(text) >= times)

    def wait_for_alert(self, file: str, host: str) -> None:
        path = self.folder / file
        wait_until(lambda: path.exists() and json.dumps(host) in path.read_text())

    def end(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    server = RedisServer(tmp_path / "server")
    made = Hosts(server, tmp_path)
    yield made
    made.end()
    server.stop()


def test_the_hosts_follow_each_other(hosts: Hosts) -> None:
    assert sorted(HOSTS) == ["host-a.toml", "host-b.toml"]
    first = hosts.start("host-a")
    hosts.attack("one")
    hosts.wait_for_alert("alerts-a.ndjson", "one")
    second = hosts.start("host-b")
    hosts.wait_for_line("host-b", "standing by: another engine owns the state")
    assert not (hosts.folder / "alerts-b.ndjson").exists()

    first.send_signal(signal.SIGSTOP)
    hosts.wait_for_line("host-b", "took over the state")
    hosts.attack("two")
    hosts.wait_for_alert("alerts-b.ndjson", "two")
    first.send_signal(signal.SIGCONT)
    assert first.wait(PATIENCE_SECONDS) == 3
    hosts.wait_for_line("host-a", "this engine ends, since another one has its state")

    again = hosts.start("host-a")
    hosts.wait_for_line("host-a", "standing by: another engine owns the state")
    second.send_signal(signal.SIGTERM)
    assert second.wait(PATIENCE_SECONDS) == 0
    hosts.wait_for_line("host-a", "took over the state")
    again.send_signal(signal.SIGTERM)
    assert again.wait(PATIENCE_SECONDS) == 0


def test_what_the_document_quotes_is_said() -> None:
    said = re.findall(
        r"`(took over the state|the state store is \w+|this engine ends, [^`]*)`", TEXT
    )
    kernel = Path(__file__).parents[2] / "kestrel_framework"
    texts = "".join(
        (kernel / f"{name}.py").read_text() for name in ("_ownership", "_state_keeping")
    )
    assert len(said) == 4
    for text in said:
        assert text in texts
