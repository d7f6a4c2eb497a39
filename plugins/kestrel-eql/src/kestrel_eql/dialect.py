"""The dialects of EQL, and what is chosen for one rule."""

from __future__ import annotations

import enum

import attrs


class Dialect(enum.Enum):
    """Elasticsearch's EQL with what Elastic's endpoint adds, and the older language.

    Elastic: two-valued (a condition over a missing field does not hold, its
    negation does), `==` is exact, a field with several values matches if any does.

    Endgame: three-valued: a comparison with null, or of values of different kinds, is null,
    and so is its negation. `==` disregards case and expands `*`. A list is one value, which
    equals another list, is not null and has a `length`; nothing else looks at it, except for
    positions (`field[0]`) and the functions on arrays. The Python package that defines the
    dialect is followed function by function; not followed are: a list as a join key (each of
    its elements is a key), a negative start of `indexOf` (it is 0), a start of `substring`
    that is a missing field (the result is null), `number` of a number (that number), and an
    empty list (it is missing).
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
