"""Stand-ins that record what happens to them, or fail when told to; and builders of data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from kestrel_framework.action import ActionOutcome, ActionRequest, ActionStatus
from kestrel_framework.alert import Alert, Evidence
from kestrel_framework.event import Document, EventBatch, EventIdentity
from kestrel_framework.interfaces import Logger, Metrics, PluginContext
from kestrel_framework.rule import RuleMetadata, RuleSeverity, Technique
from kestrel_framework.schema import SchemaRegistry

SECOND = 1_000_000_000
FAKE_NOW = 1_800_000_000 * SECOND
"""What a `FakeClock` begins with: a time in January 2027."""


# --- what plugins are given ------------------------------------------------------


@attrs.define
class FakeClock:
    """A clock that stands still until it is moved. Nanoseconds since 1970."""

    now: int = FAKE_NOW

    def __call__(self) -> int:
        return self.now

    def advance(self, seconds: float) -> None:
        """Move the clock."""
        self.now += round(seconds * SECOND)


@attrs.frozen
class LoggedEvent:
    """One line of a log."""

    level: str
    event: str
    details: Mapping[str, object]


class RecordingLogger:
    """A logger that keeps what it was told."""

    def __init__(self) -> None:
        self.events: list[LoggedEvent] = []

    def debug(self, event: str, **details: object) -> None:
        self.events.append(LoggedEvent("debug", event, details))

    def info(self, event: str, **details: object) -> None:
        self.events.append(LoggedEvent("info", event, details))

    def warning(self, event: str, **details: object) -> None:
        self.events.append(LoggedEvent("warning", event, details))

    def error(self, event: str, **details: object) -> None:
        self.events.append(LoggedEvent("error", event, details))


class CountingMetrics:
    """Counters that a test can look at."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def count(self, name: str, amount: int = 1) -> None:
        self.counts[name] += amount


def make_context(
    name: str = "test",
    *,
    schema: SchemaRegistry | None = None,
    logger: Logger | None = None,
    metrics: Metrics | None = None,
    clock: FakeClock | None = None,
    state_directory: Path | None = None,
) -> PluginContext:
    """Return a context as an engine gives it; what is left out is a fake."""
    return PluginContext(
        name=name,
        schema=schema or SchemaRegistry.ecs(),
        logger=logger or RecordingLogger(),
        metrics=metrics or CountingMetrics(),
        clock=clock or FakeClock(),
        state_directory=state_directory,
    )


# --- sources, outputs, actions -----------------------------------------------------


class FakeSource:
    """A source of given batches.

    Attributes:
        opened_at: The positions it was opened with.
        acknowledged: The positions it was told are done.
        closed: How often it was closed.
    """

    def __init__(self, *batches: EventBatch | Sequence[Document]) -> None:
        self._batches = [
            batch if isinstance(batch, EventBatch) else EventBatch(documents=batch)
            for batch in batches
        ]
        self.opened_at: list[str | None] = []
        self.acknowledged: list[str] = []
        self.closed = 0

    def open(self, position: str | None) -> None:
        self.opened_at.append(position)

    def read(self, max_events: int, timeout: float) -> EventBatch | None:
        """Return the next batch as it was given, whatever `max_events` says."""
        return self._batches.pop(0) if self._batches else None

    def acknowledge(self, position: str) -> None:
        self.acknowledged.append(position)

    def close(self) -> None:
        self.closed += 1


class RecordingOutput:
    """An output that keeps what it was given.

    Attributes:
        alerts: All that was flushed, in order.
        opened: How often it was opened.
        closed: How often it was closed.
    """

    def __init__(self) -> None:
        self._written: list[Alert] = []
        self.alerts: list[Alert] = []
        self.opened = 0
        self.closed = 0

    def open(self) -> None:
        self.opened += 1

    def write(self, alerts: Sequence[Alert]) -> None:
        self._written += alerts

    def flush(self) -> None:
        self.alerts += self._written
        self._written.clear()

    def close(self) -> None:
        self.closed += 1


class RecordingAction:
    """An action that keeps what it was asked, and does each request once."""

    def __init__(self) -> None:
        self.requests: list[ActionRequest] = []
        self.done: list[ActionRequest] = []

    def execute(self, request: ActionRequest) -> ActionOutcome:
        self.requests.append(request)
        if request.dry_run:
            return ActionOutcome(ActionStatus.REFUSED, "dry run")
        if all(request.request_id != before.request_id for before in self.done):
            self.done.append(request)
        return ActionOutcome(ActionStatus.DONE, "recorded")


class _Failures:
    """Which calls fail, and how: `failing["read"] = InputError("gone")`."""

    def __init__(self, failing: Mapping[str, BaseException]) -> None:
        self.failing = dict(failing)
        self.calls: Counter[str] = Counter()

    def _called(self, method: str) -> None:
        self.calls[method] += 1
        error = self.failing.get(method)
        if error is not None:
            raise error


class FailingSource(_Failures):
    """A source whose methods raise what they are told to.

    Attributes:
        failing: Method name to what it raises; change it to fail on demand.
        calls: How often each method was called.
    """

    def __init__(self, source: FakeSource | None = None, **failing: BaseException) -> None:
        super().__init__(failing)
        self._source = source or FakeSource()

    def open(self, position: str | None) -> None:
        self._called("open")
        self._source.open(position)

    def read(self, max_events: int, timeout: float) -> EventBatch | None:
        self._called("read")
        return self._source.read(max_events, timeout)

    def acknowledge(self, position: str) -> None:
        self._called("acknowledge")
        self._source.acknowledge(position)

    def close(self) -> None:
        self._called("close")
        self._source.close()


class FailingOutput(_Failures):
    """An output whose methods raise what they are told to; see `FailingSource`.

    Attributes:
        alerts: What was delivered in spite of all.
    """

    def __init__(self, **failing: BaseException) -> None:
        super().__init__(failing)
        self._output = RecordingOutput()

    @property
    def alerts(self) -> list[Alert]:
        return self._output.alerts

    def open(self) -> None:
        self._called("open")
        self._output.open()

    def write(self, alerts: Sequence[Alert]) -> None:
        self._called("write")
        self._output.write(alerts)

    def flush(self) -> None:
        self._called("flush")
        self._output.flush()

    def close(self) -> None:
        self._called("close")
        self._output.close()


class FailingAction(_Failures):
    """An action that raises what it is told to; see `FailingSource`."""

    def __init__(self, **failing: BaseException) -> None:
        super().__init__(failing)
        self._action = RecordingAction()

    @property
    def done(self) -> list[ActionRequest]:
        return self._action.done

    def execute(self, request: ActionRequest) -> ActionOutcome:
        self._called("execute")
        return self._action.execute(request)


# --- data ----------------------------------------------------------------------------


def make_process_event(
    name: str = "bash",
    *,
    seconds: float = 0,
    pid: int = 4711,
    action: str = "exec",
    host: str = "host-1",
    **process: object,
) -> dict[str, object]:
    """Return an event of the start of a process, as endpoint sources report it.

    Args:
        name: Name of the process.
        seconds: When, counted from `FAKE_NOW`.
        pid: Its process id.
        action: What happened.
        host: The id of the host.
        process: More fields under `process`, such as `args=["bash", "-c", "id"]`.
    """
    from kestrel_framework.timestamps import format_timestamp

    return {
        "@timestamp": format_timestamp(FAKE_NOW + round(seconds * SECOND)),
        "event": {"category": ["process"], "type": ["start"], "action": action},
        "host": {"id": host},
        "process": {"name": name, "pid": pid, "executable": f"/usr/bin/{name}", **process},
    }


def make_alert(
    number: int = 0,
    *,
    rule_id: str = "test.rule",
    severity: RuleSeverity = RuleSeverity.HIGH,
    document: Document | None = None,
    fields: Mapping[str, object] | None = None,
    detected_at: int | None = FAKE_NOW,
) -> Alert:
    """Return an alert with one event; each `number` gives another.

    Args:
        number: The offset of the event, and its time in seconds from `FAKE_NOW`.
        rule_id: The rule's id.
        severity: The rule's severity.
        document: The whole event, in place of that of a process.
        fields: The fields of the evidence, in place of the name of the process.
        detected_at: The time of detection.
    """
    metadata = RuleMetadata(
        rule_id,
        name="A rule for tests",
        severity=severity,
        threat=(
            Technique(
                tactic_id="TA0002",
                tactic_name="Execution",
                technique_id="T1059.004",
                technique_name="Unix Shell",
            ),
        ),
    )
    evidence = Evidence(
        identity=EventIdentity("test", number),
        timestamp=FAKE_NOW + number * SECOND,
        fields={"process.name": "bash"} if fields is None else fields,
        document=make_process_event(seconds=number) if document is None else document,
    )
    return Alert(
        rule=metadata,
        revision="1-00000000",
        semantic_hash="0" * 64,
        evidence=(evidence,),
        detected_at=detected_at,
    )


def make_action_request(
    number: int = 0, *, action: str = "log", dry_run: bool = False, **parameters: object
) -> ActionRequest:
    """Return a request to act; each `number` gives another, the same the same."""
    return ActionRequest(
        request_id=f"request-{number}",
        action=action,
        alert=make_alert(number),
        parameters=parameters,
        dry_run=dry_run,
    )
