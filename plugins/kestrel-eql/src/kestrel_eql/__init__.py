"""EQL rules for Kestrel: event rules, sequences and samples.

Names are loaded when they are first used, so that importing the plugin's hooks is quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kestrel_eql.compiler import EqlCompiler, EqlConfig
    from kestrel_eql.dialect import Dialect
    from kestrel_eql.formatter import format_query

_HOMES = {
    "Dialect": "dialect",
    "EqlCompiler": "compiler",
    "EqlConfig": "compiler",
    "format_query": "formatter",
}

__all__ = ["Dialect", "EqlCompiler", "EqlConfig", "format_query"]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
