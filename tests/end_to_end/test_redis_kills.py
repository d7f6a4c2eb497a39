"""An engine with its state in Redis that is killed does exactly what another one does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis_servers import RedisServer

from kill_runs import runs_with_kills
from redis_engines import kept_in


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    started = RedisServer(tmp_path_factory.mktemp("redis") / "server", "--appendfsync", "no")
    yield started
    started.stop()


def test_a_killed_engine_goes_on_as_if_nothing_had_been(
    server: RedisServer, tmp_path: Path
) -> None:
    tally = runs_with_kills(kept_in(server), tmp_path, seed=1, runs=6)
    assert tally.kills >= 6
    assert tally.differences == 0


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 8))
def test_hundreds_of_kills_make_no_difference(
    server: RedisServer, tmp_path: Path, seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    tally = runs_with_kills(kept_in(server), tmp_path, seed, runs=40)
    with capsys.disabled():
        print(f"\nRedis, seed {seed}: {tally}")
    assert tally.kills >= 40
    assert tally.differences == 0
