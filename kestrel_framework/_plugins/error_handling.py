"""What to do about a failed call: a chain of handlers that resolves to one decision."""

from __future__ import annotations

import enum
import random
from collections.abc import Callable
from typing import TypeVar

import attrs

from kestrel_framework.errors import (
    ConfigurationError,
    KestrelError,
    PluginError,
    ResourceLimitError,
    RuleError,
    StateConflict,
    StateError,
)


class Decision(enum.Enum):
    """What follows a failed call. The place that made the call carries it out."""

    CONTINUE = "continue"
    """Go on as though the call had not been necessary."""
    SKIP = "skip"
    """Leave out what the call was about, and count it."""
    RETRY = "retry"
    """Make the same call again, later."""
    FALL_BACK = "fall back"
    """Let another runtime answer."""
    STOP = "stop"
    """Make no more calls to this instance."""


@attrs.frozen
class Fault:
    """A call into a plugin that failed.

    Attributes:
        error: What happened; `PluginError` where the plugin did not explain itself.
        operation: The method, such as `read`.
        attempt: Which attempt failed, from 1.
        idempotent: Whether making the same call again does no harm.
        unexpected: Whether the plugin raised something other than a `KestrelError`.
        suspended: Whether the breaker refused the call.
        has_fallback: Whether another runtime could answer.
    """

    error: KestrelError
    operation: str
    attempt: int = 1
    idempotent: bool = False
    unexpected: bool = False
    suspended: bool = False
    has_fallback: bool = False

    def allows(self, decision: Decision) -> bool:
        """Say whether a decision can be carried out at all for this call."""
        if decision is Decision.RETRY:
            return self.idempotent and not self.suspended
        return decision is not Decision.FALL_BACK or self.has_fallback


ErrorHandler = Callable[[Fault], Decision | None]
"""Gives its decision about a fault, or None to leave it to the next handler."""


@attrs.frozen
class RetryTransient:
    """A handler that retries what may succeed later, a bounded number of times.

    Never a `StateConflict`: who lost has to read first.
    """

    attempts: int = attrs.field(default=4, validator=attrs.validators.ge(1))

    def __call__(self, fault: Fault) -> Decision | None:
        lost_race = isinstance(fault.error, StateConflict)
        if fault.error.transient and not lost_race and fault.attempt < self.attempts:
            return Decision.RETRY
        return None


def fall_back(fault: Fault) -> Decision | None:
    """Let another runtime answer wherever one can."""
    return Decision.FALL_BACK if fault.has_fallback else None


def skip_unexpected(fault: Fault) -> Decision | None:
    """Skip after an accident: the next call may go well, and the breaker counts."""
    return Decision.SKIP if fault.unexpected else None


def skip_suspended(fault: Fault) -> Decision | None:
    """Skip while the breaker refuses calls: it admits one again later."""
    return Decision.SKIP if fault.suspended else None


def always(decision: Decision) -> ErrorHandler:
    """Return a handler for the end of a chain."""
    return lambda fault: decision


class HandlerChain:
    """Handlers in order; the first decision that can be carried out counts.

    A retry of a call that is not idempotent, or a fall-back where there is nothing to
    fall back to, is passed over. Without any decision it is `STOP`. A handler
    that raises has no say: its error is not allowed to hide the first one.
    """

    def __init__(self, *handlers: ErrorHandler) -> None:
        self._handlers = handlers

    def resolve(self, fault: Fault) -> Decision:
        """Return the one decision."""
        for handler in self._handlers:
            try:
                decision = handler(fault)
            except Exception:  # noqa: BLE001, S112 - see the docstring
                continue
            if isinstance(decision, Decision) and fault.allows(decision):
                return decision
        return Decision.STOP


@attrs.frozen
class Backoff:
    """How long to wait before the next attempt: doubling, bounded, with jitter.

    Attributes:
        first: Greatest wait before the second attempt, in seconds.
        longest: Greatest wait at all, in seconds.
        random: Uniform in [0, 1): the wait is between half and all of the greatest, so
            that many agents do not retry in step.
    """

    first: float = 0.1
    longest: float = 5.0
    random: Callable[[], float] = random.random

    def seconds(self, attempt: int) -> float:
        """Return the wait after the failed attempt number `attempt` (from 1)."""
        greatest = min(self.longest, self.first * 2.0 ** min(attempt - 1, 32))
        return greatest * (0.5 + 0.5 * self.random())


def blames_plugin(error: KestrelError) -> bool:
    """Say whether an error counts against the plugin that raised it.

    A wrong rule or setting is its author's, a lost race nobody's, and a
    limit that a rule ran into costs that rule alone. A state store whose server is away
    says so, and whoever needs it waits: it must not be left alone once the server is back.
    """
    if isinstance(error, StateError) and error.transient:
        return False
    innocent = (RuleError, ConfigurationError, StateConflict, ResourceLimitError)
    return isinstance(error, PluginError) or not isinstance(error, innocent)


ErrorT = TypeVar("ErrorT", bound=KestrelError)


def translated(kind: type[ErrorT], error: KestrelError) -> ErrorT:
    """Return `error` itself if it is of the kind, else one of the kind that it caused."""
    if isinstance(error, kind):
        return error
    made = kind(str(error), severity=error.severity, context=error.context)
    made.__cause__ = error
    return made
