"""The matcher says what the interpreter says, of any conditions and any events.

    .venv/bin/python -m pytest -q tests/kernel/test_matcher_agreement.py

A failure names the smallest example it found: targets, events in their order, and both answers.
A crowd can be looked at again by its seed: `-k 'crowd and 17'`, or `Crowd(17)`.
"""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kestrel_framework._pipeline.rule_matcher import MatcherLimits
from kestrel_framework.event import EventSettings
from kestrel_framework.predicate import Predicate
from kestrel_framework.testing.strategies import documents, predicates
from matcher_crowds import SCHEMA, Crowd, spelled
from matcher_reference import (
    PATTERNS,
    CachedReference,
    RefusingEngine,
    Scene,
    document_in,
    event_in,
    satisfied,
    targets_for,
)


class TestDrawn:
    """What hypothesis draws, and makes smaller where it fails."""

    @settings(max_examples=120)
    @given(
        st.lists(predicates(steps=2, lineage=1), min_size=1, max_size=5),
        st.lists(documents(), min_size=1, max_size=4),
    )
    def test_documents(self, conditions: list[Predicate], events: list[dict[str, object]]) -> None:
        Scene(targets_for(conditions), events, SCHEMA).check()

    @settings(max_examples=120)
    @given(
        st.lists(predicates(), min_size=1, max_size=5),
        st.lists(documents(odd=False), min_size=1, max_size=4),
        st.randoms(use_true_random=False),
    )
    def test_payloads(
        self, conditions: list[Predicate], events: list[dict[str, object]], random: Random
    ) -> None:
        payloads = [spelled(event, random) for event in events]
        Scene(targets_for(conditions), payloads, SCHEMA).check()

    @pytest.mark.slow
    @settings(max_examples=10_000)
    @given(
        st.lists(predicates(steps=2, lineage=1, max_leaves=30), min_size=1, max_size=8),
        st.lists(documents(), min_size=1, max_size=5),
    )
    def test_very_many(self, conditions: list[Predicate], events: list[dict[str, object]]) -> None:
        Scene(targets_for(conditions), events, SCHEMA).check()


class TestCrowds:
    """Many conditions in one matcher, and many events one after the other."""

    @pytest.mark.parametrize("seed", range(40))
    def test_crowd(self, seed: int) -> None:
        scene_of(seed).check()

    @pytest.mark.slow
    @pytest.mark.parametrize("thousand", range(2))
    def test_thousands_of_crowds(self, thousand: int) -> None:
        for seed in range(1000 * (thousand + 1), 1000 * (thousand + 2)):
            scene_of(seed).check()


LIMITS = (
    None,
    None,
    None,
    MatcherLimits(entries=0),
    MatcherLimits(entries=7),
    MatcherLimits(entries=60),
    MatcherLimits(size=5_000),
)


def scene_of(seed: int) -> Scene:
    """Return a crowd with its payloads, the documents they hold, and odd ones, in turns."""
    random = Random(f"{seed} scene")
    crowd = Crowd(seed, size=random.randint(20, 60), events=random.choice((20, 40, 80)))
    decoded = [document_in(one) for one in crowd.payloads if event_in(one) is not None]
    events: list[object] = [*crowd.payloads, *decoded, *crowd.odd_documents]
    if random.random() < 0.3:
        random.shuffle(events)
    events += events[: len(events) // 3]
    return Scene(
        crowd.targets,
        events,
        SCHEMA,
        batch=random.choice((1, 2, 7, 1000)),
        limits=random.choice(LIMITS),
        patterns=random.choice((PATTERNS, PATTERNS, RefusingEngine())),
    )


class TestReference:
    """The reference of the exhaustive test, with its shortcuts, says what the interpreter says."""

    @pytest.mark.parametrize("seed", range(30))
    def test_shortcuts_change_nothing(self, seed: int) -> None:
        crowd, own = Crowd(seed), EventSettings()
        reference = CachedReference(crowd.targets, SCHEMA, own)
        events = [event for one in crowd.payloads if (event := event_in(one)) is not None]
        for event in events:
            assert reference.satisfied(event) == satisfied(crowd.targets, event, SCHEMA, own)
