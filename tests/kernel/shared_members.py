"""Members that share sequences, without the threads of an engine around them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kestrel_framework._shared_config import SharedConfig
from kestrel_framework._shared_sequences import Membership
from kestrel_framework.alert import Alert
from kestrel_framework.event import Document, EventBatch
from kestrel_framework.interfaces import StateStore
from timed_events import detector

SOURCE: Final = "events"


class Clock:
    """Seconds that pass when somebody says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Member:
    """One run of a member that reads some events: what it commits is what an engine commits.

    Attributes:
        alerts: What was delivered, in order.
        membership: Its part in the whole.
        said: What it told.
    """

    def __init__(
        self, config: SharedConfig, events: Sequence[Document], store: StateStore, clock: Clock
    ) -> None:
        self._events = events
        self._detector = detector()
        self.said: list[str] = []
        self.alerts: list[Alert] = []
        self.membership = Membership(store, self._detector, config, self.said.append, clock=clock)
        checkpoint = self.membership.load([SOURCE])
        if checkpoint.snapshot is not None:
            self._detector.restore(checkpoint.snapshot)
        self._position = int(checkpoint.positions.get(SOURCE, "0"))
        self._detector.feed(EventBatch(source=SOURCE))

    @property
    def untimely(self) -> dict[str, int]:
        return dict(self._detector.statistics.untimely)

    def read(self, number: int) -> None:
        part = self._events[self._position : self._position + number]
        batch = EventBatch(
            documents=part, stream=SOURCE, first_offset=self._position, source=SOURCE
        )
        self.alerts += self._detector.feed(batch)
        self._position += len(part)

    def turn(self) -> None:
        self.alerts += self.membership.turn()

    def commit(self) -> None:
        self.turn()
        self.membership.save(self._detector.snapshot(), {SOURCE: str(self._position)})

    def end(self) -> None:
        """Read the rest, and hear that nothing comes any more."""
        self.read(len(self._events))
        self.alerts += self._detector.finish()
        self.membership.end()

    def leave(self) -> None:
        self.turn()
        self.membership.leave(self._detector.snapshot(), {SOURCE: str(self._position)})


def config(member: str, members: Sequence[str], partitions: int = 4) -> SharedConfig:
    return SharedConfig(member, tuple(members), partitions, lease=10.0, idle_after=1_000.0)


def pass_time(clock: Clock, seconds: float, *working: Member) -> None:
    """Have some members work for so long, and all others say nothing."""
    end = clock.now + seconds
    while clock.now < end:
        clock.now += min(4.0, seconds / 4)
        for member in working:
            member.commit()
