"""Compiled rules that are kept: equal to compiled ones, and harmless when anything is wrong."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kestrel_eql import EqlCompiler, EqlConfig, compile_cache
from kestrel_eql.parser import parse_into
from kestrel_framework.errors import RuleError, SourceLocation
from kestrel_framework.interfaces import RuleFile
from kestrel_framework.rule import Rule, RuleMetadata, RuleSource
from kestrel_framework.rule_loading import iter_rule_files
from kestrel_framework.schema import FieldDefinition, FieldType, SchemaRegistry

CORPUS = os.environ.get("KESTREL_CORPUS", "")
TEXT = """sequence by host.id with maxspan=1m
  [process where process.nmae : ("nc", "x*") and user.id in ("0*")] as first
  [network where first.process.pid == process.pid and destination.port > 1024] with runs=2
"""


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "kestrel-eql" / "rules.sqlite"


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., tuple[Rule, bool]]]:
    """Compile with the cache as a new process would; say whether the rule was found in it."""
    compilers: list[EqlCompiler] = []

    def compile_(
        text: str = TEXT, schema: SchemaRegistry | None = None, **options: str
    ) -> tuple[Rule, bool]:
        parsed: list[str] = []

        def parse_noted(text: str, *arguments: Any) -> object:
            parsed.append(text)
            return parse_into(text, *arguments)

        monkeypatch.setattr("kestrel_eql.compiler.parse_into", parse_noted)
        eql = EqlCompiler(cache=True)
        compilers.append(eql)
        rule = eql.compile(source(text, options), schema or SchemaRegistry.ecs())
        return rule, not parsed

    yield compile_
    for eql in compilers:
        assert eql._kept is not None
        eql._kept.close()


def source(
    text: str, options: Mapping[str, str] | None = None, path: str = "rule.eql", line: int = 1
) -> RuleSource:
    location = SourceLocation(path, line, 1)
    return RuleSource(RuleMetadata(path), "eql", text, location, options or {})


def fresh(text: str = TEXT, schema: SchemaRegistry | None = None, **options: str) -> Rule:
    return EqlCompiler().compile(source(text, options), schema or SchemaRegistry.ecs())


def described(rule: Rule) -> tuple[object, ...]:
    warnings = [
        (str(warning), warning.severity, warning.location, dict(warning.context))
        for warning in rule.warnings
    ]
    return rule, rule.semantic_hash, rule.fields, warnings


# --- what is found ------------------------------------------------------------------


def test_a_second_process_finds_what_the_first_kept(
    compiled: Callable[..., tuple[Rule, bool]], file: Path
) -> None:
    first, first_found = compiled()
    second, second_found = compiled()
    assert (first_found, second_found) == (False, True)
    assert described(first) == described(second) == described(fresh())
    assert len(second.warnings) == 2
    assert file.stat().st_mode & 0o777 == 0o600


def test_places_are_those_of_the_file_at_hand(compiled: Callable[..., tuple[Rule, bool]]) -> None:
    compiled()
    eql = EqlCompiler(cache=True)
    moved = source(TEXT, path="other.toml", line=40)
    rule = eql.compile(moved, SchemaRegistry.ecs())
    assert described(rule) == described(EqlCompiler().compile(moved, SchemaRegistry.ecs()))
    assert str(rule.warnings[0]).startswith("other.toml:41:18: unknown field `process.nmae`")


@pytest.mark.parametrize(
    "options", [{"dialect": "endgame"}, {"case": "insensitive"}, {"case": "sensitive"}]
)
def test_options_count(compiled: Callable[..., tuple[Rule, bool]], options: dict[str, str]) -> None:
    text = 'process where process.name == "X" and not user.id == "1"'
    compiled(text)
    rule, found = compiled(text, None, **options)
    assert described(rule) == described(fresh(text, None, **options))
    assert found == (options == {"case": "sensitive"})  # as it is without it


def test_the_schema_counts(compiled: Callable[..., tuple[Rule, bool]]) -> None:
    text = "any where a == 1"
    number = SchemaRegistry().extended([FieldDefinition("a", FieldType.LONG)])
    keyword = SchemaRegistry().extended([FieldDefinition("a", FieldType.KEYWORD)])
    for schema in (SchemaRegistry(), number, keyword):
        rule, found = compiled(text, schema)
        assert not found
        assert rule == fresh(text, schema)
        assert compiled(text, schema) == (rule, True)


def test_the_source_of_the_compiler_counts(
    compiled: Callable[..., tuple[Rule, bool]], monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled()
    monkeypatch.setattr(compile_cache, "_origin", lambda: "another version")
    assert compiled()[1] is False


def test_errors_are_told_every_time(compiled: Callable[..., tuple[Rule, bool]]) -> None:
    for _ in range(2):
        with pytest.raises(RuleError, match="unexpected"):
            compiled("any where a ==== 1")
    strict = SchemaRegistry.ecs().extended(strict=True)
    compiled("any where proces.name == 1")
    with pytest.raises(RuleError, match="unknown field"):
        compiled("any where proces.name == 1", strict)


def test_pipes_are_kept(compiled: Callable[..., tuple[Rule, bool]]) -> None:
    text = "any where true | unique a.b, c | filter d == 1 | head 3"
    compiled(text, dialect="endgame")
    rule, found = compiled(text, dialect="endgame")
    assert found
    assert rule == fresh(text, dialect="endgame")
    assert len(rule.pipes) == 3


@pytest.mark.slow
@pytest.mark.skipif(not CORPUS, reason="KESTREL_CORPUS names no folder with rules/*.tar.gz")
def test_public_rules_come_out_the_same() -> None:
    archives = [
        Path(CORPUS) / "rules" / f"elastic-{name}.tar.gz" for name in ("detection", "protections")
    ]
    keeping, finding, schema = (
        EqlCompiler(cache=True),
        EqlCompiler(cache=True),
        SchemaRegistry.ecs(),
    )
    kept = []
    for file in iter_rule_files(archives, (".toml",)):
        for source in keeping.read(file):
            with contextlib.suppress(RuleError, ExceptionGroup):
                kept.append((source, described(keeping.compile(source, schema))))
    assert len(kept) > 1000
    for source, expected in kept:
        assert described(finding.compile(source, schema)) == expected


# --- files ------------------------------------------------------------------------------

TOML = b"""
[metadata]
day = 2026-01-02
numbers = [1, 2.5, true]
[rule]
rule_id = "r"
name = "A rule"
severity = "high"
tags = ["a"]
query = '''
any where true
'''
[[rule.threat]]
tactic = {id = "TA0001", name = "t"}
"""
EQL = b'/*\nid = "e"\ndialect = "endgame"\n*/\n any where true'


@pytest.mark.parametrize(
    ("path", "content"), [("a/b.toml", TOML), ("b.eql", EQL), ("c.eql", b"any where true")]
)
def test_what_was_read_from_a_file_is_found_again(
    path: str, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule_file = RuleFile(path, content)
    expected = list(EqlCompiler().read(rule_file))
    assert list(EqlCompiler(cache=True).read(rule_file)) == expected
    moved = list(EqlCompiler(cache=True).read(RuleFile(f"x/{path}", content)))
    assert moved[0].location.path == f"x/{path}"
    for name in ("read_rule_toml", "read_eql_file"):
        monkeypatch.setattr(f"kestrel_eql.compiler.{name}", lambda file: pytest.fail("read again"))
    found = list(EqlCompiler(cache=True).read(rule_file))
    assert found == expected
    assert found[0].metadata.extra == expected[0].metadata.extra
    assert repr(found) == repr(expected)


@pytest.mark.parametrize(
    "content", [TOML.replace(b"[1,", b"[%d," % 10**30), b"[other]", b"[rule]\nname = 1"]
)
def test_what_cannot_be_kept_is_read_every_time(content: bytes) -> None:
    def read(eql: EqlCompiler) -> object:
        try:
            return list(eql.read(RuleFile("a.toml", content)))
        except ExceptionGroup as errors:
            return str(errors.exceptions)

    outcomes = [read(EqlCompiler(cache=cache)) for cache in (False, True, True)]
    assert outcomes[0] == outcomes[1] == outcomes[2]


# --- when it is used ------------------------------------------------------------------


def test_a_compiler_keeps_nothing_unless_it_is_asked_to(file: Path) -> None:
    fresh()
    assert not file.exists()


def test_a_configured_compiler_keeps_rules_unless_it_is_told_not_to(file: Path) -> None:
    for config, kept in ((EqlConfig(cache=False), False), (EqlConfig(), True)):
        eql = EqlCompiler.from_config(config, None)  # type: ignore[arg-type]
        eql.compile(source(TEXT), SchemaRegistry.ecs())
        assert file.exists() is kept


# --- what is wrong with the file --------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\x00" * 10_000, id="zeros"),
        pytest.param(os.urandom(20_000), id="random"),
        pytest.param(b"SQLite format 3\x00" + os.urandom(8192), id="random after the header"),
        pytest.param(b"\x80\x04K\x01.", id="pickle"),
    ],
)
def test_a_damaged_file_is_replaced(
    compiled: Callable[..., tuple[Rule, bool]], file: Path, content: bytes
) -> None:
    file.parent.mkdir(parents=True, mode=0o700)
    file.write_bytes(content)
    file.chmod(0o600)
    for _ in range(3):
        rule, found = compiled()
        assert described(rule) == described(fresh())
    assert found


def test_a_file_cut_short_is_harmless(
    compiled: Callable[..., tuple[Rule, bool]], file: Path
) -> None:
    for number in range(50):
        compiled(f"any where a{number} : (1, 2, 3)")
    whole = file.read_bytes()
    for size in range(0, len(whole), len(whole) // 12):
        file.write_bytes(whole[:size])
        file.chmod(0o600)
        assert compiled()[0] == fresh()


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_bits_that_flipped_never_change_a_rule(
    compiled: Callable[..., tuple[Rule, bool]], file: Path, data: st.DataObject
) -> None:
    file.unlink(missing_ok=True)
    compiled()
    content = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(1, 20))):
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    file.write_bytes(content)
    assert described(compiled()[0]) == described(fresh())


@pytest.mark.parametrize("column", ["digest", "content", "key"])
def test_an_entry_that_is_not_what_was_kept_is_not_used(
    compiled: Callable[..., tuple[Rule, bool]], file: Path, column: str
) -> None:
    compiled("any where a == 1")
    compiled("any where a == 2")
    with sqlite3.connect(file) as connection:
        (low,), (high,) = connection.execute(f"SELECT {column} FROM entries ORDER BY rowid")
        if column == "key":
            connection.execute("DELETE FROM entries WHERE key = ?", (low,))
            connection.execute("UPDATE entries SET key = ?", (low,))
        else:
            connection.execute(f"UPDATE entries SET {column} = ?", (high,))
    connection.close()
    assert compiled("any where a == 1") == (fresh("any where a == 1"), False)


def test_another_table_is_harmless(compiled: Callable[..., tuple[Rule, bool]], file: Path) -> None:
    file.parent.mkdir(parents=True, mode=0o700)
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE entries (other TEXT)")
    connection.close()
    file.chmod(0o600)
    assert compiled() == (fresh(), False)


# --- whose file it is ---------------------------------------------------------------------


def test_a_link_is_not_followed(
    compiled: Callable[..., tuple[Rule, bool]], file: Path, tmp_path: Path
) -> None:
    compiled()
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")
    assert compiled() == (fresh(), False)
    file.unlink()
    file.symlink_to(tmp_path / "nowhere")
    assert compiled() == (fresh(), False)
    assert not (tmp_path / "nowhere").exists()


def test_a_file_with_two_names_is_not_used(
    compiled: Callable[..., tuple[Rule, bool]], file: Path, tmp_path: Path
) -> None:
    compiled()
    os.link(file, tmp_path / "second")
    assert compiled() == (fresh(), False)


@pytest.mark.parametrize("mode", [0o644, 0o660, 0o666, 0o400])
def test_a_file_with_another_mode_is_not_used(
    compiled: Callable[..., tuple[Rule, bool]], file: Path, mode: int
) -> None:
    compiled()
    file.chmod(mode)
    assert compiled() == (fresh(), False)


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="needs root to chown")
def test_a_file_of_somebody_else_is_not_used(
    compiled: Callable[..., tuple[Rule, bool]], file: Path
) -> None:
    compiled()
    os.chown(file, 65534, 65534)
    assert compiled() == (fresh(), False)


def test_a_folder_that_is_not_private_is_not_used(
    compiled: Callable[..., tuple[Rule, bool]], file: Path
) -> None:
    compiled()
    file.parent.chmod(0o755)
    assert compiled() == (fresh(), False)


def test_something_else_in_the_place_of_the_file_is_harmless(
    compiled: Callable[..., tuple[Rule, bool]], file: Path
) -> None:
    file.mkdir(parents=True)
    file.parent.chmod(0o700)
    assert compiled() == (fresh(), False)


# --- several at once -------------------------------------------------------------------------


def test_a_locked_file_costs_a_moment_once(
    compiled: Callable[..., tuple[Rule, bool]], file: Path
) -> None:
    compiled()
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    eql = EqlCompiler(cache=True)
    begun = time.perf_counter()
    for number in range(20):
        assert eql.compile(source(f"any where a == {number}"), SchemaRegistry())
    assert time.perf_counter() - begun < 2
    connection.close()


def test_processes_share_it(file: Path) -> None:
    program = """
import sys
from kestrel_eql import EqlCompiler
from kestrel_framework.errors import SourceLocation
from kestrel_framework.rule import RuleMetadata, RuleSource
from kestrel_framework.schema import SchemaRegistry

eql = EqlCompiler(cache=True)
for number in range(150):
    text = f"any where a == {(number * 7 + int(sys.argv[1])) % 150} and b in (1, 2)"
    source = RuleSource(RuleMetadata("r"), "eql", text, SourceLocation("r", 1, 1))
    rule = eql.compile(source, SchemaRegistry())
    assert rule == EqlCompiler().compile(source, SchemaRegistry())
"""
    processes = [
        subprocess.Popen([sys.executable, "-c", program, str(number)]) for number in range(3)
    ]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    with sqlite3.connect(file) as connection:
        (count,) = connection.execute("SELECT count(*) FROM entries").fetchone()
        (check,) = connection.execute("PRAGMA integrity_check").fetchone()
    connection.close()
    assert (count, check) == (150, "ok")


def test_threads_share_a_compiler() -> None:
    eql = EqlCompiler(cache=True)
    wrong: list[object] = []

    def work() -> None:
        for number in range(50):
            text = f"any where a == {number}"
            rule = eql.compile(source(text), SchemaRegistry())
            if rule != fresh(text, SchemaRegistry()):
                wrong.append(rule)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_goes_on_without_it() -> None:
    eql = EqlCompiler(cache=True)
    eql.compile(source(TEXT), SchemaRegistry.ecs())
    assert eql._kept is not None
    kept = eql._kept
    assert kept.find(TEXT, eql._settings({}, None), SchemaRegistry.ecs())  # type: ignore[arg-type]
    child = os.fork()
    if child == 0:
        found = kept.find(TEXT, eql._settings({}, None), SchemaRegistry.ecs())  # type: ignore[arg-type]
        os._exit(0 if found is None else 1)
    assert os.waitpid(child, 0)[1] == 0


# --- how large it gets ------------------------------------------------------------------------


def test_the_file_stays_small_and_forgets_what_is_oldest(
    compiled: Callable[..., tuple[Rule, bool]], file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = 100_000
    pragmas = [*compile_cache._PRAGMAS, f"max_page_count = {limit // 4096}"]
    monkeypatch.setattr(compile_cache, "_PRAGMAS", pragmas)
    monkeypatch.setattr(compile_cache, "_week", lambda: 1)
    compiled("any where kept == 1")
    eql = EqlCompiler(cache=True)
    monkeypatch.setattr(compile_cache, "_week", lambda: 2)
    for number in range(300):
        text = f"any where {' or '.join(f'a{number}.b{part} == 1' for part in range(20))}"
        eql.compile(source(text), SchemaRegistry())
        if number % 50 == 0:
            monkeypatch.setattr(compile_cache, "_week", lambda number=number: 2 + number)
            assert compiled("any where kept == 1")[1]
    assert file.stat().st_size <= limit
    assert compiled(text, SchemaRegistry())[1]
    first = f"any where {' or '.join(f'a0.b{part} == 1' for part in range(20))}"
    assert not compiled(first, SchemaRegistry())[1]


def test_a_rule_that_is_too_large_is_not_kept(
    compiled: Callable[..., tuple[Rule, bool]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compile_cache, "MAX_ENTRY_BYTES", 100)
    compiled()
    assert not compiled()[1]


def test_a_full_disk_does_no_harm(
    compiled: Callable[..., tuple[Rule, bool]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compile_cache, "_PRAGMAS", [*compile_cache._PRAGMAS, "max_page_count = 1"])
    text = f"any where {' or '.join(f'a{part} == 1' for part in range(1000))}"
    assert compiled(text, SchemaRegistry()) == (fresh(text, SchemaRegistry()), False)
    assert compiled(text, SchemaRegistry()) == (fresh(text, SchemaRegistry()), False)
