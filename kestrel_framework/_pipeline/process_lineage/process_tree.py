"""One tree of processes: who is whose child, and which queries their events satisfied."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from kestrel_framework._pipeline.process_lineage.limits import LineageLimits
from kestrel_framework._pipeline.process_lineage.process_ids import IdReader, ProcessId
from kestrel_framework._pipeline.process_lineage.statistics import LineageStatistics


class Process:
    """What is remembered of a process. A set of queries is a mask: bit n for query n.

    Attributes:
        id: What tells it apart.
        parent: The id of its parent, or None while no event has named it.
        own: The queries that its own events satisfied.
        of_parent: Those of its parent, when it was first seen with that parent.
        inherited: Those of all processes above it, at that time.
    """

    __slots__ = ("id", "inherited", "of_parent", "own", "parent")

    def __init__(
        self,
        process_id: ProcessId,
        parent: ProcessId | None = None,
        own: int = 0,
        of_parent: int = 0,
        inherited: int = 0,
    ) -> None:
        self.id = process_id
        self.parent = parent
        self.own = own
        self.of_parent = of_parent
        self.inherited = inherited

    @property
    def is_marked(self) -> bool:
        """Whether some query concerns it."""
        return bool(self.own or self.inherited)


class ProcessTree:
    """The processes that one pair of fields tells apart.

    The first parent that a process is given stays. Bounded: see `LineageLimits`. What a
    process had when it was first seen with its parent outlives the eviction of the parent.

    Cost: of an event, two reads of fields and two accesses to a dictionary; of a question about
    ancestors, one access for each generation.

    Args:
        read_process: Reads the id of an event's process.
        read_parent: Reads the id of that process's parent.
        limits: How much to remember.
        statistics: Where to count; shared.
        texts_are_ids: Whether `read_process` takes every text that it has returned as it is.
    """

    def __init__(
        self,
        read_process: IdReader,
        read_parent: IdReader,
        limits: LineageLimits,
        statistics: LineageStatistics,
        *,
        texts_are_ids: bool = False,
    ) -> None:
        self._read_process = read_process
        self._read_parent = read_parent
        self._limits = limits
        self._statistics = statistics
        self._texts_are_ids = texts_are_ids
        # Each in the order in which its processes were seen last.
        self._unmarked: OrderedDict[ProcessId, Process] = OrderedDict()
        self._marked: OrderedDict[ProcessId, Process] = OrderedDict()

    def __len__(self) -> int:
        return len(self._unmarked) + len(self._marked)

    def see(self, process_value: object, parent_value: object, event: int) -> Process | None:
        """Learn from an event, and return its process, or None where it names none.

        Args:
            process_value: What the event has where its process stands.
            parent_value: What it has where the parent stands.
            event: Which event it is, for reports.
        """
        process_id = self._read_process(process_value, event)
        if process_id is None:
            return None
        process = self._found(process_id)
        if process is None:
            process = Process(process_id)
            self._learn_parent(process, parent_value, event)
            self._keep(process)
        elif process.parent is None:
            was_marked = process.is_marked
            self._learn_parent(process, parent_value, event)
            if process.is_marked and not was_marked:
                self._marked[process_id] = self._unmarked.pop(process_id)
        return process

    def see_all(self, events: Iterable[tuple[object, ...]], first: int) -> None:
        """Do what `see` does for several events in order whose processes nobody asks for.

        Most events are of a process whose parent is known, and many of the one that was
        seen just before.

        Args:
            events: What each has where its process stands, and where the parent stands.
            first: Which event the first one is, for reports.
        """
        unmarked, marked = self._unmarked, self._marked
        settled: object = msgspec.UNSET
        for index, (value, parent_value) in enumerate(events, first):
            if value is settled or value is msgspec.UNSET:
                continue
            settled = msgspec.UNSET
            if self._texts_are_ids and type(value) is str and value.isascii():
                kept = unmarked if value in unmarked else marked
                process = kept.get(value)
                if process is not None:
                    if process.parent is not None:
                        settled = value
                    if process.parent is not None or parent_value is msgspec.UNSET:
                        kept.move_to_end(value)
                        continue
            self.see(value, parent_value, index)

    def mark(self, process: Process, query: int) -> None:
        """Note that the event just seen, of `process`, satisfied a query (a mask of one bit)."""
        if process.own & query:
            return
        if not process.is_marked:
            self._marked[process.id] = self._unmarked.pop(process.id)
        process.own |= query

    def of_parent(self, process: Process) -> int:
        """Return the queries that events of the parent satisfied."""
        parent = self._known(process.parent)
        return process.of_parent if parent is None else process.of_parent | parent.own

    def of_ancestors(self, process: Process) -> int:
        """Return the queries that events of any process above satisfied."""
        found = process.inherited
        if not self._marked:
            return found
        unmarked, marked = self._unmarked.get, self._marked.get
        parent_id = process.parent
        for _ in range(self._limits.generations):
            if parent_id is None:
                return found
            parent = unmarked(parent_id) or marked(parent_id)
            if parent is None:
                return found
            found |= parent.own | parent.inherited
            if parent is process:  # hostile events can make a ring
                return found
            parent_id = parent.parent
        if parent_id is not None:
            self._statistics.cut_walks += 1
        return found

    def processes(self) -> Iterator[Process]:
        """Yield all processes, in the order in which they would be evicted."""
        yield from self._unmarked.values()
        yield from self._marked.values()

    def take_over(self, previous: ProcessTree) -> None:
        """Go on with the processes of a tree with the same queries, which ends with that."""
        self._statistics.live += len(previous) - len(self)
        self._unmarked, self._marked = previous._unmarked, previous._marked

    def fill(self, processes: Sequence[Process]) -> None:
        """Begin anew with these, given in the order in which they would be evicted."""
        self._statistics.live -= len(self)
        self._unmarked.clear()
        self._marked.clear()
        for process in sorted(processes, key=lambda process: process.is_marked):
            self._keep(process)

    def _found(self, process_id: ProcessId) -> Process | None:
        """Return a process that is seen now, and so becomes the last to be evicted."""
        process = self._unmarked.get(process_id)
        if process is not None:
            self._unmarked.move_to_end(process_id)
            return process
        process = self._marked.get(process_id)
        if process is not None:
            self._marked.move_to_end(process_id)
        return process

    def _known(self, process_id: ProcessId | None) -> Process | None:
        if process_id is None:
            return None
        return self._unmarked.get(process_id) or self._marked.get(process_id)

    def _learn_parent(self, process: Process, parent_value: object, event: int) -> None:
        parent_id = self._read_parent(parent_value, event)
        if parent_id is None or parent_id == process.id:
            return
        parent = self._found(parent_id)
        if parent is None:
            process.parent = parent_id
        else:
            process.parent = parent.id
            process.of_parent = parent.own
            process.inherited = self.of_ancestors(process)

    def _keep(self, process: Process) -> None:
        if len(self) >= self._limits.processes:
            self._evict()
        kept = self._marked if process.is_marked else self._unmarked
        kept[process.id] = process
        self._statistics.live += 1

    def _evict(self) -> None:
        if self._unmarked:
            self._unmarked.popitem(last=False)
            self._statistics.evicted_unmarked += 1
        else:
            self._marked.popitem(last=False)
            self._statistics.evicted_marked += 1
        self._statistics.live -= 1
