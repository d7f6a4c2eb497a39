"""The engine: its answers are those of the kernel's own functions, for every text."""

from __future__ import annotations

import pickle

import pytest
from kestrel_hyperscan import HyperscanEngine

from kestrel_framework.interfaces import PatternEngine
from kestrel_framework.testing import PatternEngineContract


class TestHyperscanEngine(PatternEngineContract):
    @pytest.fixture
    def engine(self) -> PatternEngine:
        return HyperscanEngine()


def test_it_pickles() -> None:
    for cache in (False, True):
        engine = pickle.loads(pickle.dumps(HyperscanEngine(cache=cache)))
        assert engine == HyperscanEngine(cache=cache)
