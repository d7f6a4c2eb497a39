"""/proc, as hostile processes write it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kestrel_ebpf.proc_filesystem import (
    Credentials,
    Image,
    ProcessStat,
    ProcFilesystem,
    parse_command_line,
    parse_stat,
)

STATUS = "Name:\tx\nUmask:\t0022\nUid:\t1000\t0\t0\t0\nGid:\t100\t5\t5\t5\n"


def stat_line(comm: bytes = b"bash", pid: int = 42, start: int = 4711) -> bytes:
    before = b"%d (%s) S 7 42 42 34816 42 4194304" % (pid, comm)
    return before + b" 1" * 12 + b" %d 3133440 388\n" % start


def make_process(root: Path, pid: int = 42, **files: bytes | str) -> Path:
    """Make a folder as /proc has it; `exe` and `cwd` are links."""
    folder = root / str(pid)
    folder.mkdir(parents=True)
    defaults: dict[str, bytes | str] = {
        "stat": stat_line(pid=pid),
        "cmdline": b"bash\0-c\0ls\0",
        "status": STATUS,
        "cgroup": "0::/docker/" + "ab" * 32 + "\n",
        "exe": "/usr/bin/bash",
        "cwd": "/srv",
    }
    for name, content in {**defaults, **files}.items():
        if name in ("exe", "cwd"):
            (folder / name).symlink_to(os.fsdecode(content))
        else:
            (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def test_a_process_is_observed_whole(tmp_path: Path) -> None:
    make_process(tmp_path)
    seen = ProcFilesystem(tmp_path).observe(42)
    assert seen is not None
    assert seen.stat == ProcessStat("bash", "S", 7, 34816, 4711)
    assert seen.image == Image("/usr/bin/bash", "bash", ("bash", "-c", "ls"))
    assert seen.image.command_line == "bash -c ls"
    assert seen.credentials == Credentials(1000, 0, 100, 5)
    assert (seen.container, seen.working_directory) == ("ab" * 32, "/srv")


def test_who_is_gone_is_none(tmp_path: Path) -> None:
    filesystem = ProcFilesystem(tmp_path)
    assert filesystem.observe(42) is None
    assert filesystem.stat(42) is None
    assert filesystem.thread_ids(42) == frozenset()


def test_parts_that_cannot_be_read_are_left_out(tmp_path: Path) -> None:
    folder = make_process(tmp_path)
    for name in ("exe", "cwd", "cmdline", "status", "cgroup"):
        (folder / name).unlink()
    seen = ProcFilesystem(tmp_path).observe(42)
    assert seen is not None
    assert seen.image == Image(None, "bash")
    assert seen.image.command_line is None
    assert (seen.credentials, seen.container, seen.working_directory) == (None, None, None)


def test_a_damaged_stat_makes_a_process_unknown(tmp_path: Path) -> None:
    make_process(tmp_path, stat=b"42 (bash S")
    assert ProcFilesystem(tmp_path).observe(42) is None


def test_a_deleted_program_keeps_its_path(tmp_path: Path) -> None:
    make_process(tmp_path, exe="/tmp/.x/miner (deleted)")
    seen = ProcFilesystem(tmp_path).observe(42)
    assert seen is not None
    assert (seen.image.executable, seen.image.name) == ("/tmp/.x/miner", "miner")


def test_bytes_that_are_no_text_are_replaced(tmp_path: Path) -> None:
    make_process(tmp_path, exe=b"/tmp/\xff\xfe", cmdline=b"a\xff\0b\nc\0")
    seen = ProcFilesystem(tmp_path).observe(42)
    assert seen is not None
    assert seen.image.executable == "/tmp/��"
    assert seen.image.args == ("a�", "b\nc")


def test_a_huge_command_line_is_cut_and_marked(tmp_path: Path) -> None:
    make_process(tmp_path, cmdline=b"x\0" + b"A" * 3_000_000)
    seen = ProcFilesystem(tmp_path, max_command_line_bytes=1000).observe(42)
    assert seen is not None
    assert seen.image.truncated
    assert seen.image.args == ("x", "A" * 998)


def test_a_command_line_of_just_the_limit_is_whole(tmp_path: Path) -> None:
    make_process(tmp_path, cmdline=b"x" * 999 + b"\0")
    seen = ProcFilesystem(tmp_path, max_command_line_bytes=1000).observe(42)
    assert seen is not None
    assert not seen.image.truncated


def test_only_numbers_are_processes(tmp_path: Path) -> None:
    for name in ("10", "9", "self", "²", "1x"):
        (tmp_path / name).mkdir()
    assert ProcFilesystem(tmp_path).process_ids() == [9, 10]


def test_threads_are_listed(tmp_path: Path) -> None:
    folder = make_process(tmp_path)
    for thread in (42, 43):
        (folder / "task" / str(thread)).mkdir(parents=True)
    assert ProcFilesystem(tmp_path).thread_ids(42) == {42, 43}


@pytest.mark.parametrize("comm", [b"a b", b"x) R 1 (", b"((", b"))", b"a\nb", b"", b"\xff"])
def test_a_hostile_short_name_moves_no_field(comm: bytes) -> None:
    stat = parse_stat(stat_line(comm))
    assert stat is not None
    assert stat.comm == comm.decode("utf-8", "replace")
    assert (stat.parent_id, stat.start_ticks) == (7, 4711)


@given(st.binary())
def test_any_stat_is_read_or_refused(content: bytes) -> None:
    parse_stat(content)


@given(st.lists(st.text(st.characters(exclude_characters="\0", codec="utf-8")), min_size=1))
def test_arguments_come_back_but_for_empty_ones_at_the_end(arguments: list[str]) -> None:
    content = b"".join(argument.encode() + b"\0" for argument in arguments)
    while arguments and not arguments[-1]:
        arguments.pop()
    assert parse_command_line(content) == tuple(arguments)


@pytest.mark.parametrize(
    ("content", "arguments"),
    [
        (b"", ()),
        (b"\0\0", ()),
        (b"sshd: operator [priv]" + b"\0" * 90, ("sshd: operator [priv]",)),
        (b"no end", ("no end",)),
        (b"a\0\0b\0", ("a", "", "b")),
    ],
)
def test_titles_and_empty_arguments(content: bytes, arguments: tuple[str, ...]) -> None:
    assert parse_command_line(content) == arguments


def test_our_own_process_is_read_from_the_real_proc() -> None:
    if not Path("/proc/self/stat").exists():
        pytest.skip("this host has no /proc")
    seen = ProcFilesystem().observe(os.getpid())
    assert seen is not None
    assert seen.stat.parent_id == os.getppid()
    assert seen.credentials == Credentials(os.getuid(), os.geteuid(), os.getgid(), os.getegid())
    assert seen.working_directory == str(Path.cwd())
