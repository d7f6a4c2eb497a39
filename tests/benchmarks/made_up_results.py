"""Made-up measurements."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from benchmarks.comparison import ComparedCell, Comparison
from benchmarks.loading import Loading
from benchmarks.matching import PERCENTILES, Cell
from benchmarks.programs import ProgramRun
from benchmarks.reloads import Reloaded
from benchmarks.results import PartialMemory, Results
from benchmarks.sequences import Memory, Speed
from benchmarks.state import Kept
from kestrel_framework._measuring import StageTimes

STAGES = StageTimes(
    decode=0.001,
    fields=0.0005,
    residuals=0.0005,
    lineage=0.0001,
    sequences=0.0001,
    output=0.0,
    whole=0.003,
)


def cell(
    rules: int, alerts: Mapping[str, int] | None = None, *, micros: float = 4.0, match: float = 1.0
) -> Cell:
    """A cell of 1,000 events that cost `micros` each, of which matching is `match`."""
    decode = 0.6 * micros - match
    stages = attrs.evolve(STAGES, decode=decode / 1000, fields=match / 1000, residuals=0.0)
    return Cell(
        rules=rules,
        real_rules=min(rules, 1200),
        events=1000,
        event_bytes=100_000,
        build=0.1,
        passes=[micros / 500, micros / 1000, micros / 1000],
        first_stages=attrs.evolve(stages, decode=2 * stages.decode),
        stages=stages,
        values_looked_up=10,
        cold=dict.fromkeys(PERCENTILES, 15e-6),
        warm=dict.fromkeys(PERCENTILES, 5e-6),
        cold_verdict=dict.fromkeys(PERCENTILES, 12e-6),
        warm_verdict=dict.fromkeys(PERCENTILES, 4e-6),
        alerts=dict(alerts or {}),
        resident=70_000_000,
        most_resident=75_000_000,
    )


def results() -> Results:
    """Everything, at speeds between what is required and what is hoped for."""
    loading = Loading(rules=1000, load=0.1, build=0.05, wall=0.2, most_resident=10**8)
    compared = ComparedCell(
        rules=700,
        events=1000,
        matches=30,
        kestrel=[0.01, 0.005, 0.005],
        peer=[1.5, 1.5],
        naive=[3.0],
        kestrel_events=[5e-6] * 100,
        peer_events=[2e-3] * 100,
    )
    return Results(
        machine="a machine",
        load_before=0.5,
        load_after=1.5,
        processes=2,
        cells={
            "windows": {
                1000: [cell(1000), cell(1000)],
                0: [cell(1200, micros=4.5)],
                3000: [cell(3000, micros=5.0, match=1.3)],
            },
            "generated": {0: [cell(1200, micros=9.0)]},
        },
        hyperscan={"windows": [cell(1200, micros=3.5)]},
        cold=[attrs.evolve(loading, load=1.0)],
        cached=[loading],
        runs=[ProgramRun(events=1000, alerts=3, seconds=0.5, rss_bytes=100_000_000)],
        start_up=(0.1, 0.5),
        speed=[
            Speed(events=1000, rules=100, passes=[0.005, 0.004], stages=STAGES, alerts=2, live=300)
        ],
        memory=[PartialMemory(Memory(1000, 500_000), Memory(11_000, 2_000_000))],
        kept={
            "sqlite": [
                Kept("sqlite", [0.002, 0.003, 0.007], 900_000, 33_000_000, 1.5, 0.5, 0.25, 0.1, 4.0)
            ]
        },
        reloads=[
            [
                Reloaded(
                    rules=101,
                    events=30_000,
                    compile=[0.01, 0.02, 0.03],
                    pauses=[0.0004, 0.0005, 0.009],
                    first=[0.004],
                    later=[0.001],
                    alerts=115,
                    lost=0,
                    doubled=0,
                )
            ]
        ],
        comparison=Comparison(1200, {"a sequence or sample": 500}, [compared]),
        left_out=["real Linux events: not here"],
    )
