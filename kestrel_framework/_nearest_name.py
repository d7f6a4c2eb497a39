"""The known name that is most like a word, found without looking closely at all of them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from itertools import accumulate
from typing import Final

_MOST_REMEMBERED: Final = 1000
_LONGEST_REMEMBERED: Final = 100


class NearestName:
    """Finds what `difflib.get_close_matches` would find first, much faster among many names.

    Two names can be no more alike than the letters that they share allow, nor than the letters
    that they have in the same order. Each letter of a name (its first `e`, its second `e`, and so
    on) is a bit of a number, so that what two names share is quickly counted; only names that
    could be the best are then compared in full.

    Args:
        names: What can be found.
        cutoff: How alike it must be, from 0 to 1.
    """

    def __init__(self, names: Iterable[str], cutoff: float) -> None:
        self._cutoff: Final = cutoff
        self._found: dict[str, str | None] = {}
        counted = {name: _letters(name) for name in names}
        most: dict[str, int] = {}
        for counts in counted.values():
            for letter, count in counts.items():
                if count > most.get(letter, 0):
                    most[letter] = count
        first_bits = accumulate(most.values(), initial=0)
        self._bits: dict[str, list[int]] = {
            letter: [((1 << count) - 1) << first for count in range(most[letter] + 1)]
            for letter, first in zip(most, first_bits, strict=False)
        }
        self._names = [(name, len(name), self._mask(counts)) for name, counts in counted.items()]

    def find(self, word: str) -> str | None:
        """Return the name most like `word` (of two, the later in the alphabet), if one is alike.

        Rules of one pack often have the same words wrong: what was found is remembered.
        """
        if word in self._found:
            return self._found.get(word)
        found = self._search(word)
        if len(word) <= _LONGEST_REMEMBERED and len(self._found) < _MOST_REMEMBERED:
            self._found[word] = found
        return found

    def _search(self, word: str) -> str | None:
        letters, length = self._mask(_letters(word)), len(word)
        least = self._cutoff / 2
        candidates = [
            ((theirs & letters).bit_count() / total, name)
            for name, size, theirs in self._names
            if (theirs & letters).bit_count() + 1 > least * (total := size + length or 1)
        ]
        matcher = difflib.SequenceMatcher(b=word)
        in_order = _LettersInOrder(word)
        best = (self._cutoff, "")
        for shared, name in sorted(candidates, reverse=True):
            if 2 * shared < best[0]:
                break
            if 2 * in_order.count(name) / (len(name) + length or 1) < best[0]:
                continue
            matcher.set_seq1(name)
            best = max(best, (matcher.ratio(), name))
        return best[1] or None

    def _mask(self, counts: Mapping[str, int]) -> int:
        mask = 0
        for letter, count in counts.items():
            bits = self._bits.get(letter)
            if bits is not None:
                mask |= bits[min(count, len(bits) - 1)]
        return mask


def _letters(name: str) -> Mapping[str, int]:
    """Return how often a name has each of its letters."""
    return {letter: name.count(letter) for letter in set(name)}


class _LettersInOrder:
    """Counts the letters that a word and others have in the same order: `difflib` finds no more.

    It is the length of their longest common subsequence, by the way of Hyyrö: all columns of a
    row of the table of lengths are the bits of one number.
    """

    def __init__(self, word: str) -> None:
        self._all = (1 << len(word)) - 1
        self._places: dict[str, int] = {}
        for number, letter in enumerate(word):
            self._places[letter] = self._places.get(letter, 0) | 1 << number

    def count(self, other: str) -> int:
        row = self._all
        for letter in other:
            same = row & self._places.get(letter, 0)
            row = (row + same) | (row - same)
        return (self._all & ~row).bit_count()
