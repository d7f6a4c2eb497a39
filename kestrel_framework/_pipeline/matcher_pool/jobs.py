"""A batch that workers match, whole or in parts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import attrs

from kestrel_framework._pipeline.event_matcher import EventMatcher
from kestrel_framework._pipeline.flow import MatchedBatch
from kestrel_framework._pipeline.matcher_pool.answers import PartialAnswer, joined
from kestrel_framework.event import EventBatch

_TRIES: Final = 2
_MOST_DEATHS: Final = 100


@attrs.define(eq=False)
class Part:
    """Some of the payloads of a job, next to each other.

    Attributes:
        job: Whose they are.
        start, stop: Which: from `start` to before `stop`.
        deaths: How many workers died of it, or with it.
        answer: What was found.
    """

    job: Job
    start: int
    stop: int
    deaths: int = 0
    answer: PartialAnswer | None = None

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def payloads(self) -> Sequence[bytes]:
        payloads = self.job.payloads
        return payloads if len(self) == len(payloads) else payloads[self.start : self.stop]


class Job:
    """A batch that workers match.

    A part with which workers die again and again is divided, until one event is left whose
    matching is given up: others must not be lost with it, and the main process must not
    die of it too.

    Args:
        payloads: The events.
        matcher: The matcher of the main process, whose rules the workers have.

    Attributes:
        given_up: How many events are given up.
        is_left: Whether the main process is to match the batch.
        hung: How often a worker was ended for taking too long.
    """

    def __init__(self, payloads: Sequence[bytes], matcher: EventMatcher) -> None:
        self.payloads = payloads
        self._matcher = matcher
        self.given_up = 0
        self.is_left = False
        self.hung = 0
        self._deaths = 0
        self._parts = [Part(self, 0, len(payloads))]
        self._missing = 1

    @property
    def is_done(self) -> bool:
        """Whether no worker has anything more to say."""
        return self.is_left or self._missing == 0

    @property
    def parts(self) -> Iterator[Part]:
        """The parts, in order."""
        return iter(self._parts)

    def answer(self, part: Part, answer: PartialAnswer) -> None:
        """Take the answer about a part."""
        if answer.found is None:
            self.is_left = True
        elif part.answer is None:
            part.answer = answer
            self._missing -= 1

    def died(self, part: Part) -> list[Part]:
        """Hear that a worker died while it matched a part, and return what to try again."""
        self._deaths += 1
        part.deaths += 1
        if part.deaths < _TRIES and self._deaths < _MOST_DEATHS:
            return [part]
        place = self._parts.index(part)
        if len(part) == 1 or self._deaths >= _MOST_DEATHS:
            del self._parts[place]
            self._missing -= 1
            self.given_up += len(part)
            return []
        middle = (part.start + part.stop) // 2
        halves = [Part(self, part.start, middle), Part(self, middle, part.stop)]
        self._parts[place : place + 1] = halves
        self._missing += 1
        return halves

    def matched(self, batch: EventBatch, matcher: EventMatcher) -> MatchedBatch:
        """Return what the batch says by itself.

        Args:
            batch: The batch, as the detector numbers it.
            matcher: That of the main process, of the rules now in force.
        """
        if self.is_left or matcher is not self._matcher:
            return matcher.match(batch)
        parts = [(part.start, part.answer) for part in self._parts if part.answer is not None]
        return joined(parts, batch)
