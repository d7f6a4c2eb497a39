"""State in SQLite when its process is killed, or the power is cut, at any moment."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import forked_work
import pytest

from kestrel_framework._builtin.sqlite_state import SqliteStateStore
from kestrel_framework.errors import StateConflict
from kestrel_framework.interfaces import Change

KEYS: Final = [b"key %d" % number for number in range(40)]
NUMBER_BYTES: Final = 8
Entries = dict[bytes, tuple[bytes, int]]


def changes_of(number: int) -> list[Change]:
    """Return the changes of the commit with a number; some are large, some delete."""
    chance = random.Random(number)
    return [
        Change(
            key,
            None if chance.random() < 0.2 else b"%d " % number * chance.choice((1, 10, 100, 2000)),
        )
        for key in chance.sample(KEYS, chance.randint(1, 6))
    ]


class Expected:
    """What the store has to hold after so many commits."""

    def __init__(self) -> None:
        self.commits = 0
        self.entries: Entries = {}

    def go_on_to(self, number: int) -> None:
        while self.commits < number:
            self.commits += 1
            for change in changes_of(self.commits):
                self.entries.pop(change.key, None)
                if change.value is not None:
                    self.entries[change.key] = change.value, self.commits


def entries_of(store: SqliteStateStore) -> Entries:
    return {key: (entry.value, entry.version) for key, entry in store.scan(b"")}


def killed(folder: Path, done: int, acknowledged: int) -> int:
    """Kill a process that commits, after so many commits of it; return the last it told of."""
    told, tell = os.pipe()

    def work() -> None:
        store = SqliteStateStore(folder)
        number = done
        while True:
            number += 1
            changes = changes_of(number)
            written = store.commit(changes, fence=number)
            assert set(written.values()) <= {number}
            os.write(tell, number.to_bytes(NUMBER_BYTES, "big"))

    pid, reading = forked_work.start(work)
    os.close(tell)
    with os.fdopen(told, "rb", buffering=0) as pipe, os.fdopen(reading, "rb") as problems:
        seen = [pipe.read(NUMBER_BYTES) for _ in range(acknowledged)]
        os.kill(pid, signal.SIGKILL)
        seen += iter(lambda: pipe.read(NUMBER_BYTES), b"")
        os.waitpid(pid, 0)
        assert problems.read() == b""
    numbers = [int.from_bytes(one, "big") for one in seen]
    assert numbers == list(range(done + 1, done + len(numbers) + 1))
    return numbers[-1] if numbers else done


def check_kills(folder: Path, kills: int) -> None:
    chance = random.Random(kills)
    expected = Expected()
    for _ in range(kills):
        last = killed(folder, expected.commits, chance.choice((0, 1, 2, 10, 50, 150)))
        store = SqliteStateStore(folder)
        found = entries_of(store)
        expected.go_on_to(last)
        if found != expected.entries:
            expected.go_on_to(last + 1)  # not told of, and there as a whole
            assert found == expected.entries
        with pytest.raises(StateConflict):
            store.commit([], fence=expected.commits - 1)
        try:
            store.commit([], fence=expected.commits)
        except StateConflict:
            # A commit that is there may have changed nothing but the fence.
            expected.go_on_to(last + 1)
            store.commit([], fence=expected.commits)
        store.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "state"
    made.mkdir(mode=0o700)
    return made


def test_a_killed_process_loses_no_commit_and_leaves_no_half_of_one(folder: Path) -> None:
    check_kills(folder, 60)


@pytest.mark.slow
def test_hundreds_of_killed_processes(folder: Path) -> None:
    check_kills(folder, 800)


def test_a_process_that_is_killed_while_it_makes_the_file(folder: Path) -> None:
    for number in range(60):
        pid = os.fork()
        if pid == 0:
            SqliteStateStore(folder).get_many([])
            os._exit(0)
        for _ in range(number * 300):
            pass
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        store = SqliteStateStore(folder)
        assert entries_of(store) == {}
        assert store.commit([Change(b"a", b"1")]) == {b"a": 1}
        store.close()
        assert [path.name for path in folder.iterdir()] == ["state.sqlite"]
        (folder / "state.sqlite").unlink()


# --- power cuts: what had not reached the disk is gone ----------------------------------


@pytest.fixture
def cut(folder: Path) -> tuple[bytes, bytes, list[Entries]]:
    """The file and its journal as a killed process left them, and the states it went through."""
    states: list[Entries] = []
    expected = Expected()
    for number in range(13):
        expected.go_on_to(number)
        states.append(dict(expected.entries))

    def work() -> None:
        store = SqliteStateStore(folder)
        for number in range(1, 13):
            store.commit(changes_of(number))
        os.kill(os.getpid(), signal.SIGKILL)

    pid, reading = forked_work.start(work)
    os.waitpid(pid, 0)
    os.close(reading)
    file, journal = folder / "state.sqlite", folder / "state.sqlite-wal"
    return file.read_bytes(), journal.read_bytes(), states


def opened_with(folder: Path, file: bytes, journal: bytes) -> Iterator[Entries]:
    for path in folder.iterdir():
        path.unlink()
    for name, written in (("state.sqlite", file), ("state.sqlite-wal", journal)):
        (folder / name).write_bytes(written)
        (folder / name).chmod(0o600)
    store = SqliteStateStore(folder)
    try:
        yield entries_of(store)
        store.commit([Change(b"after", b"1")])
    finally:
        store.close()


def test_a_journal_that_is_cut_off_anywhere(
    folder: Path, cut: tuple[bytes, bytes, list[Entries]]
) -> None:
    file, journal, states = cut
    reached = set()
    for size in [*range(0, len(journal), 1999), len(journal)]:
        for found in opened_with(folder, file, journal[:size]):
            assert found in states
            reached.add(states.index(found))
    assert reached == {states.index(state) for state in states}
    assert len(reached) > 10


def test_a_journal_of_which_a_part_never_came_to_the_disk(
    folder: Path, cut: tuple[bytes, bytes, list[Entries]]
) -> None:
    file, journal, states = cut
    chance = random.Random(5)
    reached = set()
    for _ in range(100):
        damaged = bytearray(journal)
        place = chance.randrange(len(journal))
        length = chance.choice((1, 512, 4096))
        damaged[place : place + length] = bytes(len(damaged[place : place + length]))
        for found in opened_with(folder, file, bytes(damaged)):
            assert found in states
            reached.add(states.index(found))
    assert len(reached) > 5
