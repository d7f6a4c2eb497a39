"""Finds, for each event, the conditions of all rules that hold for it."""

from kestrel_framework._pipeline.rule_matcher.field_engine import FieldState
from kestrel_framework._pipeline.rule_matcher.graph_node import (
    NOTHING_HOLDS,
    Node,
    Verdict,
)
from kestrel_framework._pipeline.rule_matcher.matcher import (
    MatcherStatistics,
    RuleMatcher,
    paths_read,
)
from kestrel_framework._pipeline.rule_matcher.memo_budget import MatcherLimits
from kestrel_framework._pipeline.rule_matcher.read_event import ReadEvent

__all__ = [
    "NOTHING_HOLDS",
    "FieldState",
    "MatcherLimits",
    "MatcherStatistics",
    "Node",
    "ReadEvent",
    "RuleMatcher",
    "Verdict",
    "paths_read",
]
