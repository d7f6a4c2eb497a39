"""The dialects of EQL, and what is chosen for one rule."""

from __future__ import annotations

import enum

import attrs


class Dialect(enum.Enum):
    """Elasticsearch's EQL with what Elastic's endpoint adds, and the older language.

    Elastic: two-valued (a condition over a missing field does not hold, its
    negation does), `==` is exact, a field with several values matches if any does.
    Endgame: three-valued, `==` disregards case and expands `*`, a list is one value.
    """

    ELASTIC = "elastic"
    ENDGAME = "endgame"


@attrs.frozen
class Settings:
    """How the text of one rule is read.

    Attributes:
        dialect: Which language it is in.
        fold: Whether everything disregards case, not only the operators that say so.
    """

    dialect: Dialect = Dialect.ELASTIC
    fold: bool = False

    @property
    def endgame(self) -> bool:
        return self.dialect is Dialect.ENDGAME
