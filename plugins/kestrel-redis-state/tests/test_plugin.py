"""What the plugin offers."""

from __future__ import annotations

from kestrel_framework.testing import PluginContract, make_context
from kestrel_redis_state import RedisStateConfig, RedisStateStore, plugin


class TestPlugin(PluginContract):
    plugin = "kestrel_redis_state.plugin"


def test_the_store_is_offered_and_opens_nothing() -> None:
    offer = plugin.kestrel_state_stores()["redis"]
    assert offer.config is RedisStateConfig
    config = RedisStateConfig(namespace="n", url="redis://127.0.0.1:1/0")
    store = offer.factory(config, make_context())
    assert isinstance(store, RedisStateStore)
    store.close()
