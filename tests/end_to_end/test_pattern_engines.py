"""Whatever engine finds the patterns: the same alerts."""

from __future__ import annotations

import gzip
import os
import pickle
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest

from kestrel_eql import EqlCompiler
from kestrel_framework import Detector, EventBatch, load_rules
from kestrel_framework.interfaces import CompiledPatterns, Pattern, PatternKind
from kestrel_framework.rule import RuleSet
from kestrel_framework.values import compile_regex, compile_wildcard
from kestrel_hyperscan import HyperscanEngine

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
CORPUS = os.environ.get("KESTREL_CORPUS")
needs_corpus = pytest.mark.skipif(CORPUS is None, reason="KESTREL_CORPUS names no folder")


@pytest.mark.parametrize("cache", ["true", "false"])
def test_the_program_writes_the_same_bytes(kestrel: Any, tmp_path: Path, cache: str) -> None:
    kestrel.environment["XDG_CACHE_HOME"] = str(tmp_path / "cache")
    options = (
        *("run", "--rules", EXAMPLES / "rules", "--format", "json"),
        *("--input", EXAMPLES / "captures/rehearsal.ndjson.gz"),
    )
    hyperscan = (
        *("--set", "engine.pattern_engine=hyperscan"),
        *("--set", f"pattern_engines.hyperscan.cache={cache}"),
    )
    native = kestrel(*options)
    first = kestrel(*options, *hyperscan)
    second = kestrel(*options, *hyperscan)
    assert [run.code for run in (native, first, second)] == [0, 0, 0]
    assert len(native.objects) > 5
    for run in (first, second):
        assert without_time_of_detection(run) == without_time_of_detection(native)
    assert (tmp_path / "cache/kestrel-hyperscan").is_dir() is (cache == "true")


def without_time_of_detection(run: Any) -> list[dict[str, Any]]:
    alerts: list[dict[str, Any]] = run.objects
    return [{**alert, "event": {**alert["event"], "created": None}} for alert in alerts]


@needs_corpus
@pytest.mark.slow
def test_all_public_rules_say_the_same_of_all_recorded_events() -> None:
    rules = public_rules()
    checked = CheckedEngine()
    native, hyperscan = Detector(rules), Detector(rules, pattern_engine=HyperscanEngine())
    watched = Detector(rules, pattern_engine=checked)
    lines = recorded_lines()
    alerts = 0
    for start in range(0, len(lines), 1_000):
        if start == 30_000:
            hyperscan = pickle.loads(pickle.dumps(hyperscan))
        batch = EventBatch(payloads=lines[start : start + 1_000])
        expected = native.feed(batch)
        assert hyperscan.feed(batch) == expected
        assert watched.feed(batch) == expected
        alerts += len(expected)
    assert alerts > 100
    assert checked.patterns > 5_000
    assert checked.answers > 20_000
    assert hyperscan.snapshot() == native.snapshot()


class CheckedEngine:
    """Asks `hyperscan`, and each pattern by itself."""

    def __init__(self) -> None:
        self.patterns = 0
        self.answers = 0

    def compile(self, patterns: Sequence[Pattern]) -> CompiledPatterns:
        compiled = HyperscanEngine().compile(patterns)
        tests = {
            place: single_test(pattern)
            for place, pattern in enumerate(patterns)
            if place not in compiled.refused
        }
        self.patterns += len(tests)
        return CompiledPatterns(CheckedDatabase(self, compiled, tests), compiled.refused)


@attrs.frozen
class CheckedDatabase:
    """A database of `hyperscan`, and the tests of its patterns."""

    engine: CheckedEngine
    compiled: CompiledPatterns
    tests: Mapping[int, Callable[[str], bool]]

    def matches(self, text: str) -> Sequence[int]:
        found = self.compiled.database.matches(text)
        assert sorted(found) == [place for place, test in self.tests.items() if test(text)], text
        self.engine.answers += 1
        return found


def single_test(pattern: Pattern) -> Callable[[str], bool]:
    if pattern.kind is PatternKind.WILDCARD:
        return compile_wildcard(pattern.text)
    return compile_regex(pattern.text, fold=pattern.fold)


def public_rules() -> RuleSet:
    folder = Path(CORPUS or "") / "rules"
    names = ("elastic-detection.tar.gz", "elastic-protections.tar.gz")
    report = load_rules(*(folder / name for name in names), compilers=[EqlCompiler()])
    assert len(report.rule_set.rules) > 1_000
    return report.rule_set


def recorded_lines() -> list[bytes]:
    path = Path(CORPUS or "") / "windows/mordor_60k.ndjson.gz"
    return gzip.decompress(path.read_bytes()).splitlines()
