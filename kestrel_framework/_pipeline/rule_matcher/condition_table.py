"""Which of many conditions on one field hold, given the elementary ones that do."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from kestrel_framework._pipeline.rule_matcher.value_tests import Leaf, OfEventType
from kestrel_framework.predicate import And, Not, Or, Predicate

Condition: TypeAlias = Predicate | OfEventType
Truth: TypeAlias = Callable[[int], int]
"""Whether a condition holds, given the leaves that do: 0 where it does not."""
LeafNumber: TypeAlias = Callable[[Leaf], int]
"""Returns the number of a leaf, new or known."""


class ConditionTable:
    """Conditions on one field; each stands for some bits of a mask.

    Most conditions are met by any of their leaves, or by none of them: for these a leaf
    that holds says at once which bits it sets and which it clears.

    Args:
        number: Numbers leaves.

    Attributes:
        conditions: What has to hold together, and the bits it stands for.
        bits: All bits that conditions stand for.
        by_default: Those whose conditions hold where no leaf does.
    """

    def __init__(self, number: LeafNumber) -> None:
        self._number = number
        self._added: dict[tuple[Condition, ...], list[int]] = {}
        self._meanings: dict[int, _LeafMeaning] = {}
        self.conditions: Sequence[tuple[tuple[Condition, ...], int]] = ()
        self.bits = 0
        self.by_default = 0

    def add(self, conditions: tuple[Condition, ...], bits: int) -> None:
        """Have bits stand for all these conditions together. No bit comes twice."""
        self._added.setdefault(conditions, []).append(bits)

    def compile(self) -> None:
        """Make ready for `holding`; nothing is added after that."""
        self.conditions = [
            (conditions, functools.reduce(operator.or_, masks))
            for conditions, masks in self._added.items()
        ]
        self._added.clear()
        for conditions, mask in self.conditions:
            self.bits |= mask
            if self._holds_by_default(conditions, mask):
                self.by_default |= mask

    def holding(self, leaves: int) -> int:
        """Return the bits whose conditions hold.

        Args:
            leaves: The leaves that hold; a mask.
        """
        met, failed = self.by_default, 0
        others: dict[Truth, int] = {}
        for leaf in bits(leaves):
            meaning = self._meanings.get(leaf)
            if meaning is not None:
                met |= meaning.meets
                failed |= meaning.fails
                others.update(meaning.others)
        for truth, mask in others.items():
            if truth(leaves):
                met |= mask
            else:
                failed |= mask
        return met & ~failed

    def _holds_by_default(self, conditions: tuple[Condition, ...], mask: int) -> bool:
        """Note what the leaves of conditions mean, and say whether these hold without any."""
        leaves = [leaf for condition in conditions for leaf in leaves_of(condition)]
        numbers = dict.fromkeys(map(self._number, leaves))
        meanings = [self._meanings.setdefault(number, _LeafMeaning()) for number in numbers]
        if len(conditions) == 1 and _is_disjunction(conditions[0]):
            for meaning in meanings:
                meaning.meets |= mask
            return False
        if all(map(_is_joint_denial, conditions)):
            for meaning in meanings:
                meaning.fails |= mask
            return True
        truth = _every([truth_of(condition, self._number) for condition in conditions])
        for meaning in meanings:
            meaning.others[truth] = mask
        return bool(truth(0))


class _LeafMeaning:
    """What it means that a leaf holds.

    Attributes:
        meets: The bits whose conditions hold then.
        fails: Those whose conditions fail then.
        others: What tells about conditions for which other leaves matter too, and their bits.
    """

    __slots__ = ("fails", "meets", "others")

    def __init__(self) -> None:
        self.meets = self.fails = 0
        self.others: dict[Truth, int] = {}


def truth_of(condition: Condition, number: LeafNumber) -> Truth:
    """Return what says whether a condition holds, given the leaves that do."""
    if _is_disjunction(condition):
        return _mask_of(condition, number).__and__
    if _is_joint_denial(condition):
        mask = _mask_of(condition, number)
        return lambda leaves: not leaves & mask
    match condition:
        case Not():
            term = truth_of(condition.term, number)
            return lambda leaves: not term(leaves)
        case And():
            return _every([truth_of(term, number) for term in condition.terms])
        case Or():
            terms = [truth_of(term, number) for term in condition.terms]
            return lambda leaves: any(term(leaves) for term in terms)
        case _:
            raise AssertionError(condition)  # a leaf is a disjunction of one


def _mask_of(condition: Condition, number: LeafNumber) -> int:
    mask = 0
    for leaf in leaves_of(condition):
        mask |= 1 << number(leaf)
    return mask


def _is_disjunction(condition: Condition) -> bool:
    """Say whether a condition holds exactly where one of its leaves does."""
    if isinstance(condition, Or):
        return all(map(_is_disjunction, condition.terms))
    return not isinstance(condition, And | Not)


def _is_joint_denial(condition: Condition) -> bool:
    """Say whether a condition holds exactly where none of its leaves does."""
    if isinstance(condition, And):
        return all(map(_is_joint_denial, condition.terms))
    return isinstance(condition, Not) and _is_disjunction(condition.term)


def _every(truths: Sequence[Truth]) -> Truth:
    if len(truths) == 1:
        return truths[0]
    return lambda leaves: all(truth(leaves) for truth in truths)


def bits(mask: int) -> Iterator[int]:
    """Yield the numbers of the bits of a mask, ascending."""
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest


def leaves_of(condition: Condition) -> Iterator[Leaf]:
    """Yield the elementary conditions that a condition is made of, in order."""
    match condition:
        case Not():
            yield from leaves_of(condition.term)
        case And() | Or():
            for term in condition.terms:
                yield from leaves_of(term)
        case _:
            yield condition
