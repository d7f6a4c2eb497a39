"""Ways to search for what a case asks: through the library, and through `kestrel query`."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Final

import attrs
from click.testing import CliRunner

from conformance_runner.case_files import Case, CaseMode, Suite
from conformance_runner.data_sets import Events, schema_file
from kestrel_eql import EqlCompiler
from kestrel_framework.cli import kestrel
from kestrel_framework.errors import SourceLocation
from kestrel_framework.event import Document
from kestrel_framework.query import search
from kestrel_framework.rule import Rule, RuleMetadata, RuleSource
from kestrel_framework.schema import SchemaRegistry

MISSING: Final = -1
"""Stands for an event that must be missing among ids."""

_DIALECTS: Final = {Suite.ELASTICSEARCH: "elastic", Suite.ENDGAME: "endgame"}
_SIZES: Final = {Suite.ELASTICSEARCH: 50, Suite.ENDGAME: 1_000_000}
"""How many results a suite asks for where a case does not say."""
_SECONDS: Final = 60


@attrs.frozen
class Answer:
    """What a search found.

    Attributes:
        ids: The ids of the events of all results, one after the other.
        join_keys: The join keys of all results, one after the other, as texts.
    """

    ids: tuple[object, ...]
    join_keys: tuple[str, ...]


def problem_with(answer: Answer, case: Case) -> str:
    """Return what is wrong with an answer to a case; nothing if it is right."""
    if answer.ids not in case.answers:
        right = " or ".join(str(list(ids)) for ids in case.answers)
        return f"found {list(answer.ids)}, expected {right}\n{case.query.strip()}"
    if case.join_keys is not None and answer.join_keys != case.join_keys:
        wanted = list(case.join_keys)
        return f"join keys {list(answer.join_keys)}, expected {wanted}\n{case.query.strip()}"
    return ""


def compiled(case: Case, mode: CaseMode, suite: Suite, schema: SchemaRegistry) -> Rule:
    """Return the query of a case as a rule.

    Raises:
        RuleError: it is wrong; or an `ExceptionGroup` of these.
    """
    options = {"dialect": _DIALECTS[suite]}
    if mode is not CaseMode.OF_THE_DIALECT:
        options["case"] = mode.value
    place = SourceLocation("query", 1, 1)
    source = RuleSource(RuleMetadata("query"), "eql", case.query, place, options)
    return EqlCompiler().compile(source, schema)


def search_library(case: Case, mode: CaseMode, suite: Suite, events: Events) -> Answer:
    """Search with `kestrel_framework.query`."""
    results = search(
        compiled(case, mode, suite, events.schema),
        events.documents,
        settings=events.data_set.settings,
        schema=events.schema,
        size=_SIZES[suite] if case.size is None else case.size,
        max_samples_per_key=case.max_samples_per_key,
    )
    return _answer([(result.events, result.join_keys) for result in results], suite, events)


class QueryCommand:
    """Searches with `kestrel query`, whose events and schema are files of a folder.

    All calls run in one process of their own, so that nothing the command sets up stays here.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[Events, Sequence[str]] = {}
        self._process = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))

    def close(self) -> None:
        self._process.shutdown()

    def search(self, case: Case, mode: CaseMode, suite: Suite, events: Events) -> Answer:
        """Search for what a case asks.

        Raises:
            AssertionError: the command does not end well.
        """
        size = _SIZES[suite] if case.size is None else case.size
        arguments = [
            "query", "--format", "json", "--dialect", _DIALECTS[suite], "--size", str(size),
            "--max-samples-per-key", str(case.max_samples_per_key), *self._inputs(events),
        ]  # fmt: skip
        if mode is not CaseMode.OF_THE_DIALECT:
            arguments.append(f"--case-{mode.value}")
        running = self._process.submit(_run, [*arguments, "--", case.query], self._folder)
        output, problem = running.result(timeout=_SECONDS)
        assert not problem, problem
        lines = [json.loads(line) for line in output.splitlines()]
        return _answer([(line["events"], line["join_keys"]) for line in lines], suite, events)

    def _inputs(self, events: Events) -> Sequence[str]:
        """Return the options that say which events there are, and what their fields are."""
        if events not in self._files:
            settings = events.data_set.settings
            data, schema = (
                self._folder / f"{name}{len(self._files)}.json" for name in ("events", "schema")
            )
            data.write_text(json.dumps(events.documents), "utf-8")
            schema.write_text(json.dumps(schema_file(events.schema)), "utf-8")
            options = [
                "--input", str(data), "--schema", str(schema),
                "--timestamp-field", settings.timestamp_field,
                "--timestamp-unit", settings.timestamp_unit,
                "--category-field", settings.category_field,
            ]  # fmt: skip
            if settings.tiebreaker_field is not None:
                options += ["--tiebreaker-field", settings.tiebreaker_field]
            self._files[events] = options
        return self._files[events]


def _run(arguments: Sequence[str], cache: Path) -> tuple[str, str]:
    """Return what `kestrel` writes to standard output, and what went wrong, if anything did."""
    environment: dict[str, str | None] = {
        name: None for name in os.environ if name.startswith("KESTREL_")
    }
    environment["XDG_CACHE_HOME"] = str(cache)
    result = CliRunner(env=environment).invoke(kestrel, arguments, standalone_mode=False)
    problem = "" if result.exception is None else str(result.exception)
    if not problem and result.return_value != 0:
        problem = f"exit code {result.return_value}: {result.stderr}"
    return result.stdout, problem


def _answer(
    results: Sequence[tuple[Sequence[Document | None], Sequence[object]]],
    suite: Suite,
    events: Events,
) -> Answer:
    id_field = events.data_set.id_field
    found = [
        MISSING if event is None else event[id_field] for shown, _ in results for event in shown
    ]
    keys = [_as_text(part) for _, parts in results for part in parts]
    if suite is Suite.ENDGAME:
        found = [number for number in found if number != MISSING]
    return Answer(tuple(found), tuple(keys))


def _as_text(part: object) -> str:
    """Return a join key as the cases write it."""
    if part is None:
        return "null"
    return str(part).lower() if isinstance(part, bool) else str(part)
