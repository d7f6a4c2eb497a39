"""Measure keeping state: snapshots of many partial matches, checkpoints, and going on from them."""

from __future__ import annotations

import argparse
import contextlib
import gc
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import attrs

from benchmarks.children import print_result
from benchmarks.sequence_stream import RULES, sequence_lines, sequence_rule
from benchmarks.sequences import beginning_rules, beginnings, rules_of
from kestrel_framework import Detector, SqliteStateStore, StateStore
from kestrel_framework._builtin.memory_state import MemoryStateStore
from kestrel_framework._checkpoints import Checkpoints
from kestrel_framework._measuring import batches_of
from kestrel_framework.errors import StateError
from kestrel_framework.rule import RuleSet

MEMORY: Final = "memory"
SQLITE: Final = "sqlite"
REDIS: Final = "redis"
STORES: Final = (MEMORY, SQLITE, REDIS)
T = TypeVar("T")
_BATCH: Final = 1000
_COMMITS: Final = 20
_MATCHES_TO_AN_EVENT: Final = 20
_START_SECONDS: Final = 10.0


@attrs.frozen
class Kept:
    """What one process measured; seconds by the clock on the wall.

    Attributes:
        store: Where state was kept.
        batches: The commit after each batch of a stream of sequences: taking the snapshot of
            some thousand partial matches, and writing what changed in it.
        live: How many partial matches there were in what follows.
        bytes: How long a snapshot is.
        snapshot: Making one: nothing else happens meanwhile.
        first: Writing the first checkpoint, without making it.
        next: Writing the next one, after a batch more.
        load: Reading it.
        restore: Making a detector go on from it.
    """

    store: str
    batches: list[float]
    live: int
    bytes: int
    snapshot: float
    first: float
    next: float
    load: float
    restore: float


def measured(store: str, matches: int) -> Kept:
    """Keep so many partial matches in a store, and go on from them in another detector."""
    rules = beginning_rules(_MATCHES_TO_AN_EVENT)
    detector = Detector(rules)
    events = matches // _MATCHES_TO_AN_EVENT
    for start in range(0, events, _BATCH):
        _feed(detector, start, min(_BATCH, events - start))
    gc.collect()
    snapshot, making = _timed(detector.snapshot)
    with opened(store) as reopen:
        checkpoints = Checkpoints(reopen())
        _, first = _timed(lambda: checkpoints.save(snapshot, {"events": "1"}))
        _feed(detector, events, _BATCH)
        later = detector.snapshot()
        _, following = _timed(lambda: checkpoints.save(later, {"events": "2"}))
        loaded, load = _timed(lambda: Checkpoints(reopen()).load(["events"]))
    assert loaded.snapshot == later
    _, restore = _timed(lambda: _restored(rules, later))
    return Kept(
        store,
        _commits(store),
        detector.partial_matches.live,
        len(later),
        making,
        first,
        following,
        load,
        restore,
    )


def _commits(store: str) -> list[float]:
    """Return how long each commit takes where every batch is committed."""
    detector = Detector(rules_of(sequence_rule(number) for number in range(RULES)))
    batches = batches_of(list(sequence_lines(_COMMITS * _BATCH)), "events", _BATCH)
    commits = []
    with opened(store) as reopen:
        checkpoints = Checkpoints(reopen())
        for number, batch in enumerate(batches):
            detector.feed(batch)
            commit = partial(_committed, checkpoints, detector, number)
            commits.append(_timed(commit)[1])
    return commits


def _committed(checkpoints: Checkpoints, detector: Detector, number: int) -> None:
    checkpoints.save(detector.snapshot(), {"events": str(number)})


def is_available(store: str) -> bool:
    """Say whether a store can be measured here."""
    return store != REDIS or shutil.which("redis-server") is not None


@contextlib.contextmanager
def opened(kind: str) -> Iterator[Callable[[], StateStore]]:
    """Give what opens a store of a kind; the last one is closed when it opens another."""
    with tempfile.TemporaryDirectory() as place, contextlib.ExitStack() as stack:
        folder = Path(place)
        if kind == MEMORY:
            memory = MemoryStateStore()
            yield lambda: memory
            return
        make: Callable[[], StateStore]
        if kind == SQLITE:

            def make() -> StateStore:
                return SqliteStateStore(folder)

        else:
            make = stack.enter_context(_redis(folder))
        last: list[StateStore] = []

        def reopen() -> StateStore:
            for store in last:
                store.close()
            last[:] = [make()]
            return last[0]

        yield reopen
        for store in last:
            store.close()


@contextlib.contextmanager
def _redis(folder: Path) -> Iterator[Callable[[], StateStore]]:
    from kestrel_redis_state import RedisStateConfig, RedisStateStore

    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
    options = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
    options += ["--save", "", "--appendonly", "yes", "--appendfsync", "everysec"]
    program = shutil.which("redis-server")
    assert program is not None
    server = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL)
    config = RedisStateConfig(namespace="bench", url=f"redis://127.0.0.1:{port}/0")
    try:
        _wait_for(lambda: RedisStateStore(config))
        yield lambda: RedisStateStore(config)
    finally:
        server.terminate()
        server.wait()


def _wait_for(make: Callable[[], StateStore]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        store = make()
        try:
            store.get_many([])
        except StateError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return
        finally:
            store.close()


def _feed(detector: Detector, start: int, number: int) -> None:
    for batch in batches_of(list(beginnings(number, f"k{start}-")), f"events-{start}"):
        detector.feed(batch)


def _restored(rules: RuleSet, snapshot: bytes) -> None:
    Detector(rules).restore(snapshot)


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    started = time.perf_counter()
    result = work()
    return result, time.perf_counter() - started


def main() -> None:
    """Measure one store and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", choices=STORES, required=True)
    parser.add_argument("--matches", type=int, required=True, help="live partial matches")
    chosen = parser.parse_args()
    print_result(measured(chosen.store, chosen.matches))


if __name__ == "__main__":
    main()
