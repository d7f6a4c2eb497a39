"""The pattern engine `native`: thousands of patterns against one text.

A text that was never seen costs a few dictionary look-ups and one pass over it, however
many patterns there are. Every pattern has one place where it waits for texts that may
match it (`wildcard_places`): the whole text, how it begins or ends, or a literal that it must
contain. Only what waits where a text comes by is tested, with the kernel's own functions.

Literals are found by a module in C where that was compiled, and otherwise in plain Python, by
several passes; the answers are the same.
"""

from kestrel_framework._builtin.pattern_engine.engine import NativePatternEngine

__all__ = ["NativePatternEngine"]
