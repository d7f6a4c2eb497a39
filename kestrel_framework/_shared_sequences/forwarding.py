"""The sending side: step matches, in the order of time, to the partitions of their keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, Self

import attrs

from kestrel_framework._generation import Generation
from kestrel_framework._pipeline.event_time import TimeState, WaitingMatch, encode_time
from kestrel_framework._pipeline.flow import Candidate, Completion, Row, Targets
from kestrel_framework._pipeline.sequence_tracker import SequenceTracker, StepEvent
from kestrel_framework._pipeline.sequence_tracker.keys import Key
from kestrel_framework._shared_sequences.partitions import partition_of
from kestrel_framework.rule import RuleSet

_MOST_MATCHES: Final = 200
"""How many matches one message has."""
_DOCUMENT_SIZE: Final = 1_000
"""Taken as the bytes of an event that came as a document."""


class ForwardingTracker(SequenceTracker):
    """Follows nothing itself, and keeps what it is given for the partitions.

    It stands where a tracker does, so everything before it is as in an engine that is alone: what
    comes late, what waits, and what processes did.

    Args:
        keys_of: Returns the keys under which a target takes an event.
        partitions: How many there are.

    Attributes:
        size: The bytes of the events that are kept, roughly.
    """

    def __init__(self, keys_of: Callable[[int, StepEvent], Sequence[Key]], partitions: int) -> None:
        super().__init__(RuleSet(()), ())
        self._keys_of = keys_of
        self._partitions = partitions
        self._outgoing: list[list[Candidate]] = []
        self.size = 0
        self.take()

    def take(self) -> list[list[Candidate]]:
        """Return what goes to each partition, in order, and keep nothing of it."""
        taken = self._outgoing
        self._outgoing = [[] for _ in range(self._partitions)]
        self.size = 0
        return taken

    def advance(self, candidates: Sequence[Candidate]) -> list[Completion]:
        """Keep events for the partitions of their keys; nothing is complete here."""
        for candidate in candidates:
            row = candidate.row
            for partition, targets in self._targets_by_partition(candidate).items():
                self._outgoing[partition].append(Candidate(row, targets, candidate.lineage))
            self.size += len(row.given) if isinstance(row.given, bytes) else _DOCUMENT_SIZE
        return []

    def idle(self, targets: Targets) -> frozenset[int]:
        """Return nothing: whether a sequence has begun is for the owner of its key to know."""
        return frozenset()

    def _targets_by_partition(self, candidate: Candidate) -> Mapping[int, tuple[int, ...]]:
        found: dict[int, list[int]] = {}
        for target in candidate.targets:
            keys = self._keys_of(target, candidate.row)
            for partition in {partition_of(key, self._partitions) for key in keys}:
                found.setdefault(partition, []).append(target)
        return {partition: tuple(targets) for partition, targets in found.items()}


@attrs.frozen
class Forwarding:
    """What a detector forwards, as messages.

    Attributes:
        generation: The stages of its rules, with a tracker that forwards.
        tracker: This tracker.
        member: Who sends: streams of different hosts can have the same names.
    """

    generation: Generation
    tracker: ForwardingTracker
    member: str

    @classmethod
    def of(cls, generation: Generation, partitions: int, member: str) -> Self:
        """Return what forwards the step matches of a rule set."""
        tracker = ForwardingTracker(generation.tracker.keys_of, partitions)
        return cls(attrs.evolve(generation, tracker=tracker), tracker, member)

    def messages(self) -> list[list[bytes]]:
        """Return what goes to each partition, in order, and keep nothing of it.

        Raises:
            StateError: an event holds what is no JSON value.
        """
        return [list(self._encoded(candidates)) for candidates in self.tracker.take()]

    def _encoded(self, candidates: Sequence[Candidate]) -> Iterator[bytes]:
        for start in range(0, len(candidates), _MOST_MATCHES):
            some = candidates[start : start + _MOST_MATCHES]
            matches = [
                self.generation.match_state(None, WaitingMatch.of(self._named(candidate), serial))
                for serial, candidate in enumerate(some)
            ]
            yield encode_time(TimeState(matches=matches))

    def _named(self, candidate: Candidate) -> Candidate:
        row = candidate.row
        stream = f"{self.member}:{row.stream}"
        named = Row(row.decode, row.given, row.timestamp, stream, row.offset, row.tiebreaker)
        return Candidate(named, candidate.targets, candidate.lineage)
