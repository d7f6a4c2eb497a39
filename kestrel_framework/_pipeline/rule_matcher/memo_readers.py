"""Readers of the states of several fields at once.

One function for each number of fields: a loop over them costs twice as much.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from kestrel_framework._pipeline.event_decoder import RawReader, View

_Memo: TypeAlias = Mapping[object, object]

MOST_MEMOS: Final = 4


def states_reader(read: Callable[[View], Any], memos: Sequence[_Memo]) -> RawReader:
    """Return what reads the states of two to `MOST_MEMOS` fields from a view, as a tuple.

    Args:
        read: Reads the values of the fields, as a tuple.
        memos: The states by these values.
    """
    match memos:
        case [first, second]:
            return _of_two(read, first, second)
        case [first, second, third]:
            return _of_three(read, first, second, third)
        case [first, second, third, fourth]:
            return _of_four(read, first, second, third, fourth)
        case _:
            raise ValueError(f"there is no reader for {len(memos)} memos")


def _of_two(read: Callable[[View], Any], one: _Memo, two: _Memo) -> RawReader:
    def states(view: View) -> object:
        a, b = read(view)
        return one[a], two[b]

    return states


def _of_three(read: Callable[[View], Any], one: _Memo, two: _Memo, three: _Memo) -> RawReader:
    def states(view: View) -> object:
        a, b, c = read(view)
        return one[a], two[b], three[c]

    return states


def _of_four(
    read: Callable[[View], Any], one: _Memo, two: _Memo, three: _Memo, four: _Memo
) -> RawReader:
    def states(view: View) -> object:
        a, b, c, d = read(view)
        return one[a], two[b], three[c], four[d]

    return states
