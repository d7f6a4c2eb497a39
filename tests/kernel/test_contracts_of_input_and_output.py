"""The contracts of sources, outputs, actions and stores: what is wrong fails them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import SimpleNamespace

import attrs
import pytest

from kestrel_framework._builtin.memory_state import MemoryStateStore
from kestrel_framework.action import ActionOutcome, ActionRequest, ActionStatus
from kestrel_framework.alert import Alert
from kestrel_framework.errors import (
    InputError,
    OutputError,
    StateConflict,
)
from kestrel_framework.event import EventBatch
from kestrel_framework.interfaces import (
    Change,
    EventSource,
    OutputHandler,
    StateStore,
    Versioned,
)
from kestrel_framework.testing import (
    ActionExecutorContract,
    EventSourceContract,
    OutputHandlerContract,
    RecordingAction,
    RecordingOutput,
    StateStoreContract,
    make_action_request,
    make_process_event,
)


def fails(test: Callable[..., None], *arguments: object) -> bool:
    """Say whether a contract test finds something wrong."""
    try:
        test(*arguments)
    except (AssertionError, TypeError, KeyError, pytest.fail.Exception):
        return True
    return False


# --- event sources ---------------------------------------------------------------------------


class Numbers:
    """A right source: events 0, 1, 2, with positions."""

    def __init__(self) -> None:
        self.next = 0
        self.end = 3

    def open(self, position: str | None) -> None:
        if position is not None:
            if position not in ("1", "2", "3"):
                raise InputError("not a position of this source")
            self.next = int(position)

    def read(self, max_events: int, timeout: float) -> EventBatch | None:
        if self.next >= self.end:
            return None
        first = self.next
        self.next = min(self.end, first + max_events)
        return self.batch(first)

    def batch(self, first: int) -> EventBatch:
        documents = [make_process_event(pid=number) for number in range(first, self.next)]
        return EventBatch(
            documents=documents, position=str(self.next), stream="numbers", first_offset=first
        )

    def acknowledge(self, position: str) -> None:
        pass

    def close(self) -> None:
        pass


class TestNumbers(EventSourceContract):
    supports_positions = True

    @pytest.fixture
    def source(self) -> EventSource:
        return Numbers()

    @pytest.fixture
    def another_source(self) -> Callable[[], EventSource]:
        return Numbers


class TooMany(Numbers):
    def read(self, max_events: int, timeout: float) -> EventBatch | None:
        return super().read(max_events + 1, timeout)


class TextPayloads(Numbers):
    def batch(self, first: int) -> EventBatch:
        return EventBatch(payloads=["{}"] * (self.next - first))  # type: ignore[list-item]


class DottedKeys(Numbers):
    def batch(self, first: int) -> EventBatch:
        return EventBatch(documents=[{"process.name": "bash"}] * (self.next - first))


class LosesNothing(Numbers):
    def batch(self, first: int) -> EventBatch:
        return attrs.evolve(super().batch(first), lost={"overrun": 0})


class SameOffset(Numbers):
    def batch(self, first: int) -> EventBatch:
        return attrs.evolve(super().batch(first), first_offset=0)


class NoOffset(Numbers):
    def batch(self, first: int) -> EventBatch:
        return attrs.evolve(super().batch(first), first_offset=None)


class ReusesItsDocuments(Numbers):
    def __init__(self) -> None:
        super().__init__()
        self.documents: list[dict[str, object]] = [{}]

    def batch(self, first: int) -> EventBatch:
        self.documents[0]["pid"] = first
        return EventBatch(documents=self.documents)


class BeginsAgain(Numbers):
    def read(self, max_events: int, timeout: float) -> EventBatch | None:
        batch = super().read(max_events, timeout)
        if batch is None:
            self.next = 0
        return batch


class ClosesOnce(Numbers):
    closed = False

    def close(self) -> None:
        assert not self.closed
        self.closed = True


class ClosesWhatItOpened(Numbers):
    handle: list[object]

    def open(self, position: str | None) -> None:
        self.handle = []

    def close(self) -> None:
        self.handle.clear()


class RepeatsAfterItsPosition(Numbers):
    def open(self, position: str | None) -> None:
        super().open(position)
        self.next = max(0, self.next - 1)


class IgnoresPositions(Numbers):
    def open(self, position: str | None) -> None:
        pass


class GoesBack(Numbers):
    def progress(self) -> tuple[int, int] | None:
        return self.end - self.next, self.end


class PassesItsTotal(Numbers):
    def progress(self) -> tuple[int, int] | None:
        return self.next, 1


@pytest.mark.parametrize(
    ("wrong", "test"),
    [
        (TooMany, "test_hands_over_no_more_than_asked_for"),
        (TextPayloads, "test_hands_over_events_of_the_right_types"),
        (DottedKeys, "test_hands_over_events_of_the_right_types"),
        (LosesNothing, "test_hands_over_events_of_the_right_types"),
        (SameOffset, "test_offsets_of_a_stream_only_grow"),
        (NoOffset, "test_offsets_of_a_stream_only_grow"),
        (ReusesItsDocuments, "test_does_not_change_events_afterwards"),
        (BeginsAgain, "test_stays_at_its_end"),
        (Numbers, "test_a_quiet_source_returns_in_time"),
        (ClosesOnce, "test_closes_twice"),
        (GoesBack, "test_progress_stays_in_its_bounds"),
        (PassesItsTotal, "test_progress_stays_in_its_bounds"),
    ],
)
def test_wrong_sources_fail(wrong: type[Numbers], test: str) -> None:
    assert fails(getattr(EventSourceContract, test), EventSourceContract(), wrong())


def test_a_source_that_only_closes_what_it_opened_fails() -> None:
    with pytest.raises(AttributeError):
        EventSourceContract().test_closes_unopened(ClosesWhatItOpened())


def test_wrong_positions_fail() -> None:
    contract = EventSourceContract()
    for wrong in (RepeatsAfterItsPosition, IgnoresPositions):
        assert fails(contract.test_goes_on_after_each_position, wrong(), wrong)
    assert fails(contract.test_refuses_a_position_that_is_not_its_own, IgnoresPositions)


def test_an_unreadable_input_that_is_no_error_fails() -> None:
    assert fails(EventSourceContract().test_says_that_its_input_is_unreadable, Numbers())


def test_half_an_interface_fails() -> None:
    assert fails(EventSourceContract().test_is_an_event_source, SimpleNamespace(open=None))


# --- outputs ---------------------------------------------------------------------------------


class TestRecordingOutput(OutputHandlerContract):
    @pytest.fixture
    def output(self) -> RecordingOutput:
        return RecordingOutput()

    @pytest.fixture
    def delivered(self, output: RecordingOutput) -> Callable[[], Sequence[str]]:
        return lambda: [alert.alert_id for alert in output.alerts]


class KeepsAllUntilClosed(RecordingOutput):
    def flush(self) -> None:
        pass

    def close(self) -> None:
        super().flush()


class TurnsAround(RecordingOutput):
    def write(self, alerts: Sequence[Alert]) -> None:
        super().write(list(reversed(alerts)))


class ChokesOnSurrogates(RecordingOutput):
    def write(self, alerts: Sequence[Alert]) -> None:
        for alert in alerts:
            str(alert.to_document()).encode()
            for item in alert.events:
                for value in item.fields.values():
                    assert not isinstance(value, str) or value.isprintable()
        super().write(alerts)


class ChangesAlerts(RecordingOutput):
    def write(self, alerts: Sequence[Alert]) -> None:
        for alert in alerts:
            alert.events[0].document["seen"] = True  # type: ignore[index]


class FailsOnce(RecordingOutput):
    failed = False

    def flush(self) -> None:
        if not self.failed:
            self.failed = True
            raise OutputError("the disk is full")


@pytest.mark.parametrize(
    ("wrong", "test"),
    [
        (KeepsAllUntilClosed, "test_delivers_in_order_what_was_flushed"),
        (TurnsAround, "test_delivers_in_order_what_was_flushed"),
        (ChokesOnSurrogates, "test_delivers_whatever_an_event_has"),
        (RecordingOutput, "test_delivers_an_alert_once"),
    ],
)
def test_wrong_outputs_fail(wrong: type[RecordingOutput], test: str) -> None:
    output = wrong()
    delivered = lambda: [alert.alert_id for alert in output.alerts]  # noqa: E731
    assert fails(getattr(OutputHandlerContract, test), OutputHandlerContract(), output, delivered)


def test_an_output_that_changes_alerts_fails() -> None:
    assert fails(OutputHandlerContract().test_does_not_change_alerts, ChangesAlerts())


@pytest.mark.parametrize("wrong", [RecordingOutput, FailsOnce])
def test_an_output_that_forgets_that_it_failed_fails(wrong: type[OutputHandler]) -> None:
    assert fails(OutputHandlerContract().test_says_that_it_cannot_deliver, wrong())


# --- actions ---------------------------------------------------------------------------------


class TestRecordingAction(ActionExecutorContract):
    @pytest.fixture
    def executor(self) -> RecordingAction:
        return RecordingAction()

    @pytest.fixture
    def effects(self, executor: RecordingAction) -> Callable[[], object]:
        return lambda: [request.request_id for request in executor.done]


class DoesNothing(RecordingAction):
    def execute(self, request: ActionRequest) -> ActionOutcome:
        return ActionOutcome(ActionStatus.DONE, "done")


class RunsDry(RecordingAction):
    def execute(self, request: ActionRequest) -> ActionOutcome:
        self.done.append(request)
        return ActionOutcome(ActionStatus.DONE, "done")


class SaysNothing(RecordingAction):
    def execute(self, request: ActionRequest) -> ActionOutcome:
        return attrs.evolve(super().execute(request), reason="")


class RemembersDryRuns(RecordingAction):
    def execute(self, request: ActionRequest) -> ActionOutcome:
        if any(request.request_id == before.request_id for before in self.requests):
            return ActionOutcome(ActionStatus.DONE, "done before")
        return super().execute(request)


@pytest.mark.parametrize(
    ("wrong", "test"),
    [
        (DoesNothing, "test_does_what_is_asked"),
        (SaysNothing, "test_does_what_is_asked"),
        (RunsDry, "test_a_dry_run_changes_nothing"),
        (SaysNothing, "test_a_dry_run_changes_nothing"),
        (RemembersDryRuns, "test_a_dry_run_does_not_use_up_the_request"),
        (RunsDry, "test_does_a_request_once"),
    ],
)
def test_wrong_actions_fail(wrong: type[RecordingAction], test: str) -> None:
    executor = wrong()
    effects = lambda: [request.request_id for request in executor.done]  # noqa: E731
    contract = ActionExecutorContract()
    assert fails(
        getattr(ActionExecutorContract, test), contract, executor, effects, make_action_request
    )


def test_an_action_that_lies_about_a_failure_fails() -> None:
    contract = ActionExecutorContract()
    assert fails(contract.test_says_that_it_failed, DoesNothing(), make_action_request())


# --- state stores ----------------------------------------------------------------------------


class VersionsPerKey(MemoryStateStore):
    """Begins to count again when a key was deleted."""

    def commit(
        self,
        changes: Sequence[Change],
        expected: Mapping[bytes, int | None] | None = None,
        fence: int | None = None,
    ) -> Mapping[bytes, int]:
        before = dict(self._entries)
        super().commit(changes, expected, fence)
        written = {}
        for change in changes:
            if change.value is not None:
                known = before.get(change.key)
                written[change.key] = known.version + 1 if known else 1
                self._entries[change.key] = Versioned(change.value, written[change.key])
        return written


class Unordered(MemoryStateStore):
    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, Versioned]]:
        return iter(reversed(list(super().scan(prefix))))


class LiveScan(MemoryStateStore):
    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, Versioned]]:
        for number in range(len(self._entries)):
            entries = sorted(self._entries.items(), key=lambda entry: entry[0])
            if number < len(entries):
                yield entries[number]


class ExpectsNothing(MemoryStateStore):
    def commit(
        self,
        changes: Sequence[Change],
        expected: Mapping[bytes, int | None] | None = None,
        fence: int | None = None,
    ) -> Mapping[bytes, int]:
        return super().commit(changes, None, fence)


class AppliesHalf(MemoryStateStore):
    """Writes first, and then finds that it should not have."""

    def commit(
        self,
        changes: Sequence[Change],
        expected: Mapping[bytes, int | None] | None = None,
        fence: int | None = None,
    ) -> Mapping[bytes, int]:
        conflict = tuple(k for k, v in (expected or {}).items() if self._version(k) != v)
        written = super().commit(changes, None, fence)
        if conflict:
            raise StateConflict("too late", conflict)
        return written


class Unfenced(MemoryStateStore):
    def commit(
        self,
        changes: Sequence[Change],
        expected: Mapping[bytes, int | None] | None = None,
        fence: int | None = None,
    ) -> Mapping[bytes, int]:
        return super().commit(changes, expected, None)


class NeverCloses(MemoryStateStore):
    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("wrong", "test"),
    [
        (VersionsPerKey, "test_versions_never_come_again"),
        (VersionsPerKey, "test_refuses_a_version_of_before_a_deletion"),
        (Unordered, "test_scans_a_prefix_in_order"),
        (LiveScan, "test_commits_while_a_scan_is_under_way"),
        (ExpectsNothing, "test_refuses_another_version_than_expected"),
        (ExpectsNothing, "test_behaves_as_a_dictionary_does"),
        (ExpectsNothing, "test_an_empty_commit_changes_nothing"),
        (AppliesHalf, "test_refuses_another_version_than_expected"),
        (AppliesHalf, "test_behaves_as_a_dictionary_does"),
        (Unfenced, "test_refuses_an_owner_that_was_fenced_off"),
        (NeverCloses, "test_closes_twice"),
    ],
)
def test_wrong_stores_fail(wrong: type[MemoryStateStore], test: str) -> None:
    assert fails(getattr(StateStoreContract, test), StateStoreContract(), wrong())


def test_a_store_that_forgets_fails() -> None:
    store = MemoryStateStore()
    reopened: Callable[[], StateStore] = MemoryStateStore
    assert fails(StateStoreContract().test_keeps_what_was_committed, store, reopened)
