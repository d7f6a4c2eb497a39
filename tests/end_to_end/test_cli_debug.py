"""`kestrel debug matcher`: how rules are indexed, and which way events take."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Write = Callable[[str, str], Path]

OVERVIEW_KEYS = [
    "rules",
    "conditions",
    "clauses",
    "clauses_with_residual",
    "fields",
    "bare_events",
    "dear_clauses",
    "residuals",
    "keys",
]
EVENT_KEYS = [
    "origin",
    "line",
    "decoding",
    "why_slow",
    "keys_learned",
    "clauses",
    "looks",
    "residuals",
    "holds",
]


@pytest.fixture
def rules(write: Write) -> str:
    write("rules/nc.eql", 'process where process.name == "nc" and process.args : ("-e", "*sh")')
    write("rules/users.eql", 'any where not user.name : ("root", "svc-*")')
    write(
        "rules/calls-out.eql",
        "sequence by process.entity_id\n"
        '  [process where event.type == "start" and process.name : "curl*"]\n'
        "  [network where destination.ip != source.ip]\n"
        'until [process where event.type == "end"]',
    )
    write(
        "rules/script.eql",
        'file where file.name : "*.sh" and descendant of [process where process.name == "nginx"]',
    )
    return "rules"


@pytest.fixture
def follow(kestrel: Any, rules: str, write: Write) -> Callable[..., list[dict[str, Any]]]:
    """Follow events, which are texts or objects; return the objects that are printed."""

    def followed(*events: object) -> list[dict[str, Any]]:
        lines = [one if isinstance(one, str) else json.dumps(one) for one in events]
        write("events.ndjson", "\n".join(lines))
        done = kestrel(
            "debug", "matcher", "--rules", rules, "--event", "events.ndjson", "--format", "json"
        )
        assert done.code == 0, done.err
        found: list[dict[str, Any]] = done.objects
        return found

    return followed


def test_the_overview_says_how_rules_are_indexed(kestrel: Any, rules: str) -> None:
    done = kestrel("debug", "matcher", "--rules", rules, "--format", "json")
    assert (done.code, done.err) == (0, "")
    (overview,) = done.objects
    assert list(overview) == OVERVIEW_KEYS
    assert (overview["rules"], overview["clauses_with_residual"]) == (4, 1)
    fields = {one["path"]: one for one in overview["fields"]}
    assert fields["event.category"] == {
        "path": "event.category",
        "clauses": overview["clauses"] - 1,
        "selective": overview["clauses"] - 1,
        "elementary_conditions": {"event type": 3},
    }
    assert fields["process.name"]["elementary_conditions"] == {"exact": 2, "pattern": 1}
    assert fields["user.name"]["selective"] == 0
    assert overview["residuals"] == [
        {"kind": "compares fields with each other", "clauses": 1, "rule_ids": ["calls-out"]}
    ]
    keys = overview["keys"]["objects"]
    assert keys["process"]["read"] == ["args", "entity_id", "name"]
    assert keys["process"]["objects"]["parent"]["read"] == ["entity_id"]
    bare = {one["event_type"]: one for one in overview["bare_events"]}
    assert list(bare) == ["file", "network", "process"]
    assert "file.name" in bare["file"]["fields"]
    assert "file.name" not in bare["network"]["fields"]
    assert bare["network"]["clauses_left"] >= 2


def test_dear_clauses_are_named_with_the_reason_and_what_to_do(kestrel: Any, rules: str) -> None:
    (overview,) = kestrel("debug", "matcher", "--rules", rules, "--format", "json").objects
    dear = overview["dear_clauses"]
    assert [(one["rule_id"], one["parts"], one["event_types"]) for one in dear] == [
        ("calls-out", ["step 2"], ["network"]),
        ("calls-out", ["until"], ["process"]),
        ("users", [], []),
    ]
    assert [one["reason"] for one in dear] == [
        "all it asks for is a residual",
        "it asks for nothing but the kind of event",
        "what it asks of each field is true of most events",
    ]
    assert dear[0]["residual"] == "not destination.ip == source.ip"
    assert dear[2]["conditions"] == ['not user.name like~ ("root", "svc-*")']
    assert "name the type of event instead of `any`" in dear[2]["advice"]
    assert "instead of `any`" not in dear[1]["advice"]


def test_the_text_says_the_same(kestrel: Any, rules: str) -> None:
    done = kestrel("debug", "matcher", "--rules", rules)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("4 rules, 8 conditions, ")
    assert (
        "\nusers: any events\n    what it asks of each field is true of most events\n" in done.out
    )
    assert "\ncalls-out, step 2: network events\n" in done.out
    assert "\nprocess         args, entity_id, name\n" in done.out
    assert done.out == kestrel("debug", "matcher", "--rules", rules).out


def test_an_event_is_followed_to_what_holds(follow: Callable[..., list[dict[str, Any]]]) -> None:
    (event,) = follow(
        {
            "event": {"category": ["process"], "type": ["start"]},
            "process": {"name": "nc", "args": ["nc", "-e", "/bin/sh"]},
        }
    )
    assert list(event) == EVENT_KEYS
    assert (event["origin"], event["line"]) == ("events.ndjson", 1)
    looks = {look["field"]: look for look in event["looks"]}
    assert looks["event.category"]["satisfied"] == ["type of event: process"]
    assert looks["process.name"]["value"] == '"nc"'
    assert looks["process.name"]["satisfied"] == ['process.name == "nc"']
    assert looks["user.name"]["value"] is None
    assert event["looks"][0]["clauses_before"] == event["clauses"]
    for before, after in zip(event["looks"], event["looks"][1:], strict=False):
        assert before["clauses_after"] == after["clauses_before"]
    assert sum(look["rules_ruled_out"] for look in event["looks"]) == 2
    assert [(one["rule_id"], one["part"]) for one in event["holds"]] == [
        ("nc", None),
        ("users", None),
    ]


def test_residuals_come_with_their_verdict(follow: Callable[..., list[dict[str, Any]]]) -> None:
    addresses = [{"ip": "10.0.0.1"}, {"ip": "10.0.0.2"}]
    found = follow(
        *[
            {"event": {"category": "network"}, "source": addresses[0], "destination": destination}
            for destination in addresses
        ]
    )
    assert [event["line"] for event in found] == [1, 2]
    residuals = [residual for event in found for residual in event["residuals"]]
    assert [(one["rule_id"], one["part"], one["holds"]) for one in residuals] == [
        ("calls-out", "step 2", False),
        ("calls-out", "step 2", True),
    ]
    assert residuals[0]["predicate"] == "not destination.ip == source.ip"
    holding = [[(one["rule_id"], one["part"]) for one in event["holds"]] for event in found]
    assert holding == [[("users", None)], [("calls-out", "step 2"), ("users", None)]]


def test_what_others_decide_later_is_said(
    follow: Callable[..., list[dict[str, Any]]], kestrel: Any, rules: str
) -> None:
    (event,) = follow(
        {"event": {"category": "file"}, "file": {"name": "x.sh"}, "user": {"name": "root"}}
    )
    assert event["holds"] == [
        {
            "rule_id": "script",
            "rule_name": "",
            "part": None,
            "decided_later_by": "what other processes did",
        }
    ]
    done = kestrel("debug", "matcher", "--rules", rules, "--event", "events.ndjson")
    assert "\n  may hold: script; what other processes did will decide\n" in done.out


def test_how_an_event_is_decoded_is_said(follow: Callable[..., list[dict[str, Any]]]) -> None:
    event = {"event": {"category": "file"}, "process": {"pid": 1, "name": "a"}}
    first, second, dotted, listed = follow(
        event,
        event,
        {"event.category": "file"},
        {"event": [{"category": "file"}]},
    )
    assert (first["decoding"], first["keys_learned"]) == ("slow once", ["process.pid"])
    assert (second["decoding"], second["keys_learned"], second["why_slow"]) == ("quick", [], None)
    assert dotted["decoding"] == listed["decoding"] == "slow"
    assert "event.category" in dotted["why_slow"]
    assert {look["field"]: look["value"] for look in listed["looks"]}[
        "event.category"
    ] == '["file"]'


def test_hostile_events_cannot_steer_a_terminal(
    follow: Callable[..., list[dict[str, Any]]], kestrel: Any, rules: str
) -> None:
    evil = "\x1b]0;owned\x07\u202e\x9b31m\r\n"
    hostile = {
        "event": {"category": "process", evil: 1},
        "process": {"name": evil * 5000, "args": [[evil] * 5000, {evil: evil}]},
        "user": {"name": [10**300, None, 1e300]},
        f"{evil}.x": 2,
    }
    (event,) = follow(hostile)
    values = {look["field"]: look["value"] for look in event["looks"]}
    assert len(values["process.name"]) <= 1000
    done = kestrel("debug", "matcher", "--rules", rules, "--event", "events.ndjson")
    assert done.code == 0
    assert all(char == "\n" or char.isprintable() for char in done.out + done.err)
    assert max(map(len, done.out.splitlines())) < 1000


def test_deep_and_large_events_are_followed(follow: Callable[..., list[dict[str, Any]]]) -> None:
    names = "[" * 900 + '"x"' + "]" * 900
    deep = f'{{"event":{{"category":"process"}},"process":{{"name":{names}}}}}'
    large = {"event": {"category": "process"}, "process": {"name": "x" * 1_000_000}}
    found = follow(deep, large)
    values = [
        look["value"] for one in found for look in one["looks"] if look["field"] == "process.name"
    ]
    assert len(values) == 2
    assert all(len(str(value)) <= 1000 for value in values)


def test_lines_that_are_no_event_are_reported_and_the_others_followed(
    kestrel: Any, rules: str, write: Write
) -> None:
    write(
        "events.ndjson", '{"user": {"name": "root"}}\n\nnot json\n[1]\n{"user": {"name": "eve"}}\n'
    )
    done = kestrel("debug", "matcher", "--rules", rules, "--event", "events.ndjson")
    assert done.code == 0
    assert "events.ndjson:3: the event is not JSON" in done.err
    assert "events.ndjson:4: the event is a list, not an object" in done.err
    assert [line for line in done.out.splitlines() if line.startswith("events.ndjson")] == [
        "events.ndjson:1",
        "events.ndjson:5",
    ]
    assert "nothing holds" in done.out
    assert "holds: users" in done.out


@pytest.mark.parametrize("content", ["", "\n \n", "not json\n", "[]"])
def test_a_file_without_an_event_is_an_error(
    kestrel: Any, rules: str, write: Write, content: str
) -> None:
    write("events.ndjson", content)
    done = kestrel("debug", "matcher", "--rules", rules, "--event", "events.ndjson")
    assert (done.code, done.out) == (3, "")
    assert "there is no event in it; each is one JSON object" in done.err


def test_a_missing_file_is_an_error(kestrel: Any, rules: str) -> None:
    done = kestrel("debug", "matcher", "--rules", rules, "--event", "nowhere.ndjson")
    assert (done.code, done.out) == (3, "")
    assert "nowhere.ndjson" in done.err
    assert "Traceback" not in done.err


def test_events_come_from_standard_input_too(kestrel: Any, rules: str) -> None:
    done = kestrel(
        "debug", "matcher", "--rules", rules, "--event", "-", input='[{"user": {"name": "eve"}}]'
    )
    assert (done.code, done.err.count("Traceback")) == (0, 0)
    assert done.out.startswith("standard input, element:1\n")


def test_rules_with_errors_are_left_out_and_named(kestrel: Any, write: Write, rules: str) -> None:
    write("rules/bad.eql", "process where\n")
    done = kestrel("debug", "matcher", "--rules", rules)
    assert done.code == 0
    assert "bad.eql:" in done.err
    assert "rules with errors are left out (an error); `kestrel check` shows all" in done.err
    assert done.out.startswith("4 rules,")


def test_without_a_rule_there_is_nothing_to_show(kestrel: Any, write: Write) -> None:
    write("empty/notes.txt", "no rule")
    done = kestrel("debug", "matcher", "--rules", "empty")
    assert (done.code, done.out) == (1, "")
    assert done.err == "kestrel: no rule was loaded from empty\n"
    done = kestrel("debug", "matcher")
    assert (done.code, done.out) == (2, "")
    assert "no rules to look at: give --rules PATH" in done.err


def test_rules_come_from_the_configuration_too(kestrel: Any, rules: str, write: Write) -> None:
    write("kestrel.toml", f'[rules]\npaths = ["{rules}"]\n')
    done = kestrel("debug", "matcher", "--config", "kestrel.toml")
    assert done.out == kestrel("debug", "matcher", "--rules", rules).out


def test_debug_is_a_group_with_help_and_completion(kestrel: Any) -> None:
    assert "  debug " in kestrel("--help").out
    shown = kestrel("debug", "--help")
    assert (shown.code, "matcher" in shown.out) == (0, True)
    assert "--event FILE" in kestrel("debug", "matcher", "--help").out
    assert kestrel("debug").code == 2
    assert kestrel("debug", "nothing").code == 2
    kestrel.environment |= {"_KESTREL_COMPLETE": "bash_complete", "COMP_CWORD": "2"}
    kestrel.environment["COMP_WORDS"] = "kestrel debug m"
    assert kestrel().out == "plain,matcher\n"


def test_many_real_rules_and_events(kestrel: Any) -> None:
    corpus = os.environ.get("KESTREL_CORPUS")
    if corpus is None:
        pytest.skip("KESTREL_CORPUS is not set")
    archive = Path(corpus) / "rules" / "elastic-protections.tar.gz"
    events = Path(corpus) / "linux" / "shellshock.ndjson"
    done = kestrel("debug", "matcher", "--rules", archive, "--event", events, "--format", "json")
    assert done.code == 0
    assert len(done.objects) == sum(1 for line in events.read_bytes().splitlines() if line.strip())
    assert all(one["looks"][0]["clauses_before"] == one["clauses"] > 500 for one in done.objects)
    assert all(one["looks"][-1]["clauses_after"] < 50 for one in done.objects)
