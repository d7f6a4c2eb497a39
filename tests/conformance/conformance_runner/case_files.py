"""Files of test cases: a query, and the events that it must find."""

from __future__ import annotations

import enum
import hashlib
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import attrs

Table = Mapping[str, object]


class Suite(enum.Enum):
    """Whose cases a file has: they differ in dialect, events and keys."""

    ELASTICSEARCH = "elasticsearch"
    ENDGAME = "endgame"


class CaseMode(enum.Enum):
    """How letters are compared."""

    OF_THE_DIALECT = ""
    SENSITIVE = "sensitive"
    INSENSITIVE = "insensitive"


_REMARKS: Final = ("name", "note", "description", "tags")
_KEYS: Final[Mapping[Suite, frozenset[str]]] = {
    Suite.ELASTICSEARCH: frozenset(
        {*_REMARKS, "query", "expected_event_ids", "join_keys", "size", "max_samples_per_key"}
    ),
    Suite.ENDGAME: frozenset(
        {*_REMARKS, "query", "expected_event_ids", "case_sensitive", "case_insensitive"}
    ),
}


@attrs.frozen
class Case:
    """One query, and what it must find.

    Attributes:
        name: What it is called; no other case of the file is called so.
        query: The query.
        modes: In which modes it must hold.
        answers: The ids of the events of all results, one after the other, -1 for an event
            that must be missing; one of these answers is right.
        join_keys: The join keys of all results, one after the other, as texts; `None` where
            the case does not say.
        size: The most results; `None` where the case does not say.
        max_samples_per_key: The most samples with the same join keys.
        problem: Why the case cannot be run; it fails then.
    """

    name: str
    query: str = ""
    modes: tuple[CaseMode, ...] = (CaseMode.OF_THE_DIALECT,)
    answers: tuple[tuple[int, ...], ...] = ()
    join_keys: tuple[str, ...] | None = None
    size: int | None = None
    max_samples_per_key: int = 1
    problem: str = ""


@attrs.frozen
class CaseFile:
    """A file of cases.

    Attributes:
        path: The file.
        label: What to call it: its folder's name and its own.
        suite: Whose cases they are.
        cases: All cases; a file that cannot be read has a single one, which fails.
    """

    path: Path
    label: str
    suite: Suite
    cases: tuple[Case, ...]


@attrs.frozen
class CaseRun:
    """A case, to be searched for in one mode."""

    file: CaseFile
    case: Case
    mode: CaseMode


class _BadCaseError(Exception):
    """A case is not written as its suite's format asks."""


def read_case_file(path: Path) -> CaseFile:
    """Read a file of cases; whatever is wrong with it becomes a case that fails."""
    label = f"{path.resolve().parent.name}/{path.name}"
    try:
        tables = _tables(tomllib.loads(path.read_text("utf-8")))
    except (OSError, ValueError, RecursionError, _BadCaseError) as error:
        suite = suite_of(path, ())
        return CaseFile(path, label, suite, (Case("(the whole file)", problem=str(error)),))
    suite = suite_of(path, tables)
    cases = _with_distinct_names([_case(table, suite) for table in tables])
    return CaseFile(path, label, suite, tuple(cases))


def suite_of(path: Path, tables: Sequence[Table]) -> Suite:
    """Return whose cases a file has.

    Its folder's name says so; or else the data beside it, which Elasticsearch's suites have
    in a folder `data`; or else the cases: those of Elasticsearch have names.
    """
    folder = path.resolve().parent
    for suite in Suite:
        if folder.name == suite.value:
            return suite
    beside = next((folder / "data").glob("*.json"), None) is not None
    if beside != (folder / "test_data.json").is_file():
        return Suite.ELASTICSEARCH if beside else Suite.ENDGAME
    named = sum("name" in table for table in tables)
    return Suite.ELASTICSEARCH if named * 2 > len(tables) else Suite.ENDGAME


def _tables(content: Table) -> Sequence[Table]:
    unknown = sorted(set(content) - {"queries"})
    if unknown:
        raise _BadCaseError(f"unknown key `{unknown[0]}` beside `[[queries]]`")
    tables = content.get("queries")
    if not isinstance(tables, list) or not tables:
        raise _BadCaseError("the file has no `[[queries]]`")
    if not all(isinstance(table, dict) for table in tables):
        raise _BadCaseError("`queries` is not a list of tables")
    return tables


def _case(table: Table, suite: Suite) -> Case:
    name = table.get("name")
    query = table.get("query")
    if not isinstance(name, str) or not name:
        name = hashlib.sha256(str(query).encode("utf-8", "replace")).hexdigest()[:12]
    try:
        unknown = sorted(set(table) - _KEYS[suite])
        if unknown:
            raise _BadCaseError(f"unknown key `{unknown[0]}` in a case of {suite.value}")
        if not isinstance(query, str):
            raise _BadCaseError("`query` is not a text")
        return Case(
            name,
            query,
            _modes(table) if suite is Suite.ENDGAME else (CaseMode.OF_THE_DIALECT,),
            _answers(table.get("expected_event_ids")),
            _join_keys(table.get("join_keys")),
            _count(table, "size", 0),
            _count(table, "max_samples_per_key", 1) or 1,
        )
    except _BadCaseError as error:
        return Case(name, problem=str(error))


def _modes(table: Table) -> tuple[CaseMode, ...]:
    """Return the modes a case names, or both where it names none."""
    named = []
    for mode in (CaseMode.SENSITIVE, CaseMode.INSENSITIVE):
        flag = table.get(f"case_{mode.value}", False)
        if not isinstance(flag, bool):
            raise _BadCaseError(f"`case_{mode.value}` is not true or false")
        if flag:
            named.append(mode)
    return tuple(named) or (CaseMode.SENSITIVE, CaseMode.INSENSITIVE)


def _answers(value: object) -> tuple[tuple[int, ...], ...]:
    """Return the right answers: a list of ids is the only one, a list of lists has several."""
    if not isinstance(value, list):
        raise _BadCaseError("`expected_event_ids` is not a list")
    several = bool(value) and all(isinstance(item, list) for item in value)
    answers = value if several else [value]
    if not all(type(number) is int for answer in answers for number in answer):
        raise _BadCaseError("`expected_event_ids` has something else than whole numbers")
    return tuple(map(tuple, answers))


def _join_keys(value: object) -> tuple[str, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(key, str) for key in value):
        raise _BadCaseError("`join_keys` is not a list of texts")
    return tuple(value)


def _count(table: Table, key: str, least: int) -> int | None:
    value = table.get(key)
    if value is None:
        return None
    if type(value) is not int or value < least:
        raise _BadCaseError(f"`{key}` is not a whole number from {least}")
    return value


def _with_distinct_names(cases: Sequence[Case]) -> list[Case]:
    seen: Counter[str] = Counter()
    distinct = []
    for case in cases:
        seen[case.name] += 1
        number = seen[case.name]
        distinct.append(case if number == 1 else attrs.evolve(case, name=f"{case.name}#{number}"))
    return distinct
