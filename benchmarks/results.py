"""All that one run of the benchmarks measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import median

import attrs

from benchmarks.comparison import Comparison
from benchmarks.loading import Loading
from benchmarks.matching import Cell
from benchmarks.programs import ProgramRun
from benchmarks.reloads import Reloaded
from benchmarks.sequences import Memory, Speed
from benchmarks.state import Kept


@attrs.frozen
class PartialMemory:
    """The memory of partial matches, measured with few and with many to an event.

    Where many share their event, what grows with their number is theirs alone.
    """

    few: Memory
    many: Memory

    @property
    def bytes_each(self) -> float:
        """What one more partial match holds, without the event that it keeps."""
        return (self.many.grown - self.few.grown) / (self.many.live - self.few.live)

    @property
    def bytes_with_event(self) -> float:
        """What one holds together with its share of the event, where two share it."""
        return self.few.grown / self.few.live


@attrs.frozen
class Results:
    """What each measurement gave, one entry for each process that made it.

    Attributes:
        machine: What they were made on.
        load_before: How busy it was when they began.
        load_after: How busy it was when they ended.
        processes: How many processes made each measurement.
        cells: By the name of the stream and the number of rules asked for; 0 is all real ones.
        hyperscan: By the name of the stream: all real rules with the pattern engine of the plugin.
        cold: Loading 1,000 rule files with an empty cache folder.
        cached: The same with the cache folder that the one before left.
        runs: The whole program with all rules on the first stream that is here.
        start_up: Wall seconds of `kestrel --version` and of a run without events.
        speed: Following sequences.
        memory: The memory of partial matches.
        kept: Keeping state, by the name of the store.
        reloads: Changing rules, by how many rules there are.
        comparison: Kestrel beside others, or `None`.
        left_out: What could not be measured here, and why.
    """

    machine: str
    load_before: float
    load_after: float
    processes: int
    cells: Mapping[str, Mapping[int, Sequence[Cell]]]
    hyperscan: Mapping[str, Sequence[Cell]]
    cold: Sequence[Loading]
    cached: Sequence[Loading]
    runs: Sequence[ProgramRun]
    start_up: tuple[float, float]
    speed: Sequence[Speed]
    memory: Sequence[PartialMemory]
    kept: Mapping[str, Sequence[Kept]]
    reloads: Sequence[Sequence[Reloaded]]
    comparison: Comparison | None
    left_out: Sequence[str]


@attrs.frozen
class Spread:
    """The middle of several measurements, with the least and the greatest."""

    middle: float
    least: float
    greatest: float

    def text(self, form: str = ",.1f") -> str:
        """Return `middle (least-greatest)`, or the middle where all look the same."""
        middle, least, greatest = (
            format(value, form) for value in (self.middle, self.least, self.greatest)
        )
        return middle if least == greatest else f"{middle} ({least}-{greatest})"


def spread(values: Sequence[float]) -> Spread:
    """Return the median, the least and the greatest."""
    return Spread(median(values), min(values), max(values))


def microseconds(cells: Sequence[Cell], seconds: Callable[[Cell], Sequence[float]]) -> Spread:
    """Return the microseconds an event of all measurements that `seconds` takes of a cell."""
    return spread([value / cell.events * 1e6 for cell in cells for value in seconds(cell)])


def first_pass(cell: Cell) -> Sequence[float]:
    """Return the seconds from bytes to alerts of a detector that has seen nothing."""
    return cell.passes[:1]


def warm_passes(cell: Cell) -> Sequence[float]:
    """Return the seconds from bytes to alerts of a detector that has seen the same events."""
    return cell.passes[1:]


def verdict_only(cell: Cell) -> Sequence[float]:
    """Return the seconds from bytes to verdict, warm."""
    return [cell.stages.verdict]


def first_verdict(cell: Cell) -> Sequence[float]:
    """Return the seconds from bytes to verdict, of a matcher that has seen nothing."""
    return [cell.first_stages.verdict]


def match_only(cell: Cell) -> Sequence[float]:
    """Return the seconds of matching alone, warm."""
    return [cell.stages.match]
