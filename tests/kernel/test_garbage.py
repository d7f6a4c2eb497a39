"""Collections of garbage are postponed, and nothing else is changed about them."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from kestrel_framework._garbage import collection_postponed


@pytest.fixture(autouse=True)
def collecting() -> Iterator[None]:
    gc.enable()
    yield
    gc.enable()


def test_collections_go_on_afterwards_whatever_happened() -> None:
    with pytest.raises(KeyError), collection_postponed():
        assert not gc.isenabled()
        raise KeyError
    assert gc.isenabled()


def test_inside_another_one_the_outer_one_decides() -> None:
    with collection_postponed():
        with collection_postponed():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()


def test_who_switched_collections_off_finds_them_so() -> None:
    gc.disable()
    with collection_postponed():
        pass
    assert not gc.isenabled()
