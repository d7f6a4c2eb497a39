"""What the conformance tests share: the corpus, searching, and the list of known failures."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import pytest

from kestrel_eql import EqlCompiler
from kestrel_framework.errors import RuleError, SourceLocation
from kestrel_framework.event import Document, EventSettings
from kestrel_framework.query import SearchResult, search
from kestrel_framework.rule import Rule, RuleMetadata, RuleSource
from kestrel_framework.schema import SchemaRegistry

Search = Callable[..., tuple[Rule, list[SearchResult]]]

_KNOWN_FAILURES: Final = Path(__file__).with_name("known_failures.toml")


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Expect the known failures to be refused by the compiler."""
    listed = tomllib.loads(_KNOWN_FAILURES.read_text())
    for item in items:
        if item.path.parent != _KNOWN_FAILURES.parent or not isinstance(item, pytest.Function):
            continue
        known = listed.get(item.path.stem.removeprefix("test_"), {})
        reason = known.get(item.callspec.id) if hasattr(item, "callspec") else None
        if reason is not None:
            item.add_marker(pytest.mark.xfail(strict=True, reason=reason, raises=RuleError))


@pytest.fixture(scope="session")
def known_failures() -> Mapping[str, Mapping[str, str]]:
    return tomllib.loads(_KNOWN_FAILURES.read_text())


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The folder with the cases; without it the test is skipped."""
    folder = os.environ.get("KESTREL_CORPUS")
    if not folder:
        pytest.skip("KESTREL_CORPUS names no folder with the public test cases")
    return Path(folder)


@pytest.fixture(scope="session")
def run_search() -> Search:
    """Compile a query and search documents with it."""
    compiler = EqlCompiler()

    def run(
        query: str,
        documents: Sequence[Document],
        schema: SchemaRegistry,
        settings: EventSettings,
        size: int | None,
        options: Mapping[str, str],
        max_samples_per_key: int = 1,
    ) -> tuple[Rule, list[SearchResult]]:
        place = SourceLocation("query", 1, 1)
        source = RuleSource(RuleMetadata("query"), "eql", query, place, options)
        rule = compiler.compile(source, schema)
        results = search(
            rule,
            documents,
            settings=settings,
            schema=schema,
            size=size,
            max_samples_per_key=max_samples_per_key,
        )
        return rule, results

    return run
