"""Engines in processes of their own find the sequences that are split between them."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest
import shared_engine
from redis_servers import PATIENCE_SECONDS, RedisServer, wait_until

from kestrel_framework import Detector
from kestrel_framework.event import Document
from kestrel_framework.schema import SchemaRegistry
from kestrel_framework.values import format_timestamp

MEMBERS: Final = ("ada", "bob")
EVENTS: Final = 400
Finding = tuple[str, tuple[str | None, ...]]


def stream(seed: int) -> list[Document]:
    """Return events of the steps of many sequences, in order, each with a time of its own."""
    chance = random.Random(seed)
    moments = sorted(chance.sample(range(1, 200_000), EVENTS))
    return [
        {"t": moment * 1_000_000, "name": chance.choice("AABBCCDE"), "key": chance.randrange(9)}
        for moment in moments
    ]


def split(folder: Path, documents: Sequence[Document], seed: int) -> None:
    """Give each member the events that only it sees."""
    chance = random.Random(seed)
    lines: dict[str, list[str]] = {member: [] for member in MEMBERS}
    for document in documents:
        lines[chance.choice(MEMBERS)].append(json.dumps(document) + "\n")
    for member in MEMBERS:
        (folder / member).mkdir(parents=True)
        (folder / member / "events.ndjson").write_text("".join(lines[member]))


def expected(documents: Sequence[Document]) -> list[Finding]:
    """Return what one engine finds that sees everything, sorted."""
    detector = Detector(
        shared_engine.RULES, schema=SchemaRegistry(), settings=shared_engine.SETTINGS
    )
    alerts = [*detector.feed(documents), *detector.finish()]
    return sorted(
        [
            (
                alert.rule.rule_id,
                tuple(
                    [None if e is None else format_timestamp(e.timestamp) for e in alert.evidence]
                ),
            )
            for alert in alerts
        ],
        key=str,
    )


def found(folder: Path) -> list[Finding]:
    """Return what all members wrote, sorted."""
    lines = [
        line
        for member in MEMBERS
        for line in (folder / member / "alerts.ndjson").read_text().splitlines()
    ]
    return sorted(
        [
            (
                alert["rule"]["id"],
                tuple([each and each["@timestamp"] for each in alert["kestrel"]["evidence"]]),
            )
            for alert in map(json.loads, lines)
        ],
        key=str,
    )


class Host:
    """Runs one member as often as it dies."""

    def __init__(self, folder: Path, server: RedisServer, member: str, outage: str) -> None:
        self._asked: dict[str, object] = {
            "folder": str(folder / member),
            "url": server.url,
            "member": member,
            "members": MEMBERS,
            "outage": outage,
        }
        self._process: subprocess.Popen[bytes]

    def start(self, death: int = 0) -> None:
        asked = json.dumps(self._asked | {"death": death})
        self._process = subprocess.Popen(
            [sys.executable, shared_engine.__file__, asked],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def wait(self) -> tuple[int, dict[str, int]]:
        """Wait for its end; return its exit code and, where all went well, what it did."""
        out, errors = self._process.communicate(timeout=3 * PATIENCE_SECONDS)
        code = self._process.returncode
        assert code in (0, -signal.SIGKILL), errors.decode(errors="replace")[-4000:]
        return code, json.loads(out) if code == 0 else {}


def run(
    folder: Path,
    server: RedisServer,
    deaths: Sequence[tuple[str, int]] = (),
    outage: str = "wait",
    disturb: Callable[[], None] = lambda: None,
) -> tuple[int, dict[str, dict[str, int]]]:
    """Run all members to the end; return how many kills there were, and what members did.

    Args:
        folder: Has a folder for each member.
        server: Where the state is.
        deaths: Which member dies in which of its commits; started again each time.
        outage: What members do while the server is away.
        disturb: Does something to the server meanwhile.
    """

    def run_member(member: str) -> tuple[int, dict[str, int]]:
        host = Host(folder, server, member, outage)
        for kills, death in enumerate([*(at for who, at in deaths if who == member), 0]):
            host.start(death)
            code, statistics = host.wait()
            if code == 0:
                return kills, statistics
        raise AssertionError("the last run is not killed")

    with ThreadPoolExecutor() as threads:
        running = {member: threads.submit(run_member, member) for member in MEMBERS}
        disturb()
        runs = {member: future.result() for member, future in running.items()}
    kills = sum(kills for kills, _ in runs.values())
    statistics = {member: did for member, (_, did) in runs.items()}
    return kills, statistics


def test_sequences_that_are_split_between_two_engines_are_found(
    clean_server: RedisServer, tmp_path: Path
) -> None:
    documents = stream(0)
    split(tmp_path, documents, 0)
    kills, statistics = run(tmp_path, clean_server)
    assert kills == 0
    assert len(expected(documents)) > 100
    assert found(tmp_path) == expected(documents)
    assert statistics["ada"]["sent"] > 10
    assert statistics["bob"]["taken"] > 10
    with clean_server.client() as client:
        left = client.hkeys("kestrel:{shared}:values")
    assert not [key for key in left if b"inbox" in key]


@pytest.mark.parametrize("outage", ["wait", "go_on"])
@pytest.mark.parametrize("how", ["gone", pytest.param("paused", marks=pytest.mark.slow)])
def test_an_outage_makes_no_difference(
    own_server: Callable[[], RedisServer], tmp_path: Path, outage: str, how: str
) -> None:
    server = own_server()
    documents = stream(0)
    split(tmp_path, documents, 0)

    def disturb() -> None:
        with server.client() as client:
            began = [f"shared/member/{member}/position/events" for member in MEMBERS]
            wait_until(lambda: None not in client.hmget("kestrel:{shared}:values", began))
        if how == "paused":
            server.pause()
            time.sleep(6.0)
            server.resume()
        else:
            server.kill()
            time.sleep(1.0)
            server.start()

    _, statistics = run(tmp_path, server, outage=outage, disturb=disturb)
    assert sorted(set(found(tmp_path)), key=str) == sorted(set(expected(documents)), key=str)
    assert sum(each["outages"] for each in statistics.values()) >= 1


def same_with_kills(folder: Path, server: RedisServer, seed: int) -> int:
    """Compare members that are killed with one engine; return how many kills there were."""
    chance = random.Random(seed)
    documents = stream(seed)
    split(folder, documents, seed)
    deaths = [(chance.choice(MEMBERS), chance.randint(2, 25)) for _ in range(4)]
    kills, _ = run(folder, server, deaths)
    assert sorted(set(found(folder)), key=str) == sorted(set(expected(documents)), key=str)
    return kills


def test_one_that_is_killed_midway_makes_no_difference(
    clean_server: RedisServer, tmp_path: Path
) -> None:
    assert same_with_kills(tmp_path, clean_server, 1) >= 2


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 22))
def test_many_kills_make_no_difference(
    clean_server: RedisServer, tmp_path: Path, seed: int
) -> None:
    kills = same_with_kills(tmp_path, clean_server, seed)
    print(f"{kills} kills, no difference")
    assert kills
