"""The engine: sources, through one detector, to outputs and actions.

One thread for each source, one for each output, one for the actions, and the thread
that calls `run`, which owns the detector; see `docs/explanation/threads.md`.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import Final, Self

import attrs

from kestrel_framework._alert_delivery import AlertDelivery
from kestrel_framework._assembly import Assembler, Assembly
from kestrel_framework._batch_feed import BatchFeed
from kestrel_framework._pipeline.bounded_queue import QueueClosedError
from kestrel_framework._pipeline.matcher_pool import Job
from kestrel_framework._pipeline.source_reader import (
    Delivery,
    SourceEnded,
    SourceReader,
)
from kestrel_framework._plugins.registry import PluginRegistry
from kestrel_framework._rule_reloads import RuleReloads
from kestrel_framework._rule_replacement import PreparedRules
from kestrel_framework._run_record import EngineReport, ExitStatus, ProblemLog, RunRecord
from kestrel_framework._source_times import SourceTimes
from kestrel_framework._state_keeping import StateKeeper
from kestrel_framework.alert import Alert
from kestrel_framework.config import Configuration
from kestrel_framework.errors import KestrelError, StateError
from kestrel_framework.interfaces import SupportsLiveness, SupportsProgress
from kestrel_framework.reload import ReloadReport
from kestrel_framework.rule import LoadReport, RuleSet

__all__ = ["Engine", "EngineReport", "ExitStatus"]

_PATIENCE: Final = 0.1
_WORKERS_SHARE: Final = 4
"""Which part of the time for closing a worker may take for what it has."""


class Engine:
    """Runs a configuration once, from its first event to its last alert.

    Sources that are not live are read one after the other in the order of the
    configuration, so that the same inputs give the same bytes; live ones are read all the
    while, in the order of arrival. Of each batch the order is: match, hand over the
    alerts; now and then: commit, with the alerts that outputs lack, and acknowledge.

    Build one with `Engine.build`.
    """

    def __init__(
        self, configuration: Configuration, assembly: Assembly, aborting: threading.Event
    ) -> None:
        settings = configuration.engine
        self._settings = settings
        self._assembly = assembly
        self._detector = assembly.detector
        problem_log = ProblemLog()
        self._detector.on_problem = problem_log
        self._aborting = aborting
        self._record = RunRecord()
        capacity = settings.queue_batches * max(1, len(assembly.sources))
        self._feed = BatchFeed(assembly.detector, settings.workers, capacity, problem_log)
        self._readers: dict[str, SourceReader] = {}
        self._waiting: deque[str] = deque()
        self._reading: set[str] = set()
        self._delivery = AlertDelivery(assembly, settings, self._record)
        self._interval = (
            configuration.shared.interval
            if configuration.shared.member
            else settings.checkpoint_interval
        )
        self._positions: dict[str, str] = {}
        self._undelivered: Mapping[str, Sequence[Alert]] = {}
        self._unacknowledged: dict[str, str] = {}
        self._live = {
            name
            for name, source in assembly.sources.items()
            if not isinstance(source, SupportsLiveness) or source.live
        }
        self._times = SourceTimes(assembly.detector, configuration.sources, self._live)
        self._checkpoint_at = 0.0
        self._stopping = threading.Event()
        self._state = StateKeeper(
            assembly.store,
            configuration,
            assembly.detector,
            self._delivery.writers,
            self._stopping,
            on_end=self._state_has_ended,
            on_wait=self._times.stood_still,
        )
        self._load_report = assembly.load_report
        self._reloads = RuleReloads(self._prepared, self._feed.replace_rules)
        self._stop_requested = False
        # A SimpleQueue may be put into from a signal handler; a lock must not be taken there.
        self._wake: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._ended = threading.Event()
        self._started = False
        self._orderly = False

    @classmethod
    def build(
        cls,
        configuration: Configuration,
        *,
        plugins: Iterable[object] = (),
        discover: bool = True,
        rules: RuleSet | None = None,
    ) -> Self:
        """Return an engine that is ready to run; nothing is open yet.

        With several workers, their processes are forked here, from this one: build the engine
        before you start threads.

        Args:
            configuration: What to run.
            plugins: Plugin objects to use beside those that are found.
            discover: Whether to look for installed plugins. What the kernel brings is
                always there.
            rules: The rules to run instead of those that the configuration names.

        Raises:
            ConfigurationError: the configuration asks for what is not there.
            PluginError: a plugin that the configuration or `plugins` names failed.
            RuleError: a rule is wrong, where the configuration is strict; or an
                `ExceptionGroup` of them. Otherwise see `load_report`.
        """
        registry = PluginRegistry.load(
            plugins,
            discover=discover,
            allow=configuration.plugins.allow,
            deny=configuration.plugins.deny,
        )
        registry.require_working()
        aborting = threading.Event()
        assembly = Assembler(configuration, registry, aborting).assemble(rules)
        return cls(configuration, assembly, aborting)

    @property
    def load_report(self) -> LoadReport:
        """What loading the rules gave: also the errors of those that do not run."""
        return self._load_report

    @property
    def plugins(self) -> PluginRegistry:
        """The plugins and what they offer."""
        return self._assembly.registry

    @property
    def statistics(self) -> dict[str, object]:
        """The statistics so far, as `--stats` writes them. From any thread."""
        assembly = self._assembly
        statistics = self._record.statistics(self._detector.statistics, assembly.faults.counts)
        statistics["rules"] = {
            "loaded": len(self._detector.rules),
            "rejected": len({_place(error) for error in self._load_report.errors}),
        }
        statistics["partial_matches"] = attrs.asdict(self._detector.partial_matches)
        statistics["processes"] = attrs.asdict(self._detector.processes)
        statistics["reloads"] = attrs.asdict(self._reloads.statistics)
        statistics["workers"] = attrs.asdict(self._feed.statistics)
        statistics.update(self._delivery.statistics)
        statistics.update(self._state.statistics)
        statistics["counters"] = {
            path: dict(counts)
            for path, counters in assembly.counters.items()
            if (counts := counters.read())
        }
        return statistics

    def progress(self) -> tuple[int, int] | None:
        """Return (done, total) of all sources, or None where one does not know. From any thread."""
        done = total = 0
        for source in self._assembly.sources.values():
            part = source.progress() if isinstance(source, SupportsProgress) else None
            if part is None:
                return None
            done, total = done + part[0], total + part[1]
        return done, total

    def run(self) -> EngineReport:
        """Read all sources to their ends, or until `stop`, and return what became of it.

        Blocks. Whatever happens, also an exception, everything is closed in reverse order,
        and what does not close in time is left behind and reported.

        Raises:
            KestrelError: the engine has run before.
        """
        if self._started:
            raise KestrelError("an engine runs once; build another one")
        self._started = True
        self._record.start()
        watcher = threading.Thread(target=self._watch, name="stop watcher", daemon=True)
        watcher.start()
        try:
            if self._open():
                self._process()
        finally:
            self._shut_down()
            self._ended.set()
            self._wake.put(False)
            watcher.join()
        return self._record.report(self.statistics)

    def stop(self) -> None:
        """Have `run` finish what has been read, deliver, and return. Does not wait.

        From any thread and from signal handlers, any number of times, also before `run`.
        """
        self._stop_requested = True
        self._wake.put(True)

    def load_rules(self) -> LoadReport:
        """Read the rules that the configuration names once more, as at the start.

        For `replace_rules`; nothing changes. From any thread, but from one at a time.

        Raises:
            RuleError: a rule is wrong, where the configuration is strict; or an
                `ExceptionGroup` of them.
        """
        return self._assembly.load_rules()

    def replace_rules(self, rules: RuleSet | LoadReport) -> Future[ReloadReport]:
        """Go on with other rules from the next batch on.

        They are compiled in a thread of its own while the engine works, and put in force between
        two batches; the rules so far stay in force if that fails. From any thread.

        Returns:
            What it did, when the new rules are in force; a `RuleError` where they cannot be
            loaded, or a `KestrelError` where the engine ended before.
        """
        if isinstance(rules, RuleSet):
            rule_set, report = rules, LoadReport(rules.rules)
        else:
            rule_set, report = rules.rule_set, rules
        return self._reloads.request(rule_set, lambda: self._note_loaded(report))

    # --- starting -------------------------------------------------------------------

    def _open(self) -> bool:
        """Open what alerts need, and say whether everything is there."""
        try:
            if not self._restore():
                return False
        except StateError as error:
            self._record.fail(error, ExitStatus.OUTPUT_FAILED)
            return False
        if not self._delivery.open(lambda: self._stop_requested):
            return False
        self._delivery.deliver_again(self._undelivered)
        self._carry_out(self._times.end_unknown)
        for name, source in self._assembly.sources.items():
            self._readers[name] = SourceReader(
                name,
                source,
                self._feed.inbox,
                batch_size=self._settings.batch_size,
                read_timeout=self._settings.read_timeout,
                position=self._positions.get(name),
            )
        return True

    def _restore(self) -> bool:
        """Go on from the last checkpoint; False where a stop came before the state was ours."""
        checkpoint = self._state.open(self._assembly.sources)
        if checkpoint is None:
            return False
        if checkpoint.snapshot is not None:
            self._detector.restore(checkpoint.snapshot)
        self._positions.update(checkpoint.positions)
        self._undelivered = checkpoint.undelivered
        return True

    # --- running --------------------------------------------------------------------

    def _process(self) -> None:
        for name in self._assembly.sources:
            if name in self._live:
                self._begin(name)
            else:
                self._waiting.append(name)
        self._checkpoint_at = time.monotonic() + self._interval
        complete = True
        finite: str | None = None
        while True:
            if finite not in self._reading and self._waiting and not self._stop_requested:
                finite = self._waiting.popleft()
                self._begin(finite)
            if not self._reading:
                break
            try:
                item, job = self._feed.next()
            except QueueClosedError:
                break
            if self._state.is_lost:
                return
            self._reloads.carry_out()
            if isinstance(item, SourceEnded):
                complete = self._end_of(item) and complete
            elif isinstance(item, Delivery):
                self._take(item, job)
            if time.monotonic() >= self._checkpoint_at:
                self._checkpoint()
            self._keep_pace()
        if complete and not self._stop_requested:
            self._carry_out(self._detector.finish)
            self._follow_to_the_end()
        elif self._assembly.store is None:
            self._carry_out(self._detector.release)
        self._orderly = True

    def _begin(self, name: str) -> None:
        if not self._stop_requested:
            self._reading.add(name)
            self._carry_out(lambda: self._times.begin(name))
            self._readers[name].start()

    def _end_of(self, ended: SourceEnded) -> bool:
        """Take note that a source ended, and say whether it was read completely."""
        self._reading.discard(ended.source)
        if not self._stop_requested:
            self._carry_out(lambda: self._times.end(ended.source))
        if ended.error is None:
            return True
        self._record.fail(ended.error, ExitStatus.INPUT_FAILED, source=ended.source)
        if not ended.opened:
            self.stop()
        return False

    def _take(self, delivery: Delivery, job: Job | None) -> None:
        name, batch = delivery.source, delivery.batch
        error = self._attempt(lambda: self._times.before(name, batch))
        error = error or self._attempt(
            lambda: self._feed.feed(self._times.stamped(name, batch), job)
        )
        error = error or self._attempt(lambda: self._times.after(name, batch))
        if error is not None:
            self._record.lose("not_processed", len(batch))
            self._record.fail(error, ExitStatus.INPUT_FAILED, source=name, events=len(batch))
        if batch.position is not None:
            self._positions[name] = batch.position
            self._unacknowledged[name] = batch.position

    def _attempt(self, work: Callable[[], Iterable[Alert]]) -> KestrelError | None:
        """Dispatch what `work` finds, and return why that failed: the engine goes on."""
        try:
            self._dispatch(work())
        except KestrelError as error:
            return error
        except Exception as raised:  # noqa: BLE001 - a fault here must not end the protection
            failure = KestrelError(f"matching failed: {type(raised).__name__}: {raised}")
            failure.__cause__ = raised
            return failure
        return None

    def _carry_out(self, work: Callable[[], Iterable[Alert]]) -> None:
        """Dispatch what `work` finds, and take note where that fails."""
        error = self._attempt(work)
        if error is not None:
            self._record.fail(error, ExitStatus.INPUT_FAILED)

    def _dispatch(self, alerts: Iterable[Alert]) -> None:
        now = time.time_ns()
        found = [attrs.evolve(alert, detected_at=now) for alert in alerts if not alert.shadow]
        if found and self._state.may_alert():
            if self._state.outbox is not None:
                self._state.outbox.add(found)
            self._delivery.dispatch(found)

    def _prepared(self, rules: RuleSet) -> PreparedRules:
        if self._state.is_shared:
            raise KestrelError(
                "rules cannot be replaced while sequences are shared: start the members again, one "
                "after the other"
            )
        return self._feed.prepare_rules(rules)

    def _note_loaded(self, report: LoadReport) -> None:
        self._load_report = report

    def _checkpoint(self, *, last: bool = False) -> None:
        """Commit and acknowledge what was done so far, if nothing of it can be lost then."""
        self._checkpoint_at = time.monotonic() + self._interval
        self._carry_out(self._state.turn)
        if not self._delivery.is_safe(self._state.outbox, is_last=last):
            return
        if not self._state.save(self._detector.snapshot, self._unacknowledged, last=last):
            return
        for name, position in self._unacknowledged.items():
            self._readers[name].acknowledge(position)
        self._unacknowledged.clear()

    def _keep_pace(self) -> None:
        """Send before too much waits to be sent, and wait where others have too much to take."""
        if self._state.has_much_to_send:
            self._checkpoint()
        while self._state.is_ahead and not self._stop_requested:
            time.sleep(min(self._interval, _PATIENCE))
            self._checkpoint()

    def _follow_to_the_end(self) -> None:
        """Follow what others send, until nobody has anything to send any more."""
        self._state.end()
        while not (self._state.is_finished or self._stop_requested):
            time.sleep(min(self._interval, _PATIENCE))
            self._checkpoint()

    # --- stopping -------------------------------------------------------------------

    def _watch(self) -> None:
        """Carry out `stop` in a thread that may wait, unlike a signal handler."""
        if not self._wake.get():
            return
        self._stopping.set()
        for reader in list(self._readers.values()):
            reader.stop()
        self._feed.hurry(self._settings.close_timeout / _WORKERS_SHARE)
        if not self._ended.wait(self._settings.close_timeout):
            self._aborting.set()
            self._feed.abort()
            self._delivery.abort()

    def _shut_down(self) -> None:
        """Close everything, the last opened first, within the time for closing."""
        timeout = self._settings.close_timeout
        for reader in self._readers.values():
            reader.stop()
        if self._orderly:
            self._checkpoint(last=True)
        self._feed.close(timeout)
        for reader in self._readers.values():
            reader.finish()
        deadline = time.monotonic() + timeout
        for name, reader in reversed(self._readers.items()):
            if not reader.join(max(0.0, deadline - time.monotonic())):
                self._record.leave_behind(f"the source `{name}`", timeout, ExitStatus.FINE)
        self._delivery.close()
        for reader in self._readers.values():
            if reader.discarded:
                self._record.lose("not_taken_in_time", reader.discarded)
        self._record.end()
        self._state.close()
        self._reloads.close()

    def _state_has_ended(self, error: StateError) -> None:
        self._record.fail(error, ExitStatus.OUTPUT_FAILED)
        self.stop()


def _place(error: KestrelError) -> str:
    location = getattr(error, "location", None)
    return location.path if location is not None else str(error)
