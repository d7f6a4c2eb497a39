"""Databases that are kept: the same answers, and harmless whatever is wrong with them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kestrel_framework.interfaces import Pattern, PatternKind
from kestrel_framework.testing.fakes import RecordingLogger, make_context
from kestrel_hyperscan import HyperscanConfig, HyperscanEngine, database_cache, prepared_patterns
from kestrel_hyperscan.database_cache import DatabaseCache, key_of
from pattern_texts import expected

AS_ROOT = pytest.mark.skipif(
    not hasattr(os, "getuid") or os.getuid() != 0, reason="needs root to chown"
)
PATTERNS = [
    *(Pattern(PatternKind.WILDCARD, f"*{word}*") for word in "abcdefgh"),
    Pattern(PatternKind.WILDCARD, "*"),
    Pattern(PatternKind.REGEX, ".*ab[0-9]", fold=True),
]
TEXTS = ("", "a", "ab", "h", "xAB7", "gone")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "kestrel-hyperscan"


@pytest.fixture
def compiled_anew(monkeypatch: pytest.MonkeyPatch) -> Callable[..., bool]:
    """Compile with the cache as a new process would; say whether it was necessary."""

    def compile_(logger: RecordingLogger | None = None, patterns: list[Pattern] = PATTERNS) -> bool:
        calls = []

        def noted(patterns: list[Pattern]) -> object:
            calls.append(patterns)
            return prepared_patterns.prepare(patterns)

        monkeypatch.setattr("kestrel_hyperscan.engine.prepare", noted)
        context = make_context(logger=logger) if logger else make_context()
        engine = HyperscanEngine.from_config(HyperscanConfig(), context)
        compiled = engine.compile(patterns)
        for text in TEXTS:
            assert sorted(compiled.database.matches(text)) == expected(patterns, compiled, text)
        assert compiled.refused == ({8} if patterns is PATTERNS else frozenset())
        return bool(calls)

    return compile_


def files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def problems(logger: RecordingLogger) -> list[str]:
    return [str(line.details["problem"]) for line in logger.events]


def test_the_second_process_finds_what_the_first_kept(
    folder: Path, compiled_anew: Callable[..., bool]
) -> None:
    logger = RecordingLogger()
    assert compiled_anew(logger)
    (file,) = files(folder)
    assert file.stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    assert not compiled_anew(logger)
    assert compiled_anew(logger, PATTERNS[:7])
    assert len(files(folder)) == 2
    assert problems(logger) == []


def test_an_embedder_s_engine_keeps_nothing_unless_it_is_told_to(folder: Path) -> None:
    HyperscanEngine().compile(PATTERNS)
    assert files(folder) == []
    HyperscanEngine.from_config(HyperscanConfig(cache=False), make_context()).compile(PATTERNS)
    assert files(folder) == []
    HyperscanEngine(cache=True).compile(PATTERNS)
    assert len(files(folder)) == 1


def test_few_patterns_are_not_worth_a_file(folder: Path) -> None:
    HyperscanEngine(cache=True).compile(PATTERNS[:3])
    assert files(folder) == []


# --- the key ------------------------------------------------------------------------------


def test_everything_about_a_pattern_is_part_of_the_key() -> None:
    wildcard, regex = PatternKind.WILDCARD, PatternKind.REGEX
    different = [
        [],
        [Pattern(wildcard, "a")],
        [Pattern(regex, "a")],
        [Pattern(regex, "a", fold=True)],
        [Pattern(wildcard, "a"), Pattern(wildcard, "b")],
        [Pattern(wildcard, "b"), Pattern(wildcard, "a")],
        [Pattern(wildcard, "ab")],
        [Pattern(wildcard, "a\nwildcard False 1\nb")],
        [Pattern(wildcard, "\ud800")],
    ]
    assert len({key_of(patterns) for patterns in different}) == len(different)


@pytest.mark.parametrize(
    ("place", "name", "value"),
    [
        (database_cache, "library_version", lambda: "0.9.99"),
        (database_cache, "processor_features", lambda: {"none"}),
        (database_cache, "source_digest", lambda package: "another"),
        (database_cache, "FORMAT", "another"),
    ],
)
def test_another_version_or_processor_is_another_key(
    monkeypatch: pytest.MonkeyPatch, place: object, name: str, value: object
) -> None:
    before = key_of(PATTERNS)
    database_cache.origin.cache_clear()
    with monkeypatch.context() as patched:
        patched.setattr(place, name, value)
        assert key_of(PATTERNS) != before
    database_cache.origin.cache_clear()
    assert key_of(PATTERNS) == before


# --- damage -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:-1],
        lambda content: content[: len(content) // 2],
        lambda content: content + b"\x00",
        lambda content: b"X" + content[1:],
        lambda content: content[:60] + bytes([content[60] ^ 1]) + content[61:],
        lambda content: content[:-100] + bytes([content[-100] ^ 128]) + content[-99:],
        lambda content: os.urandom(len(content)),
    ],
)
def test_a_damaged_file_is_told_of_once_and_replaced(
    folder: Path, compiled_anew: Callable[..., bool], damage: Callable[[bytes], bytes]
) -> None:
    compiled_anew()
    (file,) = files(folder)
    file.write_bytes(damage(file.read_bytes()))
    logger = RecordingLogger()
    assert compiled_anew(logger)
    assert len(problems(logger)) == 1
    assert files(folder) == [file]
    assert not compiled_anew()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_no_flipped_bit_goes_unnoticed(folder: Path, data: st.DataObject) -> None:
    kept = DatabaseCache()
    kept.keep("key", b"content" * 10)
    (file,) = files(folder)
    content = bytearray(file.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= 1 << data.draw(st.integers(0, 7))
    file.write_bytes(content)
    assert kept.find("key") is None
    assert files(folder) == []


def test_the_file_of_another_key_is_not_taken(folder: Path) -> None:
    kept = DatabaseCache()
    kept.keep("one", b"content")
    (file,) = files(folder)
    file.rename(file.with_name(file.name.replace("one", "two")))
    assert kept.find("two") is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93\x01\x90\xc4\x00",  # no patterns
        b"\x93\x01\x99\x00\x00\x00\x00\x00\x00\x00\x00\x05\xc4\x00",  # a number beyond
        b"\x93\x01\x99" + b"\x00" * 9 + b"\xc4\x04none",
        b"\x80\x04K\x01.",
    ],
)
def test_what_is_whole_but_no_database_is_compiled_again(
    folder: Path, compiled_anew: Callable[..., bool], content: bytes
) -> None:
    compiled_anew()
    key = files(folder)[0].stem
    DatabaseCache().keep(key, content)
    assert compiled_anew()
    assert not compiled_anew()


# --- attacks ------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o755, 0o1777])
def test_a_folder_that_others_can_write_to_or_read_is_not_used(
    folder: Path, compiled_anew: Callable[..., bool], mode: int
) -> None:
    compiled_anew()
    folder.chmod(mode)
    logger = RecordingLogger()
    assert compiled_anew(logger)
    assert len(problems(logger)) == 1
    assert "private" in problems(logger)[0]


def test_a_folder_that_is_a_link_is_not_used(
    folder: Path, compiled_anew: Callable[..., bool]
) -> None:
    compiled_anew()
    elsewhere = folder.with_name("elsewhere")
    folder.rename(elsewhere)
    folder.symlink_to(elsewhere)
    assert compiled_anew()


@AS_ROOT
def test_a_folder_of_somebody_else_is_not_used(
    folder: Path, compiled_anew: Callable[..., bool]
) -> None:
    compiled_anew()
    os.chown(folder, 65534, 65534)
    assert compiled_anew()


@pytest.mark.parametrize("mode", [0o666, 0o660, 0o640, 0o606])
def test_a_file_that_others_can_open_is_not_used(
    folder: Path, compiled_anew: Callable[..., bool], mode: int
) -> None:
    compiled_anew()
    (file,) = files(folder)
    file.chmod(mode)
    logger = RecordingLogger()
    assert compiled_anew(logger)
    assert len(problems(logger)) == 1
    assert file.stat().st_mode & 0o777 == 0o600


@AS_ROOT
def test_a_file_of_somebody_else_is_not_used(
    folder: Path, compiled_anew: Callable[..., bool]
) -> None:
    compiled_anew()
    (file,) = files(folder)
    os.chown(file, 65534, 65534)
    assert compiled_anew()
    assert file.stat().st_uid == os.getuid()


def test_a_file_that_is_a_link_is_not_followed(
    folder: Path, compiled_anew: Callable[..., bool]
) -> None:
    compiled_anew()
    (file,) = files(folder)
    elsewhere = folder.with_name("elsewhere")
    file.rename(elsewhere)
    before = elsewhere.read_bytes()
    file.symlink_to(elsewhere)
    assert compiled_anew()
    assert not file.is_symlink()
    assert elsewhere.read_bytes() == before


def test_a_file_that_another_process_replaces_meanwhile_is_used(
    compiled_anew: Callable[..., bool], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert compiled_anew()
    (file,) = files(folder)
    opened = os.open

    def replacing(path: str | Path, flags: int, mode: int = 0o777) -> int:
        descriptor = opened(path, flags, mode)
        if Path(path) == file:
            copy = file.with_name("copy")
            shutil.copy2(file, copy)
            copy.replace(file)
        return descriptor

    monkeypatch.setattr(os, "open", replacing)
    assert not compiled_anew()


def test_a_file_with_a_second_name_is_not_used(
    folder: Path, compiled_anew: Callable[..., bool]
) -> None:
    compiled_anew()
    (file,) = files(folder)
    os.link(file, folder.with_name("second"))
    assert compiled_anew()


@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_what_is_no_file_is_not_read(
    folder: Path, compiled_anew: Callable[..., bool], kind: str
) -> None:
    compiled_anew()
    (file,) = files(folder)
    file.unlink()
    if kind == "pipe":
        os.mkfifo(file, 0o600)
    else:
        file.mkdir()
    assert compiled_anew()


# --- room ---------------------------------------------------------------------------------


def test_what_was_not_used_for_longest_makes_room(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_cache, "MAX_BYTES", 10_000)
    kept = DatabaseCache()
    for number in range(30):
        kept.keep(f"{number}", bytes(900))
        if number >= 5:
            assert kept.find("5") is not None
            os.utime(folder / "5.database")
        for place, file in enumerate(sorted(files(folder), key=lambda file: file.stat().st_mtime)):
            os.utime(file, (time.time() - 1_000 + place, time.time() - 1_000 + place))
    assert sum(file.stat().st_size for file in files(folder)) <= 10_000
    assert kept.find("29") is not None
    assert kept.find("5") is not None
    assert kept.find("6") is None


def test_what_was_used_is_young_again(folder: Path) -> None:
    kept = DatabaseCache()
    kept.keep("old", b"content")
    (file,) = files(folder)
    os.utime(file, (1_000, 1_000))
    assert kept.find("old") == b"content"
    assert file.stat().st_mtime > time.time() - 60


def test_a_large_database_is_not_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_cache, "MAX_FILE_BYTES", 1_000)
    kept = DatabaseCache()
    kept.keep("large", bytes(1_000))
    assert files(folder) == []


def test_what_nobody_finished_goes_in_time(folder: Path) -> None:
    kept = DatabaseCache()
    kept.keep("one", b"content")
    old, new = folder / ".unfinished-old", folder / ".unfinished-new"
    for file in (old, new):
        file.write_bytes(b"half")
    os.utime(old, (1_000, 1_000))
    kept.keep("two", b"content")
    assert not old.exists()
    assert new.exists()


def test_a_full_disk_does_no_harm(
    folder: Path, compiled_anew: Callable[..., bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    logger = RecordingLogger()
    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", full)
        assert compiled_anew(logger)
    assert len(problems(logger)) == 1
    assert "No space left" in problems(logger)[0]
    assert files(folder) == []


def test_an_unreadable_file_does_no_harm(
    folder: Path, compiled_anew: Callable[..., bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled_anew()

    def failing(*arguments: object) -> int:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr("kestrel_hyperscan.database_cache.os.open", failing)
        assert compiled_anew(RecordingLogger())


def test_without_a_logger_the_log_of_the_process_is_told(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder.parent.mkdir()
    folder.touch()
    engine = HyperscanEngine(cache=True)
    for _ in range(3):
        engine.compile(PATTERNS)
    (record,) = caplog.records
    assert "private" in record.getMessage()


# --- several at once ----------------------------------------------------------------------

WRITER = """
import sys
from kestrel_hyperscan.database_cache import DatabaseCache

kept = DatabaseCache()
for number in range(150):
    for key in "abc":
        content = key.encode() * 20_000
        kept.keep(key, content)
        assert kept.find(key) in (content, None)
        if number % 10 == int(sys.argv[1]):
            kept.reject(key, "because")
"""


def test_several_processes_write_one_folder(folder: Path) -> None:
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(number)], stderr=subprocess.PIPE, text=True
        )
        for number in range(4)
    ]
    told = [writer.communicate(timeout=120)[1] for writer in writers]
    assert [writer.returncode for writer in writers] == [0] * len(writers), told
    assert [errors.count("because") for errors in told] == [1] * len(writers), (
        "nothing was damaged, so nothing else was told",
        told,
    )
    assert {file.name for file in files(folder)} <= {"a.database", "b.database", "c.database"}


def test_several_threads_compile_the_same(folder: Path) -> None:
    failed: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(10):
                compiled = HyperscanEngine(cache=True).compile(PATTERNS)
                assert compiled.database.matches("a") == [0]
        except BaseException as error:  # noqa: BLE001 - whatever it is, the test fails
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert len(files(folder)) == 1
