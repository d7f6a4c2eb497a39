from __future__ import annotations

import pytest

from benchmarks.report import page
from benchmarks.state import STORES, is_available, measured
from made_up_results import results


@pytest.mark.parametrize("store", STORES)
def test_state_is_measured_in_every_store(store: str) -> None:
    if not is_available(store):
        pytest.skip("`redis-server` is not installed")
    kept = measured(store, 2000)
    assert kept.live == 22_000
    assert len(kept.batches) == 20
    assert kept.bytes > 10_000
    assert min(kept.snapshot, kept.first, kept.next, kept.load, kept.restore) > 0


def test_the_report_says_what_state_costs() -> None:
    assert "| sqlite | 3 | 7 | 900,000 | 33 | 1.50 | 0.50 | 0.25 | 0.10 | 4.00 |" in page(results())
