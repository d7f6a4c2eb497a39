"""The single place through which every call into a plugin passes."""

from __future__ import annotations

from collections.abc import Callable
from threading import current_thread, main_thread
from types import MappingProxyType
from typing import Final, Generic, TypeVar

import attrs

from kestrel_framework._plugins.breaker import UNCOUNTED, Breaker, Permit
from kestrel_framework._plugins.error_handling import (
    Backoff,
    Decision,
    Fault,
    HandlerChain,
    blames_plugin,
)
from kestrel_framework.errors import KestrelError, PluginError, Severity

_LONGEST_MESSAGE: Final = 500

T = TypeVar("T")


@attrs.frozen
class FaultReport:
    """What observers hear about one failed call.

    Attributes:
        plugin: Whose code it was.
        instance: The instance as the configuration calls it, or the plugin's name.
        fault: What happened.
        decision: What follows.
        suspended_for: Seconds for which the plugin is not called, where this
            failure opened the breaker; else 0.
    """

    plugin: str
    instance: str
    fault: Fault
    decision: Decision
    suspended_for: float = 0.0


FaultObserver = Callable[[FaultReport], None]


@attrs.frozen
class Returned(Generic[T]):
    """A call that went well."""

    value: T


@attrs.frozen
class Failed:
    """A call that did not, and what to do now: never `RETRY`, which has been done."""

    error: KestrelError
    decision: Decision


def ignore_fault(report: FaultReport) -> None:
    """Observe nothing."""


def never_wait(seconds: float) -> bool:
    """Give up at once: for places where nobody can wait."""
    return True


class FaultBoundary:
    """Makes the calls into one instance of a plugin's object. Safe between threads.

    Nothing but a `KeyboardInterrupt` in the main thread, where a person's arrives, comes
    out of `call` as an exception: not `SystemExit`, not `MemoryError`, not `RecursionError`.

    Args:
        plugin: The plugin's name, for people.
        instance: The instance's name; the plugin's where it has none.
        breaker: Its breaker.
        backoff: The waits between attempts.
        wait: Waits some seconds, and returns True where waiting was cut short: then
            there is no further attempt. `threading.Event.wait` is one.
        observer: Told of each failed attempt, in the calling thread.
    """

    def __init__(
        self,
        plugin: str,
        instance: str = "",
        *,
        breaker: Breaker | None = None,
        backoff: Backoff | None = None,
        wait: Callable[[float], bool] = never_wait,
        observer: FaultObserver = ignore_fault,
    ) -> None:
        self.plugin = plugin
        self.instance = instance or plugin
        self.breaker = breaker or Breaker()
        self._backoff = backoff or Backoff()
        self._wait = wait
        self._observer = observer

    def call(
        self,
        operation: str,
        function: Callable[[], T],
        handlers: HandlerChain,
        *,
        idempotent: bool = False,
        has_fallback: bool = False,
        in_any_case: bool = False,
    ) -> Returned[T] | Failed:
        """Call `function`, again where that is decided, and return how it went.

        Args:
            operation: What messages call the call, such as `read`.
            function: The call itself with its arguments. A result that breaks the
                interface's contract is raised in it as an exception.
            handlers: Who decides about a failure.
            idempotent: Whether it may be made again.
            has_fallback: Whether the caller can let another runtime answer.
            in_any_case: Whether it is made past the breaker, and does not count for it:
                what keeps failing must be closed all the same.
        """
        attempt = 0
        while True:
            attempt += 1
            result = self._attempt(operation, function, in_any_case=in_any_case)
            if isinstance(result, Returned):
                return result
            fault = attrs.evolve(
                result.fault, attempt=attempt, idempotent=idempotent, has_fallback=has_fallback
            )
            decision = handlers.resolve(fault)
            if decision is Decision.RETRY and self._wait(self._backoff.seconds(attempt)):
                decision = handlers.resolve(attrs.evolve(fault, idempotent=False))
            seconds = self.breaker.seconds_until_probe() if result.opened else 0.0
            self._observer(FaultReport(self.plugin, self.instance, fault, decision, seconds))
            if decision is not Decision.RETRY:
                return Failed(fault.error, decision)

    def _attempt(
        self, operation: str, function: Callable[[], T], *, in_any_case: bool
    ) -> Returned[T] | _Failure:
        permit = UNCOUNTED if in_any_case else self.breaker.admit()
        if permit is None:
            return _Failure(Fault(self._suspended(operation), operation, suspended=True))
        try:
            value = function()
        except BaseException as raised:
            if isinstance(raised, KeyboardInterrupt) and current_thread() is main_thread():
                self.breaker.abandoned(permit)
                raise
            return self._failure(raised, operation, permit)
        self.breaker.succeeded(permit)
        return Returned(value)

    def _failure(self, raised: BaseException, operation: str, permit: Permit) -> _Failure:
        error = self._attributed(raised, operation)
        fault = Fault(error, operation, unexpected=error is not raised)
        if not blames_plugin(error):
            self.breaker.abandoned(permit)
            return _Failure(fault)
        return _Failure(fault, opened=self.breaker.failed(permit))

    def _attributed(self, raised: BaseException, operation: str) -> KestrelError:
        if isinstance(raised, KestrelError) and _is_whole(raised):
            names = {"plugin": self.plugin, "instance": self.instance, "operation": operation}
            raised.context = MappingProxyType(names | dict(raised.context))
            return raised
        place = "" if self.instance == self.plugin else f" of `{self.instance}`"
        problem = f"`{operation}`{place} failed: {describe(raised)}"
        error = PluginError(self.plugin, problem, operation=operation)
        error.__cause__ = raised
        return error

    def _suspended(self, operation: str) -> PluginError:
        seconds = self.breaker.seconds_until_probe()
        problem = (
            f"`{operation}` is not called, because it kept failing; next try in {seconds:.0f} s"
        )
        return PluginError(
            self.plugin, problem, severity=Severity.WARNING, transient=True, operation=operation
        )


@attrs.frozen
class _Failure:
    fault: Fault
    opened: bool = False


def describe(raised: BaseException) -> str:
    """Return the class and the message of any exception, also of one that cannot say it."""
    name = type(raised).__name__
    try:
        message = str(raised)
    except Exception:  # noqa: BLE001 - the message is the plugin's code as well
        return name
    if len(message) > _LONGEST_MESSAGE:
        message = message[:_LONGEST_MESSAGE] + "..."
    return f"{name}: {message}" if message else name


def _is_whole(error: KestrelError) -> bool:
    parts = ("problem", "severity", "transient", "context")
    return all(part in vars(error) for part in parts)
