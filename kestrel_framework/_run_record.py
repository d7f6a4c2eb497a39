"""What an engine counts and notes while it runs, and the report it makes of it."""

from __future__ import annotations

import enum
import resource
import threading
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

import attrs

from kestrel_framework._pipeline.flow import Problem
from kestrel_framework._plugins.kernel_log import kernel_logger
from kestrel_framework.detector import DetectorStatistics
from kestrel_framework.errors import KestrelError

_MOST_LOGGED: Final = 100


class ExitStatus(enum.Enum):
    """How a run ended, seen from outside. Where several apply, the last one here counts."""

    FINE = "fine"
    INPUT_FAILED = "input failed"
    OUTPUT_FAILED = "output failed"


@attrs.frozen
class EngineReport:
    """What became of a run.

    Attributes:
        statistics: As `--stats` writes them.
        failures: What failed for good, in the order it was noticed.
        exit_status: Whether every input was read and every alert delivered.
    """

    statistics: Mapping[str, object]
    failures: tuple[KestrelError, ...]
    exit_status: ExitStatus


class ProblemLog:
    """Logs oddities of the input: the first of each cause, so that nobody can flood the log."""

    def __init__(self) -> None:
        self._logged: Counter[str] = Counter()

    def __call__(self, problem: Problem) -> None:
        """Log a problem, or count only."""
        self._logged[problem.cause] += 1
        number = self._logged[problem.cause]
        if number <= _MOST_LOGGED:
            kernel_logger().warning(
                str(problem),
                cause=problem.cause,
                **({"last_logged": True} if number == _MOST_LOGGED else {}),
            )


class RunRecord:
    """The failures, the clock and the exit status of one run. Failures come from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failures: list[KestrelError] = []
        self._status = ExitStatus.FINE
        self._lost: Counter[str] = Counter()
        self._started_at: float | None = None
        self._ended_at: float | None = None

    def start(self) -> None:
        """Begin to count the seconds."""
        self._started_at = time.monotonic()

    def end(self) -> None:
        """Count no more seconds."""
        self._ended_at = time.monotonic()

    def fail(self, error: KestrelError, status: ExitStatus, **details: object) -> None:
        """Note what failed for good, and what it means for the run."""
        with self._lock:
            self._failures.append(error)
            if status is ExitStatus.OUTPUT_FAILED or self._status is ExitStatus.FINE:
                self._status = status
        kernel_logger().error(str(error), consequence=status.value, **details)

    def leave_behind(self, what: str, timeout: float, status: ExitStatus) -> None:
        """Note what did not close in so many seconds."""
        problem = f"did not close within {timeout:g} s and is left behind"
        self.fail(KestrelError(f"{what} {problem}"), status)

    def knows(self, error: KestrelError | None) -> bool:
        """Say whether an error has been noted already."""
        with self._lock:
            return any(error is noted for noted in self._failures)

    def lose(self, cause: str, events: int) -> None:
        """Count events that the engine itself lost."""
        self._lost[cause] += events

    @property
    def seconds(self) -> float:
        """How long the run took, or takes so far."""
        if self._started_at is None:
            return 0.0
        return (self._ended_at or time.monotonic()) - self._started_at

    def report(self, statistics: Mapping[str, object]) -> EngineReport:
        """Return the report with these statistics."""
        with self._lock:
            return EngineReport(
                MappingProxyType(dict(statistics)), tuple(self._failures), self._status
            )

    def statistics(
        self, counted: DetectorStatistics, faults: Mapping[str, int]
    ) -> dict[str, object]:
        """Return what is known of events, alerts, losses and errors."""
        lost = Counter(dict(counted.lost)) + self._lost
        errors = Counter(dict(counted.problems))
        errors.update({f"fault: {instance}": number for instance, number in faults.items()})
        seconds = self.seconds
        return {
            "events": counted.events,
            "alerts": sum(dict(counted.alerts).values()),
            "alerts_by_rule": _sorted(counted.alerts),
            "shadow_alerts_by_rule": _sorted(counted.shadow_alerts),
            "lost": sum(lost.values()),
            "lost_by_cause": _sorted(lost),
            "skipped": sum(dict(counted.skipped).values()),
            "skipped_by_cause": _sorted(counted.skipped),
            "errors": sum(errors.values()),
            "errors_by_cause": _sorted(errors),
            "failures_by_rule": _sorted(counted.failures),
            "untimely_by_cause": _sorted(counted.untimely),
            "seconds": round(seconds, 6),
            "events_per_second": round(counted.events / seconds, 1) if seconds else 0.0,
            "rss_bytes": _most_memory(),
        }


def _most_memory() -> int:
    """Return how much memory this program has had at most."""
    try:
        status = Path("/proc/self/status").read_bytes()
        return int(status.partition(b"VmHWM:")[2].split(None, 1)[0]) * 1024
    except (OSError, ValueError, IndexError):
        # Elsewhere than on Linux; there it would count what the parent process had.
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _sorted(counts: Mapping[str, int]) -> dict[str, int]:
    # A copy, made in one step: the detector's thread may be adding a key.
    return {name: number for name, number in sorted(dict(counts).items()) if number}
