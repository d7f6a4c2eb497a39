"""The source `proc-events`: what the kernel's process connector says, enriched from /proc."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import attrs

from kestrel_ebpf.account_names import AccountNames
from kestrel_ebpf.documents import DATASET, DocumentBuilder, Host
from kestrel_ebpf.kernel_clock import KernelClock
from kestrel_ebpf.netlink.proc_connector import ProcConnector
from kestrel_ebpf.netlink.proc_messages import (
    Executed,
    Exited,
    Forked,
    GroupChanged,
    ProcMessage,
    Renamed,
    SessionBegun,
    UserChanged,
)
from kestrel_ebpf.proc_filesystem import Observation, ProcFilesystem
from kestrel_ebpf.process_table import Process, ProcessTable
from kestrel_framework.errors import InputError
from kestrel_framework.event import Document, EventBatch
from kestrel_framework.interfaces import PluginContext

_DISORDER_NS: Final = 250_000_000
_RESYNCHRONISE_NS: Final = 1_000_000_000
_PROC: Final = Path("/proc")
_MEBIBYTE: Final = 1024 * 1024


def _positive(_: object, attribute: attrs.Attribute[int], value: int | None) -> None:
    if value is not None and value < 1:
        raise ValueError(f"`{attribute.name}` must be 1 or more, not {value}")


@attrs.frozen
class ProcEventsConfig:
    """The settings of the source `proc-events`."""

    root_pid: int | None = attrs.field(
        default=None,
        validator=_positive,
        metadata={"help": "follow only this process and what it starts, directly or not"},
    )
    receive_buffer_bytes: int = attrs.field(
        default=32 * _MEBIBYTE,
        validator=_positive,
        metadata={"help": "how much the kernel keeps for us while we are busy"},
    )
    max_processes: int = attrs.field(
        default=131_072,
        validator=_positive,
        metadata={"help": "how many living processes are remembered at most"},
    )
    max_command_line_bytes: int = attrs.field(
        default=128 * 1024,
        validator=_positive,
        metadata={"help": "how much of a command line is read; the rest is left out and counted"},
    )


@attrs.frozen
class _Sight:
    """A look at a process after it executed a program; `seen_at` is just after, monotonic."""

    message: Executed
    observation: Observation | None
    seen_at: int


@attrs.frozen
class _Arrival:
    """Messages in the order of their time, and a look at each process that executed one.

    The message of a sight is the last execution of its process; those before it
    cannot be looked at any more.
    """

    messages: Sequence[ProcMessage]
    sights: Mapping[int, _Sight]


class ProcEventsSource:
    """Reads processes as they begin, change and end, on a live Linux host.

    It cannot go back: what happened while it was closed is not seen. All calls come
    from one thread. Cost: about 0.4 ms of processor time for a process that is forked, executes
    a program and ends, a quarter of it for reading /proc.

    The kernel says who did something, and /proc what it is: what ended before
    it was looked at is handed over with what its parent left it, and counted as
    `enrichment_missed`.
    """

    def __init__(self, config: ProcEventsConfig, context: PluginContext) -> None:
        self._config = config
        self._context = context
        self._connector = ProcConnector(config.receive_buffer_bytes)
        self._waiting = _Arrival((), {})
        self._stream = ""
        self._offset = 0
        self._behind = False
        self._resynchronised_at = 0

    def open(self, position: str | None) -> None:
        """Subscribe, then read all processes that run already; they are no events.

        Raises:
            InputError: the process connector cannot be used, and why; or
                `root_pid` does not exist.
        """
        if position is not None:
            raise InputError(
                "proc-events cannot go back to a position: the kernel keeps no history"
            )
        self._connector.open()
        try:
            self._prepare()
        except InputError:
            self.close()
            raise

    def read(self, max_events: int, timeout: float) -> EventBatch | None:
        """Return what has happened; never `None`, since a host never ends."""
        arrival = self._waiting if self._waiting.messages else self._receive(max_events, timeout)
        if self._clock.synchronise():
            self._context.logger.warning("the time of day was set; later events follow it")
        drained_at = self._clock.now()
        self._waiting = self._receive(max_events, 0.0)
        documents = [self._document(message, arrival) for message in arrival.messages]
        batch = EventBatch(
            documents=[document for document in documents if document is not None],
            lost=self._take_losses(),
            watermark=self._watermark(drained_at),
            stream=self._stream,
            first_offset=self._offset,
            origin=DATASET,
            disorder=_DISORDER_NS,
        )
        self._offset += len(batch)
        return batch

    def acknowledge(self, position: str) -> None:
        """Do nothing: the kernel keeps no history to release."""

    def close(self) -> None:
        """Unsubscribe. A second call does nothing."""
        self._connector.close()

    def _prepare(self) -> None:
        boot_id = _first_line(_PROC / "sys/kernel/random/boot_id")
        if boot_id is None:
            raise InputError("/proc is not mounted: mount it (mount -t proc proc /proc)")
        root = self._config.root_pid
        if root is not None and not (_PROC / str(root)).is_dir():
            raise InputError(f"`root_pid` is {root}, and there is no such process")
        self._clock = KernelClock()
        self._filesystem = ProcFilesystem(_PROC, self._config.max_command_line_bytes)
        self._table = ProcessTable(
            self._filesystem,
            self._clock,
            boot_id=boot_id,
            capacity=self._config.max_processes,
            root_process_id=root,
        )
        self._documents = DocumentBuilder(
            Host(os.uname().nodename, _first_line(Path("/etc/machine-id"))),
            self._clock,
            AccountNames(Path("/etc/passwd")),
            AccountNames(Path("/etc/group")),
        )
        self._table.resynchronise()
        self._stream = f"{DATASET}:{boot_id}:{time.time_ns()}"
        self._offset = 0

    def _receive(self, max_events: int, timeout: float) -> _Arrival:
        """Return what has arrived, and look at new programs at once, before they end.

        Where a process executed several programs meanwhile, the last one is what can be seen.
        """
        messages = self._connector.receive(max_events, timeout)
        executions = {m.process_id: m for m in messages if isinstance(m, Executed)}
        sights = {}
        for process_id, message in executions.items():
            observation = self._filesystem.observe(process_id)
            sights[process_id] = _Sight(message, observation, self._clock.now())
        messages.sort(key=lambda message: message.envelope.monotonic_ns)
        return _Arrival(messages, sights)

    def _executed(self, message: Executed, sight: _Sight) -> Document | None:
        superseded = sight.message is not message or self._is_outdated(sight)
        observation = None if superseded else sight.observation
        process = self._table.executed(message, observation)
        if not process.followed:
            return None
        if not process.image.args:
            self._context.metrics.count("enrichment_missed")
        if process.image.truncated:
            self._context.metrics.count("command_lines_truncated")
        directory = observation.working_directory if observation else None
        return self._documents.exec(process, directory, message.envelope.monotonic_ns)

    def _is_outdated(self, sight: _Sight) -> bool:
        """Say whether the process had gone on to another program when it was looked at.

        What has arrived since then tells.
        """
        later = self._waiting.sights.get(sight.message.process_id)
        return later is not None and later.message.envelope.monotonic_ns <= sight.seen_at

    def _document(self, message: ProcMessage, arrival: _Arrival) -> Document | None:
        """Enter a message into the table, and describe it if it is asked for."""
        when = message.envelope.monotonic_ns
        match message:
            case Executed():
                return self._executed(message, arrival.sights[message.process_id])
            case Forked():
                child = self._table.forked(message)
                if child is None or not child.followed:
                    return None
                return self._documents.fork(child, when)
            case Exited():
                ended = self._table.exited(message)
                if ended is None or not ended.followed:
                    return None
                return self._documents.exit(ended, message.status, when)
            case UserChanged():
                return self._changed("uid_change", self._table.credentials_changed(message), when)
            case GroupChanged():
                return self._changed("gid_change", self._table.credentials_changed(message), when)
            case SessionBegun():
                process = self._table.acting(message.process_id, when)
                return self._changed("session_id_change", process, when)
            case Renamed():
                process = self._table.acting(message.process_id, when)
                name = message.comm.decode("utf-8", "replace")
                thread = {"thread": {"id": message.thread_id, "name": name}}
                return self._changed("comm_change", process, when, thread)
            case _:
                return None

    def _changed(
        self,
        action: str,
        process: Process,
        when: int,
        more: Mapping[str, object] | None = None,
    ) -> Document | None:
        return self._documents.change(action, process, when, more) if process.followed else None

    def _take_losses(self) -> dict[str, int]:
        losses = self._connector.take_losses()
        metrics = self._context.metrics
        if losses.overruns:
            metrics.count("receive_buffer_overruns", losses.overruns)
        if losses.foreign:
            metrics.count("foreign_datagrams", losses.foreign)
        if self._table.evictions:
            metrics.count("table_evictions", self._table.evictions)
            self._table.evictions = 0
        lost = {"not_delivered": losses.undelivered, "undecodable": losses.undecodable}
        lost = {cause: number for cause, number in lost.items() if number}
        self._behind = self._behind or bool(lost)
        now = self._clock.now()
        if self._behind and now - self._resynchronised_at >= _RESYNCHRONISE_NS:
            self._table.resynchronise()
            metrics.count("resynchronisations")
            self._behind, self._resynchronised_at = False, now
        return lost

    def _watermark(self, drained_at: int) -> int:
        """Return the time before which nothing more will come.

        The kernel puts an event into our buffer while it happens, so an empty buffer
        means that all of the past is read, but for events that a busy processor has stamped
        and not put there yet.
        """
        waiting = self._waiting.messages
        read_until = waiting[0].envelope.monotonic_ns if waiting else drained_at
        return self._clock.time_of_day(read_until - _DISORDER_NS)


def _first_line(path: Path) -> str | None:
    try:
        text = path.read_text("ascii", "replace").strip()
    except OSError:
        return None
    return text.splitlines()[0] if text else None
