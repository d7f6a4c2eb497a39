"""An engine waits for a store that is away, or goes on without it."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from engine_parts import RULES, InThread, LiveSource, Parts, build, event

from kestrel_framework import _state_keeping
from kestrel_framework.config import EngineConfig, StateConfig
from kestrel_framework.engine import ExitStatus
from kestrel_framework.event import EventBatch
from kestrel_framework.testing.fakes import RecordingOutput
from state_keeping_parts import AWAY, DAMAGED, OwnerlessStore, Running, Store, wait_until

POLICIES = pytest.mark.parametrize("outage", ["wait", "go_on"])


SELDOM = 1000.0


def test_alerts_wait_for_a_store_that_is_away() -> None:
    store = Store()
    running = Running(store, checkpoint_interval=SELDOM)
    running.alert()
    store.failing, store.has_run_out = AWAY, True
    running.bring()
    wait_until(lambda: running.outages == 1)
    assert len(running.output.alerts) == 1
    store.failing = None
    wait_until(lambda: len(running.output.alerts) == 2)
    running.engine.stop()
    assert running.status() == (ExitStatus.FINE, "")


def test_alerts_that_wait_at_a_stop_are_left_to_the_next_run() -> None:
    store = Store()
    running = Running(store, checkpoint_interval=SELDOM)
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
    capsys: pytest.CaptureFixture[str],
) -> None:
    store = Store()
    running = Running(store, checkpoint_interval=SELDOM, outage="go_on")
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
def test_a_file_that_another_program_writes_to_is_waited_for(outage: str, tmp_path: Path) -> None:
    source, output = LiveSource(), RecordingOutput()
    folder = tmp_path / "state"
    engine = build(
        Parts({"audit": source}, {"siem": output}),
        RULES,
        state=StateConfig(directory=folder, outage=outage),  # type: ignore[arg-type]
        engine=EngineConfig(checkpoint_interval=0.0, read_timeout=0.05),
    )
    running = InThread(engine)
    source._batches.append(EventBatch(documents=[event("sh", 1)], position="1"))
    wait_until(lambda: source.acknowledged == ["1"])
    file = folder / "state" / "state.sqlite"
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        source._batches.append(EventBatch(documents=[event("sh", 2)], position="2"))
        wait_until(lambda: engine.statistics["state"]["outages"] == 1)  # type: ignore[index]
        assert source.acknowledged == ["1"]
        other.execute("ROLLBACK")
    wait_until(lambda: source.acknowledged[-1] == "2")
    engine.stop()
    report = running.report()
    assert report.exit_status is ExitStatus.FINE, report.failures
    assert len(output.alerts) == 2


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
