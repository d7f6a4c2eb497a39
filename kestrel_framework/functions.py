"""The functions a predicate tree can call, each defined once for every runtime."""

from __future__ import annotations

import enum


class Function(enum.Enum):
    """What can stand in a `Call`. Rule languages map their own names to these."""

    BETWEEN = "between"
    CONCAT = "concat"
    INDEX_OF = "index_of"
    LENGTH = "length"
    NUMBER = "number"
    STRING = "string"
    SUBSTRING = "substring"
