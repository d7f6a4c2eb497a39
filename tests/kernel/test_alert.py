from __future__ import annotations

import json

import attrs
from hypothesis import given
from hypothesis import strategies as st

from kestrel_framework.alert import Alert, Evidence
from kestrel_framework.event import EventIdentity
from kestrel_framework.rule import RuleMetadata, RuleSeverity, Technique
from kestrel_framework.values import Scalar

SECOND = 1_000_000_000
RULE = RuleMetadata(
    "shell",
    name="A shell",
    authors=("us",),
    severity=RuleSeverity.HIGH,
    risk_score=73,
    tags=("linux",),
    threat=(Technique("TA0002", "Execution", "T1059.004", "Unix Shell", "https://example.org"),),
)


def evidence(offset: int, seconds: int = 0, stream: str = "s") -> Evidence:
    document = {"process": {"name": "sh", "pid": offset}}
    return Evidence(
        EventIdentity(stream, offset), seconds * SECOND, {"process.name": "sh"}, document
    )


def alert(
    *slots: Evidence | None, keys: tuple[Scalar | None, ...] = (), **changes: object
) -> Alert:
    made = Alert(RULE, "1-abc", "hash", slots or (evidence(1),), keys)
    return attrs.evolve(made, **changes)  # type: ignore[arg-type]


def test_the_same_finding_has_the_same_id() -> None:
    later = attrs.evolve(alert(), detected_at=5, lost={"gap": 1}, revision="9-abc")
    renamed = alert(rule=attrs.evolve(RULE, name="Another name"))
    assert alert().alert_id == later.alert_id == renamed.alert_id


def test_another_finding_has_another_id() -> None:
    different = [
        alert(),
        alert(evidence(2)),
        alert(evidence(1, stream="t")),
        alert(evidence(1), None),
        alert(None, evidence(1)),
        alert(evidence(1), evidence(2)),
        alert(evidence(2), evidence(1)),
        alert(keys=("a",)),
        alert(keys=(None,)),
        alert(keys=("1",)),
        alert(keys=(1,)),
        alert(keys=(True,)),
        alert(keys=(1.0,)),
        alert(semantic_hash="other"),
        alert(rule=attrs.evolve(RULE, rule_id="other")),
    ]
    assert len({one.alert_id for one in different}) == len(different)


@given(
    st.lists(st.tuples(st.text(max_size=5), st.integers(0, 9)), min_size=1, max_size=3),
    st.lists(st.tuples(st.text(max_size=5), st.integers(0, 9)), min_size=1, max_size=3),
)
def test_identities_cannot_be_arranged_to_give_one_id(
    first: list[tuple[str, int]], second: list[tuple[str, int]]
) -> None:
    ids = [
        alert(*(evidence(offset, stream=stream) for stream, offset in identities)).alert_id
        for identities in (first, second)
    ]
    assert (ids[0] == ids[1]) == (first == second)


def test_times_are_of_the_events() -> None:
    found = alert(evidence(1, 30), None, evidence(2, 90))
    assert (found.first_timestamp, found.last_timestamp) == (30 * SECOND, 90 * SECOND)


def test_the_canonical_document() -> None:
    found = alert(evidence(7, 30), None, keys=("h1",), lost={"b": 1, "a": 2})
    assert found.to_document() == {
        "@timestamp": "1970-01-01T00:00:30.000Z",
        "ecs": {"version": "8.17"},
        "event": {
            "kind": "alert",
            "id": found.alert_id,
            "risk_score": 73,
            "start": "1970-01-01T00:00:30.000Z",
            "end": "1970-01-01T00:00:30.000Z",
        },
        "rule": {"id": "shell", "name": "A shell", "version": "1", "author": ["us"]},
        "kestrel": {
            "alert_id": found.alert_id,
            "revision": "1-abc",
            "semantic_hash": "hash",
            "evidence": [
                {
                    "stream": "s",
                    "offset": 7,
                    "@timestamp": "1970-01-01T00:00:30.000Z",
                    "fields": {"process.name": "sh"},
                },
                None,
            ],
            "join_keys": ["h1"],
            "lost": {"a": 2, "b": 1},
            "severity": "high",
        },
        "tags": ["linux"],
        "threat": {
            "framework": "MITRE ATT&CK",
            "tactic": {"id": ["TA0002"], "name": ["Execution"]},
            "technique": {
                "id": ["T1059.004"],
                "name": ["Unix Shell"],
                "reference": ["https://example.org"],
            },
        },
    }


def test_the_time_of_detection_is_outside_the_canonical_form() -> None:
    found = alert(detected_at=90 * SECOND)
    assert found.to_document() == alert().to_document()
    assert found.created() == "1970-01-01T00:01:30.000Z"
    assert alert().created() is None


def test_whole_events_come_when_asked_for() -> None:
    document = alert(evidence(3)).to_document(with_events=True)
    assert json.loads(json.dumps(document))["kestrel"]["evidence"][0]["event"] == {
        "process": {"name": "sh", "pid": 3}
    }


def test_a_shadow_alert_says_so() -> None:
    assert alert(shadow=True).to_document()["kestrel"]["shadow"] is True  # type: ignore[index]
