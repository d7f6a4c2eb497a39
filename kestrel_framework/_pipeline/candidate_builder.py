"""From what a batch says by itself to the candidates that the later stages look at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from kestrel_framework._pipeline.event_matcher import EventMatcher
from kestrel_framework._pipeline.event_time import WaitingMatch
from kestrel_framework._pipeline.flow import (
    Candidate,
    Match,
    MatchedBatch,
    Row,
    Targets,
    ordinal_of,
)
from kestrel_framework.event import Document, EventBatch
from kestrel_framework.predicate import Lineage

_NO_TARGETS: Final = frozenset[int]()
_NO_LINEAGE: Final = frozenset[Lineage]()


def proposed_candidates(
    batch: EventBatch,
    matched: MatchedBatch,
    matches: Sequence[Match],
    times: Sequence[int],
    matcher: EventMatcher,
    idle: Callable[[Targets], frozenset[int]],
) -> list[Candidate]:
    """Return the events of a batch that satisfy targets which mean something.

    Args:
        batch: The events, numbered.
        matched: What they say by themselves.
        matches: Those of the matches that are looked at.
        times: Event time of each.
        matcher: What matched them, or another one of the same rules.
        idle: Returns those of some targets that events need not be looked at for, if they
            satisfy no others than these.
    """
    if not matches:
        return []
    combinations = {match.targets for match in matches}
    left_out = idle(_union(combinations))
    left = {
        targets: tuple([number for number in targets if number not in left_out])
        for targets in combinations
        if not left_out.issuperset(targets)
    }
    if not left:
        return []
    stream, first = batch.stream or "", batch.first_offset or 0
    decode = matcher.decoder.document
    given: Sequence[bytes | Document] = batch.payloads or batch.documents
    places, tiebreakers = matched.places, matched.tiebreakers
    candidates = []
    for match in matches:
        targets = left.get(match.targets)
        if targets is not None:
            index = match.index
            place = places[index]
            tiebreaker = tiebreakers[index] if tiebreakers else None
            row = Row(decode, given[place], times[index], stream, first + place, tiebreaker)
            candidates.append(Candidate(row, targets, _NO_LINEAGE, index))
    return candidates


def _union(combinations: set[tuple[int, ...]]) -> Targets:
    if len(combinations) == 1:
        return next(iter(combinations))
    return _NO_TARGETS.union(*combinations)


def waiting_matches(
    batch: EventBatch,
    matched: MatchedBatch,
    matches: Sequence[Match],
    times: Sequence[int],
    matcher: EventMatcher,
    serials: Iterator[int],
) -> list[WaitingMatch]:
    """Return the events of a batch that wait for their turn, in the order of the matches.

    Args:
        batch: The events, numbered.
        matched: What they say by themselves.
        matches: Those of the matches that wait: steps that no other stage decides.
        times: Event time of each.
        matcher: What matched them, or another one of the same rules.
        serials: Numbers that no match has.
    """
    stream, first = batch.stream or "", batch.first_offset or 0
    decode = matcher.decoder.document
    given: Sequence[bytes | Document] = batch.payloads or batch.documents
    places, tiebreakers = matched.places, matched.tiebreakers
    waiting = []
    for match in matches:
        index = match.index
        place = places[index]
        tiebreaker = tiebreakers[index] if tiebreakers else None
        ordinal = ordinal_of(times[index], tiebreaker, stream, first + place)
        rest = next(serials), match.targets, decode, given[place], _NO_LINEAGE
        waiting.append(WaitingMatch._make(ordinal + rest))
    return waiting
