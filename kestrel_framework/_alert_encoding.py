"""Alerts as bytes, for those that wait until an output has them: versioned, without pickle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from kestrel_framework._pipeline.stored_pieces import pack, unpack
from kestrel_framework.alert import Alert, Evidence
from kestrel_framework.errors import StateError
from kestrel_framework.event import EventIdentity
from kestrel_framework.rule import RuleMetadata

_VERSION: Final = 1


class _Evidence(msgspec.Struct, array_like=True, frozen=True):
    stream: str
    offset: int
    timestamp: int
    fields: dict[str, object]
    document: dict[str, object]


class _Content(msgspec.Struct, array_like=True, frozen=True):
    rule: RuleMetadata
    revision: str
    semantic_hash: str
    evidence: list[_Evidence | None]
    join_keys: list[bool | int | float | str | None]
    lost: dict[str, int]
    detected_at: int | None
    shadow: bool


def encode_alert(alert: Alert) -> bytes:
    """Return an alert as bytes.

    Raises:
        StateError: an event of it holds what is no JSON value.
    """
    content = _Content(
        alert.rule,
        alert.revision,
        alert.semantic_hash,
        [None if each is None else _written(each) for each in alert.evidence],
        list(alert.join_keys),
        dict(alert.lost),
        alert.detected_at,
        alert.shadow,
    )
    return bytes((_VERSION,)) + pack(content)


def decode_alert(data: bytes) -> Alert:
    """Return what `encode_alert` was given, with the same id.

    Raises:
        StateError: the bytes are damaged, or of another version.
    """
    if data[:1] != bytes((_VERSION,)):
        raise StateError("an alert that waits to be delivered is damaged, or of another version")
    try:
        content = unpack(data[1:], _Content)
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise StateError(f"an alert that waits to be delivered is damaged: {error}") from error
    return Alert(
        content.rule,
        content.revision,
        content.semantic_hash,
        tuple([None if each is None else _read(each) for each in content.evidence]),
        tuple(content.join_keys),
        content.lost,
        content.detected_at,
        content.shadow,
    )


def _written(evidence: Evidence) -> _Evidence:
    return _Evidence(
        evidence.identity.stream,
        evidence.identity.offset,
        evidence.timestamp,
        _plain(evidence.fields),
        _plain(evidence.document),
    )


def _read(evidence: _Evidence) -> Evidence:
    identity = EventIdentity(evidence.stream, evidence.offset)
    return Evidence(identity, evidence.timestamp, evidence.fields, evidence.document)


def _plain(mapping: Mapping[str, object]) -> dict[str, object]:
    return mapping if isinstance(mapping, dict) else dict(mapping)
