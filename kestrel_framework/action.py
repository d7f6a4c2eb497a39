"""Actions: what an alert asks to be done, and what came of it."""

from __future__ import annotations

import enum
from collections.abc import Mapping

import attrs

from kestrel_framework.alert import Alert


class ActionStatus(enum.Enum):
    """What came of a request. Only what really happened is `DONE`."""

    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"


@attrs.frozen
class ActionRequest:
    """One thing to do for one alert.

    Attributes:
        request_id: The same request always has the same id: executors do it once.
        action: The action type, such as `log`.
        alert: What it is for.
        parameters: What the operator's configuration adds.
        dry_run: Say what would be done, and do nothing.
    """

    request_id: str
    action: str
    alert: Alert
    parameters: Mapping[str, object] = attrs.field(factory=dict)
    dry_run: bool = True


@attrs.frozen
class ActionOutcome:
    """What came of a request, with a sentence for the log."""

    status: ActionStatus
    reason: str = ""
