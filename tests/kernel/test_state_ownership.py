"""An engine owns its state, stands by for it, and ends where another one has it."""

from __future__ import annotations

import threading

import pytest
from engine_parts import PATIENCE, RULES, Parts, build

from kestrel_framework.config import Configuration, StateConfig
from kestrel_framework.engine import ExitStatus
from kestrel_framework.errors import ConfigurationError, StateConflict
from kestrel_framework.testing.fakes import FakeSource
from state_keeping_parts import AWAY, DAMAGED, OwnerlessStore, Running, Store, wait_until


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


@pytest.mark.parametrize("standby", [False, True])
def test_a_store_that_refuses_is_not_waited_for(standby: bool) -> None:
    store = Store()
    store.failing = DAMAGED
    assert Running(store, standby=standby).status() == (ExitStatus.OUTPUT_FAILED, str(DAMAGED))


def test_without_standby_nobody_waits_for_a_store_at_the_start() -> None:
    store = Store()
    store.failing = AWAY
    assert Running(store).status() == (ExitStatus.OUTPUT_FAILED, str(AWAY))


def test_a_standby_needs_a_store_with_owners() -> None:
    with pytest.raises(ConfigurationError, match="`shared` has no owner") as raised:
        Running(OwnerlessStore(), standby=True)
    assert raised.value.path == "state.standby"
    with pytest.raises(ConfigurationError, match="`memory` has no owner"):
        build(Parts({"audit": FakeSource()}), RULES, state=StateConfig(standby=True))


def test_an_engine_that_another_one_follows_ends() -> None:
    store = Store()
    running = Running(store)
    running.alert()
    wait_until(lambda: running.source.acknowledged == ["1"])
    running.engine._interval = 1000.0
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
