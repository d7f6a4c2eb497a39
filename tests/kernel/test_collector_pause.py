"""The pause of Python's collector: during a block, and never longer."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from kestrel_framework._collector_pause import collector_paused


@pytest.fixture(autouse=True)
def _collector_as_before() -> Iterator[None]:
    was_on = gc.isenabled()
    gc.unfreeze()  # what other tests have left
    gc.enable()
    yield
    if was_on:
        gc.enable()
    else:
        gc.disable()


def test_collections_rest_during_a_block() -> None:
    with collector_paused():
        assert not gc.isenabled()
        with collector_paused():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_collections_go_on_after_an_error() -> None:
    with pytest.raises(KeyError), collector_paused():
        raise KeyError
    assert gc.isenabled()


def test_collections_that_are_off_stay_off() -> None:
    gc.disable()
    with collector_paused():
        assert not gc.isenabled()
    assert not gc.isenabled()


def test_each_call_of_a_decorated_function_pauses_them() -> None:
    @collector_paused()
    def is_enabled() -> bool:
        return gc.isenabled()

    assert [is_enabled(), gc.isenabled(), is_enabled(), gc.isenabled()] == [False, True] * 2


def test_what_is_made_and_dropped_is_collected_in_time() -> None:
    class Knot:
        def __init__(self) -> None:
            self.itself = self
            self.much = [[number] for number in range(2000)]

    dropped = []
    for _ in range(1000):
        with collector_paused():
            dropped.append(weakref.ref(Knot()))
    assert sum(knot() is not None for knot in dropped) < 900
