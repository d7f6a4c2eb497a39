"""The page docs/reference/benchmarks.md, from what was measured: ratios first."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import median
from typing import Final

from benchmarks.matching import PERCENTILES, Cell
from benchmarks.plot import Line
from benchmarks.reloads import Reloaded
from benchmarks.results import (
    Results,
    Spread,
    first_pass,
    match_only,
    microseconds,
    spread,
    verdict_only,
    warm_passes,
)
from benchmarks.streams import streams
from benchmarks.targets import ALL_RULES, FEW_RULES, MANY_RULES, STREAM, targets
from kestrel_framework._measuring import StageTimes, native_modules, percentile

PLOT_NAME: Final = "benchmarks.svg"
NOTICE: Final = "<!-- Written by `make bench`. -->"
_LEAD: Final = (
    "How fast Kestrel is with your own rules and events: "
    "[`kestrel bench`](command-line.md#kestrel-bench)."
)
_METHOD: Final = """
- One thread of one process takes JSON lines in batches of 1,000 and gives the alerts
  (`Detector.feed`): **bytes to alerts**. Reading files and writing alerts are not part of it.
  **Bytes to verdict** is the part of it that ends with the rules' conditions that hold for each
  event, before lineage, sequences and alerts, in a pass of its own. **Match** is that without
  decoding, which is timed as what reads the same fields and decides nothing.
- Native modules of the kernel in use: {native}.
- Times are CPU time of that process, so that other work on the machine counts little, except
  where it says "by the clock".
- Every measurement is made in {processes} fresh processes with different hash seeds. Each makes a
  **first pass**, for which every value is new, and several **warm** ones over the same events.
  Shown are medians, and in brackets the least and the greatest.
- What was loaded is left out of garbage collections (`gc.freeze`), as `kestrel run` does.
- An **event that comes alone** is a batch of one event, and the time is that of the whole call;
  "cold" is a detector that has seen nothing before the first of these events, and misses of
  memos are part of it. What reading the clock takes is left out.
- The sets of rules are chosen by a fixed seed and nested: the 10 are among the 100, and so on.
  Sequences are in them as they come. There are {real_rules:,} real rules; a set of more than that
  has **variants** of them (`benchmarks/rule_variants.py`): the same shapes, in which a fixed seed
  exchanges half of the names and paths, and the numbers, for others.
- Each rule must find the same in each pass, in each process, and beside any number of other
  rules, or there is no report.
- Loading is from rule files in a folder to a detector that takes events, in fresh processes with
  an empty cache folder, or with the one that such a process left; importing is not part of it.
- Memory of the whole program is what `kestrel run --stats` says: the most it ever had, with the
  events read from a file. Of a detector it is what the process had after all passes, less the
  events that it held for the measurement.
- Sequences: {sequence_rules} rules with one or two join keys (`benchmarks/sequence_stream.py`),
  2,000 hosts, two in five events are a step, few sequences are complete. The bytes of a partial
  match are measured with many to one event, so that the event that they share counts for nothing;
  then with two.
- The public rules and events are third-party test data that is not part of the project. The
  generated events (`benchmarks/generated_stream.py`) are the same everywhere; two in five have
  a command line or a path that never occurs again.
"""
_COMPARISON_METHOD: Final = """
All sides get the same events, and must find the same with each rule in each cell, or there is no
report. Kestrel starts from bytes; the others get decoded events, and decoding is not counted.
The package runs as it does by itself (`eql.PythonEngine`), in an environment and a process of its
own. The naive loop asks the reference interpreter about each event and each rule of its types.
Lists of one element are replaced by the element, as the package knows no lists; events in which
no rule finds anything are a sample by a fixed seed. A rule that finds nothing counts as equal.
"""


def page(results: Results) -> str:
    """Return the page, without the section about compiling."""
    sections = [
        f"{NOTICE}\n\n# Benchmarks\n\n{_LEAD}",
        _lines(_ratios(results)),
        "## Targets\n\n" + _lines(_targets(results)),
        f"![Cost of an event against the number of rules]({PLOT_NAME})",
        "## Cost against the number of rules\n\n" + _lines(_costs(results)),
        "## Events that come alone\n\n" + _lines(_percentiles(results)),
        "## Pattern engines\n\n" + _lines(_engines(results)),
        *_comparison(results),
        "## Loading and memory\n\n" + _lines(_loading(results)),
        "## Sequences\n\n" + _lines(_sequences(results)),
        "## State\n\n" + _lines(_state(results)),
        "## Reloads\n\n" + _lines(_reloads(results)),
        *([_left_out(results)] if results.left_out else []),
        _method(results),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def plot_lines(results: Results) -> list[Line]:
    """Return the lines of the plot: microseconds an event against the number of rules."""
    lines = []
    for stream, cells in results.cells.items():
        lines.append(Line(f"{stream}, bytes to alerts", _points(cells, warm_passes)))
        if stream == STREAM:
            lines.append(Line(f"{stream}, bytes to verdict", _points(cells, verdict_only)))
    if results.comparison is not None:
        compared = results.comparison.cells
        for name, label in (("peer", "eql package"), ("naive", "naive loop")):
            points = [
                (float(cell.rules), median(getattr(cell, name)) / cell.events * 1e6)
                for cell in compared
            ]
            lines.append(Line(label, points))
    return lines


def _points(
    cells: Mapping[int, Sequence[Cell]], seconds: Callable[[Cell], Sequence[float]]
) -> list[tuple[float, float]]:
    points = [
        (float(several[0].rules), microseconds(several, seconds).middle)
        for several in cells.values()
    ]
    return sorted((x, y) for x, y in points if y > 0)


def _ratios(results: Results) -> Iterator[str]:
    if results.comparison is not None:
        for cell in results.comparison.cells:
            warm, peer = median(cell.kestrel[1:]), median(cell.peer)
            naive = median(cell.naive)
            yield (
                f"- **{peer / warm:,.0f} times as fast as the `eql` package** and "
                f"{naive / warm:,.0f} times as fast as a naive loop, with {cell.rules:,} rules "
                f"(first pass {peer / cell.kestrel[0]:,.0f} and "
                f"{naive / cell.kestrel[0]:,.0f} times)"
            )
    for stream, cells in results.cells.items():
        few, many = cells.get(FEW_RULES), cells.get(MANY_RULES)
        if few and many:
            ratio = _middle(many, warm_passes) / _middle(few, warm_passes)
            again = _middle(few, first_pass) / _middle(few, warm_passes)
            yield (
                f"- {stream}: {MANY_RULES:,} rules cost {ratio:.2f} times what {FEW_RULES:,} do, "
                f"events never seen before {again:.2f} times what they cost again"
            )


def _middle(cells: Sequence[Cell], seconds: Callable[[Cell], Sequence[float]]) -> float:
    return microseconds(cells, seconds).middle


def _targets(results: Results) -> Iterator[str]:
    found = targets(results)
    yield from _table(
        ["", "must", "moonshot", "reached", ""],
        [[one.what, one.must, one.moonshot, one.reached, one.verdict] for one in found],
    )


def _costs(results: Results) -> Iterator[str]:
    rows = []
    for stream in streams():
        for several in results.cells.get(stream.name, {}).values():
            warm = microseconds(several, warm_passes)
            rows.append(
                [
                    stream.title,
                    _rules(several[0]),
                    f"**{1e6 / warm.middle:,.0f}**",
                    warm.text(".2f"),
                    microseconds(several, first_pass).text(".2f"),
                    microseconds(several, verdict_only).text(".2f"),
                    microseconds(several, match_only).text(".2f"),
                    f"{sum(several[0].alerts.values()):,}",
                ]
            )
    yield from _table(
        [
            "events",
            "rules",
            "events/s, warm",
            "µs an event, warm",
            "first pass",
            "to verdict, warm",
            "match, warm",
            "alerts",
        ],
        rows,
    )
    sizes = [
        f"{stream.title}: {cell.events:,}, {cell.event_bytes / cell.events:,.0f} bytes each"
        for stream in streams()
        for cell in _any_cell(results, stream.name)
    ]
    yield ""
    yield f"{'; '.join(sizes)}."


def _any_cell(results: Results, stream: str) -> Sequence[Cell]:
    """Return one cell of a stream, if there is any."""
    return [cell for several in results.cells.get(stream, {}).values() for cell in several][:1]


def _rules(cell: Cell) -> str:
    if cell.real_rules == cell.rules:
        return f"{cell.rules:,}"
    return f"{cell.rules:,} ({cell.rules - cell.real_rules:,} variants)"


def _percentiles(results: Results) -> Iterator[str]:
    for title, states in (
        ("From bytes to verdict", ("warm_verdict", "cold_verdict")),
        ("From bytes to alerts", ("warm", "cold")),
    ):
        yield f"{title}, µs:"
        yield ""
        yield from _percentiles_of(results, states)
        yield ""


def _percentiles_of(results: Results, states: Sequence[str]) -> Iterator[str]:
    rows = []
    for stream in streams():
        for several in results.cells.get(stream.name, {}).values():
            row = [stream.title, _rules(several[0])]
            for state in states:
                row += [
                    spread([getattr(cell, state)[share] * 1e6 for cell in several]).text()
                    for share in PERCENTILES
                ]
            rows.append(row)
    header = ["events", "rules", "warm P50", "P99", "P99.9", "cold P50", "P99", "P99.9"]
    yield from _table(header, rows)


def _engines(results: Results) -> Iterator[str]:
    yield "All real rules with the kernel's own pattern engine, and that of `kestrel-hyperscan`."
    yield ""
    rows = []
    for stream in streams():
        several = {
            "native": results.cells.get(stream.name, {}).get(ALL_RULES, ()),
            "hyperscan": results.hyperscan.get(stream.name, ()),
        }
        for engine, cells in several.items():
            if cells:
                rows.append(
                    [
                        stream.title,
                        engine,
                        microseconds(cells, warm_passes).text(".2f"),
                        microseconds(cells, first_pass).text(".2f"),
                        spread([cell.cold["0.99"] * 1e6 for cell in cells]).text(),
                        spread([cell.build for cell in cells]).text(".2f"),
                        spread([cell.resident / 1e6 for cell in cells]).text(",.0f"),
                    ]
                )
    header = ["events", "engine", "µs an event, warm", "first pass", "alone, cold, P99"]
    yield from _table([*header, "build, s", "memory, MB"], rows)


def _comparison(results: Results) -> list[str]:
    comparison = results.comparison
    if comparison is None:
        return []
    rows = []
    for cell in comparison.cells:
        scale = 1e6 / cell.events
        rows.append(
            [
                f"{cell.rules:,}",
                f"{cell.matches:,}",
                spread([value * scale for value in cell.kestrel[1:]]).text(".2f"),
                f"{cell.kestrel[0] * scale:.2f}",
                spread([value * scale for value in cell.peer]).text(",.0f"),
                spread([value * scale for value in cell.naive]).text(",.0f"),
                _both(cell.kestrel_events),
                _both(cell.peer_events),
            ]
        )
    header = ["rules", "matches", "Kestrel, warm", "Kestrel, first pass", "`eql`", "naive loop"]
    header += ["Kestrel, alone, P50 / P99", "`eql`, P50 / P99"]
    chosen = comparison.candidates - sum(comparison.left_out.values())
    reasons = [f"- {number:,}: {reason}" for reason, number in comparison.left_out.items()]
    lines = [
        f"µs an event, {comparison.cells[0].events:,} real Windows events."
        if comparison.cells
        else "",
        "",
        *_table(header, rows),
        "",
        *_COMPARISON_METHOD.strip().splitlines(),
        "",
        f"Of {comparison.candidates:,} rules, {chosen:,} can be compared. The others:",
        "",
        *reasons,
    ]
    return ["## Beside the `eql` package and a naive loop\n\n" + _lines(lines)]


def _both(ascending: Sequence[float]) -> str:
    if not ascending:
        return "–"
    return f"{percentile(ascending, 0.5) * 1e6:,.1f} / {percentile(ascending, 0.99) * 1e6:,.1f}"


def _loading(results: Results) -> Iterator[str]:
    def seconds(several: Sequence[float]) -> str:
        return spread(several).text(".2f")

    rows = []
    for name, several in (("empty cache", results.cold), ("filled cache", results.cached)):
        if several:
            rows.append(
                [
                    f"{several[0].rules:,} rules, {name}",
                    seconds([one.load for one in several]),
                    seconds([one.build for one in several]),
                    seconds([one.wall for one in several]),
                    spread([one.most_resident / 1e6 for one in several]).text(",.0f"),
                ]
            )
    header = ["", "load, s", "build the detector, s", "both, by the clock, s", "most memory, MB"]
    yield from _table(header, rows)
    yield ""
    for run in results.runs[:1]:
        memory = spread([one.rss_bytes / 1e6 for one in results.runs]).text(",.0f")
        rate = spread([one.events / one.seconds for one in results.runs]).text(",.0f")
        yield (
            f"`kestrel run` with all rules on {run.events:,} events in a file: {memory} MB at "
            f"most, {rate} events/s by the clock, reading and writing included."
        )
    every = results.cells.get(STREAM, {}).get(ALL_RULES)
    if every:
        resident = spread([cell.resident / 1e6 for cell in every]).text(",.0f")
        yield f"A detector with all rules, after all passes: {resident} MB with the interpreter."
    version, run_seconds = results.start_up
    yield (
        f"Start to end by the clock: `kestrel --version` {version:.2f} s, `kestrel run` with the "
        f"example pack on an empty input {run_seconds:.2f} s."
    )


def _sequences(results: Results) -> Iterator[str]:
    for one in results.speed[:1]:
        warm = _per_event(results, lambda each: each[1:])
        first = _per_event(results, lambda each: each[:1])
        yield from _table(
            ["rules", "events", "events/s, warm", "µs an event, warm", "first pass", "complete"],
            [
                [
                    f"{one.rules}",
                    f"{one.events:,}",
                    f"**{1e6 / warm.middle:,.0f}**",
                    warm.text(".2f"),
                    first.text(".2f"),
                    f"{one.alerts:,}",
                ]
            ],
        )
        yield ""
        yield (
            f"µs an event by stage: {_stages(one.stages, one.events)}. "
            f"Live at the end: {one.live:,} partial matches."
        )
    if results.memory:
        each = spread([memory.bytes_each for memory in results.memory])
        shared = spread([memory.bytes_with_event for memory in results.memory])
        yield (
            f"A live partial match holds {each.text(',.0f')} bytes; with half of the event that it "
            f"keeps, {shared.text(',.0f')}."
        )


def _state(results: Results) -> Iterator[str]:
    rows = []
    for store, kept in results.kept.items():
        seconds = [
            spread([getattr(one, what) for one in kept]).text(".2f")
            for what in ("snapshot", "first", "next", "load", "restore")
        ]
        commits = spread([1e3 * statistics.median(one.batches) for one in kept]).text(".0f")
        longest = 1e3 * max(max(one.batches) for one in kept)
        live = (f"{kept[0].live:,}", f"{kept[0].bytes / 1e6:,.0f}")
        rows.append([store, commits, f"{longest:.0f}", *live, *seconds])
    yield from _table(
        [
            *("store", "commit of a batch, ms", "longest", "live partial matches"),
            *("MB of state", "snapshot, s"),
            *("first checkpoint, s", "next, s", "reading it, s", "going on from it, s"),
        ],
        rows,
    )
    yield ""
    yield (
        "By the clock on the wall. The commit of a batch is that of everything after each 1,000 "
        "events of 100 three-step sequences. While a snapshot is made, and a checkpoint is "
        "written, nothing else happens: the longest pause of an engine is about the sum of both, "
        "every five seconds at most. Both grow with what is remembered."
    )


def _reloads(results: Results) -> Iterator[str]:
    rows = []
    for cells in results.reloads:
        columns = [
            *(_milliseconds(cells, "pauses", share) for share in (0.5, 0.99, 1.0)),
            _milliseconds(cells, "compile", 0.5),
            *(_milliseconds(cells, batch, 0.5) for batch in ("first", "later")),
        ]
        alerts, lost, doubled = (
            sum(getattr(cell, what) for cell in cells) for what in ("alerts", "lost", "doubled")
        )
        numbers = [f"{cells[0].rules:,}", f"{len(cells[0].pauses):,}"]
        rows.append([*numbers, *columns, f"{alerts:,}", str(lost), str(doubled)])
    yield from _table(
        [
            *("rules", "changes", "pause P50, ms", "P99", "longest", "compiling, ms"),
            *("first batch, ms", "later ones", "alerts", "lost", "doubled"),
        ],
        rows,
    )
    yield ""
    yield (
        "Each change makes another revision of one rule, whose sequences are under way. The pause "
        "is what the change holds up, by the clock on the wall; rules are compiled before it, here "
        "while nothing else happens. Batches have 100 events; the first after a change is slower, "
        "for the new rules have seen no event. Alerts are compared to those of the same events "
        "without a change."
    )


def _milliseconds(cells: Sequence[Reloaded], what: str, share: float) -> str:
    """Return which time a share of the measurements stays below, over all processes."""
    values = sorted(value for cell in cells for value in getattr(cell, what))
    return f"{values[min(int(len(values) * share), len(values) - 1)] * 1000:,.2f}"


def _stages(stages: StageTimes, events: int) -> str:
    parts = {
        "decode": stages.decode,
        "fields": stages.fields,
        "residuals": stages.residuals,
        "lineage": stages.lineage,
        "sequences": stages.sequences,
        "the rest": stages.rest,
    }
    return ", ".join(f"{name} {seconds / events * 1e6:.2f}" for name, seconds in parts.items())


def _per_event(results: Results, chosen: Callable[[Sequence[float]], Sequence[float]]) -> Spread:
    return spread(
        [value / one.events * 1e6 for one in results.speed for value in chosen(one.passes)]
    )


def _left_out(results: Results) -> str:
    return "## Left out\n\n" + _lines(f"- {each}" for each in results.left_out)


def _method(results: Results) -> str:
    real = max(
        (cell.real_rules for cells in results.cells.values() for c in cells.values() for cell in c),
        default=0,
    )
    rules = results.speed[0].rules if results.speed else 0
    text = _METHOD.format(
        processes=results.processes,
        real_rules=real,
        sequence_rules=rules,
        native=", ".join(native_modules()) or "none; they were not compiled here",
    )
    return (
        "## How it is measured\n\n"
        f"On {results.machine}. Processes that wanted to run in the minute before: "
        f"{results.load_before:.1f} when it began, {results.load_after:.1f} when it ended "
        "(its own is one).\n\n" + text.strip()
    )


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield "| " + " | ".join(header) + " |"
    yield "|---|" + "--:|" * (len(header) - 1)
    for row in rows:
        yield "| " + " | ".join(row) + " |"


def _lines(lines: Sequence[str] | Iterator[str]) -> str:
    return "\n".join(lines)
