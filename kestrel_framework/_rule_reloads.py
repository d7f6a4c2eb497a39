"""The way of other rules into a running engine: compiled beside it, put in between two batches."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Final

import attrs

from kestrel_framework._plugins.kernel_log import kernel_logger
from kestrel_framework._rule_replacement import PreparedRules
from kestrel_framework.errors import KestrelError
from kestrel_framework.reload import ReloadReport
from kestrel_framework.rule import RuleSet

_THREAD: Final = "rule preparation"


@attrs.define
class ReloadStatistics:
    """What became of changes of rules.

    Attributes:
        made: How many are in force, or were.
        failed: How many were given up: the rules before them stayed in force.
        longest_swap_seconds: How long the longest change held up the detector.
    """

    made: int = 0
    failed: int = 0
    longest_swap_seconds: float = 0.0


@attrs.frozen(eq=False)
class _Change:
    """A change of rules that somebody waits for.

    Attributes:
        rules: The rules.
        in_force: Called once they are in force.
        done: Tells what became of it.
    """

    rules: RuleSet
    in_force: Callable[[], None]
    done: Future[ReloadReport] = attrs.field(factory=Future)

    def refuse(self) -> None:
        """Tell that it is too late."""
        if self.done.running() or self.done.set_running_or_notify_cancel():
            self.done.set_exception(KestrelError("the engine has ended"))


class RuleReloads:
    """Changes the rules of an engine, one change after the other.

    Args:
        prepare: Compiles rules; called in a thread of its own.
        replace: Puts compiled rules in force; called in the thread of the engine.

    Attributes:
        statistics: What became of the changes. From any thread.
    """

    def __init__(
        self,
        prepare: Callable[[RuleSet], PreparedRules],
        replace: Callable[[PreparedRules], ReloadReport],
    ) -> None:
        self.statistics = ReloadStatistics()
        self._prepare = prepare
        self._replace = replace
        self._lock = threading.Lock()
        self._closed = False
        self._thread: threading.Thread | None = None
        self._requests: queue.SimpleQueue[_Change | None] = queue.SimpleQueue()
        self._ready: queue.SimpleQueue[tuple[_Change, PreparedRules]] = queue.SimpleQueue()

    def request(
        self, rules: RuleSet, in_force: Callable[[], None] = lambda: None
    ) -> Future[ReloadReport]:
        """Have other rules put in force. From any thread.

        Args:
            rules: The rules.
            in_force: Called in the thread of the engine once they are, before anybody hears of it.
        """
        change = _Change(rules, in_force)
        with self._lock:
            if self._closed:
                change.refuse()
                return change.done
            self._requests.put(change)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name=_THREAD, daemon=True)
                self._thread.start()
        return change.done

    def carry_out(self) -> None:
        """Put in force what is ready. In the thread of the engine, between two batches."""
        while True:
            try:
                change, prepared = self._ready.get_nowait()
            except queue.Empty:
                return
            try:
                report = self._replace(prepared)
            except Exception as error:  # noqa: BLE001 - it belongs to whoever asked
                self._fail(change, error)
                continue
            statistics = self.statistics
            statistics.made += 1
            statistics.longest_swap_seconds = max(statistics.longest_swap_seconds, report.seconds)
            kernel_logger().info(f"the rules were replaced: {report}")
            change.in_force()
            change.done.set_result(report)

    def close(self) -> None:
        """Refuse what is not in force yet, and all that comes. More than once does no harm.

        In the thread of the engine. What is being compiled is not waited for.
        """
        with self._lock:
            self._closed = True
            while not self._ready.empty():
                self._ready.get()[0].refuse()
            self._requests.put(None)

    def _work(self) -> None:
        while (change := self._requests.get()) is not None:
            if self._closed:
                change.refuse()
            elif change.done.set_running_or_notify_cancel():
                self._make(change)

    def _make(self, change: _Change) -> None:
        try:
            prepared = self._prepare(change.rules)
        except Exception as error:  # noqa: BLE001 - it belongs to whoever asked
            self._fail(change, error)
            return
        with self._lock:
            if self._closed:
                change.refuse()
            else:
                self._ready.put((change, prepared))
        # The next rules are compared to these, so these are in force before.
        wait([change.done])
        prepared.release()

    def _fail(self, change: _Change, error: Exception) -> None:
        self.statistics.failed += 1
        kernel_logger().error(f"the rules could not be replaced: {error}")
        change.done.set_exception(error)
