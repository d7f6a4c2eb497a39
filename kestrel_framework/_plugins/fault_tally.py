"""Faults counted by instance, and logged without flooding the log."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from typing import Final

from kestrel_framework._plugins.error_handling import Decision
from kestrel_framework._plugins.faults import FaultReport
from kestrel_framework._plugins.kernel_log import kernel_logger

_MOST_LOGGED: Final = 20


class FaultTally:
    """The observer of an engine's fault boundaries. Safe between threads.

    Every failed call is counted. The first of each instance and operation are logged,
    and every time that a plugin is no longer called. An explained error that ends an
    instance is left to the engine, which reports it with its consequence.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._logged: Counter[tuple[str, str]] = Counter()

    @property
    def counts(self) -> Mapping[str, int]:
        """Failed calls by instance, retried ones included."""
        with self._lock:
            return dict(sorted(self._counts.items()))

    def __call__(self, report: FaultReport) -> None:
        """Take note of a failed call."""
        operation = report.fault.operation
        with self._lock:
            self._counts[report.instance] += 1
            self._logged[report.instance, operation] += 1
            number = self._logged[report.instance, operation]
        logger = kernel_logger(plugin=report.plugin, instance=report.instance)
        reported = report.decision is Decision.STOP and not report.fault.unexpected
        if number <= _MOST_LOGGED and not report.fault.suspended and not reported:
            logger.warning(
                "plugin call failed",
                operation=operation,
                problem=str(report.fault.error),
                decision=report.decision.value,
                **({"last_logged": True} if number == _MOST_LOGGED else {}),
            )
        if report.suspended_for:
            logger.error(
                "plugin keeps failing and is not called for a while",
                operation=operation,
                seconds=round(report.suspended_for, 1),
            )
