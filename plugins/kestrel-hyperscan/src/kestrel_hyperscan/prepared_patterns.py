"""What of patterns takes time to find out, as bytes that can be kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from kestrel_framework.interfaces import Pattern
from kestrel_hyperscan.literal_scanner import LiteralScanner, compile_literals
from kestrel_hyperscan.literals import Literal, needed_literals


class PreparedPatterns(msgspec.Struct, frozen=True, array_like=True):
    """Which literals patterns need, and the compiled literals.

    Attributes:
        literals: How many literals there are.
        literal_of: For each pattern, the literal that every matching text contains, if it has one.
        database: The literals, for a scanner; empty if there are none.
    """

    literals: int
    literal_of: list[int | None]
    database: bytes

    def encoded(self) -> bytes:
        """Return bytes for `restored`."""
        return msgspec.msgpack.encode(self)


_DECODER: Final = msgspec.msgpack.Decoder(PreparedPatterns)


def prepare(patterns: Sequence[Pattern]) -> tuple[PreparedPatterns, LiteralScanner | None]:
    """Choose literals, and compile them; there is no scanner if there is no literal.

    Raises:
        PluginError: Vectorscan does not work here.
    """
    numbers: dict[Literal, int] = {}
    literal_of: list[int | None] = []
    for literal in needed_literals(patterns):
        if literal is None:
            literal_of.append(None)
        else:
            literal_of.append(numbers.setdefault(literal, len(numbers)))
    literals = list(numbers)
    if not literals:
        return PreparedPatterns(0, literal_of, b""), None
    database = compile_literals(literals)
    scanner = LiteralScanner(database)
    overlooked = scanner.overlooked(literals)
    if overlooked:
        literal_of = [None if number in overlooked else number for number in literal_of]
    return PreparedPatterns(len(literals), literal_of, database), scanner


def restored(content: bytes, size: int) -> tuple[PreparedPatterns, LiteralScanner | None]:
    """Return what was encoded for `size` patterns, as `prepare` returned it.

    Raises:
        PluginError: Vectorscan does not work here.
        ValueError: the content is damaged, or of another version or processor.
    """
    try:
        prepared = _DECODER.decode(content)
    except msgspec.MsgspecError as error:
        raise ValueError(f"a kept database is damaged: {error}") from error
    numbers = {number for number in prepared.literal_of if number is not None}
    if len(prepared.literal_of) != size or not numbers <= set(range(prepared.literals)):
        raise ValueError("a kept database belongs to other patterns")
    return prepared, LiteralScanner(prepared.database) if prepared.literals else None
