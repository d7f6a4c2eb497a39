"""Changes of rules anywhere in any stream: nothing is lost, doubled, or counted wrongly."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from reload_programs import (
    SHAPES,
    Program,
    detector_of,
    entries_begun,
    every_revision,
    found_alone,
    found_in,
    programs,
)

from kestrel_framework.event import EventBatch
from kestrel_framework.reload import OnRuleChange

EXAMPLES = settings(max_examples=90, deadline=None)
MANY = settings(max_examples=2000, deadline=None)
NOT_LED = [shape for shape in SHAPES if not shape.startswith("-")]


def drains_exactly(program: Program) -> None:
    """See that each revision finds what it would alone, had it begun only while it was in force."""
    detector, alerts = program.run(OnRuleChange.DRAIN)
    expected, begun = [], 0
    for revision in every_revision(program):
        begins = [revision in program.rules_for(i) for i in range(len(program.events))]
        found, entries = found_alone(revision, program, begins)
        expected += found
        begun += entries
    assert found_in(alerts) == sorted(expected, key=repr)
    if not any(revision.shape == "-bc" for revision in every_revision(program)):
        # Of forbidden events before sequences, those of old revisions are not remembered.
        assert entries_begun(detector) == begun
        assert "rule_changed" not in detector.partial_matches.ended


def drops_and_counts(program: Program) -> None:
    """See that a revision finds what it would alone while it was in force; the rest is counted."""
    detector, alerts = program.run(OnRuleChange.DROP)
    expected, dropped = [], 0
    ends = [*[start for start, _ in program.rules[1:]], len(program.events)]
    for revision in every_revision(program):
        alone = None
        for (start, revisions), end in zip(program.rules, ends, strict=True):
            if revision not in revisions:
                dropped += 0 if alone is None else alone.partial_matches.live
                alone = None
                continue
            alone = alone or detector_of([revision])
            documents = program.events[start:end]
            batch = EventBatch(documents=documents, stream="documents", first_offset=start)
            expected += found_in(alone.feed(batch))
        if alone is not None:
            expected += found_in(alone.finish())
    assert found_in(alerts) == sorted(expected, key=repr)
    assert detector.partial_matches.ended.get("rule_changed", 0) == dropped


@EXAMPLES
@given(programs(in_order=True))
def test_what_is_under_way_goes_on_as_if_nothing_had_changed(program: Program) -> None:
    drains_exactly(program)


@EXAMPLES
@given(programs(in_order=False, may_return=False, shapes=NOT_LED))
def test_step_matches_that_wait_go_on_too(program: Program) -> None:
    drains_exactly(program)


@EXAMPLES
@given(programs(in_order=True))
def test_what_is_dropped_is_counted(program: Program) -> None:
    drops_and_counts(program)


@pytest.mark.slow
@MANY
@given(programs(in_order=True))
def test_very_many_changes_in_order(program: Program) -> None:
    drains_exactly(program)
    drops_and_counts(program)


@pytest.mark.slow
@MANY
@given(programs(in_order=False, may_return=False, shapes=NOT_LED))
def test_very_many_changes_out_of_order(program: Program) -> None:
    drains_exactly(program)
