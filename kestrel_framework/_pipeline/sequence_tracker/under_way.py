"""What a rule waits for, as people look at it."""

from __future__ import annotations

import attrs

from kestrel_framework._pipeline.sequence_tracker.step_events import StepEvent
from kestrel_framework.values import Scalar


@attrs.frozen
class UnderWay:
    """A partial match.

    Attributes:
        match: The same object as long as it goes on; only its identity means something.
        key: The values of the join keys that its events share.
        events: One for each step or filter; None where there is none yet, or none at all.
    """

    match: object
    key: tuple[Scalar | None, ...]
    events: tuple[StepEvent | None, ...]
