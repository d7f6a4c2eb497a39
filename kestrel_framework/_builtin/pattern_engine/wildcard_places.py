"""Where a wildcard waits for the texts that may match it."""

from __future__ import annotations

import enum
import re
from typing import Final

import msgspec

_SEVERAL_STARS: Final = re.compile(r"\*{2,}")
_NOT_LITERAL: Final = re.compile(r"[*?]+")


class Spot(enum.StrEnum):
    """What of a text is compared with the literal of a place."""

    WHOLE = "whole"
    BEGINNING = "beginning"
    WHOLE_BUT_FIRST = "whole but first"
    """All but the first character, which must be there."""
    BEGINNING_BUT_FIRST = "beginning but first"
    """How all but the first character begins."""
    END = "end"
    ANYWHERE = "anywhere"
    LENGTH = "length"
    """Nothing; the place has no literal."""


class Place(msgspec.Struct, frozen=True, gc=False):
    """Where a wildcard can wait: every text that it matches comes by.

    Attributes:
        spot: What of a text is compared.
        literal: With what.
        is_enough: Whether whatever comes by matches.
    """

    spot: Spot
    literal: str
    is_enough: bool = False


def wildcard_places(pattern: str) -> list[Place]:
    """Return where a wildcard can wait; each place is right by itself."""
    inside = pattern.strip("*")
    if inside and "*" not in inside and "?" not in inside:
        spot = _BETWEEN_STARS[pattern[0] == "*", pattern[-1] == "*"]
        return [Place(spot, inside, is_enough=True)]
    if not pattern:
        return [Place(Spot.WHOLE, "", is_enough=True)]
    if "**" in pattern:
        pattern = _SEVERAL_STARS.sub("*", pattern)
    literals = [literal for literal in _NOT_LITERAL.split(pattern) if literal]
    if not literals:
        return [Place(Spot.LENGTH, "")]
    if len(literals) == 1:
        enough = _ENOUGH.get(pattern.replace(literals[0], "a", 1))
        if enough is not None:
            return [Place(enough, literals[0], is_enough=True)]
    places = []
    if pattern.startswith(literals[0]):
        places.append(Place(Spot.BEGINNING, literals[0]))
    elif pattern.startswith("?" + literals[0]):
        places.append(Place(Spot.BEGINNING_BUT_FIRST, literals[0]))
    if pattern.endswith(literals[-1]):
        places.append(Place(Spot.END, literals[-1]))
    places += [Place(Spot.ANYWHERE, literal) for literal in literals]
    return places


_ENOUGH: Final = {
    "?a": Spot.WHOLE_BUT_FIRST,
    "?a*": Spot.BEGINNING_BUT_FIRST,
}
_BETWEEN_STARS: Final = {
    (False, False): Spot.WHOLE,
    (False, True): Spot.BEGINNING,
    (True, False): Spot.END,
    (True, True): Spot.ANYWHERE,
}
