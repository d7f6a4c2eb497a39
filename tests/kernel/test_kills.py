"""An engine that is killed, at any boundary, finds and writes exactly what another one does."""

from __future__ import annotations

import json
import os
import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Final

import forked_work
import pytest

from kestrel_framework import engine as engine_module
from kestrel_framework._builtin import sqlite_state
from kestrel_framework._builtin.jsonl_output import JsonlOutput
from kestrel_framework._builtin.jsonl_source import JsonlSource
from kestrel_framework.config import (
    Configuration,
    EngineConfig,
    SectionConfig,
    SourceConfig,
    StateConfig,
)
from kestrel_framework.detector import Detector
from kestrel_framework.engine import Engine, ExitStatus
from kestrel_framework.event import Document
from timed_events import RULES, SECOND, SETTINGS, event

EVENTS: Final = 150
MOST_DEATHS: Final = 4


def stream(seed: int) -> list[Document]:
    """Return events of the steps of many sequences, up to four seconds out of order."""
    chance = random.Random(seed)
    moments = sorted(chance.randrange(90 * SECOND) for _ in range(EVENTS))
    ordered = [
        event(number, chance.choice("AABBCCDE"), moment, chance.randrange(3))
        for number, moment in enumerate(moments)
    ]
    return sorted(ordered, key=lambda one: int(str(one["t"])) + chance.randrange(4 * SECOND))


class Death:
    """Counts the boundaries that an engine passes, and kills its process at one of them.

    Args:
        at: Which boundary, from 1; 0 for none.
        amid: Which write of alerts, from 1; 0 for none.
    """

    def __init__(self, at: int = 0, amid: int = 0) -> None:
        self.left = at
        self.writes_left = amid
        self.passed = 0

    def comes(self) -> bool:
        """Pass a boundary; say whether it is the last one."""
        self.passed += 1
        self.left -= 1
        return self.left == 0

    def at_boundary(self) -> None:
        if self.comes():
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, owner: object, name: str) -> None:
        """Have boundaries before and after each call."""
        method: Callable[..., object] = getattr(owner, name)

        def called(*arguments: object, **named: object) -> object:
            self.at_boundary()
            result = method(*arguments, **named)
            self.at_boundary()
            return result

        setattr(owner, name, called)

    def amid_writing(self) -> None:
        """Have a boundary in the middle of each write of alerts."""
        drain = JsonlOutput._drain

        def halved(output: JsonlOutput) -> None:
            self.writes_left -= bool(output._buffer)
            if output._buffer and (self.comes() or self.writes_left == 0):
                assert output._file is not None
                os.write(output._file, bytes(output._buffer[: len(output._buffer) // 2]))
                os.kill(os.getpid(), signal.SIGKILL)
            drain(output)

        JsonlOutput._drain = halved  # type: ignore[method-assign, assignment]


def run(folder: Path, death: Death) -> None:
    """Run an engine over the events of a folder, in a process that is its own."""
    engine_module._CHECKPOINT_SECONDS = 0.0  # type: ignore[misc]
    death.amid_writing()
    for owner, name in (
        (Detector, "feed"),
        (JsonlSource, "read"),
        (JsonlOutput, "flush"),
        (sqlite_state.SqliteStateStore, "commit"),
        (sqlite_state, "_apply"),
    ):
        death.around(owner, name)
    configuration = Configuration(
        sources={"events": SourceConfig("jsonl", {"path": str(folder / "events.ndjson")})},
        outputs={"alerts": SectionConfig("jsonl", {"path": str(folder / "alerts.ndjson")})},
        state=StateConfig(directory=folder / "state"),
        engine=EngineConfig(batch_size=11, read_timeout=0.05),
        events=SETTINGS,
    )
    report = Engine.build(configuration, discover=False, rules=RULES).run()
    assert report.exit_status is ExitStatus.FINE, report.failures


def alerts_of(folder: Path) -> bytes:
    return (folder / "alerts.ndjson").read_bytes()


def undisturbed(folder: Path, documents: list[Document]) -> int:
    """Run an engine to its end, and return how many boundaries it passed."""
    folder.mkdir(mode=0o700)
    lines = "".join(json.dumps(document) + "\n" for document in documents)
    (folder / "events.ndjson").write_text(lines)
    reading, writing = os.pipe()

    def work() -> None:
        death = Death()
        run(folder, death)
        os.write(writing, str(death.passed).encode())

    forked_work.in_child(work)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        return int(pipe.read())


def killed(folder: Path, death: Death) -> bool:
    """Run an engine that is killed, and say whether it came so far."""
    pid, reading = forked_work.start(lambda: run(folder, death))
    with os.fdopen(reading, "rb") as pipe:
        problem = pipe.read().decode()
    _, status = os.waitpid(pid, 0)
    assert not problem, problem
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, -signal.SIGKILL)
    return code != 0


def beside(undisturbed: Path, name: str) -> Path:
    """Return another folder with the same events."""
    folder = undisturbed.with_name(name)
    folder.mkdir(mode=0o700)
    os.link(undisturbed / "events.ndjson", folder / "events.ndjson")
    return folder


def same_after_kills(tmp_path: Path, seed: int, runs: int) -> int:
    """Compare runs with kills to one without, and return how many kills there were."""
    chance = random.Random(seed)
    documents = stream(seed)
    boundaries = undisturbed(tmp_path / "undisturbed", documents)
    expected = alerts_of(tmp_path / "undisturbed")
    assert expected.count(b"\n") > 30
    kills = 0
    for number in range(runs):
        folder = beside(tmp_path / "undisturbed", str(number))
        for _ in range(chance.randint(1, MOST_DEATHS)):
            kills += killed(folder, Death(chance.randint(1, boundaries)))
        forked_work.in_child(lambda folder=folder: run(folder, Death()))  # type: ignore[misc]
        assert alerts_of(folder) == expected, f"run {number} differs"
    return kills


def test_a_killed_engine_goes_on_as_if_nothing_had_been(tmp_path: Path) -> None:
    assert same_after_kills(tmp_path, seed=1, runs=12) >= 12


@pytest.mark.parametrize("write", [1, 2, 3, 5, 8])
def test_a_line_that_was_cut_off_is_written_again(tmp_path: Path, write: int) -> None:
    undisturbed(tmp_path / "undisturbed", stream(0))
    folder = beside(tmp_path / "undisturbed", "killed")
    assert killed(folder, Death(amid=write))
    assert not alerts_of(folder).endswith(b"\n")
    forked_work.in_child(lambda: run(folder, Death()))
    assert alerts_of(folder) == alerts_of(tmp_path / "undisturbed")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 8))
def test_hundreds_of_kills_make_no_difference(tmp_path: Path, seed: int) -> None:
    assert same_after_kills(tmp_path, seed, runs=40) >= 40
