"""Where Vectorscan does not work: one clear error, and nothing else is hurt."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

from kestrel_framework.errors import PluginError
from kestrel_framework.interfaces import Pattern, PatternKind
from kestrel_framework.testing import make_context
from kestrel_hyperscan import HyperscanConfig, HyperscanEngine, database_cache, library
from kestrel_hyperscan.literal_scanner import LiteralScanner, compile_literals
from kestrel_hyperscan.literals import Literal

PATTERNS = [Pattern(PatternKind.WILDCARD, f"*{word}*") for word in "abcdefgh"]


@pytest.fixture
def processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file that describes another processor."""
    path = tmp_path / "cpuinfo"
    monkeypatch.setattr(library, "_PROCESSOR", path)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    library.processor_features.cache_clear()
    yield path
    library.processor_features.cache_clear()


def test_without_the_package_compiling_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hyperscan", None)
    for patterns in (PATTERNS, PATTERNS[:1], []):
        with pytest.raises(PluginError, match="pip install hyperscan") as raised:
            HyperscanEngine().compile(patterns)
        assert raised.value.plugin == "hyperscan"
        assert "native" in str(raised.value)


def test_an_engine_can_be_made_where_the_package_is_not_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def not_installed(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(metadata, "version", not_installed)
    monkeypatch.setitem(sys.modules, "hyperscan", None)
    database_cache.origin.cache_clear()
    engine = HyperscanEngine.from_config(HyperscanConfig(), make_context())
    database_cache.origin.cache_clear()
    with pytest.raises(PluginError, match="pip install hyperscan"):
        engine.compile(PATTERNS)


def test_the_plugin_can_be_imported_without_the_package() -> None:
    code = (
        "import sys; sys.modules['hyperscan'] = None; import kestrel_hyperscan.plugin as plugin; "
        "print(*plugin.kestrel_pattern_engines())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "hyperscan\n"


def test_an_old_processor_is_refused_before_it_meets_an_unknown_instruction(
    processor: Path,
) -> None:
    processor.write_text("processor : 0\nflags\t\t: fpu cx16 ssse3 sse4_1\n\n", encoding="ascii")
    with pytest.raises(PluginError, match="lacks popcnt, sse4_2"):
        HyperscanEngine().compile(PATTERNS)


@pytest.mark.parametrize("content", [None, "", "model name : unknown\n", "\xff\x00"])
def test_an_unknown_processor_is_given_a_chance(processor: Path, content: str | None) -> None:
    if content is not None:
        processor.write_text(content, encoding="latin-1")
    assert HyperscanEngine().compile(PATTERNS).database.matches("a") == [0]


def test_a_processor_of_another_kind_needs_nothing_of_x86(
    processor: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    processor.write_text("Features : fp asimd\n", encoding="ascii")
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert HyperscanEngine().compile(PATTERNS).database.matches("a") == [0]


@pytest.mark.parametrize("content", [b"", b"x", b"\xdb\xdb\xdb\xdb" + bytes(60)])
def test_what_is_no_database_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="cannot use this database"):
        LiteralScanner(content)


def test_a_literal_that_is_overlooked_is_found_out() -> None:
    literals = [Literal(b"one"), Literal(b"two", fold=True), Literal(b"\xff\x00")]
    scanner = LiteralScanner(compile_literals(literals))
    assert scanner.overlooked(literals) == frozenset()
    assert scanner.overlooked([literals[0], Literal(b"three"), literals[2]]) == {1}
