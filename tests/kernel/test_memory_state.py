"""The builtin state store keeps the contract."""

from __future__ import annotations

import pytest

from kestrel_framework._builtin.memory_state import MemoryStateStore
from kestrel_framework.errors import StateError
from kestrel_framework.interfaces import Change
from kestrel_framework.testing import StateStoreContract


class TestMemoryStateStore(StateStoreContract):
    supports_watch = True
    supports_ownership = True

    @pytest.fixture
    def store(self) -> MemoryStateStore:
        return MemoryStateStore()


def test_closing_a_store_closes_its_watches() -> None:
    store = MemoryStateStore()
    watch = store.watch(b"")
    store.close()
    with pytest.raises(StateError):
        watch.next(0)
    with pytest.raises(StateError):
        store.watch(b"")


def test_a_closed_watch_is_forgotten() -> None:
    store = MemoryStateStore()
    watch = store.watch(b"")
    watch.close()
    store.commit([Change(b"a", b"1")])
    assert not store._watches
