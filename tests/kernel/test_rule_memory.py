"""What stays in memory after rules were loaded: the rules, and nothing of how they were read."""

from __future__ import annotations

import gc
import tracemalloc
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from rule_archives import archive

from kestrel_framework.errors import RuleError, Severity, SourceLocation
from kestrel_framework.interfaces import RuleFile
from kestrel_framework.rule import Rule, RuleMetadata, RuleSource
from kestrel_framework.rule_loading import load_rules
from kestrel_framework.schema import SchemaRegistry


class _Held:
    """Stands for all that is in the frames of a compiler."""


class RefusingCompiler:
    """Refuses every rule while it holds something in its frames."""

    language = "names"
    suffixes: tuple[str, ...] = (".names",)

    def __init__(self, error: Callable[[], Exception]) -> None:
        self.held: weakref.ref[_Held] | None = None
        self._error = error

    def read(self, file: RuleFile) -> Sequence[RuleSource]:
        return [RuleSource(RuleMetadata("r"), "names", file.text(), SourceLocation(file.path))]

    def compile(self, source: RuleSource, schema: SchemaRegistry) -> Rule:
        held = _Held()
        self.held = weakref.ref(held)
        try:
            raise KeyError(source.text)
        except KeyError:
            raise self._error() from None


@pytest.mark.parametrize(
    "error",
    [
        lambda: RuleError("no"),
        lambda: ExceptionGroup("errors", [RuleError("no"), RuleError("never")]),
    ],
    ids=["one", "several"],
)
def test_errors_do_not_keep_what_was_read(tmp_path: Path, error: Callable[[], Exception]) -> None:
    (tmp_path / "a.names").write_text("x")
    compiler = RefusingCompiler(error)
    report = load_rules(tmp_path, compilers=[compiler])
    gc.collect()
    assert report.errors
    assert compiler.held is not None
    assert compiler.held() is None


def test_a_fault_of_a_compiler_keeps_its_frames_for_its_author(tmp_path: Path) -> None:
    (tmp_path / "a.names").write_text("x")
    report = load_rules(tmp_path, compilers=[RefusingCompiler(lambda: ValueError("lost"))])
    (error,) = report.errors
    assert error.severity is Severity.CRITICAL
    assert error.__cause__ is not None
    assert error.__cause__.__traceback__ is not None


@pytest.mark.parametrize("packed", [False, True])
def test_reading_small_files_asks_for_little_memory(tmp_path: Path, packed: bool) -> None:
    (tmp_path / "a.names").write_text("x")
    content = [("a.names", b"x")]
    path = archive(tmp_path / "a.tar.gz", content) if packed else tmp_path / "a.names"
    compiler = RefusingCompiler(lambda: RuleError("no"))
    load_rules(path, compilers=[compiler])
    tracemalloc.start()
    load_rules(path, compilers=[compiler])
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 2**20
