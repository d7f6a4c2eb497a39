"""The test cases of the older dialect, one test each and mode of comparing."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest

from kestrel_framework.event import Document, EventSettings
from kestrel_framework.query import SearchResult
from kestrel_framework.rule import Rule
from kestrel_framework.schema import SchemaRegistry

SETTINGS: Final = EventSettings("timestamp", "filetime", "event_type")


def cases() -> Iterable[Any]:
    folder = os.environ.get("KESTREL_CORPUS")
    if not folder:
        yield pytest.param({}, "sensitive", id="test_queries")
        return
    file = Path(folder, "eql", "endgame", "test_queries.toml")
    for number, case in enumerate(tomllib.loads(file.read_text())["queries"]):
        for mode in ("sensitive", "insensitive"):
            other = "insensitive" if mode == "sensitive" else "sensitive"
            if not case.get(f"case_{other}"):
                yield pytest.param(case, mode, id=f"{number:03}:{mode}")


@cache
def load(file: Path) -> tuple[Document, ...]:
    return tuple(json.loads(file.read_text()))


@pytest.mark.parametrize(("case", "mode"), list(cases()))
def test_case(
    case: Mapping[str, Any],
    mode: str,
    corpus: Path,
    run_search: Callable[..., tuple[Rule, list[SearchResult]]],
) -> None:
    documents = load(corpus / "eql" / "endgame" / "test_data.json")
    options = {"dialect": "endgame", "case": mode}
    _, results = run_search(case["query"], documents, SchemaRegistry(), SETTINGS, None, options)
    found = [event["serial_event_id"] for result in results for event in result.events if event]
    assert found == case["expected_event_ids"]


def test_every_known_failure_is_a_case(
    corpus: Path, known_failures: Mapping[str, Mapping[str, str]]
) -> None:
    assert set(known_failures.get("endgame_eql", {})) <= {case.id for case in cases()}
