"""A pattern engine for Kestrel: thousands of patterns at microseconds a text.

Names are loaded when they are first used, so that importing the plugin's hooks is quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kestrel_hyperscan.engine import HyperscanConfig, HyperscanEngine

__all__ = ["HyperscanConfig", "HyperscanEngine"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(importlib.import_module(f"{__name__}.engine"), name)
    globals()[name] = value
    return value
