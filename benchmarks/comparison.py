"""Kestrel beside the `eql` package and a naive loop: the same rules, events and machine.

The two engines read EQL differently on purpose in places (case, missing fields, lists), so a
first pass chooses the rules: those for which all sides find the same in the events at hand.
What is left out is counted by its reason. In each cell all sides must then find the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import attrs
import msgspec

from benchmarks.children import measured_by, note
from benchmarks.own_matching import Matched, compiled
from benchmarks.peer import peer_python
from benchmarks.rule_sets import SEED, in_order, loaded, rule_paths
from benchmarks.streams import stream
from kestrel_eql import EqlCompiler
from kestrel_framework import Detector
from kestrel_framework.event import Document
from kestrel_framework.predicate_traversal import lineages_of
from kestrel_framework.rule import EventRule, Program, Rule, RuleSet
from kestrel_framework.rule_loading import iter_rule_files

_KESTREL_ROUNDS: Final = 12
_PEER_ROUNDS: Final = 3


class UnequalCountsError(Exception):
    """Two sides found different things with the same rules in the same events."""


@attrs.frozen
class ComparedCell:
    """What the sides took for the same rules and events: CPU seconds of each round.

    Attributes:
        rules: How many rules there were.
        events: How many events there were.
        matches: How often any rule matched, on every side.
        kestrel: From bytes to alerts.
        peer: From decoded events to matches.
        naive: From decoded events to matches.
        kestrel_events: The seconds of each event that comes alone, ascending.
        peer_events: The same for the package.
    """

    rules: int
    events: int
    matches: int
    kestrel: list[float]
    peer: list[float]
    naive: list[float]
    kestrel_events: list[float]
    peer_events: list[float]


@attrs.frozen
class Comparison:
    """All cells, and which rules were left out before.

    Attributes:
        candidates: How many rules there were to choose from.
        left_out: How many were left out, by the reason.
        cells: One for each number of rules.
    """

    candidates: int
    left_out: dict[str, int]
    cells: list[ComparedCell]


def compare(counts: Sequence[int], events: int) -> Comparison:
    """Choose rules and events, and measure a cell for each number of rules; 0 is all chosen.

    Raises:
        PeerMissingError: the package cannot be installed.
        UnequalCountsError: in a cell, two sides found different things.
        ChildError: a side failed.
    """
    python = peer_python()
    real = loaded().rules
    texts, left_out = _candidates(real)
    documents = _chosen_events(texts, events)
    note(f"comparison: choosing from {len(texts)} rules, {len(documents)} events")
    peer = _peer(python, texts, documents, rounds=1, check=True).matches
    own = _own("kestrel", texts, documents, rounds=1).matches
    chosen = []
    for name, text in texts:
        reason = reason_to_leave_out(name, own, peer)
        if reason:
            left_out[reason] = left_out.get(reason, 0) + 1
        else:
            chosen.append((name, text))
    cells = []
    for count in dict.fromkeys(min(count or len(chosen), len(chosen)) for count in counts):
        note(f"comparison: {count} rules")
        cells.append(_cell(python, chosen[:count], documents))
    return Comparison(len(real), left_out, cells)


def reason_to_leave_out(
    name: str, own: Mapping[str, int | None], peer: Mapping[str, int | None]
) -> str:
    """Return why a rule cannot be compared, or "" if it can."""
    if name not in peer:
        return "the package fails on some event"
    if peer[name] is None:
        return "the package does not take the rule"
    if peer[name] != own[name]:
        return "the two read the rule differently, and find different things"
    return ""


def require_equal(sides: Mapping[str, Mapping[str, int | None]]) -> int:
    """Return how often the rules matched, on every side.

    Raises:
        UnequalCountsError: a rule matched more often on one side than on another; says which.
    """
    (first_side, first), *others = sides.items()
    for side, matches in others:
        for name in first.keys() | matches.keys():
            if first.get(name) != matches.get(name):
                raise UnequalCountsError(
                    f"the rule {name} matched {first.get(name)} times with {first_side}, "
                    f"and {matches.get(name)} times with {side}"
                )
    return sum(number or 0 for number in first.values())


def unwrapped(value: object) -> object:
    """Return a document with lists of one element replaced by the element.

    The package knows no lists where a text is meant. Both sides get what this returns.
    """
    if isinstance(value, dict):
        return {key: unwrapped(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return unwrapped(value[0]) if len(value) == 1 else [unwrapped(one) for one in value]
    return value


def _candidates(real: Sequence[Rule]) -> tuple[list[tuple[str, str]], dict[str, int]]:
    """Return the rules for single events, each with its text, and why others are none."""
    left_out: dict[str, int] = {}
    texts = dict(_texts())
    found = []
    for rule in in_order(real):
        reason = _not_comparable(rule)
        if reason:
            left_out[reason] = left_out.get(reason, 0) + 1
        else:
            found.append((rule.rule_id, texts[rule.rule_id]))
    return found, left_out


def _not_comparable(rule: Rule) -> str:
    if not isinstance(rule.body, EventRule):
        return "a sequence or sample"
    if rule.pipes or isinstance(rule.body.predicate, Program) or lineages_of(rule.body.predicate):
        return "asks for more than one event"
    return ""


def _texts() -> Iterable[tuple[str, str]]:
    compiler = EqlCompiler()
    for file in iter_rule_files(rule_paths(), compiler.suffixes):
        for source in compiler.read(file):
            yield source.metadata.rule_id, source.text


def _chosen_events(texts: Sequence[tuple[str, str]], number: int) -> list[Document]:
    """Return events of one category: those in which rules find something, and any others."""
    documents: list[Document] = []
    for line in stream("windows").lines():
        document = unwrapped(json.loads(line))
        if isinstance(document, dict) and isinstance(document["event"].get("category"), str):
            documents.append(document)
    ranked = sorted(
        range(len(documents)),
        key=lambda place: hashlib.sha256(f"{SEED} {place}".encode()).digest(),
    )
    hits = _places_of_matches(texts, documents)
    ranked.sort(key=lambda place: place not in hits)
    return [documents[place] for place in sorted(ranked[:number])]


def _places_of_matches(texts: Sequence[tuple[str, str]], documents: Sequence[Document]) -> set[int]:
    detector = Detector(RuleSet(compiled(texts)))
    return {
        event.identity.offset
        for alert in detector.feed(documents)
        for event in alert.events
        if event is not None
    }


def _cell(
    python: str, texts: Sequence[tuple[str, str]], documents: Sequence[Document]
) -> ComparedCell:
    kestrel = _own("kestrel", texts, documents, rounds=_KESTREL_ROUNDS)
    naive = _own("naive", texts, documents, rounds=1)
    peer = _peer(python, texts, documents, rounds=_PEER_ROUNDS)
    matches = require_equal(
        {"Kestrel": kestrel.matches, "the naive loop": naive.matches, "eql": peer.matches}
    )
    return ComparedCell(
        rules=len(texts),
        events=len(documents),
        matches=matches,
        kestrel=kestrel.seconds,
        peer=peer.seconds,
        naive=naive.seconds,
        kestrel_events=kestrel.event_seconds,
        peer_events=peer.event_seconds,
    )


def _own(
    side: str, texts: Sequence[tuple[str, str]], documents: Sequence[Document], *, rounds: int
) -> Matched:
    return measured_by(
        "own_matching", [side], Matched, given=_given(texts, documents, rounds, check=False)
    )


def _peer(
    python: str,
    texts: Sequence[tuple[str, str]],
    documents: Sequence[Document],
    *,
    rounds: int,
    check: bool = False,
) -> Matched:
    given = _given(texts, documents, rounds, check=check)
    return measured_by("peer_matching", [], Matched, python=python, given=given)


def _given(
    texts: Sequence[tuple[str, str]], documents: Sequence[Document], rounds: int, *, check: bool
) -> bytes:
    return msgspec.json.encode(
        {"rules": texts, "events": documents, "rounds": rounds, "check": check}
    )
