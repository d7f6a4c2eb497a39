from collections.abc import Sequence

from kestrel_framework._builtin.pattern_engine.wildcard_places import Place

class LiteralFinder:
    """Finds literals; ValueError if there are too many, or they are too long."""

    def __new__(cls, patterns: Sequence[Sequence[Place]], /) -> LiteralFinder: ...
    def find(self, text: str, /) -> list[int]: ...
