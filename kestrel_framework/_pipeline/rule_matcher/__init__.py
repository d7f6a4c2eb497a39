"""Finds, for each row, the conditions of all rules that hold for it."""

from kestrel_framework._pipeline.rule_matcher.matcher import RuleMatcher, needs_steps

__all__ = ["RuleMatcher", "needs_steps"]
