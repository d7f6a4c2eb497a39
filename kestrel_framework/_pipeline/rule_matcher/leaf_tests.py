"""What generated code calls to test the values of a field. Loops: `any()` costs twice as much."""

# ruff: noqa: SIM110

from __future__ import annotations

from collections.abc import Callable, Sequence

from kestrel_framework.values import Kind, Scalar, equality_key


def some_text(test: Callable[[str], bool], texts: Sequence[str]) -> bool:
    """Say whether a test holds for some text."""
    for text in texts:
        if test(text):
            return True
    return False


def some_key(keys: frozenset[tuple[Kind, Scalar]], values: Sequence[Scalar]) -> bool:
    """Say whether some value, of whatever kind, has one of the equality keys."""
    for value in values:
        if equality_key(value) in keys:
            return True
    return False


def some_number(
    relation: Callable[[Scalar, Scalar], bool], values: Sequence[Scalar], bound: float
) -> bool:
    """Say whether some value is a number that stands in a relation to `bound`."""
    for value in values:
        if not isinstance(value, (str, bool)) and relation(value, bound):
            return True
    return False


def some_prefix(values: Sequence[Scalar], part: str) -> bool:
    """Say whether some value is a text that starts with `part`."""
    for value in values:
        if isinstance(value, str) and value.startswith(part):
            return True
    return False


def some_suffix(values: Sequence[Scalar], part: str) -> bool:
    """Say whether some value is a text that ends with `part`."""
    for value in values:
        if isinstance(value, str) and value.endswith(part):
            return True
    return False


def some_substring(values: Sequence[Scalar], part: str) -> bool:
    """Say whether some value is a text that contains `part`."""
    for value in values:
        if isinstance(value, str) and part in value:
            return True
    return False
