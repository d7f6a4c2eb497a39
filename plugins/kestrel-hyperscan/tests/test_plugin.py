"""What the plugin offers."""

from __future__ import annotations

import pytest

from kestrel_framework.testing import PluginContract, make_context
from kestrel_hyperscan import HyperscanConfig, HyperscanEngine, plugin


class TestPlugin(PluginContract):
    plugin = "kestrel_hyperscan.plugin"


@pytest.mark.parametrize("cache", [True, False])
def test_the_engine_is_offered_with_its_settings(cache: bool) -> None:
    offer = plugin.kestrel_pattern_engines()["hyperscan"]
    assert offer.config is HyperscanConfig
    engine = offer.factory(HyperscanConfig(cache=cache), make_context())
    assert engine == HyperscanEngine(cache=cache)
