"""From what a batch says by itself to the candidates that the later stages look at."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial

from kestrel_framework._pipeline.event_matcher import EventMatcher
from kestrel_framework._pipeline.flow import Candidate, MatchedBatch, Row
from kestrel_framework.event import EventBatch


def proposed_candidates(
    batch: EventBatch,
    matched: MatchedBatch,
    times: Sequence[int],
    matcher: EventMatcher,
    idle: Callable[[Collection[int]], frozenset[int]],
) -> list[Candidate]:
    """Return the events of a batch that satisfy targets which mean something.

    Args:
        batch: The events, numbered.
        matched: What they say by themselves.
        times: Event time of each.
        matcher: What matched them, or another one of the same rules.
        idle: Returns those of some targets that events need not be looked at for, if they
            satisfy no others than these.
    """
    combinations = {match.targets for match in matched.matches}
    left_out = idle(frozenset[int]().union(*combinations))
    left = {
        targets: ()
        if left_out.issuperset(targets)
        else tuple([number for number in targets if number not in left_out])
        for targets in combinations
    }
    stream, first = batch.stream or "", batch.first_offset or 0
    decode = matcher.decoder.document
    payloads, documents = batch.payloads, batch.documents
    candidates = []
    for match in matched.matches:
        targets = left[match.targets]
        if targets:
            index = match.index
            place = matched.places[index]
            tiebreaker = matched.tiebreakers[index] if matched.tiebreakers else None
            payload = payloads[place] if payloads else None
            read = partial(decode, documents[place] if payload is None else payload)
            row = Row(read, times[index], stream, first + place, tiebreaker, payload)
            candidates.append(Candidate(row, targets, index=index))
    return candidates
