"""The source on a live kernel: real processes, real losses. Root in the first namespaces only."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import cast

import pytest

from kestrel_ebpf.source import ProcEventsConfig, ProcEventsSource
from kestrel_framework.errors import InputError
from kestrel_framework.event import Document, read_path
from kestrel_framework.testing import CountingMetrics, EventSourceContract, make_context
from kestrel_framework.values import parse_timestamp


def unavailable() -> str | None:
    source = ProcEventsSource(ProcEventsConfig(), make_context())
    try:
        source.open(None)
    except InputError as error:
        return str(error)
    source.close()
    return None


UNAVAILABLE = unavailable()
live = pytest.mark.skipif(UNAVAILABLE is not None, reason=str(UNAVAILABLE))


def value(document: Document, path: str) -> object:
    return next(read_path(document, path.split(".")), None)


def values(document: Document, path: str) -> list[object]:
    return list(read_path(document, path.split(".")))


class Recorder:
    """A source, and everything it hands over."""

    def __init__(self, config: ProcEventsConfig) -> None:
        self.metrics = CountingMetrics()
        self.source = ProcEventsSource(config, make_context(metrics=self.metrics))
        self.documents: list[Document] = []
        self.lost: Counter[str] = Counter()
        self.watermark = 0

    def until(self, done: Callable[[Document], bool], seconds: float = 10.0) -> Document:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for document in self._read():
                if done(document):
                    return document
        raise AssertionError("the event did not come")

    def until_quiet(self, seconds: float = 30.0) -> None:
        deadline = time.monotonic() + seconds
        quiet = 0
        while quiet < 3 and time.monotonic() < deadline:
            quiet = 0 if self._read() else quiet + 1
        assert quiet, "the source never was quiet"

    def until_drained(self, seconds: float = 0.6) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self._read()

    def _read(self) -> list[Document]:
        batch = self.source.read(1000, 0.1)
        assert batch is not None
        self.lost.update(batch.lost)
        assert batch.watermark is not None
        late = [d for d in batch.documents if _time(d) < self.watermark]
        assert not late, "the source broke its promise"
        self.watermark = max(self.watermark, batch.watermark)
        self.documents += batch.documents
        return list(batch.documents)

    def of(self, pid: int) -> list[Document]:
        return [document for document in self.documents if value(document, "process.pid") == pid]


def _time(document: Document) -> int:
    return parse_timestamp(cast(str, document["@timestamp"]), "iso")


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    recorder = Recorder(ProcEventsConfig(root_pid=os.getpid()))
    recorder.source.open(None)
    yield recorder
    recorder.source.close()


def ends(pid: int) -> Callable[[Document], bool]:
    return lambda document: (
        value(document, "process.pid") == pid and value(document, "event.action") == "exit"
    )


@live
def test_a_child_is_seen_from_fork_to_end(recorder: Recorder, tmp_path: Path) -> None:
    before = time.time_ns()
    child = subprocess.Popen(
        ["/bin/sh", "-c", "read line; exit 3", "ünï\ncode"], stdin=subprocess.PIPE, cwd=tmp_path
    )
    recorder.until(
        lambda d: value(d, "process.pid") == child.pid and "exec" in values(d, "event.action")
    )
    child.communicate(b"go\n")
    after = time.time_ns()
    end = recorder.until(ends(child.pid))

    fork, execution, _ = recorder.of(child.pid)
    assert [value(d, "event.action") for d in (fork, execution, end)] == ["fork", "exec", "exit"]
    assert len({value(d, "process.entity_id") for d in (fork, execution, end)}) == 1
    assert values(execution, "process.args") == ["/bin/sh", "-c", "read line; exit 3", "ünï\ncode"]
    assert value(execution, "process.args_count") == 4
    assert value(execution, "process.executable") == str(Path("/bin/sh").resolve())
    assert value(execution, "process.working_directory") == str(tmp_path)
    assert value(execution, "process.parent.pid") == os.getpid()
    assert value(execution, "process.parent.executable") == str(Path(sys.executable).resolve())
    assert value(execution, "user.id") == str(os.geteuid())
    assert value(execution, "host.name") == socket.gethostname()
    assert value(end, "process.exit_code") == 3
    times = [_time(d) for d in (fork, execution, end)]
    assert before < times[0] < times[1] < times[2]
    assert times[1] < after
    assert recorder.lost == {}


@live
def test_a_grandchild_names_its_parent(recorder: Recorder) -> None:
    shell = subprocess.Popen(["/bin/sh", "-c", "sleep 0.2; true"])
    sleep = recorder.until(
        lambda d: value(d, "process.name") == "sleep" and value(d, "event.action") == "exec"
    )
    shell.wait()
    recorder.until(ends(shell.pid))
    shell_exec = next(d for d in recorder.of(shell.pid) if value(d, "event.action") == "exec")
    assert value(sleep, "process.parent.pid") == shell.pid
    assert value(sleep, "process.parent.entity_id") == value(shell_exec, "process.entity_id")
    assert values(sleep, "process.parent.args") == ["/bin/sh", "-c", "sleep 0.2; true"]


@live
def test_a_change_of_user_is_seen(recorder: Recorder) -> None:
    code = "import os, time; os.setgid(65534); os.setuid(65534); time.sleep(0.2)"
    child = subprocess.Popen([sys.executable, "-c", code])
    recorder.until(ends(child.pid))
    child.wait()
    by_action = {value(d, "event.action"): d for d in recorder.of(child.pid)}
    assert value(by_action["exec"], "user.id") == "0"
    assert value(by_action["gid_change"], "group.id") == "65534"
    assert value(by_action["uid_change"], "user.id") == "65534"
    assert value(by_action["uid_change"], "process.real_user.id") == "65534"
    assert value(by_action["uid_change"], "process.parent.user.id") == "0"
    assert value(by_action["exit"], "user.id") == "65534"


@live
def test_a_new_session_and_name_are_seen(recorder: Recorder) -> None:
    code = (
        "import ctypes, os, time\nos.setsid()\n"
        "ctypes.CDLL(None).prctl(15, b'kworker/0:1', 0, 0, 0)\ntime.sleep(0.1)"
    )
    child = subprocess.Popen([sys.executable, "-c", code])
    recorder.until(ends(child.pid))
    child.wait()
    by_action = {value(d, "event.action"): d for d in recorder.of(child.pid)}
    assert "session_id_change" in by_action
    assert value(by_action["comm_change"], "process.thread.name") == "kworker/0:1"
    assert value(by_action["comm_change"], "process.executable") == str(
        Path(sys.executable).resolve()
    )


@live
def test_a_death_by_signal_has_its_exit_code(recorder: Recorder) -> None:
    child = subprocess.Popen(["/bin/sleep", "60"])
    child.kill()
    child.wait()
    assert value(recorder.until(ends(child.pid)), "process.exit_code") == 137


@live
def test_a_process_ends_with_its_last_thread(recorder: Recorder) -> None:
    code = (
        "import threading, ctypes, time\n"
        "threading.Thread(target=lambda: time.sleep(0.4)).start()\n"
        "ctypes.CDLL(None).syscall(60, 0)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code])
    end = recorder.until(ends(child.pid))
    child.wait()
    execution = next(d for d in recorder.of(child.pid) if value(d, "event.action") == "exec")
    assert _time(end) - _time(execution) > 300_000_000
    assert sum(map(ends(child.pid), recorder.documents)) == 1


@live
def test_other_processes_of_the_host_are_not_followed(recorder: Recorder) -> None:
    subprocess.run(["/bin/true"], check=True)
    recorder.until_quiet()
    known = {os.getpid()} | {value(d, "process.pid") for d in recorder.documents}
    assert recorder.documents
    assert {value(d, "process.parent.pid") for d in recorder.documents} <= known


@live
def test_a_burst_loses_nothing(recorder: Recorder) -> None:
    shell = subprocess.Popen(
        ["/bin/sh", "-c", "i=0; while [ $i -lt 1500 ]; do (:); i=$((i+1)); done"]
    )
    recorder.until(ends(shell.pid), seconds=60)
    shell.wait()
    actions = Counter(
        value(d, "event.action")
        for d in recorder.documents
        if value(d, "process.parent.pid") == shell.pid
    )
    assert recorder.lost == {}
    assert actions == {"fork": 1500, "exit": 1500}
    assert len({value(d, "process.entity_id") for d in recorder.documents}) == 1501


@live
def test_a_burst_that_does_not_fit_is_accounted_for_and_recovered_from() -> None:
    """A reader that sleeps with a tiny buffer: what is missing is counted, to the event.

    A gap shows when the next message of that processor arrives, so each one makes some, and once
    more for those that were still lost among them.
    Nobody is followed alone, because whose fork is lost can no longer be told; so other processes
    of the host are in the sums, and there can be more than this test made, never less.
    """
    recorder = Recorder(ProcEventsConfig(receive_buffer_bytes=8192))
    recorder.source.open(None)
    try:
        subprocess.run(["/bin/sh", "-c", "for i in $(seq 400); do (:); done"], check=True)
        recorder.until_drained()
        for cpu in 2 * sorted(os.sched_getaffinity(0)):
            subprocess.run(["taskset", "-c", str(cpu), "/bin/sh", "-c", "(:); (:)"], check=True)
            recorder.until_drained()
    finally:
        recorder.source.close()
    shell_and_seq, children = 6, 800
    afterwards = 8 * len(os.sched_getaffinity(0))  # three processes, and two programs in one
    made = shell_and_seq + children + afterwards
    assert recorder.metrics.counts["receive_buffer_overruns"] >= 1
    assert recorder.metrics.counts["resynchronisations"] >= 1
    assert recorder.documents
    assert recorder.lost["not_delivered"] > children // 2
    assert len(recorder.documents) + recorder.lost["not_delivered"] >= made


@live
def test_a_program_that_is_gone_is_counted_and_handed_over(recorder: Recorder) -> None:
    child = subprocess.Popen(["/bin/true"])
    child.wait()
    recorder.until(ends(child.pid))
    actions = [value(d, "event.action") for d in recorder.of(child.pid)]
    assert actions == ["fork", "exec", "exit"]
    execution = recorder.of(child.pid)[1]
    assert "process" in execution
    assert "args" not in cast(Mapping[str, object], execution["process"])
    assert value(execution, "process.parent.pid") == os.getpid()
    assert recorder.metrics.counts["enrichment_missed"] == 1


@live
def test_the_first_of_two_programs_is_not_taken_for_the_second(recorder: Recorder) -> None:
    child = subprocess.Popen(["/bin/sh", "-c", "exec /bin/sleep 0.3"])
    time.sleep(0.15)
    recorder.until(ends(child.pid))
    child.wait()
    first, second = (d for d in recorder.of(child.pid) if value(d, "event.action") == "exec")
    assert value(first, "process.name") is None
    assert values(second, "process.args") == ["/bin/sleep", "0.3"]
    assert recorder.metrics.counts["enrichment_missed"] == 1


@live
def test_a_process_without_a_number_of_its_own_cannot_be_followed() -> None:
    source = ProcEventsSource(ProcEventsConfig(root_pid=2**22 + 1), make_context())
    with pytest.raises(InputError, match="`root_pid` is 4194305, and there is no such process"):
        source.open(None)
    source.close()


def test_it_cannot_go_back() -> None:
    with pytest.raises(InputError, match="cannot go back to a position"):
        ProcEventsSource(ProcEventsConfig(), make_context()).open("somewhere")


class Prompted(ProcEventsSource):
    """A source on which something happens as soon as it is open."""

    def open(self, position: str | None) -> None:
        super().open(position)
        subprocess.run(["/bin/true"], check=True)


@live
class TestContract(EventSourceContract):
    is_live = True
    can_be_unreadable = True

    @pytest.fixture
    def source(self) -> ProcEventsSource:
        return Prompted(ProcEventsConfig(root_pid=os.getpid()), make_context())

    @pytest.fixture
    def unreadable_source(self) -> ProcEventsSource:
        return ProcEventsSource(ProcEventsConfig(root_pid=2**22 + 1), make_context())
