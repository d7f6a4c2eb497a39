"""The folder of what can be made again: used only where nobody else can write to it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kestrel_framework.cache_folder import private_cache_folder


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "kestrel-test"


def test_it_is_made_for_the_user_alone(cache: Path) -> None:
    assert private_cache_folder("kestrel-test") == cache
    assert cache.stat().st_mode & 0o777 == 0o700
    assert private_cache_folder("kestrel-test") == cache


@pytest.mark.parametrize("mode", [0o777, 0o757])
def test_a_folder_that_somebody_can_replace_is_not_used(cache: Path, mode: int) -> None:
    cache.parent.mkdir()
    cache.parent.chmod(mode)
    assert private_cache_folder("kestrel-test") is None
    cache.parent.chmod(0o1777)
    assert private_cache_folder("kestrel-test") == cache


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="needs root to chown")
def test_a_folder_in_one_of_another_group_is_used_only_if_it_cannot_write(cache: Path) -> None:
    cache.parent.mkdir()
    cache.parent.chmod(0o775)
    assert private_cache_folder("kestrel-test") == cache
    os.chown(cache.parent, os.getuid(), 65534)
    assert private_cache_folder("kestrel-test") is None
    cache.parent.chmod(0o755)
    assert private_cache_folder("kestrel-test") == cache
    os.chown(cache.parent, 65534, os.getgid())
    assert private_cache_folder("kestrel-test") is None


def test_a_folder_that_is_a_link_is_not_used(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir(mode=0o700)
    cache.parent.mkdir()
    cache.symlink_to(tmp_path / "other")
    assert private_cache_folder("kestrel-test") is None
    assert list((tmp_path / "other").iterdir()) == []


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o1777, 0o500])
def test_a_folder_with_another_mode_is_not_used(cache: Path, mode: int) -> None:
    cache.mkdir(parents=True)
    cache.chmod(mode)
    assert private_cache_folder("kestrel-test") is None
    assert list(cache.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="needs root to chown")
def test_a_folder_of_somebody_else_is_not_used(cache: Path) -> None:
    cache.mkdir(parents=True, mode=0o700)
    os.chown(cache, 65534, 65534)
    assert private_cache_folder("kestrel-test") is None


def test_a_relative_cache_home_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "cache")
    assert private_cache_folder("kestrel-test") is None


def test_the_cache_home_may_be_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert private_cache_folder("kestrel-test") is None


def test_the_default_is_under_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert private_cache_folder("kestrel-test") == tmp_path / ".cache" / "kestrel-test"
