"""Measure everything in one run, and write docs/reference/benchmarks.md.

`--quick` measures little, and writes beside it under build/: enough to see that all works.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Final

import attrs

from benchmarks import compile_rules
from benchmarks.checks import UnequalAlertsError, require_nothing_lost, require_same_alerts
from benchmarks.children import ChildError, measured_by, note
from benchmarks.comparison import Comparison, UnequalCountsError, compare
from benchmarks.loading import Loading
from benchmarks.machine import load_average, machine
from benchmarks.matching import HYPERSCAN, NATIVE, Cell
from benchmarks.peer import PeerMissingError
from benchmarks.plot import svg
from benchmarks.programs import program_run, start_up_seconds
from benchmarks.reloads import Reloaded
from benchmarks.report import PLOT_NAME, page, plot_lines
from benchmarks.results import PartialMemory, Results
from benchmarks.sequences import Memory, Speed
from benchmarks.state import STORES, Kept, is_available
from benchmarks.streams import corpus, streams
from benchmarks.targets import ALL_RULES, FEW_RULES, MANY_RULES

ROOT: Final = Path(__file__).parents[1]
REPORT: Final = ROOT / "docs" / "reference" / "benchmarks.md"
QUICK_REPORT: Final = ROOT / "build" / "benchmarks.md"
_BATCH: Final = 100
"""How many events come together where rules change."""


@attrs.frozen
class Size:
    """How much is measured.

    Attributes:
        processes: Processes for each measurement.
        counts: Numbers of rules.
        events: Events of a stream, at most.
        passes: Warm passes over them.
        singles: Events that come alone.
        sequence_events: Events of the stream for sequences.
        partial_events: Events that begin sequences.
        kept_matches: Partial matches that are kept in a store.
        changes: Changes of rules where there are few rules, and where there are all real ones.
        compared_events: Events for the comparison with others.
    """

    processes: int
    counts: tuple[int, ...]
    events: int
    passes: int
    singles: int
    sequence_events: int
    partial_events: int
    kept_matches: int
    changes: tuple[int, int]
    compared_events: int


FULL: Final = Size(
    processes=3,
    counts=(10, 100, FEW_RULES, ALL_RULES, MANY_RULES),
    events=30_000,
    passes=2,
    singles=10_000,
    sequence_events=200_000,
    partial_events=20_000,
    kept_matches=900_000,
    changes=(1000, 20),
    compared_events=2000,
)
QUICK: Final = Size(
    processes=1,
    counts=(10, FEW_RULES, ALL_RULES, MANY_RULES),
    events=5000,
    passes=2,
    singles=2000,
    sequence_events=20_000,
    partial_events=5000,
    kept_matches=20_000,
    changes=(50, 3),
    compared_events=100,
)


class Run:
    """One run of the benchmarks. The rules that it compiles are kept in `cache`."""

    def __init__(self, size: Size, cache: Path) -> None:
        self._size = size
        self._cache = str(cache)

    def results(self) -> Results:
        """Measure everything that can be measured here."""
        load_before = load_average()
        left_out = [f"{each.title}: {each.missing}" for each in streams() if each.missing]
        cells = {each.name: self._cells(each.name) for each in streams() if not each.missing}
        hyperscan = {name: self._hyperscan(name, known) for name, known in cells.items()}
        cold, cached = self._loading()
        note("the whole program")
        first = next(each for each in streams() if not each.missing)
        runs = [program_run(first, self._size.events) for _ in range(self._size.processes)]
        comparison = None
        if corpus() is None:
            left_out.append("the comparison with others: KESTREL_CORPUS is not set")
        else:
            try:
                comparison = self._comparison()
            except PeerMissingError as error:
                left_out.append(f"the comparison with others: {error}")
        speed, memory = self._sequences()
        left_out += [
            f"state in {store}: not installed" for store in STORES if not is_available(store)
        ]
        return Results(
            machine=machine(),
            load_before=load_before,
            load_after=load_average(),
            processes=self._size.processes,
            cells=cells,
            hyperscan=hyperscan,
            cold=cold,
            cached=cached,
            runs=runs,
            start_up=start_up_seconds(),
            speed=speed,
            memory=memory,
            kept={store: self._kept(store) for store in STORES if is_available(store)},
            reloads=self._reloads(),
            comparison=comparison,
            left_out=left_out,
        )

    def _cells(self, stream: str) -> dict[int, list[Cell]]:
        cells = {count: self._measured(stream, count, NATIVE) for count in self._size.counts}
        require_same_alerts(cells, stream)
        return cells

    def _hyperscan(self, stream: str, known: dict[int, list[Cell]]) -> list[Cell]:
        cells = self._measured(stream, ALL_RULES, HYPERSCAN)
        require_same_alerts({0: known[ALL_RULES], 1: cells}, f"{stream} with {HYPERSCAN}")
        return cells

    def _measured(self, stream: str, count: int, engine: str) -> list[Cell]:
        size = self._size
        options = f"--stream {stream} --rules {count} --engine {engine} --events {size.events}"
        arguments = f"{options} --passes {size.passes} --singles {size.singles}".split()
        cells = []
        for number in range(size.processes):
            note(f"{stream}: {count or 'all'} rules, {engine}, process {number + 1}")
            environment = self._environment(number)
            cells.append(measured_by("matching", arguments, Cell, environment=environment))
        return cells

    def _loading(self) -> tuple[list[Loading], list[Loading]]:
        cold, cached = [], []
        for number in range(self._size.processes):
            note(f"loading, process {number + 1} of {self._size.processes}")
            with tempfile.TemporaryDirectory() as place:
                folder, cache = Path(place) / "rules", Path(place) / "cache"
                folder.mkdir()
                write = [str(folder), "--write", str(FEW_RULES)]
                measured_by("loading", write, int, environment=self._environment(number))
                empty = {**self._environment(number), "XDG_CACHE_HOME": str(cache)}
                cold.append(measured_by("loading", [str(folder)], Loading, environment=empty))
                cached.append(measured_by("loading", [str(folder)], Loading, environment=empty))
        return cold, cached

    def _comparison(self) -> Comparison:
        counts = [count for count in self._size.counts if count < FEW_RULES]
        return compare(
            sorted(counts, key=lambda count: (count == ALL_RULES, count)),
            self._size.compared_events,
        )

    def _sequences(self) -> tuple[list[Speed], list[PartialMemory]]:
        speed, memory = [], []
        size = self._size
        for number in range(size.processes):
            note(f"sequences, process {number + 1} of {size.processes}")
            environment = self._environment(number)
            arguments = ["speed", "--events", str(size.sequence_events)]
            arguments += ["--passes", str(size.passes)]
            speed.append(measured_by("sequences", arguments, Speed, environment=environment))
            held = []
            for rules in (2, 22):
                arguments = ["memory", "--events", str(size.partial_events)]
                arguments += ["--rules", str(rules)]
                held.append(measured_by("sequences", arguments, Memory, environment=environment))
            memory.append(PartialMemory(*held))
        return speed, memory

    def _kept(self, store: str) -> list[Kept]:
        kept = []
        for number in range(self._size.processes):
            note(f"state in {store}, process {number + 1} of {self._size.processes}")
            arguments = ["--store", store, "--matches", str(self._size.kept_matches)]
            environment = self._environment(number)
            kept.append(measured_by("state", arguments, Kept, environment=environment))
        return kept

    def _reloads(self) -> list[list[Reloaded]]:
        reloads = []
        for options, changes in zip(([], ["--real"]), self._size.changes, strict=True):
            cells = []
            for number in range(self._size.processes):
                note(f"changes of rules {' '.join(options)}, process {number + 1}")
                arguments = [*options, "--changes", str(changes), "--batch", str(_BATCH)]
                environment = self._environment(number)
                cells.append(measured_by("reloads", arguments, Reloaded, environment=environment))
            require_nothing_lost(cells)
            reloads.append(cells)
        return reloads

    def _environment(self, number: int) -> dict[str, str]:
        return {"PYTHONHASHSEED": str(number), "XDG_CACHE_HOME": self._cache}


def main() -> int:
    """Measure and write; return 1 where two sides or two runs disagree."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few minutes, for build/ only")
    quick = parser.parse_args().quick
    report = QUICK_REPORT if quick else REPORT
    report.parent.mkdir(exist_ok=True)
    try:
        with tempfile.TemporaryDirectory() as cache:
            results = Run(QUICK if quick else FULL, Path(cache)).results()
        text = page(results)
        if quick:
            text += "\nA quick run: too little was measured to believe the figures.\n"
        elif corpus() is not None:
            text = compile_rules.with_section(text, compile_rules.section())
    except (ChildError, UnequalAlertsError, UnequalCountsError) as error:
        note(f"no report: {error}")
        return 1
    title = "Kestrel: cost against the number of rules"
    plot = svg(title, "rules", "µs an event", plot_lines(results))
    report.write_text(text, encoding="utf-8")
    report.with_name(PLOT_NAME).write_text(plot, encoding="utf-8")
    print(text)
    note(f"written: {report}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
