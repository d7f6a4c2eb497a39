from __future__ import annotations

from kestrel_framework._pipeline.loss_ledger import LossLedger


def test_knows_what_was_lost_in_a_span() -> None:
    ledger = LossLedger()
    ledger.record({"ring_full": 3, "slow_reader": 1}, since=100)
    ledger.close(until=200)
    assert ledger.between(150, 160) == {"ring_full": 3, "slow_reader": 1}
    assert ledger.between(200, 300) == {"ring_full": 3, "slow_reader": 1}
    assert ledger.between(50, 100) == {"ring_full": 3, "slow_reader": 1}
    assert ledger.between(201, 300) == {}
    assert ledger.between(10, 99) == {}


def test_a_loss_is_open_until_the_next_event() -> None:
    ledger = LossLedger()
    ledger.record({"gap": 1}, since=100)
    assert ledger.between(10**18, 10**18) == {"gap": 1}
    ledger.close(until=101)
    assert ledger.between(10**18, 10**18) == {}


def test_a_loss_before_any_event_reaches_back_for_ever() -> None:
    ledger = LossLedger()
    ledger.record({"gap": 2}, since=None)
    ledger.close(until=50)
    assert ledger.between(-1, -1) == {"gap": 2}


def test_closing_touches_only_open_losses() -> None:
    ledger = LossLedger()
    ledger.record({"first": 1}, since=1)
    ledger.close(until=2)
    ledger.record({"second": 1}, since=5)
    ledger.close(until=9)
    assert ledger.between(3, 4) == {}
    assert ledger.between(2, 5) == {"first": 1, "second": 1}


def test_snapshot_gives_the_same_ledger() -> None:
    ledger = LossLedger()
    ledger.record({"gap": 1}, since=5)
    copy = LossLedger()
    copy.restore(ledger.snapshot())
    copy.close(until=6)
    assert copy.between(6, 6) == {"gap": 1}
    assert copy.between(7, 7) == {}


def test_remembers_a_bounded_number_of_losses() -> None:
    ledger = LossLedger()
    for time in range(5000):
        ledger.record({"gap": 1}, since=time)
        ledger.close(until=time)
    assert len(ledger.snapshot()) == 1024
    assert ledger.between(4999, 4999) == {"gap": 1}
