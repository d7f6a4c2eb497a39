"""An engine owns its state, and waits for a store that is away, or goes on without it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence

import pytest
from engine_parts import PATIENCE, RULES, InThread, LiveSource, Parts, build, event

from kestrel_framework import _state_keeping
from kestrel_framework import engine as engine_module
from kestrel_framework._builtin.memory_ownership import MemoryOwnership
from kestrel_framework._builtin.memory_state import MemoryStateStore
from kestrel_framework.config import Configuration, EngineConfig, StateConfig
from kestrel_framework.engine import Engine, ExitStatus
from kestrel_framework.errors import ConfigurationError, StateConflict, StateError
from kestrel_framework.event import EventBatch
from kestrel_framework.interfaces import Change, StateOwnership
from kestrel_framework.testing.fakes import FakeSource, RecordingOutput

AWAY = StateError("nobody answers", transient=True)
DAMAGED = StateError("the disk is broken")
POLICIES = pytest.mark.parametrize("outage", ["wait", "go_on"])


@pytest.fixture(autouse=True)
def commits_after_each_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "_CHECKPOINT_SECONDS", 0.0)


class Ownership:
    """An ownership of the store in memory, whose time runs out when the test says so."""

    def __init__(self, store: Store, inner: MemoryOwnership) -> None:
        self._store = store
        self._inner = inner
        self.fence = inner.fence

    @property
    def seconds_left(self) -> float:
        return 0.0 if self._store.has_run_out else self._inner.seconds_left

    def renew(self) -> None:
        if self._store.renews_after_release:
            self._store.is_renewing.set()
            assert self._store.released.wait(PATIENCE)
        if self._store.failing is not None:
            raise self._store.failing
        self._inner.renew()
        self._store.has_run_out = False

    def release(self) -> None:
        self._inner.release()
        self._store.released.set()


class Store(MemoryStateStore):
    """The store in memory, which outlives the engine, and fails when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.failing: StateError | None = None
        self.has_run_out = False
        self.renews_after_release = False
        self.is_renewing = threading.Event()
        self.released = threading.Event()
        self.fences: list[int | None] = []
        self.is_committing = False
        self.commits_may_go_on = threading.Event()
        self.commits_may_go_on.set()

    def own(self, owner: str, seconds: float) -> StateOwnership:  # type: ignore[override]
        if self.failing is not None:
            raise self.failing
        return Ownership(self, super().own(owner, seconds))

    def commit(
        self,
        changes: Sequence[Change],
        expected: Mapping[bytes, int | None] | None = None,
        fence: int | None = None,
    ) -> Mapping[bytes, int]:
        self.is_committing = not self.commits_may_go_on.is_set()
        assert self.commits_may_go_on.wait(PATIENCE)
        if self.failing is not None:
            raise self.failing
        self.fences.append(fence)
        return super().commit(changes, expected, fence)

    def close(self) -> None:
        pass


class Running:
    """An engine in a thread, with what it reads and writes."""

    def __init__(self, store: object, **settings: object) -> None:
        self.source = LiveSource()
        self.output = RecordingOutput()
        self._number = 0
        parts = Parts({"audit": self.source}, {"siem": self.output}, stores={"shared": store})
        state = StateConfig(type="shared", **{"owner": "here", "lease": 0.5} | settings)  # type: ignore[arg-type]
        # Room for all that the source has, also while the engine waits.
        engine = EngineConfig(read_timeout=0.05, close_timeout=PATIENCE, queue_batches=10_000)
        self.engine: Engine = build(parts, RULES, state=state, engine=engine)
        self._thread = InThread(self.engine)

    def bring(self) -> None:
        """Have the source bring an event that a rule looks for."""
        self._number += 1
        batch = EventBatch(documents=[event("sh", self._number)], position=str(self._number))
        self.source._batches.append(batch)

    def alert(self) -> None:
        """Bring an event, and wait for its alert."""
        before = len(self.output.alerts)
        self.bring()
        wait_until(lambda: len(self.output.alerts) > before)

    def status(self) -> tuple[ExitStatus, str]:
        report = self._thread.report()
        return report.exit_status, "; ".join(map(str, report.failures))

    @property
    def outages(self) -> int:
        state = self.engine.statistics["state"]
        assert isinstance(state, dict)
        return int(state["outages"])


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.002)


def test_every_commit_carries_the_fence_and_the_end_releases() -> None:
    store = Store()
    former = store.own("here", 600)
    running = Running(store, lease=600.0)
    running.alert()
    running.engine.stop()
    assert running.status() == (ExitStatus.FINE, "")
    assert store.fences
    assert set(store.fences) == {former.fence + 1}
    store.own("elsewhere", 600)


def test_a_renewal_that_comes_after_the_release_is_no_loss(
    capsys: pytest.CaptureFixture[str],
) -> None:
    store = Store()
    store.renews_after_release = True
    running = Running(store)
    running.alert()
    assert store.is_renewing.wait(PATIENCE)
    (renewing,) = [each for each in threading.enumerate() if each.name == "state owner"]
    running.engine.stop()
    assert running.status() == (ExitStatus.FINE, "")
    renewing.join(PATIENCE)
    assert not renewing.is_alive()
    assert capsys.readouterr().err == ""


def test_what_another_engine_owns_is_not_touched() -> None:
    store = Store()
    ownership = store.own("elsewhere", 600)
    running = Running(store)
    status, problem = running.status()
    assert status is ExitStatus.OUTPUT_FAILED
    assert "`elsewhere` has it, for " in problem
    assert "`state.standby = true`" in problem
    assert running.source.opened_at == []
    assert running.output.opened == 0
    ownership.renew()


def test_a_standby_waits_until_it_is_stopped(capsys: pytest.CaptureFixture[str]) -> None:
    store = Store()
    store.own("elsewhere", 600)
    running = Running(store, standby=True)
    logged = ""

    def is_waiting() -> bool:
        nonlocal logged
        logged += capsys.readouterr().err
        return "standing by" in logged

    wait_until(is_waiting)
    assert "`elsewhere` has it" in logged
    running.engine.stop()
    assert running.status() == (ExitStatus.FINE, "")
    assert running.source.opened_at == []
    assert running.output.opened == 0


@pytest.mark.parametrize("how", ["released", "run out", "away at first"])
def test_a_standby_takes_over(how: str, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store()
    ownership = store.own("elsewhere", 0.2 if how == "run out" else 600)
    if how == "away at first":
        store.failing = AWAY
    running = Running(store, standby=True)
    if how != "run out":
        ownership.release()
    store.failing = None
    running.alert()
    running.engine.stop()
    assert running.status() == (ExitStatus.FINE, "")
    log = capsys.readouterr().err
    assert log.count("took over the state") == log.count("standing by: ") <= 1
    assert how != "run out" or "took over" in log


@pytest.mark.parametrize("standby", [False, True])
def test_a_store_that_refuses_is_not_waited_for(standby: bool) -> None:
    store = Store()
    store.failing = DAMAGED
    assert Running(store, standby=standby).status() == (ExitStatus.OUTPUT_FAILED, str(DAMAGED))


def test_without_standby_nobody_waits_for_a_store_at_the_start() -> None:
    store = Store()
    store.failing = AWAY
    assert Running(store).status() == (ExitStatus.OUTPUT_FAILED, str(AWAY))


class OwnerlessStore:
    """A store without owners."""

    def __init__(self) -> None:
        inner = MemoryStateStore()
        self.get_many = inner.get_many
        self.scan = inner.scan
        self.commit = inner.commit
        self.close = inner.close


def test_a_standby_needs_a_store_with_owners() -> None:
    with pytest.raises(ConfigurationError, match="`shared` has no owner") as raised:
        Running(OwnerlessStore(), standby=True)
    assert raised.value.path == "state.standby"
    with pytest.raises(ConfigurationError, match="`memory` has no owner"):
        build(Parts({"audit": FakeSource()}), RULES, state=StateConfig(standby=True))


def test_an_engine_that_another_one_follows_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store()
    running = Running(store)
    running.alert()
    wait_until(lambda: running.source.acknowledged == ["1"])
    monkeypatch.setattr(engine_module, "_CHECKPOINT_SECONDS", 1000.0)
    # From here on, only the renewals find out.
    running.alert()
    acknowledged = list(running.source.acknowledged)
    before = dict(store.scan(b""))
    store.own("here", 600)
    status, problem = running.status()
    assert status is ExitStatus.OUTPUT_FAILED
    assert "this engine ends, since another one has its state" in problem
    assert dict(store.scan(b"")) == before
    assert running.source.acknowledged == acknowledged


def test_a_commit_that_is_fenced_off_ends_the_engine() -> None:
    store = Store()
    running = Running(store, lease=600.0)
    running.alert()
    wait_until(lambda: running.source.acknowledged == ["1"])
    newest = store.own("here", 600)
    before = dict(store.scan(b""))
    running.bring()
    status, problem = running.status()
    assert status is ExitStatus.OUTPUT_FAILED
    assert "another one has its state" in problem
    assert running.source.acknowledged == ["1"]
    assert dict(store.scan(b"")) == before
    newest.renew()


def in_a_commit(store: Store) -> Running:
    """Return an engine that commits, while further events are read."""
    running = Running(store, lease=600.0)
    running.alert()
    store.commits_may_go_on.clear()
    running.bring()
    wait_until(lambda: store.is_committing)
    running.bring()
    running.bring()
    wait_until(lambda: not running.source._batches)
    return running


def test_what_has_been_read_is_matched_where_no_commit_can_be_made() -> None:
    store = Store()
    running = in_a_commit(store)
    store.failing = DAMAGED
    store.commits_may_go_on.set()
    assert running.status() == (ExitStatus.OUTPUT_FAILED, str(DAMAGED))
    assert len(running.output.alerts) == running._number
    assert not {"2", "3", "4"} & set(running.source.acknowledged)


def test_what_has_been_read_is_not_matched_after_the_loss() -> None:
    store = Store()
    running = in_a_commit(store)
    store.own("here", 600)
    store.commits_may_go_on.set()
    assert running.status()[0] is ExitStatus.OUTPUT_FAILED
    assert int(str(running.engine.statistics["events"])) <= 2


def test_no_alert_goes_out_where_another_engine_may_be_at_work() -> None:
    store = Store()
    running = Running(store, lease=600.0)
    running.alert()
    store.failing = StateConflict("somebody else has it")
    store.has_run_out = True
    running.bring()
    status, _ = running.status()
    assert status is ExitStatus.OUTPUT_FAILED
    assert len(running.output.alerts) == 1


def test_a_lease_that_ran_out_is_renewed_before_an_alert() -> None:
    store = Store()
    running = Running(store, lease=600.0)
    running.alert()
    store.has_run_out = True
    running.alert()
    assert not store.has_run_out
    running.engine.stop()
    assert running.status() == (ExitStatus.FINE, "")


def without_commits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "_CHECKPOINT_SECONDS", 1000.0)


def test_alerts_wait_for_a_store_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    without_commits(monkeypatch)
    store = Store()
    running = Running(store)
    running.alert()
    store.failing, store.has_run_out = AWAY, True
    running.bring()
    wait_until(lambda: running.outages == 1)
    assert len(running.output.alerts) == 1
    store.failing = None
    wait_until(lambda: len(running.output.alerts) == 2)
    running.engine.stop()
    assert running.status() == (ExitStatus.FINE, "")


def test_alerts_that_wait_at_a_stop_are_left_to_the_next_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    without_commits(monkeypatch)
    store = Store()
    running = Running(store)
    running.alert()
    store.failing, store.has_run_out = AWAY, True
    running.bring()
    wait_until(lambda: running.outages == 1)
    running.engine.stop()
    status, problem = running.status()
    assert status is ExitStatus.OUTPUT_FAILED
    assert "are left to whoever goes on" in problem
    assert len(running.output.alerts) == 1
    assert not dict(store.scan(b"engine/position"))


def test_going_on_alerts_also_when_the_lease_has_run_out() -> None:
    store = Store()
    running = Running(store, outage="go_on")
    running.alert()
    store.failing, store.has_run_out = AWAY, True
    running.alert()
    running.alert()
    store.failing = None
    running.bring()
    wait_until(lambda: running.source.acknowledged[-1:] == ["4"])
    running.engine.stop()
    assert running.status() == (ExitStatus.FINE, "")


def test_an_alert_that_goes_out_in_an_outage_does_not_end_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    without_commits(monkeypatch)
    store = Store()
    running = Running(store, outage="go_on")
    running.alert()
    store.failing, store.has_run_out = AWAY, True
    running.alert()
    assert running.outages == 0
    running.engine.stop()
    assert running.status() == (ExitStatus.OUTPUT_FAILED, str(AWAY))
    assert "is back" not in capsys.readouterr().err


@POLICIES
@pytest.mark.parametrize("make", [Store, OwnerlessStore])
def test_a_commit_is_made_when_the_store_is_back(
    outage: str,
    make: Callable[[], Store],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_state_keeping, "_RETRY_SECONDS", 0.01)
    store = make()
    commit, failing = store.commit, threading.Event()
    attempts = 0

    def sometimes(*arguments: object, **named: object) -> object:
        nonlocal attempts
        if failing.is_set():
            attempts += 1
            raise AWAY
        return commit(*arguments, **named)  # type: ignore[arg-type]

    store.commit = sometimes  # type: ignore[method-assign, assignment]
    running = Running(store, outage=outage)
    running.alert()
    wait_until(lambda: running.source.acknowledged == ["1"])
    failing.set()
    running.bring()
    wait_until(lambda: running.outages == 1)
    if outage == "go_on":
        running.alert()
    else:
        seen, later = len(running.output.alerts), attempts + 20
        running.bring()
        wait_until(lambda: attempts >= later)
        assert len(running.output.alerts) == seen
    assert running.source.acknowledged == ["1"]
    failing.clear()
    running.bring()
    last = str(running._number)
    wait_until(lambda: running.source.acknowledged[-1] == last)
    running.engine.stop()
    assert running.status() == (ExitStatus.FINE, "")
    assert len({alert.alert_id for alert in running.output.alerts}) == running._number
    log = capsys.readouterr().err
    assert log.count("the state store is away") == log.count("the state store is back") == 1
    assert running.outages == 1


@POLICIES
def test_an_outage_does_not_keep_an_engine_from_ending(outage: str) -> None:
    store = Store()
    running = Running(store, outage=outage)
    running.alert()
    wait_until(lambda: running.source.acknowledged == ["1"])
    store.failing = AWAY
    running.bring()
    wait_until(lambda: running.outages == 1)
    running.engine.stop()
    assert running.status() == (ExitStatus.OUTPUT_FAILED, str(AWAY))
    assert running.source.acknowledged == ["1"]


@POLICIES
def test_an_error_that_waiting_cannot_help_ends_the_run(outage: str) -> None:
    store = Store()
    running = Running(store, outage=outage)
    running.alert()
    store.failing = DAMAGED
    assert running.status() == (ExitStatus.OUTPUT_FAILED, str(DAMAGED))


@pytest.mark.parametrize("owner", ["", "a\nb", "x" * 257, "\udcff"])
def test_what_is_no_name_of_an_owner_is_refused(owner: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        Configuration.from_mapping({"state": {"owner": owner}})
    assert raised.value.path == "state.owner"


@pytest.mark.parametrize("lease", [0.0, 0.1, -1.0, 86_401.0])
def test_what_is_no_lease_is_refused(lease: float) -> None:
    with pytest.raises(ConfigurationError):
        Configuration.from_mapping({"state": {"lease": lease}})


def test_settings_of_the_state_are_typed() -> None:
    given = {"type": "redis", "owner": "a", "lease": 3, "standby": True, "outage": "go_on"}
    state = Configuration.from_mapping({"state": given | {"namespace": "edge"}}).state
    assert (state.owner, state.lease, state.standby, state.outage) == ("a", 3.0, True, "go_on")
    assert state.options == {"namespace": "edge"}
    with pytest.raises(ConfigurationError, match="`wait`, `go_on`"):
        Configuration.from_mapping({"state": {"outage": "stop"}})
