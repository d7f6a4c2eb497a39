from __future__ import annotations

import json
import mmap
from collections.abc import Sequence
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kestrel_framework import Detector
from kestrel_framework._measuring import (
    UnequalPassesError,
    batches_of,
    most_resident_bytes,
    percentile,
    profile_stages,
    resident_bytes,
    run_passes,
    single_event_times,
)
from kestrel_framework.alert import Alert
from kestrel_framework.event import Document, EventBatch
from kestrel_framework.predicate import ComparisonOperator, Field, Literal, comparison
from kestrel_framework.rule import (
    EventRule,
    JoinKey,
    Rule,
    RuleMetadata,
    RuleSet,
    SequenceRule,
    Step,
)
from kestrel_framework.schema import FieldType

NAME = Field("process.name", FieldType.KEYWORD)


def named(name: str) -> Step:
    predicate = comparison(ComparisonOperator.EQUAL, NAME, Literal(name))
    return Step(frozenset({"process"}), predicate, (JoinKey(Field("host.id")),))


def rules() -> RuleSet:
    return RuleSet(
        [
            Rule(RuleMetadata("event"), EventRule(frozenset({"process"}), named("a").predicate)),
            Rule(RuleMetadata("sequence"), SequenceRule((named("a"), named("b")))),
        ]
    )


def lines(names: str) -> list[bytes]:
    return [
        json.dumps(
            {
                "@timestamp": 1_700_000_000_000 + second,
                "event": {"category": "process"},
                "process": {"name": name},
                "host": {"id": "h"},
            }
        ).encode()
        for second, name in enumerate(names)
    ]


def test_each_pass_begins_with_the_state_of_the_detector_and_leaves_it() -> None:
    detector = Detector(rules())
    detector.feed(batches_of(lines("a"), "before")[0])
    before = detector.snapshot()
    passes = run_passes(detector, batches_of(lines("bcaab"), "events", size=2), 3)
    assert passes.alerts == {"event": 2, "sequence": 2}
    assert len(passes.seconds) == 3
    assert passes.warm == passes.seconds[1:]
    assert detector.snapshot() == before


def test_a_single_pass_is_first_and_warm() -> None:
    passes = run_passes(Detector(rules()), batches_of(lines("a"), "events"), 1)
    assert passes.warm == passes.seconds


class ForgetfulDetector(Detector):
    """Finds less from pass to pass."""

    fed = 0

    def feed(self, events: EventBatch | Sequence[Document]) -> list[Alert]:  # type: ignore[override]
        self.fed += 1
        return super().feed(events)[self.fed - 1 :]


def test_passes_that_find_different_things_are_a_fault_that_names_the_rule() -> None:
    with pytest.raises(UnequalPassesError, match="of the rule event"):
        run_passes(ForgetfulDetector(rules()), batches_of(lines("ab"), "events"), 2)


def test_each_event_that_comes_alone_is_measured() -> None:
    detector = Detector(rules())
    before = detector.snapshot()
    times = single_event_times(detector, batches_of(lines("abcab"), "events", size=2))
    assert len(times) == 5
    assert times == sorted(times)
    assert detector.snapshot() == before
    assert detector.statistics.alerts == {"event": 2, "sequence": 2}


@given(st.lists(st.floats(0, 1e9), min_size=1), st.integers(0, 1000))
def test_a_percentile_is_the_least_value_that_so_many_do_not_exceed(
    values: list[float], thousandths: int
) -> None:
    found = percentile(sorted(values), thousandths / 1000)
    share = Fraction(thousandths, 1000)
    assert Fraction(sum(value <= found for value in values), len(values)) >= share
    lower = [value for value in values if value < found]
    assert not lower or Fraction(len(lower), len(values)) < share


def test_stages_see_what_the_detector_sees() -> None:
    profile = profile_stages(rules(), batches_of(lines("abcab" * 20), "events", size=7))
    for times in (profile.first, profile.warm):
        stages = (times.decode, times.match, times.lineage, times.sequences, times.rest)
        assert sum(stages) == pytest.approx(times.whole)
        assert times.decode > 0
        assert times.fields > 0
        assert times.sequences > 0
        assert times.output > 0
    assert profile.values_looked_up == 4  # three names and a category
    assert profile.warm_values_looked_up == 0
    assert profile.nodes_made > 0
    assert profile.times_emptied == 0


def test_memory_is_that_of_this_process() -> None:
    before = resident_bytes()
    # Pages of its own: what other tests have freed may still be resident.
    with mmap.mmap(-1, 50_000_000) as held:
        held[:: mmap.PAGESIZE] = b"x" * len(range(0, len(held), mmap.PAGESIZE))
        assert resident_bytes() - before > 40_000_000
    assert most_resident_bytes() >= before
