"""Alerts that wait to be delivered are the same afterwards."""

from __future__ import annotations

import contextlib

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kestrel_framework._alert_encoding import decode_alert, encode_alert
from kestrel_framework.alert import Alert, Evidence
from kestrel_framework.errors import StateError
from kestrel_framework.event import EventIdentity
from kestrel_framework.rule import RuleMetadata, RuleSeverity, Technique

TEXTS = st.text(st.characters())  # also halves of surrogate pairs
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
DOCUMENTS = st.dictionaries(TEXTS, JSON, max_size=4)
TUPLES = st.lists(TEXTS, max_size=2).map(tuple)
RULES = st.builds(
    RuleMetadata,
    rule_id=TEXTS,
    name=TEXTS,
    severity=st.sampled_from(RuleSeverity),
    risk_score=st.integers(0, 100),
    tags=TUPLES,
    actions=TUPLES,
    threat=st.lists(st.builds(Technique, TEXTS, TEXTS, TEXTS, TEXTS, TEXTS), max_size=2).map(tuple),
    extra=DOCUMENTS,
)
EVIDENCE = st.builds(
    Evidence, st.builds(EventIdentity, TEXTS, st.integers()), st.integers(), DOCUMENTS, DOCUMENTS
)
ALERTS = st.builds(
    Alert,
    rule=RULES,
    revision=TEXTS,
    semantic_hash=TEXTS,
    evidence=st.lists(st.none() | EVIDENCE, max_size=3).map(tuple),
    join_keys=st.lists(SCALARS, max_size=3).map(tuple),
    lost=st.dictionaries(TEXTS, st.integers(1), max_size=2),
    detected_at=st.none() | st.integers(),
    shadow=st.booleans(),
)


@given(ALERTS)
def test_an_alert_is_the_same_afterwards(alert: Alert) -> None:
    read = decode_alert(encode_alert(alert))
    assert read == alert
    assert read.alert_id == alert.alert_id
    assert read.detected_at == alert.detected_at
    assert read.rule.extra == alert.rule.extra
    for before, after in zip(alert.evidence, read.evidence, strict=True):
        assert (before and before.document) == (after and after.document)
    assert list(map(type, read.join_keys)) == list(map(type, alert.join_keys))


@given(ALERTS, st.integers(0, 400), st.binary(max_size=3))
def test_damage_is_refused_or_makes_another_alert(alert: Alert, place: int, other: bytes) -> None:
    data = bytearray(encode_alert(attrs.evolve(alert, evidence=())))
    data[place : place + len(other)] = other
    with contextlib.suppress(StateError):
        decode_alert(bytes(data))


@pytest.mark.parametrize("data", [b"", b"\x00", b"\x01", b"\x02m\x90", b"\x01j[", b"\x01m\xc1"])
def test_what_is_no_alert_is_refused(data: bytes) -> None:
    with pytest.raises(StateError, match="damaged"):
        decode_alert(data)


def test_an_event_that_is_no_json_is_refused() -> None:
    evidence = Evidence(EventIdentity("s", 1), 1, {}, {"a": object()})
    with pytest.raises(StateError, match="no JSON value"):
        encode_alert(Alert(RuleMetadata("r"), "1", "h", (evidence,)))
