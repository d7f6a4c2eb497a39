"""The table of the parser: kept only in a private folder, and ignored when damaged."""

from __future__ import annotations

from pathlib import Path

import pytest

from kestrel_eql import parser_table
from kestrel_eql.parser_table import load_parser


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "kestrel-eql"


def tables(cache: Path) -> list[Path]:
    return sorted(cache.iterdir()) if cache.is_dir() else []


def test_the_second_process_loads_what_the_first_stored(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = load_parser()
    (table,) = tables(cache)
    assert table.stat().st_mode & 0o777 == 0o600
    assert cache.stat().st_mode & 0o777 == 0o700
    monkeypatch.setattr(parser_table, "_built", lambda grammar: pytest.fail("it was built again"))
    text = 'sequence by a [x where b.c : ("d", "e*")] [y where not f == -1.5] | head 3'
    assert load_parser().parse(text) == built.parse(text)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"null", b"[]", b'{"data": {}, "memo": {}}', b"\x80\x04K\x01.", b"[" * 100_000],
)
def test_a_damaged_table_is_ignored_and_replaced(
    cache: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_parser()
    (table,) = tables(cache)
    table.write_bytes(content)
    assert load_parser().parse("any where true")
    assert tables(cache) == [table]
    monkeypatch.setattr(parser_table, "_built", lambda grammar: pytest.fail("it was built again"))
    assert load_parser().parse("any where true")


def test_a_table_that_is_a_link_is_not_followed(cache: Path, tmp_path: Path) -> None:
    load_parser()
    (table,) = tables(cache)
    elsewhere = tmp_path / "elsewhere.json"
    table.rename(elsewhere)
    table.symlink_to(elsewhere)
    load_parser()
    assert not table.is_symlink()


def test_a_full_disk_does_no_harm(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object, **keywords: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.mkstemp", full)
    assert load_parser().parse("any where true")
    assert tables(cache) == []


@pytest.mark.parametrize("mode", [0o755, 0o770])
def test_a_table_in_a_folder_of_others_is_neither_read_nor_written(cache: Path, mode: int) -> None:
    cache.mkdir(parents=True)
    cache.chmod(mode)
    assert load_parser().parse("any where true")
    assert tables(cache) == []
