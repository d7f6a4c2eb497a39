"""What a tracker counts."""

from __future__ import annotations

import enum
from collections import Counter

import attrs


class EndReason(enum.Enum):
    """Why a tracker let go of an entry (see `TrackerLimits` for what an entry is)."""

    COMPLETED = "completed"
    """It became a finding."""
    EXPIRED = "expired"
    """Its maxspan passed."""
    UNTIL = "until"
    """An `until` event came."""
    REPLACED = "replaced"
    """A later one took its place at the same step."""
    CONTRADICTED = "contradicted"
    """An event came that a `![...]` forbids."""
    EVICTED = "evicted"
    """A limit was passed. Findings may be missing, or rest on a forgotten `![...]` event."""
    RULE_CHANGED = "rule_changed"
    """The rule set changed, and it could not go on."""

    # Reasons are counted all the time, and the hash of an enum is slow.
    __hash__ = object.__hash__


@attrs.define
class TrackerStatistics:
    """The counters of a tracker.

    Attributes:
        live: Entries held now.
        ended: How often entries ended, by reason; only ever grows.
        keys_left_out: Keys of events with more of them than `TrackerLimits.keys_per_event`.
    """

    live: int = 0
    ended: Counter[EndReason] = attrs.field(factory=Counter)
    keys_left_out: int = 0

    def begin(self) -> None:
        """Count an entry that begins."""
        self.live += 1

    def end(self, reason: EndReason, number: int = 1) -> None:
        """Count entries that end."""
        self.live -= number
        self.ended[reason] += number
