"""What is asked of the speed, and what was reached."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Final

import attrs

from benchmarks.matching import Cell
from benchmarks.results import (
    Results,
    first_pass,
    match_only,
    microseconds,
    spread,
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
        what = "sequences: 100 three-step rules, bytes to verdict"
        text = f"{rates.text(',.0f')} events/s"
        found.append(_at_least(what, "events/s", (200_000, 500_000), rates.middle, text))
    if results.memory:
        each = spread([memory.bytes_each for memory in results.memory])
        what = "live partial match"
        found.append(_at_most(what, "bytes", (200, 100), each.middle, f"{each.text(',.0f')} bytes"))
    return found


def _of_all_rules(cells: Sequence[Cell]) -> list[Target]:
    match = microseconds(cells, match_only)
    warm, cold = microseconds(cells, warm_passes), microseconds(cells, first_pass)
    alone = spread([cell.cold["0.99"] * 1e6 for cell in cells])
    alone_warm = spread([cell.warm["0.99"] * 1e6 for cell in cells])
    verdict = (
        f"{warm.text('.2f')} µs ({1e6 / warm.middle:,.0f}/s); "
        f"first pass {cold.text('.2f')} µs ({1e6 / cold.middle:,.0f}/s)"
    )
    return [
        _at_most(
            "match, all real rules, real events, warm",
            "µs",
            (2.5, 1.2),
            match.middle,
            f"{match.text('.2f')} µs",
        ),
        _at_most("bytes to verdict, same", "µs", (5, 2.5), warm.middle, verdict),
        _at_most(
            "P99 of an event that comes alone, misses included",
            "µs",
            (20, 10),
            alone.middle,
            f"{alone.text()} µs never seen before; {alone_warm.text()} µs warm",
        ),
    ]


def _growth(few: Sequence[Cell], many: Sequence[Cell]) -> Target:
    match = microseconds(many, match_only).middle / microseconds(few, match_only).middle
    verdict = microseconds(many, warm_passes).middle / microseconds(few, warm_passes).middle
    what = f"cost at {MANY_RULES:,} rules over cost at {FEW_RULES:,}: match"
    text = f"{match:.2f}; bytes to verdict {verdict:.2f}"
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
