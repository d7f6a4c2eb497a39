"""The builtin action: it logs, once, and says honestly what came of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kestrel_framework._builtin.log_action import LogAction, LogActionConfig
from kestrel_framework.interfaces import Offer
from kestrel_framework.testing import (
    ActionExecutorContract,
    RecordingLogger,
    make_action_request,
    make_context,
)


class TestLogAction(ActionExecutorContract):
    offer = Offer(LogAction, LogActionConfig)

    @pytest.fixture
    def logger(self) -> RecordingLogger:
        return RecordingLogger()

    @pytest.fixture
    def executor(self, logger: RecordingLogger) -> LogAction:
        return LogAction(LogActionConfig(), make_context(logger=logger))

    @pytest.fixture
    def effects(self, logger: RecordingLogger) -> Callable[[], object]:
        return lambda: list(logger.events)

    def test_names_rule_alert_and_parameters(
        self, executor: LogAction, logger: RecordingLogger
    ) -> None:
        request = make_action_request(3, team="night shift", level="high")
        executor.execute(request)
        (logged,) = logger.events
        assert logged.level == "warning"
        assert logged.event == "A rule asked for attention"
        assert logged.details == {
            "rule_id": "test.rule",
            "alert_id": request.alert.alert_id,
            "severity": "high",
            "request_id": "request-3",
            "parameter_level": "high",
            "parameter_team": "night shift",
        }

    def test_uses_the_configured_sentence(self, logger: RecordingLogger) -> None:
        executor = LogAction(LogActionConfig(message="Wake up"), make_context(logger=logger))
        executor.execute(make_action_request())
        assert [event.event for event in logger.events] == ["Wake up"]
