"""`kestrel explain`: why rules find something, or nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kestrel_framework.cli import explain

Write = Callable[[str, str], Path]

PROCESS = {"@timestamp": "2026-11-23T10:00:00Z", "event": {"category": "process"}}


@pytest.fixture
def rules(write: Write) -> str:
    write("rules/nc.eql", 'process where process.name == "nc"')
    write(
        "rules/two.eql",
        'sequence by host.id [process where process.name == "a"] '
        '[process where process.name == "b"]',
    )
    return "rules"


@pytest.fixture
def events(write: Write) -> str:
    names = ["nc", "a", "\x1b[2Jls\n"]
    lines = [json.dumps({**PROCESS, "process": {"name": n}, "host": {"id": 1}}) for n in names]
    write("events.ndjson", "\n".join(lines))
    return "events.ndjson"


def objects(kestrel: Any, *arguments: str) -> list[dict[str, Any]]:
    outcome = kestrel("explain", "--format", "json", *arguments)
    assert outcome.code == 0, outcome.err
    found: list[dict[str, Any]] = outcome.objects
    return found


def test_each_rule_has_an_object_then_what_is_shown_of_it(
    kestrel: Any, rules: str, events: str
) -> None:
    found = objects(kestrel, "--rules", rules, "--input", events, "--most", "1")
    assert [(one["rule_id"], one["kind"]) for one in found] == [
        ("nc", "event"), ("nc", "event"), ("nc", "event"), ("two", "sequence"), ("two", "sequence"),
    ]  # fmt: skip
    assert found[0] | {"matching": 1, "events_of_type": 3} == found[0]
    assert [(one["event"], one["holds"]) for one in found[1:3]] == [(0, True), (1, False)]
    assert found[2]["condition"] == {
        "condition": 'process.name == "nc"',
        "holds": False,
        "values": {"process.name": ["a"]},
    }
    assert found[3]["partial_matches"] == 1
    assert (found[4]["join_keys"], found[4]["waits_for"], found[4]["closed"]) == (["1"], 2, None)


def test_one_rule_can_be_asked_for(kestrel: Any, rules: str, events: str) -> None:
    found = objects(kestrel, "--rules", rules, "--rule", "two", "--input", events)
    assert {one["rule_id"] for one in found} == {"two"}


def test_a_rule_that_is_not_there_is_not_fine(kestrel: Any, rules: str, events: str) -> None:
    outcome = kestrel("explain", "--rules", rules, "--rule", "three", "--input", events)
    assert outcome.code == 1
    assert "there is no rule `three` in rules" in outcome.err
    assert outcome.out == ""


def test_without_rules_there_is_nothing_to_explain(kestrel: Any, events: str) -> None:
    outcome = kestrel("explain", "--input", events)
    assert outcome.code == 2
    assert "--rules PATH" in outcome.err


def test_a_file_that_is_not_there_is_an_input_that_failed(kestrel: Any, rules: str) -> None:
    assert kestrel("explain", "--rules", rules, "--input", "gone.ndjson").code == 3


def test_what_events_say_cannot_reach_the_terminal(kestrel: Any, rules: str, events: str) -> None:
    outcome = kestrel("explain", "--rules", rules, "--input", events, "--most", "9")
    assert outcome.code == 0
    assert "\x1b" not in outcome.out
    assert "event 3 does not" in outcome.out


def test_too_much_at_once_is_refused(
    kestrel: Any, rules: str, events: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explain, "_MOST_PAIRS", 5)  # a call is forked from this process
    outcome = kestrel("explain", "--rules", rules, "--input", events)
    assert outcome.code == 2
    assert "--rule ID" in outcome.err
    assert objects(kestrel, "--rules", rules, "--rule", "nc", "--input", events)
