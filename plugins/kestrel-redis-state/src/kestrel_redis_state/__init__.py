"""A state store for Kestrel in Redis, for engines on several hosts.

Names are loaded when they are first used, so that importing the plugin's hooks is quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kestrel_redis_state.config import RedisStateConfig
    from kestrel_redis_state.ownership import Lease
    from kestrel_redis_state.store import RedisStateStore

_HOMES = {
    "Lease": "ownership",
    "RedisStateConfig": "config",
    "RedisStateStore": "store",
}

__all__ = ["Lease", "RedisStateConfig", "RedisStateStore"]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
