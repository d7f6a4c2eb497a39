"""What every action must do."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import ClassVar

import pytest

from kestrel_framework.action import ActionOutcome, ActionRequest, ActionStatus
from kestrel_framework.interfaces import ActionExecutor
from kestrel_framework.testing.contract import Contract, if_supported
from kestrel_framework.testing.fakes import make_action_request


class ActionExecutorContract(Contract, contract=True):
    """Give it an `executor`, and `effects` to look at what it did to the world.

    Attributes:
        can_fail: What it does can fail; needs the fixture `impossible_request`.
    """

    can_fail: ClassVar[bool] = False

    @pytest.fixture
    def executor(self) -> ActionExecutor:
        """Return an executor."""
        raise NotImplementedError("define a fixture `executor` that returns your action")

    @pytest.fixture
    def effects(self) -> Callable[[], object]:
        """Return a callable that describes the part of the world the action changes."""
        raise NotImplementedError("define a fixture `effects`")

    @pytest.fixture
    def request_for(self) -> Callable[..., ActionRequest]:
        """Return a callable like `make_action_request` whose requests can be done."""
        return make_action_request

    @pytest.fixture
    def impossible_request(self) -> ActionRequest:
        """Return a request that cannot be done."""
        raise NotImplementedError("define a fixture `impossible_request`")

    def test_is_an_action(self, executor: ActionExecutor) -> None:
        """It has all methods of the interface."""
        assert isinstance(executor, ActionExecutor)

    def test_does_what_is_asked(
        self,
        executor: ActionExecutor,
        effects: Callable[[], object],
        request_for: Callable[..., ActionRequest],
    ) -> None:
        """What is reported as done has happened, and a sentence says what."""
        before = copy.deepcopy(effects())
        outcome = executor.execute(request_for(1))
        assert isinstance(outcome, ActionOutcome)
        assert outcome.status is ActionStatus.DONE
        assert outcome.reason, "say what was done"
        assert effects() != before

    def test_a_dry_run_changes_nothing(
        self,
        executor: ActionExecutor,
        effects: Callable[[], object],
        request_for: Callable[..., ActionRequest],
    ) -> None:
        """Nothing happens, nothing is reported as done, and a sentence says what would be."""
        before = copy.deepcopy(effects())
        outcome = executor.execute(request_for(1, dry_run=True))
        assert effects() == before
        assert outcome.status is not ActionStatus.DONE
        assert outcome.reason, "say what would be done"

    def test_a_dry_run_does_not_use_up_the_request(
        self,
        executor: ActionExecutor,
        effects: Callable[[], object],
        request_for: Callable[..., ActionRequest],
    ) -> None:
        """After a dry run, the same request can be done."""
        executor.execute(request_for(1, dry_run=True))
        before = copy.deepcopy(effects())
        assert executor.execute(request_for(1)).status is ActionStatus.DONE
        assert effects() != before

    def test_does_a_request_once(
        self,
        executor: ActionExecutor,
        effects: Callable[[], object],
        request_for: Callable[..., ActionRequest],
    ) -> None:
        """A request that comes again is not done again; another one is."""
        executor.execute(request_for(1))
        after_one = copy.deepcopy(effects())
        executor.execute(request_for(1))
        assert effects() == after_one
        executor.execute(request_for(2))
        assert effects() != after_one

    def test_does_not_change_the_alert(
        self, executor: ActionExecutor, request_for: Callable[..., ActionRequest]
    ) -> None:
        """Outputs and other actions get the same object."""
        request = request_for(1)
        before = copy.deepcopy(request.alert.to_document(with_events=True))
        executor.execute(request)
        assert request.alert.to_document(with_events=True) == before

    @if_supported("can_fail")
    def test_says_that_it_failed(
        self, executor: ActionExecutor, impossible_request: ActionRequest
    ) -> None:
        """What did not happen is failed or refused, with the reason."""
        outcome = executor.execute(impossible_request)
        assert outcome.status in (ActionStatus.FAILED, ActionStatus.REFUSED)
        assert outcome.reason
