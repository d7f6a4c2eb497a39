"""The detector as an engine with workers feeds it."""

from __future__ import annotations

from collections.abc import Callable

from kestrel_framework._pipeline.event_matcher import EventMatcher
from kestrel_framework._pipeline.flow import MatchedBatch
from kestrel_framework._rule_replacement import PreparedRules
from kestrel_framework.alert import Alert
from kestrel_framework.detector import Detector
from kestrel_framework.event import EventBatch
from kestrel_framework.rule import RuleSet


class MatchedFeed:
    """A detector that is told what batches say by themselves: for an engine with workers.

    Args:
        detector: The detector.
    """

    def __init__(self, detector: Detector) -> None:
        self._detector = detector

    @property
    def matcher(self) -> EventMatcher:
        """The detector's own matcher; another one with other rules."""
        return self._detector._generation.matcher

    def matcher_of(self, rules: RuleSet) -> EventMatcher:
        """Return the matcher that the detector has once rules are compiled; see `prepare`."""
        return self._detector._matcher(rules)

    def prepare(self, rules: RuleSet, announce: Callable[[RuleSet], None]) -> PreparedRules:
        """Return what `Detector.prepare` does, and tell before what is compiled, for workers."""
        detector = self._detector
        return detector._prepared(rules, detector._on_rule_change, announce)

    def feed(self, batch: EventBatch, match: Callable[[EventBatch], MatchedBatch]) -> list[Alert]:
        """Return what `Detector.feed` does.

        Args:
            batch: The events.
            match: Returns what a batch says by itself. It is given the batch as it is numbered.
        """
        numbered = self._detector._numbered(batch)
        return self._detector._follow(numbered, match(numbered))
