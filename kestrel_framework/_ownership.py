"""The ownership of a state store by one engine: had, renewed in a thread of its own, and lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from kestrel_framework._plugins.kernel_log import kernel_logger
from kestrel_framework.errors import StateConflict, StateError
from kestrel_framework.interfaces import StateOwnership, SupportsOwnership

_STANDBY_SECONDS: Final = 0.5
"""How often a standby looks whether the state is free, where the lease is not shorter still."""
_RETRY_SECONDS: Final = 0.5
"""How soon a renewal that failed is tried again."""
_RENEWALS_IN_A_LEASE: Final = 3
_LAST_WORD_SECONDS: Final = 1.0
"""How long the release waits for a renewal under way, which may know of a loss."""


class Ownership:
    """Owns a state store for an engine. For the thread of the engine.

    Args:
        store: What to own.
        owner: Who we are.
        seconds: How long others wait for us.
        stopping: Set when nobody should wait for anything any more.
        on_loss: Told in the thread of the renewals, once, that renewing is over: with a
            `StateConflict` where somebody else has the store.
    """

    def __init__(
        self,
        store: SupportsOwnership,
        owner: str,
        seconds: float,
        stopping: threading.Event,
        on_loss: Callable[[StateError], None],
    ) -> None:
        self._store = store
        self._owner = owner
        self._seconds = seconds
        self._stopping = stopping
        self._on_loss = on_loss
        self._lease: StateOwnership | None = None
        self._changed = threading.Condition()
        self._is_over = False
        self._wanted = False
        self._failure: StateError | None = None
        self._failed_at = 0.0
        self._renewed_at = 0.0
        # A daemon: a store that hangs must not keep the process from ending.
        self._thread = threading.Thread(target=self._renew, name="state owner", daemon=True)

    @property
    def fence(self) -> int | None:
        """What to commit with."""
        return None if self._lease is None else self._lease.fence

    def obtain(self, *, standby: bool) -> bool:
        """Own the store, and say whether we do; with `standby`, wait for it until the stop.

        Raises:
            StateConflict: somebody else owns it.
            StateError: it cannot be reached, and we do not wait; or it refuses.
        """
        since = time.monotonic()
        told: str | None = None
        while not self._stopping.is_set():
            try:
                self._lease = self._store.own(self._owner, self._seconds)
            except StateError as error:
                reason = self._reason_to_wait(error, standby=standby)
                if reason != told:
                    kernel_logger().info(reason, standby=self._owner, problem=error.problem)
                told = reason
                self._stopping.wait(min(_STANDBY_SECONDS, self._seconds / _RENEWALS_IN_A_LEASE))
            else:
                if told is not None:
                    waited = round(time.monotonic() - since, 3)
                    kernel_logger().info("took over the state", owner=self._owner, seconds=waited)
                self._thread.start()
                return True
        return False

    def confirmed(self, *, despite_outage: bool) -> bool | None:
        """Say whether we own the store now, so that nobody else can be at work; None: not known.

        Where the lease has run out, a renewal is begun, and waited for a little.

        Args:
            despite_outage: Take it for owned while the store is away.
        """
        with self._changed:
            verdict = self._verdict(despite_outage=despite_outage)
            if verdict is None:
                self._want()
                self._changed.wait(_RETRY_SECONDS)
                verdict = self._verdict(despite_outage=despite_outage)
            return verdict

    @property
    def failure(self) -> StateError | None:
        """Why the last renewal failed; None if it did not."""
        return self._failure

    def answered_since(self, moment: float) -> bool:
        """Say whether a renewal went well that began after a moment; have it done, if not."""
        with self._changed:
            if self._renewed_at <= moment:
                self._want()
            return self._renewed_at > moment

    def release(self) -> None:
        """Renew no more, and let others own the store at once."""
        with self._changed:
            self._is_over = True
            self._changed.notify_all()
        if self._lease is None:
            return
        self._thread.join(_LAST_WORD_SECONDS)
        try:
            self._lease.release()
        except StateError as error:
            kernel_logger().warning(
                "the state is not released: a standby has to wait for the lease to run out",
                problem=error.problem,
            )

    def _reason_to_wait(self, error: StateError, *, standby: bool) -> str:
        """Return what is waited for.

        Raises:
            StateError: nothing is; it says why.
        """
        if isinstance(error, StateConflict):
            if standby:
                return "standing by: another engine owns the state"
            raise StateConflict(
                f"another engine owns the state: {error.problem}; start again when it has ended, "
                "or wait for that with `state.standby = true`"
            ) from error
        if not (standby and error.transient):
            raise error
        return "standing by: the state store is away"

    def _verdict(self, *, despite_outage: bool) -> bool | None:
        assert self._lease is not None
        if self._lease.seconds_left > 0:
            return True
        if self._is_over:
            return False
        # A failure from before the process was stopped for hours says nothing.
        recent = self._failed_at + self._seconds > time.monotonic()
        return True if despite_outage and self._failure is not None and recent else None

    def _want(self) -> None:
        self._wanted = True
        self._changed.notify_all()

    def _renew(self) -> None:
        assert self._lease is not None
        pause = self._seconds / _RENEWALS_IN_A_LEASE
        while True:
            with self._changed:
                if self._failure is None:
                    self._changed.wait_for(lambda: self._is_over or self._wanted, pause)
                else:
                    self._changed.wait_for(lambda: self._is_over, min(pause, _RETRY_SECONDS))
                if self._is_over:
                    return
                self._wanted = False
            began = time.monotonic()
            try:
                self._lease.renew()
            except StateError as error:
                if not isinstance(error, StateConflict) and error.transient:
                    self._note(error, self._renewed_at)
                    continue
                with self._changed:
                    was_over, self._is_over = self._is_over, True
                    self._changed.notify_all()
                if not was_over:  # else it was released meanwhile
                    self._on_loss(error)
                return
            else:
                self._note(None, began)

    def _note(self, failure: StateError | None, renewed_at: float) -> None:
        with self._changed:
            self._failure = failure
            self._failed_at = time.monotonic()
            self._renewed_at = renewed_at
            self._changed.notify_all()
