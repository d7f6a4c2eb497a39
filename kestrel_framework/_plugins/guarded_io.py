"""Sources, outputs and actions behind their fault boundary.

Each is itself an object of its interface, so that the engine's threads need not know
of faults: what comes out is a checked value, or an error whose class says what follows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

from kestrel_framework._plugins.error_handling import (
    Decision,
    HandlerChain,
    RetryTransient,
    always,
    skip_suspended,
    skip_unexpected,
    translated,
)
from kestrel_framework._plugins.faults import Failed, FaultBoundary
from kestrel_framework.action import ActionOutcome, ActionRequest, ActionStatus
from kestrel_framework.alert import Alert
from kestrel_framework.errors import (
    InputError,
    OutputError,
)
from kestrel_framework.event import EventBatch
from kestrel_framework.interfaces import (
    ActionExecutor,
    EventSource,
    OutputHandler,
    SupportsLiveness,
    SupportsProgress,
)

T = TypeVar("T")

_STOP: Final = HandlerChain()
_CONTINUE: Final = HandlerChain(always(Decision.CONTINUE))
_READ: Final = HandlerChain(skip_unexpected)
_WRITE: Final = HandlerChain(RetryTransient(), skip_unexpected, skip_suspended)
_EXECUTE: Final = HandlerChain(RetryTransient(), always(Decision.SKIP))


class GuardedSource:
    """An `EventSource` behind its boundary.

    `open` and `read` raise `InputError` where the source is over. `read` raises
    `PluginError` where one read failed by accident and the next may go well. The
    other methods raise nothing.
    """

    def __init__(self, source: EventSource, boundary: FaultBoundary) -> None:
        self._source = source
        self._boundary = boundary

    @property
    def plugin(self) -> str:
        """Whose source it is."""
        return self._boundary.plugin

    @property
    def live(self) -> bool:
        """Whether the source is live; one that does not say is taken for live."""
        source = self._source
        if not isinstance(source, SupportsLiveness):
            return True
        result = self._boundary.call("live", lambda: bool(source.live), _CONTINUE)
        return True if isinstance(result, Failed) else result.value

    def open(self, position: str | None) -> None:
        result = self._boundary.call("open", lambda: self._source.open(position), _STOP)
        if isinstance(result, Failed):
            raise translated(InputError, result.error)

    def read(self, max_events: int, timeout: float) -> EventBatch | None:
        result = self._boundary.call(
            "read", lambda: _checked_batch(self._source.read(max_events, timeout)), _READ
        )
        if isinstance(result, Failed):
            if result.decision is Decision.SKIP:
                raise result.error
            raise translated(InputError, result.error)
        return result.value

    def acknowledge(self, position: str) -> None:
        self._boundary.call("acknowledge", lambda: self._source.acknowledge(position), _CONTINUE)

    def close(self) -> None:
        self._boundary.call("close", self._source.close, _CONTINUE, in_any_case=True)

    def progress(self) -> tuple[int, int] | None:
        source = self._source
        if not isinstance(source, SupportsProgress):
            return None
        result = self._boundary.call(
            "progress", lambda: _checked_pair(source.progress()), _CONTINUE
        )
        return None if isinstance(result, Failed) else result.value


class GuardedOutput:
    """An `OutputHandler` behind its boundary.

    What is transient has been tried again. `OutputError` says that the output is
    over; `PluginError` that these alerts are not delivered and later ones may be.
    `close` raises nothing.
    """

    def __init__(self, output: OutputHandler, boundary: FaultBoundary) -> None:
        self._output = output
        self._boundary = boundary

    def open(self) -> None:
        result = self._boundary.call("open", self._output.open, _STOP)
        if isinstance(result, Failed):
            raise translated(OutputError, result.error)

    def write(self, alerts: Sequence[Alert]) -> None:
        self._deliver("write", lambda: self._output.write(alerts))

    def flush(self) -> None:
        self._deliver("flush", self._output.flush)

    def close(self) -> None:
        self._boundary.call("close", self._output.close, _CONTINUE, in_any_case=True)

    def _deliver(self, operation: str, function: Callable[[], None]) -> None:
        result = self._boundary.call(operation, function, _WRITE, idempotent=True)
        if isinstance(result, Failed):
            if result.decision is Decision.SKIP:
                raise result.error
            raise translated(OutputError, result.error)


class GuardedAction:
    """An `ActionExecutor` behind its boundary: a failure is an outcome."""

    def __init__(self, executor: ActionExecutor, boundary: FaultBoundary) -> None:
        self._executor = executor
        self._boundary = boundary

    def execute(self, request: ActionRequest) -> ActionOutcome:
        result = self._boundary.call(
            "execute",
            lambda: _checked(ActionOutcome, self._executor.execute(request)),
            _EXECUTE,
            idempotent=True,
        )
        if isinstance(result, Failed):
            return ActionOutcome(ActionStatus.FAILED, str(result.error))
        return result.value


def _checked(kind: type[T], value: object) -> T:
    if not isinstance(value, kind):
        raise TypeError(f"it returned a {type(value).__name__}, not a {kind.__name__}")
    return value


def _checked_batch(batch: object) -> EventBatch | None:
    if batch is None:
        return None
    checked = _checked(EventBatch, batch)
    problems = [
        name
        for name, right in (
            ("documents", isinstance(checked.documents, Sequence)),
            ("payloads", set(map(type, checked.payloads)) <= {bytes}),
            ("payload_format", checked.payload_format == "json" or not checked.payloads),
            ("position", isinstance(checked.position, str | None)),
            ("lost", _are_counts(checked.lost)),
            ("watermark", isinstance(checked.watermark, int | None)),
            ("stream", isinstance(checked.stream, str | None)),
            ("first_offset", isinstance(checked.first_offset, int | None)),
            ("origin", isinstance(checked.origin, str)),
            ("disorder", isinstance(checked.disorder, int)),
        )
        if not right
    ]
    if problems:
        raise TypeError(f"it returned a batch that is wrong in: {', '.join(problems)}")
    return checked


def _are_counts(lost: object) -> bool:
    return isinstance(lost, Mapping) and all(
        isinstance(cause, str) and isinstance(count, int) and count >= 0
        for cause, count in lost.items()
    )


def _checked_pair(value: object) -> tuple[int, int] | None:
    match value:
        case None:
            return None
        case (int(done), int(total)):
            return done, total
        case _:
            raise TypeError(f"it returned a {type(value).__name__}, not (done, total)")
