"""Where a wildcard waits for the texts that may match it."""

from __future__ import annotations

import enum
import re
from typing import Final, NamedTuple

_SEVERAL_STARS: Final = re.compile(r"\*{2,}")


class Spot(enum.IntEnum):
    """What of a text is compared with the literal of a place."""

    # The first four are known to the native finder of literals by these numbers.
    ANYWHERE = 0
    BEGINNING = 1
    BEGINNING_BUT_FIRST = 2
    """How all but the first character begins."""
    END = 3
    WHOLE = 4
    WHOLE_BUT_FIRST = 5
    """All but the first character, which must be there."""
    LENGTH = 6
    """Nothing; the place has no literal."""


class Place(NamedTuple):
    """Where a wildcard can wait: every text that it matches comes by.

    Attributes:
        spot: What of a text is compared.
        literal: With what.
        is_enough: Whether whatever comes by matches. There is no other place then.
    """

    spot: Spot
    literal: str
    is_enough: bool = False


def wildcard_places(pattern: str) -> list[Place]:
    """Return where a wildcard can wait; each place is right by itself.

    All of them are compared with literals, unless there is only one.
    """
    inside = pattern.strip("*")
    if inside and "*" not in inside and "?" not in inside:
        spot = _BETWEEN_STARS[pattern[0] == "*", pattern[-1] == "*"]
        return [Place(spot, inside, is_enough=True)]
    if not pattern:
        return [Place(Spot.WHOLE, "", is_enough=True)]
    if "**" in pattern:
        pattern = _SEVERAL_STARS.sub("*", pattern)
    literals = [literal for literal in pattern.replace("?", "*").split("*") if literal]
    if not literals:
        return [Place(Spot.LENGTH, "")]
    if len(literals) == 1:
        enough = _ENOUGH.get(pattern.replace(literals[0], "a", 1))
        if enough is not None:
            return [Place(enough, literals[0], is_enough=True)]
    places = []
    if pattern.startswith(literals[0]):
        places.append(Place(Spot.BEGINNING, literals.pop(0)))
    elif pattern.startswith("?" + literals[0]):
        places.append(Place(Spot.BEGINNING_BUT_FIRST, literals.pop(0)))
    if literals and pattern.endswith(literals[-1]):
        places.append(Place(Spot.END, literals.pop()))
    return places + [Place(Spot.ANYWHERE, literal) for literal in literals]


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
