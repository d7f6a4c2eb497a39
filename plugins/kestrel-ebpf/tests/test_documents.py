"""Documents, field by field, from a process that the test makes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import cast

import attrs
import pytest

from kestrel_ebpf.account_names import AccountNames
from kestrel_ebpf.documents import DocumentBuilder, Host
from kestrel_ebpf.kernel_clock import KernelClock
from kestrel_ebpf.proc_filesystem import UNKNOWN_IMAGE, Credentials, Image
from kestrel_ebpf.process_table import Parent, Process
from kestrel_framework.event import Document
from kestrel_framework.values import parse_timestamp

EPOCH_NS = 1_700_000_000_000_000_000
AT = 5_123_456_789
TIME = "2023-11-14T22:13:25.123456789Z"
STARTED = "2023-11-14T22:13:25.000000001Z"


@pytest.fixture
def builder(tmp_path: Path) -> DocumentBuilder:
    (tmp_path / "passwd").write_text("root:x:0:0:::\noperator:x:1000:1000:::\n")
    (tmp_path / "group").write_text("users:x:100:\n")
    return DocumentBuilder(
        Host("web-1", "c0ffee"),
        KernelClock(lambda clock: EPOCH_NS if clock == 0 else 0),
        AccountNames(tmp_path / "passwd"),
        AccountNames(tmp_path / "group"),
    )


@pytest.fixture
def process() -> Process:
    parent = Parent(1, "p", None, Image("/sbin/init", "init", ("init",)), Credentials(0, 0, 0, 0))
    return Process(
        process_id=42,
        entity_id="e",
        start_ticks=500,
        started_ns=5_000_000_001,
        image=Image("/usr/bin/bash", "bash", ("bash", "-c", "ls -l")),
        parent=parent,
        credentials=Credentials(1000, 0, 100, 4),
        container="c" * 64,
        terminal=os.makedev(136, 2),
        threads={42},
        followed=True,
    )


def part(document: Document, name: str) -> dict[str, object]:
    return cast(dict[str, object], document[name])


def test_an_execution_has_every_field(builder: DocumentBuilder, process: Process) -> None:
    root = {"id": "0", "name": "root"}
    assert builder.exec(process, "/srv", AT) == {
        "@timestamp": TIME,
        "event": {
            "kind": "event",
            "category": ["process"],
            "type": ["start"],
            "action": "exec",
            "dataset": "proc-events",
        },
        "host": {"id": "c0ffee", "name": "web-1", "hostname": "web-1", "os": {"type": "linux"}},
        "process": {
            "pid": 42,
            "entity_id": "e",
            "name": "bash",
            "executable": "/usr/bin/bash",
            "args": ["bash", "-c", "ls -l"],
            "args_count": 3,
            "command_line": "bash -c ls -l",
            "working_directory": "/srv",
            "start": STARTED,
            "interactive": True,
            "tty": {"char_device": {"major": 136, "minor": 2}},
            "real_user": {"id": "1000", "name": "operator"},
            "real_group": {"id": "100", "name": "users"},
            "parent": {
                "pid": 1,
                "entity_id": "p",
                "name": "init",
                "executable": "/sbin/init",
                "args": ["init"],
                "args_count": 1,
                "command_line": "init",
                "user": root,
            },
        },
        "user": root,
        "group": {"id": "4"},
        "container": {"id": "c" * 64},
    }


def test_the_timestamp_keeps_its_nanoseconds(builder: DocumentBuilder, process: Process) -> None:
    document = builder.fork(process, AT)
    assert parse_timestamp(cast(str, document["@timestamp"]), "iso") == EPOCH_NS + AT


def test_what_is_unknown_is_absent(builder: DocumentBuilder, process: Process) -> None:
    stranger = attrs.evolve(
        process,
        image=UNKNOWN_IMAGE,
        parent=None,
        credentials=None,
        container=None,
        terminal=0,
        started_ns=None,
    )
    document = builder.exec(stranger, None, AT)
    assert part(document, "process") == {"pid": 42, "entity_id": "e", "interactive": False}
    assert not {"user", "group", "container"} & set(document)


@pytest.mark.parametrize(
    ("status", "code"), [(0, 0), (0x0300, 3), (0xFF00, 255), (9, 137), (0x80 | 11, 139)]
)
def test_an_end_has_the_exit_code_of_a_shell(
    builder: DocumentBuilder, process: Process, status: int, code: int
) -> None:
    document = builder.exit(process, status, AT)
    assert part(document, "event")["type"] == ["end"]
    assert part(document, "process")["exit_code"] == code
    assert part(document, "process")["end"] == TIME


def test_a_change_names_what_changed(builder: DocumentBuilder, process: Process) -> None:
    document = builder.change("comm_change", process, AT, {"thread": {"id": 43, "name": "x"}})
    assert part(document, "event")["type"] == ["change"]
    assert part(document, "event")["action"] == "comm_change"
    assert part(document, "process")["thread"] == {"id": 43, "name": "x"}


def test_a_host_without_an_identity_has_none(process: Process, tmp_path: Path) -> None:
    names = AccountNames(tmp_path / "none")
    document = DocumentBuilder(Host("x", None), KernelClock(), names, names).fork(process, AT)
    assert "id" not in part(document, "host")


def test_large_device_numbers_are_split_as_the_kernel_packs_them(
    builder: DocumentBuilder, process: Process
) -> None:
    device = (0x12 << 8) | 0x34 | (0x567 << 20)
    document = builder.fork(attrs.evolve(process, terminal=device), AT)
    tty = part(document, "process")["tty"]
    assert tty == {"char_device": {"major": 0x12, "minor": 0x56734}}
