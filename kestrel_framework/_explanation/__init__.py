"""Why rules find something in events, or nothing: slowly, and condition by condition."""

from __future__ import annotations

from kestrel_framework._explanation.attempts import Attempt, StepSeen, attempts_of
from kestrel_framework._explanation.conditions import ConditionReport, explained
from kestrel_framework._explanation.events import EventReport, RuleReport, explained_events

__all__ = [
    "Attempt",
    "ConditionReport",
    "EventReport",
    "RuleReport",
    "StepSeen",
    "attempts_of",
    "explained",
    "explained_events",
]
