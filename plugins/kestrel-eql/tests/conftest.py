"""What several tests of EQL need: rules compiled from their text."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kestrel_eql import EqlCompiler
from kestrel_framework.errors import RuleError, SourceLocation
from kestrel_framework.predicate import Predicate
from kestrel_framework.rule import (
    EventRule,
    Program,
    Rule,
    RuleMetadata,
    RuleSource,
    errors_in,
)
from kestrel_framework.schema import SchemaRegistry

sys.path.append(
    str(Path(__file__).parent)
)  # for the package `eql_fuzzing`, wherever this folder is


def compiled(text: str, *, schema: SchemaRegistry | None = None, **options: str) -> Rule:
    location = SourceLocation("rule.eql", 1, 1)
    source = RuleSource(RuleMetadata("test"), "eql", text, location, options)
    return EqlCompiler().compile(source, schema or SchemaRegistry())


def refused(text: str, *, schema: SchemaRegistry | None = None, **options: str) -> list[RuleError]:
    with pytest.raises((RuleError, ExceptionGroup)) as raised:
        compiled(text, schema=schema, **options)
    assert isinstance(raised.value, (RuleError, ExceptionGroup))
    return list(errors_in(raised.value))


@pytest.fixture(name="compiled", scope="session")
def compiled_fixture() -> Callable[..., Rule]:
    """Compile a text: `compiled(text, schema=..., dialect=..., case=...)`."""
    return compiled


@pytest.fixture(name="refused", scope="session")
def refused_fixture() -> Callable[..., list[RuleError]]:
    """Compile a text that is wrong, and return its errors."""
    return refused


@pytest.fixture(scope="session")
def condition() -> Callable[..., Predicate]:
    """Return the predicate of `any where ...`: `condition(text, schema=..., dialect=...)`."""

    def lower(text: str, *, schema: SchemaRegistry | None = None, **options: str) -> Predicate:
        body = compiled(f"any where {text}", schema=schema, **options).body
        assert isinstance(body, EventRule)
        assert not isinstance(body.predicate, Program)
        return body.predicate

    return lower
