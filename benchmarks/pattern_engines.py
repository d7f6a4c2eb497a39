"""Measure the pattern engines on what the matcher asks them.

`python -m benchmarks.pattern_engines` prints tables, and changes nothing. The questions are
those of the public rules about recorded events: every text that a field had, once.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from statistics import median
from typing import Final

import attrs

from benchmarks.machine import load_average, machine
from benchmarks.rule_sets import loaded
from benchmarks.streams import stream
from kestrel_framework import Detector, EventBatch
from kestrel_framework._builtin.pattern_engine import NativePatternEngine
from kestrel_framework.interfaces import CompiledPatterns, Pattern, PatternDatabase, PatternEngine
from kestrel_hyperscan import HyperscanEngine

ROUNDS: Final = 7
_LEAST_PATTERNS: Final = 100


@attrs.frozen(eq=False)
class Questions:
    """Patterns, and the texts that their database was asked about."""

    patterns: Sequence[Pattern]
    texts: dict[str, None] = attrs.field(factory=dict)


@attrs.frozen
class _Listener:
    """A database that notes what it is asked."""

    questions: Questions
    database: PatternDatabase

    def matches(self, text: str) -> Sequence[int]:
        self.questions.texts[text] = None
        return self.database.matches(text)


class _ListeningEngine:
    """Notes all questions."""

    def __init__(self) -> None:
        self.questions: list[Questions] = []

    def compile(self, patterns: Sequence[Pattern]) -> CompiledPatterns:
        compiled = NativePatternEngine().compile(patterns)
        questions = Questions(list(patterns))
        self.questions.append(questions)
        return attrs.evolve(compiled, database=_Listener(questions, compiled.database))


def all_questions() -> list[Questions]:
    """Return what the matcher asks about the recorded events."""
    listening = _ListeningEngine()
    detector = Detector(loaded().rule_set, pattern_engine=listening)
    lines = stream("windows").first(60_000)
    for start in range(0, len(lines), 1_000):
        detector.feed(EventBatch(payloads=lines[start : start + 1_000]))
    return sorted(listening.questions, key=lambda one: -len(one.patterns))


def seconds_of(work: Callable[[], object]) -> float:
    """Return the CPU seconds that something takes."""
    started = time.process_time()
    work()
    return time.process_time() - started


def microseconds_a_text(database: PatternDatabase, texts: Sequence[str]) -> float:
    """Return the CPU time of a question."""

    def ask() -> None:
        for text in texts:
            database.matches(text)

    return median(seconds_of(ask) for _ in range(ROUNDS)) / len(texts) * 1e6


def main() -> None:
    """Print the tables."""
    questions = all_questions()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        engines: Mapping[str, PatternEngine] = {
            "native": NativePatternEngine(),
            "hyperscan": HyperscanEngine(),
            "hyperscan, kept the first time": HyperscanEngine(cache=True),
            "hyperscan, kept": HyperscanEngine(cache=True),
        }
        print(f"{machine()}; load average {load_average():.1f}; CPU time, median of {ROUNDS}")
        print(f"\n| {sum(len(one.patterns) for one in questions)} patterns | seconds to compile |")
        print("|---|---:|")
        for name, engine in engines.items():
            seconds = seconds_of(partial(compile_all, engine, questions))
            print(f"| {name} | {seconds:.2f} |")
    print("\n| patterns | texts | characters a text | native, µs | hyperscan, µs |")
    print("|---:|---:|---:|---:|---:|")
    for one in questions:
        texts = list(one.texts)
        if len(one.patterns) >= _LEAST_PATTERNS and len(texts) >= _LEAST_PATTERNS:
            figures = [
                microseconds_a_text(engines[name].compile(one.patterns).database, texts)
                for name in ("native", "hyperscan")
            ]
            length = sum(map(len, texts)) / len(texts)
            print(
                f"| {len(one.patterns)} | {len(texts)} | {length:.0f} "
                f"| {figures[0]:.1f} | {figures[1]:.1f} |"
            )


def compile_all(engine: PatternEngine, questions: Sequence[Questions]) -> None:
    """Compile the patterns of all fields."""
    for one in questions:
        engine.compile(one.patterns)


if __name__ == "__main__":
    main()
