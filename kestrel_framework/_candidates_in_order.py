"""The events of a file that satisfy conditions, sorted by time, whatever their order there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from kestrel_framework._pipeline.event_clock import EventClock
from kestrel_framework._pipeline.event_matcher import EventMatcher
from kestrel_framework._pipeline.flow import Candidate, Ordinal, Problem, Row, ordinal_of
from kestrel_framework._pipeline.process_lineage import ProcessLineage
from kestrel_framework.event import Document, EventBatch

SEARCHED: Final = "search"
"""The stream that all events of a search are in."""


def candidates_in_order(
    lineage: ProcessLineage,
    matcher: EventMatcher,
    batch: EventBatch,
    report: Callable[[Problem], None],
) -> list[Candidate]:
    """Return the events of one batch that satisfy conditions, in the order of events.

    Lineage is decided in that order too.

    Args:
        lineage: What processes did; follows all events.
        matcher: Of its conditions and those of the rules.
        batch: All events.
        report: Told of what is odd.
    """
    matched = matcher.match(batch)
    for problem in matched.problems:
        report(problem)
    times = EventClock().times(matched.times)
    tiebreakers = matched.tiebreakers or [None] * len(times)
    given: Sequence[bytes | Document] = batch.payloads or batch.documents

    def in_order(index: int) -> Ordinal:
        return ordinal_of(times[index], tiebreakers[index], SEARCHED, matched.places[index])

    order = sorted(range(len(times)), key=in_order)
    rank_of = {index: rank for rank, index in enumerate(order)}
    candidates = [
        Candidate(
            Row(
                matcher.decoder.document,
                given[matched.places[match.index]],
                times[match.index],
                SEARCHED,
                matched.places[match.index],
                tiebreakers[match.index],
            ),
            match.targets,
            index=rank_of[match.index],
        )
        for match in matched.matches
    ]
    candidates.sort(key=lambda candidate: candidate.index)
    processes = [matched.processes[index] for index in order] if matched.processes else ()
    return lineage.decide(
        processes, candidates, lambda rank: f"{SEARCHED}#{matched.places[order[rank]]}"
    )
