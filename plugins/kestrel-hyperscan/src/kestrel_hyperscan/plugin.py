"""What this plugin offers to Kestrel."""

from __future__ import annotations

from typing import Final

from kestrel_framework.hookspecs import PatternEngineOffers, hookimpl
from kestrel_framework.interfaces import Offer
from kestrel_hyperscan.engine import HyperscanConfig, HyperscanEngine

KESTREL_API: Final = "1.0"


@hookimpl
def kestrel_pattern_engines() -> PatternEngineOffers:
    """Offer `hyperscan`."""
    return {"hyperscan": Offer(HyperscanEngine.from_config, HyperscanConfig)}
