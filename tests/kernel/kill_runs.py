"""Engines in processes of their own that are killed, or stopped, at any boundary they pass."""

from __future__ import annotations

import json
import os
import random
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import attrs
import forked_work

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


@attrs.frozen
class Keeping:
    """What engines keep their state in.

    Attributes:
        state: How it is configured, for the folder of a run.
        boundaries: Objects and the names of their functions before and after which an engine
            can be killed, beside those that every engine has.
        plugins: What brings the store.
    """

    state: Callable[[Path], StateConfig]
    boundaries: Sequence[tuple[object, str]]
    plugins: Sequence[object] = ()


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
        by: Stops the process instead, where it is that: until another signal.
    """

    def __init__(self, at: int = 0, amid: int = 0, by: signal.Signals = signal.SIGKILL) -> None:
        self.by = by
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
            os.kill(os.getpid(), self.by)

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
            if self.by is signal.SIGSTOP:
                self.at_boundary()
            elif output._buffer and (self.comes() or self.writes_left == 0):
                assert output._file is not None
                os.write(output._file, bytes(output._buffer[: len(output._buffer) // 2]))
                os.kill(os.getpid(), signal.SIGKILL)
            drain(output)

        JsonlOutput._drain = halved  # type: ignore[method-assign, assignment]


def configured(keeping: Keeping, folder: Path, *, follow: bool = False) -> Configuration:
    """Return the configuration of an engine over the events of a folder."""
    source = {"path": str(folder / "events.ndjson"), "follow": follow}
    return Configuration(
        sources={"events": SourceConfig("jsonl", source)},
        outputs={"alerts": SectionConfig("jsonl", {"path": str(folder / "alerts.ndjson")})},
        state=keeping.state(folder),
        engine=EngineConfig(batch_size=11, read_timeout=0.05, checkpoint_interval=0.0),
        events=SETTINGS,
    )


def built(keeping: Keeping, configuration: Configuration, death: Death) -> Engine:
    """Return an engine that commits after each batch, in a process that is its own."""
    death.amid_writing()
    for owner, name in (
        (Detector, "feed"),
        (JsonlSource, "read"),
        (JsonlOutput, "flush"),
        *keeping.boundaries,
    ):
        death.around(owner, name)
    return Engine.build(configuration, plugins=keeping.plugins, discover=False, rules=RULES)


def run(keeping: Keeping, folder: Path, death: Death) -> None:
    """Run an engine over the events of a folder, in a process that is its own."""
    report = built(keeping, configured(keeping, folder), death).run()
    assert report.exit_status is ExitStatus.FINE, report.failures


def alerts_of(folder: Path) -> bytes:
    return (folder / "alerts.ndjson").read_bytes()


def write_events(folder: Path, documents: Sequence[Document]) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    with (folder / "events.ndjson").open("a", encoding="utf-8") as file:
        file.write("".join(json.dumps(document) + "\n" for document in documents))


def undisturbed(keeping: Keeping, folder: Path, documents: Sequence[Document]) -> int:
    """Run an engine to its end, and return how many boundaries it passed."""
    write_events(folder, documents)
    reading, writing = os.pipe()

    def work() -> None:
        death = Death()
        run(keeping, folder, death)
        os.write(writing, str(death.passed).encode())

    forked_work.in_child(work)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        return int(pipe.read())


def killed(keeping: Keeping, folder: Path, death: Death) -> bool:
    """Run an engine that is killed, and say whether it came so far."""
    return was_killed(*forked_work.start(lambda: run(keeping, folder, death)))


def was_killed(pid: int, reading: int) -> bool:
    """Wait for an engine that is to be killed, and say whether it was."""
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


@attrs.define
class Tally:
    """What came of many runs with kills."""

    runs: int = 0
    kills: int = 0
    differences: int = 0

    def __str__(self) -> str:
        return f"{self.runs} runs, {self.kills} kills, {self.differences} differences"


def runs_with_kills(keeping: Keeping, tmp_path: Path, seed: int, runs: int) -> Tally:
    """Compare runs with kills, at random boundaries, to one without."""
    chance = random.Random(seed)
    documents = stream(seed)
    boundaries = undisturbed(keeping, tmp_path / "undisturbed", documents)
    expected = alerts_of(tmp_path / "undisturbed")
    assert expected.count(b"\n") > 30
    tally = Tally()
    for number in range(runs):
        folder = beside(tmp_path / "undisturbed", str(number))
        for _ in range(chance.randint(1, MOST_DEATHS)):
            tally.kills += killed(keeping, folder, Death(chance.randint(1, boundaries)))
        forked_work.in_child(lambda folder=folder: run(keeping, folder, Death()))  # type: ignore[misc]
        tally.runs += 1
        tally.differences += alerts_of(folder) != expected
    return tally
