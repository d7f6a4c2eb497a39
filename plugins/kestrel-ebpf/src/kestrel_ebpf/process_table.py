"""Which processes exist, as far as the events and /proc have told.

A process is known by its number and its start, since numbers are given out again.
The table follows the events in the order of the kernel; /proc, which shows the present
and not the moment of an event, is believed only where the start fits.
"""

from __future__ import annotations

import hashlib
from typing import Final

import attrs

from kestrel_ebpf.kernel_clock import KernelClock
from kestrel_ebpf.netlink.proc_messages import (
    Executed,
    Exited,
    Forked,
    GroupChanged,
    UserChanged,
)
from kestrel_ebpf.proc_filesystem import (
    UNKNOWN_IMAGE,
    Credentials,
    Image,
    Observation,
    ProcFilesystem,
)

_TICK_TOLERANCE: Final = 1  # the clocks are read one after the other
_NOBODY: Final = 0  # no process has this number


@attrs.frozen
class Parent:
    """What a process was when it started another one.

    It has no parent of its own here, so that a chain of forks holds no memory of
    processes long gone.
    """

    process_id: int
    entity_id: str
    started_ns: int | None
    image: Image
    credentials: Credentials | None


@attrs.define(eq=False)
class Process:
    """A living process.

    Attributes:
        entity_id: The same for this process in every run on this boot, and for no other.
        start_ticks: As /proc tells it, or None where neither its fork was seen nor /proc read.
        started_ns: On CLOCK_MONOTONIC: of the fork if it was seen, else of the tick.
        parent: Who started it; where the fork was not seen, its parent when it was found.
        threads: The numbers of its threads that are alive.
        followed: Whether its events are asked for.
    """

    process_id: int
    entity_id: str
    start_ticks: int | None
    started_ns: int | None
    image: Image
    parent: Parent | None
    credentials: Credentials | None
    container: str | None
    terminal: int
    threads: set[int]
    followed: bool

    def as_parent(self) -> Parent:
        """Return what children remember of it."""
        return Parent(
            self.process_id, self.entity_id, self.started_ns, self.image, self.credentials
        )


class ProcessTable:
    """The living processes. Used by one thread.

    At most `capacity` processes are held; beyond that the one known longest is
    forgotten, and read from /proc again when it acts.

    Attributes:
        evictions: How many were forgotten so.
    """

    def __init__(
        self,
        filesystem: ProcFilesystem,
        clock: KernelClock,
        *,
        boot_id: str,
        capacity: int,
        root_process_id: int | None = None,
    ) -> None:
        """Make an empty table; `root_process_id` limits who is followed to its offspring."""
        self._filesystem = filesystem
        self._clock = clock
        self._boot_id = boot_id
        self._capacity = capacity
        self._root = root_process_id
        self._processes: dict[int, Process] = {}
        self.evictions = 0

    def __len__(self) -> int:
        return len(self._processes)

    def get(self, process_id: int) -> Process | None:
        """Return the living process with that number, if it is known."""
        return self._processes.get(process_id)

    def resynchronise(self) -> None:
        """Make the table what /proc says now: forget who is gone, adopt who is new.

        Cost: 0.1 to 0.3 ms a process.
        """
        observations = {}
        for process_id in self._filesystem.process_ids():
            observation = self._filesystem.observe(process_id)
            if observation is not None:
                observations[process_id] = observation
        for process_id in list(self._processes):
            found = observations.get(process_id)
            if found is None or not _is_same(self._processes[process_id], found):
                del self._processes[process_id]
        oldest_first = sorted(observations.items(), key=lambda item: item[1].stat.start_ticks)
        for process_id, observation in oldest_first:
            known = self._processes.get(process_id)
            if known is None:
                self._adopt(process_id, observation)
            else:
                _refresh(known, observation)
                known.credentials = observation.credentials or known.credentials

    def forked(self, message: Forked) -> Process | None:
        """Hear of a fork; return the new process, or None for a thread of a known one."""
        if message.thread_id != message.process_id:
            process = self._processes.get(message.process_id)
            if process is not None:
                process.threads.add(message.thread_id)
            return None
        now = message.envelope.monotonic_ns
        parent = self.acting(message.parent_id, now)
        stat = self._filesystem.stat(message.process_id)
        if stat is not None and self._began_by(stat.start_ticks, now):
            start_ticks, terminal = stat.start_ticks, stat.terminal
        else:
            start_ticks, terminal = self._clock.ticks(now), parent.terminal
        return self._insert(
            Process(
                process_id=message.process_id,
                entity_id=self._entity_id(message.process_id, str(start_ticks)),
                start_ticks=start_ticks,
                started_ns=now,
                image=parent.image,
                parent=parent.as_parent(),
                credentials=parent.credentials,
                container=parent.container,
                terminal=terminal,
                threads={message.process_id},
                followed=parent.followed,
            )
        )

    def executed(self, message: Executed, observation: Observation | None) -> Process:
        """Hear of a new program, and of what /proc showed after that; return the process.

        Without an observation, or with one of a process that began after the event,
        the program is unknown.
        """
        now = message.envelope.monotonic_ns
        if observation is not None and not self._began_by(observation.stat.start_ticks, now):
            observation = None
        process = self._processes.get(message.process_id)
        if observation is None:
            process = process or self._placeholder(message.process_id, now)
            process.image = UNKNOWN_IMAGE
        elif process is None or not _is_same(process, observation):
            process = self._adopt(message.process_id, observation)
        else:
            _refresh(process, observation)
        process.threads = {message.process_id}
        return process

    def credentials_changed(self, message: UserChanged | GroupChanged) -> Process:
        """Hear of new user or group ids; return the process, which has them now."""
        process = self.acting(message.process_id, message.envelope.monotonic_ns)
        known = process.credentials
        if known is None:
            return process
        if isinstance(message, UserChanged):
            changed = attrs.evolve(known, user=message.real, effective_user=message.effective)
        else:
            changed = attrs.evolve(known, group=message.real, effective_group=message.effective)
        process.credentials = changed
        return process

    def exited(self, message: Exited) -> Process | None:
        """Hear that a thread ended; return the process if it was the last one.

        A process lives on after its first thread while others run.
        """
        process = self._processes.get(message.process_id)
        if process is None:
            if message.thread_id != message.process_id:
                return None
            return self._placeholder(message.process_id, message.envelope.monotonic_ns, keep=False)
        process.threads.discard(message.thread_id)
        if process.threads:
            return None
        del self._processes[message.process_id]
        if message.process_id == self._root:
            self._root = _NOBODY  # its number can be given to a stranger
        return process

    def acting(self, process_id: int, monotonic_ns: int) -> Process:
        """Return the process that did something at that time, read from /proc if it is new."""
        process = self._processes.get(process_id)
        if process is not None:
            return process
        observation = self._filesystem.observe(process_id)
        if observation is not None and self._began_by(observation.stat.start_ticks, monotonic_ns):
            return self._adopt(process_id, observation)
        return self._placeholder(process_id, monotonic_ns)

    def _adopt(self, process_id: int, observation: Observation) -> Process:
        """Enter a process that was found in /proc, in place of any other with its number."""
        stat = observation.stat
        parent = self._processes.get(stat.parent_id)
        return self._insert(
            Process(
                process_id=process_id,
                entity_id=self._entity_id(process_id, str(stat.start_ticks)),
                start_ticks=stat.start_ticks,
                started_ns=self._clock.monotonic(stat.start_ticks),
                image=observation.image,
                parent=parent.as_parent() if parent else None,
                credentials=observation.credentials,
                container=observation.container,
                terminal=stat.terminal,
                threads={process_id, *self._filesystem.thread_ids(process_id)},
                followed=self._is_followed(process_id, parent),
            )
        )

    def _placeholder(self, process_id: int, monotonic_ns: int, *, keep: bool = True) -> Process:
        """Return a process of which nothing is known but that it was there at that time."""
        process = Process(
            process_id=process_id,
            entity_id=self._entity_id(process_id, f"seen at {monotonic_ns}"),
            start_ticks=None,
            started_ns=None,
            image=UNKNOWN_IMAGE,
            parent=None,
            credentials=None,
            container=None,
            terminal=0,
            threads={process_id},
            followed=self._root is None,
        )
        return self._insert(process) if keep else process

    def _insert(self, process: Process) -> Process:
        self._processes.pop(process.process_id, None)
        if len(self._processes) >= self._capacity:
            del self._processes[next(iter(self._processes))]
            self.evictions += 1
        self._processes[process.process_id] = process
        return process

    def _is_followed(self, process_id: int, parent: Process | None) -> bool:
        if self._root is None or process_id == self._root:
            return True
        return parent is not None and parent.followed

    def _began_by(self, start_ticks: int, monotonic_ns: int) -> bool:
        return start_ticks <= self._clock.ticks(monotonic_ns) + _TICK_TOLERANCE

    def _entity_id(self, process_id: int, start: str) -> str:
        text = f"{self._boot_id}\0{process_id}\0{start}"
        return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


def _is_same(process: Process, observation: Observation) -> bool:
    """Say whether /proc shows this process, and not a later one with its number."""
    if process.start_ticks is None:
        return False
    return abs(process.start_ticks - observation.stat.start_ticks) <= _TICK_TOLERANCE


def _refresh(process: Process, observation: Observation) -> None:
    """Take over what only /proc can tell.

    User and group follow the events, which are exact; /proc may be ahead of them.
    """
    process.image = observation.image
    process.container = observation.container
    process.terminal = observation.stat.terminal
    process.credentials = process.credentials or observation.credentials
