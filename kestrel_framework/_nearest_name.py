"""The known name that is most like a word, found without looking closely at all of them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from typing import Final

_MOST_REMEMBERED: Final = 1000
_LONGEST_REMEMBERED: Final = 100


class NearestName:
    """Finds what `difflib.get_close_matches` would find first, much faster among many names.

    Two names can be no more alike than the letters that they share allow. Each letter of a name
    (its first `e`, its second `e`, and so on) is a bit of a number, so that what two names share
    is quickly counted; only names that could be the best are then compared in full.

    Args:
        names: What can be found.
        cutoff: How alike it must be, from 0 to 1.
    """

    def __init__(self, names: Iterable[str], cutoff: float) -> None:
        self._cutoff: Final = cutoff
        self._found: dict[str, str | None] = {}
        different = list(dict.fromkeys(names))
        known = dict.fromkeys(letter for name in different for letter in _letters(name))
        self._bits = {letter: 1 << number for number, letter in enumerate(known)}
        self._names = [(name, len(name), self._mask(name)) for name in different]

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
        letters, length = self._mask(word), len(word)
        least = self._cutoff / 2
        candidates = [
            ((theirs & letters).bit_count() / total, name)
            for name, size, theirs in self._names
            if (theirs & letters).bit_count() + 1 > least * (total := size + length or 1)
        ]
        matcher = difflib.SequenceMatcher(b=word)
        best = (self._cutoff, "")
        for shared, name in sorted(candidates, reverse=True):
            if 2 * shared < best[0]:
                break
            matcher.set_seq1(name)
            best = max(best, (matcher.ratio(), name))
        return best[1] or None

    def _mask(self, name: str) -> int:
        return sum(self._bits.get(letter, 0) for letter in _letters(name))


def _letters(name: str) -> Iterator[tuple[str, int]]:
    """Yield each letter, and how often it has stood there by then."""
    seen: dict[str, int] = {}
    for letter in name:
        seen[letter] = count = seen.get(letter, 0) + 1
        yield letter, count
