"""What this plugin offers to Kestrel."""

from __future__ import annotations

from typing import Final

from kestrel_framework.hookspecs import StateStoreOffers, hookimpl
from kestrel_framework.interfaces import Offer, PluginContext, StateStore
from kestrel_redis_state.config import RedisStateConfig

KESTREL_API: Final = "1.0"


@hookimpl
def kestrel_state_stores() -> StateStoreOffers:
    """Offer `redis`."""
    return {"redis": Offer(_redis_state_store, RedisStateConfig)}


def _redis_state_store(config: RedisStateConfig, context: PluginContext) -> StateStore:
    # Programs that only look at what is installed need no Redis client.
    from kestrel_redis_state.store import RedisStateStore

    return RedisStateStore(config)
