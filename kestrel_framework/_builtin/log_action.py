"""The action that does no more than say that a rule asked for one."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

import attrs

from kestrel_framework.action import ActionOutcome, ActionRequest, ActionStatus
from kestrel_framework.interfaces import PluginContext

_REMEMBERED_REQUESTS: Final = 100_000


@attrs.frozen
class LogActionConfig:
    """How the log is written."""

    message: str = attrs.field(
        default="A rule asked for attention", metadata={"help": "The sentence that is logged."}
    )


class LogAction:
    """Writes a warning to the log, once for each of the latest requests."""

    def __init__(self, config: LogActionConfig, context: PluginContext) -> None:
        self._message = config.message
        self._logger = context.logger
        self._done: OrderedDict[str, None] = OrderedDict()

    def execute(self, request: ActionRequest) -> ActionOutcome:
        if request.request_id in self._done:
            return ActionOutcome(ActionStatus.DONE, "was logged before")
        if request.dry_run:
            return ActionOutcome(ActionStatus.REFUSED, "dry run: would be logged")
        alert = request.alert
        self._logger.warning(
            self._message,
            rule_id=alert.rule.rule_id,
            alert_id=alert.alert_id,
            severity=alert.rule.severity.value,
            request_id=request.request_id,
            **{f"parameter_{name}": value for name, value in sorted(request.parameters.items())},
        )
        self._done[request.request_id] = None
        if len(self._done) > _REMEMBERED_REQUESTS:
            self._done.popitem(last=False)
        return ActionOutcome(ActionStatus.DONE, "logged")
