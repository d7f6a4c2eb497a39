"""The receiving side: the sequences of one partition, over what all members sent."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence

import attrs
import msgspec

from kestrel_framework._generation import Generation
from kestrel_framework._pipeline.event_time import EventTime, WaitingMatch, decode_time, encode_time
from kestrel_framework._pipeline.flow import Completion
from kestrel_framework._pipeline.sequence_tracker import SequenceTracker, TrackerLimits
from kestrel_framework._pipeline.sequence_tracker.keys import Key
from kestrel_framework._shared_sequences.partitions import partition_of
from kestrel_framework.errors import StateError
from kestrel_framework.event import TimeSettings

_LATE = "late"
_RULE_CHANGED = "rule_changed"


class _Snapshot(msgspec.Struct, array_like=True, frozen=True):
    tracker: bytes
    time: bytes


class PartitionFollower:
    """Follows the sequences of the keys of one partition.

    What members send is in the order of time already. It is merged: time goes on as far as all
    members have come that are waited for.

    Args:
        generation: The rules.
        number: The partition.
        partitions: How many there are.
        untimely: Counts what sequences did not see, by cause.
    """

    def __init__(
        self, generation: Generation, number: int, partitions: int, untimely: Counter[str]
    ) -> None:
        self._generation = generation
        self._untimely = untimely
        self._time = EventTime(TimeSettings(), untimely)
        limits = TrackerLimits()

        def owns(key: Key) -> bool:
            return partition_of(key, partitions) == number

        self.tracker = SequenceTracker(
            generation.rules,
            generation.targets,
            attrs.evolve(limits, total=max(1, limits.total // partitions)),
            owns=owns,
        )

    @property
    def live(self) -> int:
        """How many partial matches there are."""
        return self.tracker.statistics.live

    @property
    def members(self) -> frozenset[str]:
        """Whom time waits for, or would if they were not quiet."""
        return self._time.source_names

    def wait_for(self, member: str) -> None:
        """Have time wait for a member, from now on."""
        self._time.source(member, 0, is_quiet=False)

    def take(self, member: str, message: bytes) -> list[Completion]:
        """Take a message, and return what goes on early where too much waits.

        Raises:
            StateError: the message is damaged.
        """
        self.wait_for(member)
        done: list[Completion] = []
        for state in decode_time(message, self._time.serials).matches:
            match = self._generation.match_of(state)
            if match is None:
                self._untimely[_RULE_CHANGED] += 1
            elif match.timestamp < self._time.watermark:
                self._untimely[_LATE] += 1
            else:
                self._time.wait(match)
                if self._time.is_full:
                    done += self._followed(self._time.relieve())
        return done

    def promise(self, member: str, watermark: int) -> None:
        """Hear that a member sends nothing older than `watermark` any more."""
        self._time.promise(member, watermark)

    def leave_out(self, member: str) -> None:
        """Wait no longer for a member until it sends something."""
        self._time.leave_out(member)

    def end(self, member: str) -> None:
        """Hear that a member sends nothing any more."""
        self._time.end(member)

    def pass_on(self) -> list[Completion]:
        """Let time go on, and return what that completes."""
        done = self._followed(self._time.pass_on())
        return [*done, *self.tracker.expire(self._time.watermark)]

    def finish(self) -> list[Completion]:
        """Hear that nothing at all will come, and return what that completes."""
        return [*self._followed(self._time.finish()), *self.tracker.finish()]

    def snapshot(self) -> bytes:
        """Return the state, for `restore`."""
        matches = [self._generation.match_state(*match) for match in self._time.all_matches()]
        time = encode_time(attrs.evolve(self._time.dump(), matches=matches))
        return msgspec.msgpack.encode(_Snapshot(self.tracker.snapshot(), time))

    def restore(self, snapshot: bytes) -> None:
        """Go on from a state; of a rule that is not the same here, it ends, counted.

        Raises:
            StateError: the snapshot is damaged, or of another version. Nothing has changed.
        """
        try:
            state = msgspec.msgpack.decode(snapshot, type=_Snapshot)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise StateError(f"the state of a partition is damaged: {error}") from error
        time = decode_time(state.time, self._time.serials)
        self.tracker.restore(state.tracker)
        self._time.load(time)
        for waiting in time.matches:
            match = self._generation.match_of(waiting)
            if match is None:
                self._untimely[_RULE_CHANGED] += 1
            else:
                self._time.wait(match)

    def _followed(self, matches: Sequence[WaitingMatch]) -> list[Completion]:
        if not matches:
            return []
        idle = self.tracker.idle(frozenset(itertools.chain(*{match.targets for match in matches})))
        return self.tracker.advance(
            [match.candidate() for match in matches if not idle.issuperset(match.targets)]
        )
