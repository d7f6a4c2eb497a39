"""Who of the members lives, as far as one of them can tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from kestrel_framework._shared_sequences.records import MemberRecord, decoded, member_key
from kestrel_framework.errors import StateError
from kestrel_framework.interfaces import Versioned


class Neighbours:
    """The members, by what they last wrote and when that changed.

    Clocks of hosts are not compared: a member lives as long as its record keeps changing. Where
    this one could not look for long, as while the store is away, nobody was silent meanwhile.

    Args:
        me: This member.
        members: All of them, in the order of the configuration.
        partitions: How many partitions all must agree on.
        lease: Seconds without a change after which a member counts as dead.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        me: str,
        members: Sequence[str],
        partitions: int,
        lease: float,
        clock: Callable[[], float],
    ) -> None:
        self._me = me
        self._members = members
        self._partitions = partitions
        self._lease = lease
        self._clock = clock
        self._began = self._looked_at = clock()
        self._changed: dict[str, tuple[int, float]] = {}
        self._records: dict[str, MemberRecord] = {}

    @property
    def keys(self) -> dict[bytes, str]:
        """Where their records are."""
        return {member_key(member): member for member in self._members}

    def see(self, stored: Mapping[bytes, Versioned]) -> None:
        """Look at what is stored.

        Raises:
            StateError: a record is damaged, or its member knows other partitions.
        """
        now = self._clock()
        blind = now - self._looked_at
        self._looked_at = now
        if blind >= self._lease / 2:
            self._began += blind
            self._changed = {m: (version, at + blind) for m, (version, at) in self._changed.items()}
        for key, member in self.keys.items():
            entry = stored.get(key)
            if entry is None:
                continue
            version, _ = self._changed.get(member, (None, now))
            if version != entry.version:
                self._changed[member] = entry.version, now
                self._records[member] = self._checked(decoded(entry.value, MemberRecord, key), key)

    def record(self, member: str) -> MemberRecord | None:
        """Return what a member last wrote, if it ever did."""
        return self._records.get(member)

    def silent_for(self, member: str) -> float:
        """Return for how many seconds a member wrote nothing."""
        since = self._changed[member][1] if member in self._changed else self._began
        return self._clock() - since

    def lives(self, member: str, run: str | None = None) -> bool:
        """Say whether a member lives, and is still the same run of it."""
        if member == self._me:
            known = self._records.get(member)
            return run is None or (known is not None and known.run == run)
        known = self._records.get(member)
        if known is None or self.silent_for(member) >= self._lease:
            return False
        return run is None or known.run == run

    def choice(self, partition: int) -> str:
        """Return who should have a partition: the first that lives, from one of its own on."""
        count = len(self._members)
        ring = [self._members[(partition + step) % count] for step in range(count)]
        return next((member for member in ring if self.lives(member)), self._me)

    def _checked(self, record: MemberRecord, key: bytes) -> MemberRecord:
        if record.partitions != self._partitions or len(record.sent) != self._partitions:
            raise StateError(
                f"`{key.decode()}` knows {record.partitions} partitions, and this member "
                f"{self._partitions}: all members need the same `shared.partitions`"
            )
        return record
