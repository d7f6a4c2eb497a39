"""What scalar values are: their types, texts, order, and folding of case.

Every runtime calls these functions or is tested against them.
"""

from __future__ import annotations

from typing import TypeAlias

from kestrel_framework.schema import FieldType

Scalar: TypeAlias = str | int | float | bool
"""A value that a leaf looks at."""


def literal_for(value: Scalar, field_type: FieldType | None) -> Scalar:
    """Return a literal brought to a field's type.

    Raises:
        ValueError: it cannot be a value of that type.
    """
    raise NotImplementedError
