"""Files are replaced whole, or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from kestrel_eql.rule_paths import read_file, replace_file
from kestrel_framework.errors import InputError, OutputError


def test_a_replaced_file_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "a.eql"
    path.write_text("old")
    path.chmod(0o604)
    replace_file(read_file(path), b"new")
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o604
    assert [one.name for one in tmp_path.iterdir()] == ["a.eql"]


def test_through_a_link_the_file_is_replaced_and_not_the_link(tmp_path: Path) -> None:
    path, link = tmp_path / "a.eql", tmp_path / "b.eql"
    path.write_text("old")
    link.symlink_to("a.eql")
    replace_file(read_file(link), b"new")
    assert link.is_symlink()
    assert path.read_text() == "new"


def test_a_file_that_somebody_else_changed_meanwhile_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.eql"
    path.write_text("old")
    old = read_file(path)
    path.write_text("newer")
    with pytest.raises(OutputError, match="changed while it was formatted"):
        replace_file(old, b"formatted")
    assert path.read_text() == "newer"
    path.unlink()
    with pytest.raises(OutputError, match="cannot be written"):
        replace_file(old, b"formatted")
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_plain_file_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "none", ".", "a\0b"):
        with pytest.raises(InputError, match=r"is no plain file|cannot be read"):
            read_file(tmp_path / name)
