"""Names of accounts from files that change, break and disappear."""

from __future__ import annotations

from pathlib import Path

import pytest

from kestrel_ebpf.account_names import AccountNames


class Watch:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def passwd(tmp_path: Path) -> Path:
    path = tmp_path / "passwd"
    path.write_text("root:x:0:0::/root:/bin/sh\ntoor:x:0:0:::\noperator:x:1000:1000:::\n")
    return path


def test_the_first_name_of_a_number_counts(passwd: Path, watch: Watch) -> None:
    names = AccountNames(passwd, watch)
    assert [names.name(0), names.name(1000), names.name(7)] == ["root", "operator", None]


def test_a_change_is_seen_after_a_second(passwd: Path, watch: Watch) -> None:
    names = AccountNames(passwd, watch)
    names.name(0)
    passwd.write_text("support:x:1001:1001:::\n")
    assert names.name(1001) is None
    watch.now = 1.0
    assert names.name(1001) == "support"
    assert names.name(1000) is None


def test_a_file_that_disappears_leaves_no_names(passwd: Path, watch: Watch) -> None:
    names = AccountNames(passwd, watch)
    assert names.name(0) == "root"
    passwd.unlink()
    watch.now = 2.0
    assert names.name(0) is None


def test_damaged_lines_are_passed_over(tmp_path: Path, watch: Watch) -> None:
    path = tmp_path / "passwd"
    path.write_bytes(b"\n:::\nx\nno:x:minus:\n:x:5:\n+nis\nb\xff:x:6:6\nok:x:8:8\n")
    names = AccountNames(path, watch)
    assert [names.name(n) for n in (5, 6, 8)] == [None, "b�", "ok"]
