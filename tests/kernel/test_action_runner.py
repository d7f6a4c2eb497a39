from __future__ import annotations

import threading
import time

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kestrel_framework._pipeline.action_runner import (
    ActionRunner,
    PermittedAction,
    TokenBucket,
    request_id,
)
from kestrel_framework.action import ActionOutcome, ActionRequest, ActionStatus
from kestrel_framework.alert import Alert
from kestrel_framework.testing.fakes import (
    FailingAction,
    RecordingAction,
    RecordingLogger,
    make_alert,
)

PATIENCE = 10.0


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def asking(*actions: str, number: int = 0, rule_id: str = "rule", shadow: bool = False) -> Alert:
    alert = make_alert(number, rule_id=rule_id)
    return attrs.evolve(alert, rule=attrs.evolve(alert.rule, actions=actions), shadow=shadow)


def run(
    alerts: list[Alert], *actions: PermittedAction, capacity: int = 1000
) -> tuple[ActionRunner, RecordingLogger]:
    logger = RecordingLogger()
    runner = ActionRunner(actions, logger, capacity)
    runner.start()
    runner.submit(alerts)
    assert runner.close(time.monotonic() + PATIENCE)
    return runner, logger


def test_what_is_asked_for_and_allowed_is_done_once_and_logged() -> None:
    executor = RecordingAction()
    runner, logger = run([asking("kill")], PermittedAction("stop", "kill", executor, dry_run=False))
    assert len(executor.done) == 1
    assert runner.outcomes == {"done": 1}
    line = logger.events[0]
    assert line.level == "info"
    assert line.event == "action done"
    assert line.details["request"] == executor.requests[0].request_id
    assert line.details["rule"] == "rule"


def test_the_default_is_a_dry_run() -> None:
    executor = RecordingAction()
    run([asking("kill")], PermittedAction("stop", "kill", executor))
    assert executor.requests[0].dry_run
    assert executor.done == []


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        (PermittedAction("stop", "block", RecordingAction()), "not configured"),
        (PermittedAction("stop", "kill", RecordingAction(), rules=("other",)), "not allowed"),
    ],
)
def test_what_is_not_allowed_is_refused_and_logged(action: PermittedAction, reason: str) -> None:
    runner, logger = run([asking("kill")], action)
    assert isinstance(action.executor, RecordingAction)
    assert action.executor.requests == []
    assert runner.outcomes == {"refused": 1}
    assert logger.events[0].level == "warning"
    assert reason in str(logger.events[0].details["reason"])


def test_what_nobody_configured_is_counted_each_time_and_warned_of_once() -> None:
    runner, logger = run([asking("kill", number=number) for number in range(5)])
    assert runner.outcomes == {"refused": 5}
    assert [event.level for event in logger.events] == ["warning", *["debug"] * 4]


def test_a_rule_that_asks_for_nothing_gets_nothing() -> None:
    executor = RecordingAction()
    runner, logger = run([asking()], PermittedAction("stop", "kill", executor))
    assert (executor.requests, dict(runner.outcomes), logger.events) == ([], {}, [])


def test_findings_that_do_not_count_have_no_actions() -> None:
    executor = RecordingAction()
    run([asking("kill", shadow=True)], PermittedAction("stop", "kill", executor))
    assert executor.requests == []


def test_a_rule_has_its_own_rate() -> None:
    executor = RecordingAction()
    flood = [asking("kill", number=number, rule_id="loud") for number in range(10)]
    runner, logger = run(
        [*flood, asking("kill", rule_id="quiet")],
        PermittedAction("stop", "kill", executor, dry_run=False, per_minute=3),
    )
    done = [request.alert.rule.rule_id for request in executor.done]
    assert sorted(done) == ["loud", "loud", "loud", "quiet"]
    assert runner.outcomes == {"done": 4, "refused": 7}
    assert any("more than 3 a minute" in str(line.details["reason"]) for line in logger.events)


class Hanging:
    def __init__(self) -> None:
        self.hanging = threading.Event()
        self.release = threading.Event()

    def execute(self, request: ActionRequest) -> ActionOutcome:
        self.hanging.set()
        self.release.wait(PATIENCE)
        return ActionOutcome(ActionStatus.DONE)


def test_an_action_that_hangs_does_not_hold_up_alerts() -> None:
    executor = Hanging()
    logger = RecordingLogger()
    runner = ActionRunner([PermittedAction("stop", "kill", executor)], logger, capacity=2)
    runner.start()
    runner.submit([asking("kill")])
    assert executor.hanging.wait(PATIENCE)
    runner.submit([asking("kill", number=number) for number in range(1, 6)])
    assert runner.outcomes == {"refused": 3}
    assert not runner.drain(time.monotonic())
    assert not runner.close(time.monotonic())
    executor.release.set()
    assert runner.close(time.monotonic() + PATIENCE)
    assert runner.outcomes == {"done": 3, "refused": 3}


@pytest.mark.parametrize("error", [ValueError("a bug"), SystemExit(1)])
def test_an_action_that_raises_failed_and_the_next_is_done(error: BaseException) -> None:
    failing, fine = FailingAction(execute=error), RecordingAction()
    runner, _ = run(
        [asking("kill")],
        PermittedAction("first", "kill", failing),
        PermittedAction("second", "kill", fine, dry_run=False),
    )
    assert runner.outcomes == {"done": 1, "failed": 1}


def test_a_request_has_the_same_id_whenever_it_is_made() -> None:
    alert = asking("kill")
    assert request_id(alert, "kill", "a") == request_id(alert, "kill", "a")
    others = {
        request_id(alert, "kill", "a"),
        request_id(alert, "kill", "b"),
        request_id(alert, "block", "a"),
        request_id(asking("kill", number=1), "kill", "a"),
    }
    assert len(others) == 4


@given(
    st.integers(min_value=1, max_value=50),
    st.lists(st.floats(min_value=0, max_value=30), min_size=1, max_size=80),
)
def test_a_bucket_never_gives_more_than_its_rate(per_minute: int, waits: list[float]) -> None:
    clock = Clock()
    bucket = TokenBucket(per_minute, clock)
    given_out = 0
    for wait in waits:
        clock.now += wait
        given_out += bucket.take()
        assert given_out <= per_minute + per_minute * clock.now / 60.0 + 1e-6


def test_a_bucket_fills_again_and_survives_a_clock_that_goes_back() -> None:
    clock = Clock()
    bucket = TokenBucket(60, clock)
    assert sum(bucket.take() for _ in range(100)) == 60
    clock.now += 1.0
    assert bucket.take()
    assert not bucket.take()
    clock.now -= 100.0
    assert not bucket.take()
