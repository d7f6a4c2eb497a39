"""What this plugin offers to Kestrel."""

from __future__ import annotations

from kestrel_eql.compiler import EqlCompiler, EqlConfig
from kestrel_framework.hookspecs import RuleCompilerOffers, hookimpl
from kestrel_framework.interfaces import Offer

KESTREL_API = "1.0"


@hookimpl
def kestrel_rule_compilers() -> RuleCompilerOffers:
    """Offer EQL."""
    return {"eql": Offer(EqlCompiler.from_config, EqlConfig)}
