"""An engine with a store that a test has fail, or takes away."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence

from engine_parts import PATIENCE, RULES, InThread, LiveSource, Parts, build, event

from kestrel_framework._builtin.memory_ownership import MemoryOwnership
from kestrel_framework._builtin.memory_state import MemoryStateStore
from kestrel_framework.config import EngineConfig, StateConfig
from kestrel_framework.engine import Engine, ExitStatus
from kestrel_framework.errors import StateError
from kestrel_framework.event import EventBatch
from kestrel_framework.interfaces import Change, StateOwnership
from kestrel_framework.testing.fakes import RecordingOutput

AWAY = StateError("nobody answers", transient=True)
DAMAGED = StateError("the disk is broken")


class Ownership:
    """An ownership of the store in memory, whose time runs out when the test says so."""

    def __init__(self, store: Store, inner: MemoryOwnership) -> None:
        self._store = store
        self._inner = inner
        self.fence = inner.fence

    @property
    def seconds_left(self) -> float:
        return 0.0 if self._store.has_run_out else self._inner.seconds_left

    def renew(self) -> None:
        if self._store.renews_after_release:
            self._store.is_renewing.set()
            assert self._store.released.wait(PATIENCE)
        if self._store.failing is not None:
            raise self._store.failing
        self._inner.renew()
        self._store.has_run_out = False

    def release(self) -> None:
        self._inner.release()
        self._store.released.set()


class Store(MemoryStateStore):
    """The store in memory, which outlives the engine, and fails when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.failing: StateError | None = None
        self.has_run_out = False
        self.renews_after_release = False
        self.is_renewing = threading.Event()
        self.released = threading.Event()
        self.fences: list[int | None] = []
        self.is_committing = False
        self.commits_may_go_on = threading.Event()
        self.commits_may_go_on.set()

    def own(self, owner: str, seconds: float) -> StateOwnership:  # type: ignore[override]
        if self.failing is not None:
            raise self.failing
        return Ownership(self, super().own(owner, seconds))

    def commit(
        self,
        changes: Sequence[Change],
        expected: Mapping[bytes, int | None] | None = None,
        fence: int | None = None,
    ) -> Mapping[bytes, int]:
        self.is_committing = not self.commits_may_go_on.is_set()
        assert self.commits_may_go_on.wait(PATIENCE)
        if self.failing is not None:
            raise self.failing
        self.fences.append(fence)
        return super().commit(changes, expected, fence)

    def close(self) -> None:
        pass


class Running:
    """An engine in a thread, with what it reads and writes; it commits after each batch."""

    def __init__(
        self, store: object, *, checkpoint_interval: float = 0.0, **settings: object
    ) -> None:
        self.source = LiveSource()
        self.output = RecordingOutput()
        self._number = 0
        parts = Parts({"audit": self.source}, {"siem": self.output}, stores={"shared": store})
        state = StateConfig(type="shared", **{"owner": "here", "lease": 0.5} | settings)  # type: ignore[arg-type]
        # Room for all that the source has, also while the engine waits.
        engine = EngineConfig(
            queue_batches=10_000,
            checkpoint_interval=checkpoint_interval,
            read_timeout=0.05,
            close_timeout=PATIENCE,
        )
        self.engine: Engine = build(parts, RULES, state=state, engine=engine)
        self._thread = InThread(self.engine)

    def bring(self) -> None:
        """Have the source bring an event that a rule looks for."""
        self._number += 1
        batch = EventBatch(documents=[event("sh", self._number)], position=str(self._number))
        self.source._batches.append(batch)

    def alert(self) -> None:
        """Bring an event, and wait for its alert."""
        before = len(self.output.alerts)
        self.bring()
        wait_until(lambda: len(self.output.alerts) > before)

    def status(self) -> tuple[ExitStatus, str]:
        report = self._thread.report()
        return report.exit_status, "; ".join(map(str, report.failures))

    @property
    def outages(self) -> int:
        state = self.engine.statistics["state"]
        assert isinstance(state, dict)
        return int(state["outages"])


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.002)


class OwnerlessStore:
    """A store without owners."""

    def __init__(self) -> None:
        inner = MemoryStateStore()
        self.get_many = inner.get_many
        self.scan = inner.scan
        self.commit = inner.commit
        self.close = inner.close
