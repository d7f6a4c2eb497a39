"""Conversions between the kernel's clocks, on clocks that the tests set."""

from __future__ import annotations

import os
import time

from hypothesis import given
from hypothesis import strategies as st

from kestrel_ebpf.kernel_clock import KernelClock

SECOND = 1_000_000_000
MONOTONIC, REALTIME, BOOTTIME = 1, 0, 7


class Clocks:
    """A host that booted at 1000 s and slept for 50 s since."""

    def __init__(self) -> None:
        self.monotonic = 200 * SECOND
        self.offsets = {MONOTONIC: 0, REALTIME: 1050 * SECOND, BOOTTIME: 50 * SECOND}

    def read(self, clock: int) -> int:
        self.monotonic += 100
        return self.monotonic + self.offsets[clock]


def test_a_timestamp_becomes_a_time_of_day() -> None:
    clock = KernelClock(Clocks().read)
    assert abs(clock.time_of_day(150 * SECOND) - 1200 * SECOND) < 1000


def test_ticks_count_the_time_asleep() -> None:
    clock = KernelClock(Clocks().read)
    assert clock.ticks(150 * SECOND + 5_000_000) == 200 * os.sysconf("SC_CLK_TCK")


def test_setting_the_clock_is_followed_and_said() -> None:
    clocks = Clocks()
    clock = KernelClock(clocks.read)
    assert not clock.synchronise()
    clocks.offsets[REALTIME] += 3600 * SECOND
    assert clock.synchronise()
    assert abs(clock.time_of_day(0) - (1050 + 3600) * SECOND) < 1000
    assert not clock.synchronise()


def test_waking_from_sleep_is_followed() -> None:
    clocks = Clocks()
    clock = KernelClock(clocks.read)
    clocks.offsets[BOOTTIME] += 10 * SECOND
    clock.synchronise()
    assert clock.ticks(90 * SECOND + 5_000_000) == 150 * os.sysconf("SC_CLK_TCK")


def test_noise_of_measuring_moves_no_event() -> None:
    clocks = Clocks()
    clock = KernelClock(clocks.read)
    before = clock.time_of_day(0)
    clocks.offsets[REALTIME] += 400_000
    assert not clock.synchronise()
    assert clock.time_of_day(0) == before


@given(st.integers(0, 10**9))
def test_a_tick_begins_within_itself(ticks: int) -> None:
    clock = KernelClock(Clocks().read)
    per_tick = SECOND // os.sysconf("SC_CLK_TCK")
    assert clock.ticks(clock.monotonic(ticks) + per_tick // 2) == ticks


def test_the_real_clocks_agree_with_the_time_of_day() -> None:
    clock = KernelClock()
    assert abs(clock.time_of_day(clock.now()) - time.time_ns()) < SECOND // 10
