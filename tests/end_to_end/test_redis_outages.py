"""What an engine does while the server of its state is away: no alert is lost, and none doubled."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import forked_work
import pytest
from redis_servers import Proxy, RedisServer, wait_until

from kestrel_framework.cli.log_lines import log_to_stderr
from kestrel_framework.engine import ExitStatus
from kestrel_framework.event import Document
from kill_runs import (
    Death,
    Keeping,
    alerts_of,
    built,
    configured,
    run,
    stream,
    undisturbed,
    write_events,
)
from redis_engines import alert_ids, kept_in, namespace_of

AWAY = "the state store is away"
BACK = "the state store is back"
POLICIES = pytest.mark.parametrize("outage", ["wait", "go_on"])
EVENTS = stream(3)
THIRD = len(EVENTS) // 3

Follow = Callable[[Keeping], "Live"]


class Live:
    """An engine in a process of its own, which follows a file that the test adds to."""

    def __init__(self, keeping: Keeping, folder: Path) -> None:
        self.keeping = keeping
        self.folder = folder
        self.log = folder / "log"
        write_events(folder, EVENTS[:THIRD])
        self._process: tuple[int, int] | None = forked_work.start(self._work)

    def _work(self) -> None:
        sys.stderr = self.log.open("a", buffering=1, encoding="utf-8")
        log_to_stderr()
        configuration = configured(self.keeping, self.folder, follow=True)
        engine = built(self.keeping, configuration, Death())
        signal.signal(signal.SIGTERM, lambda number, frame: engine.stop())
        report = engine.run()
        outcome = {"status": report.exit_status.value, "state": report.statistics["state"]}
        (self.folder / "outcome").write_text(json.dumps(outcome))

    def add(self, documents: list[Document]) -> None:
        write_events(self.folder, documents)

    def wait_for_alerts(self) -> None:
        """Wait until there are more alerts than before the call."""
        path = self.folder / "alerts.ndjson"
        before = path.stat().st_size if path.exists() else 0
        wait_until(lambda: path.exists() and path.stat().st_size > before)

    def wait_for_line(self, text: str) -> None:
        wait_until(lambda: self.log.exists() and text in self.log.read_text())

    def stop(self) -> None:
        assert self._process is not None
        os.kill(self._process[0], signal.SIGTERM)

    def end(self) -> None:
        """Kill it, if it is still there."""
        if self._process is not None:
            pid, reading = self._process
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            os.close(reading)

    def outcome(self) -> tuple[str, dict[str, float]]:
        """Wait for the end; return the exit status, and what became of the state."""
        assert self._process is not None
        process, self._process = self._process, None
        forked_work.finish(*process)
        outcome = json.loads((self.folder / "outcome").read_text())
        return outcome["status"], outcome["state"]

    def finish(self) -> bytes:
        """Have another run read the rest, to the end of all input; return the alerts."""
        forked_work.in_child(lambda: run(self.keeping, self.folder, Death()))
        return alerts_of(self.folder)


@pytest.fixture
def follow(tmp_path: Path) -> Iterator[Follow]:
    """Starts an engine that is ended with the test."""
    started = []

    def start(keeping: Keeping) -> Live:
        started.append(Live(keeping, tmp_path / "live"))
        started[-1].wait_for_alerts()
        return started[-1]

    yield start
    for live in started:
        live.end()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    started = RedisServer(tmp_path / "server")
    yield started
    started.stop()


@pytest.fixture
def expected(server: RedisServer, tmp_path: Path) -> list[str]:
    undisturbed(kept_in(server), tmp_path / "undisturbed", EVENTS)
    return sorted(alert_ids(alerts_of(tmp_path / "undisturbed")))


def paused(server: RedisServer) -> Callable[[], None]:
    server.pause()
    return server.resume


def killed(server: RedisServer) -> Callable[[], None]:
    server.kill()
    return server.start


def full(server: RedisServer) -> Callable[[], None]:
    def limit(size: str) -> None:
        with server.client() as client:
            client.config_set("maxmemory", size)

    limit("1mb")
    return lambda: limit("0")


@POLICIES
@pytest.mark.parametrize("lease", [0.5, 15.0])
@pytest.mark.parametrize("disturb", [paused, killed, full])
def test_an_engine_outlives_an_outage(
    server: RedisServer,
    follow: Follow,
    expected: list[str],
    outage: str,
    lease: float,
    disturb: Callable[[RedisServer], Callable[[], None]],
) -> None:
    live = follow(kept_in(server, outage=outage, lease=lease))
    recover = disturb(server)
    live.wait_for_line(AWAY)
    before = alerts_of(live.folder)
    live.add(EVENTS[THIRD : 2 * THIRD])
    if outage == "go_on":
        wait_until(lambda: len(alerts_of(live.folder)) > len(before))
    else:
        assert alerts_of(live.folder) == before
    recover()
    live.wait_for_line(BACK)
    live.add(EVENTS[2 * THIRD :])
    live.wait_for_alerts()
    live.stop()
    status, state = live.outcome()
    assert status == ExitStatus.FINE.value, live.log.read_text()
    assert state["outages"] >= 1
    assert state["outage_seconds"] > 0
    assert sorted(alert_ids(live.finish())) == expected


@POLICIES
def test_an_engine_can_be_stopped_in_an_outage(
    server: RedisServer, follow: Follow, expected: list[str], outage: str
) -> None:
    live = follow(kept_in(server, outage=outage))
    server.kill()
    live.wait_for_line(AWAY)
    live.add(EVENTS[THIRD:])
    live.stop()
    assert live.outcome()[0] == ExitStatus.OUTPUT_FAILED.value
    server.start()
    assert sorted(alert_ids(live.finish())) == expected


@POLICIES
def test_a_slow_server_is_no_outage(
    server: RedisServer, follow: Follow, expected: list[str], outage: str
) -> None:
    proxy = Proxy(server.port)
    keeping = kept_in(server, outage=outage, url=proxy.url)

    def slowly(data: bytes) -> bytes:
        time.sleep(0.1)
        return data

    live = follow(keeping)
    proxy.answer = slowly
    live.add(EVENTS[THIRD:])
    live.wait_for_alerts()
    live.stop()
    assert live.outcome() == (ExitStatus.FINE.value, {"outages": 0, "outage_seconds": 0.0})
    proxy.answer = lambda data: data
    assert sorted(alert_ids(live.finish())) == expected
    proxy.close()


@POLICIES
def test_a_server_that_lost_its_data_ends_the_run(
    server: RedisServer, follow: Follow, expected: list[str], outage: str
) -> None:
    live = follow(kept_in(server, outage=outage))
    server.restart(without_data=True)
    live.add(EVENTS[THIRD:])
    assert live.outcome()[0] == ExitStatus.OUTPUT_FAILED.value
    assert "the state that this engine knew is gone" in live.log.read_text()
    assert sorted(alert_ids(live.finish())) == expected


@POLICIES
def test_another_type_at_a_key_ends_the_run(
    server: RedisServer, follow: Follow, expected: list[str], outage: str
) -> None:
    live = follow(kept_in(server, outage=outage))
    key = f"kestrel:{{{namespace_of(live.folder)}}}:values"
    with server.client() as client:
        wait_until(lambda: bool(client.exists(key)))
        pipeline = client.pipeline(transaction=True)
        pipeline.rename(key, "ours")
        pipeline.set(key, "theirs")
        pipeline.execute()
        live.add(EVENTS[THIRD:])
        assert live.outcome()[0] == ExitStatus.OUTPUT_FAILED.value
        assert "that somebody else wrote" in live.log.read_text()
        client.rename("ours", key)
    assert sorted(alert_ids(live.finish())) == expected
