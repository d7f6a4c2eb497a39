"""The builtin state store keeps the contract."""

from __future__ import annotations

import pytest

from kestrel_framework._builtin.memory_state import MemoryStateStore
from kestrel_framework.testing import StateStoreContract


class TestMemoryStateStore(StateStoreContract):
    @pytest.fixture
    def store(self) -> MemoryStateStore:
        return MemoryStateStore()
