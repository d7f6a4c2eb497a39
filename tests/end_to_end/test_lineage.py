"""Rules that ask for the lineage of processes, from an EQL file to an alert."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Write = Callable[[str, str], Path]

OFFICE = [
    # time, category, name, entity id, that of the parent
    (0, "process", "explorer", "explorer", "init"),
    (1, "process", "writer", "office", "explorer"),
    (2, "process", "launcher", "launcher", "office"),
    (3, "process", "sh", "evil shell", "launcher"),
    (4, "process", "sh", "good shell", "explorer"),
    (5, "network", "curl", "curl", "evil shell"),
    (6, "network", "curl", "other curl", "good shell"),
    (7, "file", "sh", "evil shell", None),
    (8, "process", "id", "id", "curl"),
]


def document(seconds: int, category: str, name: str, process: str, parent: str | None) -> str:
    return json.dumps(
        {
            "@timestamp": f"2026-01-01T00:00:{seconds:02}Z",
            "event": {"category": category},
            "process": {"name": name, "entity_id": process}
            | ({"parent": {"entity_id": parent}} if parent else {}),
        }
    )


@pytest.fixture
def office(write: Write) -> Path:
    return write("office.ndjson", "\n".join(document(*event) for event in OFFICE))


WRITER = '[process where process.name == "writer"]'
QUERIES = [
    (f'process where process.name == "sh" and descendant of {WRITER}', [[3]]),
    (f'process where process.name == "sh" and not descendant of {WRITER}', [[4]]),
    (f"any where child of {WRITER}", [[2]]),
    (f"any where event of {WRITER}", [[1]]),
    (f'any where descendant of [process where process.name == "sh" and descendant of {WRITER}]',
     [[5], [8]]),
    ('any where child of [network where process.name == "curl"]', [[8]]),
    (f'sequence [network where descendant of {WRITER}] [file where descendant of {WRITER}]',
     [[5, 7]]),
    (f'sequence [network where process.entity_id == "curl"] as event0 [any where '
     f'process.parent.entity_id == event0.process.entity_id and descendant of {WRITER}]',
     [[5, 8]]),
]  # fmt: skip


@pytest.mark.parametrize(("query", "expected"), QUERIES, ids=range(len(QUERIES)))
def test_a_run_and_a_search_find_the_same(
    kestrel: Any, write: Write, office: Path, query: str, expected: list[list[int]]
) -> None:
    rule = write("rule.eql", query)
    for size in (1, 1000):
        options = ("--set", f"engine.batch_size={size}", "--format", "json")
        run = kestrel("run", "--rules", rule, "--input", office, *options)
        assert run.code == 0, run.err
        found = [
            [int(str(one["@timestamp"])[17:19]) for one in alert["kestrel"]["evidence"]]
            for alert in run.objects
        ]
        assert found == expected
    searched = kestrel("query", query, "--input", office, "--format", "json")
    assert searched.code == 0, searched.err
    assert [
        [int(str(one["@timestamp"])[17:19]) for one in result["events"]]
        for result in searched.objects
    ] == expected


def test_what_was_forgotten_and_what_was_missing_is_told(
    kestrel: Any, write: Write, office: Path, tmp_path: Path
) -> None:
    rule = write("rule.eql", f'any where process.name == "sh" and descendant of {WRITER}')
    nobody = '{"@timestamp": "2026-01-01T00:01:00Z", "process": {"name": "sh"}}'
    input_file = write("all.ndjson", office.read_text("utf-8") + "\n" + nobody)
    done = kestrel(
        "run", "--rules", rule, "--input", input_file, "--stats", "stats.json",
        "--set", "engine.lineage_processes=2",
    )  # fmt: skip
    assert done.code == 0
    assert "warning: 7 processes evicted (3 that rules ask about)" in done.err
    assert "the event has no `process.entity_id`" in done.err
    statistics = json.loads((tmp_path / "stats.json").read_text("utf-8"))
    assert statistics["processes"] == {
        "live": 2,
        "evicted": {"marked": 3, "unmarked": 4},
        "long_ids": 0,
        "cut_walks": 0,
    }
    assert statistics["errors_by_cause"] == {"no_process_id": 1}


def test_a_limit_below_one_is_refused(kestrel: Any, write: Write, office: Path) -> None:
    rule = write("rule.eql", "any where true")
    setting = ("--set", "engine.lineage_processes=0")
    done = kestrel("run", "--rules", rule, "--input", office, *setting)
    assert done.code == 2
    assert "lineage_processes" in done.err
