"""What finds literals in texts: native, where that was compiled with the kernel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from kestrel_framework._builtin.pattern_engine.wildcard_places import Place

if TYPE_CHECKING:
    from kestrel_framework._builtin.pattern_engine._native import LiteralFinder as NativeFinder
else:
    try:
        from kestrel_framework._builtin.pattern_engine._native import LiteralFinder as NativeFinder
    except ImportError:  # it was not compiled: slower, and the same
        NativeFinder = None


class LiteralFinder(Protocol):
    """Patterns, each waiting for texts that have a literal."""

    def find(self, text: str, /) -> list[int]:
        """Return the numbers of the patterns that a text comes by, each once, in any order.

        A pattern waits at one of its places: those of which the text comes by all places are
        among them, and those of which it comes by none are not.
        """
        ...


def is_native() -> bool:
    """Say whether the native finder was compiled when the kernel was installed."""
    return NativeFinder is not None


def literal_finder(patterns: Sequence[Sequence[Place]]) -> LiteralFinder:
    """Return what finds patterns that wait at literals.

    Args:
        patterns: The places where each can wait, at least one, all with a literal that is not
            empty; a pattern's number is where it stands here.
    """
    if NativeFinder is not None:
        return NativeFinder(patterns)
    # Not at the top: it takes a while to load.
    from kestrel_framework._builtin.pattern_engine.portable_finder import PortableFinder

    return PortableFinder(patterns)
