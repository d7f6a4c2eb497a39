"""How much unfinished sequences, samples and joins may hold."""

from __future__ import annotations

import sys
from typing import Self

import attrs

_at_least_one = attrs.validators.ge(1)


@attrs.frozen
class TrackerLimits:
    """Bounds on what a tracker remembers; an attacker can make events, so each is hard.

    What counts is an **entry**: a partial match, a complete one that waits whether a
    forbidden event still comes, a remembered event of a leading `![...]`, or an event that
    a sample or join holds. When a limit is passed, the entries whose first event is oldest go
    first, counted as `evicted`. Bytes are obeyed after each batch of step matches.

    Attributes:
        per_key: Matches of one rule and key that wait for a forbidden event. (Of partial
            matches there is at most one for each step, of the events of samples and joins a
            fixed number.)
        per_rule: Entries of one rule.
        total: Entries of all rules. A 64th of them is freed at once, after everything that
            has expired.
        rule_bytes: Bytes of the events that the entries of one rule hold, roughly; each event
            counts once. An eighth of it is freed at once, and it can be passed by as much.
        total_bytes: The same for all rules together.
        keys_per_event: Keys that one event may have when its key fields have several values;
            the rest are left out, counted.
    """

    per_key: int = attrs.field(default=1_000, validator=_at_least_one)
    per_rule: int = attrs.field(default=100_000, validator=_at_least_one)
    total: int = attrs.field(default=1_000_000, validator=_at_least_one)
    keys_per_event: int = attrs.field(default=256, validator=_at_least_one)
    rule_bytes: int = attrs.field(default=256 * 1024 * 1024, validator=_at_least_one)
    total_bytes: int = attrs.field(default=1024 * 1024 * 1024, validator=_at_least_one)

    @classmethod
    def unlimited(cls) -> Self:
        """Return limits for a search, where all events are in memory anyway."""
        most = sys.maxsize
        return cls(most, most, most, 100_000, most, most)
