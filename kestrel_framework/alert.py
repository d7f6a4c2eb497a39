"""Alerts: what was found, and the evidence for it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Final

import attrs

from kestrel_framework.event import NOTHING_LOST, Document, EventIdentity
from kestrel_framework.rule import RuleMetadata
from kestrel_framework.values import Scalar, format_timestamp

ECS_VERSION: Final = "8.17"
_ID_FORM: Final = "kestrel-alert-1"


@attrs.frozen
class Evidence:
    """One event of an alert.

    Attributes:
        identity: Which event.
        timestamp: Its event time, in nanoseconds since 1970.
        fields: The values it had in the fields the rule looked at, by path: a
            scalar, or a list where the field had several. Absent fields are left out.
        document: The whole event.
    """

    identity: EventIdentity
    timestamp: int
    fields: Mapping[str, object]
    document: Document = attrs.field(eq=False, repr=False)


@attrs.frozen
class Alert:
    """A finding of one revision of one rule.

    Equal findings have equal ids, and different ones never: see `alert_id`.

    Attributes:
        rule: The rule's metadata.
        revision: Which revision of the rule (`Rule.revision`).
        semantic_hash: What the rule meant (`Rule.semantic_hash`).
        evidence: The events, in the order of the steps; `None` stands for a step
            that holds because no event came.
        join_keys: The key values the events share.
        lost: Events known lost in the time the evidence spans, by cause.
        detected_at: When it was found, in nanoseconds since 1970, or `None`; outside the
            canonical form.
        shadow: Found by a revision whose findings do not count (yet).
    """

    rule: RuleMetadata
    revision: str
    semantic_hash: str
    evidence: tuple[Evidence | None, ...]
    join_keys: tuple[Scalar | None, ...] = ()
    lost: Mapping[str, int] = NOTHING_LOST
    detected_at: int | None = attrs.field(default=None, eq=False)
    shadow: bool = False
    alert_id: str = attrs.field(init=False)

    @alert_id.default
    def _digest(self) -> str:
        identities = [
            None if item is None else [item.identity.stream, item.identity.offset]
            for item in self.evidence
        ]
        keys = [[type(key).__name__, key] for key in self.join_keys]
        parts = [_ID_FORM, self.rule.rule_id, self.semantic_hash, keys, identities]
        text = json.dumps(parts, ensure_ascii=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    @property
    def events(self) -> tuple[Evidence, ...]:
        """The evidence without the empty slots; never empty."""
        return tuple(item for item in self.evidence if item is not None)

    @property
    def first_timestamp(self) -> int:
        """Event time of the first evidence, in nanoseconds since 1970."""
        return min(item.timestamp for item in self.events)

    @property
    def last_timestamp(self) -> int:
        """Event time of the last evidence, in nanoseconds since 1970."""
        return max(item.timestamp for item in self.events)

    def to_document(self, *, with_events: bool = False) -> dict[str, object]:
        """Return the alert in the Elastic Common Schema, in canonical form.

        The canonical form has no time of detection, so that the same input
        gives the same bytes; add `event.created` yourself where you want it
        (`created`).

        Args:
            with_events: Whether each piece of evidence brings its whole event.
        """
        rule = self.rule
        kestrel: dict[str, object] = {
            "alert_id": self.alert_id,
            "revision": self.revision,
            "semantic_hash": self.semantic_hash,
            "evidence": [_evidence_document(item, with_events) for item in self.evidence],
        }
        if self.join_keys:
            kestrel["join_keys"] = list(self.join_keys)
        if self.lost:
            kestrel["lost"] = dict(sorted(self.lost.items()))
        if self.shadow:
            kestrel["shadow"] = True
        document: dict[str, object] = {
            "@timestamp": format_timestamp(self.last_timestamp),
            "ecs": {"version": ECS_VERSION},
            "event": {
                "kind": "alert",
                "id": self.alert_id,
                "risk_score": rule.risk_score,
                "start": format_timestamp(self.first_timestamp),
                "end": format_timestamp(self.last_timestamp),
            },
            "rule": _without_empty(
                id=rule.rule_id,
                name=rule.name,
                version=rule.version,
                description=rule.description,
                author=list(rule.authors),
                license=rule.license,
                reference=list(rule.references),
            ),
            "kestrel": kestrel | {"severity": rule.severity.value},
        }
        if rule.tags:
            document["tags"] = list(rule.tags)
        if threat := _threat_document(rule):
            document["threat"] = threat
        return document

    def created(self) -> str | None:
        """Return the time of detection as ISO 8601, for `event.created`."""
        return None if self.detected_at is None else format_timestamp(self.detected_at)


def _evidence_document(item: Evidence | None, with_event: bool) -> dict[str, object] | None:
    if item is None:
        return None
    document: dict[str, object] = {
        "stream": item.identity.stream,
        "offset": item.identity.offset,
        "@timestamp": format_timestamp(item.timestamp),
        "fields": dict(item.fields),
    }
    if with_event:
        document["event"] = item.document
    return document


def _threat_document(rule: RuleMetadata) -> dict[str, object]:
    if not rule.threat:
        return {}
    tactics = {t.tactic_id: t.tactic_name for t in rule.threat if t.tactic_id}
    techniques = {t.technique_id: t for t in rule.threat if t.technique_id}
    return _without_empty(
        framework="MITRE ATT&CK",
        tactic=_without_empty(id=list(tactics), name=list(tactics.values())),
        technique=_without_empty(
            id=list(techniques),
            name=[t.technique_name for t in techniques.values()],
            reference=[t.reference for t in techniques.values() if t.reference],
        ),
    )


def _without_empty(**parts: object) -> dict[str, object]:
    return {name: value for name, value in parts.items() if value not in ("", [], {}, None)}
