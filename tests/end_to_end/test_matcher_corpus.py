"""All published rules over all recorded events: matcher and interpreter agree about every pair.

    KESTREL_CORPUS=FOLDER .venv/bin/pytest -q -m slow tests/end_to_end/test_matcher_corpus.py

Takes minutes, nearly all of them in the reference, which runs in two processes of its own.
"""

from __future__ import annotations

import gzip
import json
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from functools import cache
from multiprocessing.pool import AsyncResult
from pathlib import Path

import attrs
import pytest

from kestrel_eql import EqlCompiler
from kestrel_framework import RuleSet, load_rules
from kestrel_framework._pipeline.flow import targets_of
from kestrel_framework.event import EventSettings
from kestrel_framework.schema import SchemaRegistry
from matcher_reference import CachedReference, Scene, Verdicts, document_in, event_in

CORPUS = os.environ.get("KESTREL_CORPUS")
SCHEMA = SchemaRegistry.ecs()
PROCESSES = 2
EVENTS_AT_ONCE = 2000
BATCH = 500

ECS = EventSettings()
ENDGAME = EventSettings(
    timestamp_field="timestamp", timestamp_unit="filetime", category_field="event_type"
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        CORPUS is None, reason="KESTREL_CORPUS names no folder with rules and events"
    ),
]


@cache
def rules() -> RuleSet:
    folder = Path(CORPUS or "") / "rules"
    archives = [folder / f"elastic-{name}.tar.gz" for name in ("detection", "protections")]
    return load_rules(*archives, compilers=[EqlCompiler()]).rule_set


@attrs.frozen
class Recording:
    """Events of a file, and the settings that go with them."""

    path: str
    settings: EventSettings = ECS

    def payloads(self) -> Iterator[bytes]:
        path = Path(CORPUS or "") / self.path
        if path.suffix == ".json":
            yield from (json.dumps(one).encode() for one in json.loads(path.read_bytes()))
        elif path.suffix == ".gz":
            with gzip.open(path) as lines:
                yield from lines
        else:
            yield from path.read_bytes().splitlines()


RECORDINGS = [
    Recording("windows/mordor_60k.ndjson.gz"),
    Recording("linux/k8s.ndjson.gz"),
    Recording("linux/scap.ndjson.gz"),
    Recording("linux/shellshock.ndjson"),
    Recording("eql/elasticsearch/data/test_data.json"),
    Recording("eql/elasticsearch/data/extra.json"),
    Recording("eql/elasticsearch/data/sample1.json"),
    Recording("eql/endgame/test_data.json", ENDGAME),
]


def test_there_is_enough_to_compare() -> None:
    assert len(targets_of(rules())) >= 1700
    assert sum(len(list(recording.payloads())) for recording in RECORDINGS) >= 66_000


@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda recording: recording.path)
def test_every_target_agrees_about_every_event(recording: Recording) -> None:
    payloads = list(recording.payloads())
    chunks = [
        payloads[start : start + EVENTS_AT_ONCE]
        for start in range(0, len(payloads), EVENTS_AT_ONCE)
    ]
    rules()  # before the fork, so that all processes share them
    with multiprocessing.get_context("fork").Pool(
        PROCESSES, _begin, (recording.settings,)
    ) as processes:
        expected = [processes.apply_async(_expected, (chunk,)) for chunk in chunks]
        _compare(recording.settings, payloads, payloads, expected)
        _compare(recording.settings, payloads, list(map(document_in, payloads)), expected)


def _compare(
    settings: EventSettings,
    payloads: Sequence[bytes],
    events: Sequence[object],
    expected: Sequence[AsyncResult[Verdicts]],
) -> None:
    targets = targets_of(rules())
    found = Scene(targets, events, SCHEMA, settings, BATCH).found()
    wanted = [verdict for chunk in expected for verdict in chunk.get()]
    different = [
        _described(payload, set(by_interpreter), set(by_matcher))
        for payload, by_interpreter, by_matcher in zip(payloads, wanted, found, strict=True)
        if by_interpreter != by_matcher
    ]
    if different:
        form = "payloads" if events is payloads else "documents"
        first = "\n\n".join(different[:5])
        pytest.fail(f"they disagree about {len(different)} of {len(events)} {form}:\n{first}")


def _described(payload: bytes, by_interpreter: set[int], by_matcher: set[int]) -> str:
    rule_set, targets = list(rules()), targets_of(rules())
    lines = [f"event: {payload!r}"]
    for number in sorted(by_interpreter ^ by_matcher):
        target = targets[number]
        says = ("holds", "does not hold")
        lines.append(
            f"rule {rule_set[target.rule].rule_id}, step {target.step}: {target!r}\n"
            f"interpreter: {says[number not in by_interpreter]}, "
            f"matcher: {says[number not in by_matcher]}"
        )
    return "\n".join(lines)


# --- in processes of their own ------------------------------------------------------------

_reference: CachedReference


def _begin(settings: EventSettings) -> None:
    global _reference
    _reference = CachedReference(targets_of(rules()), SCHEMA, settings)


def _expected(payloads: Sequence[bytes]) -> Verdicts:
    events = [event_in(payload) for payload in payloads]
    return [[] if event is None else _reference.satisfied(event) for event in events]
