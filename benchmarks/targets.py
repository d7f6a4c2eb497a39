"""What is asked of the speed, and what was reached."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Final

import attrs

from benchmarks.matching import Cell
from benchmarks.results import (
    Results,
    Spread,
    first_verdict,
    match_only,
    microseconds,
    spread,
    verdict_only,
    warm_passes,
)

STREAM: Final = "windows"
"""The stream that the targets are about."""

FEW_RULES: Final = 1000
MANY_RULES: Final = 3000
ALL_RULES: Final = 0


@attrs.frozen
class Target:
    """One target, with what was measured for it.

    Attributes:
        what: What is measured.
        must: What is required, for people.
        moonshot: What is hoped for, for people.
        reached: What was measured, for people.
        must_reached: Whether that is what is required, or better.
        moonshot_reached: Whether it is what is hoped for, or better.
    """

    what: str
    must: str
    moonshot: str
    reached: str
    must_reached: bool
    moonshot_reached: bool

    @property
    def verdict(self) -> str:
        """The best that was reached."""
        if self.moonshot_reached:
            return "moonshot"
        return "must" if self.must_reached else "**not reached**"


def targets(results: Results) -> list[Target]:
    """Return the targets that something was measured for."""
    found = []
    cells = results.cells.get(STREAM, {})
    if every := cells.get(ALL_RULES):
        found += _of_all_rules(every)
    few, many = cells.get(FEW_RULES), cells.get(MANY_RULES)
    if few and many:
        found.append(_growth(few, many))
    if results.runs:
        memory = spread([run.rss_bytes / 1e6 for run in results.runs])
        what = "resident memory with all rules: the whole program, at its most"
        found.append(_at_most(what, "MB", (150, 80), memory.middle, f"{memory.text(',.0f')} MB"))
    if results.cold and results.cached:
        found += _of_loading(results)
    if results.comparison is not None and results.comparison.cells:
        found.append(_of_peer(results))
    if results.speed:
        rates = spread([each.events / taken for each in results.speed for taken in each.passes[1:]])
        what = "sequences: 100 three-step rules, bytes to alerts"
        text = f"{rates.text(',.0f')} events/s"
        found.append(_at_least(what, "events/s", (200_000, 500_000), rates.middle, text))
    if results.memory:
        each = spread([memory.bytes_each for memory in results.memory])
        what = "live partial match"
        found.append(_at_most(what, "bytes", (200, 100), each.middle, f"{each.text(',.0f')} bytes"))
    return found


def _of_all_rules(cells: Sequence[Cell]) -> list[Target]:
    match = microseconds(cells, match_only)
    verdict, first = microseconds(cells, verdict_only), microseconds(cells, first_verdict)
    alerts = microseconds(cells, warm_passes)
    verdict_text = (
        f"{_with_rate(verdict)}; first pass {_with_rate(first)}; "
        f"to alerts, sequences and lineage too: {_with_rate(alerts)}"
    )
    alone = (
        f"{_p99(cells, 'cold_verdict').text()} µs never seen before; "
        f"{_p99(cells, 'warm_verdict').text()} µs warm; "
        f"to alerts {_p99(cells, 'cold').text()} and {_p99(cells, 'warm').text()} µs"
    )
    return [
        _at_most(
            "match, all real rules, real events, warm",
            "µs",
            (2.5, 1.2),
            match.middle,
            f"{match.text('.2f')} µs",
        ),
        _at_most("bytes to verdict, same", "µs", (5, 2.5), verdict.middle, verdict_text),
        _at_most(
            "P99 of an event that comes alone, bytes to verdict, misses included",
            "µs",
            (20, 10),
            _p99(cells, "cold_verdict").middle,
            alone,
        ),
    ]


def _with_rate(each: Spread) -> str:
    return f"{each.text('.2f')} µs ({1e6 / each.middle:,.0f}/s)"


def _p99(cells: Sequence[Cell], which: str) -> Spread:
    return spread([getattr(cell, which)["0.99"] * 1e6 for cell in cells])


def _growth(few: Sequence[Cell], many: Sequence[Cell]) -> Target:
    match, verdict, alerts = (
        microseconds(many, seconds).middle / microseconds(few, seconds).middle
        for seconds in (match_only, verdict_only, warm_passes)
    )
    what = f"cost at {MANY_RULES:,} rules over cost at {FEW_RULES:,}: match"
    text = f"{match:.2f}; bytes to verdict {verdict:.2f}; bytes to alerts {alerts:.2f}"
    return _at_most(what, "", (1.5, 1.15), match, text)


def _of_loading(results: Results) -> list[Target]:
    found = []
    for name, several, bounds in (
        ("cold", results.cold, (2.0, 0.5)),
        ("from cache", results.cached, (0.2, 0.05)),
    ):
        whole = spread([one.load + one.build for one in several])
        wall = spread([one.wall for one in several])
        text = f"{whole.text('.2f')} s (by the clock {wall.middle:.2f} s)"
        found.append(_at_most(f"load 1,000 rules, {name}", "s", bounds, whole.middle, text))
    return found


def _of_peer(results: Results) -> Target:
    assert results.comparison is not None
    cell = results.comparison.cells[-1]
    warm, cold = median(cell.peer) / median(cell.kestrel[1:]), median(cell.peer) / cell.kestrel[0]
    what = f"against `eql` on the same {cell.rules:,} rules, events and machine"
    text = f"{warm:,.0f} times; first pass {cold:,.0f} times"
    return _at_least(what, "times", (200, 500), warm, text)


def _at_most(
    what: str, unit: str, bounds: tuple[float, float], value: float, reached: str
) -> Target:
    must, moonshot = (f"{bound:g} {unit}".strip() for bound in bounds)
    return Target(what, must, moonshot, reached, value <= bounds[0], value <= bounds[1])


def _at_least(
    what: str, unit: str, bounds: tuple[float, float], value: float, reached: str
) -> Target:
    must, moonshot = (f"{bound:,.0f} {unit}" for bound in bounds)
    return Target(what, must, moonshot, reached, value >= bounds[0], value >= bounds[1])
