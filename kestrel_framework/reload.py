"""What becomes of what is under way when the rules change, and what a change did."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

import attrs

MOST_DRAINING: Final = 4
"""How many old revisions of one rule go on beside it; of more, the oldest ends."""


class OnRuleChange(enum.Enum):
    """What becomes of partial matches whose rule changed or went."""

    DRAIN = "drain"
    """They go on with the old meaning until they end by themselves, and nothing new begins."""
    DROP = "drop"
    """They end, counted as `rule_changed`."""


@attrs.frozen
class CarriedMatches:
    """Partial matches, as `PartialMatches` counts them, that had the same fate.

    Attributes:
        number: How many there are.
        by_rule: How many of each rule, by its id; empty where there are more than 20 rules.
    """

    number: int = 0
    by_rule: Mapping[str, int] = attrs.field(factory=lambda: MappingProxyType({}))


@attrs.frozen
class ReloadReport:
    """What going on with other rules did.

    Attributes:
        added: The ids of rules that were not there before, sorted.
        removed: Those that are no more.
        changed: Those that have other meanings, or other revisions side by side.
        unchanged: Those that mean the same.
        kept: Partial matches of revisions that go on.
        draining: Those that go on with the meaning of a revision that changed or went.
        ended: Those that ended, as `rule_changed`.
        waiting_kept: Step matches that still wait for their time.
        waiting_left_out: Those that do not, since their rule ended.
        compile_seconds: How long the rules took to compile: nothing has to wait meanwhile
            where they were prepared in another thread.
        seconds: How long the detector was held up by the change itself.
    """

    added: Sequence[str]
    removed: Sequence[str]
    changed: Sequence[str]
    unchanged: Sequence[str]
    kept: CarriedMatches
    draining: CarriedMatches
    ended: CarriedMatches
    waiting_kept: int
    waiting_left_out: int
    compile_seconds: float
    seconds: float

    def __str__(self) -> str:
        rules = ", ".join(
            f"{len(ids)} {name}"
            for name, ids in (
                ("added", self.added),
                ("removed", self.removed),
                ("changed", self.changed),
                ("unchanged", self.unchanged),
            )
        )
        left_out = f", {self.waiting_left_out} left out" if self.waiting_left_out else ""
        return (
            f"{rules}; partial matches: {self.kept.number} kept, "
            f"{self.draining.number} draining, {self.ended.number} ended; "
            f"{self.waiting_kept} step matches wait{left_out}; "
            f"compiled in {self.compile_seconds:.3f} s, swapped in {self.seconds * 1000:.1f} ms"
        )
