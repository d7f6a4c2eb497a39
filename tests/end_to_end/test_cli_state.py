"""`kestrel run --state`: it goes on where it ended, and says what keeps it from that."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kestrel_framework import Change, SqliteStateStore

Write = Callable[[str, str], Path]
SEQUENCE = """sequence by host.id
  [process where process.name == "curl"]
  [process where process.name == "nc"]
"""


def line(name: str, second: int) -> str:
    event = {
        "@timestamp": f"2026-01-01T00:00:{second:02}Z",
        "event": {"category": ["process"]},
        "process": {"name": name},
        "host": {"id": "h"},
    }
    return json.dumps(event) + "\n"


@pytest.fixture
def options(write: Write) -> tuple[object, ...]:
    rule = write("rules/curl-nc.eql", SEQUENCE)
    events = write("events.ndjson", line("curl", 1))
    return ("run", "--rules", rule, "--input", events, "--state", "state", "--format", "json")


@pytest.fixture
def store(kestrel: Any) -> Path:
    """The private folder of the store."""
    return Path(kestrel.folder) / "state" / "state"


def append(kestrel: Any, text: str) -> None:
    with (kestrel.folder / "events.ndjson").open("a") as file:
        file.write(text)


def test_a_run_goes_on_where_the_one_before_ended(
    kestrel: Any, options: tuple[object, ...], store: Path
) -> None:
    assert kestrel(*options).objects == []
    assert [path.name for path in store.iterdir()] == ["state.sqlite"]
    for folder in (store, store.parent):
        assert folder.stat().st_mode & 0o777 == 0o700
    append(kestrel, line("nc", 2))
    (alert,) = kestrel(*options).objects
    offsets = [one["offset"] for one in alert["kestrel"]["evidence"]]
    assert offsets == [0, 1]
    again = kestrel(*options)
    assert (again.code, again.objects) == (0, [])
    assert "0 events" in again.err


def test_without_a_folder_nothing_is_kept(kestrel: Any, options: tuple[object, ...]) -> None:
    forgetful = [one for one in options if one not in ("--state", "state")]
    before = set(Path(kestrel.folder).iterdir())
    assert "1 event" in kestrel(*forgetful).err
    assert "1 event" in kestrel(*forgetful).err
    assert set(Path(kestrel.folder).iterdir()) == before


def test_sqlite_without_a_folder_is_a_mistake_of_the_configuration(
    kestrel: Any, options: tuple[object, ...]
) -> None:
    forgetful = [one for one in options if one not in ("--state", "state")]
    done = kestrel(*forgetful, "--set", "state.type=sqlite")
    assert (done.code, done.out) == (2, "")
    assert "give one with `--state DIR`, or as `state.directory`" in done.err


def test_a_folder_that_cannot_be_made_is_a_mistake_of_the_configuration(
    kestrel: Any, options: tuple[object, ...], write: Write
) -> None:
    write("state", "a file")
    done = kestrel(*options)
    assert (done.code, done.out) == (2, "")
    assert "state.directory: " in done.err


def test_a_damaged_state_is_told_and_left_alone(
    kestrel: Any, options: tuple[object, ...], store: Path
) -> None:
    kestrel(*options)
    (store / "state.sqlite").write_bytes(b"damaged")
    done = kestrel(*options)
    assert (done.code, done.out) == (3, "")
    assert f"{store / 'state.sqlite'}: is damaged" in done.err
    assert "move it away to begin without a state" in done.err
    assert "Traceback" not in done.err
    assert (store / "state.sqlite").read_bytes() == b"damaged"


def test_a_folder_that_others_can_write_to_is_refused(
    kestrel: Any, options: tuple[object, ...], store: Path
) -> None:
    kestrel(*options)
    store.chmod(0o777)
    done = kestrel(*options)
    assert (done.code, done.out) == (3, "")
    assert f"{store}: other users can write to it (mode 0777)" in done.err


def test_two_runs_cannot_share_a_state(
    kestrel: Any, options: tuple[object, ...], store: Path
) -> None:
    kestrel(*options)
    holder = SqliteStateStore(store)
    holder.commit([Change(b"test", b"")])
    done = kestrel(*options)
    assert (done.code, done.out) == (3, "")
    assert f"{store / 'state.sqlite'}: another process uses it" in done.err
    holder.close()
    assert kestrel(*options).code == 0


def test_a_killed_run_leaves_nothing_locked(
    kestrel: Any, options: tuple[object, ...], store: Path
) -> None:
    arguments = ["-" if "events" in str(one) else one for one in options]
    process = kestrel.start(*arguments, "--workers", "2", stdin=subprocess.PIPE)
    process.stdin.write(line("curl", 1) + line("nc", 2))
    process.stdin.flush()
    assert "alert_id" in process.stdout.readline()
    assert (store / "state.sqlite-wal").exists()
    process.kill()
    process.wait()
    assert kestrel(*options).code == 0
