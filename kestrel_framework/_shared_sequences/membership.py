"""One engine among several that follow the same sequences."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final

import attrs

from kestrel_framework._checkpoints import Checkpoint, Checkpoints
from kestrel_framework._outbox import Outbox, Recipient
from kestrel_framework._shared_config import SharedConfig
from kestrel_framework._shared_sequences.feed import SharedDetector
from kestrel_framework._shared_sequences.neighbours import Neighbours
from kestrel_framework._shared_sequences.owned_partition import OwnedPartition
from kestrel_framework._shared_sequences.records import (
    FORMAT,
    MemberRecord,
    PartitionRecord,
    decoded,
    encoded,
    member_key,
    message_key,
    partition_key,
)
from kestrel_framework.alert import Alert
from kestrel_framework.detector import Detector
from kestrel_framework.errors import StateConflict, StateError
from kestrel_framework.interfaces import Change, StateStore, Versioned

_MOST_UNSENT_BYTES: Final = 8 * 1024 * 1024
_MOST_KEPT_BYTES: Final = 64 * 1024 * 1024
"""How much may wait to be sent while the store is away; then this member reads no more."""
_MOST_UNTAKEN: Final = 512
"""How many messages of this member may wait in inboxes; then it reads no more events."""


@attrs.frozen
class _Commit:
    """A commit, and what it means.

    Attributes:
        changes: As for the store.
        expected: As for the store.
        messages: How many of the unsent messages it sends.
        sent: How many are sent to each partition then.
        kept: The partitions that this member still has then.
    """

    changes: Sequence[Change]
    expected: Mapping[bytes, int | None]
    messages: int
    sent: list[int]
    kept: frozenset[int]


@attrs.frozen
class SharedStatistics:
    """What a member has done since it began, and what it has now.

    Attributes:
        partitions: Those it owns.
        taken_over: How many partitions it took over from members that were silent.
        lost: How many it lost to others.
        sent: Messages sent.
        taken: Messages taken.
        waiting: Messages of this member that nobody has taken yet.
        partial_matches: Those under way in its partitions.
    """

    partitions: int
    taken_over: int
    lost: int
    sent: int
    taken: int
    waiting: int
    partial_matches: int


class Membership:
    """Commits what this member does, and follows the partitions that it owns.

    For the thread of the engine. In turns: `turn` takes what others sent and returns the alerts
    that come of it; when these are delivered, `save` commits all of it together, with the
    positions of the sources and what goes to others.

    Nothing but the versions of records decides who owns what: a commit expects those that this
    member wrote. Whoever was taken for dead and is not, finds its commit refused.

    Args:
        store: Which others write to too.
        detector: Of this engine; it forwards from now on.
        config: Who is there.
        tell: Told, in a sentence, when partitions change hands.
        outputs: Who is given all alerts.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        store: StateStore,
        detector: Detector,
        config: SharedConfig,
        tell: Callable[[str], None],
        outputs: Collection[Recipient] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._me = config.member
        self._members = config.members
        self._partitions = config.partitions
        self._idle_after = config.idle_after
        self._tell = tell
        self._run = secrets.token_hex(8)
        self._detector = SharedDetector(detector, config.partitions, config.member)
        self._checkpoints = Checkpoints(store, member_key(config.member) + b"/", outputs)
        self._neighbours = Neighbours(
            config.member, config.members, config.partitions, config.lease, clock
        )
        self._version: int | None = None
        self._beat = 0
        self._ended = False
        self._sent = [0] * config.partitions
        self._unsent: list[tuple[int, bytes]] = []
        self._unsettled: _Commit | None = None
        self._owned: dict[int, OwnedPartition] = {}
        self._records: dict[int, PartitionRecord] = {}
        self._taken_over = self._lost = self._messages_taken = self._messages_sent = 0

    @property
    def outbox(self) -> Outbox:
        """The alerts that not every output of this member has."""
        return self._checkpoints.outbox

    @property
    def is_full(self) -> bool:
        """Whether so much is to be sent that it should be committed now."""
        return self._detector.size >= _MOST_UNSENT_BYTES

    @property
    def is_behind(self) -> bool:
        """Whether so much is not sent, or not taken, that this member should read no more."""
        unsent = self._detector.size + sum(len(message) for _, message in self._unsent)
        return self._waiting >= _MOST_UNTAKEN or unsent >= _MOST_KEPT_BYTES

    @property
    def is_over(self) -> bool:
        """Whether no member reads anything any more, and all is followed to its end."""
        return (
            self._all_ended
            and len(self._records) == self._partitions
            and all(record.finished for record in self._records.values())
        )

    @property
    def statistics(self) -> SharedStatistics:
        """What was done so far. From any thread."""
        owned = tuple(self._owned.values())
        return SharedStatistics(
            partitions=len(owned),
            taken_over=self._taken_over,
            lost=self._lost,
            sent=self._messages_sent,
            taken=self._messages_taken,
            waiting=self._waiting,
            partial_matches=sum(each.follower.live for each in owned),
        )

    def load(self, sources: Iterable[str]) -> Checkpoint:
        """Join the others, and return where this member goes on.

        A former run of the same member is fenced off.

        Raises:
            StateError: the store cannot be read or written, or what it has is damaged.
        """
        key = member_key(self._me)
        found = self._store.get_many([key]).get(key)
        if found is not None:
            self._neighbours.see({key: found})
            record = self._neighbours.record(self._me)
            assert record is not None
            self._sent, self._beat = list(record.sent), record.beat
            self._version = found.version
        watermark = None if found is None else decoded(found.value, MemberRecord, key).watermark
        self._commit(
            [Change(key, encoded(self._record(watermark, self._sent)))], {key: self._version}
        )
        return self._checkpoints.load(sources)

    def end(self) -> None:
        """Hear that the sources of this member have ended."""
        self._ended = True

    def turn(self) -> list[Alert]:
        """Take what was sent to the partitions of this member, and return what that completes.

        Takes over partitions that nobody has, or whose owner is silent.

        Raises:
            StateConflict: another process runs as this member.
            StateError: the store cannot be read or written, or what it has is damaged.
        """
        self._make_unsettled()
        keys = {partition_key(number): number for number in range(self._partitions)}
        stored = self._store.get_many([*self._neighbours.keys, *keys])
        self._neighbours.see(stored)
        for key, number in keys.items():
            self._look_after(number, stored.get(key))
        alerts: list[Alert] = []
        for partition in tuple(self._owned.values()):
            before = sum(partition.taken.values())
            try:
                done = partition.take(self._members, self._neighbours, self._idle_after)
            except StateError:
                if self._is_still_mine(partition):
                    raise
                self._lose(partition.number)  # the new owner took messages that we looked for
                continue
            self._messages_taken += sum(partition.taken.values()) - before
            if self._all_ended and partition.has_taken_all(self._members, self._neighbours):
                done += partition.finish()
            alerts += self._detector.alerts(done)
        return alerts

    def save(self, snapshot: bytes, positions: Mapping[str, str]) -> None:
        """Commit all that was done, in one: what comes next is not before it anywhere.

        Args:
            snapshot: The state of the detector, taken after everything that it was fed.
            positions: Where sources go on.

        Raises:
            StateConflict: another process runs as this member.
            StateError: it is not known to be committed. Where the error is transient, try again.
        """
        self._write(snapshot, positions, keep=True)

    def leave(self, snapshot: bytes, positions: Mapping[str, str]) -> None:
        """Commit all that was done, and give up all partitions; raises as `save`."""
        self._write(snapshot, positions, keep=False)

    @property
    def _waiting(self) -> int:
        taken = [record.taken.get(self._me, 0) for record in self._records.values()]
        return sum(self._sent) - sum(taken)

    @property
    def _all_ended(self) -> bool:
        return self._ended and all(map(self._has_ended, self._members))

    def _has_ended(self, member: str) -> bool:
        record = self._neighbours.record(member)
        return (record is not None and record.ended) or self._neighbours.silent_for(
            member
        ) >= self._idle_after

    # --- partitions ---------------------------------------------------------------------

    def _look_after(self, number: int, entry: Versioned | None) -> None:
        """See who has a partition, and take it over if this member should."""
        key = partition_key(number)
        record = None if entry is None else decoded(entry.value, PartitionRecord, key)
        if record is not None:
            self._records[number] = record
        owned = self._owned.get(number)
        if owned is not None:
            if entry is None or entry.version != owned.version:
                self._lose(number)
            return
        is_free = record is None or record.owner in ("", self._me)
        if not is_free and record is not None:
            is_free = not self._neighbours.lives(record.owner, record.run)
        if is_free and self._should_have(number):
            self._take_over(number, record, None if entry is None else entry.version)

    def _should_have(self, number: int) -> bool:
        return self._neighbours.choice(number) == self._me

    def _take_over(self, number: int, record: PartitionRecord | None, version: int | None) -> None:
        before = record or PartitionRecord(FORMAT, "", "", {}, b"", finished=False)
        mine = PartitionRecord(
            FORMAT, self._me, self._run, before.taken, before.state, before.finished
        )
        key = partition_key(number)
        try:
            versions = self._store.commit([Change(key, encoded(mine))], {key: version})
        except StateConflict:
            return  # somebody else was quicker
        follower = self._detector.follower(number)
        self._owned[number] = OwnedPartition(number, self._store, follower, mine, versions[key])
        self._records[number] = mine
        if before.owner not in ("", self._me):
            self._taken_over += 1
            self._tell(f"partition {number} is taken over: `{before.owner}` was silent")

    def _is_still_mine(self, partition: OwnedPartition) -> bool:
        entry = self._store.get_many([partition.key]).get(partition.key)
        return entry is not None and entry.version == partition.version

    def _lose(self, number: int) -> None:
        del self._owned[number]
        self._lost += 1
        self._tell(f"partition {number} was taken over by another member")

    # --- commits -------------------------------------------------------------------------

    def _write(self, snapshot: bytes, positions: Mapping[str, str], *, keep: bool) -> None:
        self._make_unsettled()
        for partition, messages in enumerate(self._detector.messages()):
            self._unsent += [(partition, message) for message in messages]
        is_made = False
        while not is_made:
            self._unsettled = self._prepared(snapshot, positions, keep=keep)
            is_made = self._make_unsettled()

    def _prepared(self, snapshot: bytes, positions: Mapping[str, str], *, keep: bool) -> _Commit:
        sent = list(self._sent)
        changes = self._checkpoints.changes(snapshot, positions)
        for partition, message in self._unsent:
            changes.append(Change(message_key(partition, self._me, sent[partition]), message))
            sent[partition] += 1
        record = self._record(self._detector.watermark, sent)
        changes.append(Change(member_key(self._me), encoded(record)))
        expected: dict[bytes, int | None] = {member_key(self._me): self._version}
        kept = frozenset(n for n in self._owned if keep and self._should_have(n))
        for number, each in self._owned.items():
            changes += each.changes(self._me if number in kept else "", self._run)
            expected[each.key] = each.version
        return _Commit(changes, expected, len(self._unsent), sent, kept)

    def _make_unsettled(self) -> bool:
        """Make the commit that is prepared, if one is; not where partitions of it were lost.

        One of which nobody knows whether it was made has to be made again just so, before
        anything else is asked of the store: then its true outcome is found out.
        """
        prepared = self._unsettled
        if prepared is None:
            return True
        try:
            versions = self._commit(prepared.changes, prepared.expected)
        except StateConflict as conflict:
            lost = [number for number, each in self._owned.items() if each.key in conflict.keys]
            if member_key(self._me) in conflict.keys or not lost:
                raise
            self._unsettled = None
            for number in lost:
                self._lose(number)
            return False
        self._unsettled = None
        self._sent = prepared.sent
        self._messages_sent += prepared.messages
        del self._unsent[: prepared.messages]
        self._checkpoints.settle()
        for each in self._owned.values():
            each.settle(versions.get(each.key))
        self._owned = {n: each for n, each in self._owned.items() if n in prepared.kept}
        return True

    def _commit(
        self, changes: Sequence[Change], expected: Mapping[bytes, int | None]
    ) -> Mapping[bytes, int]:
        key = member_key(self._me)
        try:
            versions = self._store.commit(changes, expected)
        except StateConflict as conflict:
            if key in conflict.keys:
                problem = f"another process runs as the member `{self._me}`"
                raise StateConflict(problem, conflict.keys) from conflict
            raise
        self._version = versions[key]
        self._beat += 1
        return versions

    def _record(self, watermark: int | None, sent: list[int]) -> MemberRecord:
        return MemberRecord(
            FORMAT, self._partitions, self._run, self._beat + 1, self._ended, watermark, sent
        )
