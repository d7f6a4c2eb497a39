"""Any input compiles, or is refused with a place, and quickly; what compiles can be used.

`make slow` runs a hundred thousand inputs. An input that goes wrong is named by its number:
`numbered_input(NUMBER, LONGEST)` makes it again.
"""

from __future__ import annotations

import multiprocessing
import tracemalloc
import warnings
from random import Random

import pytest
from eql_fuzzing.inputs import Outcome, judged
from eql_fuzzing.judge import DIALECTS, SCHEMAS, Judge
from eql_fuzzing.memory import resident_bytes, traced_blocks, unbounded_caches
from eql_fuzzing.queries import (
    BLANKS,
    CATEGORIES,
    COMPARISONS,
    FUNCTIONS,
    MATCHES,
    NAMES,
    NUMBERS,
    PIPES,
    TEXTS,
    QueryWriter,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from kestrel_framework.interfaces import RuleFile

INPUTS = 100_000
PROCESSES = 2
GROWTH = 48 * 1024 * 1024
"""What memory may seem to grow by, since an allocator keeps what is free in pieces."""

dialects = st.sampled_from(DIALECTS)
schemas = st.sampled_from(tuple(SCHEMAS))
words = st.sampled_from(
    (*NAMES, *TEXTS, *NUMBERS, *FUNCTIONS, *COMPARISONS, *MATCHES, *CATEGORIES, *PIPES, *BLANKS,
     "and", "or", "not", "where", "(", ")", "[", "]", ",", "|", "by", "sequence", "any where true")
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.text(), dialects)
def test_any_text(text: str, dialect: str) -> None:
    Judge().text(text, dialect=dialect)


@settings(max_examples=200, deadline=None)
@given(st.lists(words, max_size=25), dialects, schemas)
def test_any_words(several: list[str], dialect: str, schema: str) -> None:
    Judge().text(" ".join(several), dialect=dialect, schema=schema)


@settings(max_examples=200, deadline=None)
@given(st.randoms(use_true_random=False), dialects, schemas)
def test_queries(random: Random, dialect: str, schema: str) -> None:
    Judge().text(QueryWriter(random).query(), dialect=dialect, schema=schema)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.sampled_from(("r.eql", "r.toml")))
def test_any_bytes(content: bytes, path: str) -> None:
    Judge().file(RuleFile(path, content))


def test_rules_that_were_changed() -> None:
    outcome = judged(range(1_200), longest=5_000, thorough_every=4)
    assert outcome.wrong == ()
    assert outcome.compiled > 100, "most inputs say nothing about rules that compile"


@pytest.mark.parametrize(
    "text",
    [
        "any where " + "(" * 10_000 + "true" + ")" * 10_000,
        "any where " + "(" * 10_000,
        "any where " + "not " * 10_000 + "true",
        "any where " + "-" * 10_000 + "1 == 1",
        "any where " + "length(" * 10_000 + "a" + ")" * 10_000 + " == 1",
        "any where a in " + "(" * 10_000 + "1" + ")" * 10_000,
        "sequence " + "[" * 10_000,
        "any where " + "descendant of [any where " * 3_000 + "true" + "]" * 3_000,
        "any where " + "_arraysearch(a, $x, " * 4_000 + "true" + ")" * 4_000,
    ],
    ids=lambda text: text[:24],
)
def test_what_nests_ten_thousand_deep_is_refused(text: str) -> None:
    assert not any(Judge().text(text, dialect=dialect) for dialect in DIALECTS)


MANY_BRACKETS = "any where " + "(" * 60 + "a" + ")" * 60 + " or (((((b)))))"


@pytest.mark.slow
@pytest.mark.parametrize(
    "tail",
    [
        ' == "' + '\\"' * 45_000,
        " == '" + "\\'" * 45_000,
        ' == ?"' + '\\"' * 45_000,
        ' == "' + '"\\' * 45_000,
        ' == """' + '""a' * 30_000,
        " `" + "`" * 90_000,
        " /*" * 30_000,
    ],
    ids=lambda tail: tail[:8],
)
def test_what_is_never_closed_is_told_quickly(tail: str) -> None:
    assert not any(Judge().text(MANY_BRACKETS + tail, dialect=dialect) for dialect in DIALECTS)


LARGEST_FILE = 1024 * 1024 - 100


@pytest.mark.slow
@pytest.mark.parametrize(
    "content",
    [
        '[rule]\nquery = "' + '\\"' * (LARGEST_FILE // 2 - 20),
        '[rule]\nquery = """' + '\\"' * (LARGEST_FILE // 2 - 20),
        '[rule]\nquery = """' + '""a' * (LARGEST_FILE // 3 - 20) + "\\",
        "x = " + "'a" * (LARGEST_FILE // 2 - 20),
        "x = " + "'''a" * (LARGEST_FILE // 4 - 20) + "b",
        '"\n' * (LARGEST_FILE // 2),
        "".join(f"[a{number}]\n" for number in range(50_000)),
        "".join(f"[[threat]]\na{number} = 1\n" for number in range(20_000)),
    ],
    ids=lambda content: content[:24],
)
@pytest.mark.parametrize("path", ["r.toml", "r.eql"])
def test_the_largest_files_are_read_quickly(path: str, content: str) -> None:
    if path == "r.eql":
        content = f"/*\n{content}\n*/\nany where true"
    Judge().file(RuleFile(path, content.encode()))


def test_a_file_that_nests_ten_thousand_deep_is_refused() -> None:
    for opening in ("[", "{ a = ", "a."):
        content = f"[rule]\nx = {opening * 10_000}1\nquery = 'any where true'\n".encode()
        assert not Judge().file(RuleFile("r.toml", content))


@pytest.mark.slow
def test_a_hundred_thousand_inputs() -> None:
    """Nothing goes wrong, and memory does not grow: neither in all nor in caches without end."""
    step = INPUTS // PROCESSES
    parts = [range(begin, begin + step) for begin in range(0, INPUTS, step)]
    with warnings.catch_warnings():
        # Other tests may have left threads; the children have none.
        warnings.simplefilter("ignore", DeprecationWarning)
        with multiprocessing.get_context("fork").Pool(PROCESSES) as pool:
            measured = pool.map(_judged_and_measured, parts, chunksize=1)
    assert [problem for outcome, _ in measured for problem in outcome.wrong] == []
    assert sum(outcome.compiled for outcome, _ in measured) > INPUTS // 10
    assert max(growth for _, growth in measured) < GROWTH


def _judged_and_measured(numbers: range) -> tuple[Outcome, int]:
    """Return how the inputs fared, and how much memory those after the first fifth have taken."""
    warm, rest = numbers[: len(numbers) // 5], numbers[len(numbers) // 5 :]
    first = judged(warm, longest=20_000, thorough_every=10)
    before = resident_bytes()
    second = judged(rest, longest=20_000, thorough_every=10)
    growth = resident_bytes() - before
    outcome = Outcome(first.compiled + second.compiled, (*first.wrong, *second.wrong))
    assert all(size <= 1 for size in unbounded_caches().values()), unbounded_caches()
    return outcome, growth


@pytest.mark.slow
def test_python_keeps_no_object_of_an_input() -> None:
    numbers = range(INPUTS, INPUTS + 1_500)
    judged(numbers, longest=5_000, thorough_every=10)
    tracemalloc.start()
    try:
        judged(numbers[:500], longest=5_000, thorough_every=10)
        before = traced_blocks()
        judged(numbers[500:], longest=5_000, thorough_every=10)
        after = traced_blocks()
    finally:
        tracemalloc.stop()
    assert after - before < 500  # one for every second input
