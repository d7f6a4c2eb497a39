"""One engine at a time: a standby takes over from one that was killed, stopped or has ended."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import attrs
import forked_work
import pytest
from redis_servers import RedisServer, wait_until

from kestrel_framework.config import SectionConfig
from kestrel_framework.engine import ExitStatus
from kill_runs import Death, alerts_of, built, configured, stream, undisturbed
from redis_engines import alert_ids, kept_in, owner_of, stored_of

LEASE: Final = 0.5
"""So short that a busy machine can lose it: then a standby takes over from a living engine."""
LOST: Final = "this engine ends, since another one has its state"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    started = RedisServer(tmp_path_factory.mktemp("redis") / "server", "--appendfsync", "no")
    yield started
    started.stop()


@attrs.define
class Host:
    """A process with an engine that has an output of its own."""

    name: str
    pid: int
    _reading: int

    @classmethod
    def started(
        cls, server: RedisServer, folder: Path, name: str, death: Death, *, standby: bool = True
    ) -> Host:
        def work() -> None:
            keeping = kept_in(server, owner=name, lease=LEASE, standby=standby)
            output = SectionConfig("jsonl", {"path": str(folder / f"alerts-{name}.ndjson")})
            configuration = attrs.evolve(configured(keeping, folder), outputs={"alerts": output})
            report = built(keeping, configuration, death).run()
            failures = "; ".join(map(str, report.failures))
            assert report.exit_status is ExitStatus.FINE, failures

        return cls(name, *forked_work.start(work))

    def wait(self) -> tuple[int, str]:
        """Wait for its end; return its exit code and the problem."""
        with os.fdopen(self._reading, "rb") as pipe:
            problem = pipe.read().decode()
        _, status = os.waitpid(self.pid, 0)
        return os.waitstatus_to_exitcode(status), problem

    def is_stopped(self) -> bool:
        """Wait until it is stopped or has ended; say which."""
        info = os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        return info is not None and info.si_code == os.CLD_STOPPED


def is_owned_or_over(server: RedisServer, folder: Path, host: Host) -> bool:
    ended = os.waitid(os.P_PID, host.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    return ended is not None or owner_of(server, folder) == host.name


def all_alerts(folder: Path) -> set[str]:
    """Return the alerts of all hosts; none is twice in the file of one."""
    found: set[str] = set()
    for path in folder.glob("alerts-*.ndjson"):
        whole = path.read_bytes().rpartition(b"\n")[0]  # a kill may have cut the last line off
        ids = alert_ids(whole)
        assert len(set(ids)) == len(ids)
        found.update(ids)
    return found


def prepared(server: RedisServer, tmp_path: Path, seed: int) -> tuple[set[str], int]:
    """Run undisturbed; return the alerts, and how many boundaries there are."""
    boundaries = undisturbed(kept_in(server), tmp_path / "undisturbed", stream(seed))
    return set(alert_ids(alerts_of(tmp_path / "undisturbed"))), boundaries


def folder_beside(tmp_path: Path, name: str) -> Path:
    folder = tmp_path / name
    folder.mkdir(mode=0o700)
    os.link(tmp_path / "undisturbed" / "events.ndjson", folder / "events.ndjson")
    return folder


def failovers(server: RedisServer, tmp_path: Path, seed: int, runs: int) -> tuple[int, int]:
    """Kill the active one of a row of hosts; return the numbers of kills and of differences."""
    chance = random.Random(seed)
    expected, boundaries = prepared(server, tmp_path, seed)
    assert len(expected) > 30
    kills = differences = 0
    for number in range(runs):
        folder = folder_beside(tmp_path, str(number))
        hosts = []
        for name in "abc"[: chance.randint(1, 3)]:
            death = Death(chance.randint(1, boundaries))
            hosts.append(Host.started(server, folder, name, death))
            wait_until(lambda: is_owned_or_over(server, folder, hosts[0]))  # noqa: B023
        hosts.append(Host.started(server, folder, "last", Death()))
        for host in hosts:
            code, problem = host.wait()
            assert code in (0, -signal.SIGKILL)
            assert not problem or LOST in problem
            kills += code != 0
        differences += all_alerts(folder) != expected
    return kills, differences


def test_a_standby_takes_over_from_a_killed_engine(server: RedisServer, tmp_path: Path) -> None:
    kills, differences = failovers(server, tmp_path, seed=1, runs=4)
    assert kills >= 3
    assert differences == 0


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 6))
def test_many_failovers_make_no_difference(
    server: RedisServer, tmp_path: Path, seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    kills, differences = failovers(server, tmp_path, seed, runs=30)
    with capsys.disabled():
        print(f"\nfailover, seed {seed}: 30 runs, {kills} kills, {differences} differences")
    assert kills >= 20
    assert differences == 0


def stops(server: RedisServer, tmp_path: Path, seed: int, runs: int) -> int:
    """Stop an engine anywhere, have another one do all the rest, and let the first one go on.

    Returns how many of the runs differ from an undisturbed one, by their alerts.
    """
    chance = random.Random(seed)
    expected, boundaries = prepared(server, tmp_path, seed)
    differences = 0
    for number in range(runs):
        folder = folder_beside(tmp_path, str(number))
        # Not so late that nothing is left for it to do.
        death = Death(chance.randint(20, boundaries * 3 // 4), by=signal.SIGSTOP)
        first = Host.started(server, folder, "a", death, standby=False)
        assert first.is_stopped()
        assert Host.started(server, folder, "b", Death()).wait() == (0, "")
        before = stored_of(server, folder)
        assert before
        os.kill(first.pid, signal.SIGCONT)
        code, problem = first.wait()
        assert stored_of(server, folder) == before
        assert LOST in problem
        assert code == 0  # of the fork; the status of the engine is in the problem
        differences += all_alerts(folder) != expected
    return differences


def test_an_engine_that_was_stopped_changes_nothing_when_it_wakes_up(
    server: RedisServer, tmp_path: Path
) -> None:
    assert stops(server, tmp_path, seed=1, runs=4) == 0


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 6))
def test_engines_that_were_stopped_anywhere_change_nothing(
    server: RedisServer, tmp_path: Path, seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    differences = stops(server, tmp_path, seed, runs=30)
    with capsys.disabled():
        print(f"\nstopped engines, seed {seed}: 30 stops, {differences} differences")
    assert differences == 0


def test_an_engine_that_ends_lets_the_standby_take_over_at_once(
    server: RedisServer, tmp_path: Path
) -> None:
    expected, _ = prepared(server, tmp_path, 1)
    folder = folder_beside(tmp_path, "both")
    hour = 3600.0
    keeping = kept_in(server, owner="a", lease=hour)

    def work() -> None:
        configuration = configured(keeping, folder)
        output = SectionConfig("jsonl", {"path": str(folder / "alerts-a.ndjson")})
        configuration = attrs.evolve(configuration, outputs={"alerts": output})
        built(keeping, configuration, Death(at=20, by=signal.SIGSTOP)).run()

    first = Host("a", *forked_work.start(work))
    assert first.is_stopped()
    standby = Host.started(server, folder, "b", Death())
    refused = Host.started(server, folder, "c", Death(), standby=False).wait()[1]
    assert "another engine owns the state" in refused
    assert "`a` has it, for 3" in refused
    assert "state.standby = true" in refused
    assert not (folder / "alerts-b.ndjson").exists()
    assert not (folder / "alerts-c.ndjson").exists()
    os.kill(first.pid, signal.SIGCONT)
    assert first.wait() == (0, "")
    assert standby.wait() == (0, "")
    assert set(alert_ids((folder / "alerts-a.ndjson").read_bytes())) == expected
    assert (folder / "alerts-b.ndjson").read_bytes() == b""
