"""How many processes are remembered."""

from __future__ import annotations

import sys
from typing import Final, Self

import attrs

DEFAULT_PROCESSES: Final = 65_536

_at_least_one = attrs.validators.ge(1)


@attrs.frozen
class LineageLimits:
    """Bounds on what is remembered of processes; whoever starts processes can fill it.

    Attributes:
        processes: Processes of one tree. When there are more, those go first that no query
            of a rule concerns, then the others; of each, the one seen longest ago.
        generations: How far up a decision looks for what ancestors did after their
            descendant was first seen. What they did before that is known at any distance.
    """

    processes: int = attrs.field(default=DEFAULT_PROCESSES, validator=_at_least_one)
    generations: int = attrs.field(default=256, validator=_at_least_one)

    @classmethod
    def unlimited(cls) -> Self:
        """Return limits for a search, where all events are in memory anyway.

        The generations stay: they bound the time that one event takes.
        """
        return cls(processes=sys.maxsize)
