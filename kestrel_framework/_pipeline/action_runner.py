"""Actions: what a rule asks for, the operator allows, and the rate permits, done in one thread."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import attrs

from kestrel_framework._pipeline.bounded_queue import BoundedQueue, QueueClosedError
from kestrel_framework.action import ActionOutcome, ActionRequest, ActionStatus
from kestrel_framework.alert import Alert
from kestrel_framework.interfaces import ActionExecutor, Logger

EVERY_RULE: Final = "*"
_ID_FORM: Final = "kestrel-action-1"


@attrs.frozen
class PermittedAction:
    """An action as the operator allows it.

    Attributes:
        name: The instance's name.
        action: The type that rules ask for.
        executor: What does it.
        rules: Ids of the rules that may have it done; `*` stands for every rule.
        dry_run: Only say what would be done.
        per_minute: How often a minute one rule may have it done.
    """

    name: str
    action: str
    executor: ActionExecutor
    rules: tuple[str, ...] = (EVERY_RULE,)
    dry_run: bool = True
    per_minute: int = 60

    def permits(self, rule_id: str) -> bool:
        """Say whether a rule may have it done."""
        return EVERY_RULE in self.rules or rule_id in self.rules


class TokenBucket:
    """Lets `per_minute` things through a minute, and as many at once after a quiet minute."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._greatest = float(per_minute)
        self._tokens = float(per_minute)
        self._clock = clock
        self._filled_at = clock()

    def take(self) -> bool:
        """Take a token, and say whether there was one."""
        now = self._clock()
        refill = max(0.0, now - self._filled_at) * self._greatest / 60.0
        self._tokens = min(self._greatest, self._tokens + refill)
        self._filled_at = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True


class ActionRunner:
    """Owns the thread in which all actions are executed.

    Never holds up alerts: where too many requests wait, further ones are refused,
    which is logged and counted as every outcome is. What no configuration allows is warned of
    once; from then on it is logged for debugging only.

    Args:
        actions: What is allowed.
        logger: Hears every request and its outcome.
        capacity: How many requests may wait.
        clock: Monotonic seconds.
    """

    name = "actions"

    def __init__(
        self,
        actions: Sequence[PermittedAction],
        logger: Logger,
        capacity: int = 1000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._actions = tuple(actions)
        self._logger = logger
        self._clock = clock
        self._queue: BoundedQueue[tuple[PermittedAction, ActionRequest]] = BoundedQueue(capacity)
        self._buckets: dict[tuple[str, str], TokenBucket] = {}
        self._changed = threading.Condition()
        self._waiting = 0
        self._outcomes: Counter[str] = Counter()
        self._refused_for_good: set[tuple[str, str]] = set()
        self._thread = threading.Thread(target=self._run, name="actions", daemon=True)

    def start(self) -> None:
        """Begin to execute; without any allowed action there is no thread."""
        if self._actions:
            self._thread.start()

    @property
    def outcomes(self) -> Mapping[str, int]:
        """How many requests ended in each way, by status."""
        with self._changed:
            return dict(sorted(self._outcomes.items()))

    def submit(self, alerts: Sequence[Alert]) -> None:
        """Request what the rules of these alerts ask for. Does not wait."""
        for alert in alerts:
            if not alert.shadow:
                for action in alert.rule.actions:
                    self._request(action, alert)

    def drain(self, deadline: float | None) -> bool:
        """Wait until no request is under way, at most until `deadline`."""
        timeout = None if deadline is None else max(0.0, deadline - self._clock())
        with self._changed:
            return self._changed.wait_for(lambda: self._waiting == 0, timeout)

    def abort(self) -> None:
        """Take no more requests."""
        self._queue.close()

    def close(self, deadline: float) -> bool:
        """Execute what waits, and say whether that was done by `deadline`."""
        self._queue.close()
        if self._thread.ident is None:
            return True
        self._thread.join(max(0.0, deadline - self._clock()))
        return not self._thread.is_alive()

    def _request(self, action: str, alert: Alert) -> None:
        rule_id = alert.rule.rule_id
        configured = [one for one in self._actions if one.action == action]
        permitted = [one for one in configured if one.permits(rule_id)]
        if not permitted:
            problem = "not allowed for this rule" if configured else "not configured"
            request = ActionRequest(request_id(alert, action, ""), action, alert)
            self._note(request, "", ActionOutcome(ActionStatus.REFUSED, problem))
        for one in permitted:
            request = ActionRequest(
                request_id(alert, action, one.name), action, alert, dry_run=one.dry_run
            )
            refusal = self._refusal(one, rule_id)
            if not refusal and not self._enqueue(one, request):
                refusal = "too many actions wait"
            if refusal:
                self._note(request, one.name, ActionOutcome(ActionStatus.REFUSED, refusal))

    def _refusal(self, action: PermittedAction, rule_id: str) -> str:
        key = (action.name, rule_id)
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = TokenBucket(action.per_minute, self._clock)
        if bucket.take():
            return ""
        return f"more than {action.per_minute} a minute for this rule"

    def _enqueue(self, action: PermittedAction, request: ActionRequest) -> bool:
        with self._changed:
            self._waiting += 1
        if self._queue.put_now((action, request)):
            return True
        with self._changed:
            self._waiting -= 1
        return False

    def _run(self) -> None:
        while True:
            try:
                taken = self._queue.get()
            except QueueClosedError:
                return
            if taken is not None:
                action, request = taken
                self._execute(action, request)

    def _execute(self, action: PermittedAction, request: ActionRequest) -> None:
        try:
            outcome = action.executor.execute(request)
        except BaseException as raised:  # noqa: BLE001 - the thread serves the other actions, too
            outcome = ActionOutcome(ActionStatus.FAILED, f"{type(raised).__name__}: {raised}")
        self._note(request, action.name, outcome)
        with self._changed:
            self._waiting -= 1
            self._changed.notify_all()

    def _note(self, request: ActionRequest, name: str, outcome: ActionOutcome) -> None:
        with self._changed:
            self._outcomes[outcome.status.value] += 1
        self._log_at(request.action, name, outcome)(
            f"action {outcome.status.value}",
            action=request.action,
            instance=name,
            request=request.request_id,
            rule=request.alert.rule.rule_id,
            alert=request.alert.alert_id,
            dry_run=request.dry_run,
            reason=outcome.reason,
        )

    def _log_at(self, action: str, name: str, outcome: ActionOutcome) -> Callable[..., object]:
        """Return how loudly to log: what no configuration allows is told once."""
        if outcome.status is ActionStatus.DONE:
            return self._logger.info
        refusal = (action, outcome.reason)
        if not name and refusal in self._refused_for_good:
            return self._logger.debug
        if not name:
            self._refused_for_good.add(refusal)
        return self._logger.warning


def request_id(alert: Alert, action: str, instance: str) -> str:
    """Return the id of a request: the same for the same alert, action and instance."""
    text = "\0".join((_ID_FORM, alert.alert_id, action, instance))
    return hashlib.sha256(text.encode()).hexdigest()[:32]
