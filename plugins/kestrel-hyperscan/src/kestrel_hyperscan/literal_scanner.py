"""Finds which of thousands of literals a text contains, in one pass: what Vectorscan is for.

Vectorscan runs regular expressions too, but its release 5.4.12, which the package `hyperscan`
brings, misses matches of theirs, even of `.*ce$`, depending on how long the text is. Its search for
literals is another part, and exact; so only that is used, and each new database is made to
prove that it finds its own literals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from kestrel_framework.errors import PluginError
from kestrel_hyperscan.library import PLUGIN, require_library
from kestrel_hyperscan.literals import Literal

LARGEST_TEXT: Final = 1 << 30
"""How many bytes are scanned at once; Vectorscan counts them in 32 bits."""

_LENGTHS_OF_PADDING: Final = (0, 5, 18, 67)


class ScanError(Exception):
    """Vectorscan gave up a text."""


class LiteralScanner:
    """Literals, compiled together. Used by one thread at a time."""

    def __init__(self, content: bytes) -> None:
        """Load what `compile_literals` returned.

        Raises:
            PluginError: Vectorscan does not work here.
            ValueError: the content is damaged, or of another version or processor.
        """
        require_library()
        import hyperscan

        try:
            database = hyperscan.loadb(content, hyperscan.HS_MODE_BLOCK)
            # Handed over with each scan: a database that was loaded has none of its own.
            self._scratch = hyperscan.Scratch(database)
        except hyperscan.error as error:
            raise ValueError(f"Vectorscan cannot use this database: {error}") from error
        self._scan = database.scan
        self._scan_error = hyperscan.error

    def found(self, data: bytes) -> list[int]:
        """Return the places of the literals that `data` contains, each once.

        Raises:
            ScanError: the answer is not known.
        """
        if len(data) > LARGEST_TEXT:
            raise ScanError(f"{len(data)} bytes are too many")
        found: list[int] = []
        try:
            self._scan(data, _note, 0, found.append, self._scratch)  # type: ignore[arg-type]
        except self._scan_error as error:
            raise ScanError(str(error)) from error
        return found

    def overlooked(self, literals: Sequence[Literal]) -> frozenset[int]:
        """Return the places of those of its literals that it misses in a text that has them."""
        return frozenset(
            place
            for place, literal in enumerate(literals)
            if not all(self._finds(place, text) for text in _texts_with(literal))
        )

    def _finds(self, place: int, text: bytes) -> bool:
        try:
            return place in self.found(text)
        except ScanError:
            return False


def compile_literals(literals: Sequence[Literal]) -> bytes:
    """Return a database for `LiteralScanner`; the literals' places are their numbers.

    Raises:
        PluginError: Vectorscan does not work here.
    """
    require_library()
    import hyperscan

    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    exact = hyperscan.HS_FLAG_SINGLEMATCH
    try:
        database.compile(
            expressions=["".join(f"\\x{byte:02x}" for byte in one.content) for one in literals],
            flags=[exact | hyperscan.HS_FLAG_CASELESS if one.fold else exact for one in literals],
        )
        return hyperscan.dumpb(database)
    except hyperscan.error as error:
        raise PluginError(PLUGIN, f"Vectorscan cannot compile literals: {error}") from error


def _note(place: int, start: int, end: int, flags: int, note: Callable[[int], None]) -> None:
    note(place)


def _texts_with(literal: Literal) -> Iterator[bytes]:
    content = literal.content.upper() if literal.fold else literal.content
    for length in _LENGTHS_OF_PADDING:
        yield b"~" * length + content + b"~" * (length // 2)
