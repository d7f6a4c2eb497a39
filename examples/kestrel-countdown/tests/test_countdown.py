"""The countdown keeps the contracts of sources and plugins."""

from __future__ import annotations

import pytest

from kestrel_countdown import CountdownConfig, countdown
from kestrel_framework import EventSource, PluginContext
from kestrel_framework.testing import EventSourceContract, PluginContract


class TestCountdown(EventSourceContract):
    @pytest.fixture
    def source(self, kestrel_context: PluginContext) -> EventSource:
        return countdown(CountdownConfig(start=3), kestrel_context)

    def test_counts_down_to_zero(self, source: EventSource) -> None:
        source.open(None)
        batch = source.read(100, 1)
        assert batch is not None
        assert [document["countdown"] for document in batch.documents] == [
            {"left": left} for left in (3, 2, 1, 0)
        ]


class TestPlugin(PluginContract):
    plugin = "kestrel_countdown"
