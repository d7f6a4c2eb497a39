"""The file of the state store: what lies there is refused unless it is private and right."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import forked_work
import pytest

from kestrel_framework._builtin.sqlite_state import SqliteStateStore
from kestrel_framework.errors import StateError
from kestrel_framework.interfaces import Change

NAMES: Final = ("state.sqlite", "state.sqlite-wal", "state.sqlite-shm", "state.sqlite-journal")
CONTENT: Final = {b"k%03d" % number: b"value %d " % number * 20 for number in range(100)}
NOBODY: Final = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "state"
    made.mkdir(mode=0o700)
    return made


@pytest.fixture
def file(folder: Path) -> Path:
    """A state file with something in it."""
    store = SqliteStateStore(folder)
    store.commit([Change(key, value) for key, value in CONTENT.items()], fence=3)
    store.close()
    return folder / "state.sqlite"


def refusal(folder: Path) -> str:
    """Try to use a folder, and return why that was refused; nothing in it has changed."""
    before = snapshot(folder)
    with pytest.raises(StateError) as raised:
        SqliteStateStore(folder).get_many([])
    assert snapshot(folder) == before
    assert str(folder) in str(raised.value)
    return str(raised.value)


def snapshot(folder: Path) -> object:
    if not folder.is_dir():
        return None
    return {
        path.name: (path.lstat().st_ino, path.lstat().st_mode, path.is_file() and path.read_bytes())
        for path in folder.iterdir()
    }


def content(folder: Path) -> dict[bytes, bytes]:
    store = SqliteStateStore(folder)
    try:
        return {key: entry.value for key, entry in store.scan(b"")}
    finally:
        store.close()


# --- the folder ------------------------------------------------------------------


def test_a_missing_folder(tmp_path: Path) -> None:
    assert "No such file or directory; make it a folder of this user alone" in refusal(
        tmp_path / "absent"
    )


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("text")
    assert "Not a directory" in refusal(tmp_path / "state")
    os.mkfifo(tmp_path / "pipe")
    assert "Not a directory" in refusal(tmp_path / "pipe")


def test_a_folder_that_is_nowhere(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    for name in ("loop", "loop/in", "nul\0", "nul\0/in", "long" * 100, "absent/in"):
        with pytest.raises(StateError, match=r"cannot be opened|is a symbolic link"):
            SqliteStateStore(tmp_path / name).get_many([])


def test_a_folder_that_is_a_link(folder: Path, file: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    assert "is a symbolic link; name the folder that it leads to" in refusal(tmp_path / "link")


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o1777])
def test_a_folder_that_others_can_write_to(folder: Path, file: Path, mode: int) -> None:
    folder.chmod(mode)
    assert f"(mode {mode:04o})" in refusal(folder)


@pytest.mark.parametrize("mode", [0o777, 0o757])
def test_a_folder_that_others_can_replace(folder: Path, file: Path, mode: int) -> None:
    folder.parent.chmod(mode)
    assert "other users can put a folder of theirs in the place" in refusal(folder)
    folder.parent.chmod(0o1777)
    assert content(folder) == CONTENT


def test_a_way_that_others_can_lead_elsewhere(folder: Path, file: Path, tmp_path: Path) -> None:
    (tmp_path / "way").mkdir()
    (tmp_path / "way" / "link").symlink_to(tmp_path)
    named = tmp_path / "way" / "link" / "state"
    assert content(named) == CONTENT
    (tmp_path / "way").chmod(0o777)
    assert f"{tmp_path / 'way'}: other users can put" in refusal(named)


def test_a_store_stays_where_it_was_opened(
    folder: Path, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    monkeypatch.chdir(folder)
    for name in (Path(), Path("..") / "state", tmp_path / "link" / "state" / "x" / ".."):
        (folder / "x").mkdir(exist_ok=True)
        assert content(name) == CONTENT


@needs_root
def test_a_folder_of_somebody_else(folder: Path, file: Path) -> None:
    os.chown(folder, NOBODY, -1)
    assert "belongs to another user (65534)" in refusal(folder)


# --- what lies in it -----------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("target", ["state", "text", "nothing"])
def test_a_link_in_the_place_of_a_file(
    folder: Path, file: Path, tmp_path: Path, name: str, target: str
) -> None:
    victim = tmp_path / "victim"
    if target != "nothing":
        victim.write_bytes(file.read_bytes() if target == "state" else b"text")
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(victim)
    assert f"{folder / name}: is a symbolic link" in refusal(folder)
    assert victim.exists() == (target != "nothing")
    assert target != "text" or victim.read_bytes() == b"text"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_something_else_in_the_place_of_a_file(
    folder: Path, file: Path, name: str, make: Callable[[Path], None]
) -> None:
    (folder / name).unlink(missing_ok=True)
    make(folder / name)
    assert f"{folder / name}: is not a file" in refusal(folder)


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_can_write_to(folder: Path, file: Path, mode: int) -> None:
    file.chmod(mode)
    assert f"{file}: other users can write to it (mode {mode:04o})" in refusal(folder)


@needs_root
@pytest.mark.parametrize("name", NAMES)
def test_a_file_of_somebody_else(folder: Path, file: Path, name: str) -> None:
    (folder / name).touch()
    os.chown(folder / name, NOBODY, -1)
    assert f"{folder / name}: belongs to another user (65534)" in refusal(folder)


def test_a_file_that_is_also_elsewhere(folder: Path, file: Path, tmp_path: Path) -> None:
    (tmp_path / "other").hardlink_to(file)
    assert "a hard link" in refusal(folder)


@pytest.mark.parametrize("name", NAMES[1:])
def test_a_journal_without_its_file(folder: Path, file: Path, name: str) -> None:
    file.rename(folder / name)
    assert f"is missing, but {name} is there" in refusal(folder)


def test_a_link_in_the_place_of_the_file_that_is_made(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("text")
    (folder / "state.sqlite.new").symlink_to(tmp_path / "victim")
    assert content(folder) == {}
    assert (tmp_path / "victim").read_text() == "text"
    assert (folder / "state.sqlite").is_file()
    assert not (folder / "state.sqlite").is_symlink()


def test_a_folder_in_the_place_of_the_file_that_is_made(folder: Path) -> None:
    (folder / "state.sqlite.new").mkdir()
    assert "cannot be written" in refusal(folder)


@pytest.mark.parametrize("mask", [0, 0o777])
def test_the_files_are_private(folder: Path, mask: int) -> None:
    def work() -> None:
        os.umask(mask)
        store = SqliteStateStore(folder)
        store.commit([Change(b"a", b"1")])
        modes = {path.name: stat.S_IMODE(path.lstat().st_mode) for path in folder.iterdir()}
        assert modes == dict.fromkeys(NAMES[:3], 0o600)

    forked_work.in_child(work)


def test_a_name_of_any_bytes(tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"a?mode=memory&b#c%20\xff\n 'd'")
    odd.mkdir(mode=0o700)
    SqliteStateStore(odd).commit([Change(b"a", b"1")])
    assert content(odd) == {b"a": b"1"}


# --- what is in the file --------------------------------------------------------------


def test_the_database_of_another_program(folder: Path) -> None:
    path = folder / "state.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE entries (key, value)")
    connection.close()
    path.chmod(0o600)
    (folder / "state.sqlite-journal").write_bytes(b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" + bytes(600))
    assert "is the SQLite file of another program" in refusal(folder)


def test_a_newer_format(folder: Path, file: Path) -> None:
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA user_version = 2")
    connection.close()
    assert "has format 2, and this version of Kestrel knows formats up to 1" in refusal(folder)


def test_no_format(folder: Path, file: Path) -> None:
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA user_version = 0")
    connection.close()
    assert "there is no format 0" in refusal(folder)


@pytest.mark.parametrize("written", [b"", b"text", bytes(8192), b"SQLite format 3\0", b"\xff" * 99])
def test_a_file_that_is_none(folder: Path, file: Path, written: bytes) -> None:
    file.write_bytes(written)
    assert "is damaged" in refusal(folder)
    assert "move it away to begin without a state" in refusal(folder)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE more (a)",
        "CREATE TRIGGER t AFTER INSERT ON entries BEGIN DELETE FROM entries; END",
        "CREATE VIEW v AS SELECT 1",
        "DROP TABLE counters",
    ],
)
def test_other_tables(folder: Path, file: Path, statement: str) -> None:
    with sqlite3.connect(file) as connection:
        connection.execute(statement)
    connection.close()
    with pytest.raises(StateError, match="its tables are not those of a state file"):
        SqliteStateStore(folder).get_many([])


@pytest.mark.parametrize(
    ("statement", "use"),
    [
        ("UPDATE entries SET value = x'00'", lambda store: list(store.scan(b""))),
        ("UPDATE entries SET version = 7", lambda store: store.get_many([b"k001"])),
        ("UPDATE entries SET version = 'x'", lambda store: store.get_many([b"k001"])),
        (
            "UPDATE entries SET key = CAST(key || x'00' AS BLOB)",
            lambda store: list(store.scan(b"")),
        ),
        ("UPDATE counters SET commits = 0", lambda store: store.commit([])),
        ("UPDATE counters SET fence = NULL", lambda store: store.commit([])),
        ("DELETE FROM counters", lambda store: store.commit([])),
    ],
)
def test_what_was_changed_behind_its_back(
    folder: Path, file: Path, statement: str, use: Callable[[SqliteStateStore], object]
) -> None:
    with sqlite3.connect(file) as connection:
        connection.execute(statement)
    connection.close()
    store = SqliteStateStore(folder)
    try:
        with pytest.raises(StateError, match="is damaged"):
            use(store)
    finally:
        store.close()


def test_a_truncated_file(folder: Path, file: Path) -> None:
    whole = file.read_bytes()
    for size in [*range(0, 200, 20), *range(200, len(whole) - 4096, 777)]:
        file.write_bytes(whole[:size])
        assert "is damaged" in refusal(folder)
    file.write_bytes(whole[:-1])
    with pytest.raises(StateError, match="is damaged"):
        content(folder)
    file.write_bytes(whole)
    assert content(folder) == CONTENT


def outcome_of_flips(file: Path, places: Iterator[int]) -> int:
    """Damage a byte at each place, and count what was told; the rest must be as it was."""
    whole = file.read_bytes()
    told = 0
    for place in places:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        file.write_bytes(damaged)
        try:
            assert content(file.parent) == CONTENT, f"byte {place}"
        except StateError:
            told += 1
        for name in NAMES[1:]:
            (file.parent / name).unlink(missing_ok=True)
    return told


def test_a_damaged_byte_is_told_or_does_no_harm(file: Path) -> None:
    size = file.stat().st_size
    chance = random.Random(4)
    # The header, where each byte means something, and some of everything else.
    places = {*range(100), *(chance.randrange(size) for _ in range(300))}
    assert outcome_of_flips(file, iter(sorted(places))) > 200


def test_a_table_whose_name_is_no_text(folder: Path, file: Path) -> None:
    """SQLite quotes it in its message, which is no text then either."""
    damaged = file.read_bytes().replace(b"tablecounters", b"table\xf2ounters")
    file.write_bytes(damaged)
    assert "its tables are not those of a state file" in refusal(folder)


def test_entries_that_are_hidden_are_told(folder: Path, file: Path) -> None:
    """No checksum of an entry says that another one is not there any more."""
    whole = bytearray(file.read_bytes())
    leaf_of_index, cells = 10, slice(3, 5)
    leaves = [at for at in range(4096, len(whole), 4096) if whole[at] == leaf_of_index]
    assert len(leaves) > 2
    for leaf in leaves:
        damaged = whole.copy()
        header = memoryview(damaged)[leaf : leaf + 8]
        header[cells] = (int.from_bytes(header[cells], "big") - 1).to_bytes(2, "big")
        file.write_bytes(damaged)
        assert "is damaged" in refusal(folder)


@pytest.mark.slow
def test_every_damaged_byte_is_told_or_does_no_harm(file: Path) -> None:
    outcome_of_flips(file, iter(range(file.stat().st_size)))


# --- who else uses it ---------------------------------------------------------------


def test_a_second_store_is_refused_at_once(folder: Path, file: Path) -> None:
    first = SqliteStateStore(folder)
    first.commit([Change(b"a", b"1")])
    for attempt in (SqliteStateStore(folder).get_many, lambda keys: None):
        with pytest.raises(StateError, match=r"state\.sqlite: another process uses it"):
            attempt([])
            SqliteStateStore(folder).commit([Change(b"a", b"2")])
    # The attempts took none of SQLite's own locks away from the first.
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        other = sqlite3.connect(folder / "state.sqlite", timeout=0)
        other.execute("PRAGMA journal_mode = DELETE")
    other.close()
    first.commit([Change(b"a", b"3")])
    first.close()
    assert content(folder)[b"a"] == b"3"


def test_another_process_is_refused(folder: Path) -> None:
    store = SqliteStateStore(folder)
    store.commit([Change(b"a", b"1")])

    def work() -> None:
        with pytest.raises(StateError, match="another process uses it"):
            SqliteStateStore(folder).get_many([])

    forked_work.in_child(work)
    store.close()


def test_a_forked_process_cannot_use_it_nor_harm_it(folder: Path) -> None:
    store = SqliteStateStore(folder)
    store.commit([Change(b"a", b"1")])

    def work() -> None:
        for use in (
            lambda: store.get_many([]),
            lambda: store.commit([]),
            lambda: list(store.scan(b"")),
        ):
            with pytest.raises(StateError, match="open the store after forking"):
                use()
        store.close()

    forked_work.in_child(work)
    store.commit([Change(b"a", b"2")])
    assert (folder / "state.sqlite-wal").exists()
    store.close()
    assert content(folder) == {b"a": b"2"}


def test_the_lock_dies_with_its_process(folder: Path) -> None:
    """Also where a child of that process lives on."""
    opened, told = os.pipe()
    waiting, over = os.pipe()

    def work() -> None:
        store = SqliteStateStore(folder)
        store.commit([Change(b"a", b"1")])
        if os.fork() == 0:
            os.close(over)
            os.write(told, b".")
            os.read(waiting, 1)
            os._exit(0)
        os.read(waiting, 1)

    pid, reading = forked_work.start(work)
    try:
        os.read(opened, 1)
        with pytest.raises(StateError, match="another process uses it"):
            SqliteStateStore(folder).get_many([])
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        assert content(folder) == {b"a": b"1"}
    finally:
        for descriptor in (opened, told, waiting, over, reading):
            os.close(descriptor)


def test_a_store_that_nobody_holds_any_more_locks_nothing(folder: Path) -> None:
    SqliteStateStore(folder).commit([Change(b"a", b"1")])
    assert content(folder) == {b"a": b"1"}


def test_another_program_in_the_middle_of_writing(folder: Path, file: Path) -> None:
    store = SqliteStateStore(folder)
    store.get_many([])
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StateError, match="another program is using it") as raised:
        store.commit([Change(b"a", b"1")])
    assert raised.value.transient
    assert len(store.get_many(list(CONTENT))) == 100
    other.execute("ROLLBACK")
    store.commit([Change(b"a", b"1")])
    other.close()
    store.close()
    assert content(folder) == CONTENT | {b"a": b"1"}


# --- disks ---------------------------------------------------------------------------


def test_a_file_that_may_not_grow(folder: Path, file: Path) -> None:
    """A limit of the operating system: nothing changes, and later commits work."""

    def work() -> None:
        import resource

        store = SqliteStateStore(folder)
        store.commit([Change(b"a", b"1")], fence=4)
        before = dict(store.scan(b""))
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        for room in (0, 1, 5000, 100_000):
            size = (folder / "state.sqlite-wal").stat().st_size
            resource.setrlimit(resource.RLIMIT_FSIZE, (size + room, hard))
            with pytest.raises(StateError, match="check the disk"):
                store.commit([Change(b"a", None), Change(b"b", bytes(1 << 20))], fence=5)
            assert dict(store.scan(b"")) == before
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        store.commit([Change(b"b", bytes(1 << 20))], fence=4)
        store.close()

    forked_work.in_child(work)
    assert content(folder) == CONTENT | {b"a": b"1", b"b": bytes(1 << 20)}


@pytest.mark.parametrize("room", [0, 4096, 8192])
def test_no_room_for_a_new_file(folder: Path, room: int) -> None:
    def work() -> None:
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
        assert "check the disk" in refusal(folder)
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        assert content(folder) == {}

    forked_work.in_child(work)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of a megabyte."""
    place = tmp_path / "disk"
    place.mkdir()
    options = ["-t", "tmpfs", "-o", "size=1m,mode=0700", "tmpfs"]
    if shutil.which("mount") is None or subprocess.run(["mount", *options, place]).returncode:
        pytest.skip("cannot mount a file system")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


@needs_root
def test_a_full_disk(disk: Path) -> None:
    store = SqliteStateStore(disk)
    store.commit([Change(b"a", b"1")])
    fill(disk)
    with pytest.raises(StateError, match="the disk is full; make room") as raised:
        store.commit([Change(b"a", b"2"), Change(b"b", bytes(1 << 18))], fence=9)
    assert raised.value.transient
    assert {key: entry.value for key, entry in store.scan(b"")} == {b"a": b"1"}
    (disk / "filler").unlink()
    store.commit([Change(b"b", bytes(1 << 18))], fence=1)
    fill(disk)
    store.close()  # what is in the journal has no room in the file, and stays there
    (disk / "filler").unlink()
    assert content(disk) == {b"a": b"1", b"b": bytes(1 << 18)}


@needs_root
def test_a_disk_that_is_full_from_the_beginning(disk: Path) -> None:
    fill(disk)
    forked_work.in_child(lambda: check_refused(disk, "full|No space left"))
    (disk / "filler").unlink()
    assert content(disk) == {}
    fill(disk)
    forked_work.in_child(lambda: check_refused(disk, "full|No space left|cannot be"))
    (disk / "filler").unlink()
    assert content(disk) == {}


@needs_root
def test_a_disk_that_cannot_be_written(disk: Path) -> None:
    content(disk)
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    check_refused(disk, "cannot be written: Read-only file system")
    subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
    assert content(disk) == {}


def check_refused(folder: Path, problem: str) -> None:
    with pytest.raises(StateError, match=problem):
        SqliteStateStore(folder).get_many([])


def fill(disk: Path) -> None:
    with (disk / "filler").open("ab", buffering=0) as file:
        for size in (4096, 1):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError:
                continue
