"""Finds, for each row, the conditions of all rules that hold for it."""

from kestrel_framework._pipeline.rule_matcher.matcher import RuleMatcher

__all__ = ["RuleMatcher"]
