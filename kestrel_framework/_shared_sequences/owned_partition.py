"""A partition that this member owns, and its place in the store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kestrel_framework._piecewise_value import PiecewiseValue
from kestrel_framework._pipeline.flow import Completion
from kestrel_framework._shared_sequences.follower import PartitionFollower
from kestrel_framework._shared_sequences.neighbours import Neighbours
from kestrel_framework._shared_sequences.records import (
    FORMAT,
    PartitionRecord,
    encoded,
    message_key,
    partition_key,
)
from kestrel_framework.errors import StateError
from kestrel_framework.interfaces import Change, StateStore

_MESSAGES_AT_ONCE: Final = 32
"""How many messages of one member are taken in one turn, so that no turn takes long."""


class OwnedPartition:
    """Takes what members send to a partition, and writes what came of it.

    Args:
        number: The partition.
        store: Where everything is.
        follower: Follows its sequences.
        record: What the owner before wrote, or this member when it took the partition over.
        version: The version of the record that this member wrote.

    Attributes:
        number: As given.
        follower: As given.
        version: As given; whoever has written the record since then owns the partition.
        taken: How many messages of each member the state has.
    """

    def __init__(
        self,
        number: int,
        store: StateStore,
        follower: PartitionFollower,
        record: PartitionRecord,
        version: int,
    ) -> None:
        self.number = number
        self.follower = follower
        self.version = version
        self.taken = dict(record.taken)
        self._store = store
        self._state = PiecewiseValue(
            store, partition_key(number), f"the state of partition {number}"
        )
        self._done_with: list[bytes] = []
        self._settled = 0
        self._is_changed = False
        self._is_finished = record.finished
        if record.state:
            follower.restore(self._state.read(record.state))

    @property
    def key(self) -> bytes:
        """Where its record is."""
        return partition_key(self.number)

    @property
    def is_finished(self) -> bool:
        """Whether nothing is to come, and nothing is under way."""
        return self._is_finished

    def take(
        self, members: Sequence[str], neighbours: Neighbours, idle_after: float
    ) -> list[Completion]:
        """Take what waits in the inbox, let time go on, and return what that completes.

        Args:
            members: Who sends.
            neighbours: What they say of themselves.
            idle_after: Seconds after which nothing waits for a member that is silent.

        Raises:
            StateError: the store cannot be read, or a message is missing or damaged.
        """
        done: list[Completion] = []
        for member in members:
            done += self._take_from(member, neighbours, idle_after)
        done += self.follower.pass_on()
        self._is_changed = self._is_changed or bool(done)
        return done

    def has_taken_all(self, members: Sequence[str], neighbours: Neighbours) -> bool:
        """Say whether the state has all that was sent so far."""
        records = {member: neighbours.record(member) for member in members}
        return all(
            record is None or record.sent[self.number] == self.taken.get(member, 0)
            for member, record in records.items()
        )

    def finish(self) -> list[Completion]:
        """Hear that no member sends anything any more, and return what that completes."""
        if self._is_finished:
            return []
        self._is_finished = self._is_changed = True
        return self.follower.finish()

    def changes(self, owner: str, run: str) -> list[Change]:
        """Return what to commit; call `settle` with the versions after it.

        Args:
            owner: Who has the partition from then on; empty to give it up.
            run: Names this run of this member.
        """
        if not self._is_changed and owner:
            return []
        header, changes = self._state.written(self.follower.snapshot())
        record = PartitionRecord(FORMAT, owner, run, self.taken, header, self._is_finished)
        changes.append(Change(self.key, encoded(record)))
        changes += [Change(key, None) for key in self._done_with]
        self._settled = len(self._done_with)
        return changes

    def settle(self, version: int | None) -> None:
        """Hear that the last changes are committed, and the version of the record if it is new."""
        if version is not None:
            self.version = version
            self._state.settle()
            del self._done_with[: self._settled]
            self._is_changed = False

    def _take_from(
        self, member: str, neighbours: Neighbours, idle_after: float
    ) -> list[Completion]:
        follower, record = self.follower, neighbours.record(member)
        if record is None:
            if neighbours.silent_for(member) < idle_after:
                follower.wait_for(member)
            else:
                follower.leave_out(member)
            return []
        first, end = self.taken.get(member, 0), record.sent[self.number]
        until = min(end, first + _MESSAGES_AT_ONCE)
        keys = [message_key(self.number, member, number) for number in range(first, until)]
        found = self._store.get_many(keys) if keys else {}
        done: list[Completion] = []
        for key in keys:
            if key not in found:
                raise StateError(f"the message `{key.decode()}` is gone before it was taken")
            done += follower.take(member, found[key].value)
            self._done_with.append(key)
        if keys:
            self.taken[member] = until
            self._is_changed, self._is_finished = True, False
        if until < end:
            return done
        if record.ended:
            follower.end(member)
        elif neighbours.silent_for(member) >= idle_after:
            follower.leave_out(member)
        else:
            follower.wait_for(member)
            if record.watermark is not None:
                follower.promise(member, record.watermark)
        return done
