from __future__ import annotations

import attrs
import pytest

from benchmarks.checks import UnequalAlertsError, require_nothing_lost
from benchmarks.reloads import measured
from benchmarks.report import page
from made_up_results import results


def test_changes_of_rules_are_measured() -> None:
    reloaded = measured(5, 20, real=False)
    assert (reloaded.rules, reloaded.events) == (101, 300)
    # Of the rule that changes, one sequence begins in each part, and is complete two parts later.
    assert reloaded.alerts >= 3
    assert len(reloaded.compile) == len(reloaded.pauses) == len(reloaded.first) == 5
    assert len(reloaded.later) == 10
    require_nothing_lost([reloaded])


def test_what_is_lost_or_doubled_is_no_report() -> None:
    ((reloaded,),) = results().reloads
    for wrong in (attrs.evolve(reloaded, lost=1), attrs.evolve(reloaded, doubled=1)):
        with pytest.raises(UnequalAlertsError, match="101 rules"):
            require_nothing_lost([wrong])


def test_the_report_says_what_changes_cost() -> None:
    row = "| 101 | 3 | 0.50 | 9.00 | 9.00 | 20.00 | 4.00 | 1.00 | 115 | 0 | 0 |"
    assert row in page(results())
