"""The process table, over a /proc and clocks that the tests make."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kestrel_ebpf.kernel_clock import KernelClock
from kestrel_ebpf.netlink.proc_messages import (
    Envelope,
    Executed,
    Exited,
    Forked,
    GroupChanged,
    UserChanged,
)
from kestrel_ebpf.proc_filesystem import UNKNOWN_IMAGE, Credentials, ProcFilesystem
from kestrel_ebpf.process_table import Process, ProcessTable

TICK = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


class Host:
    """A /proc in a folder, and a clock whose boot time is its monotonic time."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.filesystem = ProcFilesystem(root)
        self.clock = KernelClock(lambda _clock: 0)

    def table(self, *, capacity: int = 1000, root_process_id: int | None = None) -> ProcessTable:
        return ProcessTable(
            self.filesystem,
            self.clock,
            boot_id="boot",
            capacity=capacity,
            root_process_id=root_process_id,
        )

    def run(
        self,
        pid: int,
        program: str,
        *,
        parent: int = 1,
        start: int = 10,
        uid: int = 0,
        tty: int = 0,
    ) -> None:
        """Make /proc show a process; what it showed of that number before is gone."""
        self.end(pid)
        folder = self.root / str(pid)
        (folder / "task" / str(pid)).mkdir(parents=True)
        name = program.rsplit("/", 1)[-1]
        stat = f"{pid} ({name}) S {parent} 1 1 {tty} 1 0" + " 1" * 12 + f" {start} 1 1\n"
        (folder / "stat").write_text(stat)
        (folder / "cmdline").write_text(f"{name}\0--run\0")
        (folder / "status").write_text(f"Uid:\t{uid}\t{uid}\t0\t0\nGid:\t{uid}\t{uid}\t0\t0\n")
        (folder / "cgroup").write_text("0::/\n")
        (folder / "exe").symlink_to(program)
        (folder / "cwd").symlink_to("/")

    def end(self, pid: int) -> None:
        shutil.rmtree(self.root / str(pid), ignore_errors=True)

    def execute(self, table: ProcessTable, pid: int, *, at: int) -> Process:
        return table.executed(Executed(when(at), pid), self.filesystem.observe(pid))


def when(ticks: int) -> Envelope:
    return Envelope(ticks * TICK + TICK // 2, 0, 0)


def fork(parent: int, pid: int, *, at: int, thread: int | None = None) -> Forked:
    return Forked(when(at), parent, thread or pid, pid)


def exit_(pid: int, *, at: int, thread: int | None = None) -> Exited:
    return Exited(when(at), thread or pid, pid, 0)


def born(table: ProcessTable, message: Forked) -> Process:
    process = table.forked(message)
    assert process is not None
    return process


@pytest.fixture
def host(tmp_path: Path) -> Host:
    host = Host(tmp_path)
    host.run(1, "/sbin/init", parent=0, start=1)
    host.run(50, "/usr/bin/bash", start=10, uid=1000)
    return host


@pytest.fixture
def table(host: Host) -> ProcessTable:
    table = host.table()
    table.resynchronise()
    return table


def test_what_runs_already_is_known_with_its_parent(table: ProcessTable) -> None:
    bash = table.get(50)
    assert bash is not None
    assert bash.image.executable == "/usr/bin/bash"
    assert bash.parent is not None
    assert bash.parent.image.name == "init"
    assert bash.started_ns == 10 * TICK


def test_an_identity_is_the_same_in_another_run_and_after_a_fork(host: Host) -> None:
    """Seen by its fork or found in /proc, by this table or a later one."""
    first = host.table()
    first.resynchronise()
    host.run(60, "/usr/bin/bash", parent=50, start=20)
    forked = born(first, fork(50, 60, at=21))
    second = host.table()
    second.resynchronise()
    found = second.get(60)
    assert found is not None
    assert found.entity_id == forked.entity_id


def test_a_fork_takes_over_the_image_and_the_user(host: Host, table: ProcessTable) -> None:
    host.run(60, "/usr/bin/bash", parent=50, start=20, uid=0)
    child = born(table, fork(50, 60, at=20))
    assert child.image.args == ("bash", "--run")
    assert child.credentials == Credentials(1000, 1000, 1000, 1000)
    assert child.parent is not None
    assert child.parent.process_id == 50


def test_a_process_that_is_gone_has_what_its_parent_left_it(table: ProcessTable) -> None:
    child = born(table, fork(50, 60, at=20))
    gone = table.executed(Executed(when(20), 60), None)
    assert gone is child
    assert gone.image == UNKNOWN_IMAGE
    assert gone.parent is not None
    assert gone.parent.image.name == "bash"
    assert gone.started_ns == 20 * TICK + TICK // 2
    assert table.exited(exit_(60, at=21)) is child
    assert table.get(60) is None


def test_a_reused_number_is_not_taken_for_its_successor(host: Host, table: ProcessTable) -> None:
    """/proc already shows the next process when the fork and the execution are heard of."""
    host.run(60, "/usr/bin/innocent", start=500)
    first = born(table, fork(50, 60, at=20))
    assert first.start_ticks == 20
    assert host.execute(table, 60, at=21).image == UNKNOWN_IMAGE
    table.exited(exit_(60, at=22))
    second = born(table, fork(50, 60, at=500))
    assert second.start_ticks == 500
    assert second.entity_id != first.entity_id
    assert host.execute(table, 60, at=501).image.name == "innocent"


def test_a_lost_fork_is_noticed_when_the_new_process_executes(
    host: Host, table: ProcessTable
) -> None:
    old = table.get(50)
    host.run(50, "/usr/bin/python3", start=700)
    new = host.execute(table, 50, at=701)
    assert old is not None
    assert new.entity_id != old.entity_id
    assert new.image.name == "python3"


def test_a_fork_replaces_a_process_whose_end_was_lost(host: Host, table: ProcessTable) -> None:
    born(table, fork(50, 60, at=20))
    host.run(60, "/usr/bin/bash", parent=1, start=900)
    again = born(table, fork(1, 60, at=900))
    assert table.get(60) is again
    assert again.parent is not None
    assert again.parent.process_id == 1


def test_losing_events_is_repaired_from_proc(host: Host, table: ProcessTable) -> None:
    born(table, fork(50, 60, at=20))
    host.run(61, "/usr/bin/vim", parent=50, start=30)
    host.run(50, "/usr/bin/zsh", start=10, uid=0)
    table.resynchronise()
    assert table.get(60) is None
    vim, shell = table.get(61), table.get(50)
    assert vim is not None
    assert vim.parent is not None
    assert vim.parent.process_id == 50
    assert shell is not None
    assert shell.image.name == "zsh"
    assert shell.credentials == Credentials(0, 0, 0, 0)


def test_a_process_lives_until_its_last_thread(table: ProcessTable) -> None:
    assert table.forked(fork(50, 50, at=20, thread=51)) is None
    assert table.exited(exit_(50, at=21)) is None
    assert table.get(50) is not None
    ended = table.exited(exit_(50, at=22, thread=51))
    assert ended is not None
    assert table.get(50) is None


def test_an_execution_ends_all_other_threads(host: Host, table: ProcessTable) -> None:
    table.forked(fork(50, 50, at=20, thread=51))
    host.execute(table, 50, at=21)
    assert table.exited(exit_(50, at=21, thread=51)) is None, "it ended late, and is no end"
    assert table.exited(exit_(50, at=22)) is not None


def test_changes_of_user_and_group_follow_the_events(host: Host, table: ProcessTable) -> None:
    table.credentials_changed(UserChanged(when(20), 50, 1000, 0))
    process = table.credentials_changed(GroupChanged(when(20), 50, 1000, 5))
    assert process.credentials == Credentials(1000, 0, 1000, 5)
    assert host.execute(table, 50, at=21).credentials == Credentials(1000, 0, 1000, 5)


def test_who_acts_unknown_is_read_or_held_as_unknown(host: Host, table: ProcessTable) -> None:
    host.run(70, "/usr/bin/late", parent=50, start=40)
    assert table.acting(70, 41 * TICK).image.name == "late"
    stranger = table.acting(71, 41 * TICK)
    assert stranger.image == UNKNOWN_IMAGE
    assert (stranger.start_ticks, stranger.parent) == (None, None)
    assert table.acting(71, 42 * TICK) is stranger


def test_the_end_of_a_stranger_is_an_end_and_of_its_thread_is_none(table: ProcessTable) -> None:
    assert table.exited(exit_(99, at=20)) is not None
    assert table.exited(exit_(99, at=20, thread=98)) is None
    assert table.get(99) is None


def test_only_the_offspring_of_the_root_is_followed(host: Host) -> None:
    host.run(51, "/usr/bin/make", parent=50, start=11)
    table = host.table(root_process_id=50)
    table.resynchronise()
    followed = {pid: table.acting(pid, 20 * TICK).followed for pid in (1, 50, 51)}
    assert followed == {1: False, 50: True, 51: True}
    assert born(table, fork(51, 60, at=20)).followed
    assert not born(table, fork(1, 61, at=20)).followed
    table.exited(exit_(51, at=21))
    assert born(table, fork(60, 62, at=22)).followed, "an orphan is still offspring"


def test_a_stranger_with_the_number_of_the_root_is_not_followed(host: Host) -> None:
    table = host.table(root_process_id=50)
    table.resynchronise()
    table.exited(exit_(50, at=20))
    host.run(50, "/usr/bin/other", parent=1, start=30)
    assert not table.acting(50, 31 * TICK).followed


def test_the_table_is_bounded_and_counts_what_it_forgets(host: Host) -> None:
    table = host.table(capacity=3)
    table.resynchronise()
    for pid in range(100, 110):
        table.forked(fork(50, pid, at=20))
        assert len(table) <= 3
    assert table.evictions >= 9


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.sampled_from(["fork", "exec", "exit"]), st.integers(1, 6), st.integers(1, 6)),
        max_size=40,
    )
)
def test_no_order_of_events_confuses_two_processes(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, int]]
) -> None:
    """Each fork is a new identity, whatever was lost, and an end removes just that process."""
    host = Host(tmp_path_factory.mktemp("proc"))
    table = host.table()
    identities: set[str] = set()
    for tick, (kind, pid, parent) in enumerate(steps, start=10):
        if kind == "fork" and pid != parent:
            child = born(table, fork(parent, pid, at=tick))
            assert child.entity_id not in identities
            identities.add(child.entity_id)
            assert table.get(pid) is child
        elif kind == "exec":
            assert table.executed(Executed(when(tick), pid), None) is table.get(pid)
        elif kind == "exit":
            known = table.get(pid)
            ended = table.exited(exit_(pid, at=tick))
            assert ended is not None
            assert known is None or ended is known
            assert table.get(pid) is None
