"""What is null whatever the event: it reads an optional field that no event can have.

Elasticsearch puts null in the place of such a field before anything else, and folds what
computes with it: `not ?gone : "x"` is `not null`, which is null, and finds nothing. A field that
events may have is another matter: where it is missing, its condition is false, and `not` true.
The source of this meaning is the optimizer of Elasticsearch's EQL.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from kestrel_eql import syntax

NeverExists: TypeAlias = Callable[[syntax.Field], bool]
"""Says whether no event can have a field."""


def always_null(node: syntax.Expression, never_exists: NeverExists) -> bool:
    """Say whether a condition or value is null whatever the event.

    Of `and` and `or` this is not asked: their other terms may decide.
    """
    match node:
        case syntax.Literal():
            return node.value is None
        case syntax.Field():
            return never_exists(node)
        case syntax.Comparison(operator="==" | "!=", left=left, right=right) if any(
            isinstance(side, (syntax.Literal, syntax.Field)) and always_null(side, never_exists)
            for side in (left, right)
        ):
            return False  # it asks whether the other side is null
        case syntax.Comparison() | syntax.Arithmetic():
            return always_null(node.left, never_exists) or always_null(node.right, never_exists)
        case syntax.Membership() | syntax.Match():
            return always_null(node.value, never_exists)
        case syntax.Not():
            return always_null(node.term, never_exists)
        case syntax.Sign():
            return always_null(node.operand, never_exists)
        case syntax.Call():
            return bool(node.arguments) and always_null(node.arguments[0], never_exists)
        case _:
            return False
