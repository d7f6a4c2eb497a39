from __future__ import annotations

import pytest

from benchmarks.checks import UnequalAlertsError, require_same_alerts
from benchmarks.comparison import (
    UnequalCountsError,
    reason_to_leave_out,
    require_equal,
    unwrapped,
)
from made_up_results import cell


def test_equal_counts_are_added_up() -> None:
    assert require_equal({"one": {"a": 1, "b": 2}, "other": {"b": 2, "a": 1}}) == 3


@pytest.mark.parametrize(
    "other", [{"a": 1, "b": 3}, {"a": 1}, {"a": 1, "b": None}, {"a": 1, "b": 2, "c": 1}]
)
def test_a_rule_that_differs_is_named(other: dict[str, int | None]) -> None:
    with pytest.raises(UnequalCountsError, match=r"the rule [bc] matched"):
        require_equal({"one": {"a": 1, "b": 2}, "same": {"a": 1, "b": 2}, "other": other})


@pytest.mark.parametrize(
    ("peer", "reason"),
    [
        ({"a": 1}, ""),
        ({"a": 2}, "find different things"),
        ({"a": None}, "does not take"),
        ({}, "fails"),
    ],
)
def test_what_cannot_be_compared_has_a_reason(peer: dict[str, int | None], reason: str) -> None:
    assert reason in reason_to_leave_out("a", {"a": 1}, peer)
    assert bool(reason_to_leave_out("a", {"a": 1}, peer)) == bool(reason)


def test_lists_of_one_element_are_the_element() -> None:
    document = {"event": {"category": ["process"]}, "args": ["a", "b"], "empty": [], "in": [{}]}
    assert unwrapped(document) == {
        "event": {"category": "process"},
        "args": ["a", "b"],
        "empty": [],
        "in": {},
    }


def test_alerts_are_the_same_in_every_process_and_beside_other_rules() -> None:
    small, large = cell(2, {"a": 1, "b": 0}), cell(3, {"a": 1, "b": 0, "c": 5})
    require_same_alerts({2: [small, small], 0: [large, large]}, "windows")


@pytest.mark.parametrize(
    "large",
    [{"a": 2, "b": 0, "c": 0}, {"a": 1, "b": 1, "c": 0}, {"b": 0, "c": 0}],
)
def test_a_rule_that_finds_more_or_less_beside_others_is_named(large: dict[str, int]) -> None:
    with pytest.raises(UnequalAlertsError, match=r"windows: the rule [ab] found"):
        require_same_alerts({2: [cell(2, {"a": 1, "b": 0})], 3: [cell(3, large)]}, "windows")


def test_a_rule_that_finds_something_else_in_another_process_is_named() -> None:
    with pytest.raises(UnequalAlertsError, match="the rule a found 1 among 1 rules, and 2 among 1"):
        require_same_alerts({1: [cell(1, {"a": 1}), cell(1, {"a": 2})]}, "windows")
