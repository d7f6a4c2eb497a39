"""The state of a running engine: who may keep it, and what follows while the store is away."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final

import attrs

from kestrel_framework._checkpoints import Checkpoint, Checkpoints
from kestrel_framework._outbox import Outbox, Recipient
from kestrel_framework._ownership import Ownership
from kestrel_framework._plugins.kernel_log import kernel_logger
from kestrel_framework._shared_sequences import Membership
from kestrel_framework.alert import Alert
from kestrel_framework.config import Configuration
from kestrel_framework.detector import Detector
from kestrel_framework.errors import ConfigurationError, StateConflict, StateError
from kestrel_framework.interfaces import StateStore, SupportsOwnership, SupportsWatch

_RETRY_SECONDS: Final = 0.5
_TRIES_APART: Final = 5.0
"""Seconds after which a store that is away is tried again, by an engine that goes on meanwhile."""


@attrs.frozen
class StateStatistics:
    """What the store of the state was like.

    Attributes:
        outages: How often it was away.
        outage_seconds: For how long altogether.
    """

    outages: int = 0
    outage_seconds: float = 0.0


class StateKeeper:
    """Keeps the state of one engine in a store. For the thread of the engine.

    Where it cannot be kept any more, the engine is to end: what it read is matched, and nothing
    is committed. Where another engine has it, it is lost, and nothing may be done at all.

    Where sequences are shared, no engine owns the store alone: each keeps its own part in it.

    Args:
        store: Where it is kept; None is nowhere, which never fails.
        configuration: Who owns the store, what follows while it is away, and who shares it.
        detector: Whose state it is.
        outputs: Who is given all alerts.
        stopping: Set when nobody should wait for anything any more.
        on_end: Told once, in any thread, why the state cannot be kept any more.
        on_wait: Told how many seconds the engine has stood still for the store.

    Raises:
        ConfigurationError: sequences are to be shared over a store for one engine.
    """

    def __init__(
        self,
        store: StateStore | None,
        configuration: Configuration,
        detector: Detector,
        outputs: Collection[Recipient],
        stopping: threading.Event,
        on_end: Callable[[StateError], None],
        on_wait: Callable[[float], None],
    ) -> None:
        self._store = store
        self._settings = settings = configuration.state
        self._goes_on = settings.outage == "go_on"
        self._stopping = stopping
        self._on_end = on_end
        self._on_wait = on_wait
        self._checkpoints = None if store is None else Checkpoints(store, outputs=outputs)
        self._shared: Membership | None = None
        self._ownership: Ownership | None = None
        if configuration.shared.member:
            self._shared = _membership(store, configuration, detector, outputs)
        elif isinstance(store, SupportsOwnership):
            owner = settings.owner or socket.gethostname()
            self._ownership = Ownership(store, owner, settings.lease, stopping, self._end)
        self._ending = threading.Lock()
        self._is_over = False
        self._is_lost = False
        self._outage = _Outage()

    @property
    def is_lost(self) -> bool:
        """Whether what is still read is left to whoever goes on."""
        return self._is_lost

    @property
    def outbox(self) -> Outbox | None:
        """Where alerts are until every output has them; None where nothing is kept."""
        keeper = self._shared or self._checkpoints
        return None if keeper is None else keeper.outbox

    @property
    def is_shared(self) -> bool:
        """Whether this engine follows its sequences together with others."""
        return self._shared is not None

    @property
    def has_much_to_send(self) -> bool:
        """Whether a checkpoint should come soon, since others are to hear of much."""
        return self._shared is not None and self._shared.is_full and not self._is_put_off()

    @property
    def is_ahead(self) -> bool:
        """Whether others have so much to take that nothing should be read until they did."""
        return self._shared is not None and self._shared.is_behind and not self._is_over

    @property
    def is_finished(self) -> bool:
        """Whether nobody has anything to send any more, and all is followed to its end."""
        return self._shared is None or self._shared.is_over or self._is_over

    @property
    def statistics(self) -> dict[str, object]:
        """What the store was like so far, and what was shared. From any thread."""
        statistics: dict[str, object] = {"state": attrs.asdict(self._outage.statistics)}
        if self._shared is not None:
            statistics["shared"] = attrs.asdict(self._shared.statistics)
        return statistics

    def open(self, sources: Iterable[str]) -> Checkpoint | None:
        """Own the store, and return the last checkpoint; None where a stop ended the waiting.

        Args:
            sources: Whose positions are wanted.

        Raises:
            StateError: somebody else owns the store; or it cannot be read.
        """
        if self._ownership is not None and not self._ownership.obtain(
            standby=self._settings.standby
        ):
            return None
        if self._shared is not None:
            return self._shared.load(sources)
        if self._checkpoints is None:
            return Checkpoint(None, {})
        return self._checkpoints.load(sources)

    def turn(self) -> list[Alert]:
        """Take what others sent, and return the alerts of sequences that are shared."""
        if self._shared is None or self._is_over or self._is_put_off():
            return []
        try:
            return self._shared.turn()
        except StateError as error:
            self._note(error)
            return []

    def end(self) -> None:
        """Hear that the sources of this engine have ended."""
        if self._shared is not None:
            self._shared.end()

    def may_alert(self) -> bool:
        """Say whether an alert may go out: nobody else is at work on the same state.

        Waits where the lease has run out while the store is away, unless the engine is to go on.
        """
        if self._is_lost or self._ownership is None:
            return not self._is_lost
        since = time.monotonic()
        waited = False
        while (confirmed := self._ownership.confirmed(despite_outage=self._goes_on)) is None:
            waited = True
            if self._ownership.failure is not None and not self._goes_on:
                self._outage.begin(self._ownership.failure, "alerts wait")
            if self._stopping.is_set():
                break
        if not confirmed:
            self._is_lost = True  # an alert is left out: nothing may be committed after it
            if confirmed is None:
                self._end(
                    StateError(
                        "the lease of the state ran out, and cannot be renewed: alerts since the "
                        "last commit are left to whoever goes on"
                    )
                )
            return False
        if waited:
            self._on_wait(time.monotonic() - since)
            if not self._goes_on:
                self._outage.end()
        return True

    def save(
        self, snapshot: Callable[[], bytes], positions: Mapping[str, str], *, last: bool = False
    ) -> bool:
        """Write a checkpoint, and say whether it is written: only then may sources hear of it.

        Args:
            snapshot: Gives the state of the detector.
            positions: Where sources go on.
            last: There is no other one after it, so that it cannot be put off.
        """
        if self._checkpoints is None:
            return True
        if self._is_over or self._is_lost or (not last and self._is_put_off()):
            return False
        taken = snapshot()
        since = time.monotonic()
        while not self._is_over:
            try:
                self._commit(taken, positions, last=last)
            except StateError as error:
                if last:
                    self._end(error)
                else:
                    self._note(error)
                if self._goes_on or self._is_over or self._stopping.wait(_RETRY_SECONDS):
                    return False
            else:
                self._outage.end()
                self._on_wait(time.monotonic() - since)
                return True
        return False

    def close(self) -> None:
        """Let others own the store, and close it."""
        self._outage.end(is_back=False)
        if self._ownership is not None:
            self._ownership.release()
        if self._store is not None:
            self._store.close()

    def _commit(self, snapshot: bytes, positions: Mapping[str, str], *, last: bool) -> None:
        if self._shared is None:
            assert self._checkpoints is not None
            fence = None if self._ownership is None else self._ownership.fence
            self._checkpoints.save(snapshot, positions, fence)
        elif last:
            self._shared.leave(snapshot, positions)
        else:
            self._shared.save(snapshot, positions)

    def _note(self, error: StateError) -> None:
        """Take note that the store is away, or that the state is over."""
        if isinstance(error, StateConflict) or not error.transient:
            self._end(error)
        else:
            self._outage.begin(
                error, "going on without commits" if self._goes_on else "reading waits"
            )

    def _is_put_off(self) -> bool:
        """Say whether the store was away at last, and has not answered since.

        Trying would hold up the engine for as long as the store has for an answer.
        """
        failed_at = self._outage.failed_at
        if failed_at is None:
            return False
        if self._ownership is None:
            return self._goes_on and time.monotonic() < failed_at + _TRIES_APART
        return not self._ownership.answered_since(failed_at)

    def _end(self, error: StateError) -> None:
        is_conflict = isinstance(error, StateConflict)
        with self._ending:
            self._is_lost |= is_conflict
            if self._is_over:
                return
            self._is_over = True
        if is_conflict:
            problem = f"this engine ends, since another one has its state: {error.problem}"
            conflict = StateConflict(problem)
            conflict.__cause__ = error
            error = conflict
        self._on_end(error)


def _membership(
    store: StateStore | None,
    configuration: Configuration,
    detector: Detector,
    outputs: Collection[Recipient],
) -> Membership:
    if not isinstance(store, SupportsWatch):
        raise ConfigurationError(
            "sequences are shared through a state store that several engines use at once, such as "
            f"`redis`; `{configuration.state.type}` is for one",
            path="state.type",
        )
    tell = kernel_logger().warning
    return Membership(store, detector, configuration.shared, tell, outputs)


class _Outage:
    """Counts and tells when the store is away, and when it is back."""

    def __init__(self) -> None:
        self._count = 0
        self._seconds = 0.0
        self._since: float | None = None
        self.failed_at: float | None = None

    @property
    def statistics(self) -> StateStatistics:
        since = self._since
        seconds = self._seconds + (0.0 if since is None else time.monotonic() - since)
        return StateStatistics(self._count, round(seconds, 3))

    def begin(self, error: StateError, consequence: str) -> None:
        self.failed_at = time.monotonic()
        if self._since is None:
            self._since = self.failed_at
            self._count += 1
            kernel_logger().warning(
                f"the state store is away: {consequence}", problem=error.problem
            )

    def end(self, *, is_back: bool = True) -> None:
        if self._since is None:
            return
        seconds = time.monotonic() - self._since
        self._seconds += seconds
        self._since = self.failed_at = None
        if is_back:
            kernel_logger().info("the state store is back", seconds=round(seconds, 3))
