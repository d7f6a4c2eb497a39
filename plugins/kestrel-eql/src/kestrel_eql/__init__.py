"""EQL rules for Kestrel: event rules, sequences and samples."""

from kestrel_eql.compiler import EqlCompiler, EqlConfig
from kestrel_eql.dialect import Dialect

__all__ = ["Dialect", "EqlCompiler", "EqlConfig"]
